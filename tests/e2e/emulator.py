"""Starts the AWS emulator, with patches where its rules differ from AWS's.

ministack deploys the template, enforces IAM, and drives the function. In some points it is more lenient or stricter than AWS, or
incomplete, and the end-to-end tests would prove less than they say. Each patch names what AWS does. A new version of the emulator that
has renamed a patched function raises an error, so that no patch is lost unnoticed.
"""

import inspect
import json
import sys
import time

from ministack import app
from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.core import iam_actions
from ministack.services import eventbridge, iam, lambda_svc, secretsmanager
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks


def replace(module, name, *importers):
    """Decorator: replaces ``module.name``, also in modules that imported it. The function gets the original as its first argument."""
    original = getattr(module, name)

    def install(function):
        for place in (module, *importers):
            assert getattr(place, name) is original
            setattr(place, name, lambda *args, **kwargs: function(original, *args, **kwargs))
        return function

    return install


def value(version):
    return version.get("SecretString"), version.get("SecretBinary")


@replace(secretsmanager, "_rotate_secret")
def rotate_secret(_original, data):
    """AWS creates the AWSPENDING version before its value, and calls the function; the emulator copies the value and promotes it.

    The test makes the four calls (``World.rotate``).
    """
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if secret is None:
        return error_response_json("ResourceNotFoundException", "Secrets Manager can't find the specified secret.", 400)
    secret["RotationLambdaARN"] = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    secret["RotationRules"] = data.get("RotationRules") or secret.get("RotationRules")
    secret["RotationEnabled"] = True
    answer = {"ARN": secret["ARN"], "Name": secret["Name"]}
    if data.get("RotateImmediately", True):
        current, _ = secretsmanager._find_stage_version(secret, "AWSCURRENT")
        pending, _ = secretsmanager._find_stage_version(secret, "AWSPENDING")
        if pending not in (None, current):
            message = "A previous rotation isn't complete. That rotation will be reattempted."
            return error_response_json("InvalidRequestException", message, 400)
        version = data.get("ClientRequestToken") or new_uuid()
        secretsmanager._remove_stage_everywhere(secret, "AWSPENDING")
        secret["Versions"][version] = {
            "SecretString": None, "SecretBinary": None, "CreatedDate": int(time.time()), "Stages": ["AWSPENDING"],
        }
        answer["VersionId"] = version
    return json_response(answer)


@replace(secretsmanager, "_get_secret_value")
def get_secret_value(original, data):
    """A version without a value is "not found"; id and label must mean the same version. The emulator checks the id only."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if secret is not None and not secret.get("DeletedDate"):
        stage = data.get("VersionStage") or (None if data.get("VersionId") else "AWSCURRENT")
        version = data.get("VersionId") or secretsmanager._find_stage_version(secret, stage)[0]
        found = secret["Versions"].get(version)
        if found is not None and value(found) == (None, None):
            message = "Secrets Manager can't find the specified secret value."
            return error_response_json("ResourceNotFoundException", message, 400)
        if found is not None and stage is not None and stage not in found["Stages"]:
            message = "You provided a VersionStage that is not associated to the provided VersionId."
            return error_response_json("InvalidRequestException", message, 400)
    return original(data)


@replace(secretsmanager, "_put_secret_value")
def put_secret_value(original, data):
    """The same id with other data is rejected, and a requested label leaves its old version. The emulator overwrites the data, and
    lets two versions have one label."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    version = data.get("ClientRequestToken")
    if secret is not None and version in secret["Versions"]:
        stored = secret["Versions"][version]
        if value(stored) != (None, None):
            if value(stored) != value(data):
                message = "You can't use ClientRequestToken of an existing version with other data."
                return error_response_json("ResourceExistsException", message, 400)
            answer = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": version, "VersionStages": stored["Stages"]}
            return json_response(answer)
    status, headers, body = original(data)
    if status == 200:
        put = json.loads(body)["VersionId"]
        for label in data.get("VersionStages") or []:
            secretsmanager._remove_stage_everywhere(secret, label, except_version_id=put)
    return status, headers, body


@replace(secretsmanager, "handle_request")
async def handle_request(original, method, path, headers, body, query_params):
    """A replica can be promoted: it keeps its versions, labels and tags, and is a secret of its own. The emulator has no such call."""
    if not headers.get("x-amz-target", "").endswith(".StopReplicationToReplica"):
        return await original(method, path, headers, body, query_params)
    _, replica = secretsmanager._resolve(json.loads(body)["SecretId"])
    if replica is None or not secretsmanager._is_replica(replica):
        return error_response_json("InvalidRequestException", "You can't perform this operation on a secret that is not a replica.", 400)
    secretsmanager._unlink_from_primary(replica)
    for member in ("_PrimaryRegion", "_PrimarySecretArn"):
        replica.pop(member, None)
    return json_response({"ARN": replica["ARN"]})


@replace(iam_actions, "extract_iam_action")
def extract_iam_action(original, service, method, path, headers, body, query_params):
    """A batch needs the same action as the single call. The emulator requires an action that IAM does not have."""
    action = original(service, method, path, headers, body, query_params)
    return action.removesuffix("Batch") if action and action.startswith("sqs:") else action


