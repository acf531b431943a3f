"""Tests what is in .github: `make lint-infra` runs it with the linters' own Python, which has ruamel.yaml.

The linters find planted faults; the workflows grant no more than they need; the forms have the fields that GitHub's form schema
requires (https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests); dependabot.yml covers
every folder with pinned versions; SECURITY.md names the files of a release.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
sys.path.insert(0, str(ROOT / "infra" / "release"))
import assemble

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = [path for path in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if path.name != "config.yml"]


def load(text: str) -> dict:
    # YAML 1.2, in which `on` is a string
    return YAML(typ="safe", pure=True).load(text)


def linted(root: Path) -> set[str]:
    """The rules that the linters find broken in a folder."""
    act = subprocess.run([BIN / "actionlint", "-shellcheck=", "-pyflakes=", "-format", "{{json .}}"], cwd=root, capture_output=True, text=True)
    options = ["--offline", "--quiet", "--no-progress", "--strict-collection", "--collect=all", "--persona=pedantic", "--format=json"]
    zizmor = subprocess.run([BIN / "zizmor", *options, ".github"], cwd=root, capture_output=True, text=True)
    if act.returncode not in (0, 1) or not zizmor.stdout:
        raise RuntimeError(act.stderr + zizmor.stderr)
    return {f"actionlint {found['kind']}" for found in json.loads(act.stdout)} | {f"zizmor {found['ident']}" for found in json.loads(zizmor.stdout)}


class Linters(unittest.TestCase):
    # file, text of it, what is planted instead, the rule that finds it
    PLANTED = [
        ("workflows/ci.yml", "@9c091bb21b7c1c1d1991bb908d89e4e9dddfe3e0 # v7.0.0", "@v7", "zizmor unpinned-uses"),
        ("workflows/ci.yml", "run: .ci/run", "run: .ci/run ${{ github.head_ref }}", "zizmor template-injection"),
        ("workflows/ci.yml", "run: .ci/run", "run: .ci/run ${{ github.head_ref }}", "actionlint expression"),
        ("workflows/ci.yml", "permissions: {}", "permissions: write-all", "zizmor excessive-permissions"),
        ("workflows/ci.yml", "permissions: {}\n", "", "zizmor excessive-permissions"),
        ("workflows/ci.yml", "          persist-credentials: false\n", "", "zizmor artipacked"),
        ("workflows/ci.yml", "  pull_request:", "  pull_request_target:", "zizmor dangerous-triggers"),
        ("workflows/ci.yml", "runs-on: ubuntu-24.04", "runs-on: ubuntu-24.40", "actionlint runner-label"),
        ("workflows/release.yml", "needs: [version, test, build]", "needs: [version, test, builds]", "actionlint job-needs"),
        ("workflows/release.yml", "      version: ${{ needs", "      versions: ${{ needs", "actionlint workflow-call"),
        ("dependabot.yml", "    cooldown: { default-days: 7 }\n", "", "zizmor dependabot-cooldown"),
    ]

    def test_a_planted_fault_is_found(self) -> None:
        for name, text, planted, rule in self.PLANTED:
            with self.subTest(rule=rule, planted=planted), tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                shutil.copytree(ROOT / ".github", root / ".github")
                (root / ".git").mkdir()
                path = root / ".github" / name
                content = path.read_text()
                self.assertIn(text, content)
                path.write_text(content.replace(text, planted, 1))
                self.assertIn(rule, linted(root))


class Rights(unittest.TestCase):
    JOBS = {(path.name, name): job for path in WORKFLOWS for name, job in load(path.read_text())["jobs"].items()}

    def holders(self, right: str, access: str) -> set[tuple[str, str]]:
        return {job for job, content in self.JOBS.items() if content["permissions"].get(right) == access}

    def test_every_workflow_begins_without_rights_and_every_job_ends(self) -> None:
        self.assertEqual([path.name for path in WORKFLOWS], ["build.yml", "ci.yml", "release.yml"])
        for path in WORKFLOWS:
            self.assertEqual(load(path.read_text())["permissions"], {}, path.name)
        for job, content in self.JOBS.items():
            self.assertTrue("uses" in content or content["timeout-minutes"] <= 90, job)

    def test_only_the_jobs_that_need_it_may_write(self) -> None:
        self.assertEqual(self.holders("contents", "write"), {("release.yml", "draft")})
        signers = {("build.yml", "attest"), ("release.yml", "build")}
        self.assertEqual(self.holders("id-token", "write"), signers)
        self.assertEqual(self.holders("attestations", "write"), signers)
        others = [right for content in self.JOBS.values() for right, access in content["permissions"].items() if access == "write"]
        self.assertEqual(set(others), {"contents", "id-token", "attestations"})

    def test_the_job_that_attests_runs_no_code_of_the_repository(self) -> None:
        actions = [step.get("uses", "").split("@")[0] for step in self.JOBS["build.yml", "attest"]["steps"]]
        self.assertEqual(actions, ["actions/download-artifact", "actions/attest", "actions/attest", "actions/attest"])

    def test_only_owners_of_the_platform_provide_actions(self) -> None:
        used = {step["uses"].split("/")[0] for content in self.JOBS.values() for step in content.get("steps", []) if "uses" in step}
        self.assertEqual(used, {"actions"})

    def test_a_draft_needs_tests_and_build_and_both_are_those_of_every_change(self) -> None:
        self.assertEqual(set(self.JOBS["release.yml", "draft"]["needs"]), {"version", "test", "build"})
        self.assertEqual(self.JOBS["release.yml", "test"]["uses"], "$/.github/workflows/ci.yml")
        self.assertIn(".ci/run", [step.get("run") for step in self.JOBS["ci.yml", "run"]["steps"]])
        self.assertEqual(set(self.JOBS["build.yml", "build"]["strategy"]["matrix"]["folder"]), {"first", "second"})
        self.assertEqual(self.JOBS["build.yml", "attest"]["needs"], "assemble")


# type -> (required attributes, optional ones)
ELEMENTS = {
    "markdown": ({"value"}, set()),
    "input": ({"label"}, {"description", "placeholder", "value"}),
    "textarea": ({"label"}, {"description", "placeholder", "value", "render"}),
    "dropdown": ({"label", "options"}, {"description", "multiple", "default"}),
    "checkboxes": ({"label", "options"}, {"description"}),
}


def form_problems(form: dict) -> Iterator[str]:
    """What GitHub's form schema does not accept."""
    for key in form.keys() - {"name", "description", "body", "labels", "assignees", "title", "projects", "type"}:
        yield f"unknown key {key}"
    for key in ("name", "description"):
        if not isinstance(form.get(key), str) or not form[key]:
            yield f"{key} is not a text"
    if not all(isinstance(label, str) for label in form.get("labels", [])):
        yield "labels are not texts"
    body = form.get("body")
    if not isinstance(body, list) or all(element.get("type") == "markdown" for element in body):
        yield "body has no field"
        return
    ids = [element["id"] for element in body if "id" in element]
    labels = [element["attributes"].get("label") for element in body if isinstance(element.get("attributes"), dict) and element.get("type") != "markdown"]
    for what, values in (("id", ids), ("label", labels)):
        if len(values) != len(set(values)):
            yield f"a repeated {what}"
    for at, element in enumerate(body):
        yield from (f"element {at}: {problem}" for problem in element_problems(element))


