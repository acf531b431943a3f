//! Checks that the deployment matches the code: variables, permissions, events, metrics and limits of
//! `infra/aws/template.yaml`.

mod network;
pub(crate) mod notices;
mod pattern;
pub(crate) mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hubkeeper::metrics;
use hubkeeper_core::config::{Cloud, Config, Environment};
use serde_json::{Value, json};
use template::{Template, list};

/// The account and Region of the examples in `events`.
const ACCOUNT: [(&str, &str); 3] =
    [("AWS::Partition", "aws"), ("AWS::Region", "eu-west-1"), ("AWS::AccountId", "111122223333")];

/// The ARN of the deployed function.
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the variables of the table in `docs/configuration.md`.
fn documented_variables() -> BTreeSet<String> {
    let page = read("docs/configuration.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split(" | ").next().unwrap().split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

/// Returns the function's environment in the template.
fn variables(template: &Template) -> BTreeMap<String, Value> {
    let variables = template.properties("HubkeeperFunction")["Environment"]["Variables"].as_object().unwrap();
    variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Returns the parameter or resource that a value refers to, with or without a condition.
fn referred(value: &Value) -> &str {
    let value = match value.get("Fn::If") {
        Some(parts) => {
            assert_eq!(parts[2], json!({"Ref": "AWS::NoValue"}), "without the parameter the variable is not set");
            &parts[1]
        }
        None => value,
    };
    value["Ref"].as_str().unwrap_or_else(|| panic!("{value} refers to nothing"))
}

/// Resolves a value with the template's defaults: replaces `Ref` and `Sub`.
fn resolve(template: &Template, value: &Value) -> Value {
    let known = |name: &str| {
        let account = ACCOUNT.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        account.or_else(|| template.default(name)).unwrap_or_else(|| panic!("{name} has no value here"))
    };
    match value {
        Value::Object(members) if members.contains_key("Ref") => json!(known(members["Ref"].as_str().unwrap())),
        Value::Object(members) if members.contains_key("Fn::GetAtt") => {
            assert_eq!(members["Fn::GetAtt"], json!(["HubkeeperFunction", "Arn"]), "nothing else is used in a pattern");
            json!(FUNCTION_ARN)
        }
        Value::Object(members) if members.contains_key("Fn::Sub") => {
            let mut text = members["Fn::Sub"].as_str().unwrap().to_owned();
            while let Some(from) = text.find("${") {
                let to = from + text[from..].find('}').unwrap();
                let value = known(&text[from + 2..to]);
                text.replace_range(from..=to, &value);
            }
            json!(text)
        }
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), resolve(template, value))).collect()
        }
        Value::Array(items) => items.iter().map(|item| resolve(template, item)).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_variable_can_be_set_by_a_parameter() {
    let template = Template::read();
    let variables = variables(&template);
    let parameters: BTreeSet<&str> = template.section("Parameters").keys().map(String::as_str).collect();
    for name in documented_variables() {
        let value = variables.get(&name).unwrap_or_else(|| panic!("{name} is not in the template"));
        if name == "HUBKEEPER_QUEUE_URL" {
            assert_eq!(referred(value), "WorkQueue");
        } else {
            assert!(parameters.contains(referred(value)), "{name} is not set by a parameter");
        }
    }
    assert_eq!(referred(&variables["AWS_ENDPOINT_URL"]), "AwsEndpointUrl");
    assert_eq!(referred(&variables["AWS_ENDPOINT_URL_STS"]), "StsEndpointUrl");
    // AWS_LAMBDA_LOG_LEVEL: Lambda sets it from the logging configuration, and from nowhere else
    let logging = &template.properties("HubkeeperFunction")["LoggingConfig"];
    assert_eq!(logging["LogFormat"], "JSON");
    assert_eq!(referred(&logging["ApplicationLogLevel"]), "LogLevel");
}

#[test]
fn the_proxy_is_not_echoed_and_not_set_by_default() {
    let template = Template::read();
    assert_eq!(template.section("Parameters")["HttpsProxy"]["NoEcho"], true);
    for (variable, parameter) in [("HTTPS_PROXY", "HttpsProxy"), ("NO_PROXY", "NoProxy")] {
        assert_eq!(template.default(parameter).as_deref(), Some(""));
        let value = &variables(&template)[variable];
        assert_eq!(referred(value), parameter);
        // the function treats an empty variable as not set, but other readers of the environment do not
        assert_eq!(value["Fn::If"][2]["Ref"], "AWS::NoValue", "{variable}");
    }
}

#[test]
fn the_template_sets_no_variable_that_the_code_does_not_know() {
    let documented = documented_variables();
    assert!(documented.len() > 15, "{documented:?}");
    for name in variables(&Template::read()).keys() {
        assert!(documented.contains(name) || name.starts_with("AWS_ENDPOINT_URL"), "{name} is not documented");
    }
}

#[test]
fn every_parameter_is_used_and_described() {
    let template = Template::read();
    let used = template.text.split("\nConditions:\n").nth(1).unwrap();
    let groups = template.json["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].to_string();
    for (name, parameter) in template.section("Parameters") {
        let refers = [format!("!Ref {name}"), format!("${{{name}}}")];
        assert!(refers.iter().any(|text| used.contains(text.as_str())), "{name} is not used");
        assert!(parameter["Description"].as_str().is_some_and(|text| text.len() > 10), "{name} is not described");
        assert!(groups.contains(&format!("\"{name}\"")), "{name} is in no group");
    }
}

#[test]
fn the_defaults_of_the_template_are_those_of_the_code() {
    let template = Template::read();
    let required = [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "client")];
    let required: Environment = required.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut environment = required.clone();
    for (name, value) in variables(&template) {
        // a condition leaves the variable unset while the parameter is empty, which is the default
        if value.get("Fn::If").is_some() || name == "HUBKEEPER_QUEUE_URL" || required.contains_key(&name) {
            continue;
        }
        environment.insert(name, template.default(referred(&value)).unwrap());
    }
    assert!(environment.len() > 10);
    assert_eq!(Config::parse(&environment).unwrap(), Config::parse(&required).unwrap());
}

#[test]
fn the_choices_of_the_template_are_those_of_the_code() {
    let template = Template::read();
    let base = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("HUBKEEPER_AZURE_CLIENT_SECRET_ID", "s")];
    for variable in ["HUBKEEPER_AZURE_AUTH", "HUBKEEPER_AZURE_CLOUD", "HUBKEEPER_OVER_PRIVILEGE"] {
        let parameter = referred(&variables(&template)[variable]).to_owned();
        let allowed = template.section("Parameters")[&parameter]["AllowedValues"].as_array().unwrap().clone();
        assert_eq!(allowed.len(), 2);
        for value in allowed {
            let mut environment: Environment = base.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            environment.insert(variable.to_owned(), value.as_str().unwrap().to_owned());
            Config::parse(&environment).unwrap_or_else(|problems| panic!("{parameter}={value}: {problems}"));
        }
    }
    for (variable, beyond) in [("HUBKEEPER_TOKEN_LIFETIME_DAYS", 1), ("HUBKEEPER_REVOKE_AFTER_HOURS", 1)] {
        let parameter = referred(&variables(&template)[variable]).to_owned();
        let parameter = &template.section("Parameters")[&parameter];
        for (bound, accepted) in [
            (parameter["MinValue"].as_i64().unwrap(), true),
            (parameter["MaxValue"].as_i64().unwrap(), true),
            (parameter["MaxValue"].as_i64().unwrap() + beyond, false),
        ] {
            let mut environment: Environment = base.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            environment.insert(variable.to_owned(), bound.to_string());
            assert_eq!(Config::parse(&environment).is_ok(), accepted, "{variable}={bound}");
        }
    }
}

