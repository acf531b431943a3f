"""One script of operations on Secrets Manager, played through AWS's own client against an endpoint.

Each step has a name and returns what the client made of the response, without the parts that differ between runs: the fields of the
response, or the class of the exception. Messages are omitted: AWS documents none of them.
"""

import datetime
import re

from botocore.exceptions import ClientError
from harness import client

# a service that checks whether the function exists needs it: Moto.function
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:rotate"


def version(number):
    """The id of a version, which the client chooses."""
    return f"{number:08d}-0000-4000-8000-000000000000"


class Script:
    """Plays the steps in order and keeps their results."""

    def __init__(self, endpoint):
        self.client = client("secretsmanager", endpoint)
        self.results = {}

    def step(self, name, operation, **arguments):
        """Plays one operation. Returns its response, or ``None``."""
        assert name not in self.results, name
        try:
            answer = getattr(self.client, operation)(**arguments)
        except ClientError as error:
            known = type(error) is not ClientError
            self.results[name] = type(error).__name__ if known else f"no class for {error.response['Error']['Code']}"
            return None
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        self.results[name] = plain(answer)
        return answer

    def note(self, name, value):
        self.results[name] = plain(value)

    def play(self):
        for scene in (creating, reading, putting, moving, versions, shapes, tagging, deleting, listing, rotating):
            scene(self.step, self)
        return self.results


def plain(value):
    """A response without dates, random suffixes and paging tokens."""
    if isinstance(value, dict):
        token = {"NextToken": "(token)" if value["NextToken"] else "(empty)"} if "NextToken" in value else {}
        return {name: plain(member) for name, member in value.items()} | token
    if isinstance(value, list):
        plainer = [plain(item) for item in value]
        return sorted(plainer, key=str) if all(isinstance(item, str) for item in plainer) else plainer
    if isinstance(value, datetime.datetime):
        return "(date)"
    return re.sub(r"(:secret:[\w/-]+)-\w{6}$", r"\1-(suffix)", value) if isinstance(value, str) else value


def create(step, name, secret, number, **more):
    return step(name, "create_secret", Name=secret, SecretString=f"value {number}", ClientRequestToken=version(number), **more)


def put(step, name, secret, number, value=None, **more):
    text = value or f"value {number}"
    return step(name, "put_secret_value", SecretId=secret, SecretString=text, ClientRequestToken=version(number), **more)


def creating(step, script):
    create(step, "create", "a/one", 1, Description="the first", Tags=[{"Key": "hubkeeper", "Value": "managed"}])
    create(step, "create: the same again", "a/one", 1)
    step("create: the same token, other data", "create_secret", Name="a/one", SecretString="other", ClientRequestToken=version(1))
    create(step, "create: a name that is there", "a/one", 2)
    step("create: without a value", "create_secret", Name="a/empty")
    step("create: an invalid name", "create_secret", Name="a one", SecretString="x", ClientRequestToken=version(1))
    step("read: a secret without a value", "get_secret_value", SecretId="a/empty")
    step("describe: a secret without a value", "describe_secret", SecretId="a/empty")
    put(step, "put: the first version is AWSCURRENT whatever the request says", "a/empty", 1, VersionStages=["CANDIDATE"])
    step("describe: after that first version", "describe_secret", SecretId="a/empty")


def reading(step, script):
    described = step("describe", "describe_secret", SecretId="a/one")
    arn = described["ARN"]
    step("describe: by ARN", "describe_secret", SecretId=arn)
    step("read: by name", "get_secret_value", SecretId="a/one")
    step("read: by ARN", "get_secret_value", SecretId=arn)
    step("read: by ARN without its suffix", "get_secret_value", SecretId=arn[:-7])
    step("read: by version", "get_secret_value", SecretId=arn, VersionId=version(1))
    step("read: by label", "get_secret_value", SecretId=arn, VersionStage="AWSCURRENT")
    step("read: by both", "get_secret_value", SecretId=arn, VersionId=version(1), VersionStage="AWSCURRENT")
    step("read: by both, which differ", "get_secret_value", SecretId=arn, VersionId=version(1), VersionStage="AWSPENDING")
    step("read: a version that is not there", "get_secret_value", SecretId=arn, VersionId=version(99))
    step("read: a label that is not there", "get_secret_value", SecretId=arn, VersionStage="AWSPENDING")
    step("read: a secret that is not there", "get_secret_value", SecretId="a/nowhere")
    step("describe: a secret that is not there", "describe_secret", SecretId="a/nowhere")
    step("put: a secret that is not there", "put_secret_value", SecretId="a/nowhere", SecretString="x", ClientRequestToken=version(1))


