//! `hubkeeper onboard`, `reconcile` and `offboard`: the plan first, then the question, then the deployed function.

use serde_json::{Value, json};

use super::several::{all_needs_the_function, joined};
use super::status;
use crate::args::{Act, Onboard, Reconcile};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::function::Deployed;
use crate::target::Target;
use crate::{hints, render};

/// Runs `hubkeeper onboard`.
///
/// # Errors
/// Returns why nothing was onboarded.
pub async fn onboard(context: &Context, arguments: Onboard) -> Result<Code, Failure> {
    let Onboard { act, force, fix_role } = arguments;
    let extra = [("force", force), ("fixRole", fix_role)];
    let ended = run(context, &act, |ids| {
        let mut event = subject("onboard", ids);
        for (name, _) in extra.iter().filter(|(_, set)| *set) {
            event[*name] = Value::Bool(true);
        }
        vec![event]
    })
    .await;
    if let (Err(failure), [id]) = (&ended, &act.ids[..])
        && hints::is_missing(failure)
        && context.is_for_people()
    {
        context.say(&format!("{}\n", hints::create(id)));
    }
    ended
}

/// Runs `hubkeeper reconcile`.
///
/// # Errors
/// Returns why nothing was reconciled.
pub async fn reconcile(context: &Context, arguments: Reconcile) -> Result<Code, Failure> {
    let Reconcile { act, revoke_replaced } = arguments;
    run(context, &act, |ids| {
        let mut event = json!({"action": "reconcile", "secretIds": ids});
        if revoke_replaced {
            event["revokeReplaced"] = Value::Bool(true);
        }
        vec![event]
    })
    .await
}

/// Runs `hubkeeper offboard`.
///
/// # Errors
/// Returns why nothing was offboarded.
pub async fn offboard(context: &Context, arguments: Act) -> Result<Code, Failure> {
    run(context, &arguments, |ids| ids.iter().map(|id| json!({"action": "offboard", "secretId": id})).collect()).await
}

/// An event about one secret or several. A single one gets the error of its own.
fn subject(action: &str, ids: &[String]) -> Value {
    match ids {
        [id] => json!({"action": action, "secretId": id}),
        ids => json!({"action": action, "secretIds": ids}),
    }
}

/// The secret of an event about one.
fn subject_of(event: &Value) -> String {
    event["secretId"].as_str().unwrap_or_default().to_owned()
}

async fn run(context: &Context, arguments: &Act, events: impl Fn(&[String]) -> Vec<Value>) -> Result<Code, Failure> {
    context.doing("interrupted before anything was written");
    let line = context.line("hubkeeper");
    let shared = context.shared(&line)?;
    let target = Target::find(context, &arguments.function, arguments.local, &shared).await?;
    let ids = match (&target, arguments.all) {
        (_, false) => arguments.ids.clone(),
        (Target::Function(function), true) => status::managed(function).await?,
        (Target::Local(_), true) => return Err(all_needs_the_function()),
    };
    if ids.is_empty() {
        line.clear();
        context.say("no secret is managed");
        return Ok(Code::Done);
    }
    let events = events(&ids);
    let action = events.first().and_then(|event| event["action"].as_str()).unwrap_or_default().to_owned();
    if arguments.plan || !arguments.yes {
        line.message("planning");
        let mut plans = Vec::new();
        for event in &events {
            let mut event = event.clone();
            event["mode"] = json!("plan");
            plans.push((subject_of(&event), target.handle(&event).await));
        }
        line.clear();
        let plan = joined(&action, "plan", plans)?;
        if arguments.plan {
            context.print(&plan, || render::report::report(&plan));
            return Ok(Code::of_report(&plan));
        }
        // the plan is part of the question, so it goes where the question goes
        context.say(render::report::report(&plan).trim_end());
        let code = Code::of_report(&plan);
        if !would_write(&plan) {
            if context.is_for_people() {
                context.say("\nnothing to do");
                if let Target::Function(function) = &target {
                    tell_of_rotation(context, function, &plan).await;
                }
            } else {
                context.print(&plan, String::new);
            }
            return Ok(code);
        }
        let question =
            format!("Run this with the function on {}?", render::style::count(ids.len(), "secret", "secrets"));
        if !context.terminal.confirm(question, false).await? {
            context.say("nothing was written");
            return Ok(Code::Done);
        }
    }
    let Target::Function(function) = &target else {
        return Err(Failure::usage(
            "with your own credentials this command only plans",
            "add --plan, or leave out --local",
        ));
    };
    let line = context.line(&function.name);
    line.message("running");
    let mut reports = Vec::new();
    for event in &events {
        context.doing(format!(
            "interrupted while the function {} ran: it continues by itself, and a repeated command finishes what it left; see hubkeeper status",
            function.name
        ));
        reports.push((subject_of(event), function.invoke(event).await));
    }
    line.clear();
    let report = joined(&action, "apply", reports)?;
    context.print(&report, || render::report::report(&report));
    if context.is_for_people() {
        tell_of_rotation(context, function, &report).await;
    }
    Ok(Code::of_report(&report))
}

/// Says which of the secrets that have just been onboarded are not rotated, and how to turn that on.
async fn tell_of_rotation(context: &Context, function: &Deployed, report: &Value) {
    let ids = onboarded(report);
    if ids.is_empty() || context.global.quiet {
        return;
    }
    // only a hint, so a status that cannot be read is no failure
    if let Ok(page) = function.invoke(&json!({"action": "status", "secretIds": ids})).await {
        let text = hints::rotation(page["items"].as_array().map_or(&[], Vec::as_slice), &function.name);
        if !text.is_empty() {
            context.say(&format!("\n{text}"));
        }
    }
}

/// The secrets that a report calls onboarded.
fn onboarded(report: &Value) -> Vec<&str> {
    if let Some(items) = report["items"].as_array() {
        return items.iter().flat_map(onboarded).collect();
    }
    let done = matches!(report["outcome"].as_str(), Some("applied" | "unchanged"));
    report["secretId"].as_str().filter(|_| done && report["action"] == "onboard").into_iter().collect()
}

/// Whether a plan, or one of several, holds a step.
fn would_write(plan: &Value) -> bool {
    match plan["items"].as_array() {
        Some(items) => items.iter().any(would_write),
        None => plan["plan"].as_array().is_some_and(|steps| !steps.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_gets_an_event_of_its_own() {
        let id = |text: &str| text.to_owned();
        assert_eq!(subject("onboard", &[id("a")]), json!({"action": "onboard", "secretId": "a"}));
        assert_eq!(subject("onboard", &[id("a"), id("b")]), json!({"action": "onboard", "secretIds": ["a", "b"]}));
    }

    #[test]
    fn only_what_was_onboarded_gets_a_hint() {
        let item = |action: &str, outcome: &str| json!({"action": action, "outcome": outcome, "secretId": "a"});
        assert_eq!(onboarded(&item("onboard", "applied")), ["a"]);
        assert_eq!(onboarded(&json!({"items": [item("onboard", "unchanged"), item("onboard", "failed")]})), ["a"]);
        assert!(
            onboarded(&item("reconcile", "applied")).is_empty() && onboarded(&item("onboard", "planned")).is_empty()
        );
    }

    #[test]
    fn a_plan_without_a_step_asks_nothing() {
        assert!(!would_write(&json!({"outcome": "unchanged"})));
        assert!(!would_write(&json!({"items": [{"plan": []}]})));
        assert!(would_write(&json!({"items": [{"plan": []}, {"plan": [{"step": "resend"}]}]})));
    }
}
