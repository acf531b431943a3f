//! The half in AWS: package and template, the change set, the question, the execution.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::end::{Done, finish};
use super::origin::Origin;
use super::shared::{IDS, Run, role};
use crate::deploy::bucket::{self, Bucket, Previous};
use crate::deploy::changes::{self, ChangeSet};
use crate::deploy::cloudformation::{Source, Stacks};
use crate::deploy::login::{self, Login};
use crate::deploy::parameters::{self, Resolved, Setting, Settings};
use crate::deploy::release::{ARCHITECTURES, Release, Verified};
use crate::deploy::stack::{Operation, Stack, architecture, operation};
use crate::deploy::template::{OF_THE_PACKAGE, Template};
use crate::exit::{Code, Failure};
use crate::render::style;

/// Parameters of a new stack that are asked though they have a default: the parameter, and the question.
const ASKED: [(&str, &str); 2] = [
    ("NotificationEmail", "E-mail address that gets every notice (empty: none)"),
    ("ManagerSecretArns", "ARNs of the manager secrets that the function may read (a,b; empty: none)"),
];

/// What the half starts from.
#[derive(Clone, Copy)]
pub(super) struct Half<'a> {
    /// The login at AWS.
    pub(super) login: &'a Login,
    /// What is deployed.
    pub(super) origin: &'a Origin,
    /// The stack, if it exists.
    pub(super) existing: Option<&'a Stack>,
    /// Whether the bucket of the packages exists.
    pub(super) has_bucket: bool,
}

/// Runs the half.
///
/// # Errors
/// Returns why nothing was deployed, or what failed.
pub(super) async fn run(run: &mut Run<'_>, half: Half<'_>, azure: Option<Value>) -> Result<Code, Failure> {
    let context = run.context;
    let Half { login, origin, existing, has_bucket: exists } = half;
    let operation = operation(run.stack, existing)?;
    let (release, package, template) = package(run, origin, existing).await?;
    let name = bucket_name(run, login, existing);
    let bucket = Bucket::new(login, &name)?;
    hide(run, &template);
    let mut settings = settings(run, &template)?;
    let folder = bucket::package_folder(run.stack, &package.sha256);
    let of_package = OF_THE_PACKAGE.iter().zip([name.clone(), folder.clone()]);
    settings.extend(of_package.map(|(name, value)| ((*name).to_owned(), Setting::Value(value))));
    let architecture = package.name.rsplit('-').next().and_then(|end| end.strip_suffix(".zip")).unwrap_or_default();
    if template.parameter("Architecture").is_some() {
        settings.insert("Architecture".to_owned(), Setting::Value(architecture.to_owned()));
    }
    let known = parameters::resolve(&template, &settings, existing.map(|stack| &stack.parameters));
    let waits = known.missing.iter().any(|name| IDS.contains(&name.as_str()));
    if run.arguments.plan && azure.is_some() && waits {
        context.say(&format!("the stack was not planned: {} will come from Azure", known.missing.join(" and ")));
        let value = json!({"action": "deploy", "outcome": "planned", "stack": run.stack, "azure": azure});
        context.print_for_programs(&value);
        return Ok(Code::Done);
    }
    ask(run, &template, &mut settings, existing, operation).await?;
    let resolved = parameters::resolve(&template, &settings, existing.map(|stack| &stack.parameters));
    if !resolved.missing.is_empty() {
        return Err(parameters::missing(&resolved.missing));
    }
    context.say(&plan(run, login, existing, &release, &package, (&name, exists), &resolved)?);
    if let Some(note) = federation(login, &resolved).await {
        context.say(&note);
    }

    let stacks = Stacks::new(login, run.stack);
    let line = context.line(run.stack);
    line.message("computing the change set");
    let change_set = stacks.change_set(operation, Source::Body(&template.text), &resolved.settings).await?;
    line.clear();
    let is_hidden = |name: &str| template.parameter(name).is_some_and(|parameter| parameter.is_hidden);
    let differences = parameters::differences(&resolved.settings, existing.map(|stack| &stack.parameters), is_hidden);
    let Some(changed) = change_set.changes.clone() else {
        discard(run, &stacks, &change_set, operation).await;
        context.say(&format!("{} nothing to change in {}\n", style::good("✓"), run.stack));
        return unchanged(run, login, existing, &release, azure).await;
    };
    let table = changes::table(run.stack, &changed, &differences);
    let shown = changes::to_json(&changed);
    if run.arguments.plan {
        discard(run, &stacks, &change_set, operation).await;
        let value = json!({"action": "deploy", "outcome": "planned", "stack": run.stack, "version": release.version,
            "changes": shown, "azure": azure});
        context.print(&value, || table);
        context.say("nothing was changed");
        return Ok(Code::Done);
    }
    // the changes are part of the question, so they go where the question goes
    context.say(&table);
    let question = format!("Execute this change set on {} in account {} ({})?", run.stack, login.account, login.region);
    let agreed = context.terminal.confirm(question, run.arguments.yes).await;
    if !matches!(agreed, Ok(true)) {
        discard(run, &stacks, &change_set, operation).await;
        agreed?;
        context.say("nothing was changed");
        return Ok(Code::Done);
    }
    let prepared = prepare(run, login, existing, (&bucket, exists), (&folder, package)).await;
    let earlier = match prepared {
        Ok(earlier) => earlier,
        Err(failure) => {
            discard(run, &stacks, &change_set, operation).await;
            return Err(failure);
        }
    };
    let settled = match execute(run, &stacks, &change_set, operation).await {
        Ok(settled) => settled,
        Err(failure) => {
            put_back(run, &stacks, &bucket, earlier).await;
            return Err(failure);
        }
    };
    let done = Done { outcome: "applied", version: Some(&release.version), changes: shown, azure };
    finish(run, &settled, done).await
}

