//! `hubkeeper deploy --rollback`: the stack becomes what it was before its last update.

use serde_json::json;

use super::end::{Done, finish};
use super::shared::{Run, options_with};
use super::stack::{bucket_name, discard, execute};
use crate::deploy::bucket::Bucket;
use crate::deploy::changes;
use crate::deploy::cloudformation::{Source, Stacks};
use crate::deploy::login::Login;
use crate::deploy::parameters::{self, HIDDEN, Setting};
use crate::deploy::stack::{Operation, Stack, operation};
use crate::exit::{Code, Failure};
use crate::render::style;

/// Runs it.
///
/// # Errors
/// Returns why the stack was not rolled back.
pub(super) async fn run(run: &mut Run<'_>, login: &Login, existing: Option<&Stack>) -> Result<Code, Failure> {
    let (context, name) = (run.context, run.stack);
    let Some(stack) = existing else {
        return Err(Failure::new(
            Code::Person,
            format!("there is no stack {name} in {} of account {}", login.region, login.account),
            "name it with --stack, or choose account and Region with AWS_PROFILE and AWS_REGION",
        ));
    };
    operation(name, existing)?;
    let bucket_name = bucket_name(run, login, existing);
    let bucket = Bucket::new(login, &bucket_name)?;
    let another = format!("hubkeeper deploy{}", options_with(run, " --release <its folder>"));
    let previous = bucket.previous(name).await?.ok_or_else(|| {
        Failure::new(
            Code::Person,
            format!(
                "there is no earlier deployment of {name} in the bucket {bucket_name}: only an update by hubkeeper deploy keeps one"
            ),
            format!("deploy the release that you want instead: {another}"),
        )
    })?;
    let settings = previous.settings();
    // a hidden value is in no file: the stack has it, or it is lost
    let lost: Vec<&str> = settings
        .iter()
        .filter(|(name, setting)| matches!(setting, Setting::Previous) && !stack.parameters.contains_key(*name))
        .map(|(name, _)| name.as_str())
        .collect();
    if !lost.is_empty() {
        return Err(Failure::new(
            Code::Person,
            format!("the stack no longer has the hidden value of {}", lost.join(", ")),
            format!("deploy that release with it instead: {another} --set <name>"),
        ));
    }
    context.say(&format!(
        "account        {}\nRegion         {}\nstack          {name} ({})\nbecomes        what it was before its last update by hubkeeper deploy\n",
        login.account, login.region, stack.status
    ));
    let stacks = Stacks::new(login, name);
    let line = context.line(name);
    line.message("computing the change set");
    let url = previous.key(name).map(|key| bucket.url(&key));
    let source = url.as_deref().map_or(Source::Body(&previous.template), Source::Url);
    let change_set = stacks.change_set(Operation::Update, source, &settings).await?;
    line.clear();
    let Some(changed) = change_set.changes.clone() else {
        discard(run, &stacks, &change_set, Operation::Update).await;
        context.say(&format!(
            "{} nothing to change in {name}: it is what it was before its last update\n",
            style::good("✓")
        ));
        let done = Done { outcome: "unchanged", version: None, changes: json!([]), azure: None };
        if run.arguments.plan {
            context.print_for_programs(&json!({"action": "deploy", "outcome": "unchanged", "stack": name}));
            return Ok(Code::Done);
        }
        return finish(run, stack, done).await;
    };
    let is_hidden = |name: &str| stack.parameters.get(name).is_some_and(|value| value == HIDDEN);
    let differences = parameters::differences(&settings, Some(&stack.parameters), is_hidden);
    let table = changes::table(name, &changed, &differences);
    let shown = changes::to_json(&changed);
    if run.arguments.plan {
        discard(run, &stacks, &change_set, Operation::Update).await;
        let value = json!({"action": "deploy", "outcome": "planned", "stack": name, "changes": shown});
        context.print(&value, || table);
        context.say("nothing was changed");
        return Ok(Code::Done);
    }
    context.say(&table);
    let question = format!("Roll {name} back in account {} ({})?", login.account, login.region);
    let agreed = context.terminal.confirm(question, run.arguments.yes).await;
    if !matches!(agreed, Ok(true)) {
        discard(run, &stacks, &change_set, Operation::Update).await;
        agreed?;
        context.say("nothing was changed");
        return Ok(Code::Done);
    }
    let settled = execute(run, &stacks, &change_set, Operation::Update).await?;
    finish(run, &settled, Done { outcome: "applied", version: None, changes: shown, azure: None }).await
}
