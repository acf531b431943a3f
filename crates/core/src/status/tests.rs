use serde_json::json;
use time::Duration;

use super::*;
use crate::fixtures::{CLIENT, NOW, OLD, VERSION, connector, document, settled};

/// AWSCURRENT is `VERSION`, the connector carries it, and nothing is wrong.
fn ready() -> Seen {
    let world = settled().world;
    let connector = connector(&world, VERSION, |body| {
        body["id"] = json!("x");
        body["systemData"] = json!({"lastModifiedBy": CLIENT});
    });
    let current = document(|value| value["expiresAt"] = json!("2027-02-22T10:00:00Z"));
    Seen {
        secret: world.secret,
        document: Ok(Some(current)),
        pending: None,
        connector: Some(Ok(connector)),
        health: None,
    }
}

fn item(change: impl FnOnce(&mut Seen)) -> Item {
    let mut seen = ready();
    change(&mut seen);
    Item::of(&seen, CLIENT, NOW)
}

fn labels(seen: &mut Seen, versions: &[(&str, &[&str])]) {
    let own = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    seen.secret.versions = versions.iter().map(|(id, labels)| ((*id).into(), own(labels))).collect();
}

fn expires(seen: &mut Seen, at: Timestamp) {
    seen.document = Ok(Some(document(|value| value["expiresAt"] = json!(rfc3339(at)))));
}

#[test]
fn a_secret_that_is_well_is_ready_and_tells_all_that_is_known() {
    let item = item(|_| {});
    assert_eq!(
        serde_json::to_value(&item).unwrap(),
        json!({
            "organization": "acme", "secretId": item.secret_id, "state": "ready",
            "expiresAt": "2027-02-22T10:00:00Z", "daysLeft": 90, "versionId": VERSION, "carriedVersionId": VERSION,
            "provedAt": "2026-11-24T10:00:00Z", "repositories": 7, "private": 3,
        })
    );
}

#[test]
fn each_state_comes_of_its_own_cause_and_says_what_to_do() {
    type Change = fn(&mut Seen);
    let cases: [(State, &str, Change); 23] = [
        (State::Expired, "expired at", |seen| expires(seen, NOW)),
        (State::Expired, "HUBKEEPER_CANDIDATE", |seen| expires(seen, NOW - Duration::DAY)),
        (State::Expiring, "expires at", |seen| expires(seen, NOW + Duration::days(30))),
        (State::Stuck, "--remove-from-version-id", |seen| {
            labels(seen, &[(VERSION, &["AWSCURRENT"]), (OLD, &["AWSPENDING"])]);
            seen.secret.pending_since = Some(NOW - Duration::hours(25));
        }),
        (State::Stuck, "left over", |seen| {
            labels(seen, &[(VERSION, &["AWSCURRENT"]), (OLD, &["AWSPREVIOUS", "AWSPENDING"])]);
            seen.secret.last_changed = Some(NOW - Duration::HOUR);
        }),
        (State::Rotating, "AWSPENDING", |seen| {
            labels(seen, &[(VERSION, &["AWSCURRENT"]), (OLD, &["AWSPENDING"])]);
            seen.secret.pending_since = Some(NOW - Duration::HOUR);
        }),
        (State::Rotating, "AWSPENDING", |seen| {
            labels(seen, &[(OLD, &["AWSCURRENT"]), (VERSION, &["AWSPENDING"])]);
            seen.pending = Some(document(|_| {}));
        }),
        (State::Unknown, "spelled wrong", |seen| {
            seen.document = Err(Error::misconfigured("spelled wrong", "put it right"));
        }),
        (State::Unknown, "no value", |seen| seen.document = Ok(None)),
        (State::Unknown, "forbidden", |seen| {
            seen.connector = Some(Err(Error::needs_human("forbidden", "give the role")));
        }),
        (State::Unknown, "onboard", |seen| {
            seen.secret.tags.remove("hubkeeper");
        }),
        (State::Drifted, "does not exist", |seen| seen.connector = Some(Ok(Found::Absent))),
        (State::Drifted, "another version", |seen| {
            seen.connector = Some(Ok(connector(&settled().world, OLD, |_| {})));
        }),
        (State::Drifted, "scan interval", |seen| {
            let change = |body: &mut serde_json::Value| {
                body["properties"]["environmentData"]["scanInterval"] = json!(24);
            };
            seen.connector = Some(Ok(connector(&settled().world, VERSION, change)));
        }),
        (State::Drifted, "somebody else", |seen| {
            let change = |body: &mut serde_json::Value| body["systemData"] = json!({"lastModifiedBy": "a person"});
            seen.connector = Some(Ok(connector(&settled().world, VERSION, change)));
        }),
        (State::Drifted, "manages another", |seen| {
            seen.document = Ok(Some(document(|value| value["connector"]["name"] = json!("other"))));
        }),
        (State::Awaiting, "holds no token", |seen| {
            seen.document = Ok(Some(document(|value| {
                value.as_object_mut().unwrap().remove("accessToken");
            })));
        }),
        (State::Awaiting, "accept the invitation", |seen| {
            seen.document = Ok(Some(document(|value| {
                value.as_object_mut().unwrap().remove("accessToken");
            })));
            seen.secret.tags.insert("hubkeeper-invite".into(), "pending 2026-11-20T10:00:00Z 1".into());
        }),
        (State::CandidateWaiting, OLD, |seen| {
            labels(seen, &[(VERSION, &["AWSCURRENT"]), (OLD, &["HUBKEEPER_CANDIDATE"])]);
        }),
        (State::Offboarded, "delete the secret", |seen| {
            seen.secret.tags.insert("hubkeeper".into(), "offboarded".into());
            seen.connector = Some(Ok(Found::Absent));
        }),
        (State::Offboarded, "still exists", |seen| {
            seen.secret.tags.insert("hubkeeper".into(), "offboarded".into());
        }),
        // somebody else's connector is nobody's concern here
        (State::Offboarded, "delete the secret", |seen| {
            seen.secret.tags.insert("hubkeeper".into(), "offboarded".into());
            let world = settled().world;
            let other = connector(&world, VERSION, |body| body["tags"]["hubkeeper-secret"] = json!("0123456789ab"));
            seen.connector = Some(Ok(other));
        }),
        (State::Offboarded, "forbidden", |seen| {
            seen.secret.tags.insert("hubkeeper".into(), "offboarded".into());
            seen.connector = Some(Err(Error::needs_human("forbidden", "give the role")));
        }),
    ];
    for (index, (state, words, change)) in cases.into_iter().enumerate() {
        let item = item(change);
        let reason = item.reason.unwrap_or_default();
        assert_eq!(item.state, state, "case {index}: {reason}");
        assert!(reason.contains(words), "case {index}: {reason}");
    }
}

