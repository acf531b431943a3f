use hubkeeper_core::event::{self, Event};

use super::*;

fn resource(asked: Result<Asked, Error>, physical_id: Option<&str>) -> CustomResource {
    CustomResource {
        url: "https://b.s3.amazonaws.com/a".to_owned().into(),
        stack_id: "arn:aws:cloudformation:eu-west-1:111122223333:stack/s/1".into(),
        request_id: "r".into(),
        logical_id: "Organization".into(),
        physical_id: physical_id.map(str::to_owned),
        asked,
    }
}

fn report(secret: &str, outcome: Outcome, found: Option<bool>) -> Report {
    let mut report = Report::new("onboard", "apply");
    report.secret_id = Some(secret.into());
    report.outcome = outcome;
    report.found_connector = found;
    report
}

#[test]
fn the_id_carries_what_a_deletion_may_touch() {
    let create = || Ok(Asked::Create { secret_id: "s".into() });
    let update = || Ok(Asked::Update { secret_id: "s".into() });
    for (name, asked, before, report, expected) in [
        ("made", create(), None, report("arn:s", Outcome::Applied, Some(false)), "hubkeeper/arn:s"),
        ("awaited", create(), None, report("arn:s", Outcome::Awaiting, Some(false)), "hubkeeper/arn:s"),
        ("found", create(), None, report("arn:s", Outcome::Unchanged, Some(true)), "hubkeeper-kept/arn:s"),
        ("awaited and found", create(), None, report("arn:s", Outcome::Awaiting, Some(true)), "hubkeeper-kept/arn:s"),
        ("failed", create(), None, report("arn:s", Outcome::Refused, Some(false)), "hubkeeper-kept/arn:s"),
        ("not known", create(), None, report("arn:s", Outcome::Applied, None), "hubkeeper-kept/arn:s"),
        ("kept", update(), Some("hubkeeper/arn:s"), report("arn:s", Outcome::Unchanged, Some(true)), "hubkeeper/arn:s"),
        (
            "replaced",
            update(),
            Some("hubkeeper/arn:s"),
            report("arn:t", Outcome::Applied, Some(false)),
            "hubkeeper/arn:t",
        ),
        ("not replaced", update(), Some("hubkeeper/arn:s"), report("arn:t", Outcome::Failed, None), "hubkeeper/arn:s"),
        (
            "deleted",
            Ok(Asked::Delete),
            Some("hubkeeper/arn:s"),
            report("arn:s", Outcome::Applied, None),
            "hubkeeper/arn:s",
        ),
        ("never answered", Ok(Asked::Delete), Some("s-Logical-1"), report("", Outcome::Unchanged, None), "s-Logical-1"),
    ] {
        assert_eq!(physical(&resource(asked, before), &report), expected, "{name}");
    }
}

#[test]
fn only_what_the_resource_made_is_given_up() {
    let asks = |physical: Option<&str>| request(&Asked::Delete, &resource(Ok(Asked::Delete), physical));
    let made = asks(Some("hubkeeper/arn:s")).unwrap();
    assert!(matches!(made.trigger, Trigger::Offboard) && made.secret_id == "arn:s");
    for other in [None, Some("hubkeeper-kept/arn:s"), Some("hubkeeper/"), Some("s-Logical-1")] {
        assert!(asks(other).is_none(), "{other:?}");
    }
}

#[test]
fn an_answer_fits_whatever_the_reason_is_made_of() {
    for reason in ["x", "\"", "\u{1}", "ü", "🦀"] {
        for length in [0, 100, 4_000, 5_000, 40_000] {
            let mut report = report(&"s".repeat(890), Outcome::Failed, None);
            report.error_message = Some(reason.repeat(length));
            let text = body(&resource(Ok(Asked::Delete), None), &report);
            assert!(text.len() <= ANSWER_BYTES, "{reason} {length}: {}", text.len());
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["Status"], "FAILED");
            assert!(length < 1_000 || text.len() > 3_000, "as much of it as there is room for: {}", text.len());
        }
    }
}

#[test]
fn the_url_is_asked_for_as_it_came() {
    let url = "https://b.s3.eu-west-1.amazonaws.com/arn%3Aaws%3Acloudformation/a?X-Amz-Signature=%2B+'";
    let event = serde_json::json!({"RequestType": "Delete", "ResponseURL": url});
    let Ok(Event::CustomResource(resource)) = event::parse(&event) else { panic!("a custom resource") };
    assert_eq!(uri(&resource).to_string(), url);
}