def putting(step, script):
    create(step, "putting: create", "a/put", 1)
    put(step, "put: AWSPENDING", "a/put", 2, VersionStages=["AWSPENDING"])
    step("put: then the current value", "get_secret_value", SecretId="a/put")
    step("put: then the pending value", "get_secret_value", SecretId="a/put", VersionId=version(2), VersionStage="AWSPENDING")
    put(step, "put: the same again", "a/put", 2, VersionStages=["AWSPENDING"])
    create(step, "conflict: create", "a/conflict", 1)
    put(step, "conflict: put AWSPENDING", "a/conflict", 2, VersionStages=["AWSPENDING"])
    put(step, "conflict: the same token, other data", "a/conflict", 2, "other", VersionStages=["AWSPENDING"])
    step("conflict: the stored value", "get_secret_value", SecretId="a/conflict", VersionId=version(2))
    put(step, "conflict: the current version's token, other data", "a/conflict", 1, "other")
    put(step, "put: a label leaves its version", "a/put", 3, VersionStages=["AWSPENDING"])
    step("put: where the labels are then", "describe_secret", SecretId="a/put")
    step("put: the version without labels", "get_secret_value", SecretId="a/put", VersionId=version(2))
    put(step, "put: without labels moves AWSCURRENT", "a/put", 4)
    step("put: where the labels are now", "describe_secret", SecretId="a/put")
    put(step, "put: several labels", "a/put", 5, VersionStages=["AWSPENDING", "CANDIDATE"])
    step("put: by UpdateSecret", "update_secret", SecretId="a/put", SecretString="value 6", ClientRequestToken=version(6))
    step("put: UpdateSecret again", "update_secret", SecretId="a/put", SecretString="value 6", ClientRequestToken=version(6))
    step("put: UpdateSecret, other data", "update_secret", SecretId="a/put", SecretString="x", ClientRequestToken=version(6))
    step("put: UpdateSecret of the description", "update_secret", SecretId="a/put", Description="changed")
    step("put: at last", "describe_secret", SecretId="a/put")
    step("put: neither text nor bytes", "put_secret_value", SecretId="a/put", ClientRequestToken=version(7))
    both = {"SecretString": "x", "SecretBinary": b"x", "VersionStages": ["BOTH"]}
    step("put: text and bytes", "put_secret_value", SecretId="a/conflict", ClientRequestToken=version(7), **both)
    put(step, "put: the largest value", "a/put", 8, "x" * 65536, VersionStages=["LARGE"])


MOVES = {
    # a compare-and-swap: the request must name the version that has the label
    "move AWSCURRENT: from nowhere": [("AWSCURRENT", 2, None)],
    "move AWSCURRENT: from a version without it": [("AWSCURRENT", 2, 3)],
    "move AWSCURRENT: to a version that is not there": [("AWSCURRENT", 99, 1)],
    "move AWSCURRENT": [("AWSCURRENT", 2, 1)],
    "move AWSCURRENT: twice": [("AWSCURRENT", 2, 1), ("AWSCURRENT", 2, 1)],
    "move AWSCURRENT: there and back": [("AWSCURRENT", 2, 1), ("AWSCURRENT", 1, 2)],
    "move AWSCURRENT: where it is": [("AWSCURRENT", 1, None)],
    "move AWSCURRENT: from where it is to there": [("AWSCURRENT", 1, 1)],
    "take AWSCURRENT off": [("AWSCURRENT", None, 1)],
    "move CANDIDATE: from nowhere": [("CANDIDATE", 1, None)],
    "move CANDIDATE: from a version without it": [("CANDIDATE", 1, 2)],
    "move CANDIDATE: to a version that is not there": [("CANDIDATE", 99, 3)],
    "move CANDIDATE": [("CANDIDATE", 1, 3)],
    "take CANDIDATE off": [("CANDIDATE", None, 3)],
    "take CANDIDATE off: a version without it": [("CANDIDATE", None, 1)],
    "take AWSPENDING off": [("AWSPENDING", None, 2)],
    "a new label": [("NEW", 3, None)],
    "a new label: neither to nor from": [("NEW", None, None)],
    "a new label: from a version without it": [("NEW", 3, 1)],
}


