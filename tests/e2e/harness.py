"""The world of the end-to-end tests: the AWS emulator, the sandbox for Docker Hub, Entra, ARM and STS, the stack, and the people."""

import contextlib
import copy
import json
import os
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from programs import Program, eventually, free_port

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "aws" / "template.yaml"
REGION = "eu-west-1"
ACCOUNT = "111122223333"
PREFIX = "hubkeeper/"
MANAGER_PREFIX = "hubkeeper-manager/"


class Emulator:
    """ministack with IAM enforced, on a port of the loopback interface from the kernel."""

    def __init__(self, folder):
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        # ministack unpacks every package into the folder for temporary files, and leaves it there
        self.scratch = tempfile.TemporaryDirectory(prefix="hubkeeper-e2e-")
        environment = {
            "TMPDIR": self.scratch.name,
            "AUTH": "true",
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.2",
        }
        self.program = Program([sys.executable, Path(__file__).with_name("emulator.py")], environment, folder)
        self.log = self.program.log
        self.program.up(f"{self.url}/_ministack/health", 200)

    def client(self, service, region=REGION, **credentials):
        """A client with root's keys, or the given ones."""
        keys = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        config = Config(retries={"max_attempts": 1}, read_timeout=120)
        return boto3.client(service, endpoint_url=self.url, region_name=region, config=config, **keys)

    def stop(self):
        self.program.stop()
        self.scratch.cleanup()


@dataclass
class Answer:
    """The result of an invocation: the function's JSON, and whether it is a function error."""

    payload: dict
    is_error: bool

    def ok(self):
        assert not self.is_error, self.payload
        return self.payload

    def error(self):
        assert self.is_error, self.payload
        return self.payload["errorType"], self.payload["errorMessage"]


@dataclass(frozen=True)
class Organization:
    """A Docker Hub organization, its dedicated user, and its secret."""

    name: str
    user: str
    arn: str


