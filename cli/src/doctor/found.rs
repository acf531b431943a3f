//! What the deployment's settings mean for the checks: values in, entries of the ledger out.

use hubkeeper_core::doctor::{Check, Ledger};
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::time::{Timestamp, rfc3339};
use time::Duration;

use crate::aws::Refusal;
use crate::exit::{Code, Failure};
use crate::function::Configuration;

/// A reconcile runs once a day; two hours for its schedule's window and its duration.
const RECENT: Duration = Duration::hours(26);
/// A shorter timeout can end a proof of a large organization, or a wait for a rate limit.
const TIMEOUT: i32 = 300;

/// Records the function's settings.
pub fn configuration(ledger: &mut Ledger, found: &Configuration) {
    let Configuration { name, state, last_update, timeout, memory, .. } = found;
    let detail = format!("{name}: {memory} MB, {timeout} s");
    if !matches!(state.as_str(), "Active" | "Inactive" | "") || last_update == "Failed" {
        let error = Error::needs_human(
            format!("{name} is {state}, its last update is {last_update}"),
            "see why with aws lambda get-function-configuration, and deploy again",
        );
        ledger.fail(Check::Function, &error);
    } else if *timeout < TIMEOUT {
        ledger.warn(
            Check::Function,
            format!("{detail}: a wait for Docker Hub's rate limit takes longer"),
            "set the timeout to 900 seconds, as the template does",
        );
    } else {
        ledger.ok(Check::Function, detail);
    }
}

/// Records why the function cannot be used.
pub fn no_function(ledger: &mut Ledger, failure: &Failure) {
    ledger.fail(Check::Function, &error(failure));
}

/// Records the version that answered. `Err` is the error of the event.
pub fn version(ledger: &mut Ledger, answered: Result<&str, &Failure>, own: &str) {
    match answered {
        Ok(version) if version == own => ledger.ok(Check::Version, version),
        Ok(version) => ledger.warn(
            Check::Version,
            format!("the function is version {version}, this command line {own}"),
            "install the command line of the function's version, or deploy this one",
        ),
        Err(failure) if failure.code == Code::Usage => ledger.fail(
            Check::Version,
            &Error::needs_human(
                format!("the function is older than this command line ({own}): it does not know doctor"),
                "deploy the current version; until then check with your own credentials: hubkeeper doctor --local",
            ),
        ),
        Err(failure) => ledger.fail(Check::Version, &error(failure)),
    }
}

fn error(failure: &Failure) -> Error {
    let kind = match failure.code {
        Code::Retry => Kind::Retryable,
        Code::Refused => Kind::Refused,
        _ => Kind::NeedsHuman,
    };
    Error::new(kind, failure.what.as_str(), failure.remedy.as_str())
}

/// One action of the policy simulator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The action, such as `secretsmanager:PutSecretValue`.
    pub action: String,
    /// Whether the role may do it.
    pub is_allowed: bool,
}

/// Records the rights to write, by the policy simulator.
pub fn rights(ledger: &mut Ledger, simulated: &Result<Vec<Decision>, Refusal>) {
    match simulated {
        Err(refusal) => unreadable(ledger, Check::Rights, refusal, "iam:SimulatePrincipalPolicy"),
        Ok(decisions) => {
            let lacks: Vec<&str> = decisions
                .iter()
                .filter(|decision| !decision.is_allowed)
                .map(|decision| decision.action.as_str())
                .collect();
            if decisions.is_empty() {
                let remedy = "name a secret: hubkeeper doctor --secret <name or ARN>";
                ledger.skip(Check::Rights, "no secret is known that the role would write", Some(remedy));
            } else if lacks.is_empty() {
                let actions: Vec<&str> = decisions.iter().map(|decision| decision.action.as_str()).collect();
                ledger.ok(Check::Rights, format!("the policy simulator allows {}", actions.join(", ")));
            } else {
                let error = Error::misconfigured(
                    format!("the function's role may not {}", lacks.join(", ")),
                    "allow these actions to the role, as infra/aws/template.yaml does; a permissions boundary or a service control policy may deny them too",
                );
                ledger.fail(Check::Rights, &error);
            }
        }
    }
}

