"""The package runs under AWS's own Runtime Interface Emulator and handles each file of ``events/``."""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from harness import ROOT, Function, Sandbox

EVENTS = sorted(path.name for path in (ROOT / "events").glob("*.json"))
STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]

# what happens before the event, and the result: an outcome, or the type of an error
EXPECTED = {
    "action-in-eventbridge-detail.json": ("onboarded", "unchanged"),
    "cloudtrail-put-secret-value.json": ("put AWSCURRENT", "applied"),
    "cloudtrail-update-secret.json": ("put AWSCURRENT", "applied"),
    "custom-resource-create.json": ("new", "applied"),
    "custom-resource-delete.json": ("onboarded", "applied"),
    "custom-resource-update.json": ("onboarded", "unchanged"),
    "offboard.json": ("onboarded", "applied"),
    "onboard-fix-role.json": ("new", "applied"),
    "onboard-force.json": ("onboarded", "applied"),
    "onboard-many.json": ("new", "applied"),
    "onboard-plan.json": ("new", "planned"),
    "onboard-version.json": ("put HUBKEEPER_CANDIDATE", "applied"),
    "onboard.json": ("new", "applied"),
    "reconcile-in-eventbridge-detail.json": ("drifted", "applied"),
    "reconcile-many.json": ("onboarded", "unchanged"),
    "reconcile-plan.json": ("drifted", "planned"),
    "reconcile-revoke-replaced.json": ("rotated", "applied"),
    "reconcile.json": ("drifted", "applied"),
    "rotation-abandoned.json": ("pending", "recorded"),
    "rotation-create-secret.json": ("pending", "applied"),
    "rotation-failed.json": ("pending", "recorded"),
    "rotation-finish-secret.json": ("pending 3", "applied"),
    "rotation-set-secret.json": ("pending 1", "applied"),
    "rotation-succeeded.json": ("rotated", "unchanged"),
    "rotation-test-secret.json": ("pending 2", "unchanged"),
    "secret-label-updated-candidate.json": ("put HUBKEEPER_CANDIDATE", "applied"),
    "secret-label-updated-current.json": ("put AWSCURRENT", "applied"),
    "sqs-records.json": ("onboarded", "no record comes back"),
    "verify.json": ("onboarded", "proven"),
    "doctor.json": ("onboarded", "unchanged"),
    "doctor-secret.json": ("onboarded", "unchanged"),
    "widget.json": ("onboarded", "a page"),
    "widget-describe.json": ("onboarded", "a description"),
    "status.json": ("onboarded", "unchanged"),
    "status-many.json": ("onboarded", "unchanged"),
    "status-next.json": ("onboarded", "unchanged"),
}


class Stack:
    """CloudFormation's side of a custom resource: receives the response that is put to its URL."""

    def __init__(self):
        answers = self.answers = []

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/answer?X-Amz-Signature=not-a-signature"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Life:
    """A secret with a manager, and what happens to it before the event."""

    def __init__(self, sandbox, function):
        self.sandbox, self.function = sandbox, function
        self.manager = sandbox.client("secretsmanager")
        password = sandbox("password", user=sandbox.scene["user"])["password"]
        login = {"username": sandbox.scene["user"], "password": password, "usedBy": ["hubkeeper/acme"]}
        self.login = sandbox.secret("manager", json.dumps(login))
        self.arn = self.new("hubkeeper/acme", sandbox.scene["organization"])
        self.second, self.version, self.token = None, str(uuid.uuid4()), None
        self.stack = None

    def new(self, name, organization, user=None, login=None):
        document = self.sandbox.document(None, organization, user, manager=login or self.login)
        del document["accessToken"]
        return self.sandbox.secret(name, document)

    def another(self):
        """A second organization with its secret."""
        password = self.sandbox("organization", name="umbrella", user="umbrella-scanner")["password"]
        login = {"username": "umbrella-scanner", "password": password, "usedBy": ["hubkeeper/umbrella"]}
        login = self.sandbox.secret("manager-2", json.dumps(login))
        self.second = self.new("hubkeeper/umbrella", "umbrella", "umbrella-scanner", login)

    def onboard(self):
        for arn in filter(None, (self.arn, self.second)):
            assert self.function({"action": "onboard", "secretId": arn})["outcome"] == "applied"

    def put(self, label):
        document = json.loads(self.manager.get_secret_value(SecretId=self.arn)["SecretString"])
        for member in ("tokenId", "expiresAt"):
            document.pop(member, None)
        document["accessToken"] = self.sandbox("token", user=self.sandbox.scene["user"], scope="repo:read")["token"]
        put = self.manager.put_secret_value(SecretId=self.arn, SecretString=json.dumps(document), VersionStages=[label])
        self.version = put["VersionId"]

    def rotate(self, steps):
        function = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper"
        rules = {"AutomaticallyAfterDays": 30}
        rotated = self.manager.rotate_secret(SecretId=self.arn, RotationLambdaARN=function, RotationRules=rules)
        self.version = rotated["VersionId"]
        for step in steps:
            answer = self.function({"Step": step, "SecretId": self.arn, "ClientRequestToken": self.version})
            assert "errorType" not in answer, answer

    def before(self, what):
        if what == "new":
            return
        self.onboard()
        match what.split():
            case ["put", label]:
                self.put(label)
            case ["drifted"]:
                self.sandbox("drift", connector="dockerhub-acme")
            case ["pending", *done]:
                self.rotate(STEPS[: int(done[0])] if done else [])
            case ["rotated"]:
                self.rotate(STEPS)


