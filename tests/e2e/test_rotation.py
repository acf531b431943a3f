"""The four steps, invoked as Secrets Manager invokes them."""

from programs import eventually


def test_a_rotation_with_a_manager(world):
    acme = world.organization("rotated")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    first = world.labels(acme)["AWSCURRENT"]
    version = world.start_rotation(acme)
    minted = world.step(acme, version, "createSecret").ok()["tokens"]["minted"]
    assert world.value(acme, VersionId=version)["tokenId"] == minted
    assert world.labels(acme)["AWSCURRENT"] == first
    # each step may be repeated
    for step in ("createSecret", "setSecret", "setSecret", "testSecret", "finishSecret", "finishSecret"):
        report = world.step(acme, version, step).ok()
    assert report["outcome"] == "unchanged", report
    assert world.labels(acme)["AWSCURRENT"] == version and world.labels(acme)["AWSPREVIOUS"] == first
    assert world.carries(acme, version)
    # the replaced token stays active: reconcile retires it later
    assert sum(token["active"] for token in world.sandbox("tokens", user=acme.user)["tokens"]) == 2


def test_a_rotation_without_a_manager_takes_the_candidate(world):
    acme = world.organization("byhand", manager=False, scope="repo:read")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    version = world.start_rotation(acme)
    kind, message = world.step(acme, version, "createSecret").error()
    assert kind == "NeedsHuman" and "HUBKEEPER_CANDIDATE" in message, message
    # staged during a rotation: the event of the staging waits, the rotation uses the token
    candidate = world.put(acme, world.token(acme.user), "HUBKEEPER_CANDIDATE")
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
        world.step(acme, version, step).ok()
    assert world.value(acme, VersionId=version)["candidateVersion"] == candidate
    assert world.carries(acme, version)
    eventually("the candidate's label is off", lambda: "HUBKEEPER_CANDIDATE" not in world.labels(acme))


def test_a_rotation_with_a_token_that_sees_too_little_changes_nothing(world):
    acme = world.organization("partial")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    first = world.labels(acme)["AWSCURRENT"]
    version = world.start_rotation(acme)
    world.step(acme, version, "createSecret").ok()
    world.sandbox("team", user=acme.user, team="payments", member=False)
    kind, message = world.step(acme, version, "setSecret").error()
    assert kind == "Refused" and "partial" in message and "billing" in message, message
    assert world.labels(acme)["AWSCURRENT"] == first
    assert world.connector(acme)["tags"]["hubkeeper-version"] == first
    # after the person has fixed the rights, the same rotation succeeds
    world.sandbox("team", user=acme.user, team="payments", member=True)
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
        world.step(acme, version, step).ok()
    assert world.carries(acme, version)


def test_a_rotation_on_trial_tests_and_writes_nothing(world):
    acme = world.organization("trial")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    before = world.connector(acme)
    version = world.start_rotation(acme)
    world.step(acme, version, "testSecret").ok()
    assert world.connector(acme) == before
