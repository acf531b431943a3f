//! Scheduler, and the stack.

use super::*;
use crate::scene;

fn get(world: &World, path: &str, region: &str, service: &str) -> (u16, Value, String) {
    let request = http::Request::get(format!("https://aws.example{path}"))
        .header("authorization", signed(region, service))
        .body(Bytes::new())
        .expect("a request");
    assert!(!is_write(&request));
    let response = world.call(Service::Aws, request).expect("a response");
    assert_eq!(world.record().last().expect("a record").line(), format!("GET {path}"));
    let kind = response.headers().get("x-amzn-errortype").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    (response.status().as_u16(), serde_json::from_slice(response.body()).expect("JSON"), kind.to_owned())
}

#[test]
fn a_schedule_is_read_by_its_name_in_its_group() {
    let (world, _) = world();
    world.with(scene::deploy);
    let path = "/schedules/hubkeeper-DailyReconcile-sandbox";
    let read = |path: &str, region: &str| get(&world, path, region, "scheduler");
    let (status, body, _) = read(path, "eu-west-1");
    assert_eq!((status, &body["State"], &body["GroupName"]), (200, &json!("ENABLED"), &json!("default")));
    assert_eq!(body["ScheduleExpression"], "rate(1 day)");
    assert_eq!(body["Target"]["Input"], r#"{"action": "reconcile"}"#);
    assert!(body["Target"]["Arn"].as_str().expect("an ARN").ends_with(":function:hubkeeper-HubkeeperFunction-sandbox"));
    world.with(|state| state.aws.deployment.schedule.as_mut().expect("a schedule").enabled = false);
    assert_eq!(read(&format!("{path}?groupName=default"), "eu-west-1").1["State"], "DISABLED");
    for (path, region, status, kind) in [
        (&format!("{path}?groupName=other"), "eu-west-1", 404, "ResourceNotFoundException"),
        (&path.to_owned(), "us-east-1", 404, "ResourceNotFoundException"),
        (&"/schedules/none".to_owned(), "eu-west-1", 404, "ResourceNotFoundException"),
        (&"/schedules/a%20b".to_owned(), "eu-west-1", 400, "ValidationException"),
    ] {
        let (found, body, named) = read(path, region);
        assert_eq!((found, named.as_str()), (status, kind), "{path}");
        assert!(body["Message"].is_string());
    }
    assert_eq!(get(&world, path, "eu-west-1", "events").2, "InvalidSignatureException");
    world.with(|state| state.aws.denied.insert("scheduler:GetSchedule".to_owned()));
    let (status, body, kind) = read(path, "eu-west-1");
    assert_eq!((status, kind.as_str()), (403, "AccessDeniedException"));
    assert!(
        body["Message"].as_str().expect("a message").contains("to perform: scheduler:GetSchedule on resource: arn:")
    );
}

#[test]
fn a_schedule_is_not_written() {
    let (world, _) = world();
    let request = http::Request::put("/schedules/any")
        .header("authorization", signed("eu-west-1", "scheduler"))
        .body(Bytes::new())
        .expect("a request");
    assert!(is_write(&request));
    assert_eq!(world.call(Service::Aws, request).expect("a response").status(), 405);
    let unsigned = http::Request::get("/schedules/any").body(Bytes::new()).expect("a request");
    assert_eq!(world.call(Service::Aws, unsigned).expect("a response").status(), 403);
}

/// The logical ids of the template, with their types, except for the optional ones.
fn template() -> Vec<(String, String)> {
    let text = include_str!("../../../../../infra/aws/template.yaml");
    let (_, resources) = text.split_once("\nResources:\n").expect("resources");
    let (resources, _) = resources.split_once("\nOutputs:\n").expect("outputs");
    let mut found: Vec<(String, String)> = Vec::new();
    for line in resources.lines() {
        let id = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':'));
        if let Some(id) = id.filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            found.push((id.to_owned(), String::new()));
        } else if let Some(kind) = line.strip_prefix("    Type: ") {
            found.last_mut().expect("an id").1 = kind.replace("Serverless", "Lambda");
        } else if line.starts_with("    Condition: ") {
            found.pop();
        }
    }
    // the transform of the function's EventInvokeConfig
    found.push(("HubkeeperFunctionEventInvokeConfig".to_owned(), "AWS::Lambda::EventInvokeConfig".to_owned()));
    found.sort();
    found
}

#[test]
fn the_stack_has_what_the_template_deploys() {
    let (world, _) = world();
    world.with(scene::deploy);
    let deployment = world.with(|state| state.aws.deployment.clone());
    let mut resources: Vec<_> =
        deployment.resources.iter().map(|resource| (resource.logical_id.clone(), resource.kind.clone())).collect();
    resources.sort();
    assert_eq!(resources, template());
    let alarms: Vec<_> = deployment.alarms.iter().map(|alarm| alarm.name.as_str()).collect();
    let in_stack: Vec<_> = deployment
        .resources
        .iter()
        .filter(|resource| resource.kind == "AWS::CloudWatch::Alarm")
        .map(|resource| resource.physical_id.as_str())
        .collect();
    assert_eq!(alarms, in_stack);
    let text = include_str!("../../../../../infra/aws/template.yaml");
    for alarm in &deployment.alarms {
        assert!(
            text.contains(&format!("Namespace: {}\n      MetricName: {}\n", alarm.namespace, alarm.metric)),
            "{alarm:?}"
        );
    }
    let (_, outputs) = text.split_once("\nOutputs:\n").expect("outputs");
    for name in deployment.outputs.keys() {
        assert!(outputs.contains(&format!("  {name}:\n")), "{name}");
    }
    assert_eq!(deployment.role_arn, world.with(|state| state.aws.sts.role_arn.clone()));
}
