"""The programs of the comparison (sandbox, function, moto, Docker's registry, skopeo), and the record of the test suite."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import boto3
import msal
import programs
import pytest
import requests
from botocore.config import Config
from programs import KEEP, NO_PROXY, Program, free_port

ROOT = Path(__file__).resolve().parents[2]
# run.sh sets it if there is a folder of specifications
SPECS = os.environ.get("HUBKEEPER_SPECS")
NO_SPECS = "HUBKEEPER_SPECS names no folder of specifications"
REGION = "eu-west-1"
ACCOUNT = "111122223333"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


def need(variable, what):
    """The path of a tool that run.sh found. Without it the test is skipped (in CI run.sh guarantees it)."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"there is no {what}")
    return path


def spec(name):
    """A published specification. Without it the test is skipped with a message (in CI run.sh guarantees that none is missing in the folder)."""
    if not SPECS:
        pytest.skip(NO_SPECS)
    path = Path(SPECS) / name
    if not path.exists():
        pytest.skip(f"there is no {name} in the folder of HUBKEEPER_SPECS")
    return path


class Sandbox(programs.Sandbox):
    """The sandbox, and what the comparison adds to it."""

    def __init__(self, folder, environment=None):
        super().__init__(folder, environment)
        # the endpoint for STS also serves Secrets Manager and SQS
        self.aws = self.environment.pop("AWS_ENDPOINT_URL_STS")
        self.environment["AWS_ENDPOINT_URL"] = self.aws

    def client(self, service):
        return client(service, self.aws)

    def document(self, token, organization=None, user=None, **more):
        """The value of a secret for the example's organization, or another."""
        scene = self.scene
        organization = organization or scene["organization"]
        return {
            "organization": organization,
            "username": user or scene["user"],
            "accessToken": token,
            "expectedRepositories": scene["repositories"],
            "connector": {
                "subscriptionId": scene["subscription"], "resourceGroup": scene["group"],
                "name": f"dockerhub-{organization}", "location": "westeurope",
            },
        } | more

    def secret(self, name, document):
        """Creates a secret. Returns its ARN."""
        text = document if isinstance(document, str) else json.dumps(document)
        return self.client("secretsmanager").create_secret(Name=name, SecretString=text)["ARN"]


def client(service, endpoint):
    """AWS's own client for Python, without retries."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, config=config, **KEYS)


def msal_application(sandbox, credential, tenant=None, client=None):
    """Microsoft's own library with the sandbox's Entra."""
    environment = sandbox.environment
    http = requests.Session()
    http.trust_env, http.verify = False, str(sandbox.authority)
    return msal.ConfidentialClientApplication(
        client or environment["AZURE_CLIENT_ID"],
        client_credential=credential,
        authority=f"{environment['AZURE_AUTHORITY_HOST']}/{tenant or environment['AZURE_TENANT_ID']}",
        # otherwise the library asks the real Entra about this authority
        instance_discovery=False,
        http_client=http,
    )


class Function:
    """The package's bootstrap under AWS's Runtime Interface Emulator."""

    def __init__(self, sandbox, folder, **environment):
        place = Path(tempfile.mkdtemp(dir=folder))
        with zipfile.ZipFile(os.environ["HUBKEEPER_PACKAGE"]) as package:
            bootstrap = Path(package.extract("bootstrap", place))
        bootstrap.chmod(0o755)
        port, api = free_port(), free_port()
        variables = sandbox.environment | {
            "AWS_LAMBDA_FUNCTION_NAME": "hubkeeper",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
        } | environment
        command = [
            need("HUBKEEPER_RIE", "Runtime Interface Emulator (aws-sam-cli)"),
            "--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{api}", bootstrap,
        ]
        self.program = Program(command, variables, folder)
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        # it has no health endpoint: it returns 404 for unknown paths as soon as it listens
        self.program.up(f"http://127.0.0.1:{port}/", 404)

    def __call__(self, event):
        """The function's response: a report, or an object with `errorType`."""
        request = urllib.request.Request(self.url, data=json.dumps(event).encode())
        with urllib.request.urlopen(request, timeout=90) as response:
            return json.loads(response.read())

    def output(self):
        return self.program.log.read_text()

    def stop(self):
        self.program.stop()


