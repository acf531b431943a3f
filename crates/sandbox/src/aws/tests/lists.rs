use super::*;

fn list(world: &World, body: Value) -> (Vec<String>, Option<String>) {
    let answer = ask(world, "ListSecrets", body).expect("a list");
    let names = answer["SecretList"].as_array().expect("a list").iter();
    let names = names.map(|entry| entry["Name"].as_str().expect("a name").to_owned()).collect();
    (names, answer["NextToken"].as_str().map(str::to_owned))
}

fn several(world: &World) {
    world.with(|state| {
        create_secret(state, "a", &json!("1"), &[("hubkeeper", "managed")]);
        create_secret(state, "b", &json!("1"), &[("hubkeeper", "managed-by-hand")]);
        create_secret(state, "c", &json!("1"), &[("hubkeeper-not", "managed")]);
        create_secret(state, "d", &json!("1"), &[("Hubkeeper", "Managed")]);
        create_secret(state, "e", &json!("1"), &[("hubkeeper", "no"), ("other", "managed")]);
    });
}

#[test]
fn tag_filters_match_by_prefix_case_and_independently() {
    let (world, _) = world();
    several(&world);
    let filters = json!({ "Filters": [
        { "Key": "tag-key", "Values": ["hubkeeper"] }, { "Key": "tag-value", "Values": ["managed"] },
    ] });
    assert_eq!(list(&world, filters).0, ["a", "b", "c", "e"]);
    assert_eq!(list(&world, json!({ "Filters": [{ "Key": "name", "Values": ["!a"] }] })).0, ["b", "c", "d", "e"]);
    let unknown = ask(&world, "ListSecrets", json!({ "Filters": [{ "Key": "colour", "Values": ["x"] }] }));
    assert_eq!(unknown, Err("ValidationException".to_owned()));
}

#[test]
fn pages_follow_each_other_and_may_be_empty() {
    let (world, _) = world();
    several(&world);
    for empty_pages in [false, true] {
        world.with(|state| state.aws.empty_pages = empty_pages);
        let (mut found, mut pages, mut next) = (Vec::new(), 0, None::<String>);
        loop {
            let (names, token) = list(&world, json!({ "MaxResults": 2, "NextToken": next }));
            found.extend(names);
            pages += 1;
            next = token;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
        assert_eq!(pages, if empty_pages { 6 } else { 3 });
    }
    let bad = |body: Value| ask(&world, "ListSecrets", body).err().unwrap_or_default();
    assert_eq!(bad(json!({ "NextToken": "nonsense" })), "InvalidNextTokenException");
    assert_eq!(bad(json!({ "MaxResults": 101 })), "InvalidParameterException");
}

#[test]
fn versions_without_labels_are_listed_on_request_alone() {
    let (world, clock) = world();
    let arn = made(&world);
    clock.store(30, Ordering::Relaxed);
    world.with(|state| put_version(state, &arn, Some(&id(2)), &json!("two"), &[]));
    let ids = |deprecated: bool| {
        let body = json!({ "SecretId": arn, "IncludeDeprecated": deprecated });
        ask(&world, "ListSecretVersionIds", body).expect("a list")["Versions"].as_array().expect("a list").clone()
    };
    assert_eq!(ids(false).len(), 1);
    let all = ids(true);
    assert_eq!((&all[1]["VersionId"], all[1].get("VersionStages")), (&json!(id(2)), None));
    // a version without a value is described, but not listed
    let (pending, _) = world.with(|state| begin_rotation(state, &arn, false));
    assert_eq!((ids(false).len(), ids(true).len()), (1, 2));
    let described = ask(&world, "DescribeSecret", json!({ "SecretId": arn })).expect("a description");
    assert_eq!(described["VersionIdsToStages"][pending], json!(["AWSPENDING"]));
    let created = |n: usize| all[n]["CreatedDate"].as_f64().expect("a number");
    assert!((created(1) - created(0) - 30.0).abs() < 0.01);
}

#[test]
fn a_deleted_secret_is_described_but_not_listed_or_read() {
    let (world, clock) = world();
    let arn = made(&world);
    ask(&world, "DeleteSecret", json!({ "SecretId": arn, "RecoveryWindowInDays": 7 })).expect("a deletion");
    let described = ask(&world, "DescribeSecret", json!({ "SecretId": arn })).expect("a description");
    assert!(described["DeletedDate"].is_number());
    let refused =
        |action: &str, body: Value| assert_eq!(ask(&world, action, body), Err("InvalidRequestException".to_owned()));
    refused("GetSecretValue", json!({ "SecretId": arn }));
    refused("PutSecretValue", json!({ "SecretId": arn, "ClientRequestToken": id(2), "SecretString": "x" }));
    refused("TagResource", json!({ "SecretId": arn, "Tags": [{ "Key": "a", "Value": "b" }] }));
    refused("CreateSecret", json!({ "Name": "dockerhub" }));
    assert!(list(&world, json!({})).0.is_empty());
    ask(&world, "RestoreSecret", json!({ "SecretId": arn })).expect("a restoration");
    assert_eq!(list(&world, json!({})).0, ["dockerhub"]);
    ask(&world, "DeleteSecret", json!({ "SecretId": arn, "RecoveryWindowInDays": 7 })).expect("a deletion");
    clock.store(8 * 86_400, Ordering::Relaxed);
    assert_eq!(ask(&world, "DescribeSecret", json!({ "SecretId": arn })), Err("ResourceNotFoundException".to_owned()));
}

#[test]
fn tags_are_replaced_removed_and_limited() {
    let (world, _) = world();
    let arn = made(&world);
    let tag =
        |tags: Value| ask(&world, "TagResource", json!({ "SecretId": arn, "Tags": tags })).err().unwrap_or_default();
    assert_eq!(tag(json!([{ "Key": "team", "Value": "green" }, { "Key": "x", "Value": "" }])), "");
    ask(&world, "UntagResource", json!({ "SecretId": arn, "TagKeys": ["x"] })).expect("untagged");
    let tags = world.with(|state| tags(state, &arn));
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("team".to_owned(), "green".to_owned())]);
    let many: Vec<Value> = (0..50).map(|n| json!({ "Key": format!("k{n}"), "Value": "v" })).collect();
    assert_eq!(tag(json!(many)), "InvalidParameterException");
    assert_eq!(tag(json!([{ "Key": "aws:x", "Value": "v" }])), "InvalidParameterException");
    assert_eq!(tag(json!([{ "Key": "k", "Value": "v".repeat(257) }])), "InvalidParameterException");
}
