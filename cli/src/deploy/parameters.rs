//! What each parameter of the stack gets: a value, the value that it has, or the template's default. Pure.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::template::{OF_THE_PACKAGE, Template};
use crate::exit::{Code, Failure};

/// Values by parameter.
pub type Values = BTreeMap<String, String>;

/// What AWS shows instead of a hidden value.
pub const HIDDEN: &str = "****";

/// What a parameter gets in a change set. No `Debug`: a value may be a secret.
#[derive(Clone)]
pub enum Setting {
    /// This value.
    Value(String),
    /// This value, which is neither shown nor kept.
    Secret(SecretString),
    /// The value that it has in the stack.
    Previous,
}

/// What parameters get, by name. No `Debug`: a value may be a secret.
pub type Settings = BTreeMap<String, Setting>;

/// The parameters of a change set. No `Debug`: a value may be a secret.
#[derive(Clone, Default)]
pub struct Resolved {
    /// What each parameter gets; one that is not here has the template's default.
    pub settings: Settings,
    /// Parameters that have no value, no value in the stack and no default.
    pub missing: Vec<String>,
    /// Parameters of the stack or of the file that the template does not have.
    pub dropped: Vec<String>,
}

/// Decides what each parameter of the template gets. `stack` holds the values of an existing stack.
pub fn resolve(template: &Template, given: &Settings, stack: Option<&Values>) -> Resolved {
    let mut resolved = Resolved::default();
    for parameter in &template.parameters {
        let name = &parameter.name;
        if let Some(setting) = given.get(name) {
            resolved.settings.insert(name.clone(), setting.clone());
        } else if stack.is_some_and(|values| values.contains_key(name)) {
            resolved.settings.insert(name.clone(), Setting::Previous);
        } else if !parameter.has_default {
            resolved.missing.push(name.clone());
        }
    }
    let known = given.keys().chain(stack.into_iter().flat_map(BTreeMap::keys));
    let mut dropped: Vec<String> = known.filter(|name| template.parameter(name).is_none()).cloned().collect();
    dropped.sort();
    dropped.dedup();
    resolved.dropped = dropped;
    resolved
}

/// Checks a name and a value that a person gave with `--set` or in the file.
///
/// # Errors
/// Returns a usage failure without the value.
pub fn check(name: &str, value: Option<&str>, source: &str) -> Result<(), Failure> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failure::usage(
            format!("{source} names a parameter that is not letters and digits"),
            "write Name=value, as in --set MemorySize=512; docs/deploy.md lists the parameters",
        ));
    }
    if OF_THE_PACKAGE.contains(&name) {
        return Err(Failure::usage(
            format!("{source} holds {name}, which deploy chooses"),
            "name the bucket with --bucket",
        ));
    }
    let Some(value) = value else { return Ok(()) };
    if value.contains(char::is_control) {
        return Err(Failure::usage(
            format!("the value of {name} in {source} holds a line feed or another control character"),
            "write it on one line",
        ));
    }
    if has_password(value) || value.contains("dckr_") {
        return Err(Failure::usage(
            format!("the value of {name} in {source} holds a password or a token, which others could read there"),
            format!(
                "write --set {name} without a value: it is then read from the environment variable {name}, or asked for and not shown"
            ),
        ));
    }
    Ok(())
}

/// A typed secret without the white space around it.
pub fn trimmed(typed: &SecretString) -> SecretString {
    SecretString::from(typed.expose_secret().trim().to_owned())
}

/// Whether a value is a URL with a password.
pub fn has_password(value: &str) -> bool {
    value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// One parameter that an update changes, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its value in the stack; `None` if the stack does not have it.
    pub before: Option<String>,
    /// Its new value.
    pub after: String,
}

