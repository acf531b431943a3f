//! Stacks of `CloudFormation` and buckets of S3.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::*;

const TEMPLATE: &str = r#"{"Parameters": {"Name": {"Type": "String"}, "Proxy": {"Type": "String", "Default": "", "NoEcho": true}},
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Name"}}},
    "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}}}"#;

/// Calls `CloudFormation`. Returns the status and the text of the response.
fn ask(world: &World, action: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", "2010-05-15").extend_pairs(fields);
    let request = http::Request::post("https://aws.example/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", signed("eu-west-1", "cloudformation"))
        .body(Bytes::from(form.finish()))
        .expect("a request");
    let response = world.call(Service::Aws, request).expect("a response");
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

fn between<'a>(text: &'a str, name: &str) -> &'a str {
    let rest = text.split(&format!("<{name}>")).nth(1).unwrap_or_else(|| panic!("no {name}: {text}"));
    rest.split("</").next().unwrap_or_default()
}

/// Creates a change set. Returns its id, or the response.
fn change_set(world: &World, kind: &str, more: &[(&str, &str)]) -> Result<String, String> {
    let mut fields = vec![
        ("StackName", "s"),
        ("ChangeSetName", "c"),
        ("ChangeSetType", kind),
        ("TemplateBody", TEMPLATE),
        ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
    ];
    fields.extend(more);
    let (status, text) = ask(world, "CreateChangeSet", &fields);
    if status == 200 { Ok(between(&text, "Id").to_owned()) } else { Err(text) }
}

