"""A failure reaches a person: with the organization, the verdict if there is one, and the remedy, but without any secret."""

import json

import pytest
from harness import PREFIX, example
from programs import eventually


@pytest.fixture(scope="module")
def inbox(world):
    return world.inbox("people")


def mentioning(inbox, *words):
    return next((text for text in inbox() if all(word in text for word in words)), None)


def test_a_refused_candidate(world, inbox):
    acme = world.organization("refused", manager=False, scope="repo:read")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    first = world.labels(acme)["AWSCURRENT"]
    world.put(acme, world.token(acme.user, "repo:public_read"), "HUBKEEPER_CANDIDATE")
    notice = eventually("a person is told", lambda: mentioning(inbox, f"adopt for organization {acme.name}"))
    lines = [json.loads(line) for line in notice.splitlines()]
    assert lines[0].startswith("hubkeeper: an event failed for the last time (Refused)"), lines
    message = lines[2]
    for words in ("adopt", acme.name, "partial", "public read only", "remedy"):
        assert words in message, message
    assert lines[-1] == "Runbook: docs/runbook.md#eventfailed"
    assert world.labels(acme)["AWSCURRENT"] == first and world.carries(acme, first)
    world.no_secret_in(notice)


def test_a_failed_rotation(world, inbox):
    acme = world.organization("unlucky")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    version = world.start_rotation(acme)
    event = example("rotation-failed.json")
    event["detail"]["additionalEventData"]["SecretId"] = acme.arn
    event["detail"]["requestID"] = f"Rotation-{acme.arn}-{version}"
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    assert world.events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    notice = eventually("a person is told", lambda: mentioning(inbox, "RotationFailed", acme.arn))
    for words in (f"{PREFIX}{acme.name}", version, "Remedy", f"aws secretsmanager rotate-secret --secret-id {acme.arn}", "update-secret-version-stage", world.outputs["LogGroupName"]):
        assert words in notice, notice
    world.no_secret_in(notice)
    # the function has recorded it as well, with the step
    recorded = eventually(
        "the function records it",
        lambda: next((line for line in world.log_lines() if line.get("hub.organization") == acme.name and '"recorded"' in line.get("report", "")), None),
    )
    assert recorded["level"] == "ERROR" and "setSecret" in recorded["report"], recorded


def test_the_failed_rotation_of_somebody_else_s_secret_tells_nobody(world, inbox):
    event = example("rotation-failed.json")
    event["detail"]["additionalEventData"]["SecretId"] = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:database/orders-AbCdEf"
    entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
    world.events.put_events(Entries=[entry])
    own = example("rotation-abandoned.json")
    marker = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/marker-AbCdEf"
    own["detail"]["additionalEventData"]["SecretId"] = marker
    entry = {"Source": own["source"], "DetailType": own["detail-type"], "Detail": json.dumps(own["detail"])}
    world.events.put_events(Entries=[entry])
    eventually("what came later is told", lambda: mentioning(inbox, marker, "RotationAbandoned"))
    assert mentioning(inbox, "database/orders") is None
