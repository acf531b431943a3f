"""The situations of docs/deploying.md: each parameter file that the emulator supports is deployed, and a secret is onboarded and rotated."""

import contextlib
import json
import os
import re
import select
import socket
import ssl
import threading
import urllib.parse
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from harness import ACCOUNT, REGION, ROOT
from programs import Program

SITUATIONS = ROOT / "infra" / "aws" / "situations"
BOUNDARY = ROOT / "infra" / "aws" / "permissions-boundary.json"
PAGE = ROOT / "docs" / "deploying.md"
OTHER_REGION = "us-east-1"


def parameters(name):
    """What a parameter file adds to that of one account without rules of its own."""
    def read(name):
        return {entry["ParameterKey"]: entry["ParameterValue"] for entry in json.loads((SITUATIONS / f"{name}.json").read_text())}

    plain = read("one-account")
    return {parameter: value for parameter, value in read(name).items() if plain.get(parameter) != value}


class Proxy(ThreadingHTTPServer):
    """A forward proxy on the loopback interface. It notes the hosts of CONNECT, and opens tunnels to the loopback interface alone."""

    daemon_threads = True

    def __init__(self):
        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self):
                host, port = self.path.rsplit(":", 1)
                self.server.hosts.add(host)
                if host not in ("127.0.0.1", "localhost"):
                    return self.send_error(403)
                self.send_response(200)
                self.end_headers()
                with socket.create_connection(("127.0.0.1", int(port))) as there:
                    pair = {self.connection: there, there: self.connection}
                    while True:
                        for ready in select.select(list(pair), [], [])[0]:
                            data = ready.recv(65536)
                            if not data:
                                return None
                            pair[ready].sendall(data)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.hosts = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Runtime(ThreadingHTTPServer):
    """Lambda's runtime API for one event after another, without a Lambda around it."""

    daemon_threads = True

    def __init__(self):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.server.wanted.wait()
                self.server.wanted.clear()
                body = json.dumps(self.server.event).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
                self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hubkeeper")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.server.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.server.answered.set()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.event, self.answer, self.wanted, self.answered = None, None, threading.Event(), threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __call__(self, event):
        self.event = event
        self.answered.clear()
        self.wanted.set()
        assert self.answered.wait(60), "the function did not respond"
        return self.answer


@contextlib.contextmanager
def function(folder, **variables):
    """The package's program outside of the emulator, which would set an endpoint of its own."""
    with zipfile.ZipFile(os.environ["HUBKEEPER_PACKAGE"]) as package:
        bootstrap = package.extract("bootstrap", folder)
    os.chmod(bootstrap, 0o755)
    runtime = Runtime()
    environment = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:{}".format(runtime.server_address[1]),
        "AWS_LAMBDA_FUNCTION_NAME": "hubkeeper", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "x", "AWS_LAMBDA_LOG_STREAM_NAME": "x", "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AZURE_TENANT_ID": "00000000-0000-4000-8000-000000000003", "AZURE_CLIENT_ID": "00000000-0000-4000-8000-000000000004",
        "NO_PROXY": "",
    }
    program = Program([bootstrap], environment | variables, folder)
    try:
        yield runtime
    finally:
        program.stop()
        runtime.shutdown()


def lifecycle(world, name, **where):
    """Onboards an organization and rotates its secret. Both versions reach the connector."""
    acme = world.organization(name, **where)
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    assert world.carries(acme, world.labels(acme)["AWSCURRENT"])
    version = world.rotate(acme)
    assert world.labels(acme)["AWSCURRENT"] == version and world.carries(acme, version)
    return acme


