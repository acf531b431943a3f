"""The command line `hubkeeper`, against the deployed function, run by a person who has exactly the rights that docs/deploy.md lists.

Before a command runs with all its rights, it runs once without each of them: it must fail, name the right, and change nothing.
"""

import json
import os
import re

import people
import pytest
from harness import ACCOUNT, PREFIX, REGION, ROOT, Organization
from people import Steps
from programs import eventually

PAGE = ROOT / "docs" / "deploy.md"
FIND = "cloudformation:DescribeStacks"
INVOKE = "lambda:InvokeFunction"
# Rights that AWS checks and the emulator does not, so that no run here can show that they are needed.
NOT_AUTHORISED = {
    ("rotate", INVOKE): "AWS's reference of RotateSecret requires it on the rotation function; the emulator checks RotateSecret alone",
}


# the checks of doctor that the deployed function runs, for an organization with a manager
FUNCTION_S = {
    "proxy", "roots", "reachAws", "reachEntra", "reachArm", "reachDockerHub", "clock", "identity", "list", "secret", "versions", "value", "document",
    "manager", "assertion", "exchange", "subscription", "role", "permissions", "group", "provider", "connector", "rateLimit", "tokenLogin", "tags",
    "managerLogin",
}


def section():
    return PAGE.read_text().split("\n## Rights of a person\n")[1].split("\n## ")[0]


def rights():
    """command -> (the rights it needs, the rights it can do without), from the table of the page."""
    found = {}
    for row in re.findall(r"^\| (`hubkeeper .*?)\|(.*?)\|(.*?)\|$", section(), re.MULTILINE):
        commands, needed, optional = (re.findall(r"`([^`]+)`", cell) for cell in row)
        for command in commands:
            found[command.removeprefix("hubkeeper ")] = (needed, optional)
    return found


