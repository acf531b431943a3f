//! Runs the part of `CloudWatch` Logs Insights that the saved queries use: `fields`, `filter`, `stats`, `sort`, `limit`.
//! Everything else fails, so that a query cannot pass by being ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

#[derive(Clone, PartialEq, Debug)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            let end = rest[1..].find('"').expect("a text ends") + 1;
            found.push(Token::Text(rest[1..end].to_owned()));
            end + 1
        } else if first.is_alphanumeric() || matches!(first, '@' | '_') {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '@' | '_' | '.'))).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            if !first.is_whitespace() {
                found.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Returns the commands of a query: a bar in a text does not end one.
fn commands(query: &str) -> Vec<String> {
    let mut commands = vec![String::new()];
    let mut quoted = false;
    for character in query.chars() {
        quoted ^= character == '"';
        if character == '|' && !quoted {
            commands.push(String::new());
        } else {
            commands.last_mut().unwrap().push(character);
        }
    }
    commands.into_iter().map(|command| command.trim().to_owned()).collect()
}

type Row = Map<String, Value>;

fn get<'a>(row: &'a Row, field: &str) -> Option<&'a Value> {
    row.get(if field == "@timestamp" { "timestamp" } else { field }).filter(|value| !value.is_null())
}

/// A condition, read from left to right: `and` binds before `or`.
struct Condition<'a>(std::slice::Iter<'a, Token>, &'a Row);

impl Condition<'_> {
    fn word(&mut self) -> String {
        match self.0.next() {
            Some(Token::Word(word)) => word.clone(),
            other => panic!("a word was expected, not {other:?}"),
        }
    }

    fn sign(&mut self, sign: char) {
        assert_eq!(self.0.next(), Some(&Token::Sign(sign)));
    }

    fn any(&mut self) -> bool {
        let mut holds = self.all();
        while self.follows("or") {
            holds |= self.all();
        }
        holds
    }

    fn all(&mut self) -> bool {
        let mut holds = self.one();
        while self.follows("and") {
            holds &= self.one();
        }
        holds
    }

    fn follows(&mut self, word: &str) -> bool {
        let does = self.0.as_slice().first() == Some(&Token::Word(word.to_owned()));
        if does {
            self.0.next();
        }
        does
    }

    fn one(&mut self) -> bool {
        let field = self.word();
        if field == "ispresent" {
            self.sign('(');
            let named = self.word();
            self.sign(')');
            return get(self.1, &named).is_some();
        }
        let value = get(self.1, &field).cloned();
        match self.0.next() {
            Some(Token::Sign('=')) => match self.0.next() {
                Some(Token::Text(text)) => value == Some(json!(text)),
                Some(Token::Word(number)) => {
                    value.and_then(|value| value.as_f64()) == Some(number.parse().expect("a number"))
                }
                other => panic!("a value was expected, not {other:?}"),
            },
            Some(Token::Sign('>')) => {
                let least: f64 = self.word().parse().expect("a number");
                value.and_then(|value| value.as_f64()).is_some_and(|value| value > least)
            }
            Some(Token::Word(word)) if word == "in" => {
                self.sign('[');
                let mut found = false;
                loop {
                    match self.0.next() {
                        Some(Token::Text(text)) => found |= value == Some(json!(text)),
                        other => panic!("a text was expected, not {other:?}"),
                    }
                    match self.0.next() {
                        Some(Token::Sign(',')) => {}
                        Some(Token::Sign(']')) => return found,
                        other => panic!("a list does not end: {other:?}"),
                    }
                }
            }
            other => panic!("{other:?} is not an operator of this subset"),
        }
    }
}

