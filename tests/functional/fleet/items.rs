//! Tests which secrets a fleet event covers, and that each is handled separately.

use std::collections::BTreeSet;

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{State, aws, hub};
use serde_json::{Value, json};

use super::{Fleet, Plan, is_proven, outcomes, proofs, secret_ids};
use hubkeeper_scene::interleave;

/// Adds foreign secrets that the list's filter may match: it compares by prefix, and each tag separately.
fn add_others(state: &mut State) -> BTreeSet<String> {
    let others: [(&str, &[(&str, &str)]); 6] = [
        ("elsewhere", &[("hubkeeper", "managed-elsewhere")]),
        ("other-key", &[("hubkeeper-x", "managed")]),
        ("two-tags", &[("hubkeeper", "no"), ("hubkeeper-x", "managed")]),
        ("capital", &[("hubkeeper", "Managed")]),
        ("empty", &[("hubkeeper", "")]),
        ("untagged", &[]),
    ];
    let made = others.map(|(name, tags)| aws::create_secret(state, &format!("other/{name}"), &json!("a secret"), tags));
    made.into()
}

/// Returns the secrets that the function requested from AWS one by one.
fn named(fleet: &Fleet) -> BTreeSet<String> {
    let bodies = fleet.asked(Service::Aws).into_iter();
    let bodies = bodies.filter_map(|entry| serde_json::from_slice::<Value>(entry.request.body()).ok());
    bodies.filter_map(|body| Some(body["SecretId"].as_str()?.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn every_page_of_the_list_is_read_and_only_what_is_tagged_is_worked_on() {
    for empty_pages in [false, true] {
        let mut fleet = Fleet::new(Plan { repositories: 1, ..Plan::of(230) });
        fleet.state(add_others);
        fleet.state(|state| state.aws.empty_pages = empty_pages);
        let queue = fleet.with_queue();
        let report = fleet.reconcile().await;
        // 233 secrets match the filter, a hundred per page
        assert_eq!(fleet.calls("ListSecrets"), if empty_pages { 6 } else { 3 });
        assert_eq!(secret_ids(&report), fleet.arns());
        assert_eq!(outcomes(&report), ["recorded"; 230]);
        let sent = fleet.state(|state| aws::sqs::bodies(state, &queue));
        assert_eq!(sent.len(), 230);
        for (body, arn) in sent.iter().zip(fleet.arns()) {
            assert!(body.contains(arn), "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_tagged_as_ours_is_never_looked_at() {
    let fleet = Fleet::new(Plan::of(3));
    let others = fleet.state(add_others);
    fleet.state(|state| state.aws.empty_pages = true);
    let report = fleet.reconcile().await;
    assert_eq!(outcomes(&report), ["unchanged"; 3]);
    assert_eq!(secret_ids(&report), fleet.arns());
    assert_eq!(named(&fleet).intersection(&others).collect::<Vec<_>>(), [""; 0]);
    // even for a named foreign secret, the function reads only the tags
    let ids: Vec<&String> = others.iter().collect();
    let report = fleet.scene.invoke(json!({"action": "reconcile", "secretIds": ids})).await.unwrap();
    assert_eq!(outcomes(&report), ["ignored"; 6]);
    assert_eq!(fleet.calls("GetSecretValue"), 3);
    assert_eq!(fleet.scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_whose_tag_was_taken_off_after_the_list_is_left_alone() {
    let fleet = Fleet::new(Plan::of(6));
    fleet.delete_connector(5);
    let untag = async {
        assert_eq!(fleet.calls("ListSecrets"), 1, "the list was read before");
        fleet.state(|state| state.aws.secrets.get_mut(&fleet.members[5].arn).unwrap().tags.remove("hubkeeper"));
    };
    let (answer, between) = interleave(&fleet.scene, json!({"action": "reconcile"}), 1, untag).await;
    assert!(between.is_some());
    let report = answer.unwrap();
    assert_eq!(outcomes(&report), ["unchanged", "unchanged", "unchanged", "unchanged", "unchanged", "ignored"]);
    assert_eq!(report["outcome"], "unchanged");
    assert!(!proofs(&fleet).contains_key("org-005"));
    assert!(fleet.connector(5).is_none());
    let of_arm = fleet.asked(Service::Arm);
    assert!(!of_arm.iter().any(|entry| entry.request.uri().path().contains("dockerhub-org-005")));
}

#[tokio::test(start_paused = true)]
async fn one_organizations_failure_stops_no_other_and_the_worst_counts() {
    let fleet = Fleet::new(Plan::of(9));
    let Fleet { members, .. } = &fleet;
    // 1: the document is malformed
    let current = fleet.state(|state| aws::version_with(state, &members[1].arn, "AWSCURRENT").unwrap());
    let document = fleet.state(|state| aws::value_of(state, &members[1].arn, &current).unwrap());
    let put = |value: &Value| {
        fleet.state(|state| aws::put_version(state, &members[1].arn, Some(&current), value, &["AWSCURRENT"]));
    };
    put(&json!("no document"));
    // 2: the connector is gone
    fleet.delete_connector(2);
    // 3: the token is deleted, and no connector carries it
    fleet.delete_connector(3);
    fleet.state(|state| {
        let pats = hub::pats_of(state, &members[3].username);
        hub::revoke(state, &pats[0].uuid);
    });
    // 4: another secret owns the connector
    let mut foreign = fleet.stored(4);
    foreign["tags"]["hubkeeper-secret"] = json!("0123456789ab");
    fleet.restore(4, &foreign);
    // 5: a rotation is in progress
    fleet.state(|state| {
        aws::enable_rotation(state, &members[5].arn, true);
        aws::begin_rotation(state, &members[5].arn, true)
    });
    // 6: a required repository is missing
    fleet.want_too_much(6);
    // 7: the resource group is deleted, and the connector with it
    fleet.put(7, |value| value["connector"]["resourceGroup"] = json!("rg-gone"));

    let report = fleet.reconcile().await;
    let expected = [
        ("unchanged", None),
        ("failed", Some("Misconfigured")),
        ("applied", None),
        ("refused", Some("Refused")),
        ("refused", Some("Refused")),
        ("unchanged", None),
        ("refused", Some("Refused")),
        ("failed", Some("Misconfigured")),
        ("unchanged", None),
    ];
    let items = report["items"].as_array().unwrap();
    let found: Vec<_> =
        items.iter().map(|item| (item["outcome"].as_str().unwrap(), item["errorType"].as_str())).collect();
    assert_eq!(found, expected, "{report:#}");
    assert_eq!(secret_ids(&report), fleet.arns(), "the order is that of the list, whoever ends first");
    assert_eq!(report["outcome"], "failed");
    for at in [0, 8] {
        assert!(is_proven(&items[at]), "{}", items[at]);
    }
    for (item, member) in items.iter().zip(members).filter(|(item, _)| !item["errorType"].is_null()) {
        let message = item["errorMessage"].as_str().unwrap();
        assert!(message.contains("remedy: "), "{message}");
        let is_known = member.organization == "org-001" || message.contains(&member.organization);
        assert!(is_known, "{message} does not name {}", member.organization);
    }
    let tag = fleet.connector(2).unwrap().tag("hubkeeper-version").map(str::to_owned);
    assert_eq!(tag, fleet.state(|state| aws::version_with(state, &members[2].arn, "AWSCURRENT")));
    assert_eq!(fleet.scene.connector_writes().len(), 1, "the one that was gone alone");

    // each repair improves the outcome of the fleet
    put(&document);
    fleet.put(7, |value| value["connector"]["resourceGroup"] = json!(members[7].group));
    assert_eq!(fleet.reconcile().await["outcome"], "refused");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_unknown_fails_by_itself() {
    let fleet = Fleet::new(Plan::of(2));
    let ids = ["fleet/org-001", "fleet/unknown", "fleet/org-000"];
    let report = fleet.scene.invoke(json!({"action": "reconcile", "secretIds": ids})).await.unwrap();
    assert_eq!(outcomes(&report), ["unchanged", "failed", "unchanged"]);
    assert_eq!(secret_ids(&report), [&fleet.members[1].arn, "fleet/unknown", &fleet.members[0].arn]);
    assert_eq!(report["items"][1]["errorType"], "Misconfigured");
    assert_eq!(report["outcome"], "failed");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_four_secrets_are_worked_on_at_once() {
    let fleet = Fleet::new(Plan::of(12));
    fleet.reconcile().await;
    // the requests about an organization run from its login to its last manifest
    let mut of_organization: Vec<(String, time::OffsetDateTime)> = Vec::new();
    for entry in fleet.scene.world.record() {
        let path = entry.request.uri().path().to_owned();
        let found = fleet.members.iter().find(|member| path.contains(&member.organization));
        of_organization.extend(found.map(|member| (member.organization.clone(), entry.at)));
    }
    let span = |organization: &str| {
        let own = || of_organization.iter().filter(|(name, _)| name == organization).map(|(_, at)| *at);
        (own().min().unwrap(), own().max().unwrap())
    };
    let spans: Vec<_> = fleet.members.iter().map(|member| span(&member.organization)).collect();
    let at_once = |at: time::OffsetDateTime| spans.iter().filter(|(from, to)| *from <= at && at <= *to).count();
    assert_eq!(spans.iter().map(|(from, _)| at_once(*from)).max(), Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_fleet_without_members_is_all_right() {
    let mut fleet = Fleet::new(Plan::of(0));
    fleet.state(add_others);
    for with_queue in [false, true] {
        if with_queue {
            fleet.with_queue();
        }
        assert_eq!(fleet.reconcile().await, json!({"outcome": "unchanged", "items": []}));
        assert_eq!(fleet.calls("SendMessageBatch"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_watch_over_a_fleet_sees_what_is_broken() {
    let mut fleet = Fleet::new(Plan::of(3));
    fleet.scene.checked = false;
    // the connectors carry bad tokens, as if the function had written them: one can push, the other is deleted
    for (at, scopes) in [(0, "repo:write"), (1, "repo:read")] {
        let mut body = fleet.stored(at);
        let (uuid, token) =
            fleet.state(|state| hub::add_pat(state, &fleet.members[at].username, "bad", &[scopes], None));
        body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(token);
        fleet.restore(at, &body);
        if at == 1 {
            fleet.state(|state| hub::revoke(state, &uuid));
        }
    }
    fleet.reconcile().await;
    assert_eq!(fleet.scene.broken(), [""; 0], "nothing was written yet");
    fleet.delete_connector(2);
    fleet.reconcile().await;
    let broken = fleet.scene.broken().join("\n");
    assert!(broken.contains("no gap") && broken.contains("no unproven write"), "{broken}");
}