def element_problems(element: dict) -> Iterator[str]:
    if element.get("type") not in ELEMENTS:
        yield f"unknown type {element.get('type')}"
        return
    required, optional = ELEMENTS[element["type"]]
    attributes = element.get("attributes", {})
    for key in element.keys() - {"type", "id", "attributes", "validations"}:
        yield f"unknown key {key}"
    for key in required - attributes.keys():
        yield f"attribute {key} is missing"
    for key in attributes.keys() - required - optional:
        yield f"unknown attribute {key}"
    for key, value in attributes.items():
        if key not in ("options", "multiple", "default") and not isinstance(value, str):
            yield f"attribute {key} is not a text"
    if "id" in element and not re.fullmatch(r"[A-Za-z0-9_-]+", str(element["id"])):
        yield "the id has other characters than letters, digits, - and _"
    if element["type"] == "markdown" and "validations" in element:
        yield "markdown has no validations"
    if element.get("validations", {}).keys() - {"required"} or not isinstance(element.get("validations", {}).get("required", False), bool):
        yield "validations are not `required` with true or false"
    options = attributes.get("options", ["one"])
    if element["type"] == "dropdown" and not (options and all(isinstance(option, str) for option in options) and len(set(options)) == len(options)):
        yield "options are not distinct texts"
    if element["type"] == "checkboxes":
        for option in options:
            if not isinstance(option, dict) or not isinstance(option.get("label"), str) or option.keys() - {"label", "required"}:
                yield "an option is not a label, with or without `required`"


