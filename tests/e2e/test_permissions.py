"""Least privilege: each action of the role that the emulator authorises is removed once, and a step fails that names it."""

import json
import re

import pytest
from harness import REGION, TEMPLATE, without

# Actions that the emulator does not authorise, so no run here can show that they are needed. tests/functional/infra.rs compares
# each of them, with its resource and conditions, with the template.
NOT_AUTHORISED = {
    "sts:GetWebIdentityToken": "STS is the sandbox's: the emulator signs web identity tokens with its own key and issuer",
    "sqs:ReceiveMessage": "the emulator's event source mapping takes messages without asking the role",
    "sqs:DeleteMessage": "the same",
    "sqs:GetQueueAttributes": "the same",
    "events:PutEvents": "the emulator delivers to the on-failure destination without asking the role",
    "logs:CreateLogStream": "the emulator writes the function's log itself",
    "logs:PutLogEvents": "the same",
    "xray:PutTraceSegments": "the emulator has no X-Ray daemon",
    "xray:PutTelemetryRecords": "the same",
}

# Condition keys that the emulator does not support, for the same reasons: those of STS, and of KMS, which its Secrets Manager
# does not call. The same file of tests compares each condition of the template with the code.
KEYS_NOT_KNOWN = {
    "sts:IdentityTokenAudience": "STS is the sandbox's, which takes RS256 and the audience of the federated credential alone",
    "sts:SigningAlgorithm": "the same",
    "sts:DurationSeconds": "the same",
    "kms:ViaService": "the emulator's Secrets Manager encrypts nothing",
    "kms:EncryptionContext:SecretARN": "the same",
    "lambda:SourceFunctionArn": "the emulator's Lambda adds no such key, and its EC2 makes no network interface for a function",
}


def role_actions(world):
    """(action, sid) of the deployed role."""
    role = world.outputs["RoleArn"].rsplit("/", 1)[1]
    found = set()
    for policy in world.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        for statement in world.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            found |= {(action, statement["Sid"]) for action in actions}
    return found


# --- the calls by action: each function prepares, returns the call that needs the action, and the step that its error names


def onboard(world, name):
    acme = world.organization(name)
    return {"action": "onboard", "secretId": acme.arn}, "onboard"


def onboard_with_token(world, name):
    acme = world.organization(name, manager=False, scope="repo:read")
    return {"action": "onboard", "secretId": acme.arn}, "onboard"


def create_secret(world, name):
    acme = world.organization(name)
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    version = world.start_rotation(acme)
    return {"Step": "createSecret", "SecretId": acme.arn, "ClientRequestToken": version}, "createSecret"


def finish_secret(world, name):
    acme = world.organization(name)
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    version = world.start_rotation(acme)
    for step in ("createSecret", "setSecret", "testSecret"):
        world.step(acme, version, step).ok()
    return {"Step": "finishSecret", "SecretId": acme.arn, "ClientRequestToken": version}, "finishSecret"


def reconcile_while_rotating(world, name):
    acme = world.organization(name)
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    world.start_rotation(acme)
    # one secret of a list: an item, not a function error
    return {"action": "reconcile", "secretIds": [acme.arn], "mode": "plan"}, "reconcile"


def reconcile_all(_world, _name):
    return {"action": "reconcile"}, "reconcile"


NEEDED = {
    ("secretsmanager:DescribeSecret", "OwnSecrets"): (onboard, "DescribeSecret"),
    ("secretsmanager:GetSecretValue", "OwnSecrets"): (onboard_with_token, "GetSecretValue"),
    ("secretsmanager:ListSecretVersionIds", "OwnSecrets"): (reconcile_while_rotating, "ListSecretVersionIds"),
    ("secretsmanager:PutSecretValue", "OwnSecrets"): (create_secret, "PutSecretValue"),
    ("secretsmanager:TagResource", "OwnSecrets"): (onboard_with_token, "TagResource"),
    ("secretsmanager:UpdateSecretVersionStage", "OwnSecrets"): (finish_secret, "UpdateSecretVersionStage"),
    ("secretsmanager:ListSecrets", "FindOwnSecrets"): (reconcile_all, "ListSecrets"),
    ("secretsmanager:GetSecretValue", "ManagerSecrets"): (create_secret, "GetSecretValue"),
    ("sqs:SendMessage", "Queue"): (reconcile_all, "SendMessage"),
}