def policy(world, actions):
    """An IAM policy with these actions, each on the resources that the page names."""
    resources = {
        "cloudformation": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{world.stack}/*",
        "lambda": world.outputs["FunctionArn"],
        "secretsmanager": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{PREFIX}*",
    }
    statements = [{"Effect": "Allow", "Action": action, "Resource": resources.get(action.split(":")[0], "*")} for action in actions]
    # IAM has no policy without a statement
    nothing = {"Effect": "Allow", "Action": "none:None", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": statements or [nothing]}


class Person(people.Person):
    """A person with rights of the page."""

    def log_in_at_azure(self):
        """With the Azure CLI, as somebody who may read."""
        bearer = self.world.sandbox("reader")["bearer"]
        self.world.known.append(bearer)
        token, program = self.folder / "az.json", self.folder / "az"
        token.write_text(json.dumps({"accessToken": bearer, "expires_on": 4102444800, "tokenType": "Bearer"}))
        # the file keeps the token out of the arguments, as the Azure CLI does
        program.write_text(f"#!/bin/sh\ncat {token}\n")
        program.chmod(0o755)
        self.azure = {"PATH": f"{self.folder}:{os.environ['PATH']}", "HUBKEEPER_ARM_URL": self.world.sandbox.environment["HUBKEEPER_ARM_URL"]}

    def may(self, *actions):
        return self.allow(policy(self.world, actions))


@pytest.fixture
def person(world, tmp_path):
    return Person(world, tmp_path)


def onboarded(world, name, **made):
    acme = world.organization(name, **made)
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    return acme


def rotating(world, name):
    """An onboarded organization whose rotation is on."""
    acme = onboarded(world, name)
    world.secretsmanager.rotate_secret(
        SecretId=acme.arn, RotationLambdaARN=world.outputs["FunctionArn"], RotationRules={"AutomaticallyAfterDays": 30}, RotateImmediately=False
    )
    return acme


# --- what each command is run on, its arguments, and what must be true afterwards


def status(world, person, name, where):
    acme = onboarded(world, name)
    yield ["status", acme.arn, "-o", "json", *where], None
    ended = yield
    [item] = ended.report()["items"]
    assert (item["organization"], item["state"], item["carriedVersionId"]) == (name, "ready", world.labels(acme)["AWSCURRENT"])


def verify(world, person, name, where):
    acme = onboarded(world, name)
    # without --function or --stack the command proves with the person's own rights
    where = where or ["--stack", world.stack]
    yield ["verify", "--secret", f"{PREFIX}{name}", "-o", "json", *where], None
    ended = yield
    report = ended.report()
    assert (report["outcome"], report["verdict"]["result"]) == ("proven", "complete")
    assert world.carries(acme, report["versionId"])


def onboard(world, person, name, where):
    acme = world.organization(name)
    yield ["onboard", f"{PREFIX}{name}", "--yes", "-o", "json", *where], None
    assert world.connector(acme) is None, "a refused onboarding wrote the connector"
    ended = yield
    report = ended.report()
    assert (report["outcome"], report["connector"]["change"]) == ("applied", "created")
    assert world.carries(acme, world.labels(acme)["AWSCURRENT"])


def onboard_plan(world, person, name, where):
    acme = world.organization(name)
    yield ["onboard", acme.arn, "--plan", "-o", "json", *where], None
    ended = yield
    report = ended.report()
    assert report["outcome"] == "planned" and report["plan"], report
    assert world.connector(acme) is None


def reconcile(world, person, name, where):
    acme = onboarded(world, name)
    world.sandbox("drift", connector=f"dockerhub-{name}")
    yield ["reconcile", acme.arn, "--yes", "-o", "json", *where], None
    assert len(world.connector(acme)["offerings"]) != 3
    ended = yield
    # the stack has a queue
    assert [item["outcome"] for item in ended.report()["items"]] == ["recorded"]
    eventually("the drifted connector is repaired", lambda: len(world.connector(acme)["offerings"]) == 3)


def offboard(world, person, name, where):
    acme = onboarded(world, name)
    yield ["offboard", acme.arn, "--yes", "-o", "json", *where], None
    assert world.connector(acme)
    ended = yield
    assert ended.report()["connector"]["change"] == "deleted"
    assert world.connector(acme) is None


def stage(world, person, name, where):
    acme = onboarded(world, name, manager=False, scope="repo:read")
    before = world.labels(acme)
    yield ["stage", acme.arn, "--expires-at", "2999-01-31", "--yes", "-o", "json", *where], world.token(acme.user)
    assert world.labels(acme) == before, "a refused staging changed the labels"
    ended = yield
    report = ended.report()
    assert report["outcome"] in ("applied", "unchanged"), report
    adopted = world.labels(acme)["AWSCURRENT"]
    assert adopted not in before.values() and world.carries(acme, adopted)
    eventually("the label is off", lambda: "HUBKEEPER_CANDIDATE" not in world.labels(acme))


def init(world, person, name, where):
    """With a manager, whose login the person may read. The function's secrets begin with the same prefix as the manager here."""
    user = f"{name}-scanner"
    password = world.sandbox("organization", name=name, user=user)["password"]
    world.known.append(password)
    secret, manager = f"{PREFIX}{name}", f"{PREFIX}{name}-manager"
    login = json.dumps({"username": user, "password": password, "usedBy": [secret]})
    world.secretsmanager.create_secret(Name=manager, SecretString=login)
    connector = world.document(name, user)["connector"]
    yield [
        "init", name, "--username", user, "--manager", manager, "--subscription", connector["subscriptionId"],
        "--resource-group", connector["resourceGroup"], "--location", connector["location"], "--name", secret, "--yes", "-o", "json", *where,
    ], None
    with pytest.raises(world.secretsmanager.exceptions.ResourceNotFoundException):
        world.secretsmanager.describe_secret(SecretId=secret)
    ended = yield
    report = ended.report()
    assert (report["action"], report["outcome"], report["organization"]) == ("init", "applied", name)
    described = world.secretsmanager.describe_secret(SecretId=secret)
    assert described["ARN"] == report["secretId"] and not described.get("Tags"), described
    assert described["VersionIdsToStages"] == {report["versionId"]: ["AWSCURRENT"]}


def import_(world, person, name, where):
    """A connector of the portal, with the token of a person inside, and a manager of the dedicated user."""
    user = f"{name}-scanner"
    password = world.sandbox("organization", name=name, user=user)["password"]
    owner = world.sandbox("owner", organization=name, user=f"{name}-owner")["password"]
    world.known += [password, owner]
    secret, manager = f"{PREFIX}{name}", f"{PREFIX}{name}-manager"
    login = json.dumps({"username": user, "password": password, "usedBy": [secret]})
    world.secretsmanager.create_secret(Name=manager, SecretString=login)
    connector = world.sandbox("portal", connector=f"portal-{name}", organization=name, user=f"{name}-owner", token=world.token(f"{name}-owner"))["id"]
    person.log_in_at_azure()
    acme = Organization(name, user, None)
    before = world.connector(acme)
    yield [
        "import", "--connector", connector.upper(), "--username", user, "--manager", manager, "--name", secret, "--yes", "-o", "json", *where,
    ], None
    with pytest.raises(world.secretsmanager.exceptions.ResourceNotFoundException):
        world.secretsmanager.describe_secret(SecretId=secret)
    assert world.connector(acme) == before and before["readsEverything"]
    ended = yield
    report = ended.report()
    assert (report["action"], report["outcome"], report["connector"]["change"]) == ("onboard", "applied", "updated")
    assert "and in nothing else" in ended.err, ended
    assert world.carries(acme, report["versionId"])
    after = world.connector(acme)
    assert after["offerings"] == before["offerings"] and after["tags"].items() >= before["tags"].items()
    assert after["user"] == user != before["user"]


def rotate(world, person, name, where):
    acme = rotating(world, name)
    before = world.labels(acme)
    yield ["rotate", acme.arn, "--yes", "-o", "json", *where], None
    assert world.labels(acme) == before, "a refused rotation changed the labels"
    steps = Steps(world, acme)
    ended = yield
    steps.join(60)
    assert steps.failure is None and not steps.is_alive(), steps.failure
    report = ended.report()
    assert report["outcome"] == "applied" and [stage["status"] for stage in report["stages"]] == ["done"] * 4, report
    assert world.labels(acme)["AWSCURRENT"] == report["versionId"] != before["AWSCURRENT"]
    assert world.carries(acme, report["versionId"])


CASES = {
    "status": status,
    "verify --secret": verify,
    "onboard": onboard,
    "onboard --plan": onboard_plan,
    "reconcile": reconcile,
    "offboard": offboard,
    "stage": stage,
    "init": init,
    "import": import_,
    "rotate": rotate,
}


def named(text):
    return re.sub(r"[^a-z]", "", text)


@pytest.mark.parametrize("found_by", ["stack", "name"])
@pytest.mark.parametrize("command", CASES)
def test_a_command_needs_exactly_the_rights_that_the_page_lists(world, person, command, found_by):
    needed, optional = rights()[command.removesuffix(" --plan")]
    where = ["--function", world.function] if found_by == "name" else []
    if found_by == "stack" and command == "init":
        # the stack tells the prefix of the name and the function of the hints; both have another source
        needed, optional = needed, [*optional, FIND]
    elif found_by == "stack":
        # a command that can do without the function can also do without finding it
        needed, optional = (needed, [*optional, FIND]) if optional or command == "rotate" else ([FIND, *needed], optional)
    case = CASES[command](world, person, f"cli{named(command)}{found_by}", where)
    arguments, token = next(case)
    everything = [*needed, *optional]
    for missing in needed:
        if (command, missing) in NOT_AUTHORISED:
            continue
        ended = person.may(*(action for action in everything if action != missing)).run(*arguments, token=token)
        assert ended.code == 4 and ended.out == "", (missing, ended)
        assert f"you need the right {missing}" in ended.err, ended
        assert "the function's role" not in ended.err, ended
    next(case)
    ended = person.may(*everything).run(*arguments, token=token)
    with pytest.raises(StopIteration):
        case.send(ended)


@pytest.mark.parametrize("missing", [FIND, INVOKE])
def test_a_token_is_staged_and_adopted_without_the_function(world, person, missing):
    """The rule on the new label adopts it; the command says which right it lacks, and watches the labels."""
    acme = onboarded(world, f"clirule{named(missing.lower())}", manager=False, scope="repo:read")
    needed, optional = rights()["stage"]
    person.may(*(action for action in [*needed, *optional, FIND] if action != missing))
    ended = person.run("stage", acme.arn, "--expires-at", "never", "--yes", "-o", "json", token=world.token(acme.user))
    report = ended.report()
    assert f"you need the right {missing}" in ended.err and "watching the labels" in ended.err, ended
    assert report["outcome"] == "applied" and world.carries(acme, report["versionId"])


def test_a_rotation_is_followed_without_the_function(world, person):
    acme = rotating(world, "clifollowed")
    needed, _ = rights()["rotate"]
    steps = Steps(world, acme)
    ended = person.may(*needed).run("rotate", acme.arn, "--yes", "-o", "json")
    steps.join(60)
    assert steps.failure is None
    assert ended.report()["versionId"] == world.labels(acme)["AWSCURRENT"]
    assert f"you need the right {FIND}" in ended.err, ended


def test_what_the_emulator_does_not_ask_for_is_still_not_asked_for(world, person):
    """If the emulator learns to authorise it, this test fails, and the right belongs to the others."""
    acme = rotating(world, "clinotasked")
    needed, _ = rights()["rotate"]
    assert NOT_AUTHORISED.keys() == {("rotate", INVOKE)}
    person.may(*(action for action in needed if action != INVOKE))
    ended = person.run("rotate", acme.arn, "--yes", "--wait", "0", "-o", "json", "--function", world.function)
    assert ended.report()["versionId"] == world.labels(acme)["AWSPENDING"]


def test_the_policy_of_the_page_allows_every_command_and_nothing_more(world):
    [text] = re.findall(r"```json\n(.*?)```", section(), re.DOTALL)
    shown = {}
    for statement in json.loads(text)["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        shown |= {action: statement["Resource"] for action in actions}
    listed = {action for needed, optional in rights().values() for action in [*needed, *optional]} | {FIND}
    assert set(shown) == listed
    stack = policy(world, sorted(listed))["Statement"]
    for statement in stack:
        resource = shown[statement["Action"]]
        # the name of the function ends with letters that CloudFormation chooses
        if statement["Action"] == INVOKE:
            assert re.fullmatch(r"arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper-HubkeeperFunction-\w+", resource)
        else:
            assert resource == statement["Resource"]


def test_the_page_lists_every_command_that_reaches_aws(world, person):
    ended = person.run("--help")
    commands = set(re.findall(r"^  ([a-z]+) ", ended.out.split("Commands:")[1].split("\n\n")[0], re.MULTILINE))
    # docs/doctor.md lists the rights of doctor, which checks what it may; deploy and destroy need an administrator of the account
    assert {command.split()[0] for command in rights()} == commands - {"completions", "man", "schema", "doctor", "deploy", "destroy", "help"}
    assert set(CASES) - {"onboard --plan"} == set(rights())


def test_doctor_checks_what_it_may_and_names_the_right_for_the_rest(world, person):
    acme = onboarded(world, "clidoctor")
    ended = person.may(FIND, INVOKE, "lambda:GetFunctionConfiguration").run("doctor", "--secret", acme.arn, "-o", "json")
    checks = {check["check"]: check for check in json.loads(ended.out)["checks"]}
    # what the function checks needs no further right of the person
    assert ended.code == 0 and {check["state"] for name, check in checks.items() if name in FUNCTION_S} == {"ok"}, ended
    assert "you need the right iam:SimulatePrincipalPolicy" in checks["rights"]["remedy"], checks
    for name in ("schedule", "alarms", "notices"):
        assert checks[name]["state"] == "notReached", checks
        assert "you need the right cloudformation:DescribeStackResources" in checks[name]["remedy"], checks
    more = ["cloudformation:DescribeStackResources", "iam:SimulatePrincipalPolicy", "scheduler:GetSchedule", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricStatistics", "sns:GetTopicAttributes"]
    ended = person.may(FIND, INVOKE, "lambda:GetFunctionConfiguration", *more).run("doctor", "--secret", acme.arn, "-o", "json")
    checks = {check["check"]: check for check in json.loads(ended.out)["checks"]}
    assert {checks[name]["state"] for name in FUNCTION_S | {"rights", "schedule"}} == {"ok"}, ended
    assert all(action in checks["rights"]["detail"] for action in ("secretsmanager:PutSecretValue", "events:PutEvents")), checks
    # the stack of these tests has no NotificationEmail
    assert checks["notices"]["state"] == "failure" and "NotificationEmail" in checks["notices"]["remedy"], checks
    # the metric is in the function's log lines, out of which the emulator makes none
    assert checks["reconcile"]["state"] == "warning", checks
    # the emulator's XML of DescribeAlarms has no AlarmActions
    assert checks["alarms"]["detail"].count("Alarm-") == 8, checks
    assert ended.code == 4, ended


def test_onboarding_tells_how_to_turn_rotation_on(world, person):
    acme = world.organization("clihint")
    person.may(FIND, INVOKE)
    ended = person.run("onboard", f"{PREFIX}clihint", "--yes")
    assert ended.code == 0 and "created" in ended.out, ended
    command = f"aws secretsmanager rotate-secret --secret-id {acme.arn} --rotation-lambda-arn {world.outputs['FunctionArn']} "
    assert command in ended.err, ended
    # in a pipe the report alone is wanted
    again = person.run("onboard", f"{PREFIX}clihint", "--yes", "-o", "json")
    assert again.report()["outcome"] == "unchanged" and again.err == "", again


def test_a_secret_that_does_not_exist_comes_with_the_commands_that_create_it(world, person):
    ended = person.may(FIND, INVOKE).run("onboard", f"{PREFIX}cliabsent", "--yes")
    assert ended.code == 4 and ended.out == "", ended
    assert f"aws secretsmanager create-secret --name {PREFIX}cliabsent " in ended.err and "hubkeeper init cliabsent" in ended.err, ended


def test_three_commands_connect_an_organization(world, person):
    """`init` without a token and a manager, then `stage`, which the function adopts; then `status` shows that it is ready."""
    name = "clithree"
    user = f"{name}-scanner"
    world.known.append(world.sandbox("organization", name=name, user=user)["password"])
    connector = world.document(name, user)["connector"]
    person.may(FIND, INVOKE, *(f"secretsmanager:{action}" for action in ("DescribeSecret", "CreateSecret", "GetSecretValue", "PutSecretValue")))
    created = person.run(
        "init", name, "--username", user, "--subscription", connector["subscriptionId"], "--resource-group", connector["resourceGroup"],
        "--location", connector["location"], "--no-token", "--yes",
    )
    # the name begins with the prefix that the stack tells
    assert created.code == 0 and f"hubkeeper stage {PREFIX}{name}" in created.err, created
    staged = person.run("stage", f"{PREFIX}{name}", "--expires-at", "2999-01-31", "--yes", "-o", "json", token=world.token(user))
    assert (staged.report()["outcome"], staged.report()["connector"]["change"]) == ("applied", "created")
    [item] = person.run("status", f"{PREFIX}{name}", "-o", "json").report()["items"]
    assert (item["organization"], item["state"], item["versionId"]) == (name, "ready", item["carriedVersionId"])


def test_without_a_stack_the_command_says_how_to_name_the_function(world, person):
    person.world.iam.put_user_policy(UserName=person.name, PolicyName="rights", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": FIND, "Resource": "*"}],
    }))
    ended = person.run("status", "--stack", "no-such-stack")
    assert ended.code == 4 and "no such stack" in ended.err and "--function" in ended.err, ended


def test_a_refused_proof_stages_nothing(world, person):
    acme = onboarded(world, "clipartial", manager=False, scope="repo:read")
    before = world.labels(acme)
    needed, optional = rights()["stage"]
    token = world.token(acme.user, "repo:public_read")
    ended = person.may(*needed, *optional).run("stage", acme.arn, "--expires-at", "never", "--yes", "-o", "json", token=token)
    assert ended.code == 1 and json.loads(ended.out)["verdict"]["result"] == "partial", ended
    assert world.labels(acme) == before