/// Returns the AWS SDK calls in the source, as IAM actions.
fn calls() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for (service, file, client) in [
        ("secretsmanager", "src/clients/secrets_manager.rs", ".client."),
        ("sts", "src/clients/azure/assertion.rs", "client."),
        ("sqs", "src/fleet/queue.rs", "client."),
    ] {
        let text = read(file);
        // call chains may span lines
        let text: String = text.split_whitespace().collect();
        // the function's own HTTP client names no AWS action
        let text = text.replace("http_client.", "");
        for piece in text.split(client).skip(1) {
            let name: String = piece.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let camel: String = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
            // IAM authorizes SendMessageBatch as SendMessage
            calls.insert(format!("{service}:{}", camel.strip_suffix("Batch").unwrap_or(&camel)));
        }
    }
    calls
}

#[test]
fn the_role_may_what_the_code_calls_and_nothing_more() {
    let template = Template::read();
    let calls = calls();
    assert!(calls.len() >= 9, "{calls:?}");
    // actions that the platform performs for the function, and those of the customer key
    let platform = [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "events:PutEvents",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "kms:DescribeKey",
        // Lambda's, for a function in a VPC
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ];
    let expected: BTreeSet<String> = calls.into_iter().chain(platform.map(str::to_owned)).collect();
    let (allowed, denied): (Vec<_>, Vec<_>) =
        template.statements().into_iter().partition(|(_, statement)| statement["Effect"] == "Allow");
    let granted: BTreeSet<String> = allowed
        .iter()
        .flat_map(|(_, statement)| list(&statement["Action"]))
        .map(|action| action.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(granted, expected);
    assert_eq!(denied.len(), 1);
    assert_eq!((&denied[0].1["Sid"], &denied[0].1["Effect"]), (&json!("NotByTheCode"), &json!("Deny")));
    for (_, statement) in &allowed {
        assert!(statement.get("NotAction").is_none() && statement.get("NotResource").is_none());
        assert!(list(&statement["Action"]).iter().all(|action| !action.as_str().unwrap().contains('*')));
    }
}

#[test]
fn every_wildcard_resource_has_its_reason_beside_it() {
    let template = Template::read();
    let lines: Vec<&str> = template.text.lines().collect();
    let wildcards: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].trim() == "Resource: \"*\"").collect();
    assert_eq!(wildcards.len(), 5, "ListSecrets, GetWebIdentityToken, X-Ray, EC2 twice");
    for at in wildcards {
        assert!(lines[at - 1].trim().starts_with("# "), "line {}", at + 1);
    }
    let all = template.statements().into_iter().filter(|(_, statement)| statement["Resource"] == "*").count();
    assert_eq!(all, 5, "no wildcard is spelt in another way");
}

