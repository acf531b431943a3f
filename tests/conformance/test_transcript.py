"""Transcripts: the comparison with the sandbox finds every deviation, and names what the emulators do differently from AWS."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from harness import KEYS, REGION, client, need
from images import KINDS
from programs import KEEP, NO_PROXY
from test_registry import Hub

TOOL = Path(os.environ["HUBKEEPER_SANDBOX"]).with_name("transcript")


def run(*arguments, **more):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False, **more)


def compare(transcript, record):
    """The lines of the comparison, without the last one, which counts them."""
    done = run("compare", transcript, record)
    *lines, last = done.stdout.splitlines()
    assert done.returncode == bool(lines) and last.startswith(f"{len(lines)} differences in "), (done.stdout, done.stderr)
    return lines


@pytest.fixture(scope="module")
def record():
    return Path(need("HUBKEEPER_RECORD", "record of the test suite"))


@pytest.fixture(scope="module")
def transcript(record, folder):
    """The sandbox's own exchanges as a transcript, as if the live services had sent them."""
    done = run("reduce", record)
    assert done.returncode == 0, done.stderr
    path = folder / "transcript.json"
    path.write_text(done.stdout)
    return path


def test_the_sandbox_does_not_differ_from_itself(transcript, record, count):
    assert compare(transcript, record) == []
    exchanges = json.loads(transcript.read_text())["exchanges"]
    assert len(exchanges) > 150
    count("shapes of exchanges in the sandbox's transcript", len(exchanges))


# --- planted deviations of the sandbox


def of(service, method, path, status):
    """Selects recorded exchanges by service, method, a part of the path or the action, and status."""

    def selects(entry):
        asked = entry["uri"] + " " + entry["request"]["headers"].get("x-amz-target", "") + " " + entry["request"]["body"]
        return (entry["service"], entry["method"], entry["status"]) == (service, method, status) and path in asked

    return selects


def body(change):
    """Changes the JSON body."""

    def apply(entry):
        content = json.loads(entry["response"]["body"])
        content = change(content) or content
        entry["response"]["body"] = json.dumps(content)

    return apply


def text(old, new):
    def apply(entry):
        assert old in entry["response"]["body"]
        entry["response"]["body"] = entry["response"]["body"].replace(old, new)

    return apply


def without(field):
    def change(content):
        for item in content["results"]:
            item.pop(field, None)

    return body(change)


def code(old, new):
    """Changes an error code of AWS, in the body and in the header."""

    def apply(entry):
        for message in (entry["response"], entry["response"]["headers"]):
            for name, content in message.items():
                if isinstance(content, str):
                    message[name] = content.replace(old, new)

    return apply


CONNECTOR = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{}"
# the exchanges, the deviation, and the line
DEVIATIONS = {
    "another status": (
        of("Hub", "POST", "/v2/invites/bulk", 402), lambda entry: entry.update(status=422),
        "hub POST /v2/invites/bulk 402: the sandbox never returns this status, but 202, 400, 403, 409, 422 (request refused)",
    ),
    "a missing field": (
        of("Hub", "GET", "/v2/access-tokens", 200), without("last_used"),
        "hub GET /v2/access-tokens 200: field results[].last_used: the sandbox never sends it",
    ),
    "an additional field": (
        of("Hub", "POST", "/v2/users/2fa-login", 200), body(lambda content: content | {"refresh_token": "x"}),
        "hub POST /v2/users/2fa-login 200: field refresh_token: missing, and the sandbox always sends it",
    ),
    "another type": (
        of("Aws", "POST", "SendMessageBatch", 200), body(lambda content: content | {"Successful": "1"}),
        "sqs POST / SendMessageBatch 200: field Successful: a list, and the sandbox sends string",
    ),
    "null instead of a text": (
        of("HubAuth", "GET", "/token", 200), body(lambda content: content | {"issued_at": None}),
        "hubAuth GET /token 200: field issued_at: time, and the sandbox sends null",
    ),
    "another shape of an error": (
        of("Arm", "DELETE", "", 403), body(lambda content: content["error"]),
        f"arm DELETE {CONNECTOR} 403: the body: an object with error, and the sandbox sends an object with code, message",
    ),
    "a missing header": (
        of("Hub", "GET", "/v2/access-tokens", 429), lambda entry: entry["response"]["headers"].pop("retry-after"),
        "hub GET /v2/access-tokens 429: header retry-after: the sandbox never sends it",
    ),
    "another XML element": (
        of("Aws", "POST", "GetWebIdentityToken", 200), text("GetWebIdentityTokenResult>", "Result>"),
        "sts POST / GetWebIdentityToken 200: field GetWebIdentityTokenResponse.GetWebIdentityTokenResult: the sandbox sends Result instead",
    ),
    "a list instead of an object": (
        of("Hub", "GET", "/invites", 200), body(lambda content: content["data"] or ["x"]),
        "hub GET /v2/orgs/{}/invites 200: the body: an object with data, and the sandbox sends a list",
    ),
    "another error code": (
        of("Aws", "POST", "DescribeSecret", 400), code("ResourceNotFoundException", "InternalServiceError"),
        "secretsmanager POST / DescribeSecret 400: error code ResourceNotFoundException: the sandbox returns InternalServiceError",
    ),
}


