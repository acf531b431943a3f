"""Builds the function of an earlier commit, so that the tests can update from it: `earlier.py COMMIT ZIP`.

The commit's sources come from the repository's history, and its third-party crates from the build of the workspace: the manifest gets
the dependencies of today's packages too, so that Cargo resolves the same features and finds each crate built. Without the commit
(a shallow clone, an archive) it exits with code 3. If the zip exists, it does nothing.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARGO = os.environ.get("CARGO", "cargo")
NO_COMMIT = 3


def output(*command):
    return subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def has(commit):
    if shutil.which("git") is None:
        return False
    found = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, stderr=subprocess.DEVNULL, check=False)
    return found.returncode == 0


def merged(manifest):
    """crate -> (version, features, whether with default features, rename), of this manifest and of every package of today."""
    found = {}

    def add(name, version, features, default, package=None):
        known = found.setdefault(name, {"version": version, "features": set(), "default-features": False})
        known["features"] |= set(features)
        known["default-features"] |= default
        if package:
            known["package"] = package

    metadata = json.loads(output(CARGO, "metadata", "--no-deps", "--locked", "--format-version", "1"))
    for package in metadata["packages"]:
        for needed in package["dependencies"]:
            if needed["kind"] is None and needed["target"] is None and not needed.get("path"):
                name, renamed = needed["name"], needed["rename"]
                add(renamed or name, needed["req"], needed["features"], needed["uses_default_features"], name if renamed else None)
    for name, needed in manifest["dependencies"].items():
        needed = {"version": needed} if isinstance(needed, str) else needed
        add(name, needed["version"], needed.get("features", []), needed.get("default-features", True), needed.get("package"))
        # if today's version is not compatible with the commit any more, Cargo says so here
        found[name]["version"] = needed["version"]
    return found


def toml(value):
    """A value of a manifest. JSON's strings, numbers and lists are TOML's too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(part)}" for name, part in value.items()) + " }"
    return json.dumps(sorted(value) if isinstance(value, set) else value)


def manifest_of(commit):
    """The commit's manifest, with the dependencies and the development profile of today."""
    manifest = tomllib.loads(output("git", "show", f"{commit}:Cargo.toml").decode())
    today = tomllib.loads((ROOT / "Cargo.toml").read_text())
    package = {name: value for name, value in manifest["package"].items() if not isinstance(value, dict)}
    profile = today["profile"]["dev"]
    ours = {found["name"] for found in json.loads(output(CARGO, "metadata", "--no-deps", "--locked", "--format-version", "1"))["packages"]}
    overrides = {name: value for name, value in profile.pop("package").items() if name not in ours}
    # only this one is compiled, and nobody waits for it to run
    overrides[package["name"]] = {"opt-level": 0, "debug": False, "incremental": False}
    sections = [
        ("package", package | {"autobenches": False, "autobins": False, "autoexamples": False, "autotests": False}),
        ("lib", {"path": "src/lib.rs"}),
        ("workspace", {"resolver": today["workspace"]["resolver"]}),
        ("dependencies", merged(manifest)),
        ("profile.dev", profile),
        *((f"profile.dev.package.{json.dumps(name)}", value) for name, value in overrides.items()),
    ]
    text = [f"[{title}]\n" + "".join(f"{name} = {toml(value)}\n" for name, value in section.items()) for title, section in sections]
    return "\n".join(text) + '\n[[bin]]\nname = "bootstrap"\npath = "src/main.rs"\n'


def build(commit, archive):
    folder = archive.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(output("git", "archive", commit, "src"))) as sources:
        sources.extractall(folder, filter="data")
    (folder / "Cargo.toml").write_text(manifest_of(commit))
    shutil.copy(ROOT / "Cargo.lock", folder)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
    # the binary goes to this folder, and what it is made of to the workspace's: the crates that are built there are used
    environment = os.environ | {"CARGO_BUILD_BUILD_DIR": str(target), "CARGO_TARGET_DIR": str(folder / "target")}
    command = [CARGO, "build", "--offline", "--bin", "bootstrap", "--manifest-path", str(folder / "Cargo.toml")]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    written = archive.with_suffix(".new")
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        package.writestr(entry, (folder / "target" / "debug" / "bootstrap").read_bytes())
    written.rename(archive)
    shutil.rmtree(folder)


def main():
    commit, archive = sys.argv[1], Path(sys.argv[2]).resolve()
    if archive.is_file():
        return 0
    if not has(commit):
        return NO_COMMIT
    build(commit, archive)
    return 0


if __name__ == "__main__":
    sys.exit(main())