class Tinyproxy:
    """Debian's tinyproxy, which requires a password."""

    USER, PASSWORD = "hubkeeper", "pr0xy-passw0rd"

    def __init__(self, folder):
        self.port = free_port()
        configuration = Path(tempfile.mkdtemp(dir=folder)) / "tinyproxy.conf"
        configuration.write_text(
            f"Port {self.port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 200\nLogLevel Connect\n"
            f"BasicAuth {self.USER} {self.PASSWORD}\n"
        )
        self.program = Program([need("HUBKEEPER_TINYPROXY", "tinyproxy"), "-d", "-c", configuration], {}, folder)
        self.program.up(f"http://127.0.0.1:{self.port}/", 400, 401, 403, 404, 407)

    def url(self, password=PASSWORD):
        return f"http://{self.USER}:{password}@127.0.0.1:{self.port}"

    def ports(self):
        """The ports to which tunnels were opened."""
        return {int(port) for port in re.findall(r"CONNECT [^ :]+:([0-9]+) HTTP/", self.program.log.read_text())}

    def stop(self):
        self.program.stop()


class Moto:
    """moto's server: an independent implementation of Secrets Manager."""

    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        environment = {"MOTO_ACCOUNT_ID": ACCOUNT, "MOTO_IAM_LOAD_MANAGED_POLICIES": "false", "PYTHONDONTWRITEBYTECODE": "1"}
        self.program = Program(command, environment, folder)
        self.program.up(f"{self.url}/moto-api/", 200)

    def function(self, name):
        """A Lambda function: moto rotates a secret only with a function that it knows."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as package:
            package.writestr("bootstrap", "")
        policy = '{"Version": "2012-10-17", "Statement": []}'
        role = client("iam", self.url).create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        made = client("lambda", self.url).create_function(
            FunctionName=name, Runtime="provided.al2023", Role=role, Handler="bootstrap", Code={"ZipFile": code.getvalue()},
        )
        return made["FunctionArn"]

    def stop(self):
        self.program.stop()


class Registry:
    """Docker's own registry (Debian's package), which trusts only the sandbox's token service."""

    def __init__(self, sandbox, folder, service="registry.docker.io", issuer="auth.docker.io", certificate=None):
        place = Path(tempfile.mkdtemp(dir=folder))
        (place / "root.pem").write_text(certificate or sandbox.certificate)
        self.address = f"127.0.0.1:{free_port()}"
        configuration = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(place / "storage")}, "delete": {"enabled": True}},
            "http": {"addr": self.address},
            "auth": {"token": {
                "realm": sandbox.environment["HUBKEEPER_HUB_AUTH_URL"] + "/token", "service": service,
                "issuer": issuer, "rootcertbundle": str(place / "root.pem"),
            }},
        }
        # JSON is YAML
        (place / "config.yml").write_text(json.dumps(configuration))
        command = [need("HUBKEEPER_REGISTRY", "docker-registry"), "serve", place / "config.yml"]
        self.program = Program(command, {"OTEL_TRACES_EXPORTER": "none"}, folder)
        self.url = f"http://{self.address}"
        self.program.up(f"{self.url}/v2/", 401)

    def requests(self):
        """Method, path and status of each request for a manifest or a list of tags, from the registry's own log."""
        lines = re.findall(r'"(\w+) (/v2/\S+/(?:manifests/\S+|tags/list\S*)) HTTP/1\.1" (\d+)', self.program.log.read_text())
        return [(method, path, int(status)) for method, path, status in lines]

    def stop(self):
        self.program.stop()


def skopeo(*arguments):
    """Runs skopeo. Returns whether it succeeded, and its output."""
    home = tempfile.mkdtemp()
    try:
        policy = Path(home) / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        command = [need("HUBKEEPER_SKOPEO", "skopeo"), "--policy", str(policy), *map(str, arguments)]
        environment = KEEP | NO_PROXY | {"HOME": home, "XDG_RUNTIME_DIR": home, "REGISTRY_AUTH_FILE": f"{home}/auth.json"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode == 0, done.stdout + done.stderr
    finally:
        shutil.rmtree(home)


def recorded(service):
    """The recorded exchanges between function and sandbox, one of each shape."""
    return recorded_in(need("HUBKEEPER_RECORD", "record of the test suite"), service)


def recorded_in(folder, service):
    """The exchanges with a service that a sandbox recorded in a folder."""
    lines = [line for file in sorted(Path(folder).glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [entry for entry in map(json.loads, lines) if entry["service"] == service]