def deviating(record, folder, deviations):
    """The record of a sandbox that deviates."""
    folder.mkdir()
    changed = dict.fromkeys(deviations, 0)
    for file in record.glob("*.jsonl"):
        lines = []
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            for name in deviations:
                selects, change, _ = DEVIATIONS[name]
                if selects(entry):
                    change(entry)
                    changed[name] += 1
            lines.append(json.dumps(entry))
        (folder / file.name).write_text("\n".join(lines))
    assert all(changed.values()), changed
    return folder


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_deviation_is_one_line(name, transcript, record, tmp_path):
    assert compare(transcript, deviating(record, tmp_path / "record", [name])) == [DEVIATIONS[name][2]]


def test_all_deviations_are_found_and_nothing_else(transcript, record, tmp_path, count):
    lines = compare(transcript, deviating(record, tmp_path / "record", list(DEVIATIONS)))
    assert lines == sorted(line for *_, line in DEVIATIONS.values())
    count("planted deviations of the sandbox found by the comparison of transcripts", len(lines))


def test_what_is_not_a_transcript_is_refused(record, tmp_path):
    for content in ("", "{}", '{"format": "hubkeeper-transcript/2", "exchanges": []}'):
        (tmp_path / "file").write_text(content)
        done = run("compare", tmp_path / "file", record)
        assert (done.returncode, done.stdout) == (2, "") and "transcript" in done.stderr, done
    assert run("compare", tmp_path / "nowhere", record).returncode == 2
    assert run("compare", tmp_path / "file", tmp_path).returncode == 2
    assert run("compare").returncode == 2


# --- emulators instead of the live services

DESCRIBED = "secretsmanager POST / DescribeSecret 200: field"
LISTED = "secretsmanager POST / ListSecrets 200: field"
# each difference, and why it says nothing about the sandbox
EMULATORS = {
    "moto sends null for a date, key or paging token that is not set; AWS leaves the field out (the examples of its API reference)": [
        f"{DESCRIBED} DeletedDate: null, and the sandbox sends number",
        f"{DESCRIBED} KmsKeyId: the sandbox never sends it",
        f"{DESCRIBED} LastAccessedDate: null, and the sandbox sends number",
        f"{DESCRIBED} NextRotationDate: null, and the sandbox sends number",
        f"{LISTED} NextToken: null, and the sandbox sends string",
        f"{LISTED} SecretList[].DeletedDate: the sandbox never sends it",
        f"{LISTED} SecretList[].KmsKeyId: the sandbox never sends it",
        f"{LISTED} SecretList[].LastAccessedDate: null, and the sandbox sends number",
        f"{LISTED} SecretList[].NextRotationDate: null, and the sandbox sends number",
    ],
    "moto sends the map of labels under both names; AWS: VersionIdsToStages of one secret, SecretVersionsToStages in a list (API reference)": [
        f"{DESCRIBED} SecretVersionsToStages: the sandbox never sends it",
        f"{LISTED} SecretList[].VersionIdsToStages: the sandbox never sends it",
    ],
    "moto leaves Tags out for a secret without tags; AWS's reference does not say, and hubkeeper reads both": [
        f"{DESCRIBED} Tags: missing, and the sandbox always sends it",
    ],
    "moto returns an unknown secret with 404; AWS with 400, as all errors of its JSON protocol that are the client's": [
        "secretsmanager POST / DescribeSecret 404: the sandbox never returns this status, but 200, 400 "
        "(ResourceNotFoundException: Secrets Manager can't find the specified secret.)",
    ],
    "moto spells the field of an error's text in both ways; AWS's clients read both": [
        "sqs POST / SendMessageBatch 400: field message: the sandbox never sends it",
    ],
    "moto has no GetWebIdentityToken, and fails": [
        "sts POST / GetWebIdentityToken 500: the sandbox never returns this status, but 200, 403",
    ],
}


