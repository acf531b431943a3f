//! Tests of AWS's APIs over a runtime written in shell.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn deployed() -> (World, Deployed) {
    let world = World::new();
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lambda/runtime.sh"));
    let environment = [("EXTRA".to_owned(), "given".to_owned())];
    let deployed = Deployed::start(&world, script, &environment).await.expect("a function");
    (world, deployed)
}

/// Sends one request. Returns the head and the body of the response.
async fn send(deployed: &Deployed, line: &str, scope: &str, media: &str, body: &str) -> (String, String) {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", deployed.port)).await.expect("a connection");
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential=AKID/20261129/{scope}/aws4_request, SignedHeaders=host, Signature=00");
    let request = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {authorization}\r\ncontent-type: {media}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("a response");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

async fn invoke(deployed: &Deployed, event: Value) -> (String, Value) {
    let line = format!("POST /2015-03-31/functions/{FUNCTION}/invocations");
    let (head, body) = send(deployed, &line, "eu-west-1/lambda", "application/json", &event.to_string()).await;
    (head, serde_json::from_str(&body).expect("JSON"))
}

async fn configuration(deployed: &Deployed, scope: &str) -> (String, Value) {
    let line = format!("GET /2015-03-31/functions/{FUNCTION}/configuration");
    let (head, body) = send(deployed, &line, scope, "application/json", "").await;
    (head, serde_json::from_str(&body).expect("JSON"))
}

async fn stack(deployed: &Deployed, region: &str, form: &str) -> (String, String) {
    let form = format!("Version=2010-05-15&{form}");
    let scope = format!("{region}/cloudformation");
    send(deployed, "POST /", &scope, "application/x-www-form-urlencoded", &form).await
}

fn is(head: &str, status: u16) -> bool {
    head.starts_with(&format!("HTTP/1.1 {status} "))
}

#[tokio::test]
async fn the_configuration_shows_the_deployment() {
    let (world, deployed) = deployed().await;
    let (head, shown) = configuration(&deployed, "eu-west-1/lambda").await;
    assert!(is(&head, 200), "{head}");
    let role = world.with(|state| state.aws.sts.role_arn.clone());
    assert_eq!((&shown["Role"], &shown["Timeout"], &shown["MemorySize"]), (&json!(role), &json!(900), &json!(256)));
    assert_eq!((&shown["State"], &shown["LastUpdateStatus"]), (&json!("Active"), &json!("Successful")));
    assert_eq!((&shown["Architectures"], &shown["Version"]), (&json!(["arm64"]), &json!("$LATEST")));
    assert_eq!(shown["Environment"]["Variables"]["EXTRA"], "given");
    assert!(shown["CodeSha256"].as_str().is_some_and(|digest| digest.len() == 44));
    assert!(shown["LastModified"].as_str().is_some_and(|at| at.ends_with("+0000")));
    world.with(|state| {
        state.aws.deployment.function.timeout = 3;
        state.aws.deployment.role_arn = "arn:aws:iam::111122223333:role/other".to_owned();
        state.aws.deployment.function.last_update_status = "Failed".to_owned();
    });
    let (_, shown) = configuration(&deployed, "eu-west-1/lambda").await;
    assert_eq!((&shown["Timeout"], &shown["LastUpdateStatus"]), (&json!(3), &json!("Failed")));
    assert_eq!(shown["Role"], "arn:aws:iam::111122223333:role/other");
}

#[tokio::test]
async fn other_regions_services_and_callers_are_refused() {
    let (world, deployed) = deployed().await;
    let kind = |head: &str| head.lines().find_map(|line| line.strip_prefix("x-amzn-errortype: ").map(str::to_owned));
    let (head, _) = configuration(&deployed, "us-east-1/lambda").await;
    assert_eq!((is(&head, 404), kind(&head).as_deref()), (true, Some("ResourceNotFoundException")));
    let name = world.with(|state| std::mem::take(&mut state.aws.deployment.function.name));
    assert!(is(&configuration(&deployed, "eu-west-1/lambda").await.0, 404), "the function was deleted");
    world.with(|state| state.aws.deployment.function.name = name);
    let (head, _) = configuration(&deployed, "eu-west-1/sts").await;
    assert_eq!((is(&head, 403), kind(&head).as_deref()), (true, Some("InvalidSignatureException")));
    let (head, body) = stack(&deployed, "us-east-1", "Action=DescribeStacks&StackName=hubkeeper").await;
    assert!(is(&head, 400) && body.contains("Stack with id hubkeeper does not exist"), "{body}");
    let denied = ["lambda:InvokeFunction", "lambda:GetFunctionConfiguration", "cloudformation:DescribeStacks"];
    world.with(|state| state.aws.denied = denied.map(str::to_owned).into());
    let (head, body) = configuration(&deployed, "eu-west-1/lambda").await;
    assert_eq!((is(&head, 403), kind(&head).as_deref()), (true, Some("AccessDeniedException")));
    let message = body["Message"].as_str().expect("a message");
    assert!(
        message.contains("is not authorized to perform: lambda:GetFunctionConfiguration on resource: arn:"),
        "{message}"
    );
    assert!(is(&invoke(&deployed, json!(1)).await.0, 403));
    let (head, body) = stack(&deployed, "eu-west-1", "Action=DescribeStacks&StackName=hubkeeper").await;
    assert!(is(&head, 403) && body.contains("<Code>AccessDenied</Code>"), "{body}");
}

#[tokio::test]
async fn the_stack_shows_outputs_and_resources() {
    let (world, deployed) = deployed().await;
    let deployment = world.with(|state| state.aws.deployment.clone());
    let (head, body) = stack(&deployed, "eu-west-1", "Action=DescribeStacks&StackName=hubkeeper").await;
    assert!(is(&head, 200), "{head}");
    for name in ["FunctionName", "FunctionArn", "RoleArn", "TopicArn", "LogGroupName", "SecretNamePrefix"] {
        let value = &deployment.outputs[name];
        let output = format!("<OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue>");
        assert!(body.contains(&output), "{name}: {body}");
    }
    let (head, body) = stack(&deployed, "eu-west-1", "Action=DescribeStackResources&StackName=hubkeeper").await;
    assert!(is(&head, 200), "{head}");
    assert_eq!(body.matches("<LogicalResourceId>").count(), deployment.resources.len());
    let schedule = deployment.schedule.expect("a schedule").name;
    assert!(body.contains(&format!(
        "<LogicalResourceId>DailyReconcile</LogicalResourceId><PhysicalResourceId>{schedule}</PhysicalResourceId>\
         <ResourceType>AWS::Scheduler::Schedule</ResourceType>"
    )));
    let one = "Action=DescribeStackResources&StackName=hubkeeper&LogicalResourceId=NoticeTopic";
    assert_eq!(stack(&deployed, "eu-west-1", one).await.1.matches("<member>").count(), 1);
    let (head, _) = stack(&deployed, "eu-west-1", &one.replace("NoticeTopic", "Nothing")).await;
    assert!(is(&head, 400));
    let (head, body) = stack(&deployed, "eu-west-1", "Action=CreateStack&StackName=hubkeeper").await;
    assert!(is(&head, 400) && body.contains("InvalidAction"), "{body}");
}

#[tokio::test]
async fn an_older_version_does_not_know_an_action() {
    let (_, deployed) = deployed().await;
    let event = json!({ "action": "survey" });
    assert_eq!(invoke(&deployed, event.clone()).await.1["extra"], "given");
    deployed.forget("survey");
    let (head, body) = invoke(&deployed, event.clone()).await;
    assert!(is(&head, 200) && head.contains("x-amz-function-error: Unhandled"), "{head}");
    assert_eq!(body["errorType"], "BadEvent");
    let message = body["errorMessage"].as_str().expect("a message");
    assert!(message.starts_with("event: field `action` must be one of onboard, reconcile, verify, offboard, status; "));
    assert_eq!(deployed.invoke(event).await.expect_err("an error").error_type, "BadEvent");
    assert!(deployed.invoke(json!({ "action": "status" })).await.is_ok());
}

#[tokio::test]
async fn responses_have_one_date_of_the_services_clock() {
    let (world, deployed) = deployed().await;
    world.with(|state| state.date_skew = time::Duration::hours(-48));
    let clock = || world.with(|state| state.date())[.."Sun, 29 Nov 2026 20".len()].to_owned();
    let before = clock();
    let (head, _) = configuration(&deployed, "eu-west-1/lambda").await;
    let dates: Vec<_> = head.lines().filter_map(|line| line.strip_prefix("date: ")).collect();
    assert_eq!(dates.len(), 1);
    assert!([before, clock()].iter().any(|hour| dates[0].starts_with(hour.as_str())), "{head}");
}
