"""The template deploys unchanged, and the stack can be updated and removed."""

import json
import re

from harness import PREFIX, TEMPLATE


def template_resources():
    """logical id -> (type, condition), read from the template's text."""
    text = TEMPLATE.read_text()
    body = text[text.index("\nResources:\n"):text.index("\nOutputs:\n")]
    blocks = re.split(r"\n  (?=[A-Za-z0-9]+:\n)", body)
    found = {}
    for block in blocks[1:]:
        kind = re.search(r"\n    Type: (\S+)", block).group(1)
        condition = re.search(r"\n    Condition: (\S+)", block)
        found[block.split(":")[0]] = (kind, condition and condition.group(1))
    return found


def test_every_resource_of_the_template_is_there(world):
    deployed = {
        resource["LogicalResourceId"]
        for resource in world.cloudformation.list_stack_resources(StackName=world.stack)["StackResourceSummaries"]
    }
    expected = template_resources()
    left_out = {"HasManagedSecret", "HasManagedRotation", "HasEmail"}
    assert {name for name, (_, condition) in expected.items() if condition not in left_out} <= deployed
    assert not {name for name, (_, condition) in expected.items() if condition in left_out} & deployed
    assert len(expected) > 20


def test_the_function_is_what_the_template_says(world):
    configuration = world.lambda_.get_function_configuration(FunctionName=world.function)
    assert configuration["Runtime"] == "provided.al2023"
    assert configuration["Timeout"] == 900
    assert configuration["Role"] == world.outputs["RoleArn"]
    assert configuration["TracingConfig"]["Mode"] == "Active"
    assert configuration["LoggingConfig"]["LogFormat"] == "JSON"
    assert configuration["LoggingConfig"]["LogGroup"] == world.outputs["LogGroupName"]
    variables = configuration["Environment"]["Variables"]
    assert variables["HUBKEEPER_QUEUE_URL"] == world.outputs["QueueUrl"]
    assert "HUBKEEPER_AZURE_CLIENT_SECRET_ID" not in variables
    retention = world.logs.describe_log_groups(logGroupNamePrefix=world.outputs["LogGroupName"])["logGroups"][0]
    assert retention["retentionInDays"] == 90


def test_secrets_manager_of_this_account_alone_may_rotate(world):
    policy = json.loads(world.lambda_.get_policy(FunctionName=world.function)["Policy"])
    statements = [s for s in policy["Statement"] if "secretsmanager.amazonaws.com" in json.dumps(s["Principal"])]
    assert len(statements) == 1
    assert "111122223333" in json.dumps(statements[0]["Condition"])
    assert "sourceaccount" in json.dumps(statements[0]["Condition"]).lower()


def test_a_second_stack_makes_a_secret_and_leaves_it_when_it_goes(world):
    outputs = world.deploy(
        "hubkeeper-second",
        ManagedOrganization="initech", ManagedUsername="initechscanner",
        ManagedManagerArn="arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper-manager/initech-AbCdEf",
        ManagedSubscriptionId=world.sandbox.scene["subscription"],
        ManagedResourceGroup=world.sandbox.scene["group"],
        ManagedConnectorName="dockerhub-initech", ManagedLocation="westeurope", NotificationEmail="platform@example.com",
    )
    name = f"{PREFIX}initech"
    document = json.loads(world.secretsmanager.get_secret_value(SecretId=name)["SecretString"])
    assert document["organization"] == "initech" and "accessToken" not in document
    assert document["connector"]["name"] == "dockerhub-initech"
    # the function accepts the new secret: it has a manager, so onboarding would create the first token
    plan = world.invoke({"action": "onboard", "mode": "plan", "secretId": name}, outputs["FunctionName"]).ok()
    assert plan["organization"] == "initech" and "mintToken" in [step["step"] for step in plan["plan"]], plan

    updated = world.deploy("hubkeeper-second", TokenLifetimeDays="30")
    configuration = world.lambda_.get_function_configuration(FunctionName=updated["FunctionName"])
    assert configuration["Environment"]["Variables"]["HUBKEEPER_TOKEN_LIFETIME_DAYS"] == "30"
    assert world.secretsmanager.describe_secret(SecretId=name)["Name"] == name

    world.cloudformation.delete_stack(StackName="hubkeeper-second")
    world.cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="hubkeeper-second", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert world.secretsmanager.describe_secret(SecretId=name)["Name"] == name
    assert not any(
        function["FunctionName"] == updated["FunctionName"] for function in world.lambda_.list_functions()["Functions"]
    )
