use super::*;

/// A secret with a second version that has a label of its own.
fn staged(world: &World) -> (String, String) {
    let arn = made(world);
    world.with(|state| put_version(state, &arn, Some(&id(2)), &json!("two"), &["CANDIDATE"]));
    let current = stage(world, &arn, "AWSCURRENT").expect("a version");
    world.with(|state| state.aws.events.clear());
    (arn, current)
}

fn swap(world: &World, arn: &str, label: &str, to: Option<&str>, from: Option<&str>) -> String {
    let body = json!({ "SecretId": arn, "VersionStage": label, "MoveToVersionId": to, "RemoveFromVersionId": from });
    ask(world, "UpdateSecretVersionStage", body).err().unwrap_or_default()
}

#[test]
fn a_label_leaves_only_the_version_that_was_named() {
    let (world, _) = world();
    let (arn, current) = staged(&world);
    assert_eq!(swap(&world, &arn, "AWSCURRENT", Some(&id(2)), None), "InvalidParameterException");
    assert_eq!(swap(&world, &arn, "AWSCURRENT", Some(&id(2)), Some(&id(2))), "InvalidParameterException");
    assert_eq!(stage(&world, &arn, "AWSCURRENT").as_deref(), Some(current.as_str()));
    assert_eq!(swap(&world, &arn, "AWSCURRENT", Some(&id(2)), Some(&current)), "");
    assert_eq!(stage(&world, &arn, "AWSCURRENT"), Some(id(2)));
    assert_eq!(stage(&world, &arn, "AWSPREVIOUS").as_deref(), Some(current.as_str()));
    assert_eq!(swap(&world, &arn, "AWSCURRENT", Some(&id(2)), Some(&current)), "InvalidParameterException");
    assert_eq!(names(&world), ["AWSCURRENT"]);
}

#[test]
fn a_label_is_taken_off_without_an_event() {
    let (world, _) = world();
    let (arn, current) = staged(&world);
    assert_eq!(swap(&world, &arn, "CANDIDATE", None, Some(&current)), "InvalidParameterException");
    assert_eq!(swap(&world, &arn, "CANDIDATE", None, Some(&id(2))), "");
    assert_eq!(stage(&world, &arn, "CANDIDATE"), None);
    assert_eq!(names(&world), Vec::<String>::new());
    let described = ask(&world, "DescribeSecret", json!({ "SecretId": arn })).expect("a description");
    assert_eq!(described["VersionIdsToStages"].get(id(2)), None);
    let value = ask(&world, "GetSecretValue", json!({ "SecretId": arn, "VersionId": id(2) })).expect("the value");
    assert_eq!(value["SecretString"], json!("two"));
}

#[test]
fn the_current_label_stays_on_a_version_that_has_a_value() {
    let (world, _) = world();
    let (arn, current) = staged(&world);
    assert_eq!(swap(&world, &arn, "AWSCURRENT", None, Some(&current)), "InvalidParameterException");
    assert_eq!(swap(&world, &arn, "AWSCURRENT", Some(&id(5)), Some(&current)), "ResourceNotFoundException");
    assert_eq!(swap(&world, &arn, "AWSCURRENT", None, None), "InvalidParameterException");
    let (pending, _) = world.with(|state| begin_rotation(state, &arn, false));
    assert_eq!(swap(&world, &arn, "AWSCURRENT", Some(&pending), Some(&current)), "InvalidRequestException");
}

#[test]
fn a_pending_version_blocks_the_next_rotation_until_its_label_is_taken_off() {
    let (world, _) = world();
    let (arn, _) = staged(&world);
    let rotate = |n: u32| {
        let body = json!({
            "SecretId": arn, "ClientRequestToken": id(n), "RotationLambdaARN": "arn:aws:lambda:eu-west-1:1:function:f",
        });
        ask(&world, "RotateSecret", body).err().unwrap_or_default()
    };
    assert_eq!(rotate(7), "");
    assert_eq!(stage(&world, &arn, "AWSPENDING"), Some(id(7)));
    assert_eq!(rotate(8), "InvalidRequestException");
    assert_eq!(swap(&world, &arn, "AWSPENDING", None, Some(&id(7))), "");
    assert_eq!(rotate(8), "");
    ask(&world, "CancelRotateSecret", json!({ "SecretId": arn })).expect("a cancellation");
    let described = ask(&world, "DescribeSecret", json!({ "SecretId": arn })).expect("a description");
    assert_eq!(described["RotationEnabled"], json!(false));
    // the function is still described; a secret that never had one has no rotation to cancel
    assert!(described["RotationLambdaARN"].is_string());
    ask(&world, "CreateSecret", json!({ "Name": "other" })).expect("a secret");
    let refused = ask(&world, "CancelRotateSecret", json!({ "SecretId": "other" }));
    assert_eq!(refused, Err("InvalidRequestException".to_owned()));
}