/// Checks status, bucket, package and parameters before anything is deployed in either cloud. Returns whether the bucket exists.
///
/// # Errors
/// Returns why the stack cannot be deployed.
pub(super) async fn check(
    run: &Run<'_>,
    login: &Login,
    origin: &Origin,
    existing: Option<&Stack>,
) -> Result<bool, Failure> {
    operation(run.stack, existing)?;
    let name = bucket_name(run, login, existing);
    let bucket = Bucket::new(login, &name)?;
    let (given, of_stack) = architectures(run, existing);
    match origin {
        // its template does not exist before the build
        Origin::Checkout(_) => drop(architecture(given, of_stack, &ARCHITECTURES)?),
        Origin::Release(release) => {
            let wanted = architecture(given, of_stack, &release.architectures())?;
            release.read(&release.package(&wanted))?;
            let template = Template::parse(release.read(&release.template())?.text()?)?;
            let settings = settings(run, &template)?;
            let mut missing =
                parameters::resolve(&template, &settings, existing.map(|stack| &stack.parameters)).missing;
            // Azure gives the ids, and deploy chooses the package
            missing.retain(|name| !IDS.contains(&name.as_str()) && !OF_THE_PACKAGE.contains(&name.as_str()));
            if !missing.is_empty() && !is_asked(run) {
                return Err(parameters::missing(&missing));
            }
        }
    }
    bucket.exists().await
}

/// Whether a person can answer questions about what is missing.
fn is_asked(run: &Run<'_>) -> bool {
    run.context.terminal.answers && !run.arguments.yes
}

/// The processor that the person chose, and that of the stack.
fn architectures<'a>(run: &'a Run<'_>, existing: Option<&'a Stack>) -> (Option<&'a str>, Option<&'a str>) {
    let kept = run.config.parameters.get("Architecture").map(String::as_str);
    let of_stack = existing.and_then(|stack| stack.parameters.get("Architecture")).map(String::as_str);
    (run.given.value("Architecture").or(kept), of_stack)
}

/// A parameter that the template hides is a secret, also if it was given in the open: the file does not keep it.
fn hide(run: &mut Run<'_>, template: &Template) {
    for (name, setting) in &mut run.given.0 {
        let is_hidden = template.parameter(name).is_some_and(|parameter| parameter.is_hidden);
        if let Setting::Value(value) = setting
            && is_hidden
        {
            *setting = Setting::Secret(std::mem::take(value).into());
        }
    }
}

