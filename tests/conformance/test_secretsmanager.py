"""Secrets Manager: one script through AWS's own client, against the sandbox and against moto. Every difference is explained."""

import copy

import pytest
from botocore.exceptions import ClientError
from secrets_script import FUNCTION, Script, moving, version


# --- general differences of moto: each function translates moto's response into AWS's, and says why


def versions_without_labels(node):
    """A version without labels remains in `VersionIdsToStages`. AWS: "versions that have staging labels attached"."""
    stages = node.get("VersionIdsToStages", {})
    return [stages.pop(number) for number in [number for number, labels in stages.items() if labels == []]]


def empty_token(node):
    """The last page of `ListSecretVersionIds` has an empty `NextToken`, which AWS's own client refuses to send back."""
    return node.pop("NextToken", None) if node.get("NextToken") == "(empty)" else None


def name_for_arn(node):
    """`ListSecretVersionIds` returns the request's `SecretId` as the ARN. AWS: "the ARN of the secret"."""
    arn = node.get("ARN", "arn:")
    if not arn.startswith("arn:"):
        node["ARN"] = f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{arn}-(suffix)"
    return not arn.startswith("arn:")


def dates_of_rotations(node):
    """A rotation that only began has a `LastRotatedDate`, a cancelled one a `NextRotationDate`. AWS: null."""
    found = [node.pop("LastRotatedDate", None)]
    if node.get("RotationEnabled") is False:
        found.append(node.pop("NextRotationDate", None))
    return any(found)


RULES = [versions_without_labels, empty_token, name_for_arn, dates_of_rotations]

# fields that are not compared, and why
LEFT_OUT = {
    "LastAccessedDate": "moto notes it for versions, not for secrets; AWS the other way round",
    "KmsKeyIds": "moto does not name the keys of versions",
}

# --- differences in single steps
DEVIATIONS = {
    "moto takes any name; AWS refuses (ValidationException, seen in many logs)": [
        "create: an invalid name",
    ],
    "moto overwrites a value that is AWSPENDING under the same token; AWS: ResourceExistsException, a version's value never changes": [
        "conflict: the same token, other data", "conflict: the stored value",
    ],
    "moto takes text and bytes together; AWS: one of them": [
        "put: text and bytes",
    ],
    "moto takes the label off before it finds that there is no such version (InvalidParameterException); AWS: ResourceNotFoundException": [
        "move AWSCURRENT: to a version that is not there", "move AWSCURRENT: to a version that is not there: labels then",
        "move CANDIDATE: to a version that is not there", "move CANDIDATE: to a version that is not there: labels then",
    ],
    "moto wants RemoveFromVersionId even where the label does not leave; AWS: where it is attached to a different version": [
        "move AWSCURRENT: where it is",
    ],
    "moto takes AWSCURRENT off; AWS: a secret always has it, and it can only be moved": [
        "take AWSCURRENT off", "take AWSCURRENT off: labels then",
    ],
    "moto compares and swaps AWSCURRENT alone, and lets two versions have another label; AWS: any label that is attached elsewhere": [
        "move CANDIDATE: from nowhere", "move CANDIDATE: from nowhere: labels then",
    ],
    "moto takes a move that goes neither to nor from a version": [
        "a new label: neither to nor from",
    ],
    "moto lists versions without labels without a request for them; AWS: with IncludeDeprecated alone": [
        "versions",
    ],
    "moto answers a list of versions on one page, whatever MaxResults says": [
        "versions: page by page",
    ],
    "moto fails (500) where a list's secret, or a paging token, is not there": [
        "versions: a secret that is not there", "list: an invalid token",
    ],
    "moto knows no limits of tags; AWS: fifty a secret, keys that begin with aws: are its own": [
        "tag: more than fifty", "tag: a key of AWS's own",
    ],
    "moto writes to a secret that is scheduled for deletion; AWS: InvalidRequestException": [
        "deleted: put", "deleted: tagged", "deleted: untagged", "deleted: label moved", "deleted: versions", "restored: read",
    ],
    "moto says of a deleted secret's name that it exists; AWS: InvalidRequestException, already scheduled for deletion": [
        "deleted: its name",
    ],
    "the list holds the secret that only moto made": [
        "list: by no name",
    ],
    "moto rotates without a function, by itself; AWS: InvalidRequestException": [
        "rotate: without a function",
    ],
    "moto lists a version that has no value; AWS: only versions that contain a secret value": [
        "rotate: the pending version is not listed",
    ],
    "moto's check for a rotation under way is inverted": [
        "rotate: while one is under way",
    ],
}