def moving(step, script, prefix="c"):
    for number, (name, moves) in enumerate(MOVES.items()):
        # each on its own secret, so that an error of one service does not affect the next step
        secret = f"{prefix}/move-{number}x"
        create(lambda *_, **arguments: script.client.create_secret(**arguments), None, secret, 1)
        for version_number, label in ((2, "AWSPENDING"), (3, "CANDIDATE")):
            put(lambda *_, **arguments: script.client.put_secret_value(**arguments), None, secret, version_number, VersionStages=[label])
        for again, (label, to, away) in enumerate(moves):
            arguments = {"VersionStage": label}
            arguments |= {"MoveToVersionId": version(to)} if to else {}
            arguments |= {"RemoveFromVersionId": version(away)} if away else {}
            step(f"{name}{again or ''}", "update_secret_version_stage", SecretId=secret, **arguments)
        described = script.client.describe_secret(SecretId=secret)
        script.note(f"{name}: labels then", described["VersionIdsToStages"])
    moved = {"VersionStage": "NEW", "MoveToVersionId": version(1)}
    step("move: a secret that is not there", "update_secret_version_stage", SecretId="a/nowhere", **moved)


def versions(step, script):
    create(step, "versions: create", "a/versions", 1)
    for number in (2, 3):
        put(step, f"versions: put {number}", "a/versions", number)
    step("versions", "list_secret_version_ids", SecretId="a/versions")
    step("versions: with those without labels", "list_secret_version_ids", SecretId="a/versions", IncludeDeprecated=True)
    pages = paged(script, "list_secret_version_ids", "Versions", "VersionId", 1, SecretId="a/versions", IncludeDeprecated=True)
    script.note("versions: page by page", pages)
    step("versions: a secret that is not there", "list_secret_version_ids", SecretId="a/nowhere")


def shapes(step, script):
    step("bytes", "create_secret", Name="a/bytes", SecretBinary=b"\x00\xff", ClientRequestToken=version(1))
    step("bytes: read", "get_secret_value", SecretId="a/bytes")
    step("bytes: the same again", "put_secret_value", SecretId="a/bytes", SecretBinary=b"\x00\xff", ClientRequestToken=version(1))
    step("bytes: text under the same token", "put_secret_value", SecretId="a/bytes", SecretString="x", ClientRequestToken=version(1))


def tagging(step, script):
    create(step, "tagging: create", "a/tags", 1, Tags=[{"Key": "one", "Value": "1"}, {"Key": "two", "Value": "2"}])

    def tags(name):
        found = script.client.describe_secret(SecretId="a/tags").get("Tags", [])
        script.note(name, sorted(f"{tag['Key']}={tag['Value']}" for tag in found))

    tags("tags: at first")
    step("tag", "tag_resource", SecretId="a/tags", Tags=[{"Key": "two", "Value": "3"}, {"Key": "three", "Value": "3"}])
    tags("tags: one replaced, one added")
    step("untag", "untag_resource", SecretId="a/tags", TagKeys=["one", "none"])
    tags("tags: one gone")
    step("tag: a secret that is not there", "tag_resource", SecretId="a/nowhere", Tags=[{"Key": "one", "Value": "1"}])
    step("untag: a secret that is not there", "untag_resource", SecretId="a/nowhere", TagKeys=["one"])
    step("tag: more than fifty", "tag_resource", SecretId="a/tags", Tags=[{"Key": f"tag-{number}", "Value": ""} for number in range(51)])
    step("tag: a key of AWS's own", "tag_resource", SecretId="a/tags", Tags=[{"Key": "aws:one", "Value": "1"}])


def deleting(step, script):
    create(step, "deleting: create", "a/gone", 1)
    step("delete: a window that is too short", "delete_secret", SecretId="a/gone", RecoveryWindowInDays=6)
    step("delete: a window, and without one", "delete_secret", SecretId="a/gone", RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)
    step("delete", "delete_secret", SecretId="a/gone", RecoveryWindowInDays=7)
    step("deleted: described", "describe_secret", SecretId="a/gone")
    step("deleted: read", "get_secret_value", SecretId="a/gone")
    put(step, "deleted: put", "a/gone", 2)
    step("deleted: updated", "update_secret", SecretId="a/gone", Description="x")
    step("deleted: tagged", "tag_resource", SecretId="a/gone", Tags=[{"Key": "one", "Value": "1"}])
    step("deleted: untagged", "untag_resource", SecretId="a/gone", TagKeys=["one"])
    moved = {"VersionStage": "NEW", "MoveToVersionId": version(1)}
    step("deleted: label moved", "update_secret_version_stage", SecretId="a/gone", **moved)
    step("deleted: versions", "list_secret_version_ids", SecretId="a/gone")
    step("deleted: rotated", "rotate_secret", SecretId="a/gone", RotationLambdaARN=FUNCTION, ClientRequestToken=version(3))
    step("deleted: deleted again", "delete_secret", SecretId="a/gone")
    create(step, "deleted: its name", "a/gone", 4)
    step("restore", "restore_secret", SecretId="a/gone")
    step("restored: read", "get_secret_value", SecretId="a/gone")
    step("restore: again", "restore_secret", SecretId="a/gone")
    step("delete: at once", "delete_secret", SecretId="a/gone", ForceDeleteWithoutRecovery=True)
    step("deleted at once: described", "describe_secret", SecretId="a/gone")
    step("deleted at once: deleted again", "delete_secret", SecretId="a/gone")
    create(step, "deleted at once: its name", "a/gone", 5)
    step("restore: a secret that is not there", "restore_secret", SecretId="a/nowhere")