#[test]
fn values_are_written_under_the_prefix_alone_and_others_are_read_by_their_arns() {
    let template = Template::read();
    let own = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretNamePrefix}*";
    assert_eq!(template.statement("OwnSecrets")["Resource"], json!({"Fn::Sub": own}));
    let writing = ["PutSecretValue", "UpdateSecretVersionStage", "TagResource"];
    for (_, statement) in template.statements() {
        let writes = writing.iter().any(|action| statement["Action"].to_string().contains(action));
        assert_eq!(writes, statement["Sid"] == "OwnSecrets", "{statement}");
    }
    for (sid, condition, parameter) in [
        ("ManagerSecrets", "HasManagerSecrets", "ManagerSecretArns"),
        ("OwnerSecrets", "HasOwnerSecrets", "OwnerSecretArns"),
        ("AzureClientSecret", "IsClientSecret", "AzureClientSecretArn"),
    ] {
        let statement = template.statements().into_iter().find(|(_, statement)| statement["Sid"] == sid).unwrap();
        let expected = json!({
            "Sid": sid, "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": {"Ref": parameter},
        });
        assert_eq!(statement, (Some(condition.to_owned()), expected));
    }
}

// The emulator of the end-to-end tests does not evaluate what the next two tests check.

#[test]
fn the_assertion_is_limited_by_audience_algorithm_and_duration() {
    let template = Template::read();
    let statements = template.statements();
    let (condition, statement) = statements.iter().find(|(_, found)| found["Sid"] == "AssertionForEntra").unwrap();
    assert_eq!(condition.as_deref(), Some("IsFederated"));
    assert_eq!(statement["Action"], "sts:GetWebIdentityToken");
    let source = read("src/clients/azure/assertion.rs");
    let duration = source.split("const DURATION: i32 = ").nth(1).unwrap().split(';').next().unwrap();
    let expected = json!({
        // a plain StringEquals would deny: the key holds several values
        "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": {"Fn::If": [
            "IsUsGovernment", Cloud::UsGovernment.audience(), Cloud::Public.audience(),
        ]}},
        "Null": {"sts:IdentityTokenAudience": "false"},
        "StringEquals": {"sts:SigningAlgorithm": "RS256"},
        "NumericLessThanEquals": {"sts:DurationSeconds": duration.parse::<i64>().unwrap()},
    });
    assert_eq!(statement["Condition"], expected);
    assert!(source.contains(".signing_algorithm(\"RS256\")"));
}

