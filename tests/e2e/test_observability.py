"""Logs and metrics, read as a person and as CloudWatch read them."""

import json

import pytest
from programs import eventually


@pytest.fixture(scope="module")
def lines(world):
    """The log after a successful and a failed run."""
    good = world.organization("measured")
    world.invoke({"action": "onboard", "secretId": good.arn}).ok()
    bad = world.organization("unmeasured", manager=False, scope="repo:public_read")
    world.invoke({"action": "onboard", "secretId": bad.arn}).error()
    world.invoke({"action": "verify", "secretId": bad.arn}).ok()
    world.sqs.send_message(
        QueueUrl=world.outputs["QueueUrl"],
        MessageBody=json.dumps({"action": "reconcile", "mode": "apply", "secretIds": [good.arn]}),
    )

    def reconciled():
        found = world.log_lines()
        return found if any(line.get("Organization") == "measured" and line.get("Action") == "reconcile" for line in found) else None

    return eventually("the record of the queue was handled", reconciled)


def emitted(lines, metric, dimensions):
    """The values of a metric with exactly these dimensions, as CloudWatch reads the lines."""
    values = []
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            names = {entry["Name"] for entry in directive["Metrics"]}
            if directive["Namespace"] != "hubkeeper" or metric not in names:
                continue
            for group in directive["Dimensions"]:
                if {name: line[name] for name in group} == dimensions:
                    values.append(line[metric])
    return values


def test_every_line_of_the_log_is_json_that_lambda_s_filter_understands(world, lines):
    assert len(lines) > 10
    for line in lines:
        assert line["level"] in ("INFO", "WARN", "ERROR") and line["timestamp"].endswith("Z"), line


def test_one_event_has_one_line_and_its_report_in_it(world, lines):
    reports = [json.loads(line["report"]) for line in lines if "report" in line and line.get("hub.organization") == "measured"]
    assert [report["action"] for report in reports].count("onboard") == 1
    failed = [line for line in lines if line.get("hub.organization") == "unmeasured" and line["level"] == "ERROR"]
    assert len(failed) == 1 and failed[0]["error.kind"] == "Refused", failed


def test_every_alarm_of_ours_has_its_metric_in_the_log(world, lines):
    names = [
        resource["PhysicalResourceId"]
        for resource in world.cloudformation.list_stack_resources(StackName=world.stack)["StackResourceSummaries"]
        if resource["ResourceType"] == "AWS::CloudWatch::Alarm"
    ]
    alarms = world.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert len(alarms) == len(names) == 8
    ours = [alarm for alarm in alarms if alarm["Namespace"] == "hubkeeper"]
    assert len(ours) == 5
    for alarm in ours:
        dimensions = {entry["Name"]: entry["Value"] for entry in alarm["Dimensions"]}
        assert emitted(lines, alarm["MetricName"], dimensions), alarm["MetricName"]
    for alarm in alarms:
        assert alarm["AlarmActions"] == [world.outputs["TopicArn"]]


def test_the_metrics_say_what_happened(world, lines):
    function = {"FunctionName": world.function}
    def onboard(organization):
        return function | {"Action": "onboard", "Organization": organization}
    assert emitted(lines, "VerdictComplete", onboard("measured")) == [1]
    assert emitted(lines, "VerdictComplete", onboard("unmeasured")) == [0]
    assert emitted(lines, "Succeeded", onboard("measured")) == [1]
    assert emitted(lines, "Failed", onboard("unmeasured")) == [1]
    repositories = len(world.sandbox.scene["repositories"])
    assert emitted(lines, "RepositoriesProven", onboard("measured")) == [repositories]
    assert 89 < emitted(lines, "DaysLeft", onboard("measured"))[0] <= 90
    assert emitted(lines, "Duration", onboard("measured"))[0] > 0
    # sending to the queue is not a reconcile; handling the record is
    assert emitted(lines, "Succeeded", function | {"Action": "reconcile", "Organization": "measured"}) == [1]


def test_the_dashboard_asks_for_metrics_that_are_there(world, lines):
    name = next(
        resource["PhysicalResourceId"]
        for resource in world.cloudformation.list_stack_resources(StackName=world.stack)["StackResourceSummaries"]
        if resource["ResourceType"] == "AWS::CloudWatch::Dashboard"
    )
    body = json.loads(world.cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    searches = [
        metric[0]["expression"]
        for widget in body["widgets"]
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], dict)
    ]
    names = {
        "DaysLeft", "RepositoriesProven", "VerdictComplete", "Succeeded", "Failed", "Duration", "RateLimitWait", "RefusedLogins",
        "Retries",
    }
    assert {search.split('MetricName="')[1].split('"')[0] for search in searches} == names
    assert all(f'FunctionName="{world.function}"' in search for search in searches)
    # the status widget invokes the alias, which runs what was deployed
    endpoint = body["widgets"][0]["properties"]["endpoint"]
    alias = world.lambda_.get_alias(FunctionName=world.function, Name="status")
    assert (endpoint, alias["FunctionVersion"]) == (alias["AliasArn"], "$LATEST")


def test_a_new_stack_is_not_in_alarm_before_its_first_reconcile(world):
    name = next(
        resource["PhysicalResourceId"]
        for resource in world.cloudformation.list_stack_resources(StackName=world.stack)["StackResourceSummaries"]
        if resource["LogicalResourceId"] == "ReconcileMissingAlarm"
    )
    alarm = world.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    assert alarm["TreatMissingData"] == "missing" and alarm["InsufficientDataActions"] == alarm["AlarmActions"]
    assert alarm["StateValue"] != "ALARM"


def test_no_secret_stands_in_the_log(world, lines):
    world.no_secret_in(*(json.dumps(line) for line in lines))
    # the search finds a planted secret
    with pytest.raises(AssertionError):
        world.no_secret_in(f"... {world.known[0]} ...")
