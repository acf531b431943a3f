//! The end of a run: what was done, and what comes next.

use std::fmt::Write as _;

use hubkeeper_core::doctor::State;
use serde_json::{Value, json};

use super::shared::{Run, STACK, options};
use crate::args::{Doctor, Function};
use crate::commands::doctor;
use crate::context::Context;
use crate::deploy::parameters::Values;
use crate::deploy::stack::Stack;
use crate::exit::{Code, Failure};
use crate::render;

/// The end of a deployment of Azure alone.
pub(super) fn finish_azure(context: &Context, run: &Run<'_>, done: Option<&Value>) -> Code {
    let outcome = match done {
        Some(done) => done["outcome"].as_str().unwrap_or("applied"),
        None => "unchanged",
    };
    let value = json!({"action": "deploy", "outcome": outcome, "stack": run.stack, "azure": done});
    let outputs: Values =
        serde_json::from_value(done.map_or(Value::Null, |done| done["outputs"].clone())).unwrap_or_default();
    if outputs.is_empty() {
        context.print_for_programs(&value);
    } else {
        context.print(&value, || listed("outputs of Azure", &outputs));
    }
    if context.is_for_people() && !outputs.is_empty() {
        context.say(&format!(
            "\nwhat comes next\n  1. deploy the stack: hubkeeper deploy --aws-only --set AzureTenantId={} --set AzureClientId={}{}\n     The credential and the role take some minutes to propagate.",
            outputs.get("tenantId").map(String::as_str).unwrap_or_default(),
            outputs.get("clientId").map(String::as_str).unwrap_or_default(),
            options(run)
        ));
    }
    Code::Done
}

/// Names and values below a heading.
fn listed(heading: &str, values: &Values) -> String {
    if values.is_empty() {
        return String::new();
    }
    let width = values.keys().map(String::len).max().unwrap_or(0);
    let mut text = format!("{}\n", render::style::bold(heading));
    for (name, value) in values {
        let _ = writeln!(text, "  {name:<width$}  {value}");
    }
    text
}

/// What was done, for the end of the command.
pub(super) struct Done<'a> {
    pub(super) outcome: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) changes: Value,
    pub(super) azure: Option<Value>,
}

/// The end: outputs, the checks of `doctor`, and the next command.
pub(super) async fn finish(run: &Run<'_>, stack: &Stack, done: Done<'_>) -> Result<Code, Failure> {
    let context = run.context;
    let function = Function { function: None, stack: Some(run.stack.to_owned()) };
    let checks = doctor::examine(context, &Doctor { secret: None, local: false, record: None, function }).await;
    context.doing("interrupted: the deployment is over, its checks are not");
    let (checked, failed) = match &checks {
        Ok(ledger) => (Value::Object(ledger.to_json()), ledger.count(State::Failure)),
        Err(failure) => (json!({"error": failure.what, "remedy": failure.remedy}), 1),
    };
    let value = json!({
        "action": "deploy", "outcome": done.outcome, "stack": run.stack, "status": stack.status, "version": done.version,
        "changes": done.changes, "azure": done.azure, "outputs": stack.outputs, "doctor": checked,
    });
    context.print(&value, || {
        let outputs = listed(&format!("outputs of {} ({})", run.stack, stack.status), &stack.outputs);
        let checks = match &checks {
            Ok(ledger) => render::doctor::doctor(ledger),
            Err(failure) => format!("{}\n", render::failure(failure)),
        };
        format!("{outputs}\n{checks}")
    });
    if context.is_for_people() {
        let of_stack = if run.stack == STACK { String::new() } else { format!(" --stack {}", run.stack) };
        let mut steps = Vec::new();
        if failed > 0 {
            steps.push(format!(
                "correct what the checks above name (a new credential takes minutes to propagate), and check again: hubkeeper doctor{of_stack}"
            ));
        }
        steps.push(format!("create the secret of each organization: hubkeeper init <organization>{of_stack}"));
        steps.push(format!("see the state of every secret: hubkeeper status{of_stack}"));
        let steps = steps.iter().enumerate().map(|(at, step)| format!("  {}. {step}", at + 1)).collect::<Vec<_>>();
        context.say(&format!("\nwhat comes next\n{}", steps.join("\n")));
    }
    Ok(Code::Done)
}
