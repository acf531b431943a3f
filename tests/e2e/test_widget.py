"""The status page through the alias `status`, for a viewer who may invoke the alias and nothing else."""

import json
import uuid

import pytest

CONTEXT = {"dashboardName": "hubkeeper", "widgetId": "widget-1", "theme": "dark", "params": {}, "forms": {"all": {}}}


@pytest.fixture
def viewer(world):
    """The Lambda client of a user with the policy of docs/operating.md."""
    aliases = world.lambda_.list_aliases(FunctionName=world.function)["Aliases"]
    if "status" not in [alias["Name"] for alias in aliases]:
        world.lambda_.create_alias(FunctionName=world.function, Name="status", FunctionVersion="$LATEST")
    name = f"viewer-{uuid.uuid4()}"
    world.iam.create_user(UserName=name)
    arn = f"{world.outputs['FunctionArn']}:status"
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn}]}
    world.iam.put_user_policy(UserName=name, PolicyName="view", PolicyDocument=json.dumps(document))
    key = world.iam.create_access_key(UserName=name)["AccessKey"]
    world.known.append(key["SecretAccessKey"])
    return world.emulator.client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def invoke(world, viewer, event):
    # as CloudWatch does: the endpoint of a widget is the ARN of the alias
    answer = viewer.invoke(FunctionName=f"{world.outputs['FunctionArn']}:status", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def test_a_viewer_sees_the_page_and_may_do_nothing_else(world, viewer):
    acme = world.organization("widgets")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    page = invoke(world, viewer, {"widgetContext": CONTEXT, "filter": "widgets"})
    assert "<th scope=row>widgets<td><b>✓ ready</b>" in page and 'class="hk dark"' in page, page
    world.no_secret_in(page)
    assert invoke(world, viewer, {"describe": True}).startswith("## hubkeeper")
    refused = invoke(world, viewer, {"action": "verify", "secretId": acme.arn})
    assert (refused["errorType"], "alias `status`" in refused["errorMessage"]) == ("BadEvent", True), refused
    with pytest.raises(viewer.exceptions.ClientError, match="AccessDenied|not authorized"):
        viewer.invoke(FunctionName=world.outputs["FunctionArn"], Payload=json.dumps({"action": "status"}))