/// The schedule of the reconcile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// `ENABLED` or `DISABLED`.
    pub state: String,
    /// `rate(1 day)`.
    pub expression: String,
    /// ARN of the target.
    pub target: String,
    /// Its name.
    pub name: String,
}

/// Records the schedule. `None` if the stack has none.
pub fn schedule(ledger: &mut Ledger, found: Option<&Result<Schedule, Refusal>>, function: &str) {
    let check = Check::Schedule;
    match found {
        None => ledger.skip(
            check,
            "no stack is known that schedules the reconcile",
            Some("name the stack: hubkeeper doctor --stack <name>"),
        ),
        Some(Err(refusal)) if refusal.is_missing() => ledger
            .fail(check, &Error::needs_human("the schedule of the reconcile was deleted", "deploy the stack again")),
        Some(Err(refusal)) => unreadable(ledger, check, refusal, "scheduler:GetSchedule"),
        Some(Ok(schedule)) if schedule.state != "ENABLED" => ledger.fail(
            check,
            &Error::needs_human(
                format!("the schedule {} is {}: nothing is reconciled", schedule.name, schedule.state),
                format!(
                    "enable it: deploy the stack again, or set its state to ENABLED in EventBridge Scheduler ({})",
                    schedule.name
                ),
            ),
        ),
        Some(Ok(schedule)) if !function.is_empty() && schedule.target != function => ledger.fail(
            check,
            &Error::needs_human(
                format!("the schedule {} invokes {}", schedule.name, schedule.target),
                "deploy the stack again, so that it invokes this function",
            ),
        ),
        Some(Ok(schedule)) => ledger.ok(check, schedule.expression.clone()),
    }
}

/// One alarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Whether actions are enabled.
    pub is_enabled: bool,
    /// How many actions it has.
    pub actions: usize,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
}

/// Records the alarms. `expected` are the names of the stack's; `None` if no stack is known.
pub fn alarms(ledger: &mut Ledger, expected: &[String], found: Option<&Result<Vec<Alarm>, Refusal>>) {
    let check = Check::Alarms;
    let alarms = match found {
        None => {
            return ledger.skip(
                check,
                "no stack is known that has alarms",
                Some("name the stack: hubkeeper doctor --stack <name>"),
            );
        }
        Some(Err(refusal)) => return unreadable(ledger, check, refusal, "cloudwatch:DescribeAlarms"),
        Some(Ok(alarms)) => alarms,
    };
    let names = |test: &dyn Fn(&Alarm) -> bool| {
        let names: Vec<&str> = alarms.iter().filter(|alarm| test(alarm)).map(|alarm| alarm.name.as_str()).collect();
        names.join(", ")
    };
    let silent = names(&|alarm| alarm.actions == 0 || !alarm.is_enabled);
    let alarming = names(&|alarm| alarm.state == "ALARM");
    let is_there = |name: &&String| alarms.iter().any(|alarm| alarm.name == **name);
    let deleted: Vec<&str> = expected.iter().filter(|name| !is_there(name)).map(String::as_str).collect();
    if !deleted.is_empty() {
        let what = format!("these alarms of the stack were deleted: {}", deleted.join(", "));
        ledger.fail(check, &Error::needs_human(what, "deploy the stack again"));
    } else if !silent.is_empty() {
        let error = Error::needs_human(
            format!("these alarms notify nobody: {silent}"),
            format!(
                "their actions were removed or disabled: deploy the stack again, or enable them: aws cloudwatch enable-alarm-actions --alarm-names {}",
                silent.replace(", ", " ")
            ),
        );
        ledger.fail(check, &error);
    } else if !alarming.is_empty() {
        ledger.warn(check, format!("in state ALARM: {alarming}"), "the alarm's description says what to do");
    } else {
        ledger.ok(check, format!("{}, each with an action", count(alarms.len() as u64, "alarm")));
    }
}