#[test]
fn a_customer_key_is_used_for_these_secrets_through_secrets_manager_alone() {
    let template = Template::read();
    let via = json!({"kms:ViaService": {"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}});
    let key: Vec<_> =
        template.statements().into_iter().filter(|(_, found)| found["Action"].to_string().contains("kms:")).collect();
    assert_eq!(key.len(), 5);
    for (condition, statement) in key {
        let sid = statement["Sid"].as_str().unwrap();
        assert!(condition.unwrap().starts_with("HasKmsKey"), "{sid}");
        assert_eq!(statement["Resource"], json!({"Ref": "KmsKeyArn"}), "{sid}");
        let equal = &statement["Condition"]["StringEquals"];
        assert_eq!(equal["kms:ViaService"], via["kms:ViaService"], "{sid}");
        let context = "kms:EncryptionContext:SecretARN";
        let secrets = statement["Condition"]["StringLike"].get(context).or(equal.get(context));
        // a statement that allows reading values also allows decrypting them, and nothing else with that key
        let of = |sid: &str| template.statement(sid)["Resource"].clone();
        match sid {
            "KeyOfOwnSecrets" => assert_eq!(secrets, Some(&of("OwnSecrets"))),
            "KeyOfManagerSecrets" => assert_eq!(secrets, Some(&of("ManagerSecrets"))),
            "KeyOfOwnerSecrets" => assert_eq!(secrets, Some(&of("OwnerSecrets"))),
            "KeyOfAzureClientSecret" => assert_eq!(secrets, Some(&of("AzureClientSecret"))),
            "KeyOfSecrets" => assert_eq!((secrets, &statement["Action"]), (None, &json!("kms:DescribeKey"))),
            other => panic!("{other}"),
        }
        if statement["Action"].to_string().contains("GenerateDataKey") {
            assert_eq!(sid, "KeyOfOwnSecrets", "only what is written is encrypted");
        }
    }
}

#[test]
fn what_the_platform_does_in_the_function_s_name_is_limited_to_the_stack() {
    let template = Template::read();
    for (sid, resource) in [
        ("Queue", json!({"Fn::GetAtt": ["WorkQueue", "Arn"]})),
        (
            "Notices",
            json!({"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"}),
        ),
        (
            "OwnLogs",
            json!({"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/lambda/${AWS::StackName}:*"}),
        ),
    ] {
        assert_eq!(template.statement(sid)["Resource"], resource, "{sid}");
    }
    assert_eq!(
        template.properties("FunctionLogs")["LogGroupName"],
        json!({"Fn::Sub": "/aws/lambda/${AWS::StackName}"})
    );
}

#[test]
fn secrets_manager_may_invoke_the_function_for_this_account() {
    let template = Template::read();
    let permission = template.properties("RotationPermission");
    assert_eq!(permission["Principal"], "secretsmanager.amazonaws.com");
    assert_eq!(permission["SourceAccount"], json!({"Ref": "AWS::AccountId"}));
    assert!(permission.get("SourceArn").is_none(), "an ARN would pin the function to one secret");
    let schedule = &template.section("Resources")["ManagedSecretRotation"];
    assert_eq!(schedule["DependsOn"], "RotationPermission");
    assert_eq!(schedule["Properties"]["RotateImmediatelyOnUpdate"], false);
}

#[test]
fn every_rule_matches_the_examples_that_it_is_for_and_no_other() {
    let template = Template::read();
    let for_rule: BTreeMap<&str, &[&str]> = BTreeMap::from([
        // its event comes from Lambda and is for people, not for the function
        ("FailedEventRule", &[][..]),
        ("LabelRule", &["secret-label-updated-candidate.json", "secret-label-updated-current.json"][..]),
        ("RotationEndedRule", &["rotation-abandoned.json", "rotation-failed.json"][..]),
    ]);
    let rules = template.of_type("AWS::Events::Rule");
    assert_eq!(rules.keys().collect::<Vec<_>>(), for_rule.keys().collect::<Vec<_>>());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    let mut examples: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    examples.sort();
    for (rule, properties) in rules {
        let pattern = resolve(&template, &properties["EventPattern"]);
        let matched: Vec<&String> = examples
            .iter()
            .filter(|name| {
                let event = serde_json::from_str(&read(&format!("events/{name}"))).unwrap();
                pattern::matches(&pattern, &event)
            })
            .collect();
        assert_eq!(matched, for_rule[rule], "{rule}");
    }
}

#[test]
fn rules_are_for_secrets_under_the_prefix_in_each_spelling() {
    let template = Template::read();
    let pattern = |rule| resolve(&template, &template.properties(rule)["EventPattern"]);
    let mut label: Value = serde_json::from_str(&read("events/secret-label-updated-current.json")).unwrap();
    label["detail"]["name"] = json!("database/orders");
    assert!(!pattern::matches(&pattern("LabelRule"), &label));

    let mut failed: Value = serde_json::from_str(&read("events/rotation-failed.json")).unwrap();
    let arn = failed["detail"]["additionalEventData"]["SecretId"].clone();
    failed["detail"]["additionalEventData"] = Value::Null;
    assert!(!pattern::matches(&pattern("RotationEndedRule"), &failed));
    failed["detail"]["serviceEventDetails"] = json!({"secretId": arn});
    assert!(pattern::matches(&pattern("RotationEndedRule"), &failed));
    failed["detail"]["serviceEventDetails"] =
        json!({"secretId": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:database/orders-AbCdEf"});
    assert!(!pattern::matches(&pattern("RotationEndedRule"), &failed));
    failed["detail"]["serviceEventDetails"] = json!({"secretId": arn});
    failed["detail"]["eventName"] = json!("RotationStarted");
    assert!(!pattern::matches(&pattern("RotationEndedRule"), &failed));
}

#[test]
fn a_record_of_this_function_alone_is_a_notice() {
    let template = Template::read();
    let pattern = resolve(&template, &template.properties("FailedEventRule")["EventPattern"]);
    let mut event = notices::failed_event();
    assert!(pattern::matches(&pattern, &event));
    event["detail-type"] = json!("Lambda Function Invocation Result - Success");
    assert!(!pattern::matches(&pattern, &event));
    let mut other = notices::failed_event();
    other["detail"]["requestContext"]["functionArn"] =
        json!("arn:aws:lambda:eu-west-1:111122223333:function:orders:$LATEST");
    assert!(!pattern::matches(&pattern, &other));
}

#[test]
fn the_schedule_sends_the_example_s_reconcile() {
    let template = Template::read();
    let target = &template.properties("DailyReconcile")["Target"];
    let input: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
    assert_eq!(input, serde_json::from_str::<Value>(&read("events/reconcile.json")).unwrap());
    assert_eq!(target["Arn"], json!({"Fn::GetAtt": ["HubkeeperFunction", "Arn"]}));
}

#[test]
fn every_alarm_s_metric_is_one_that_is_emitted() {
    let template = Template::read();
    let alarms = template.of_type("AWS::CloudWatch::Alarm");
    let mut seen = BTreeSet::new();
    for (name, alarm) in &alarms {
        let metric = alarm["MetricName"].as_str().unwrap();
        let dimensions = list(&alarm["Dimensions"]);
        let dimensions: BTreeSet<&str> = dimensions.iter().map(|entry| entry["Name"].as_str().unwrap()).collect();
        match alarm["Namespace"].as_str().unwrap() {
            metrics::NAMESPACE => {
                assert!(metrics::METRICS.iter().any(|known| known.name == metric), "{name}: {metric} is not emitted");
                let known =
                    metrics::DIMENSIONS.iter().any(|set| set.iter().copied().collect::<BTreeSet<_>>() == dimensions);
                assert!(known, "{name}: nothing is emitted under {dimensions:?}");
                assert!(!dimensions.contains("Organization"), "{name}");
            }
            "AWS/Lambda" => {
                assert!(["Errors", "Throttles"].contains(&metric), "{name}");
                assert_eq!(dimensions, BTreeSet::from(["FunctionName"]), "{name}");
            }
            "AWS/SQS" => {
                assert_eq!(metric, "ApproximateNumberOfMessagesVisible", "{name}");
                assert_eq!(dimensions, BTreeSet::from(["QueueName"]), "{name}");
            }
            other => panic!("{name}: {other}"),
        }
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "NoticeTopic"}]), "{name} tells nobody");
        let description = alarm["AlarmDescription"]["Fn::Sub"].as_str().unwrap();
        assert!((80..900).contains(&description.len()), "{name} does not say what to do");
        let anchor = name.to_lowercase();
        assert!(description.ends_with(&format!("Runbook: ${{RunbookUrl}}#{anchor}")), "{name}");
        seen.insert(metric.to_owned());
    }
    for wanted in [
        "Errors",
        "Throttles",
        "ApproximateNumberOfMessagesVisible",
        "Succeeded",
        "DaysLeft",
        "VerdictComplete",
        "Failed",
        "Unproven",
    ] {
        assert!(seen.contains(wanted), "there is no alarm on {wanted}");
    }
    let missing = &alarms["ReconcileMissingAlarm"];
    assert_eq!(missing["Period"].as_i64().unwrap() * missing["EvaluationPeriods"].as_i64().unwrap(), 26 * 3600);
    // a new stack is not in ALARM, and a schedule that stops has the same action
    assert_eq!(missing["TreatMissingData"], "missing");
    assert_eq!(missing["InsufficientDataActions"], missing["AlarmActions"]);
    assert_eq!(missing["Dimensions"][1]["Value"], "reconcile");
}

#[test]
fn the_dashboard_and_its_searches_name_what_is_emitted() {
    let template = Template::read();
    let body = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"].as_str().unwrap();
    let searches: Vec<&str> = body.split("SEARCH('{").skip(1).collect();
    assert!(searches.len() >= 9);
    for search in searches {
        let (schema, rest) = search.split_once("} MetricName=\\\"").unwrap();
        let metric = rest.split('\\').next().unwrap();
        let (namespace, dimensions) = schema.split_once(',').unwrap();
        assert_eq!(namespace, metrics::NAMESPACE);
        let dimensions: BTreeSet<&str> = dimensions.split(',').collect();
        let has = |sets: &[&[&str]]| sets.iter().any(|set| set.iter().copied().collect::<BTreeSet<_>>() == dimensions);
        let of_report = metrics::METRICS.iter().any(|known| known.name == metric) && has(&metrics::DIMENSIONS);
        let of_service =
            metrics::TRAFFIC_METRICS.iter().any(|known| known.name == metric) && has(&metrics::TRAFFIC_DIMENSIONS);
        assert!(of_report || of_service, "{metric} {dimensions:?}");
    }
    let filled = ["DaysLeftAlarm", "RunbookUrl"]
        .iter()
        .fold(body.to_owned(), |body, name| body.replace(&format!("${{{name}}}"), &template.default(name).unwrap()));
    let widgets: Value = serde_json::from_str(&filled).unwrap();
    let widgets = widgets["widgets"].as_array().unwrap();
    let first = &widgets[0];
    assert_eq!((&first["type"], &first["properties"]["endpoint"]), (&json!("custom"), &json!("${StatusAlias}")));
    // no widget overlaps another
    let square = |widget: &Value| ["x", "y", "width", "height"].map(|name| widget[name].as_u64().unwrap());
    for (at, widget) in widgets.iter().enumerate() {
        let [x, y, width, height] = square(widget);
        assert!(x + width <= 24, "{widget}");
        for other in &widgets[at + 1..] {
            let [left, top, wide, high] = square(other);
            let apart = left >= x + width || x >= left + wide || top >= y + height || y >= top + high;
            assert!(apart, "{widget} overlaps {other}");
        }
    }
    for alarm in template.of_type("AWS::CloudWatch::Alarm").keys() {
        assert!(body.contains(&format!("${{{alarm}.Arn}}")), "{alarm} is not on the dashboard");
    }
}

#[test]
fn the_limits_fit_together() {
    let template = Template::read();
    let function = template.properties("HubkeeperFunction");
    let timeout = function["Timeout"].as_i64().unwrap();
    assert_eq!(timeout, 900);
    assert!(function.get("ReservedConcurrentExecutions").is_none(), "below ten, rotations starve");
    assert_eq!(function["Runtime"], "provided.al2023");
    assert_eq!(template.default("Architecture").unwrap(), "arm64");
    let queue = template.properties("WorkQueue");
    assert!(queue["VisibilityTimeout"].as_i64().unwrap() >= 6 * timeout);
    assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], 3);
    let mapping = template.properties("WorkQueueMapping");
    assert_eq!(mapping["BatchSize"], 1);
    assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert_eq!(mapping["ScalingConfig"]["MaximumConcurrency"], 2);
    // the metrics are lines of level INFO, and a higher level would drop them
    let levels = &template.section("Parameters")["LogLevel"]["AllowedValues"];
    assert_eq!(levels, &json!(["TRACE", "DEBUG", "INFO"]));
    let secret = &template.section("Resources")["ManagedSecret"];
    assert_eq!((&secret["DeletionPolicy"], &secret["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")));
}

