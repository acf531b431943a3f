"""Checks and assembles a release, for .github/workflows. Standard library only.

    assemble.py version TAG                    fails unless tag, manifests and CHANGELOG.md name one version; prints version=VERSION
    assemble.py compare FOLDER FOLDER          fails, and names each file, unless both builds have the same bytes
    assemble.py assemble VERSION OUT FOLDER..  one folder of the builds of all architectures, with SHA256SUMS over all files
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUMS = "SHA256SUMS"
# https://semver.org, without build metadata
VERSION = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
# the glibc of provided.al2023
GLIBC = (2, 34)
# Lambda's architectures, the default of a release first
ARCHITECTURES = ("arm64", "x86_64")
# the field e_machine of an ELF header
MACHINES = {"x86_64": 62, "arm64": 183, "aarch64": 183}


class Refused(Exception):
    """What is wrong, and what to do."""


def programs(version: str) -> dict[str, tuple[str, str]]:
    """The archives of a release: name -> (the program in it, its architecture)."""
    found = {f"hubkeeper-function-{version}-{arch}.zip": ("bootstrap", arch) for arch in ("x86_64", "arm64")}
    return found | {
        f"hubkeeper-cli-{version}-{arch}-unknown-linux-gnu.tar.gz": ("hubkeeper", arch) for arch in ("x86_64", "aarch64")
    }


def names(version: str) -> set[str]:
    """The files of a release, without SHA256SUMS."""
    others = ["template.json", "function.cdx.json", "cli.cdx.json"]
    return {
        *programs(version),
        *(f"hubkeeper-{version}.{name}" for name in others),
        f"hubkeeper-azure-{version}.json",
        "RELEASE_NOTES.md",
    }


def check_version(tag: str, root: Path = ROOT) -> str:
    """Returns the version of a tag that everything else agrees with."""
    version = tag.removeprefix("v")
    if tag == version or not re.fullmatch(VERSION, version):
        raise Refused(f"{tag} is not a tag of a release: it is v and a version, such as v0.1.0")
    for manifest in ("Cargo.toml", "cli/Cargo.toml"):
        found = tomllib.loads((root / manifest).read_text())["package"]["version"]
        if found != version:
            raise Refused(f"{manifest} has version {found}, the tag is {tag}: change the manifest, commit, and tag that commit")
    changelog = (root / "CHANGELOG.md").read_text()
    if unreleased := section(changelog, "[Unreleased]").strip():
        first = unreleased.splitlines()[0]
        raise Refused(f"CHANGELOG.md has entries under [Unreleased], which the release contains: move them to [{version}] ({first})")
    heading = re.search(rf"^## (\[{re.escape(version)}\] - (\S+))$", changelog, re.MULTILINE)
    if not heading:
        raise Refused(f"CHANGELOG.md has no heading `## [{version}] - YYYY-MM-DD`: write the section of this release")
    try:
        datetime.date.fromisoformat(heading[2])
    except ValueError:
        raise Refused(f"CHANGELOG.md: {heading[2]} is not a date: write it as YYYY-MM-DD") from None
    if not section(changelog, heading[1]).strip():
        raise Refused(f"CHANGELOG.md: the section [{version}] is empty: say what changed")
    return version


def section(changelog: str, heading: str) -> str:
    """The text under a heading of a version; empty without that heading."""
    _, found, rest = f"\n{changelog}".partition(f"\n## {heading}\n")
    return rest.split("\n## ")[0] if found else ""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(folder: Path) -> dict[str, str]:
    """The files of a build with their digests. Its own SHA256SUMS must name exactly these."""
    if not folder.is_dir():
        raise Refused(f"there is no folder {folder}: the build before this step did not leave its files")
    found = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.name != SUMS}
    if not found or not (folder / SUMS).is_file():
        raise Refused(f"{folder} is not the folder of a release: it has no {SUMS}, or nothing else")
    listed = dict(line.split("  ", 1)[::-1] for line in (folder / SUMS).read_text().splitlines())
    for name in sorted(found.keys() | listed.keys()):
        if found.get(name) != listed.get(name):
            raise Refused(f"{folder}/{name} is not what {SUMS} lists: the folder changed after the build")
    return found


def compare(first: Path, second: Path) -> int:
    """Returns the number of files that both builds have with the same bytes."""
    one, other = files(first), files(second)
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    if different:
        raise Refused(f"not reproducible, {first} and {second} differ in: {', '.join(different)}. make reproducible shows where")
    return len(one)


def glibc(program: bytes) -> tuple[int, int]:
    """The newest glibc that a program names."""
    return max(((int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", program)), default=(0, 0))


def check_program(archive: Path, name: str, architecture: str) -> None:
    """Fails unless the archive has the program, for that architecture, and the program starts on Amazon Linux 2023."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            found = [opened.read(entry) for entry in opened.namelist() if Path(entry).name == name]
    else:
        with tarfile.open(archive) as opened:
            found = [opened.extractfile(entry).read() for entry in opened if entry.isfile() and Path(entry.name).name == name]
    found = [program for program in found if program.startswith(b"\x7fELF")]
    if len(found) != 1:
        raise Refused(f"{archive.name} has {len(found)} programs named {name}, not one")
    if int.from_bytes(found[0][18:20], "little") != MACHINES[architecture]:
        raise Refused(f"{archive.name}: {name} is not a program for {architecture}: build it on a runner of that architecture")
    needed = glibc(found[0])
    if needed > GLIBC:
        raise Refused(
            f"{archive.name}: {name} needs glibc {needed[0]}.{needed[1]}, and provided.al2023 has {GLIBC[0]}.{GLIBC[1]}: "
            "build it with infra/release/container.sh"
        )


