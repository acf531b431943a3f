//! `hubkeeper status`: every managed secret, worst first.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::args::{Format, Status};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::function::Deployed;
use crate::target::Target;
use crate::{render, terminal};

/// A page has 100 items; a fleet of more pages than this repeats itself.
const PAGES: usize = 1_000;

/// Runs the command.
///
/// # Errors
/// Returns why there is no status.
pub async fn run(context: &Context, arguments: Status) -> Result<Code, Failure> {
    if arguments.watch.is_some() && context.global.output == Format::Html {
        return Err(Failure::usage("--watch cannot be combined with --output html", "leave one of them out"));
    }
    context.doing("the status was interrupted: nothing was written anywhere");
    loop {
        let items = read(context, &arguments).await?;
        let page = json!({"outcome": "unchanged", "items": items});
        if context.global.output == Format::Html {
            terminal::print(&render::page::document(&items, OffsetDateTime::now_utc()));
            return Ok(code(&items));
        }
        if arguments.watch.is_some() && context.terminal.shows_results && context.is_for_people() {
            terminal::clear_screen();
        }
        context.print(&page, || render::status::status(&items, context.terminal.width, OffsetDateTime::now_utc()));
        match arguments.watch {
            None => return Ok(code(&items)),
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
    }
}

/// Reads every page, through the deployed function or with the caller's credentials.
async fn read(context: &Context, arguments: &Status) -> Result<Vec<Value>, Failure> {
    let line = context.line("status");
    line.message("reading");
    let shared = context.shared(&line)?;
    let target = Target::find(context, &arguments.function, arguments.local, &shared).await?;
    let mut items = Vec::new();
    let mut next: Option<Value> = None;
    for _ in 0..PAGES {
        let mut event = json!({"action": "status"});
        if !arguments.ids.is_empty() {
            event["secretIds"] = json!(arguments.ids);
        }
        if let Some(next) = next.take() {
            event["next"] = next;
        }
        let mut page = target.handle(&event).await?;
        if let Some(found) = page["items"].as_array_mut() {
            items.append(found);
        }
        line.message(&format!("{} read", items.len()));
        match page.get_mut("next").map(Value::take) {
            Some(Value::String(id)) => next = Some(Value::String(id)),
            _ => break,
        }
    }
    line.clear();
    // each page is worst first; so is the whole
    items.sort_by_key(weight);
    Ok(items)
}

/// The ids of all managed secrets, by the deployed function.
///
/// # Errors
/// Returns why they cannot be listed.
pub async fn managed(function: &Deployed) -> Result<Vec<String>, Failure> {
    let items = all(function).await?;
    let kept = items.iter().filter(|item| item["state"] != "offboarded");
    Ok(kept.filter_map(|item| item["secretId"].as_str()).map(str::to_owned).collect())
}

/// The state of every managed and every offboarded secret, by the deployed function.
///
/// # Errors
/// Returns why it cannot be read.
pub async fn all(function: &Deployed) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::new();
    let mut event = json!({"action": "status"});
    for _ in 0..PAGES {
        let mut page = function.invoke(&event).await?;
        if let Some(found) = page["items"].as_array_mut() {
            items.append(found);
        }
        match page["next"].as_str() {
            Some(next) => event["next"] = json!(next),
            None => break,
        }
    }
    Ok(items)
}

/// Where a state stands among all, worst first.
fn weight(item: &Value) -> usize {
    let states = hubkeeper_core::status::State::ALL;
    states.iter().position(|state| item["state"] == state.name()).unwrap_or(0)
}

/// The exit code for monitoring: a person has to act, or something could not be read.
fn code(items: &[Value]) -> Code {
    let needs = |item: &&Value| render::status::needs_somebody(item);
    match items.iter().filter(needs).map(|item| item["state"] == "unknown").collect::<Vec<_>>() {
        states if states.is_empty() => Code::Done,
        states if states.iter().all(|unknown| *unknown) => Code::Retry,
        _ => Code::Person,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_whether_somebody_is_needed() {
        let of = |states: &[&str]| code(&states.iter().map(|state| json!({"state": state})).collect::<Vec<_>>());
        assert_eq!(of(&[]), Code::Done);
        assert_eq!(of(&["ready", "rotating", "offboarded"]), Code::Done);
        assert_eq!(of(&["ready", "unknown"]), Code::Retry);
        assert_eq!(of(&["unknown", "expiring"]), Code::Person);
        assert_eq!(of(&["stuck"]), Code::Person);
    }

    #[test]
    fn the_worst_comes_first_across_pages() {
        let mut items: Vec<Value> =
            ["ready", "expired", "drifted"].iter().map(|state| json!({"state": state})).collect();
        items.sort_by_key(weight);
        let states: Vec<&str> = items.iter().filter_map(|item| item["state"].as_str()).collect();
        assert_eq!(states, ["expired", "drifted", "ready"]);
    }
}
