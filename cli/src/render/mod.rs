//! What a person reads. Each function makes text of a value; nothing here prints or asks.

pub mod plan;
pub mod report;
#[cfg(test)]
mod samples;
pub mod status;
pub mod style;

use saphyr::{Scalar, Yaml, YamlEmitter};
use serde_json::Value;

use crate::args::Format;
use crate::exit::Failure;

/// A result in the form that was asked for. `table` makes the form for people.
pub fn result(value: &Value, format: Format, table: impl FnOnce() -> String) -> String {
    match format {
        Format::Table => table(),
        Format::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
        Format::Yaml => {
            let mut text = String::new();
            let written = YamlEmitter::new(&mut text).dump(&yaml(value));
            // writing to a string does not fail
            written.map_or_else(|_| String::new(), |()| text.trim_start_matches("---\n").to_owned())
        }
    }
}

fn yaml(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Bool(value) => Yaml::Value(Scalar::Boolean(*value)),
        // the reports hold whole numbers only
        Value::Number(number) => match number.as_i64() {
            Some(number) => Yaml::Value(Scalar::Integer(number)),
            None => Yaml::Value(Scalar::String(number.to_string().into())),
        },
        Value::String(text) => Yaml::Value(Scalar::String(text.into())),
        Value::Array(values) => Yaml::Sequence(values.iter().map(yaml).collect()),
        Value::Object(fields) => Yaml::Mapping(
            fields.iter().map(|(name, value)| (Yaml::Value(Scalar::String(name.into())), yaml(value))).collect(),
        ),
    }
}

/// What happened, and the remedy below it.
pub fn failure(failure: &Failure) -> String {
    let mut text = format!("{} {}", style::bad("error:"), failure.what);
    if !failure.remedy.is_empty() {
        text.push_str("\n\n  ");
        text.push_str(&style::bold("what to do"));
        text.push_str("  ");
        text.push_str(&failure.remedy);
    }
    text
}

/// The first digits of a version id, which tell versions of one secret apart.
pub fn short(version: &str) -> &str {
    version.get(..8).unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use saphyr::LoadableYamlNode;
    use serde_json::json;

    #[test]
    fn yaml_holds_what_json_holds() {
        let value = json!({"outcome": "proven", "verdict": {"repositories": 42, "missing": [], "ok": true}});
        let yaml = result(&value, Format::Yaml, String::new);
        assert!(yaml.contains("outcome: proven") && yaml.contains("repositories: 42"), "{yaml}");
        let [read] = &Yaml::load_from_str(&yaml).unwrap()[..] else { panic!("{yaml}") };
        assert_eq!(read["verdict"]["repositories"].as_integer(), Some(42));
        assert_eq!(read["outcome"].as_str(), Some("proven"));
    }

    #[test]
    fn a_failure_shows_its_remedy_apart() {
        let text = failure(&Failure::usage("no token", "pass one"));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(text, "error: no token\n\n  what to do  pass one");
    }
}