def template(builds: list[Path]) -> str:
    """The template for the architectures of all builds. A build has one, and its template allows and names no other."""
    texts = [build.read_text() for build in builds]
    documents = [json.loads(text) for text in texts]
    try:
        architectures = [document["Parameters"]["Architecture"] for document in documents]
        allowed = [name for name in ARCHITECTURES if any(name in found["AllowedValues"] for found in architectures)]
    except (KeyError, TypeError):
        raise Refused(f"a {builds[0].name} has no parameter Architecture: it is not a packaged template") from None
    for found in architectures:
        found |= {"AllowedValues": allowed, "Default": allowed[0]}
    # as the program release writes it: one line, without spaces
    merged = {json.dumps(document, separators=(",", ":"), ensure_ascii=False) for document in documents}
    if len(merged) != 1:
        raise Refused(f"{builds[0].name} differs between {builds[0].parent} and {builds[-1].parent} in more than the parameter Architecture")
    return merged.pop()


def assemble(version: str, out: Path, folders: list[Path]) -> int:
    """Copies the files of all builds into one folder and returns their number. A file of several builds must be the same in each,
    except the template, which names the architectures."""
    origins: dict[str, Path] = {}
    of_template = f"hubkeeper-{version}.template.json"
    for folder in folders:
        for name, found in files(folder).items():
            if name != of_template and name in origins and digest(origins[name]) != found:
                raise Refused(f"{name} differs between {origins[name].parent} and {folder}: it must not depend on the architecture")
            origins[name] = folder / name
    if missing := sorted(names(version) - origins.keys()):
        raise Refused(f"no build made {', '.join(missing)}: see the job of that architecture")
    if unknown := sorted(origins.keys() - names(version)):
        raise Refused(f"not a file of release {version}: {', '.join(unknown)}. infra/release/assemble.py lists the names")
    for name, (program, architecture) in programs(version).items():
        check_program(origins[name], program, architecture)
    for name in (f"hubkeeper-{version}.function.cdx.json", f"hubkeeper-{version}.cli.cdx.json"):
        bill = json.loads(origins[name].read_text())
        # actions/attest recognizes CycloneDX by these
        if absent := [field for field in ("bomFormat", "specVersion", "serialNumber") if not bill.get(field)]:
            raise Refused(f"{name} has no {', '.join(absent)}: it cannot be attested")
    merged = template([folder / of_template for folder in folders if (folder / of_template).is_file()])
    out.mkdir(parents=True)
    for name in sorted(origins):
        (out / name).write_bytes(origins[name].read_bytes())
    (out / of_template).write_text(merged)
    (out / SUMS).write_text("".join(f"{digest(out / name)}  {name}\n" for name in sorted(origins)))
    return len(origins)


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["version", tag]:
                print(f"version={check_version(tag)}")
            case ["compare", first, second]:
                print(f"reproducible: {compare(Path(first), Path(second))} files with the same bytes in {first} and {second}")
            case ["assemble", version, out, *folders] if folders:
                print(f"{out}: {assemble(version, Path(out), [Path(folder) for folder in folders])} files and {SUMS}")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Refused as refused:
        print(f"assemble.py: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
