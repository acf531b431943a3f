//! IAM, `CloudWatch` and SNS.

use super::*;
use crate::scene;

fn deployed() -> World {
    let (world, _) = world();
    world.with(scene::deploy);
    world
}

fn post(world: &World, region: &str, service: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = http::Request::post("https://aws.example/")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("authorization", signed(region, service))
        .body(Bytes::from(form))
        .expect("a request");
    assert!(!is_write(&request));
    let response = world.call(Service::Aws, request).expect("a response");
    let line = world.record().last().expect("a record").line();
    assert_eq!(line, format!("POST {}", fields[0].1));
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

/// The texts of every element with this name.
fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().expect("its end")).collect()
}

fn iam(world: &World, action: &str, fields: &[(&str, &str)]) -> (u16, String) {
    post(world, "us-east-1", "iam", &[&[("Action", action), ("Version", "2010-05-08")], fields].concat())
}

fn cloudwatch(world: &World, action: &str, fields: &[(&str, &str)]) -> (u16, String) {
    post(world, "eu-west-1", "monitoring", &[&[("Action", action), ("Version", "2010-08-01")], fields].concat())
}

fn topic(world: &World, region: &str, arn: &str) -> (u16, String) {
    let fields = [("Action", "GetTopicAttributes"), ("Version", "2010-03-31"), ("TopicArn", arn)];
    post(world, region, "sns", &fields)
}

const ROLE: &str = "arn:aws:iam::111122223333:role/sandbox";

#[test]
fn a_simulation_decides_each_action_on_each_resource() {
    let world = deployed();
    let fields = [
        ("PolicySourceArn", ROLE),
        ("ActionNames.member.1", "secretsmanager:PutSecretValue"),
        ("ActionNames.member.2", "kms:Decrypt"),
        ("ResourceArns.member.1", "arn:aws:x:::a"),
        ("ResourceArns.member.2", "arn:aws:x:::b"),
    ];
    let decisions = || {
        let (status, xml) = iam(&world, "SimulatePrincipalPolicy", &fields);
        assert_eq!(status, 200, "{xml}");
        let names = all(&xml, "EvalActionName");
        assert_eq!(names[1..3], ["secretsmanager:PutSecretValue", "kms:Decrypt"]);
        assert_eq!(all(&xml, "EvalResourceName")[..2], ["arn:aws:x:::a", "arn:aws:x:::b"]);
        assert_eq!(all(&xml, "IsTruncated"), ["false"]);
        all(&xml, "EvalDecision").join(" ")
    };
    assert_eq!(decisions(), "allowed allowed allowed allowed");
    world.with(|state| state.aws.denied.insert("secretsmanager:PutSecretValue".to_owned()));
    assert_eq!(decisions(), "implicitDeny implicitDeny allowed allowed");
    world.with(|state| state.aws.kms_denied = true);
    assert_eq!(decisions(), "implicitDeny implicitDeny implicitDeny implicitDeny");
}