def join(node, params):
    """Evaluates conditions with ``Fn::Join`` over a list parameter."""
    if isinstance(node, dict) and "Fn::Join" in node:
        separator, parameter = node["Fn::Join"]
        return separator.join(params[parameter["Ref"]]["Value"].split(","))
    if isinstance(node, dict):
        return {name: join(value, params) for name, value in node.items()}
    return [join(value, params) for value in node] if isinstance(node, list) else node


@replace(engine, "_evaluate_conditions", changesets, handlers, stacks)
def evaluate_conditions(original, template, params):
    """``Fn::Join`` in a condition. The emulator does not evaluate it."""
    return original({**template, "Conditions": join(template.get("Conditions", {}), params)}, params)


@replace(eventbridge, "_dispatch_to_lambda")
def dispatch_to_lambda(original, arn, payload):
    """EventBridge invokes asynchronously: a failed event is retried, then goes to the on-failure destination. The emulator invokes
    once and ignores failures."""
    function, configuration, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not configuration:
        return original(arn, payload)
    lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(function, configuration), json.loads(payload))
    return None


@replace(lambda_svc, "_route_async_failure")
def route_async_failure(original, target, function, event, result):
    """Lambda sends the record of a failed event to an event bus, too. The emulator does not know this kind of destination."""
    if ":event-bus/" not in target:
        return original(target, function, event, result)
    arn = lambda_svc._functions[function]["config"]["FunctionArn"]
    detail = {
        "version": "1.0",
        "requestContext": {"functionArn": f"{arn}:$LATEST", "condition": "RetriesExhausted", "approximateInvokeCount": 2},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": result.get("body"),
    }
    entry = {
        "Source": "lambda", "DetailType": "Lambda Function Invocation Result - Failure", "Detail": json.dumps(detail),
        "Resources": [target, f"{arn}:$LATEST"],
    }
    eventbridge._put_events({"Entries": [entry]})
    return None


@replace(lambda_svc, "_execute_function_provided_warm")
def execute_function(original, function, event, request_id):
    """A retry of an asynchronous event runs what is deployed by then. The emulator runs the code of the first attempt, and then keeps
    that environment for later events."""
    latest = lambda_svc._functions.get(function["config"]["FunctionName"])
    if latest and function["config"].get("Version", "$LATEST") == "$LATEST" and function.get("code_zip") != latest.get("code_zip"):
        # an alias has an ARN of its own
        config = latest["config"] | {"FunctionArn": function["config"]["FunctionArn"]}
        function = {**function, "code_zip": latest["code_zip"], "config": config}
    return original(function, event, request_id)


@replace(eventbridge, "_put_events")
def put_events(original, data, allow_aws_source=False):
    """The emulator has no CloudTrail. The test sends its events, such as RotationFailed: AWS rejects a source that begins with
    ``aws.`` from every other sender."""
    return original(data, allow_aws_source=True)


# the emulator does not know the issuer of an account
ISSUER = "https://00000000-0000-4000-8000-000000000002.tokens.sts.global.api.aws"
assert "GetOutboundWebIdentityFederationInfo" not in iam._IAM_HANDLERS
iam._IAM_HANDLERS["GetOutboundWebIdentityFederationInfo"] = lambda _request: iam._xml(
    200, "GetOutboundWebIdentityFederationInfoResponse",
    f"<GetOutboundWebIdentityFederationInfoResult><IssuerIdentifier>{ISSUER}</IssuerIdentifier><JwtVendingEnabled>true</JwtVendingEnabled>"
    "</GetOutboundWebIdentityFederationInfoResult>",
)


def completed(kind, field, complete):
    """Adds to a resource of a stack a field of the template that the emulator ignores when it creates the resource."""
    handler = provisioners._RESOURCE_HANDLERS[kind]
    create = handler["create"]
    assert field not in inspect.getsource(create)

    def create_and_complete(logical_id, properties, stack):
        name, attributes = create(logical_id, properties, stack)
        if properties.get(field):
            complete(name, properties[field])
        return name, attributes

    handler["create"] = create_and_complete


def set_boundary(role, boundary):
    """The emulator enforces a role's permissions boundary, but does not read it from a template."""
    answer = iam._put_role_permissions_boundary({"RoleName": [role], "PermissionsBoundary": [boundary]})
    assert answer[0] == 200, answer


def set_network(function, network):
    """The emulator's function can have a VPC, but not one from a template."""
    lambda_svc._functions[function]["config"]["VpcConfig"] = lambda_svc._vpc_config_with_id(network)


completed("AWS::IAM::Role", "PermissionsBoundary", set_boundary)
completed("AWS::Lambda::Function", "VpcConfig", set_network)

# the emulator does not know saved queries, which nothing depends on: each has only its id
provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {
    "create": lambda _logical_id, _properties, _stack: (new_uuid(), {}),
    "delete": lambda _physical_id, _properties: None,
}


if __name__ == "__main__":
    sys.argv = ["ministack"]
    app.main()
