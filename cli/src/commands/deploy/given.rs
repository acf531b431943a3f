//! What a person gives with `--set`: values, and secrets that no argument holds.

use secrecy::SecretString;

use crate::context::Context;
use crate::deploy::parameters::{self, Setting, Settings};
use crate::exit::Failure;

/// The parameters of `--set`. No `Debug`: a value may be a secret.
pub(super) struct Given(pub(super) Settings);

impl Given {
    /// Reads the options. A parameter without a value is read from the environment, or asked for.
    ///
    /// # Errors
    /// Returns a usage failure that does not quote a value.
    pub(super) async fn parse(context: &Context, options: &[String]) -> Result<Self, Failure> {
        let mut settings = Settings::new();
        for option in options {
            if let Some((name, value)) = option.split_once('=') {
                parameters::check(name, Some(value), "--set")?;
                settings.insert(name.to_owned(), Setting::Value(value.to_owned()));
            } else {
                parameters::check(option, None, "--set")?;
                settings.insert(option.clone(), Setting::Secret(secret(context, option).await?));
            }
        }
        Ok(Self(settings))
    }

    /// Whether a parameter is among them.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value of a parameter, if it may be shown.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Setting::Value(value)) => Some(value),
            _ => None,
        }
    }
}

/// A value that is not to be seen: from the environment, or typed.
async fn secret(context: &Context, name: &str) -> Result<SecretString, Failure> {
    if let Some(value) = context.environment.get(name).filter(|value| !value.is_empty()) {
        return Ok(SecretString::from(value.clone()));
    }
    if !context.terminal.answers {
        return Err(Failure::usage(
            format!("--set {name} has no value, and the environment has no variable {name}"),
            format!("write --set {name}=…; or, for a value that others must not see, set the variable {name}"),
        ));
    }
    let typed = context.terminal.hidden(format!("{name} (not shown)")).await?;
    Ok(parameters::trimmed(&typed))
}

/// The pairs of `--azure-set`.
///
/// # Errors
/// Returns a usage failure if one is not a pair, or belongs to deploy itself.
pub(super) fn pairs(options: &[String]) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let own = ["identityName", "awsIssuer", "awsRoleArn", "audience", "existingPrincipalId"];
    let pair = |option: &String| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        parameters::check(name, Some(value), "--azure-set")?;
        if !option.contains('=') {
            return Err(Failure::usage(
                "--azure-set needs a name and a value",
                "write it as in --azure-set allowDelete=false",
            ));
        }
        if own.contains(&name) {
            return Err(Failure::usage(
                format!("--azure-set cannot hold {name}"),
                "use --identity; and with an existing principal follow infra/azure/README.md, which needs no identity",
            ));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    options.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_of_azure_are_pairs() {
        let pairs = |text: &str| super::pairs(&[text.to_owned()]);
        assert_eq!(pairs("allowDelete=false").unwrap()["allowDelete"], "false");
        for wrong in ["allowDelete", "existingPrincipalId=x", "audience=x", "=x"] {
            assert!(pairs(wrong).is_err(), "{wrong}");
        }
    }
}