def emulated(hub, moto, folder):
    """The transcripts of the function's own clients with moto and Docker's registry. The sandbox is Docker Hub and Azure."""
    sandbox = hub.sandbox
    for repository in hub.private + hub.public:
        hub.push(repository, next(iter(KINDS)))
    secrets = client("secretsmanager", moto.url)
    token = sandbox("token", user=hub.user, scope="repo:read")["token"]
    client_secret = sandbox("client_secret")["secret"]
    arn = secrets.create_secret(Name="hubkeeper/acme", SecretString=json.dumps(sandbox.document(token)))["ARN"]
    secrets.create_secret(Name="azure/client", SecretString=client_secret)
    queue = client("sqs", moto.url).create_queue(QueueName="work")["QueueUrl"]
    with_secret = {"HUBKEEPER_AZURE_AUTH": "client-secret", "HUBKEEPER_AZURE_CLIENT_SECRET_ID": "azure/client"}
    named = [{"action": action, "secretId": arn} for action in ("verify", "onboard", "offboard")]
    everything = {"action": "reconcile"}
    environment = KEEP | NO_PROXY | sandbox.environment | {
        "AWS_ENDPOINT_URL": moto.url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"], "AWS_EC2_METADATA_DISABLED": "true",
        "HUBKEEPER_REGISTRY_URL": hub.registry.url,
    }
    lines, outcomes, texts = set(), [], []
    for events, more in [
        ([named[0], named[1], {"action": "verify", "secretId": "nowhere"}], {}),
        ([named[1], {"action": "reconcile", "secretIds": [arn]}, everything, {"action": "status"}, named[2]], with_secret),
        ([everything], {"HUBKEEPER_QUEUE_URL": queue}),
        ([everything], {"HUBKEEPER_QUEUE_URL": f"{queue}-nowhere"}),
    ]:
        done = run("record", input="\n".join(map(json.dumps, events)), env=environment | more)
        assert done.returncode == 0, done.stderr
        outcomes.append([line.split(":")[0] for line in done.stderr.splitlines()])
        path = folder / f"{len(texts)}.json"
        path.write_text(done.stdout)
        texts.append(done.stdout)
        found = compare(path, need("HUBKEEPER_RECORD", "record of the test suite"))
        # the other services are the sandbox itself
        lines.update(line for line in found if line.split()[0] in ("secretsmanager", "sqs", "sts", "registry"))
    # `api` is part of `api-version`
    names = [hub.user, hub.organization, sandbox.scene["subscription"], *sorted(set(hub.private) - {"api"})]
    private = [token, client_secret, arn, *names, *KEYS.values()]
    return lines, outcomes, texts, private


@pytest.fixture(scope="module")
def emulators(folder, moto, record):
    started = []
    try:
        yield emulated(Hub(folder, lambda program: started.append(program) or program), moto, folder)
    finally:
        for program in reversed(started):
            program.stop()


def test_every_difference_of_an_emulator_is_known(emulators, count):
    lines, outcomes, *_ = emulators
    assert outcomes == [
        ["proven", "onboard for organization acme", "verify"],
        ["applied", "unchanged", "unchanged", "unchanged", "applied"],
        ["recorded"],
        ["failed"],
    ]
    explained = {line for names in EMULATORS.values() for line in names}
    assert lines - explained == set(), "\n".join(sorted(lines - explained))
    assert explained - lines == set(), f"no difference any more: {sorted(explained - lines)}"
    count("differences of emulators in transcripts, each explained", len(lines))


def test_docker_s_registry_does_not_differ(emulators):
    """The proof's requests for manifests are in the transcripts, and no difference is about them."""
    lines, _, texts, _ = emulators
    exchanges = [exchange for text in texts for exchange in json.loads(text)["exchanges"]]
    assert {exchange["status"] for exchange in exchanges if exchange["service"] == "registry"} == {200}
    assert {exchange["service"] for exchange in exchanges} == {"secretsmanager", "sqs", "sts", "entra", "arm", "hub", "hubAuth", "registry"}
    assert not any(line.startswith("registry") for line in lines)


def test_a_transcript_of_emulators_holds_no_secret_and_no_name(emulators, sandbox):
    *_, texts, private = emulators
    assert sum(len(json.loads(text)["exchanges"]) for text in texts) > 20
    for text in texts:
        assert [name for name in private if name.lower() in text.lower()] == []
    assert sandbox("secrets_in", texts=texts, also=private)["leaks"] == [], "a secret is in a transcript"
