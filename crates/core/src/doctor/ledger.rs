//! What `doctor` found: one entry for each check, and facts that nobody could verify without live services.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::doctor::checks::Check;
use crate::error::{Error, Kind};

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// As hubkeeper needs it.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or will not at the next write.
    Failure,
    /// A check before it failed, or the right to look is missing.
    NotReached,
}

impl State {
    const ALL: [State; 4] = [State::Ok, State::Warning, State::Failure, State::NotReached];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failure => "failure",
            State::NotReached => "notReached",
        }
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The result.
    pub state: State,
    /// What was found, for people: lower case, no full stop.
    pub detail: String,
    /// What to do.
    pub remedy: Option<String>,
    /// The kind of the error, for a failure.
    pub error_type: Option<String>,
    /// The failed check that this one needs.
    pub because: Option<Check>,
}

/// Something that only live services tell (docs/verified.md).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// The item of docs/verified.md.
    pub item: String,
    /// What was found.
    pub found: String,
}

/// All results.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<Check, Entry>,
    facts: Vec<Fact>,
}

impl Ledger {
    /// Whether everything that a check needs has passed, and the check itself is not recorded yet.
    pub fn is_open(&self, check: Check) -> bool {
        !self.entries.contains_key(&check) && self.obstacle(check).is_none()
    }

    /// The first check that `check` needs and that has not passed.
    fn obstacle(&self, check: Check) -> Option<Check> {
        check.needs().iter().copied().find(|needed| !self.has_passed(*needed))
    }

    /// Whether a check is recorded as passed, with or without a warning.
    pub fn has_passed(&self, check: Check) -> bool {
        self.entries.get(&check).is_some_and(|entry| matches!(entry.state, State::Ok | State::Warning))
    }

    /// What a check found.
    pub fn entry(&self, check: Check) -> Option<&Entry> {
        self.entries.get(&check)
    }

    fn record(&mut self, check: Check, entry: Entry) {
        // a check whose needs have not passed would show another check's cause
        if self.is_open(check) {
            self.entries.insert(check, entry);
        }
    }

    /// Records that a check passed.
    pub fn ok(&mut self, check: Check, detail: impl Into<String>) {
        let detail = detail.into();
        self.record(check, Entry { state: State::Ok, detail, remedy: None, error_type: None, because: None });
    }

    /// Records that a check passed, and what somebody should look at.
    pub fn warn(&mut self, check: Check, detail: impl Into<String>, remedy: impl Into<String>) {
        let (detail, remedy) = (detail.into(), Some(remedy.into()));
        self.record(check, Entry { state: State::Warning, detail, remedy, error_type: None, because: None });
    }

    /// Records that a check failed.
    pub fn fail(&mut self, check: Check, error: &Error) {
        let entry = Entry {
            state: State::Failure,
            detail: error.what().to_owned(),
            remedy: Some(error.remedy().to_owned()),
            error_type: Some(error.kind().name().to_owned()),
            because: None,
        };
        self.record(check, entry);
    }

    /// Records a result that may be an error.
    pub fn result<T>(
        &mut self,
        check: Check,
        result: Result<T, Error>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(check, detail(&value));
                Some(value)
            }
            Err(error) => {
                self.fail(check, &error);
                None
            }
        }
    }

    /// Records that a check cannot be looked at, and what would make it possible.
    pub fn skip(&mut self, check: Check, detail: impl Into<String>, remedy: Option<&str>) {
        let entry = Entry {
            state: State::NotReached,
            detail: detail.into(),
            remedy: remedy.map(str::to_owned),
            error_type: None,
            because: None,
        };
        self.record(check, entry);
    }

    /// Records that a check is not reached because of another one that it does not always need.
    pub fn block(&mut self, check: Check, because: Check) {
        self.record(check, not_reached(because));
    }

    /// Notes a fact.
    pub fn note(&mut self, item: &str, found: impl Into<String>) {
        self.facts.push(Fact { item: item.to_owned(), found: found.into() });
    }

    /// The facts.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Records every check of `scope` that has no entry yet as not reached, and names the cause: the first failed check
    /// on the way, or `because` where nothing on the way has an entry.
    pub fn finish(&mut self, scope: impl Fn(Check) -> bool, because: Option<Check>) {
        for check in Check::ALL.iter().copied().filter(|check| scope(*check)) {
            if self.entries.contains_key(&check) {
                continue;
            }
            let entry = match self.cause(check).or(because) {
                Some(because) => not_reached(because),
                None => Entry {
                    state: State::NotReached,
                    detail: "there is nothing to check".to_owned(),
                    remedy: None,
                    error_type: None,
                    because: None,
                },
            };
            self.entries.insert(check, entry);
        }
    }

    /// The check at the root of an obstacle.
    fn cause(&self, check: Check) -> Option<Check> {
        let obstacle = self.obstacle(check)?;
        match self.entries.get(&obstacle) {
            Some(Entry { because: Some(root), .. }) => Some(*root),
            Some(_) => Some(obstacle),
            None => self.cause(obstacle),
        }
    }

    /// Forgets that a check was not reached, so that somebody else may look.
    pub fn reopen(&mut self, check: Check) {
        if self.entries.get(&check).is_some_and(|entry| entry.state == State::NotReached) {
            self.entries.remove(&check);
        }
    }

    /// Adds the entries and facts of another run. An entry that is there already stays, unless it is not reached.
    pub fn merge(&mut self, other: Ledger) {
        for (check, entry) in other.entries {
            let is_there = self.entries.get(&check).is_some_and(|known| known.state != State::NotReached);
            if !is_there {
                self.entries.insert(check, entry);
            }
        }
        for fact in other.facts {
            if !self.facts.contains(&fact) {
                self.facts.push(fact);
            }
        }
    }

    /// The entries with their checks, in the order in which the checks run.
    pub fn entries(&self) -> impl Iterator<Item = (Check, &Entry)> {
        self.entries.iter().map(|(check, entry)| (*check, entry))
    }

    /// The number of checks in a state.
    pub fn count(&self, state: State) -> usize {
        self.entries.values().filter(|entry| entry.state == state).count()
    }

    /// Whether something failed, and every failure may pass by itself.
    pub fn is_worth_a_retry(&self) -> bool {
        let mut failures = self.entries.values().filter(|entry| entry.state == State::Failure).peekable();
        failures.peek().is_some() && failures.all(|entry| entry.error_type.as_deref() == Some(Kind::Retryable.name()))
    }

    /// The fields `checks` and `facts` of a response.
    pub fn to_json(&self) -> Map<String, Value> {
        let check = |(check, entry): (Check, &Entry)| {
            let mut fields = json!({"check": check.name(), "section": check.section().title(), "title": check.title(),
                "state": entry.state.name(), "detail": entry.detail});
            if let Some(remedy) = &entry.remedy {
                fields["remedy"] = json!(remedy);
                fields["page"] = json!(check.page());
            }
            if let Some(kind) = &entry.error_type {
                fields["errorType"] = json!(kind);
            }
            if let Some(because) = entry.because {
                fields["because"] = json!(because.name());
            }
            fields
        };
        let checks: Vec<Value> = self.entries().map(check).collect();
        let facts: Vec<Value> = self.facts.iter().map(|fact| json!({"item": fact.item, "found": fact.found})).collect();
        Map::from_iter([("checks".to_owned(), json!(checks)), ("facts".to_owned(), json!(facts))])
    }

    /// Reads the fields that [`Ledger::to_json`] wrote. Checks that this version does not know are left out.
    pub fn from_json(fields: &Value) -> Self {
        let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
        let list = |name: &str| fields[name].as_array().into_iter().flatten();
        let entries = list("checks").filter_map(|value| {
            let check = Check::named(value["check"].as_str()?)?;
            let state = State::ALL.into_iter().find(|state| value["state"] == state.name())?;
            let entry = Entry {
                state,
                detail: text(value, "detail")?,
                remedy: text(value, "remedy"),
                error_type: text(value, "errorType"),
                because: text(value, "because").as_deref().and_then(Check::named),
            };
            Some((check, entry))
        });
        let facts =
            list("facts").filter_map(|value| Some(Fact { item: text(value, "item")?, found: text(value, "found")? }));
        Self { entries: entries.collect(), facts: facts.collect() }
    }
}