def translated(node, used):
    """moto's response, translated into AWS's."""
    if isinstance(node, list):
        return [translated(item, used) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    if "VersionIdsToStages" in node:
        node["VersionIdsToStages"] = dict(node["VersionIdsToStages"])
    for rule in RULES:
        if rule(node):
            used.add(rule)
    return {name: translated(member, used) for name, member in node.items()}


def compared(node):
    """The compared part of a response. Empty lists and maps are omitted: clients cannot tell the difference, and AWS documents neither."""
    if isinstance(node, list):
        return [compared(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {name: compared(member) for name, member in node.items() if name not in LEFT_OUT}
    return {name: member for name, member in kept.items() if member not in ([], {})}


def differences(ours, theirs):
    return [name for name in ours if compared(ours[name]) != compared(theirs.get(name))]


EXPLAINED = sorted(name for names in DEVIATIONS.values() for name in names)


@pytest.fixture(scope="module")
def results(sandbox, moto):
    assert moto.function(FUNCTION.rsplit(":", 1)[1]) == FUNCTION
    return Script(sandbox.aws).play(), Script(moto.url).play()


def test_every_difference_is_a_known_deviation_of_moto(results, count):
    ours, theirs = results
    assert ours.keys() == theirs.keys()
    used = set()
    theirs = {name: translated(result, used) for name, result in theirs.items()}
    found = sorted(differences(ours, theirs))
    unexplained = {name: (ours[name], theirs[name]) for name in set(found) - set(EXPLAINED)}
    assert not unexplained, "\n".join(f"{name}: the sandbox {us}, moto {them}" for name, (us, them) in unexplained.items())
    assert not set(EXPLAINED) - set(found), f"no deviation any more: {sorted(set(EXPLAINED) - set(found))}"
    assert used == set(RULES), f"not needed any more: {[rule.__name__ for rule in RULES if rule not in used]}"
    count("operations and states of Secrets Manager compared with moto", len(ours))
    count(f"of them differ, by {len(DEVIATIONS)} explained deviations of moto", len(found))


def test_every_error_has_a_class_of_awss_client(results):
    """boto3 creates an exception class for each error in AWS's model. ValidationException is not in the model, but AWS sends it."""
    ours, _ = results
    unknown = {name: result for name, result in ours.items() if isinstance(result, str) and result.startswith("no class")}
    assert set(unknown.values()) <= {"no class for ValidationException"}, unknown
    known = {result for result in ours.values() if isinstance(result, str) and result.endswith("Exception")} - set(unknown.values())
    names = ("InvalidNextToken", "InvalidParameter", "InvalidRequest", "ResourceExists", "ResourceNotFound")
    assert known == {f"{name}Exception" for name in names}


def test_an_error_says_what_it_is(sandbox):
    with pytest.raises(ClientError) as refused:
        sandbox.client("secretsmanager").get_secret_value(SecretId="nowhere")
    answer = refused.value.response
    assert answer["Error"]["Message"] == "Secrets Manager can't find the specified secret."
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400 and answer["ResponseMetadata"]["RequestId"]


# --- the comparison can fail: planted deviations


@pytest.mark.parametrize(("name", "deviation"), [
    # a label moves without the compare-and-swap
    ("move AWSCURRENT: from a version without it", {"ARN": "arn", "Name": "name"}),
    ("move CANDIDATE: from a version without it", {"ARN": "arn", "Name": "name"}),
    ("move AWSCURRENT: labels then", {version(1): ["AWSCURRENT"], version(2): ["AWSPENDING"], version(3): ["CANDIDATE"]}),
    # a different exception
    ("read: a secret that is not there", "InvalidRequestException"),
    ("read: by both, which differ", "ResourceNotFoundException"),
    # a repeated put creates another version
    ("put: the same again", {"VersionId": version(9)}),
    # a page is missing
    ("list: page by page", [["b/0", "b/1"], ["b/2", "b/3"]]),
])
def test_a_deviation_is_caught(results, name, deviation):
    ours, theirs = copy.deepcopy(results)
    assert name in ours and name not in EXPLAINED
    before = differences(ours, theirs)
    assert name not in before
    ours[name] = deviation
    assert set(differences(ours, theirs)) - set(before) == {name}


def test_a_move_without_the_compare_and_swap_is_caught_on_the_wire(sandbox, moto):
    """A sandbox without the comparison would respond as if RemoveFromVersionId always named the right version."""
    script = Script(sandbox.aws)
    client = script.client
    update = client.update_secret_version_stage

    def forgetful(**arguments):
        described = client.describe_secret(SecretId=arguments["SecretId"])["VersionIdsToStages"]
        holder = [number for number, labels in described.items() if arguments["VersionStage"] in labels]
        return update(**arguments | ({"RemoveFromVersionId": holder[0]} if holder else {}))

    class Forgetful:
        def __getattr__(self, name):
            return forgetful if name == "update_secret_version_stage" else getattr(client, name)

    script.client = Forgetful()
    other = Script(moto.url)
    for each in (script, other):
        moving(each.step, each, prefix="forgetful")
    found = set(differences(script.results, other.results)) - set(EXPLAINED)
    assert {"move AWSCURRENT: from nowhere", "move AWSCURRENT: from a version without it"} <= found, found