def adapt(event, life):
    """Replaces the ids of the file with those of this world."""
    if isinstance(event, list):
        return [adapt(item, life) for item in event]
    if isinstance(event, str) and event.startswith("arn:aws:secretsmanager:"):
        return life.arn
    if not isinstance(event, dict):
        return event
    adapted = {}
    for name, value in event.items():
        match name.lower():
            case "secretid":
                adapted[name] = life.arn
            case "secretids":
                adapted[name] = [arn for arn in (life.arn, life.second) if arn]
            case "versionid" | "clientrequesttoken":
                adapted[name] = life.version
            case "responseurl":
                adapted[name] = life.stack.url
            case "physicalresourceid":
                adapted[name] = f"hubkeeper/{life.arn}"
            # the sandbox knows the tokens that it issued; older events have none
            case "rotationtoken":
                pass
            case "body":
                adapted[name] = json.dumps(adapt(json.loads(value), life))
            case _:
                adapted[name] = adapt(value, life)
    return adapted


def outcome(answer):
    if isinstance(answer, str):
        return "a page" if answer.startswith("<style>") else "a description"
    if "batchItemFailures" in answer:
        return "no record comes back" if not answer["batchItemFailures"] else "records come back"
    return answer.get("errorType") or answer["outcome"]


def test_every_file_is_expected():
    assert EVENTS == sorted(EXPECTED)


@pytest.mark.parametrize("name", EVENTS)
def test_the_package_answers(name, folder, stopping):
    sandbox = stopping(Sandbox(folder))
    function = stopping(Function(sandbox, folder))
    life = Life(sandbox, function)
    life.stack = stopping(Stack())
    before, expected = EXPECTED[name]
    event = json.loads((ROOT / "events" / name).read_text())
    if "secretIds" in json.dumps(event) and "many" in name:
        life.another()
    life.before(before)
    answer = function(adapt(event, life))
    assert outcome(answer) == expected, answer
    answered = [(sent["Status"], sent["LogicalResourceId"]) for sent in life.stack.answers]
    assert answered == ([("SUCCESS", "Organization")] if name.startswith("custom-resource") else []), life.stack.answers
    # the emulator runs one process for all events: the function did not exit, and its output leaks nothing
    assert function.program.process.poll() is None
    leaks = sandbox("secrets_in", texts=[json.dumps(answer), function.output()], also=[])["leaks"]
    assert not leaks, leaks


def test_an_event_that_is_none_is_a_function_error(function):
    answer = function({"action": "nonsense"})
    assert (answer["errorType"], "action" in answer["errorMessage"]) == ("BadEvent", True), answer


def test_a_package_that_does_not_answer_is_noticed(sandbox, folder, stopping):
    """The emulator reports failures: a function with an unusable environment fails for each event."""
    broken = stopping(Function(sandbox, folder, AZURE_TENANT_ID=""))
    answer = broken(json.loads((ROOT / "events" / "verify.json").read_text()))
    assert answer["errorType"] == "Misconfigured" and "AZURE_TENANT_ID" in answer["errorMessage"], answer


def test_the_count(count):
    count("events answered under the Runtime Interface Emulator", len(EVENTS))