/// The release's files for the processor of the function, each with its right checksum.
async fn package(
    run: &Run<'_>,
    origin: &Origin,
    existing: Option<&Stack>,
) -> Result<(Release, Verified, Template), Failure> {
    let (given, of_stack) = architectures(run, existing);
    let release = match origin {
        Origin::Release(release) => release.clone(),
        Origin::Checkout(_) => {
            let wanted = architecture(given, of_stack, &ARCHITECTURES)?;
            run.context.say(&format!("builds the function for {wanted}; a first build takes some minutes"));
            origin.release(&wanted).await?
        }
    };
    let wanted = architecture(given, of_stack, &release.architectures())?;
    let package = release.read(&release.package(&wanted))?;
    let template = Template::parse(release.read(&release.template())?.text()?)?;
    Ok((release, package, template))
}

/// The bucket: the option, the file, the stack's, the default.
pub(super) fn bucket_name(run: &Run<'_>, login: &Login, existing: Option<&Stack>) -> String {
    let of_stack = existing.and_then(|stack| stack.parameters.get(OF_THE_PACKAGE[0]));
    let named = run.arguments.bucket.as_ref().or(run.config.bucket.as_ref()).or(of_stack);
    named.cloned().unwrap_or_else(|| bucket::default_name(&login.account, &login.region))
}

/// The values of file and options.
fn settings(run: &Run<'_>, template: &Template) -> Result<Settings, Failure> {
    let mut settings = Settings::new();
    for (name, value) in &run.config.parameters {
        if template.parameter(name).is_some_and(|parameter| parameter.is_hidden) {
            return Err(Failure::new(
                Code::Person,
                format!("{} holds {name}, which AWS hides because it may be a secret", run.arguments.config.display()),
                format!("take it out of the file, and pass it with --set {name}; the stack keeps it from then on"),
            ));
        }
        settings.insert(name.clone(), Setting::Value(value.clone()));
    }
    for (name, setting) in &run.given.0 {
        if template.parameter(name).is_none() {
            return Err(Failure::usage(
                format!("the template has no parameter {name}"),
                "check its name; docs/deploy.md lists the parameters",
            ));
        }
        settings.insert(name.clone(), setting.clone());
    }
    Ok(settings)
}

/// Asks for what is missing, and for a new stack also for what most people want to set.
async fn ask(
    run: &mut Run<'_>,
    template: &Template,
    settings: &mut Settings,
    existing: Option<&Stack>,
    operation: Operation,
) -> Result<(), Failure> {
    let terminal = run.context.terminal;
    if !is_asked(run) {
        return Ok(());
    }
    if operation == Operation::Create {
        for (name, prompt) in ASKED {
            if template.parameter(name).is_some() && !settings.contains_key(name) {
                let value = terminal.value(prompt.to_owned(), None, |_| Ok(())).await?;
                parameters::check(name, Some(&value), "the answer")?;
                settings.insert(name.to_owned(), Setting::Value(value.clone()));
                run.given.0.insert(name.to_owned(), Setting::Value(value));
            }
        }
    }
    for name in parameters::resolve(template, settings, existing.map(|stack| &stack.parameters)).missing {
        let description = template.parameter(&name).map(|parameter| parameter.description.as_str()).unwrap_or_default();
        if template.parameter(&name).is_some_and(|parameter| parameter.is_hidden) {
            let typed = terminal.hidden(format!("{name} (not shown)")).await?;
            settings.insert(name, Setting::Secret(parameters::trimmed(&typed)));
            continue;
        }
        let check = |text: &str| if text.is_empty() { Err("a value is required".to_owned()) } else { Ok(()) };
        let value = terminal.value(format!("{name} ({})", description.trim_end_matches('.')), None, check).await?;
        parameters::check(&name, Some(&value), "the answer")?;
        settings.insert(name.clone(), Setting::Value(value.clone()));
        run.given.0.insert(name, Setting::Value(value));
    }
    Ok(())
}