def paged(script, operation, members, name, size, **arguments):
    """The names on each page of a list."""
    pages, token = [], {}
    while True:
        page = getattr(script.client, operation)(MaxResults=size, **arguments, **token)
        pages.append([entry[name] for entry in page[members]])
        if not page.get("NextToken"):
            return pages
        token = {"NextToken": page["NextToken"]}


def listing(step, script):
    for number, tag in enumerate(("managed", "managed-by-hand", "offboarded", "managed", "Managed")):
        create(step, f"listing: create {number}", f"b/{number}", 1, Tags=[{"Key": "hubkeeper", "Value": tag}])
    create(step, "listing: create another", "B/6", 1, Tags=[{"Key": "managed", "Value": "hubkeeper"}])

    def found(name, *filters, size=100, **arguments):
        filters = [{"Key": key, "Values": values} for key, values in filters]
        try:
            pages = paged(script, "list_secrets", "SecretList", "Name", size, Filters=filters, **arguments)
        except ClientError as error:
            script.note(name, type(error).__name__)
        else:
            script.note(name, pages)

    found("list: by name", ("name", ["b/"]))
    found("list: page by page", ("name", ["b/"]), size=2)
    found("list: by two names", ("name", ["b/1", "b/2"]))
    found("list: by no name", ("name", ["!b/", "!a/"]))
    found("list: by tag", ("name", ["b/"]), ("tag-key", ["hubkeeper"]), ("tag-value", ["managed"]))
    found("list: the value's case", ("name", ["b/"]), ("tag-value", ["Managed"]))
    found("list: key and value of different tags", ("tag-key", ["managed"]), ("tag-value", ["hubkeeper"]))
    found("list: by an invalid filter", ("nothing", ["x"]))
    script.client.delete_secret(SecretId="b/4")
    found("list: without the deleted", ("name", ["b/"]))
    found("list: with the deleted", ("name", ["b/"]), IncludePlannedDeletion=True)
    step("list: an invalid token", "list_secrets", NextToken="nonsense")
    step("list: entries", "list_secrets", Filters=[{"Key": "name", "Values": ["a/put"]}])


def rotating(step, script):
    create(step, "rotating: create one without a function", "a/still", 1)
    step("rotate: without a function", "rotate_secret", SecretId="a/still", ClientRequestToken=version(2))
    step("rotate: cancel without a function", "cancel_rotate_secret", SecretId="a/still")
    create(step, "rotating: create", "a/rotate", 1)
    rules = {"AutomaticallyAfterDays": 30}
    step("rotate", "rotate_secret", SecretId="a/rotate", ClientRequestToken=version(3), RotationLambdaARN=FUNCTION, RotationRules=rules)
    step("rotate: described", "describe_secret", SecretId="a/rotate")
    step("rotate: the pending version is not listed", "list_secret_version_ids", SecretId="a/rotate")
    pending = {"VersionId": version(3), "VersionStage": "AWSPENDING"}
    step("rotate: the pending version has no value", "get_secret_value", SecretId="a/rotate", **pending)
    put(step, "rotate: createSecret's put", "a/rotate", 3, VersionStages=["AWSPENDING"])
    current = {"VersionStage": "AWSCURRENT", "MoveToVersionId": version(3), "RemoveFromVersionId": version(1)}
    step("rotate: finishSecret's move", "update_secret_version_stage", SecretId="a/rotate", **current)
    step("rotate: finished", "describe_secret", SecretId="a/rotate")
    step("rotate: cancel", "cancel_rotate_secret", SecretId="a/rotate")
    step("rotate: cancelled", "describe_secret", SecretId="a/rotate")
    create(step, "rotating: create another", "a/twice", 1)
    for number, name in ((2, "rotate: another"), (3, "rotate: while one is under way")):
        step(name, "rotate_secret", SecretId="a/twice", ClientRequestToken=version(number), RotationLambdaARN=FUNCTION)
    nowhere = {"SecretId": "a/nowhere", "ClientRequestToken": version(2)}
    step("rotate: a secret that is not there", "rotate_secret", RotationLambdaARN=FUNCTION, **nowhere)
