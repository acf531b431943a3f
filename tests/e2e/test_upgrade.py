"""An update in place from an earlier commit, and the way back, with a rotation under way at every step.

The earlier template is data/template-7b65c54.yaml; earlier.py builds the earlier function. While one function replaces the other, each
organization is at another step of its rotation.
"""

import json
import os
from pathlib import Path

import pytest
from harness import MANAGER_PREFIX, PREFIX, without
from people import Administrator
from programs import eventually

EARLIER = Path(__file__).with_name("data") / "template-7b65c54.yaml"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


class Fleet:
    """Organizations as people had them at the earlier commit. The rotation of each is interrupted after as many steps as its cut says."""

    def __init__(self, world):
        self.world, self.outputs = world, world.outputs
        managed = {f"cut{cut}": cut for cut in range(len(STEPS) + 1)} | {"forgotten": 0}
        self.cuts = {world.organization(name, used_by=False): cut for name, cut in managed.items()}
        self.forgotten = next(found for found in self.cuts if found.name == "forgotten")
        self.by_hand = world.organization("byhand", manager=False, scope="repo:read")
        self.cuts[self.by_hand] = 2
        # the versions that rotations made
        self.made = {organization: [] for organization in self.cuts}
        for organization in self:
            world.invoke({"action": "onboard", "secretId": organization.arn}).ok()

    def __iter__(self):
        return iter(self.cuts)

    def begin(self, organization):
        """Starts a rotation. Without a manager, a person stages the token."""
        self.made[organization].append(self.world.start_rotation(organization))
        if organization is self.by_hand:
            self.world.put(organization, self.world.token(organization.user), "HUBKEEPER_CANDIDATE")

    def onboard_by_halves(self, name):
        """Interrupts an onboarding after it has stored its token. Returns what ends it on the other function, and proves it."""
        organization = self.world.organization(name)
        event = {"action": "onboard", "secretId": organization.arn}
        with without(self.world, "secretsmanager:UpdateSecretVersionStage", "OwnSecrets"):
            kind, message = self.world.invoke(event).error()
        assert kind == "Misconfigured" and "UpdateSecretVersionStage" in message, message
        [token] = self.tokens(organization)

        def resume():
            minted = self.world.labels(organization).get("HUBKEEPER_MINTED")
            if minted and self.world.outputs == self.outputs:
                # docs/upgrading.md: the earlier function does not know this label
                kind, message = self.world.invoke(event).error()
                assert kind == "Retryable" and f"{minted} lost its staging label" in message, message
                self.world.secretsmanager.update_secret_version_stage(
                    SecretId=organization.arn, VersionStage="HUBKEEPER_CANDIDATE", MoveToVersionId=minted
                )
                eventually("the token is adopted", lambda: self.world.labels(organization)["AWSCURRENT"] == minted)
            self.world.invoke(event).ok()
            version = self.world.labels(organization)["AWSCURRENT"]
            assert self.world.carries(organization, version)
            assert self.tokens(organization) == [token] and token["label"].split("/")[2] == version, (token, version)

        return resume

    def take(self, organization, steps):
        """Takes these steps of the rotation that was started last. After each one, no connector may be without a working token."""
        for step in steps:
            self.world.step(organization, self.made[organization][-1], step).ok()
            self.no_gap()

    def no_gap(self):
        """Every connector has a token that works, reads everything and cannot push."""
        connectors = self.world.sandbox("connectors")["connectors"]
        assert {connector["organization"] for connector in connectors} >= {organization.name for organization in self}
        for connector in connectors:
            assert connector["accepted"] and connector["readsEverything"] and not connector["canPush"], connector

    def interrupt(self):
        """Starts every rotation, and stops each at its cut."""
        for organization, cut in self.cuts.items():
            self.begin(organization)
            self.take(organization, STEPS[:cut])

    def resume(self):
        """Ends every rotation. Secrets Manager may repeat the step before the cut, if it saw no end of it."""
        for organization, cut in self.cuts.items():
            self.take(organization, STEPS[max(cut - 1, 0):])

    def has_rotated(self):
        """Every rotation ended where it should, and made exactly one token."""
        for organization, versions in self.made.items():
            labels = self.world.labels(organization)
            assert (labels["AWSCURRENT"], labels["AWSPREVIOUS"]) == (versions[-1], versions[-2]), (organization, versions, labels)
            assert self.world.carries(organization, versions[-1])
            if organization is not self.by_hand:
                made = [token["label"].split("/")[2] for token in self.tokens(organization) if token["label"].startswith("hubkeeper/")]
                assert [made.count(version) for version in versions[-2:]] == [1, 1], (organization, versions, made)

    def tokens(self, organization):
        return self.world.sandbox("tokens", user=organization.user)["tokens"]

    def allow(self, *organizations):
        """Adds `usedBy` to the manager secrets, as docs/upgrading.md says."""
        for organization in organizations:
            name = f"{MANAGER_PREFIX}{organization.name}"
            login = json.loads(self.world.secretsmanager.get_secret_value(SecretId=name)["SecretString"])
            login["usedBy"] = [f"{PREFIX}{organization.name}"]
            self.world.secretsmanager.put_secret_value(SecretId=name, SecretString=json.dumps(login))

    def reconcile(self, **how):
        """A reconcile of each organization, as a record of the queue: the function works on it at once, and not through the queue."""
        for organization in self:
            if how and organization is self.by_hand:
                continue
            body = json.dumps({"action": "reconcile", "secretIds": [organization.arn], **how})
            record = {"messageId": "1", "eventSource": "aws:sqs", "body": body}
            assert self.world.invoke({"Records": [record]}).ok() == {"batchItemFailures": []}
            self.no_gap()

    def retire(self):
        """Skips the grace period, as after a leak: one reconcile deactivates the replaced tokens, the next one deletes them."""
        self.world.sandbox("age", hours=3)
        self.reconcile(revokeReplaced=True)
        self.reconcile(revokeReplaced=True)
        for organization in self:
            if organization is not self.by_hand:
                left = [token["label"].split("/")[2] for token in self.tokens(organization)]
                assert left == [self.world.labels(organization)["AWSCURRENT"]], (organization, left)