#[test]
fn a_simulation_has_pages() {
    let world = deployed();
    let names: Vec<String> = (1..=5).map(|n| format!("sqs:Action{n}")).collect();
    let keys: Vec<String> = (1..=5).map(|n| format!("ActionNames.member.{n}")).collect();
    let mut fields: Vec<_> = keys.iter().map(String::as_str).zip(names.iter().map(String::as_str)).collect();
    fields.extend([("PolicySourceArn", ROLE), ("MaxItems", "2")]);
    let (mut found, mut marker) = (Vec::new(), None::<String>);
    loop {
        let mut fields = fields.clone();
        fields.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let (status, xml) = iam(&world, "SimulatePrincipalPolicy", &fields);
        assert_eq!(status, 200, "{xml}");
        found.extend(all(&xml, "EvalActionName").into_iter().map(str::to_owned));
        assert!(all(&xml, "EvalResourceName").iter().all(|resource| *resource == "*"));
        marker = all(&xml, "Marker").first().map(|marker| (*marker).to_owned());
        assert_eq!(all(&xml, "IsTruncated"), [marker.is_some().to_string()]);
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(found, names);
}

#[test]
fn conditions_of_the_role_need_their_context() {
    let world = deployed();
    let ask = |entries: &[(&str, &str, &str)]| {
        let mut fields = vec![
            ("PolicySourceArn".to_owned(), ROLE.to_owned()),
            ("ActionNames.member.1".to_owned(), "sts:GetWebIdentityToken".to_owned()),
        ];
        for (index, (key, kind, value)) in entries.iter().enumerate() {
            let entry = format!("ContextEntries.member.{}", index + 1);
            fields.push((format!("{entry}.ContextKeyName"), (*key).to_owned()));
            fields.push((format!("{entry}.ContextKeyType"), (*kind).to_owned()));
            fields.push((format!("{entry}.ContextKeyValues.member.1"), (*value).to_owned()));
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (status, xml) = iam(&world, "SimulatePrincipalPolicy", &fields);
        assert_eq!(status, 200, "{xml}");
        let missing = all(&xml, "MissingContextValues")[0].to_owned();
        (all(&xml, "EvalDecision")[0].to_owned(), missing.matches("<member>").count())
    };
    let audience = ("sts:IdentityTokenAudience", "stringList", "api://AzureADTokenExchange");
    let (algorithm, life) = (("sts:SigningAlgorithm", "string", "RS256"), ("sts:DurationSeconds", "numeric", "300"));
    assert_eq!(ask(&[]), ("implicitDeny".to_owned(), 3));
    assert_eq!(ask(&[audience]), ("implicitDeny".to_owned(), 2));
    assert_eq!(ask(&[audience, algorithm, life]), ("allowed".to_owned(), 0));
    let longer = ("sts:DurationSeconds", "numeric", "3600");
    assert_eq!(ask(&[audience, algorithm, longer]), ("implicitDeny".to_owned(), 0));
    world.with(|state| state.aws.denied.insert("sts:GetWebIdentityToken".to_owned()));
    assert_eq!(ask(&[audience, algorithm, life]), ("implicitDeny".to_owned(), 0));
}

#[test]
fn a_simulation_without_role_or_action_is_refused() {
    let world = deployed();
    let refused = |source: &str, action: &str, status: u16, code: &str| {
        let fields = [("PolicySourceArn", source), ("ActionNames.member.1", action)];
        let fields = if action.is_empty() { &fields[..1] } else { &fields[..] };
        let (found, xml) = iam(&world, "SimulatePrincipalPolicy", fields);
        assert_eq!((found, all(&xml, "Code")[0]), (status, code));
    };
    refused("arn:aws:iam::111122223333:role/other", "sqs:SendMessage", 404, "NoSuchEntity");
    refused("arn:aws:sts::111122223333:assumed-role/sandbox/sandbox", "sqs:SendMessage", 400, "InvalidInput");
    refused("sandbox", "sqs:SendMessage", 400, "ValidationError");
    refused(ROLE, "", 400, "ValidationError");
    refused(ROLE, "SendMessage", 400, "InvalidInput");
    world.with(|state| state.aws.denied.insert("iam:SimulatePrincipalPolicy".to_owned()));
    refused(ROLE, "sqs:SendMessage", 403, "AccessDenied");
}

#[test]
fn the_issuer_is_shown_while_federation_is_on() {
    let world = deployed();
    let (status, xml) = iam(&world, "GetOutboundWebIdentityFederationInfo", &[]);
    let issuer = world.with(|state| state.aws.sts.issuer.clone());
    assert_eq!((status, all(&xml, "IssuerIdentifier")), (200, vec![issuer.as_str()]));
    assert_eq!(all(&xml, "JwtVendingEnabled"), ["true"]);
    world.with(|state| state.aws.sts.federation_disabled = true);
    let (status, xml) = iam(&world, "GetOutboundWebIdentityFederationInfo", &[]);
    assert_eq!((status, all(&xml, "Code")[0]), (404, "FeatureDisabled"));
}

#[test]
fn alarms_are_found_by_prefix_or_name_and_have_pages() {
    let world = deployed();
    let (status, xml) = cloudwatch(&world, "DescribeAlarms", &[("AlarmNamePrefix", "hubkeeper-")]);
    assert_eq!((status, all(&xml, "AlarmName").len()), (200, 8), "{xml}");
    assert!(all(&xml, "StateValue").iter().all(|state| *state == "OK"));
    assert!(all(&xml, "AlarmActions").iter().all(|actions| actions.contains("hubkeeper-NoticeTopic-sandbox")));
    assert_eq!(
        cloudwatch(&world, "DescribeAlarms", &[("AlarmNamePrefix", "other-")]).1.matches("<AlarmName>").count(),
        0
    );
    world.with(|state| {
        let alarm = state.aws.deployment.alarm_mut("ErrorsAlarm").expect("an alarm");
        (alarm.state, alarm.actions_enabled) = ("ALARM".to_owned(), false);
        alarm.reason = "Threshold Crossed: 1 > 0 & more".to_owned();
    });
    let chosen = [("AlarmNames.member.1", "hubkeeper-ErrorsAlarm-sandbox"), ("AlarmNames.member.2", "none")];
    let (_, xml) = cloudwatch(&world, "DescribeAlarms", &chosen);
    assert_eq!((all(&xml, "StateValue"), all(&xml, "ActionsEnabled")), (vec!["ALARM"], vec!["false"]));
    assert_eq!(all(&xml, "StateReason"), ["Threshold Crossed: 1 &gt; 0 &amp; more"]);
    let (_, xml) = cloudwatch(&world, "DescribeAlarms", &[("StateValue", "ALARM")]);
    assert_eq!(all(&xml, "AlarmName"), ["hubkeeper-ErrorsAlarm-sandbox"]);
    let (mut names, mut next) = (Vec::new(), None::<String>);
    loop {
        let mut fields = vec![("MaxRecords", "3")];
        fields.extend(next.as_deref().map(|token| ("NextToken", token)));
        let (_, xml) = cloudwatch(&world, "DescribeAlarms", &fields);
        names.extend(all(&xml, "AlarmName").into_iter().map(str::to_owned));
        next = all(&xml, "NextToken").first().map(|token| (*token).to_owned());
        if next.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 8);
    for (fields, code) in [
        (vec![("AlarmNamePrefix", "a"), ("AlarmNames.member.1", "b")], "InvalidParameterCombination"),
        (vec![("NextToken", "nonsense")], "InvalidNextToken"),
        (vec![("MaxRecords", "101")], "ValidationError"),
        (vec![("StateValue", "GOOD")], "ValidationError"),
    ] {
        let (status, xml) = cloudwatch(&world, "DescribeAlarms", &fields);
        assert_eq!((status, all(&xml, "Code")[0]), (400, code));
    }
}

#[test]
fn reconciles_are_counted_by_period() {
    let world = deployed();
    // the clock is 2026-11-24 10:00, and deploy put a reconcile at 09:00
    world.with(|state| {
        let first = state.aws.deployment.reconciled[0];
        state.aws.deployment.reconciled.push(first + time::Duration::minutes(10));
        state.aws.deployment.reconciled.push(first - time::Duration::days(3));
    });
    let function = world.with(|state| state.aws.deployment.function.name.clone());
    let base = [
        ("Namespace", "hubkeeper"),
        ("MetricName", "Succeeded"),
        ("Dimensions.member.1.Name", "FunctionName"),
        ("Dimensions.member.1.Value", function.as_str()),
        ("Dimensions.member.2.Name", "Action"),
        ("Dimensions.member.2.Value", "reconcile"),
        ("StartTime", "2026-11-23T08:00:00Z"),
        ("EndTime", "2026-11-24T10:00:00Z"),
        ("Period", "3600"),
        ("Statistics.member.1", "Sum"),
    ];
    let ask = |changed: &str, value: &str| {
        let fields: Vec<_> = base
            .into_iter()
            .map(|(name, old)| (name, if name == changed { value } else { old }))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        cloudwatch(&world, "GetMetricStatistics", &fields)
    };
    let (status, xml) = ask("", "");
    assert_eq!((status, all(&xml, "Sum")), (200, vec!["2.0"]), "{xml}");
    assert_eq!((all(&xml, "Timestamp"), all(&xml, "Unit")), (vec!["2026-11-24T09:00:00Z"], vec!["Count"]));
    assert_eq!(all(&ask("Period", "60").1, "Code"), ["InvalidParameterCombination"], "1560 data points");
    assert_eq!(all(&ask("Period", "300").1, "Sum"), ["1.0", "1.0"]);
    assert_eq!(all(&ask("EndTime", "2026-11-24T09:05:00Z").1, "Sum"), ["1.0"]);
    for (changed, value) in
        [("MetricName", "Failed"), ("Dimensions.member.2.Value", "verify"), ("Namespace", "AWS/Lambda")]
    {
        let (status, xml) = ask(changed, value);
        assert_eq!((status, xml.contains("<Datapoints></Datapoints>")), (200, true), "{changed}");
    }
    for (changed, value, code) in [
        ("EndTime", "2026-11-23T08:00:00Z", "InvalidParameterCombination"),
        ("StartTime", "yesterday", "InvalidParameterValue"),
        ("StartTime", "", "MissingParameter"),
        ("Period", "90", "InvalidParameterValue"),
        ("Statistics.member.1", "", "InvalidParameterCombination"),
        ("Statistics.member.1", "Total", "InvalidParameterValue"),
    ] {
        let (status, xml) = ask(changed, value);
        assert_eq!((status, all(&xml, "Code")), (400, vec![code]), "{changed}");
    }
}

#[test]
fn a_topic_counts_its_subscriptions() {
    let world = deployed();
    let arn = world.with(|state| state.aws.deployment.topic.as_ref().expect("a topic").arn.clone());
    world.with(|state| {
        let topic = state.aws.deployment.topic.as_mut().expect("a topic");
        (topic.confirmed, topic.pending) = (0, 2);
    });
    let (status, xml) = topic(&world, "eu-west-1", &arn);
    assert_eq!(status, 200, "{xml}");
    for (key, value) in [("SubscriptionsConfirmed", "0"), ("SubscriptionsPending", "2")] {
        assert!(xml.contains(&format!("<entry><key>{key}</key><value>{value}</value></entry>")), "{xml}");
    }
    let code = |region: &str, arn: &str| {
        let (status, xml) = topic(&world, region, arn);
        (status, all(&xml, "Code")[0].to_owned())
    };
    assert_eq!(code("eu-west-1", &format!("{arn}-other")), (404, "NotFound".to_owned()));
    assert_eq!(code("us-east-1", &arn), (400, "InvalidParameter".to_owned()));
    assert_eq!(code("eu-west-1", "topic"), (400, "InvalidParameter".to_owned()));
    world.with(|state| state.aws.denied.insert("sns:GetTopicAttributes".to_owned()));
    assert_eq!(code("eu-west-1", &arn), (403, "AuthorizationError".to_owned()));
}

#[test]
fn a_query_must_be_a_signed_form_for_its_service() {
    let world = deployed();
    let alarms = [("Action", "DescribeAlarms"), ("Version", "2010-08-01")];
    let code = |service: &str, fields: &[(&str, &str)]| {
        let (status, xml) = post(&world, "eu-west-1", service, fields);
        (status, all(&xml, "Code")[0].to_owned())
    };
    assert_eq!(code("cloudwatch", &alarms), (403, "SignatureDoesNotMatch".to_owned()));
    let mixed = [("Action", "DescribeAlarms"), ("Version", "2010-05-08")];
    assert_eq!(code("monitoring", &mixed), (400, "InvalidAction".to_owned()));
    world.with(|state| state.aws.denied.insert("cloudwatch:DescribeAlarms".to_owned()));
    assert_eq!(code("monitoring", &alarms), (403, "AccessDenied".to_owned()));
}
