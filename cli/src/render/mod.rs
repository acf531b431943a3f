//! What a person reads. Each function makes text of a value; nothing here prints or asks.

pub mod doctor;
pub mod page;
pub mod plan;
pub mod report;
#[cfg(test)]
mod samples;
pub mod status;
pub mod style;

use dialoguer::console::measure_text_width;
use saphyr::{Scalar, Yaml, YamlEmitter};
use serde_json::Value;

use crate::args::Format;
use crate::exit::Failure;

/// A result in the form that was asked for. `table` makes the form for people.
pub fn result(value: &Value, format: Format, table: impl FnOnce() -> String) -> String {
    match format {
        // a command that has a page makes it itself; no other command accepts this format
        Format::Table | Format::Html => table(),
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

/// What to do, for a remedy without a command to paste: it is broken between words.
pub fn advice(remedy: &str, width: u16) -> String {
    const INDENT: usize = 14;
    broken(&format!("  {}  {remedy}", style::bold("what to do")), usize::from(width), INDENT)
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

/// A result for a terminal of this width: long facts and warnings are broken between words, and go on below where they began. Lines
/// that tell what to do stay whole, since they hold commands to paste.
pub fn wrapped(text: &str, width: u16) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let plain = anstream::adapter::strip_str(line).to_string();
        let is_kept = !plain.starts_with("  ") || plain.trim_start().starts_with("what to do");
        if is_kept || measure_text_width(line) <= usize::from(width) {
            all.push_str(line);
        } else {
            all.push_str(&broken(line, usize::from(width), if is_fact(&plain) { style::VALUE } else { 4 }));
        }
        all.push('\n');
        all
    })
}

/// Whether a line is a name and, from its column on, a value.
fn is_fact(plain: &str) -> bool {
    let blank = |column: usize| plain.chars().nth(column).is_some_and(char::is_whitespace);
    !plain.starts_with("  warning:") && !blank(2) && !blank(3) && blank(style::VALUE - 1) && !blank(style::VALUE)
}

fn broken(line: &str, width: usize, indent: usize) -> String {
    let (mut text, mut used) = (String::new(), 0);
    // a short remark in parentheses, such as a command, is not broken
    let mut depth = 0_usize;
    let between_words = |character: char| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ' ' && depth == 0
    };
    for (at, word) in line.split(between_words).enumerate() {
        let columns = measure_text_width(word);
        if at > 0 {
            if used > indent && used + 1 + columns > width {
                text.push('\n');
                text.push_str(&" ".repeat(indent));
                used = indent;
            } else {
                text.push(' ');
                used += 1;
            }
        }
        text.push_str(word);
        used += columns;
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
    fn a_long_warning_goes_on_below_where_it_began() {
        let text = format!(
            "acme is a headline that is longer than the width and stays whole\n{}  {} run a very long command that somebody pastes\n  {} one two three (four five six) seven eight nine\n",
            style::fact("missing", "billing, ledger, payments, orders"),
            style::bold("what to do"),
            style::warn("warning:")
        );
        let plain = anstream::adapter::strip_str(&wrapped(&text, 36)).to_string();
        assert_eq!(
            plain,
            "acme is a headline that is longer than the width and stays whole\n\
             \x20 missing        billing, ledger,\n\
             \x20                payments, orders\n\
             \x20 what to do run a very long command that somebody pastes\n\
             \x20 warning: one two three\n\
             \x20   (four five six) seven eight nine\n"
        );
        assert_eq!(wrapped(&text, 200), text);
        let plain = anstream::adapter::strip_str(&advice("create a new token", 30)).to_string();
        assert_eq!(plain, "  what to do  create a new\n              token");
    }

    #[test]
    fn a_failure_shows_its_remedy_apart() {
        let text = failure(&Failure::usage("no token", "pass one"));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(text, "error: no token\n\n  what to do  pass one");
    }
}
