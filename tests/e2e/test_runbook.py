"""Every `aws` command of the runbook, of the notices and of SECURITY.md is one that AWS's own models know. It needs no emulator."""

import re
import shlex

import botocore.session
import pytest
from harness import ROOT, TEMPLATE

# the AWS CLI composes it: `tail` polls FilterLogEvents
COMPOSED = {("logs", "tail"): ("logs", "filter-log-events")}
# options of the AWS CLI itself, and of `logs tail`
GENERAL = {"--query", "--output", "--region", "--since", "--filter-pattern", "--follow"}
# the AWS CLI makes and executes a change set: its own names of these options, and those of CreateChangeSet
DEPLOY = {"--template-file": "template-body", "--parameter-overrides": "parameters"}


def commands(page):
    return sorted(set(re.findall(r"\baws [a-z0-9-]+ [a-z][a-z-]+[^`\n]*", page)))


def of_security(page):
    """The commands of a page whose shell takes the output of some: without the closing parenthesis."""
    assigned = re.findall(r"\$\((aws .+)\)$", page, re.MULTILINE)
    return assigned + re.findall(r"^aws .+", page, re.MULTILINE)


def actions(template):
    """The beginnings of the commands in notices and descriptions, whose arguments are variables."""
    return sorted(set(re.findall(r"\baws [a-z]+ [a-z]+(?:-[a-z]+)+|\baws logs tail", template)))


def kebab(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def check(command):
    """Raises an error if service, action or an option is unknown."""
    words = shlex.split(command)
    service, action = words[1:3]
    service, action = COMPOSED.get((service, action), (service.replace("s3api", "s3"), action))
    session = botocore.session.get_session()
    if action == "wait":
        waiters = {kebab(name): name for name in session.get_waiter_model(service).waiter_names}
        assert words[3] in waiters, f"{command}: {service} has no waiter {words[3]}"
        action = kebab(session.get_waiter_model(service).get_waiter(waiters[words[3]]).operation)
    if (service, action) == ("cloudformation", "deploy"):
        action = "create-change-set"
        words = [f"--{DEPLOY[word]}" if word in DEPLOY else word for word in words]
    model = session.get_service_model(service)
    names = {kebab(name): name for name in model.operation_names}
    assert action in names, f"{command}: {service} has no {action}"
    shape = model.operation_model(names[action]).input_shape
    members = {kebab(name) for name in (shape.members if shape else {})}
    for option in (word for word in words[3:] if word.startswith("--")):
        assert option in GENERAL or option[2:] in members, f"{command}: {action} has no {option}"


RUNBOOK, SECURITY = (ROOT / "docs" / "runbook.md").read_text(), (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize("command", commands(RUNBOOK) + actions(TEMPLATE.read_text()) + of_security(SECURITY))
def test_the_command_is_known(command):
    check(command)


def test_what_is_not_known_is_found():
    assert len(commands(RUNBOOK)) > 5 and len(of_security(SECURITY)) > 7
    wrongs = ("aws sqs move-messages", "aws sqs receive-message --queue x", "aws signer wait signed --job-id x", "aws cloudformation deploy --template x")
    for wrong in wrongs:
        with pytest.raises(AssertionError):
            check(wrong)