fn named(name: &str) -> [(&'static str, &str); 2] {
    [("Parameters.member.1.ParameterKey", "Name"), ("Parameters.member.1.ParameterValue", name)]
}

#[test]
fn a_change_set_is_computed_executed_and_followed() {
    let (world, _) = world();
    let of_stack = [("StackName", "s")];
    assert_eq!(ask(&world, "DescribeStacks", &of_stack).0, 400);
    let wrong = change_set(&world, "CREATE", &[]).unwrap_err();
    assert!(wrong.contains("Parameters: [Name] must have values"), "{wrong}");
    assert!(change_set(&world, "UPDATE", &named("a")).unwrap_err().contains("does not exist"));
    let id = change_set(&world, "CREATE", &named("a")).unwrap();
    assert!(ask(&world, "DescribeStacks", &of_stack).1.contains("REVIEW_IN_PROGRESS"));
    let set = [("ChangeSetName", id.as_str())];
    assert!(ask(&world, "ExecuteChangeSet", &set).1.contains("InvalidChangeSetStatus"), "it is not computed yet");
    assert!(ask(&world, "DescribeChangeSet", &set).1.contains("CREATE_IN_PROGRESS"));
    let (_, first) = ask(&world, "DescribeChangeSet", &set);
    assert!(first.contains("<LogicalResourceId>Queue<") && first.contains("NextToken"), "{first}");
    let (_, second) = ask(&world, "DescribeChangeSet", &[set[0], ("NextToken", "after-1")]);
    assert!(second.contains("<LogicalResourceId>Role<") && !second.contains("NextToken"), "{second}");
    assert_eq!(ask(&world, "ExecuteChangeSet", &set).0, 200);
    assert!(ask(&world, "DescribeStacks", &of_stack).1.contains("CREATE_IN_PROGRESS"));
    let (_, done) = ask(&world, "DescribeStacks", &of_stack);
    assert!(done.contains("CREATE_COMPLETE") && done.contains("<OutputKey>FunctionName<"), "{done}");
    assert!(done.contains("<ParameterKey>Proxy</ParameterKey><ParameterValue>****<"), "a hidden value is not shown");
    let (_, events) = ask(&world, "DescribeStackEvents", &of_stack);
    assert_eq!(between(&events, "ResourceStatus"), "CREATE_COMPLETE", "the newest event comes first");
    // the same once more has no changes, and a value that the stack has may be kept
    let kept = [("Parameters.member.1.ParameterKey", "Name"), ("Parameters.member.1.UsePreviousValue", "true")];
    let id = change_set(&world, "UPDATE", &kept).unwrap();
    let set = [("ChangeSetName", id.as_str())];
    ask(&world, "DescribeChangeSet", &set);
    let (_, same) = ask(&world, "DescribeChangeSet", &set);
    assert!(same.contains("FAILED") && same.contains("didn't contain changes"), "{same}");
    assert!(change_set(&world, "CREATE", &named("a")).unwrap_err().contains("already exists"));
    assert_eq!(ask(&world, "DeleteStack", &of_stack).0, 200);
    ask(&world, "DescribeStacks", &of_stack);
    assert_eq!(ask(&world, "DescribeStacks", &of_stack).0, 400, "a deleted stack has no name");
}

#[test]
fn a_request_that_is_repeated_with_its_token_is_done_once() {
    let (world, _) = world();
    let with = |token: &'static str| [&named("a")[..], &[("ClientToken", token)]].concat();
    let id = change_set(&world, "CREATE", &with("one")).unwrap();
    assert_eq!(change_set(&world, "CREATE", &with("one")), Ok(id.clone()));
    for other in [with("two"), named("a").to_vec()] {
        let refused = change_set(&world, "CREATE", &other).unwrap_err();
        assert!(refused.contains("ChangeSet [c] already exists"), "{refused}");
    }
    assert_eq!(world.with(|state| state.aws.stacks.stacks["s"].change_sets()), 1);
    let execute = [("ChangeSetName", id.as_str()), ("ClientRequestToken", "t")];
    ask(&world, "DescribeChangeSet", &execute[..1]);
    ask(&world, "DescribeChangeSet", &execute[..1]);
    assert_eq!(ask(&world, "ExecuteChangeSet", &execute).0, 200);
    assert_eq!(ask(&world, "ExecuteChangeSet", &execute).0, 200);
    assert!(ask(&world, "ExecuteChangeSet", &execute[..1]).1.contains("ChangeSetNotFound"));
    assert_eq!(world.with(|state| state.aws.stacks.stacks["s"].events.len()), 1, "it is executed once");
    // a change set is deleted by its name, too
    for _ in 0..2 {
        ask(&world, "DescribeStacks", &[("StackName", "s")]);
    }
    change_set(&world, "UPDATE", &named("b")).unwrap();
    assert_eq!(ask(&world, "DeleteChangeSet", &[("StackName", "s"), ("ChangeSetName", "c")]).0, 200);
    assert_eq!(world.with(|state| state.aws.stacks.stacks["s"].change_sets()), 0);
}

/// Calls S3. Returns the status and the body.
fn object(world: &World, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let digest = Sha256::digest(body).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("https://aws.example{path}"))
        .header("authorization", signed("eu-west-1", "s3"))
        .header("x-amz-content-sha256", digest);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = world.call(Service::Aws, request.body(Bytes::from(body.to_owned())).expect("a request"));
    let response = response.expect("a response");
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

#[test]
fn a_bucket_keeps_versions_and_belongs_to_its_account() {
    let (world, _) = world();
    assert_eq!(object(&world, "HEAD", "/b/", "", &[]), (404, String::new()));
    let here = "<LocationConstraint>eu-west-1</LocationConstraint>";
    assert_eq!(object(&world, "PUT", "/b/", "", &[]).0, 400, "outside of us-east-1 the Region must be named");
    assert_eq!(object(&world, "PUT", "/b/", here, &[]).0, 200);
    assert_eq!(object(&world, "PUT", "/b/", here, &[]).0, 409);
    let versions = "<Status>Enabled</Status>";
    assert_eq!(object(&world, "PUT", "/b/?versioning=", versions, &[]).0, 400, "the body needs a checksum");
    assert_eq!(object(&world, "PUT", "/b/?versioning=", versions, &[("x-amz-checksum-sha256", "x")]).0, 200);
    for body in ["one", "two"] {
        assert_eq!(object(&world, "PUT", "/b/f/k", body, &[]).0, 200);
    }
    assert_eq!(object(&world, "GET", "/b/f/k", "", &[]), (200, "two".to_owned()));
    assert_eq!(object(&world, "GET", "/b/f/none", "", &[]).0, 404);
    let (_, listed) = object(&world, "GET", "/b/?prefix=f%2F&versions=", "", &[]);
    assert_eq!(listed.matches("<Version>").count(), 2, "{listed}");
    let version = between(&listed, "VersionId");
    assert_eq!(object(&world, "DELETE", &format!("/b/f/k?versionId={version}"), "", &[]).0, 200);
    let (_, listed) = object(&world, "GET", "/b/?prefix=f%2F&versions=", "", &[]);
    assert_eq!(listed.matches("<Version>").count(), 1, "{listed}");
    assert_eq!(object(&world, "DELETE", "/b/", "", &[]).0, 409, "it holds an object");
    let version = between(&listed, "VersionId");
    assert_eq!(object(&world, "DELETE", &format!("/b/f/k?versionId={version}"), "", &[]).0, 200);
    assert_eq!(object(&world, "HEAD", "/b/", "", &[("x-amz-expected-bucket-owner", "444455556666")]).0, 403);
    assert_eq!(object(&world, "DELETE", "/b/", "", &[]).0, 200);
    assert_eq!(object(&world, "DELETE", "/b/", "", &[]).0, 404);
}