/// What is deployed, and where.
fn plan(
    run: &Run<'_>,
    login: &Login,
    existing: Option<&Stack>,
    release: &Release,
    package: &Verified,
    (bucket, exists): (&str, bool),
    resolved: &Resolved,
) -> Result<String, Failure> {
    let status = existing.map_or("new", |stack| stack.status.as_str());
    let role = role(run, login, existing)?;
    let made = if exists { "" } else { " (new: no public access, every version kept)" };
    let mut text = format!(
        "account        {}\nRegion         {}\nstack          {} ({status})\nrelease        {}, {}\nrole           {role}\n\
         \x20              (the federated credential at Entra trusts exactly this ARN)\nbucket         {bucket}{made}\n",
        login.account, login.region, run.stack, release.version, package.name
    );
    if release.is_a_build() && !run.arguments.build {
        text.push_str("note           this folder is a build for tests, not a release\n");
    }
    if let Some(before) = existing.and_then(|stack| stack.parameters.get("Architecture"))
        && let Some(Setting::Value(after)) = resolved.settings.get("Architecture")
        && before != after
    {
        let _ = writeln!(text, "note           the stack is built for {before} now, and moves to {after}");
    }
    if !resolved.dropped.is_empty() {
        let dropped = resolved.dropped.join(", ");
        let _ = writeln!(text, "note           this version has no parameter {dropped}: left out");
    }
    let hidden = resolved.settings.iter().filter(|(_, setting)| matches!(setting, Setting::Secret(_)));
    for (name, _) in hidden {
        let _ = writeln!(
            text,
            "note           {name} is hidden: the stack keeps it, {} does not",
            run.arguments.config.display()
        );
    }
    text.push_str(
        "costs          about 1 USD a month: 0.80 for the alarms, the rest for metrics; 3 more for the dashboard from the fourth of an\n\
         \x20              account on; 0.40 for each secret\n",
    );
    Ok(text)
}

/// What is to be said of the federation, which the function needs to log in at Entra.
async fn federation(login: &Login, resolved: &Resolved) -> Option<String> {
    if matches!(resolved.settings.get("AzureAuth"), Some(Setting::Value(value)) if value == "client-secret") {
        return None;
    }
    let refusal = login.issuer().await.err()?;
    login::is_off(&refusal).then(|| {
        format!(
            "note           outbound web identity federation is off in account {}: the function cannot log in at Entra until an\n\
             \x20              administrator has run: aws iam enable-outbound-web-identity-federation\n",
            login.account
        )
    })
}