def role_policies(world):
    """Every statement of the function's role, by its Sid."""
    role = world.outputs["RoleArn"].rsplit("/", 1)[1]
    documents = [
        world.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        for policy in world.iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    return {statement["Sid"]: statement for document in documents for statement in document["Statement"]}


def test_a_function_in_a_vpc(world):
    assert "NetworkInterfaces" not in role_policies(world)
    given = parameters("vpc")
    with world.deployed("situation-vpc", **given) as vpc:
        found = vpc.lambda_.get_function_configuration(FunctionName=vpc.function)["VpcConfig"]
        assert ",".join(found["SubnetIds"]) == given["SubnetIds"] and "," in given["SubnetIds"]
        assert found["SecurityGroupIds"] == [given["SecurityGroupIds"]]
        network = role_policies(vpc)
        assert {"NetworkInterfaces", "DescribeNetwork", "NotByTheCode"} <= set(network)
        assert network["NotByTheCode"]["Effect"] == "Deny"
        lifecycle(vpc, "invpc")


@pytest.mark.parametrize("missing", ["SubnetIds", "SecurityGroupIds"])
def test_half_a_vpc_is_refused_before_anything_is_created(world, missing):
    given = {name: value for name, value in parameters("vpc").items() if name != missing}
    with pytest.raises(world.cloudformation.exceptions.ClientError, match=f"needs {missing}"):
        world.deploy("situation-half", **given)


def test_a_function_behind_a_proxy(world):
    proxy = Proxy()
    given = parameters("proxy") | {"HttpsProxy": proxy.url}
    with world.deployed("situation-proxy", **given) as behind:
        variables = behind.lambda_.get_function_configuration(FunctionName=behind.function)["Environment"]["Variables"]
        assert variables["HTTPS_PROXY"] == proxy.url and variables["NO_PROXY"] == given["NoProxy"]
        lifecycle(behind, "proxied")
    # Entra alone has an https endpoint here; tests/conformance/test_proxy.py has all of them
    assert proxy.hosts == {"localhost"} or proxy.hosts == {"127.0.0.1"}, proxy.hosts


def test_the_listed_endpoints_and_hosts_are_all_that_the_function_connects_to(tmp_path):
    page = PAGE.read_text()
    endpoints = set(re.findall(r"^ *\| `com\.amazonaws\.<Region>\.([a-z0-9]+)` \| interface \|", page, re.MULTILINE))
    hosts = set(re.findall(r"^ *\| `([a-z0-9.-]+)` \| https \|", page, re.MULTILINE))
    ours = {f"{endpoint}.{REGION}.amazonaws.com" for endpoint in endpoints}
    assert len(endpoints) == 3 and len(hosts) == 5
    proxy = Proxy()
    queue = f"sqs.{REGION}.amazonaws.com"
    with function(tmp_path, HTTPS_PROXY=proxy.url, HUBKEEPER_QUEUE_URL=f"https://{queue}/{ACCOUNT}/hubkeeper") as invoke:
        # one request to each host, but the queue's
        invoke({"action": "doctor"})
        assert proxy.hosts == (ours | hosts) - {queue}
        # an event about several secrets sends them to the queue
        proxy.hosts.clear()
        invoke({"action": "reconcile", "secretIds": ["hubkeeper/acme", "hubkeeper/initech"]})
        assert proxy.hosts == {queue}
    # what goes around the proxy in its parameter file is what has an endpoint
    assert set(parameters("proxy")["NoProxy"].split(",")) == ours


def test_a_customer_key(world):
    given = parameters("customer-key")
    with world.deployed("situation-key", **given) as keyed:
        statements = role_policies(keyed)
        key = {sid for sid, statement in statements.items() if "kms:" in json.dumps(statement["Action"])}
        assert key == {"KeyOfOwnSecrets", "KeyOfSecrets", "KeyOfManagerSecrets", "KeyOfOwnerSecrets"}
        assert {statements[sid]["Resource"] for sid in key} == {given["KmsKeyArn"]}
        lifecycle(keyed, "keyed")


def test_a_permissions_boundary(world):
    document = json.loads(BOUNDARY.read_text())
    name = parameters("boundary")["PermissionsBoundaryArn"].rsplit("/", 1)[1]
    arn = world.iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    with world.deployed("situation-boundary", PermissionsBoundaryArn=arn) as bounded:
        assert parameters("boundary") == {"PermissionsBoundaryArn": arn}
        resources = bounded.cloudformation.list_stack_resources(StackName=bounded.stack)["StackResourceSummaries"]
        roles = [found["PhysicalResourceId"] for found in resources if found["ResourceType"] == "AWS::IAM::Role"]
        boundaries = [bounded.iam.get_role(RoleName=role)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in roles]
        assert boundaries == [arn, arn]
        acme = lifecycle(bounded, "bounded")
        # what the boundary leaves out the role may not do
        document["Statement"][0]["Action"].remove("secretsmanager:PutSecretValue")
        bounded.iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
        kind, message = bounded.step(acme, bounded.start_rotation(acme), "createSecret").error()
        assert kind == "Misconfigured" and "PutSecretValue" in message, message


def test_a_role_with_the_same_name_in_each_account(world):
    with world.deployed("StackSet-hubkeeper-0a1b2c3d-0000-4000-8000-000000000006", **parameters("stack-set")) as instance:
        assert instance.outputs["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{parameters('stack-set')['RoleName']}"
        lifecycle(instance, "stackset")


def test_two_stacks_keep_apart(world):
    given = parameters("second-stack")
    prefix = given["SecretNamePrefix"]
    managers = given["ManagerSecretArns"].split(":secret:")[1].removesuffix("*")
    with world.deployed("situation-second", **given) as second:
        theirs = lifecycle(second, "apart", prefix=prefix, manager_prefix=managers)
        # neither function may touch a secret of the other
        kind, message = world.invoke({"action": "verify", "secretId": theirs.arn}).error()
        assert kind == "Misconfigured" and "DescribeSecret" in message, message
        ours = world.organization("together")
        kind, message = second.invoke({"action": "verify", "secretId": ours.arn}).error()
        assert kind == "Misconfigured" and "DescribeSecret" in message, message


def without_fingerprint(world, acme):
    """Removes the tag hubkeeper-secret of a connector, as a person does it in Azure."""
    azure, scene = world.sandbox.environment, world.sandbox.scene
    trust = ssl.create_default_context(cafile=str(world.sandbox.authority))

    def send(url, method, body, **headers):
        request = urllib.request.Request(url, method=method, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=30, context=trust if url.startswith("https:") else None) as response:
            return json.loads(response.read())

    form = {
        "grant_type": "client_credentials", "client_id": azure["AZURE_CLIENT_ID"], "client_secret": world.client_secret(),
        "scope": "https://management.azure.com/.default",
    }
    token_url = f"{azure['AZURE_AUTHORITY_HOST']}/{azure['AZURE_TENANT_ID']}/oauth2/v2.0/token"
    bearer = send(token_url, "POST", urllib.parse.urlencode(form).encode())["access_token"]
    connector = (
        f"{azure['HUBKEEPER_ARM_URL']}/subscriptions/{scene['subscription']}/resourceGroups/{scene['group']}"
        f"/providers/Microsoft.Security/securityConnectors/dockerhub-{acme.name}?api-version=2024-08-01-preview"
    )
    tags = {name: value for name, value in world.connector(acme)["tags"].items() if name != "hubkeeper-secret"}
    body = json.dumps({"tags": tags}).encode()
    send(connector, "PATCH", body, **{"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"})


def test_a_replica_is_promoted_in_another_region(world):
    there = world.in_region(OTHER_REGION)
    acme = lifecycle(world, "promoted")
    manager = world.value(acme)["manager"]
    for secret in (acme.arn, manager):
        world.secretsmanager.replicate_secret_to_regions(SecretId=secret, AddReplicaRegions=[{"Region": OTHER_REGION}])
    moved = type(acme)(acme.name, acme.user, acme.arn.replace(f":{REGION}:", f":{OTHER_REGION}:"))
    current = world.labels(acme)["AWSCURRENT"]
    # AWS removes the label some time after a rotation
    world.secretsmanager.update_secret_version_stage(SecretId=acme.arn, VersionStage="AWSPENDING", RemoveFromVersionId=current)
    fingerprint = world.connector(acme)["tags"]["hubkeeper-secret"]
    with there.deployed("situation-region", **parameters("second-region")) as other:
        assert other.outputs["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/situation-region-{OTHER_REGION}"
        # the events of the new value would do the same at the same moment
        resources = other.cloudformation.list_stack_resources(StackName=other.stack)["StackResourceSummaries"]
        rule = next(found["PhysicalResourceId"] for found in resources if found["LogicalResourceId"] == "LabelRule")
        other.events.disable_rule(Name=rule)
        event = {"action": "onboard", "secretId": moved.arn}
        # while it is a replica
        kind, message = other.invoke(event).error()
        assert kind == "Misconfigured" and f"replica in {OTHER_REGION}" in message, message
        item = other.invoke({"action": "reconcile", "secretIds": [moved.arn], "mode": "plan"}).ok()["items"][0]
        assert item["errorType"] == "Misconfigured", item
        for secret in (moved.arn, manager.replace(f":{REGION}:", f":{OTHER_REGION}:")):
            other.secretsmanager.stop_replication_to_replica(SecretId=secret)
        assert other.labels(moved)["AWSCURRENT"] == current

        # the connector has the fingerprint of the first secret
        kind, message = other.invoke(event).error()
        assert kind == "Refused" and "another secret manages it (tag hubkeeper-secret)" in message, message
        without_fingerprint(other, moved)

        # its document names the manager of the first Region
        kind, message = other.invoke(event).error()
        assert kind == "Misconfigured" and f"is in Region {REGION}" in message, message
        document = other.value(moved) | {"manager": manager.replace(f":{REGION}:", f":{OTHER_REGION}:")}
        other.secretsmanager.put_secret_value(SecretId=moved.arn, SecretString=json.dumps(document))
        report = other.invoke(event).ok()
        assert "connectorTakenOver" in [warning["code"] for warning in report["warnings"]], report
        # the first secret's function would retire the token of its label, so this secret has one of its own
        assert report["tokens"]["minted"], report
        assert other.carries(moved, other.labels(moved)["AWSCURRENT"])
        assert other.connector(moved)["tags"]["hubkeeper-secret"] != fingerprint
        version = other.rotate(moved)
        assert other.carries(moved, version)

        # the first Region's function touches neither the connector nor a token any more
        tokens = world.sandbox("tokens", user=acme.user)
        kind, message = world.invoke({"action": "onboard", "secretId": acme.arn}).error()
        assert kind == "Refused" and "another secret manages it" in message, message
        item = world.invoke({"action": "reconcile", "secretIds": [acme.arn], "mode": "plan"}).ok()["items"][0]
        assert item["errorType"] == "Refused", item
        assert world.sandbox("tokens", user=acme.user) == tokens and other.carries(moved, version)