/// The subscriptions of the topic: confirmed and pending. `None` if no stack is known.
pub fn notices(ledger: &mut Ledger, found: Option<&Result<(u64, u64), Refusal>>) {
    let check = Check::Notices;
    match found {
        None => ledger.skip(
            check,
            "no stack is known that has a topic",
            Some("name the stack: hubkeeper doctor --stack <name>"),
        ),
        Some(Err(refusal)) if refusal.is_missing() => {
            ledger.fail(check, &Error::needs_human("the topic of the notices was deleted", "deploy the stack again"));
        }
        Some(Err(refusal)) => unreadable(ledger, check, refusal, "sns:GetTopicAttributes"),
        Some(Ok((0, 0))) => ledger.fail(
            check,
            &Error::needs_human(
                "nobody subscribes to the topic of the notices: alarms reach nobody",
                "set the stack's parameter NotificationEmail, or subscribe in another way (output TopicArn)",
            ),
        ),
        Some(Ok((0, pending))) => ledger.fail(
            check,
            &Error::needs_human(
                format!(
                    "the topic has {}, and none is confirmed: alarms reach nobody",
                    count(*pending, "subscription")
                ),
                "confirm the subscription by the link in its e-mail",
            ),
        ),
        Some(Ok((confirmed, _))) => ledger.ok(check, count(*confirmed, "confirmed subscription")),
    }
}

/// Records the last reconcile that succeeded, by its metric.
pub fn reconcile(ledger: &mut Ledger, last: &Result<Option<Timestamp>, Refusal>, now: Timestamp) {
    let check = Check::Reconcile;
    let remedy = "send one: hubkeeper reconcile --all; if it fails, it says why";
    match last {
        Err(refusal) => unreadable(ledger, check, refusal, "cloudwatch:GetMetricStatistics"),
        Ok(Some(at)) if now - *at <= RECENT => ledger.ok(check, format!("in the hour of {}", rfc3339(*at))),
        Ok(Some(at)) => ledger.warn(check, format!("none has succeeded since {}", rfc3339(*at)), remedy),
        Ok(None) => ledger.warn(check, "none has succeeded in the last three days", remedy),
    }
}

/// A number of things: `1 alarm`, `7 alarms`.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Records that the stack's resources cannot be listed.
pub fn no_stack(ledger: &mut Ledger, refusal: &Refusal) {
    for check in [Check::Schedule, Check::Alarms, Check::Notices] {
        unreadable(ledger, check, refusal, "cloudformation:DescribeStackResources");
    }
}

/// Records that a check cannot be looked at.
fn unreadable(ledger: &mut Ledger, check: Check, refusal: &Refusal, action: &str) {
    let remedy =
        if refusal.is_denied() { format!("you need the right {action}") } else { "run doctor again".to_owned() };
    ledger.skip(check, refusal.what.as_str(), Some(&remedy));
}

#[cfg(test)]
mod tests {
    use hubkeeper_core::doctor::State;
    use time::macros::datetime;

    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper";

    fn ready() -> Ledger {
        let mut ledger = Ledger::default();
        for check in [Check::Login, Check::Function] {
            ledger.ok(check, "fine");
        }
        ledger
    }

    fn denied() -> Refusal {
        Refusal { code: "AccessDenied".into(), what: "X: AWS returned AccessDenied".into() }
    }

    fn missing() -> Refusal {
        Refusal { code: "ResourceNotFoundException".into(), what: "X: AWS returned ResourceNotFoundException".into() }
    }

    fn of(check: Check, record: impl FnOnce(&mut Ledger)) -> (State, String) {
        let mut ledger = ready();
        record(&mut ledger);
        let entry = ledger.entry(check).unwrap();
        (entry.state, format!("{} {}", entry.detail, entry.remedy.clone().unwrap_or_default()))
    }

