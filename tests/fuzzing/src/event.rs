//! Input: an event as Lambda receives it.

use hubkeeper_core::event::cloudformation::Asked;
use hubkeeper_core::event::{Event, Fleet, parse};
use hubkeeper_core::request::Trigger;
use serde_json::Value;

use crate::clean::{self, MARKER};

/// An accepted event means what it says. A rejected one is not quoted. The function that reads a queue message accepts it, with
/// the same meaning.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let event = match hubkeeper_core::event::read(text) {
        Ok(event) => event,
        Err(error) => return clean::error(&error, input),
    };
    judge(&event, input);
    // the same event with the token as the value or the name of one of its fields
    let mut left = input.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % 24;
    judge(&planted(event, &mut left), input);
}

fn judge(event: &Value, input: &[u8]) {
    match parse(event) {
        Err(error) => clean::error(&error, input),
        Ok(event) => understood(&event, input),
    }
}

fn understood(event: &Event, input: &[u8]) {
    match event {
        Event::One(request) => {
            secret_id(&request.secret_id);
            assert_eq!(request.trigger.is_rotation(), request.version.is_some(), "a step is about a version");
            assert!(request.rotation_token.is_none() || request.trigger.is_rotation());
            assert!(request.version.as_ref().is_none_or(|version| is_version(version.as_str())));
            match &request.trigger {
                Trigger::Onboard { version, .. }
                | Trigger::Verify { version }
                | Trigger::CandidateStaged { version }
                | Trigger::SecretChanged { version }
                | Trigger::RotationEnded { version, .. } => {
                    assert!(version.as_ref().is_none_or(|version| is_version(version.as_str())));
                }
                _ => {}
            }
        }
        Event::Fleet(fleet) => message(fleet),
        Event::Status(query) => {
            assert!(query.secret_ids.as_ref().is_none_or(|ids| !ids.is_empty()));
            for id in query.secret_ids.iter().flatten().chain(&query.next) {
                secret_id(id);
            }
        }
        Event::Describe => {}
        Event::Widget(query) => {
            assert!(query.filter.len() <= 128 && query.filter.trim() == query.filter);
            understood(&Event::Status(query.status.clone()), input);
        }
        Event::Doctor(query) => {
            if let Some(id) = &query.secret_id {
                secret_id(id);
            }
        }
        Event::Records(records) => {
            for record in records {
                match &record.event {
                    Err(error) => clean::error(error, input),
                    Ok(event) => {
                        let step = matches!(&**event, Event::One(request) if request.trigger.is_rotation());
                        assert!(
                            !step && !matches!(**event, Event::Records(_)),
                            "neither a step nor records in a record"
                        );
                        understood(event, input);
                    }
                }
            }
        }
        Event::CustomResource(request) => match &request.asked {
            Err(error) => clean::error(error, input),
            Ok(Asked::Create { secret_id: id } | Asked::Update { secret_id: id }) => secret_id(id),
            Ok(Asked::Delete) => {}
        },
        Event::Ignored { secret_id: id, reason, .. } => {
            clean::text(reason, input);
            if let Some(id) = id {
                secret_id(id);
            }
        }
    }
}

fn message(fleet: &Fleet) {
    assert!(matches!(fleet.trigger, Trigger::Reconcile { .. } | Trigger::Onboard { version: None, .. }));
    assert!(fleet.secret_ids.as_ref().is_none_or(|ids| !ids.is_empty()));
    let ids = fleet.secret_ids.clone().unwrap_or_else(|| vec!["hubkeeper/acme".to_owned()]);
    for id in ids.iter().take(3) {
        secret_id(id);
        let Ok(Event::Fleet(again)) = parse(&fleet.message(id)) else { panic!("a message is not understood") };
        assert_eq!(again, Fleet { secret_ids: Some(vec![id.clone()]), ..fleet.clone() });
    }
}

fn secret_id(id: &str) {
    assert!(!id.is_empty() && id.len() <= 2048 && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
}

fn is_version(id: &str) -> bool {
    (32..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The event with the marker as its `left`-th text or name.
fn planted(event: Value, left: &mut usize) -> Value {
    let mut here = || {
        *left = left.wrapping_sub(1);
        *left == usize::MAX
    };
    match event {
        Value::String(text) => Value::String(if here() { MARKER.to_owned() } else { text }),
        Value::Array(values) => values.into_iter().map(|value| planted(value, left)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                *left = left.wrapping_sub(1);
                let name = if *left == usize::MAX { MARKER.to_owned() } else { name };
                (name, planted(value, left))
            })
            .collect(),
        other => other,
    }
}