class World:
    """The whole world, and what people do in it."""

    def __init__(self, emulator, sandbox, package):
        self.emulator, self.sandbox = emulator, sandbox
        self.known, self.package = [], package
        self.connect(REGION)

    def connect(self, region):
        """AWS's clients of a Region, and the package in a bucket there."""
        self.region, self.bucket = region, f"code-{region}"
        for service in ("cloudformation", "cloudwatch", "events", "iam", "lambda", "logs", "s3", "scheduler", "secretsmanager", "sns", "sqs"):
            setattr(self, "lambda_" if service == "lambda" else service, self.emulator.client(service, region))
        # AWS refuses the default Region as a constraint
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.s3.create_bucket(Bucket=self.bucket, **where)
        self.s3.upload_file(str(self.package), self.bucket, "hubkeeper.zip")

    def in_region(self, region):
        """The same world, seen from another Region."""
        other = copy.copy(self)
        other.connect(region)
        return other

    # --- the stack

    @contextlib.contextmanager
    def deployed(self, stack, **parameters):
        """The same world with another stack instead of the shared one, which Entra trusts meanwhile. Deletes it at the end."""
        other = copy.copy(self)
        try:
            other.install(stack, **parameters)
            yield other
            self.no_secret_in(*(json.dumps(line) for line in other.log_lines()))
        finally:
            self.cloudformation.delete_stack(StackName=stack)
            self.cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
            self.sandbox("role", roleArn=self.outputs["RoleArn"])

    def parameters(self):
        """The parameters of a stack in this world."""
        endpoints = {
            "HubUrl": "HUBKEEPER_HUB_URL", "HubAuthUrl": "HUBKEEPER_HUB_AUTH_URL", "RegistryUrl": "HUBKEEPER_REGISTRY_URL",
            "ArmUrl": "HUBKEEPER_ARM_URL", "AzureAuthorityHost": "AZURE_AUTHORITY_HOST", "AzureTenantId": "AZURE_TENANT_ID",
            "AzureClientId": "AZURE_CLIENT_ID", "CaBundle": "HUBKEEPER_CA_BUNDLE", "StsEndpointUrl": "AWS_ENDPOINT_URL_STS",
        }
        return {parameter: self.sandbox.environment[variable] for parameter, variable in endpoints.items()} | {
            "Architecture": "arm64" if os.uname().machine == "aarch64" else "x86_64",
            "ManagerSecretArns": f"arn:aws:secretsmanager:{self.region}:{ACCOUNT}:secret:{MANAGER_PREFIX}*",
            "AwsEndpointUrl": self.emulator.url,
            # the emulator has no rotation schedules
            "ManagedRotationDays": "0",
        }

    def deploy(self, stack, template=TEMPLATE, code="hubkeeper.zip", **parameters):
        """Creates or updates a stack from the template, with the package instead of the source. Returns its outputs."""
        source = "CodeUri: ../.."
        template = template.read_text()
        assert template.count(source) == 1
        template = template.replace(source, f"CodeUri: s3://{self.bucket}/{code}")
        values = self.parameters() | parameters
        # longer than the 51,200 bytes of TemplateBody: SAM uploads it, too
        self.s3.put_object(Bucket=self.bucket, Key="template.yaml", Body=template.encode())
        request = {
            "StackName": stack,
            "TemplateURL": f"{self.emulator.url}/{self.bucket}/template.yaml",
            "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        }
        try:
            self.cloudformation.describe_stacks(StackName=stack)
            self.cloudformation.update_stack(**request)
        except self.cloudformation.exceptions.ClientError as error:
            assert "does not exist" in str(error), error
            self.cloudformation.create_stack(**request)

        def settled():
            found = self.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        found = eventually("the stack is deployed", settled, 120)
        if found["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            events = self.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            reasons = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in events if "FAILED" in event["ResourceStatus"]]
            raise AssertionError(f"{found['StackStatus']}: {reasons}")
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}

    def install(self, stack="hubkeeper", **parameters):
        """The stack that the tests share. Entra trusts its role."""
        self.knows(stack, self.deploy(stack, **parameters))
        self.sandbox("role", roleArn=self.outputs["RoleArn"])

    def knows(self, stack, outputs):
        """The stack that the methods below are about."""
        self.stack, self.outputs, self.function = stack, outputs, outputs["FunctionName"]

    # --- the function

    def invoke(self, event, function=None):
        """Invokes synchronously, as Secrets Manager and people do."""
        answer = self.lambda_.invoke(FunctionName=function or self.function, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        return Answer(payload, "FunctionError" in answer)

    def log_lines(self, group=None):
        """The function's log lines, as JSON."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group or self.outputs["LogGroupName"])
        messages = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(message) for message in messages if message.startswith("{")]

    # --- Docker Hub and its secrets

    def organization(self, name, manager=True, scope=None, prefix=PREFIX, manager_prefix=MANAGER_PREFIX, used_by=True):
        """Creates an organization with its secret: with a manager, with a token made by hand (of this scope), or with both.

        Without ``used_by`` the manager secret lists no secret that may use it, as before hubkeeper required that.
        """
        user = f"{name}-scanner"
        password = self.sandbox("organization", name=name, user=user)["password"]
        self.known.append(password)
        document = self.document(name, user)
        if manager:
            login = {"username": user, "password": password} | ({"usedBy": [f"{prefix}{name}"]} if used_by else {})
            created = self.secretsmanager.create_secret(Name=f"{manager_prefix}{name}", SecretString=json.dumps(login))
            document["manager"] = created["ARN"]
        if scope:
            document["accessToken"] = self.token(user, scope)
        created = self.secretsmanager.create_secret(Name=f"{prefix}{name}", SecretString=json.dumps(document))
        return Organization(name, user, created["ARN"])

    def document(self, name, user):
        """A secret's value without a token."""
        return {
            "organization": name,
            "username": user,
            "expectedRepositories": self.sandbox.scene["repositories"],
            "connector": {
                "subscriptionId": self.sandbox.scene["subscription"],
                "resourceGroup": self.sandbox.scene["group"],
                "name": f"dockerhub-{name}",
                "location": "westeurope",
            },
        }

    def client_secret(self):
        """A client secret of the Entra application, as an administrator creates it."""
        secret = self.sandbox("client_secret")["secret"]
        self.known.append(secret)
        return secret

    def token(self, user, scope="repo:read"):
        """A token, as a person creates it on Docker Hub's page."""
        token = self.sandbox("token", user=user, scope=scope)["token"]
        self.known.append(token)
        return token

    def value(self, organization, **where):
        """The secret's value, as a person reads it."""
        found = self.secretsmanager.get_secret_value(SecretId=organization.arn, **where)
        return json.loads(found["SecretString"])

    def put(self, organization, token, *labels):
        """Puts a new value with this token under these labels. Returns its version."""
        document = self.value(organization) | {"accessToken": token}
        put = self.secretsmanager.put_secret_value(
            SecretId=organization.arn, SecretString=json.dumps(document), VersionStages=list(labels)
        )
        return put["VersionId"]

    def labels(self, organization):
        """label -> version"""
        described = self.secretsmanager.describe_secret(SecretId=organization.arn)
        return {label: version for version, labels in described["VersionIdsToStages"].items() for label in labels}

    def connector(self, organization):
        """The organization's connector, and the truth about its token. ``None`` if it does not exist."""
        connectors = self.sandbox("connectors")["connectors"]
        return next((found for found in connectors if found["organization"] == organization.name), None)

    def carries(self, organization, version):
        """Whether the connector has this version, and its token fulfils the three promises."""
        connector = self.connector(organization)
        if connector is None or connector["tags"].get("hubkeeper-version") != version:
            return False
        assert connector["accepted"] and connector["readsEverything"] and not connector["canPush"], connector
        return True

    # --- Secrets Manager

    def start_rotation(self, organization):
        """The pending version that Secrets Manager creates, without a value."""
        rotated = self.secretsmanager.rotate_secret(
            SecretId=organization.arn, RotationLambdaARN=self.outputs["FunctionArn"], RotationRules={"AutomaticallyAfterDays": 30}
        )
        return rotated["VersionId"]

    def step(self, organization, version, step):
        """One of the four calls of a rotation."""
        return self.invoke({
            "Step": step, "SecretId": organization.arn, "ClientRequestToken": version, "RotationToken": str(uuid.uuid4()),
        })

    def rotate(self, organization):
        """A whole rotation. Returns its version."""
        version = self.start_rotation(organization)
        for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            self.step(organization, version, step).ok()
        return version

    def clean_up(self, organization):
        """Takes AWSPENDING off the version of a rotation that is over, as Secrets Manager does some time later."""
        version = self.labels(organization)["AWSPENDING"]
        self.secretsmanager.update_secret_version_stage(SecretId=organization.arn, VersionStage="AWSPENDING", RemoveFromVersionId=version)

    # --- people

    def inbox(self, name):
        """A queue subscribed to the notices, so that a test can read what a person gets. Returns a function that reads it."""
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self.sns.subscribe(TopicArn=self.outputs["TopicArn"], Protocol="sqs", Endpoint=arn)
        read = []

        def messages():
            received = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            for message in received:
                read.append(json.loads(message["Body"])["Message"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return read

        return messages

    def no_secret_in(self, *texts):
        """The texts contain no secret of anybody, in any encoding."""
        texts = [text if isinstance(text, str) else json.dumps(text, default=str) for text in texts]
        leaks = self.sandbox("secrets_in", texts=texts, also=self.known)["leaks"]
        assert not leaks, leaks


def example(name):
    """A file of events/."""
    return json.loads((ROOT / "events" / name).read_text())


@contextlib.contextmanager
def without(world, action, sid):
    """The role without one action of one statement."""
    role = world.outputs["RoleArn"].rsplit("/", 1)[1]
    for policy in world.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = world.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        kept = json.loads(json.dumps(document))
        for statement in kept["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if statement["Sid"] == sid:
                assert action in actions
                statement["Action"] = [other for other in actions if other != action] or ["none:None"]
        if kept != document:
            world.iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(kept))
            try:
                yield
            finally:
                world.iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
            return
    raise AssertionError(f"no statement {sid}")