/// The parameters whose values a change set changes. Hidden values are not shown.
pub fn differences(settings: &Settings, stack: Option<&Values>, is_hidden: impl Fn(&str) -> bool) -> Vec<Difference> {
    let changed = settings.iter().filter_map(|(name, setting)| {
        let before = stack.and_then(|values| values.get(name)).cloned();
        let after = match setting {
            Setting::Previous => return None,
            Setting::Value(after) if !is_hidden(name) => after,
            Setting::Value(_) | Setting::Secret(_) => {
                let before = before.map(|_| HIDDEN.to_owned());
                return Some(Difference { name: name.clone(), before, after: HIDDEN.to_owned() });
            }
        };
        (before.as_ref() != Some(after)).then(|| Difference { name: name.clone(), before, after: after.clone() })
    });
    changed.collect()
}

/// A failure that lists what is missing where nobody can be asked.
pub fn missing(names: &[String]) -> Failure {
    let options = names.iter().map(|name| format!("--set {name}=…")).collect::<Vec<_>>().join(" ");
    Failure::new(
        Code::Usage,
        format!("missing: {}", names.join(", ")),
        format!(
            "add {options}, or run the command on a terminal, where it asks; docs/deploy.md explains each parameter"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let parameter = |name: &str, has_default, is_hidden| crate::deploy::template::Parameter {
            name: name.to_owned(),
            has_default,
            is_hidden,
            description: String::new(),
        };
        Template {
            text: String::new(),
            parameters: vec![
                parameter("Required", false, false),
                parameter("Optional", true, false),
                parameter("Kept", true, false),
                parameter("Proxy", true, true),
            ],
        }
    }

    fn values(entries: &[(&str, &str)]) -> Values {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn given(entries: &[(&str, &str)]) -> Settings {
        values(entries).into_iter().map(|(name, value)| (name, Setting::Value(value))).collect()
    }

    #[test]
    fn a_new_stack_gets_values_and_defaults() {
        let resolved = resolve(&template(), &given(&[("Optional", "x")]), None);
        assert_eq!(resolved.missing, ["Required"]);
        assert_eq!(resolved.settings.len(), 1);
        assert!(matches!(&resolved.settings["Optional"], Setting::Value(value) if value == "x"));
        assert!(resolved.dropped.is_empty());
    }

    #[test]
    fn an_existing_stack_keeps_what_nobody_names() {
        let stack = values(&[("Required", "a"), ("Kept", "b"), ("Gone", "c"), ("Proxy", HIDDEN)]);
        let resolved = resolve(&template(), &given(&[("Required", "new"), ("Old", "z")]), Some(&stack));
        assert!(resolved.missing.is_empty());
        assert_eq!(resolved.dropped, ["Gone", "Old"]);
        let kept = ["Kept", "Proxy"].map(|name| matches!(resolved.settings[name], Setting::Previous));
        assert_eq!(kept, [true, true]);
        assert!(!resolved.settings.contains_key("Optional"), "a parameter that is new has its default");
        let differences = differences(&resolved.settings, Some(&stack), |name| name == "Proxy");
        assert_eq!(differences.len(), 1);
        assert_eq!((differences[0].before.as_deref(), differences[0].after.as_str()), (Some("a"), "new"));
    }

    #[test]
    fn a_hidden_value_is_never_shown() {
        let mut given = given(&[("Proxy", "http://secret")]);
        given.insert("Optional".to_owned(), Setting::Secret(SecretString::from("secret")));
        let resolved = resolve(&template(), &given, Some(&values(&[("Proxy", HIDDEN)])));
        let differences = differences(&resolved.settings, None, |name| name == "Proxy");
        assert_eq!(differences.len(), 2);
        assert!(!format!("{differences:?}").contains("secret") && differences[0].after == HIDDEN);
    }

    #[test]
    fn a_password_in_an_argument_is_refused_and_not_quoted() {
        for (name, value) in
            [("HttpsProxy", "http://me:secret@proxy:1"), ("X", "dckr_pat_secret"), ("a b", "x"), ("CodeBucket", "b")]
        {
            let failure = check(name, Some(value), "--set").unwrap_err();
            assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
        }
        assert!(check("HttpsProxy", Some("http://proxy:1/a@b"), "--set").is_ok());
        assert!(check("NotificationEmail", Some("me@example.com"), "--set").is_ok());
        assert!(check("X", Some("a\nb"), "the file").is_err());
    }
}