#[test]
fn what_is_left_alone_does_not_count() {
    let cases: [fn(&mut Seen); 3] = [
        |seen| labels(seen, &[(VERSION, &["AWSCURRENT", "HUBKEEPER_CANDIDATE"])]),
        |seen| {
            labels(seen, &[(VERSION, &["AWSCURRENT"]), (OLD, &["AWSPREVIOUS", "AWSPENDING"])]);
            seen.secret.last_changed = Some(NOW - Duration::HOUR + Duration::SECOND);
        },
        |seen| expires(seen, NOW + Duration::days(30) + Duration::SECOND),
    ];
    for (index, change) in cases.into_iter().enumerate() {
        let item = item(change);
        assert_eq!(item.state, State::Ready, "case {index}: {:?}", item.reason);
    }
}

#[test]
fn the_worst_state_wins_and_a_page_shows_it_first() {
    let expired = item(|seen| {
        expires(seen, NOW);
        labels(seen, &[(VERSION, &["AWSCURRENT"]), (OLD, &["AWSPENDING"])]);
        seen.connector = Some(Ok(Found::Absent));
    });
    assert_eq!((expired.state, expired.days_left), (State::Expired, Some(0)));
    let page = Page::new(vec![item(|_| {}), expired, item(|seen| seen.document = Ok(None))], None);
    let states: Vec<State> = page.items.iter().map(|item| item.state).collect();
    assert_eq!(states, [State::Expired, State::Unknown, State::Ready]);
    let mut sorted = State::ALL;
    sorted.sort_unstable();
    assert_eq!(sorted, State::ALL);
    for state in State::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), json!(state.name()));
    }
}

#[test]
fn the_days_left_are_full_days_and_negative_once_the_token_expired() {
    for (left, days) in [
        (Duration::hours(49), 2),
        (Duration::hours(23), 0),
        (Duration::ZERO, 0),
        (-Duration::SECOND, -1),
        (-Duration::hours(25), -2),
    ] {
        assert_eq!(item(|seen| expires(seen, NOW + left)).days_left, Some(days), "{left}");
    }
}

#[test]
fn a_connector_of_somebody_else_is_not_described() {
    let item = item(|seen| {
        let change = |body: &mut serde_json::Value| body["tags"]["hubkeeper-secret"] = json!("another");
        seen.connector = Some(Ok(connector(&settled().world, VERSION, change)));
    });
    assert_eq!((item.state, item.carried_version_id, item.repositories), (State::Drifted, None, None));
}

#[test]
fn defenders_health_is_told_beside_a_state_that_is_well() {
    let report = json!({"properties": {
        "status": {"code": "NotHealthy"},
        "issues": [{"issueName": "The token is bad", "remediationSteps": "Put another"}],
    }});
    let item = item(|seen| seen.health = Health::parse(&[report]));
    assert_eq!(item.state, State::Ready);
    assert_eq!(
        item.reason.as_deref(),
        Some("Defender reports the connector as not healthy: The token is bad: Put another")
    );
}

#[test]
fn a_secret_that_cannot_be_read_is_an_item_with_its_error() {
    let error = Error::needs_human("the secret is scheduled for deletion", "restore it").at("status");
    let item = Item::unreadable("hubkeeper/acme".into(), &error);
    assert_eq!(
        serde_json::to_value(&item).unwrap(),
        json!({"secretId": "hubkeeper/acme", "state": "unknown", "reason": error.to_string(), "errorType": "NeedsHuman"})
    );
}

#[test]
fn a_reason_names_a_command_and_an_event_that_hubkeeper_understands() {
    let secret = ready().secret;
    for action in ["onboard", "offboard", "reconcile"] {
        let asked = ask(action, &secret);
        let command = format!("run hubkeeper {action} {}, or send ", secret.arn);
        let event = asked.strip_prefix(&command).unwrap_or_else(|| panic!("{asked}"));
        let parsed = crate::event::parse(&serde_json::from_str(event).unwrap());
        assert!(parsed.is_ok(), "{event}: {:?}", parsed.err());
    }
}