    #[test]
    fn a_schedule_must_be_enabled_and_invoke_this_function() {
        let schedule = |state: &str, target: &str| {
            Ok(Schedule {
                state: state.into(),
                expression: "rate(1 day)".into(),
                target: target.into(),
                name: "daily".into(),
            })
        };
        for (found, state) in [
            (Some(schedule("ENABLED", ARN)), State::Ok),
            (Some(schedule("DISABLED", ARN)), State::Failure),
            (Some(schedule("ENABLED", "arn:aws:lambda:eu-west-1:111122223333:function:old")), State::Failure),
            (Some(Err(missing())), State::Failure),
            (Some(Err(denied())), State::NotReached),
            (None, State::NotReached),
        ] {
            assert_eq!(
                of(Check::Schedule, |ledger| super::schedule(ledger, found.as_ref(), ARN)).0,
                state,
                "{found:?}"
            );
        }
    }

    #[test]
    fn an_alarm_without_an_action_is_named() {
        let alarm = |name: &str, enabled: bool, actions: usize, state: &str| Alarm {
            name: name.into(),
            is_enabled: enabled,
            actions,
            state: state.into(),
        };
        let fine = alarm("errors", true, 1, "OK");
        for (list, state, part) in [
            (vec![fine.clone()], State::Ok, "1 alarm,"),
            (vec![fine.clone(), alarm("verdict", true, 0, "OK")], State::Failure, "verdict"),
            (vec![fine.clone(), alarm("failed", false, 1, "OK")], State::Failure, "failed"),
            (vec![alarm("errors", true, 1, "ALARM")], State::Warning, "errors"),
            (vec![], State::Failure, "deleted"),
        ] {
            let expected = ["errors".to_owned()];
            let (found, text) = of(Check::Alarms, |ledger| alarms(ledger, &expected, Some(&Ok(list.clone()))));
            assert!(found == state && text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_topic_that_nobody_hears_is_a_failure() {
        for (found, state) in [
            (Ok((1, 0)), State::Ok),
            (Ok((0, 1)), State::Failure),
            (Ok((0, 0)), State::Failure),
            (Err(missing()), State::Failure),
            (Err(denied()), State::NotReached),
        ] {
            assert_eq!(of(Check::Notices, |ledger| notices(ledger, Some(&found))).0, state, "{found:?}");
        }
    }

    #[test]
    fn a_reconcile_of_today_is_enough() {
        let now = datetime!(2026-11-29 12:00 UTC);
        for (last, state) in [
            (Ok(Some(now - Duration::hours(26))), State::Ok),
            (Ok(Some(now - Duration::hours(27))), State::Warning),
            (Ok(None), State::Warning),
            (Err(denied()), State::NotReached),
        ] {
            let mut ledger = ready();
            ledger.ok(Check::Schedule, "fine");
            reconcile(&mut ledger, &last, now);
            assert_eq!(ledger.entry(Check::Reconcile).unwrap().state, state, "{last:?}");
        }
    }

    #[test]
    fn a_right_that_is_missing_is_named_and_an_unknown_one_is_not_claimed() {
        let decision = |action: &str, is_allowed| Decision { action: action.into(), is_allowed };
        let all = vec![decision("secretsmanager:PutSecretValue", true), decision("sqs:SendMessage", false)];
        let (state, text) = of(Check::Rights, |ledger| rights(ledger, &Ok(all.clone())));
        assert!(state == State::Failure && text.contains("may not sqs:SendMessage"), "{text}");
        let (state, text) = of(Check::Rights, |ledger| rights(ledger, &Err(denied())));
        assert!(state == State::NotReached && text.contains("iam:SimulatePrincipalPolicy"), "{text}");
    }

    #[test]
    fn an_older_function_is_told_by_the_event_that_it_does_not_know() {
        let old = Failure::usage("event: `action` must be one of onboard, reconcile, verify", "");
        let (state, text) = of(Check::Version, |ledger| version(ledger, Err(&old), "0.2.0"));
        assert!(state == State::Failure && text.contains("older than this command line (0.2.0)"), "{text}");
        assert_eq!(of(Check::Version, |ledger| version(ledger, Ok("0.2.0"), "0.2.0")).0, State::Ok);
        assert_eq!(of(Check::Version, |ledger| version(ledger, Ok("0.1.0"), "0.2.0")).0, State::Warning);
    }
}