/// Groups rows by fields and computes the aggregates, such as `count(*) as times, sum(Retries) as retries by Service`.
fn stats(rows: &[Row], command: &str) -> Vec<Row> {
    let (aggregates, by) = command.split_once(" by ").unwrap_or((command, ""));
    let by: Vec<&str> = by.split(',').map(str::trim).filter(|field| !field.is_empty()).collect();
    let mut groups: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let key: Vec<Value> = by.iter().map(|field| get(row, field).cloned().unwrap_or_default()).collect();
        groups.entry(json!(key).to_string()).or_default().push(row);
    }
    groups
        .into_values()
        .map(|group| {
            let mut row: Row = by
                .iter()
                .map(|field| ((*field).to_owned(), get(group[0], field).cloned().unwrap_or_default()))
                .collect();
            for aggregate in aggregates.split(',') {
                let (call, name) = aggregate.trim().split_once(" as ").expect("an aggregate has a name");
                let (function, field) = call.trim_end_matches(')').split_once('(').expect("an aggregate is a call");
                let numbers = group.iter().filter_map(|row| get(row, field)?.as_f64());
                let value = match function {
                    "count" => json!(group.len()),
                    "sum" => json!(numbers.sum::<f64>()),
                    "min" => json!(numbers.fold(f64::INFINITY, f64::min)),
                    other => panic!("{other} is not an aggregate of this subset"),
                };
                row.insert(name.trim().to_owned(), value);
            }
            row
        })
        .collect()
}

/// Runs a query over log lines.
pub(super) fn run(query: &str, lines: &[Value]) -> Vec<Row> {
    let mut rows: Vec<Row> = lines.iter().map(|line| line.as_object().expect("an object").clone()).collect();
    let mut shown: Option<Vec<String>> = None;
    for command in commands(query) {
        let (name, rest) = command.split_once(' ').expect("a command has arguments");
        match name {
            "fields" => shown = Some(rest.split(',').map(|field| field.trim().to_owned()).collect()),
            "filter" => {
                let tokens = tokens(rest);
                rows.retain(|row| {
                    let mut condition = Condition(tokens.iter(), row);
                    let holds = condition.any();
                    assert!(condition.0.as_slice().is_empty(), "not read: {:?}", condition.0.as_slice());
                    holds
                });
            }
            "stats" => {
                assert!(shown.is_none(), "stats replaces the fields");
                rows = stats(&rows, rest);
            }
            "sort" => {
                let (field, order) = rest.split_once(' ').expect("an order");
                rows.sort_by(|one, other| {
                    let (one, other) = (get(one, field), get(other, field));
                    let numbers = (one.and_then(Value::as_f64), other.and_then(Value::as_f64));
                    match numbers {
                        (Some(one), Some(other)) => one.total_cmp(&other),
                        _ => one.and_then(Value::as_str).cmp(&other.and_then(Value::as_str)),
                    }
                });
                match order {
                    "asc" => {}
                    "desc" => rows.reverse(),
                    other => panic!("{other} is not an order"),
                }
            }
            "limit" => rows.truncate(rest.parse().expect("a number")),
            other => panic!("{other} is not a command of this subset"),
        }
    }
    if let Some(shown) = shown {
        for row in &mut rows {
            *row = shown.iter().filter_map(|field| Some((field.clone(), get(row, field)?.clone()))).collect();
        }
    }
    rows
}

#[test]
fn each_command_does_what_it_says() {
    let lines = [
        json!({"timestamp": "2", "level": "ERROR", "error.kind": "Refused", "a": 3, "s": "x|y"}),
        json!({"timestamp": "1", "level": "ERROR", "error.kind": "Retryable", "a": 1}),
        json!({"timestamp": "3", "level": "INFO", "a": 7}),
    ];
    let found = |query: &str| json!(run(query, &lines));
    assert_eq!(
        found("fields @timestamp, a\n| filter level = \"ERROR\"\n| sort @timestamp asc\n| limit 1"),
        json!([{"@timestamp": "1", "a": 1}])
    );
    assert_eq!(
        found("fields a | filter a > 2 and level = \"ERROR\" or a = 7 | sort a desc"),
        json!([{"a": 7}, {"a": 3}])
    );
    assert_eq!(found("fields a | filter error.kind in [\"Retryable\", \"BadEvent\"]"), json!([{"a": 1}]));
    assert_eq!(found("fields a | filter ispresent(s) and s = \"x|y\""), json!([{"a": 3}]));
    assert_eq!(
        found("stats count(*) as times, sum(a) as sum, min(a) as least by level | sort times desc"),
        json!([{"level": "ERROR", "times": 2, "sum": 4.0, "least": 1.0}, {"level": "INFO", "times": 1, "sum": 7.0, "least": 7.0}])
    );
}

#[test]
#[should_panic(expected = "is not a command of this subset")]
fn what_is_not_known_fails() {
    run("parse @message \"*\" as x", &[]);
}