def failure(answer):
    """The kind and the message of a function error, or of the first item that failed."""
    if answer.is_error:
        return answer.payload["errorType"], answer.payload["errorMessage"]
    failed = [item for item in answer.payload.get("items", []) if "errorType" in item]
    return (failed[0]["errorType"], failed[0]["errorMessage"]) if failed else None


@pytest.mark.parametrize(("action", "sid"), sorted(NEEDED))
def test_without_this_action_a_named_step_fails(world, action, sid):
    prepare, call = NEEDED[action, sid]
    event, step = prepare(world, f"{sid}{action.split(':')[1]}".lower())
    with without(world, action, sid):
        kind, message = failure(world.invoke(event)) or (None, "it succeeded")
    assert kind == "Misconfigured", message
    assert call in message and step in message and action in message, message
    world.no_secret_in(message)
    # with the action, the same event succeeds
    assert failure(world.invoke(event)) is None


def test_these_are_all_the_actions_of_the_role(world):
    actions = role_actions(world)
    assert {(action, sid) for action, sid in actions if action not in NOT_AUTHORISED} == set(NEEDED)
    assert {action for action, _ in actions} >= set(NOT_AUTHORISED)
    assert not [action for action, _ in actions if "*" in action]


def test_these_are_all_the_condition_keys_of_the_role():
    role = re.search(r"\n  FunctionRole:\n(.*?)\n  [A-Za-z#]", TEMPLATE.read_text(), re.DOTALL).group(1)
    assert set(re.findall(r"^ +((?:sts|kms|aws|lambda):[A-Za-z:]+): ", role, re.MULTILINE)) == set(KEYS_NOT_KNOWN)


@pytest.mark.parametrize("action", sorted(NOT_AUTHORISED))
def test_what_the_emulator_does_not_ask_for_is_still_not_asked_for(world, action):
    """If the emulator learns to authorise one of these, this test fails, and the action belongs above."""
    sid = next(sid for name, sid in role_actions(world) if name == action)
    event, _ = onboard_with_token(world, f"unasked{action.split(':')[1]}".lower())
    with without(world, action, sid):
        world.invoke(event).ok()


def test_the_client_secret_is_read_by_its_arn_alone(world):
    secret = world.secretsmanager.create_secret(Name="azure/hubkeeper-client", SecretString=world.client_secret())["ARN"]
    outputs = world.deploy("hubkeeper-client-secret", AzureAuth="client-secret", AzureClientSecretArn=secret)
    acme = world.organization("clientsecret", manager=False, scope="repo:read")
    event = {"action": "onboard", "secretId": acme.arn}
    role = outputs["RoleArn"].rsplit("/", 1)[1]
    document = world.iam.get_role_policy(RoleName=role, PolicyName="secrets")["PolicyDocument"]
    other = json.loads(json.dumps(document))
    [statement] = [statement for statement in other["Statement"] if statement["Sid"] == "AzureClientSecret"]
    assert statement == {"Sid": "AzureClientSecret", "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret}
    statement["Resource"] = f"arn:aws:secretsmanager:{REGION}:111122223333:secret:azure/other-AbCdEf"
    world.iam.put_role_policy(RoleName=role, PolicyName="secrets", PolicyDocument=json.dumps(other))
    kind, message = world.invoke(event, outputs["FunctionName"]).error()
    assert kind == "Misconfigured" and "GetSecretValue" in message, message
    world.iam.put_role_policy(RoleName=role, PolicyName="secrets", PolicyDocument=json.dumps(document))
    world.invoke(event, outputs["FunctionName"]).ok()
    assert world.carries(acme, world.labels(acme)["AWSCURRENT"])
    # without an Azure secret none is read, and with one STS is not called
    policies = json.dumps(world.iam.get_role_policy(RoleName=role, PolicyName="work")["PolicyDocument"])
    assert "sts:" not in policies