/// Writes what the execution needs: the choices, the bucket, the package, and what the stack is now. Returns what was kept
/// before.
async fn prepare(
    run: &mut Run<'_>,
    login: &Login,
    existing: Option<&Stack>,
    (bucket, exists): (&Bucket<'_>, bool),
    (folder, package): (&str, Verified),
) -> Result<Option<Previous>, Failure> {
    let context = run.context;
    context.doing("interrupted before the stack was changed; run the command again");
    remember(run, login, bucket.name)?;
    let line = context.line(run.stack);
    if !exists {
        line.message("creating the bucket");
        bucket.create().await?;
    } else if is_in_the_making(login, existing, bucket.name) {
        bucket.protect().await?;
    }
    line.message("uploading the package");
    bucket.put(&format!("{folder}{}", package.name), package.bytes).await?;
    let earlier = keep(run, login, existing, bucket).await?;
    line.clear();
    Ok(earlier)
}

/// Whether an earlier run may have created the bucket and ended before it was protected: nobody else gives it this name, and no
/// deployment of this stack has used it yet.
fn is_in_the_making(login: &Login, existing: Option<&Stack>, name: &str) -> bool {
    let of_stack = existing.and_then(|stack| stack.parameters.get(OF_THE_PACKAGE[0]));
    name == bucket::default_name(&login.account, &login.region) && of_stack.is_none_or(|used| used != name)
}

/// Keeps what the stack is now, so that `--rollback` can bring it back. Returns what was kept before.
async fn keep(
    run: &Run<'_>,
    login: &Login,
    existing: Option<&Stack>,
    bucket: &Bucket<'_>,
) -> Result<Option<Previous>, Failure> {
    let Some(stack) = existing else { return Ok(None) };
    let template = Stacks::new(login, run.stack).template().await?;
    let earlier = bucket.previous(run.stack).await?;
    bucket.keep(run.stack, &Previous { template, parameters: stack.parameters.clone() }).await?;
    Ok(earlier)
}

/// After an update that `CloudFormation` rolled back, the stack is what it was: `--rollback` leads where it led before.
async fn put_back(run: &Run<'_>, stacks: &Stacks<'_>, bucket: &Bucket<'_>, earlier: Option<Previous>) {
    let Some(earlier) = earlier else { return };
    let settled = stacks.describe(None).await.ok().flatten();
    if settled.is_some_and(|stack| stack.status == "UPDATE_ROLLBACK_COMPLETE") {
        // if this fails, `--rollback` finds nothing to change: it never leads to another state
        let _ = bucket.keep(run.stack, &earlier).await;
    }
}

/// Writes the choices.
fn remember(run: &mut Run<'_>, login: &Login, bucket: &str) -> Result<(), Failure> {
    run.config.account = Some(login.account.clone());
    run.config.region = Some(login.region.clone());
    run.config.stack = Some(run.stack.to_owned());
    run.config.bucket = Some(bucket.to_owned());
    for (name, setting) in &run.given.0 {
        if let Setting::Value(value) = setting {
            run.config.parameters.insert(name.clone(), value.clone());
        }
    }
    if run.config.write(&run.arguments.config)? {
        run.context.say(&format!("your choices are in {}", run.arguments.config.display()));
    }
    Ok(())
}

/// Deletes a change set that is not executed, and says what stays.
pub(super) async fn discard(run: &Run<'_>, stacks: &Stacks<'_>, change_set: &ChangeSet, operation: Operation) {
    if let Some(left) = stacks.discard(&change_set.id, operation).await {
        run.context.say(&left);
    }
}

/// Executes a change set, and follows it until the stack has settled.
pub(super) async fn execute(
    run: &Run<'_>,
    stacks: &Stacks<'_>,
    change_set: &ChangeSet,
    operation: Operation,
) -> Result<Stack, Failure> {
    let context = run.context;
    let line = context.line(run.stack);
    let known = stacks.events(&change_set.stack_id, &[]).await.unwrap_or_default();
    let known: Vec<String> = known.into_iter().map(|event| event.id).collect();
    context.doing(format!(
        "interrupted: CloudFormation continues by itself; see aws cloudformation describe-stack-events --stack-name {}; then run the command again",
        run.stack
    ));
    line.message("executing the change set");
    if let Err(failure) = stacks.execute(&change_set.id).await {
        if failure.code == Code::Person {
            // it was refused; without a clear response it may be executed
            discard(run, stacks, change_set, operation).await;
        }
        return Err(failure);
    }
    let (stack, events) =
        stacks.follow(&change_set.stack_id, &known, |events| line.message(&changes::progress(events))).await?;
    line.clear();
    if matches!(stack.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE") {
        return Ok(stack);
    }
    let reasons = changes::failures(&events);
    let reasons = if reasons.is_empty() { "CloudFormation named no reason".to_owned() } else { reasons.join("\n  ") };
    let name = run.stack;
    let remedy = match operation {
        Operation::Create => format!(
            "correct what the reason names; delete the remains: hubkeeper destroy --stack {name}; then deploy again"
        ),
        Operation::Update => {
            "correct what the reason names, then deploy again; the stack is what it was before".to_owned()
        }
    };
    let ended = match operation {
        Operation::Create => "was not created",
        Operation::Update => "was not updated",
    };
    Err(Failure::new(Code::Person, format!("the stack {name} {ended}, and is {}:\n  {reasons}", stack.status), remedy))
}

/// The end where nothing was to change.
async fn unchanged(
    run: &mut Run<'_>,
    login: &Login,
    existing: Option<&Stack>,
    release: &Release,
    azure: Option<Value>,
) -> Result<Code, Failure> {
    let Some(stack) = existing else {
        return Err(Failure::new(Code::Person, "the template has no resources", "take the whole release again"));
    };
    if run.arguments.plan {
        let value = json!({"action": "deploy", "outcome": "unchanged", "stack": run.stack, "version": release.version, "azure": azure});
        run.context.print_for_programs(&value);
        return Ok(Code::Done);
    }
    let bucket = bucket_name(run, login, existing);
    remember(run, login, &bucket)?;
    let done = Done { outcome: "unchanged", version: Some(&release.version), changes: json!([]), azure };
    finish(run, stack, done).await
}
