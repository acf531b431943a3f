"""Every `aws` command of the runbook and of the notices is one that AWS's own models know. It needs no emulator."""

import re
import shlex

import botocore.session
import pytest
from harness import ROOT, TEMPLATE

# the AWS CLI composes it: `tail` polls FilterLogEvents
COMPOSED = {("logs", "tail"): ("logs", "filter-log-events")}
# options of the AWS CLI itself, and of `logs tail`
GENERAL = {"--query", "--output", "--region", "--since", "--filter-pattern", "--follow"}


def commands(page):
    return sorted(set(re.findall(r"\baws [a-z-]+ [a-z][a-z-]+[^`\n]*", page)))


def actions(template):
    """The beginnings of the commands in notices and descriptions, whose arguments are variables."""
    return sorted(set(re.findall(r"\baws [a-z]+ [a-z]+(?:-[a-z]+)+|\baws logs tail", template)))


def check(command):
    """Raises an error if service, action or an option is unknown."""
    words = shlex.split(command)
    service, action = words[1:3]
    service, action = COMPOSED.get((service, action), (service, action))
    model = botocore.session.get_session().get_service_model(service)
    names = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower(): name for name in model.operation_names}
    assert action in names, f"{command}: {service} has no {action}"
    shape = model.operation_model(names[action]).input_shape
    members = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower() for name in (shape.members if shape else {})}
    for option in (word for word in words[3:] if word.startswith("--")):
        assert option in GENERAL or option[2:] in members, f"{command}: {action} has no {option}"


@pytest.mark.parametrize("command", commands((ROOT / "docs" / "runbook.md").read_text()) + actions(TEMPLATE.read_text()))
def test_the_command_is_known(command):
    check(command)


def test_what_is_not_known_is_found():
    assert len(commands((ROOT / "docs" / "runbook.md").read_text())) > 5
    for wrong in ("aws sqs move-messages", "aws sqs receive-message --queue x"):
        with pytest.raises(AssertionError):
            check(wrong)
