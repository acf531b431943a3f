"""A person creates, stages and changes secrets with the ordinary tools; the events drive the function."""

from harness import MANAGER_PREFIX
from programs import eventually


def test_onboarding_makes_the_first_token_and_the_connector(world):
    acme = world.organization("onboarded")
    plan = world.invoke({"action": "onboard", "mode": "plan", "secretId": acme.arn}).ok()
    assert plan["outcome"] == "planned" and plan["plan"], plan
    assert world.connector(acme) is None
    report = world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    assert (report["outcome"], report["verdict"]["result"], report["connector"]["change"]) == ("applied", "complete", "created")
    assert world.carries(acme, world.labels(acme)["AWSCURRENT"])
    # the function's own move of AWSCURRENT is an event too, and changes nothing
    again = world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    assert again["outcome"] == "unchanged", again


def test_a_token_made_by_hand_goes_live_through_the_candidate_label(world):
    acme = world.organization("staged", manager=False, scope="repo:read")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    first = world.labels(acme)["AWSCURRENT"]
    assert world.carries(acme, first)

    candidate = world.put(acme, world.token(acme.user), "HUBKEEPER_CANDIDATE")
    eventually("the candidate is AWSCURRENT", lambda: world.labels(acme)["AWSCURRENT"] == candidate)
    assert world.carries(acme, candidate)
    eventually("its label is off", lambda: "HUBKEEPER_CANDIDATE" not in world.labels(acme))


def test_a_changed_value_reaches_the_connector(world):
    acme = world.organization("changed", manager=False, scope="repo:read")
    world.invoke({"action": "onboard", "secretId": acme.arn}).ok()
    version = world.put(acme, world.token(acme.user), "AWSCURRENT")
    eventually("the connector carries the new value", lambda: world.carries(acme, version))


def test_a_secret_outside_of_the_prefix_is_out_of_reach(world):
    acme = world.organization("prefix", manager=False, scope="repo:read")
    document = world.secretsmanager.get_secret_value(SecretId=acme.arn)["SecretString"]
    other = world.secretsmanager.create_secret(Name="other/prefix", SecretString=document)["ARN"]
    kind, message = world.invoke({"action": "onboard", "secretId": other}).error()
    assert kind == "Misconfigured" and "DescribeSecret" in message, message
    assert world.connector(acme) is None


def test_a_manager_secret_may_be_read_and_nothing_more(world):
    world.organization("readonly")
    kind, message = world.invoke({"action": "onboard", "secretId": f"{MANAGER_PREFIX}readonly"}).error()
    assert kind == "Misconfigured" and "DescribeSecret" in message, message