def resources(world):
    """logical id -> physical id, of the stack."""
    listed = world.cloudformation.list_stack_resources(StackName=world.stack)["StackResourceSummaries"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in listed}


def knows_status(world):
    """Whether today's function runs: the earlier one did not know this event."""
    answer = world.invoke({"action": "status"})
    assert not answer.is_error or answer.error()[0] == "BadEvent", answer
    return not answer.is_error


def remembered(world, organization):
    """The connector that today's function remembers in a tag of the secret, which the earlier one did not know."""
    tags = world.secretsmanager.describe_secret(SecretId=organization.arn)["Tags"]
    return next((tag["Value"] for tag in tags if tag["Key"] == "hubkeeper-connector"), None)


@pytest.fixture(scope="module")
def earlier(empty_world):
    """The earlier stack, with onboarded organizations that have rotated once."""
    if "HUBKEEPER_EARLIER" not in os.environ:
        pytest.skip("the package of the earlier commit was not built")
    world = empty_world
    world.s3.upload_file(os.environ["HUBKEEPER_EARLIER"], world.bucket, "earlier.zip")
    world.install(template=EARLIER, code="earlier.zip")
    fleet = Fleet(world)
    for organization in fleet:
        fleet.begin(organization)
        fleet.take(organization, STEPS)
    return fleet


def test_today_s_command_line_says_what_the_earlier_function_does_not_know(earlier, tmp_path):
    me, secret = Administrator(earlier.world, tmp_path), earlier.by_hand.arn
    status, doctor = me.run("status"), me.run("doctor")
    assert (status.code, status.out) == (2, "") and "action" in status.err, status
    assert doctor.code == 4 and "the function is older than this command line" in doctor.out, doctor
    assert me.hubkeeper("onboard", secret, "--plan")["outcome"] == "unchanged"
    assert me.hubkeeper("verify", "--secret", secret, "--stack", earlier.world.stack)["outcome"] == "proven"


def test_an_update_and_its_rollback_lose_nothing_while_secrets_rotate(earlier, tmp_path):
    fleet, world, me = earlier, earlier.world, Administrator(earlier.world, tmp_path)
    before, outputs = resources(world), world.outputs
    configuration = world.lambda_.get_function_configuration(FunctionName=world.function)

    assert not knows_status(world)
    fleet.allow(*(found for found in fleet if found not in (fleet.forgotten, fleet.by_hand)))
    assert not any(remembered(world, organization) for organization in fleet)
    fleet.interrupt()
    onboard_again = fleet.onboard_by_halves("fromearlier")
    report = me.hubkeeper("deploy", "--release", os.environ["HUBKEEPER_RELEASE"], "--yes")
    assert report["outcome"] == "applied", report
    # the emulator also follows a reference of RoleName in the branch of a condition that is false; the ids below tell
    gone = {change["resource"] for change in report["changes"] if change["action"] == "Remove" or str(change["replacement"]) == "True"}
    assert gone <= {"FunctionRole"}, report
    world.knows(world.stack, report["outputs"])
    updated = world.lambda_.get_function_configuration(FunctionName=world.function)
    assert updated["CodeSha256"] != configuration["CodeSha256"]
    # in place: nothing was replaced or removed that people, Entra or Secrets Manager know
    after = resources(world)
    assert {name: after.get(name) for name in before} == before
    assert {name: world.outputs[name] for name in outputs} == outputs
    assert knows_status(world)
    fleet.no_gap()

    # a manager secret without usedBy: refused before any login, and nothing is lost
    kind, message = world.step(fleet.forgotten, fleet.made[fleet.forgotten][-1], "createSecret").error()
    assert kind == "Misconfigured" and "usedBy" in message and f"{PREFIX}forgotten" in message, message
    fleet.no_gap()
    fleet.allow(fleet.forgotten)
    fleet.resume()
    fleet.has_rotated()
    onboard_again()
    fleet.reconcile()
    fleet.retire()
    assert knows_status(world)
    missing = [organization.name for organization in fleet if not remembered(world, organization)]
    assert not missing, (missing, [line for line in world.log_lines() if line.get("hub.organization") == missing[0]])

    fleet.interrupt()
    onboard_again = fleet.onboard_by_halves("fromtoday")
    report = me.hubkeeper("deploy", "--rollback", "--yes")
    assert report["outcome"] == "applied", report
    world.knows(world.stack, report["outputs"])
    assert world.lambda_.get_function_configuration(FunctionName=world.function)["CodeSha256"] == configuration["CodeSha256"]
    assert resources(world) == before and world.outputs == outputs
    assert not knows_status(world)
    fleet.no_gap()
    fleet.resume()
    fleet.has_rotated()
    onboard_again()

    # what today's function remembered in tags and labels is no obstacle: the earlier one rotates again, and retires what was replaced
    assert all(remembered(world, organization) for organization in fleet)
    for organization in fleet:
        fleet.begin(organization)
        fleet.take(organization, STEPS)
    fleet.has_rotated()
    fleet.retire()
    assert not knows_status(world)