#[test]
fn viewers_of_the_dashboard_may_invoke_the_alias_alone() {
    let template = Template::read();
    let alias = template.properties("StatusAlias");
    assert_eq!((&alias["Name"], &alias["FunctionVersion"]), (&json!("status"), &json!("$LATEST")));
    let statements = &template.properties("StatusViewerPolicy")["PolicyDocument"]["Statement"];
    let expected = json!([{
        "Sid": "StatusWidget", "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": {"Ref": "StatusAlias"},
    }]);
    assert_eq!(statements, &expected);
}

#[test]
fn a_failure_is_told_to_the_topic() {
    let template = Template::read();
    let failure = &template.properties("HubkeeperFunction")["EventInvokeConfig"]["DestinationConfig"]["OnFailure"];
    assert_eq!(failure, &json!({"Type": "EventBridge", "Destination": template.statement("Notices")["Resource"]}));
    for (name, rule) in template.of_type("AWS::Events::Rule") {
        let targets = list(&rule["Targets"]);
        for target in &targets {
            assert_eq!(target["DeadLetterConfig"]["Arn"], json!({"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}), "{name}");
        }
        let dead_letters = template.properties("DeadLetterQueuePolicy").to_string();
        assert!(dead_letters.contains(&format!("\"{name}\"")), "{name} may not send to the dead-letter queue");
        // each target has the permission that the rule needs
        let topic = template.properties("NoticeTopicPolicy").to_string();
        let people = targets.iter().any(|target| target["Arn"] == json!({"Ref": "NoticeTopic"}));
        assert_eq!(people, topic.contains(&format!("\"{name}\"")), "{name}");
        let invokes = targets.iter().any(|target| target["Arn"] == json!({"Fn::GetAtt": ["HubkeeperFunction", "Arn"]}));
        let allowed = template.of_type("AWS::Lambda::Permission").into_values().any(|permission| {
            permission["Principal"] == "events.amazonaws.com"
                && permission["SourceArn"] == json!({"Fn::GetAtt": [name, "Arn"]})
        });
        assert_eq!(invokes, allowed, "{name}");
    }
    let policy = template.properties("NoticeTopicPolicy").to_string();
    assert!(policy.contains("events.amazonaws.com") && policy.contains("cloudwatch.amazonaws.com"));
}

#[test]
fn the_secret_that_the_stack_makes_is_one_that_the_code_reads() {
    let template = Template::read();
    let text = template.properties("ManagedSecret")["SecretString"]["Fn::Sub"].as_str().unwrap();
    let mut value = text.to_owned();
    for (name, filled) in [
        ("ManagedOrganization", "acme"),
        ("ManagedUsername", "acmescanner"),
        ("ManagedManagerArn", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper-manager/acme-AbCdEf"),
        ("ManagedSubscriptionId", "00000000-0000-4000-8000-000000000001"),
        ("ManagedResourceGroup", "rg-security"),
        ("ManagedConnectorName", "dockerhub-acme"),
        ("ManagedLocation", "westeurope"),
    ] {
        assert!(value.contains(&format!("${{{name}}}")), "{name} is not in the secret");
        value = value.replace(&format!("${{{name}}}"), filled);
    }
    let document = hubkeeper_core::secret::Document::parse(&value.into());
    let document = document.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(document.organization, "acme");
    assert!(document.access_token.is_none() && document.manager.is_some());
}

#[test]
fn the_client_secret_s_id_is_set_where_it_is_used() {
    let variable = &variables(&Template::read())["HUBKEEPER_AZURE_CLIENT_SECRET_ID"];
    assert_eq!(variable["Fn::If"][0], "IsClientSecret");
    assert_eq!(referred(variable), "AzureClientSecretArn");
}
