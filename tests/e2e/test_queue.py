"""The schedule, the fan-out over the queue, and the dead-letter queue."""

import json
import time

from programs import eventually


def body(action, organization):
    return json.dumps({"action": action, "mode": "apply", "secretIds": [organization.arn]})


def test_the_schedule_s_input_looks_at_every_secret_through_the_queue(world):
    names = ["fleetone", "fleettwo"]
    fleet = [world.organization(name) for name in names]
    for organization in fleet:
        world.invoke({"action": "onboard", "secretId": organization.arn}).ok()
        world.sandbox("drift", connector=f"dockerhub-{organization.name}")
    name = next(
        resource["PhysicalResourceId"]
        for resource in world.cloudformation.list_stack_resources(StackName=world.stack)["StackResourceSummaries"]
        if resource["ResourceType"] == "AWS::Scheduler::Schedule"
    )
    schedule = world.scheduler.get_schedule(Name=name)
    assert schedule["ScheduleExpression"] == "rate(1 day)" and schedule["State"] == "ENABLED"
    assert schedule["Target"]["Arn"] == world.outputs["FunctionArn"]
    report = world.invoke(json.loads(schedule["Target"]["Input"])).ok()
    taken = {item["secretId"]: item["outcome"] for item in report["items"]}
    assert all(taken[organization.arn] == "recorded" for organization in fleet), report
    for organization in fleet:
        version = world.labels(organization)["AWSCURRENT"]
        eventually(
            "the drifted connector is repaired",
            lambda organization=organization, version=version: world.carries(organization, version)
            and len(world.connector(organization)["offerings"]) == 3,
        )


def dead_letter(world, message):
    """The message in the dead-letter queue, if it is there."""
    dead = world.outputs["DeadLetterQueueUrl"]
    received = world.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
    return next((found for found in received if found["Body"] == message), None)


def test_a_message_that_cannot_be_read_comes_again_and_ends_in_the_dead_letter_queue(world):
    queue = world.outputs["QueueUrl"]
    attributes = world.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "5400"
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] in (3, "3")
    message = json.dumps({"action": "onbord"})
    before = len(world.log_lines())
    # the test does not wait four and a half hours
    world.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    try:
        world.sqs.send_message(QueueUrl=queue, MessageBody=message)
        eventually("the message is in the dead-letter queue", lambda: dead_letter(world, message))
    finally:
        world.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "5400"})
    lines = [line for line in world.log_lines()[before:] if line.get("error.kind") == "BadEvent"]
    assert len(lines) == 3 and all("body.action" in line["error.message"] for line in lines), lines


def test_a_message_that_is_refused_is_done(world):
    # a retry would be another login; the log line and the metric report the failure
    acme = world.organization("poisoned", manager=False, scope="repo:public_read")
    queue = world.outputs["QueueUrl"]
    message = body("onboard", acme)

    def lines():
        return [line for line in world.log_lines() if line.get("hub.organization") == acme.name and "report" in line]

    world.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    try:
        world.sqs.send_message(QueueUrl=queue, MessageBody=message)
        eventually("the refusal is logged", lines)
        time.sleep(5)
    finally:
        world.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "5400"})
    assert world.connector(acme) is None and dead_letter(world, message) is None
    assert len(lines()) == 1 and "public read only" in lines()[0]["error.message"], lines()


def test_a_message_with_an_event_is_handled_like_the_event(world):
    acme = world.organization("wrapped", manager=False, scope="repo:read")
    world.sqs.send_message(QueueUrl=world.outputs["QueueUrl"], MessageBody=body("onboard", acme))
    eventually("the connector is made", lambda: world.carries(acme, world.labels(acme)["AWSCURRENT"]))
