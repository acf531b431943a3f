use super::*;

#[test]
fn a_secret_is_found_by_name_and_by_arn() {
    let (world, _) = world();
    let arn = made(&world);
    for secret in ["dockerhub", &arn, &arn[..arn.len() - 7]] {
        let value = ask(&world, "GetSecretValue", json!({ "SecretId": secret })).expect("the value");
        assert_eq!(value["ARN"], json!(arn));
        assert_eq!(value["SecretString"], json!(r#"{"accessToken":"first-token"}"#));
        assert_eq!(value["VersionStages"], json!(["AWSCURRENT"]));
    }
    let missing = ask(&world, "GetSecretValue", json!({ "SecretId": "docker" }));
    assert_eq!(missing, Err("ResourceNotFoundException".to_owned()));
}

#[test]
fn a_version_and_a_label_must_mean_the_same_version() {
    let (world, _) = world();
    let arn = made(&world);
    let current = stage(&world, &arn, "AWSCURRENT").expect("a version");
    let read = |version: &str, stage: &str| {
        let body = json!({ "SecretId": arn, "VersionId": version, "VersionStage": stage });
        ask(&world, "GetSecretValue", body).map(|_| ())
    };
    assert_eq!(read(&current, "AWSCURRENT"), Ok(()));
    assert_eq!(read(&current, "AWSPENDING"), Err("InvalidRequestException".to_owned()));
    assert_eq!(read(&id(9), "AWSCURRENT"), Err("ResourceNotFoundException".to_owned()));
}

#[test]
fn the_pending_version_of_a_rotation_has_no_value_until_one_is_put() {
    let (world, _) = world();
    let arn = made(&world);
    let (pending, token) = world.with(|state| begin_rotation(state, &arn, true));
    let read = json!({ "SecretId": arn, "VersionId": pending, "VersionStage": "AWSPENDING" });
    assert_eq!(ask(&world, "GetSecretValue", read.clone()), Err("ResourceNotFoundException".to_owned()));
    let described = ask(&world, "DescribeSecret", json!({ "SecretId": arn })).expect("a description");
    assert_eq!(described["VersionIdsToStages"][&pending], json!(["AWSPENDING"]));

    let put = json!({
        "SecretId": arn, "ClientRequestToken": pending, "SecretString": "{}", "VersionStages": ["AWSPENDING"],
        "RotationToken": token,
    });
    assert_eq!(ask(&world, "PutSecretValue", put).expect("a put")["VersionStages"], json!(["AWSPENDING"]));
    assert_eq!(ask(&world, "GetSecretValue", read).expect("the value")["SecretString"], json!("{}"));
    assert_eq!(names(&world), ["RotationStarted"]);
}

#[test]
fn the_same_token_takes_the_same_value_alone() {
    let (world, _) = world();
    let arn = made(&world);
    let put = |value: &str| {
        let body = json!({
            "SecretId": arn, "ClientRequestToken": id(2), "SecretString": value, "VersionStages": ["CANDIDATE"],
        });
        ask(&world, "PutSecretValue", body).map(|_| ())
    };
    assert_eq!(put("one"), Ok(()));
    assert_eq!(put("one"), Ok(()));
    assert_eq!(put("two"), Err("ResourceExistsException".to_owned()));
    assert_eq!(world.with(|state| value_of(state, &arn, &id(2))), Some(json!("one")));
    assert_eq!(names(&world), ["CANDIDATE"]);
}

#[test]
fn a_put_without_stages_moves_the_current_label() {
    let (world, _) = world();
    let arn = made(&world);
    let old = stage(&world, &arn, "AWSCURRENT");
    ask(&world, "PutSecretValue", json!({ "SecretId": arn, "ClientRequestToken": id(2), "SecretString": "two" }))
        .expect("a put");
    assert_eq!(stage(&world, &arn, "AWSCURRENT"), Some(id(2)));
    assert_eq!(stage(&world, &arn, "AWSPREVIOUS"), old);
    assert_eq!(names(&world), ["AWSCURRENT"]);
    let (event, name) = world.with(|state| (state.aws.events[0].clone(), state.aws.account.clone()));
    assert_eq!(event["detail"], json!({ "name": "dockerhub", "labelUpdated": "AWSCURRENT", "versionId": id(2) }));
    assert_eq!((&event["resources"], &event["account"]), (&json!([arn]), &json!(name)));
    assert_eq!(event["time"], json!("2026-11-24T10:00:00Z"));
}

#[test]
fn the_first_version_is_current_whatever_is_asked() {
    let (world, _) = world();
    ask(&world, "CreateSecret", json!({ "Name": "empty" })).expect("a secret");
    let put = json!({
        "SecretId": "empty", "ClientRequestToken": id(1), "SecretString": "one", "VersionStages": ["CANDIDATE"],
    });
    let stages = ask(&world, "PutSecretValue", put).expect("a put")["VersionStages"].clone();
    assert_eq!(stages, json!(["AWSCURRENT", "CANDIDATE"]));
    assert_eq!(names(&world), ["AWSCURRENT", "CANDIDATE"]);
}

#[test]
fn limits_of_a_put() {
    let (world, _) = world();
    let arn = made(&world);
    let put = |members: Value| {
        let mut body = json!({ "SecretId": arn, "ClientRequestToken": id(2) });
        for (name, value) in members.as_object().expect("members") {
            body[name] = value.clone();
        }
        ask(&world, "PutSecretValue", body).err().unwrap_or_default()
    };
    assert_eq!(put(json!({ "SecretString": "x".repeat(65_537) })), "InvalidParameterException");
    assert_eq!(put(json!({ "SecretString": "x", "ClientRequestToken": "short" })), "InvalidParameterException");
    assert_eq!(put(json!({ "SecretString": "x", "SecretBinary": "eA==" })), "InvalidParameterException");
    assert_eq!(put(json!({})), "InvalidRequestException");
    let labels: Vec<String> = (0..21).map(|n| format!("L{n}")).collect();
    assert_eq!(put(json!({ "SecretString": "x", "VersionStages": labels })), "InvalidParameterException");
    assert_eq!(put(json!({ "SecretBinary": "eA==" })), "");
    let value = ask(&world, "GetSecretValue", json!({ "SecretId": arn })).expect("the value");
    assert_eq!((&value["SecretBinary"], &value["SecretString"]), (&json!("eA=="), &Value::Null));
}

#[test]
fn a_value_put_by_a_person_abandons_the_rotation() {
    for action in ["PutSecretValue", "UpdateSecret"] {
        let (world, _) = world();
        let arn = made(&world);
        let (pending, _) = world.with(|state| begin_rotation(state, &arn, false));
        ask(&world, action, json!({ "SecretId": arn, "ClientRequestToken": id(2), "SecretString": "by hand" }))
            .expect("a put");
        assert_eq!(stage(&world, &arn, "AWSPENDING"), None);
        assert_eq!(stage(&world, &arn, "AWSCURRENT"), Some(id(2)));
        assert_eq!(names(&world), ["RotationStarted", "RotationAbandoned", "AWSCURRENT"]);
        let described = ask(&world, "DescribeSecret", json!({ "SecretId": arn })).expect("a description");
        assert_eq!(described["VersionIdsToStages"].get(&pending), None);
    }
}

#[test]
fn a_description_alone_makes_no_version() {
    let (world, clock) = world();
    let arn = made(&world);
    clock.store(60, Ordering::Relaxed);
    let answer = ask(&world, "UpdateSecret", json!({ "SecretId": arn, "Description": "new" })).expect("an update");
    assert_eq!(answer.get("VersionId"), None);
    let described = ask(&world, "DescribeSecret", json!({ "SecretId": arn })).expect("a description");
    assert_eq!(described["Description"], json!("new"));
    let (changed, created) = (described["LastChangedDate"].as_f64(), described["CreatedDate"].as_f64());
    assert!((changed.expect("a number") - created.expect("a number") - 60.0).abs() < 0.01);
    assert_eq!(names(&world), Vec::<String>::new());
}

#[test]
fn creating_twice_is_refused_but_with_the_same_token_and_value() {
    let (world, _) = world();
    let create = |value: &str| {
        ask(&world, "CreateSecret", json!({ "Name": "one", "ClientRequestToken": id(1), "SecretString": value }))
    };
    let first = create("a").expect("a secret");
    assert_eq!(create("a"), Ok(first));
    assert_eq!(create("b"), Err("ResourceExistsException".to_owned()));
}
