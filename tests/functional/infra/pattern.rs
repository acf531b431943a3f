//! Matches `EventBridge`'s event patterns, as far as the template uses them: exact values, `prefix`, and `$or`. Panics
//! on any other operator, so that no rule is ignored.

use serde_json::Value;

/// Returns whether the event matches the pattern.
pub(super) fn matches(pattern: &Value, event: &Value) -> bool {
    pattern.as_object().unwrap().iter().all(|(name, wanted)| match (name.as_str(), wanted) {
        ("$or", Value::Array(alternatives)) => alternatives.iter().any(|alternative| matches(alternative, event)),
        (_, Value::Object(_)) => event.get(name).is_some_and(|inner| inner.is_object() && matches(wanted, inner)),
        (_, Value::Array(values)) => {
            let found: Vec<&Value> = match event.get(name) {
                Some(Value::Array(several)) => several.iter().collect(),
                one => one.into_iter().collect(),
            };
            values.iter().any(|value| found.iter().any(|found| is(value, found)))
        }
        (name, _) => panic!("`{name}` is not a list of values"),
    })
}

fn is(wanted: &Value, found: &Value) -> bool {
    let Value::Object(filter) = wanted else { return wanted == found };
    let (name, operand) = filter.iter().next().unwrap();
    assert!(filter.len() == 1 && name == "prefix", "{wanted} is a filter that is not known here");
    found.as_str().is_some_and(|found| found.starts_with(operand.as_str().unwrap()))
}
