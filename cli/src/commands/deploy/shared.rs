//! What both halves share: options, file, and the names that both need.

use std::fmt::Write as _;
use std::path::Path;

use hubkeeper_core::config::Environment;

use super::given::Given;
use crate::args::{CONFIG, Deploy};
use crate::context::Context;
use crate::deploy::config::DeployConfig;
use crate::deploy::login::Login;
use crate::deploy::stack::{Stack, role_arn};
use crate::exit::Failure;

/// The stack where nobody names another.
pub(super) const STACK: &str = "hubkeeper";
/// The ids of the identity, by which the function logs in.
pub(super) const IDS: [&str; 2] = ["AzureTenantId", "AzureClientId"];

/// The stack's name: the option, the file, the variable.
pub(in crate::commands) fn stack_name(option: Option<&str>, kept: Option<&str>, environment: &Environment) -> String {
    let variable = environment.get("HUBKEEPER_STACK").map(|name| name.trim()).filter(|name| !name.is_empty());
    option.or(kept).or(variable).unwrap_or(STACK).to_owned()
}

/// One run of the command. No `Debug`: it holds credentials.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    pub(super) arguments: &'a Deploy,
    pub(super) stack: &'a str,
    pub(super) config: DeployConfig,
    pub(super) given: Given,
}

/// The ARN of the role that the stack has after this deployment: a given name counts before the one that the stack has.
pub(super) fn role(run: &Run<'_>, login: &Login, existing: Option<&Stack>) -> Result<String, Failure> {
    let kept = run.config.parameters.get("RoleName").map(String::as_str);
    let name = run.given.value("RoleName").or(kept).filter(|name| !name.is_empty());
    match existing.and_then(|stack| stack.outputs.get("RoleArn")) {
        Some(arn) if name.is_none() => Ok(arn.clone()),
        _ => role_arn(run.stack, name, &login.region, &login.account, &login.partition),
    }
}

/// The options that name stack, release and file, for the commands that follow: empty, or with a space in front.
pub(super) fn options(run: &Run<'_>) -> String {
    let mut origin = String::new();
    if run.arguments.build {
        origin.push_str(" --build");
    }
    if let Some(release) = &run.arguments.release {
        let _ = write!(origin, " --release {}", quoted(release));
    }
    options_with(run, &origin)
}

/// The same with another release.
pub(super) fn options_with(run: &Run<'_>, origin: &str) -> String {
    let mut text = String::new();
    if run.stack != STACK {
        let _ = write!(text, " --stack {}", run.stack);
    }
    text.push_str(origin);
    if run.arguments.config.as_os_str() != CONFIG {
        let _ = write!(text, " --config {}", quoted(&run.arguments.config));
    }
    text
}

/// A path as a word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%,:=~".contains(letter);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_file_and_variable() {
        let environment: Environment = [("HUBKEEPER_STACK".to_owned(), " v ".to_owned())].into();
        assert_eq!(stack_name(Some("o"), Some("f"), &environment), "o");
        assert_eq!(stack_name(None, Some("f"), &environment), "f");
        assert_eq!(stack_name(None, None, &environment), "v");
        assert_eq!(stack_name(None, None, &Environment::new()), "hubkeeper");
    }
}