fn not_reached(because: Check) -> Entry {
    Entry {
        state: State::NotReached,
        detail: format!("needs {}", because.name()),
        remedy: None,
        error_type: None,
        because: Some(because),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Error {
        Error::misconfigured("the document cannot be read", "correct it")
    }

    #[test]
    fn a_cause_has_one_failure_and_what_depends_on_it_is_not_reached() {
        let mut ledger = Ledger::default();
        for check in [Check::ReachAws, Check::ReachHub, Check::Clock, Check::Identity, Check::Secret, Check::Value] {
            ledger.ok(check, "fine");
        }
        ledger.fail(Check::Document, &failed());
        // what a careless caller records in spite of it
        ledger.fail(Check::Connector, &failed());
        ledger.ok(Check::TokenLogin, "fine");
        ledger.finish(Check::is_function_s, None);
        let red: Vec<Check> =
            ledger.entries().filter(|(_, entry)| entry.state == State::Failure).map(|(check, _)| check).collect();
        assert_eq!(red, [Check::Document]);
        for check in [Check::Manager, Check::Proof, Check::ManagerLogin, Check::TokenLogin] {
            let entry = ledger.entry(check).unwrap();
            assert_eq!((entry.state, entry.because), (State::NotReached, Some(Check::Document)), "{}", check.name());
        }
        assert!(Check::ALL.iter().filter(|check| check.is_function_s()).all(|check| ledger.entry(*check).is_some()));
    }

    #[test]
    fn a_result_survives_the_way_through_json() {
        let mut ledger = Ledger::default();
        ledger.ok(Check::ReachAws, "responds");
        ledger.warn(Check::Clock, "70 seconds behind", "set it");
        ledger.fail(Check::Identity, &failed());
        ledger.skip(Check::Plans, "no right", Some("ask for it"));
        ledger.note("loginClaims", "scope");
        ledger.finish(Check::is_function_s, None);
        assert_eq!(Ledger::from_json(&Value::Object(ledger.to_json())), ledger);
        let newer = json!({"checks": [{"check": "tomorrow", "state": "ok", "detail": "x"}], "facts": [7]});
        assert_eq!(Ledger::from_json(&newer), Ledger::default());
    }

    #[test]
    fn only_failures_that_pass_by_themselves_are_worth_a_retry() {
        let mut ledger = Ledger::default();
        assert!(!ledger.is_worth_a_retry());
        ledger.fail(Check::ReachHub, &Error::retryable("no response", "try again"));
        assert!(ledger.is_worth_a_retry());
        ledger.fail(Check::Roots, &failed());
        assert!(!ledger.is_worth_a_retry());
    }

    #[test]
    fn what_another_run_reached_replaces_what_was_not_reached() {
        let (mut one, mut other) = (Ledger::default(), Ledger::default());
        one.ok(Check::ReachArm, "of the function");
        one.skip(Check::Proxy, "no right", None);
        other.ok(Check::ReachArm, "of the person");
        other.ok(Check::Proxy, "none");
        one.merge(other);
        assert_eq!(one.entry(Check::ReachArm).unwrap().detail, "of the function");
        assert_eq!(one.entry(Check::Proxy).unwrap().state, State::Ok);
    }
}
