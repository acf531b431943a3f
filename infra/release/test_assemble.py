"""Tests assemble.py and container.sh: `python3 infra/release/test_assemble.py`. Standard library only, no network."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import assemble

VERSION = "1.2.3"
SBOM = '{"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": "urn:uuid:00000000-0000-4000-8000-000000000000"}'


def elf(architecture: str, glibc: str = "2.34") -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + assemble.MACHINES[architecture].to_bytes(2, "little") + f"\0GLIBC_{glibc}\0".encode()


def zipped(program: bytes, name: str = "bootstrap") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(zipfile.ZipInfo(name), program)
    return archive.getvalue()


def tarred(program: bytes, name: str = "hubkeeper") -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as opened:
        for path, content in ((f"hubkeeper-{VERSION}/{name}", program), (f"hubkeeper-{VERSION}/completions/hubkeeper", b"complete")):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return gzip.compress(archive.getvalue(), mtime=0)


def packaged(*architectures: str, **fields: str) -> str:
    """A packaged template, as the program release writes it."""
    parameter = {"AllowedValues": architectures, "Default": architectures[0], "Type": "String"}
    return json.dumps({"Description": "ü", "Parameters": {"Architecture": parameter}, **fields}, separators=(",", ":"), ensure_ascii=False)


class Folders(unittest.TestCase):
    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)

    def build(self, folder: str, architecture: str, **changes: bytes | str | None) -> Path:
        """The folder of one build. A change replaces a file whose name contains the key, or removes it."""
        cli = "aarch64" if architecture == "arm64" else architecture
        content: dict[str, bytes | str | None] = {
            f"hubkeeper-function-{VERSION}-{architecture}.zip": zipped(elf(architecture)),
            f"hubkeeper-cli-{VERSION}-{cli}-unknown-linux-gnu.tar.gz": tarred(elf(architecture)),
            f"hubkeeper-{VERSION}.template.json": packaged(architecture),
            f"hubkeeper-{VERSION}.function.cdx.json": SBOM,
            f"hubkeeper-{VERSION}.cli.cdx.json": SBOM,
            f"hubkeeper-azure-{VERSION}.json": "{}",
            "RELEASE_NOTES.md": "notes\n",
        }
        for key, value in changes.items():
            name = next((name for name in content if key in name), key)
            content[name] = value
        made = self.root / folder
        made.mkdir()
        kept = {name: value.encode() if isinstance(value, str) else value for name, value in content.items() if value is not None}
        for name, value in kept.items():
            (made / name).write_bytes(value)
        (made / assemble.SUMS).write_text("".join(f"{assemble.digest(made / name)}  {name}\n" for name in sorted(kept)))
        return made

    def refused(self, call, *words: str) -> None:
        with self.assertRaises(assemble.Refused) as raised:
            call()
        for word in words:
            self.assertIn(word, str(raised.exception))


class Compare(Folders):
    def test_two_equal_builds_are_reproducible(self) -> None:
        self.assertEqual(assemble.compare(self.build("a", "arm64"), self.build("b", "arm64")), 7)

    def test_a_file_that_differs_or_is_missing_is_named_and_no_other(self) -> None:
        first = self.build("a", "arm64")
        other = self.build("b", "arm64", template=packaged("arm64") + " ")
        self.refused(lambda: assemble.compare(first, other), f"differ in: hubkeeper-{VERSION}.template.json.")
        less = self.build("c", "arm64", template=None)
        self.refused(lambda: assemble.compare(first, less), f"differ in: hubkeeper-{VERSION}.template.json.")

    def test_a_folder_that_changed_after_its_build_is_refused(self) -> None:
        first, other = self.build("a", "arm64"), self.build("b", "arm64")
        for folder in (first, other):
            (folder / "RELEASE_NOTES.md").write_text("others\n")
        self.refused(lambda: assemble.compare(first, other), "RELEASE_NOTES.md", "changed after the build")

    def test_no_build_is_not_reproducible(self) -> None:
        (self.root / "a").mkdir()
        self.refused(lambda: assemble.compare(self.root / "a", self.root / "a"), "not the folder of a release")
        self.refused(lambda: assemble.compare(self.root / "b", self.root / "b"), "there is no folder")


class Assemble(Folders):
    def assemble(self, *folders: Path) -> Path:
        assemble.assemble(VERSION, self.root / "out", list(folders))
        return self.root / "out"

    def test_both_architectures_become_one_folder_that_sha256sum_accepts(self) -> None:
        out = self.assemble(self.build("x", "x86_64"), self.build("a", "arm64"))
        self.assertEqual({path.name for path in out.iterdir()}, assemble.names(VERSION) | {assemble.SUMS})
        checked = subprocess.run(["sha256sum", "--check", "--strict", assemble.SUMS], cwd=out, capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stdout.count(": OK\n")), (0, 9))

    def test_the_template_of_a_release_is_for_all_its_architectures(self) -> None:
        out = self.assemble(self.build("x", "x86_64"), self.build("a", "arm64"))
        self.assertEqual((out / f"hubkeeper-{VERSION}.template.json").read_text(), packaged("arm64", "x86_64"))

    def test_what_must_not_be_released_is_refused_and_nothing_is_written(self) -> None:
        cases = [
            ({"template": packaged("arm64", Outputs="other")}, ["template.json differs between", "more than the parameter Architecture"]),
            ({"template": "{}"}, ["has no parameter Architecture"]),
            ({"function-": None}, [f"no build made hubkeeper-function-{VERSION}-arm64.zip"]),
            ({"QUICK": "x"}, [f"not a file of release {VERSION}: QUICK"]),
            ({"function-": zipped(elf("x86_64"))}, ["bootstrap is not a program for arm64"]),
            ({"cli-": tarred(elf("x86_64"))}, ["hubkeeper is not a program for aarch64"]),
            ({"function-": zipped(elf("arm64", "2.39"))}, ["needs glibc 2.39", "2.34"]),
            ({"cli-": tarred(elf("arm64", "2.35"))}, ["needs glibc 2.35"]),
            ({"function-": zipped(elf("arm64"), "main")}, ["0 programs named bootstrap"]),
            ({"cli-": tarred(b"#!/bin/sh\n")}, ["0 programs named hubkeeper"]),
        ]
        x86 = self.build("x", "x86_64")
        for at, (changes, words) in enumerate(cases):
            with self.subTest(changes=list(changes), words=words):
                arm = self.build(f"a{at}", "arm64", **changes)
                self.refused(lambda arm=arm: self.assemble(x86, arm), *words)
                self.assertFalse((self.root / "out").exists())

    def test_a_bill_of_materials_that_cannot_be_attested_is_refused(self) -> None:
        bare = '{"bomFormat": "CycloneDX", "specVersion": "1.5"}'
        builds = [self.build(folder, architecture, **{"cli.cdx": bare}) for folder, architecture in (("x", "x86_64"), ("a", "arm64"))]
        self.refused(lambda: self.assemble(*builds), f"hubkeeper-{VERSION}.cli.cdx.json has no serialNumber")

    def test_the_newest_glibc_counts(self) -> None:
        self.assertEqual(assemble.glibc(b"GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE"), (2, 34))
        self.assertEqual(assemble.glibc(b"static"), (0, 0))


class Version(Folders):
    CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-30\n\n### Added\n\n- A thing.\n\n## [1.2.2] - 2026-11-29\n\n- Old.\n"

    def checkout(self, changelog: str = CHANGELOG, version: str = VERSION, cli: str = VERSION) -> Path:
        root = Path(tempfile.mkdtemp(dir=self.root))
        (root / "cli").mkdir()
        (root / "Cargo.toml").write_text(f'[package]\nversion = "{version}"\n')
        (root / "cli/Cargo.toml").write_text(f'[package]\nversion = "{cli}"\n')
        (root / "CHANGELOG.md").write_text(changelog)
        return root

    def test_one_version_everywhere_is_released(self) -> None:
        self.assertEqual(assemble.check_version("v1.2.3", self.checkout()), "1.2.3")
        rc = "1.3.0-rc.1"
        self.assertEqual(assemble.check_version(f"v{rc}", self.checkout(self.CHANGELOG.replace("1.2.3", rc), rc, rc)), rc)

    def test_every_disagreement_is_named(self) -> None:
        heading = "## [1.2.3] - 2026-11-30"
        cases = [
            ("1.2.3", {}, "is not a tag of a release"),
            ("v1.2", {}, "is not a tag of a release"),
            ("v01.2.3", {}, "is not a tag of a release"),
            ("v1.2.3;ls", {}, "is not a tag of a release"),
            ("v1.2.4", {}, "Cargo.toml has version 1.2.3"),
            ("v1.2.3", {"cli": "1.2.2"}, "cli/Cargo.toml has version 1.2.2"),
            ("v1.2.3", {"changelog": self.CHANGELOG.replace(heading, "## [1.2.1] - 2026-11-30")}, "has no heading"),
            ("v1.2.3", {"changelog": self.CHANGELOG.replace("2026-11-30", "2026-11-31")}, "is not a date"),
            ("v1.2.3", {"changelog": self.CHANGELOG.replace("### Added\n\n- A thing.\n\n", "")}, "is empty"),
            ("v1.2.3", {"changelog": self.CHANGELOG.replace("## [1.2.3]", "- New.\n\n## [1.2.3]")}, "entries under [Unreleased]"),
        ]
        for tag, changes, words in cases:
            with self.subTest(tag=tag, words=words):
                root = self.checkout(**changes)
                self.refused(lambda root=root, tag=tag: assemble.check_version(tag, root), words)

    def test_the_changelog_of_this_repository_has_the_section_of_its_version(self) -> None:
        changelog = (assemble.ROOT / "CHANGELOG.md").read_text()
        version = tomllib.loads((assemble.ROOT / "Cargo.toml").read_text())["package"]["version"]
        headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
        self.assertEqual(headings[0], "[Unreleased]")
        self.assertRegex(headings[1], rf"^\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$")
        self.assertIn("\n- ", assemble.section(changelog, headings[1]))


class Commands(Folders):
    def run_it(self, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, assemble.__file__, *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def test_the_commands_of_the_workflows(self) -> None:
        x86, again, arm = self.build("x", "x86_64"), self.build("y", "x86_64"), self.build("a", "arm64")
        self.assertEqual(self.run_it("compare", str(x86), str(again))[0], 0)
        code, out, error = self.run_it("compare", str(x86), str(arm))
        self.assertEqual((code, out), (1, ""))
        self.assertIn("not reproducible", error)
        code, out, error = self.run_it("assemble", VERSION, str(self.root / "out"), str(x86), str(arm))
        self.assertEqual((code, error), (0, ""))
        self.assertIn("9 files and SHA256SUMS", out)
        self.assertEqual(self.run_it("version", "1")[0], 1)
        self.assertEqual(self.run_it("publish")[0], 2)

    def test_the_workflows_use_only_commands_that_exist(self) -> None:
        used = set()
        for workflow in (assemble.ROOT / ".github/workflows").glob("*.yml"):
            used |= set(re.findall(r"assemble\.py (\w+)", workflow.read_text()))
        self.assertEqual(used, {"version", "compare", "assemble"})
        for command in used:
            self.assertIn(f"assemble.py {command} ", assemble.__doc__)


class Container(Folders):
    """container.sh with stand-ins for docker and rustc."""

    def run_it(self, *arguments: str, **stubs: str) -> tuple[int, str, str]:
        path = Path(tempfile.mkdtemp(dir=self.root))
        for name in ("bash", "dirname", "env", "id"):
            (path / name).symlink_to(shutil.which(name))
        for name, body in stubs.items():
            (path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
            (path / name).chmod(0o755)
        script = assemble.ROOT / "infra/release/container.sh"
        done = subprocess.run([script, *arguments], env={"PATH": str(path)}, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    DOCKER = """if [ "$1" = build ]; then echo sha256:image; else printf '%s\\n' "$@"; fi"""

    def test_the_container_builds_the_checkout_with_the_rust_of_this_machine(self) -> None:
        code, out, error = self.run_it("1.2.3", docker=self.DOCKER, rustc="echo /rust")
        self.assertEqual((code, error), (0, ""))
        words = out.splitlines()
        self.assertEqual(words[0], "run")
        self.assertEqual(words[-4:], ["sha256:image", "make", "release", "VERSION=1.2.3"])
        self.assertIn("/rust:/opt/rust:ro", words)
        self.assertIn(f"{assemble.ROOT}:{assemble.ROOT}", words)

    def test_what_is_missing_is_named_with_the_remedy(self) -> None:
        cases = [
            (["1.2.3"], {"rustc": "echo /rust"}, "docker is not installed: install it"),
            (["1.2.3"], {"docker": self.DOCKER, "rustc": "exit 1"}, "rustc does not run: install rustup"),
            ([], {"docker": self.DOCKER, "rustc": "echo /rust"}, "version, such as 0.1.0"),
        ]
        for arguments, stubs, words in cases:
            with self.subTest(words=words):
                code, out, error = self.run_it(*arguments, **stubs)
                self.assertEqual((code, out), (1, ""))
                self.assertIn(words, error)

    def test_a_build_that_fails_fails(self) -> None:
        for failing in ("build", "run"):
            docker = f'if [ "$1" = {failing} ]; then exit 7; fi; echo sha256:image'
            self.assertNotEqual(self.run_it("1.2.3", docker=docker, rustc="echo /rust")[0], 0, failing)

    def test_the_image_is_pinned_by_its_digest(self) -> None:
        lines = (assemble.ROOT / "infra/release/Dockerfile").read_text().splitlines()
        images = [line for line in lines if line.startswith("FROM")]
        self.assertEqual(len(images), 1)
        self.assertRegex(images[0], r"^FROM amazonlinux:2023@sha256:[0-9a-f]{64}$")


if __name__ == "__main__":
    unittest.main()