class Forms(unittest.TestCase):
    def test_the_forms_are_accepted(self) -> None:
        self.assertEqual([path.stem for path in FORMS], ["difference", "failure", "idea"])
        for path in FORMS:
            self.assertEqual(list(form_problems(load(path.read_text()))), [], path.name)
        names = [load(path.read_text())["name"] for path in FORMS]
        self.assertEqual(len(set(names)), len(names))

    def test_a_wrong_form_is_refused(self) -> None:
        good = load((ROOT / ".github/ISSUE_TEMPLATE/failure.yml").read_text())
        field = next(at for at, element in enumerate(good["body"]) if element["type"] == "input")

        def changed(change) -> dict:
            form = json.loads(json.dumps(good))
            change(form)
            return form

        cases = [
            (lambda form: form.pop("description"), "description is not a text"),
            (lambda form: form.update(labels=[1]), "labels are not texts"),
            (lambda form: form.update(about="x"), "unknown key about"),
            (lambda form: form.update(body=[form["body"][0]]), "body has no field"),
            (lambda form: form["body"].append(form["body"][field]), "a repeated id"),
            (lambda form: form["body"][field].update(type="text"), "unknown type text"),
            (lambda form: form["body"][field].update(required=True), "unknown key required"),
            (lambda form: form["body"][field]["attributes"].pop("label"), "attribute label is missing"),
            (lambda form: form["body"][field]["attributes"].update(render="json"), "unknown attribute render"),
            (lambda form: form["body"][field]["attributes"].update(label=1), "attribute label is not a text"),
            (lambda form: form["body"][field].update(id="a b"), "the id has other characters"),
            (lambda form: form["body"][field].update(validations={"required": "yes"}), "validations are not"),
            (lambda form: form["body"][field + 1]["attributes"].update(options=["a", "a"]), "options are not distinct texts"),
            (lambda form: form["body"][-1]["attributes"].update(options=["I did"]), "an option is not a label"),
        ]
        for change, words in cases:
            with self.subTest(words=words):
                self.assertIn(words, "; ".join(form_problems(changed(change))))

    def test_a_report_about_a_service_requires_a_transcript_and_names_the_page_about_it(self) -> None:
        page = (ROOT / "docs/verified.md").read_text()
        self.assertIn("\n## Record a transcript\n", page)
        options = (ROOT / "docs/doctor.md").read_text() + (ROOT / "docs/cli.md").read_text()
        for name, required in (("difference", True), ("failure", False)):
            form = load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text())
            field = next(element for element in form["body"] if element.get("id") == "transcript")
            self.assertEqual(field.get("validations", {}).get("required", False), required)
            text = json.dumps(form)
            self.assertIn("hubkeeper doctor --secret NAME --record transcript.json", text)
            self.assertIn("Record a transcript", text)
        for option in ("--secret", "--record"):
            self.assertIn(option, options)

    def test_nobody_reports_a_vulnerability_in_public(self) -> None:
        config = load((ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text())
        self.assertIs(config["blank_issues_enabled"], False)
        self.assertEqual(config.keys(), {"blank_issues_enabled", "contact_links"})
        for link in config["contact_links"]:
            self.assertEqual(link.keys(), {"name", "url", "about"})
            self.assertTrue(link["url"].startswith("https://"), link)
        self.assertTrue(any("vulnerabilit" in link["name"] for link in config["contact_links"]))


class Updates(unittest.TestCase):
    # what pins versions -> the ecosystem that updates it
    PINS = {"Cargo.lock": "cargo", "package-lock.json": "npm", "requirements.txt": "pip", "Dockerfile": "docker"}

    def test_every_folder_with_pinned_versions_is_updated_later_and_in_groups(self) -> None:
        updates = load((ROOT / ".github/dependabot.yml").read_text())["updates"]
        covered = {(update["package-ecosystem"], folder) for update in updates for folder in update.get("directories", [update.get("directory")])}
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
        needed = {("github-actions", "/"), ("pip", "/infra/lint")}
        for path in (Path(name) for name in listed):
            if path.name in self.PINS:
                needed.add((self.PINS[path.name], "/" if path.parent == Path(".") else f"/{path.parent}"))
        self.assertGreater(len(needed), 6)
        self.assertEqual(covered, needed)
        for update in updates:
            self.assertGreaterEqual(update["cooldown"]["default-days"], 7, update)
            self.assertTrue(update["groups"], update)


class Security(unittest.TestCase):
    PAGE = (ROOT / "SECURITY.md").read_text()

    def blocks(self, heading: str) -> str:
        return "\n".join(self.PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0].split("```")[1::2])

    def test_the_page_names_files_of_a_release_and_the_workflow_that_signs(self) -> None:
        commands = self.blocks("Verify a release") + self.blocks("Enforce a signature at deployment")
        files = {name.replace("$VERSION", "0.1.0") for name in re.findall(r"hubkeeper-[a-z$][\w.$-]*\.(?:zip|tar\.gz|json)", commands)}
        self.assertGreater(len(files), 1)
        self.assertLessEqual(files, assemble.names("0.1.0"))
        table = self.PAGE.split("\n## Verify a release\n")[1].split("```")[0]
        self.assertEqual(set(re.findall(r"`([\w.-]+\.\w+|SHA256SUMS)`", table)), assemble.names("VERSION") | {assemble.SUMS})
        verified = re.findall(r"--signer-workflow \"\$REPOSITORY/([^\"]+)\"", commands)
        self.assertTrue(verified)
        for workflow in verified:
            self.assertIn("attest:", (ROOT / workflow).read_text())

    def test_the_draft_is_verified_as_the_page_says(self) -> None:
        draft = (ROOT / ".github/workflows/release.yml").read_text()
        for option in re.findall(r"--(?:signer-workflow|source-ref|deny-self-hosted-runners|check|strict)", self.blocks("Verify a release")):
            self.assertIn(option, draft)


if __name__ == "__main__":
    unittest.main()
