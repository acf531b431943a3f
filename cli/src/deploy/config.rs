//! The file that keeps a person's choices, so that the next deployment asks nothing. It holds no secret.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::parameters::{self, Values};
use crate::exit::{Code, Failure};

const HEAD: &str = "\
# What `hubkeeper deploy` was told (docs/deploy.md). Change values here; deploy writes the file anew, without other comments.
# It holds no secret: never write a token or a password into it.
";

/// The file's content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeployConfig {
    /// The AWS account.
    pub account: Option<String>,
    /// The Region.
    pub region: Option<String>,
    /// The stack.
    pub stack: Option<String>,
    /// The bucket of the packages.
    pub bucket: Option<String>,
    /// The subscription of the identity.
    pub subscription: Option<String>,
    /// The resource group of the identity and of the connectors.
    pub resource_group: Option<String>,
    /// The identity's name.
    pub identity: Option<String>,
    /// Parameters of the stack.
    pub parameters: Values,
}

impl DeployConfig {
    /// Reads the file. Nothing is kept yet if it does not exist.
    ///
    /// # Errors
    /// Returns a failure that names the field that is wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|what| {
                Failure::new(
                    Code::Person,
                    format!("{}: {what}", path.display()),
                    "correct the file, or name another one with --config; docs/deploy.md shows an example",
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(unusable(path, &error, "read")),
        }
    }

    /// Writes the file, unless it holds the same already. Returns whether it was written.
    ///
    /// # Errors
    /// Returns a failure if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<bool, Failure> {
        if Self::read(path).is_ok_and(|old| old == *self) {
            return Ok(false);
        }
        fs::write(path, self.text()).map_err(|error| unusable(path, &error, "written"))?;
        Ok(true)
    }

    fn parse(text: &str) -> Result<Self, String> {
        // the parser's message would quote the file
        let document: Map<String, Value> =
            basic_toml::from_str(text).map_err(|_| "it is not a file of TOML".to_owned())?;
        let mut config = Self::default();
        for (name, value) in document {
            match (name.as_str(), value) {
                ("account", value) => config.account = Some(text_of(&name, &value)?),
                ("region", value) => config.region = Some(text_of(&name, &value)?),
                ("stack", value) => config.stack = Some(text_of(&name, &value)?),
                ("bucket", value) => config.bucket = Some(text_of(&name, &value)?),
                ("azure", Value::Object(fields)) => {
                    for (name, value) in fields {
                        let value = text_of(&name, &value)?;
                        match name.as_str() {
                            "subscription" => config.subscription = Some(value),
                            "resource_group" => config.resource_group = Some(value),
                            "identity" => config.identity = Some(value),
                            _ => return Err(unknown(&name)),
                        }
                    }
                }
                ("parameters", Value::Object(fields)) => {
                    for (name, value) in fields {
                        let value = text_of(&name, &value)?;
                        parameters::check(&name, Some(&value), "the file").map_err(|failure| failure.what)?;
                        config.parameters.insert(name, value);
                    }
                }
                _ => return Err(unknown(&name)),
            }
        }
        Ok(config)
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        let line = |text: &mut String, name: &str, value: &str| {
            let _ = writeln!(text, "{name} = {}", Value::from(value));
        };
        for (name, value) in
            [("account", &self.account), ("region", &self.region), ("stack", &self.stack), ("bucket", &self.bucket)]
        {
            if let Some(value) = value {
                line(&mut text, name, value);
            }
        }
        let azure = [
            ("subscription", &self.subscription),
            ("resource_group", &self.resource_group),
            ("identity", &self.identity),
        ];
        if azure.iter().any(|(_, value)| value.is_some()) {
            text.push_str("\n[azure]\n");
            for (name, value) in azure {
                if let Some(value) = value {
                    line(&mut text, name, value);
                }
            }
        }
        if !self.parameters.is_empty() {
            text.push_str("\n[parameters]\n");
            for (name, value) in &self.parameters {
                line(&mut text, name, value);
            }
        }
        text
    }

    /// Checks that the file is about this account, Region and stack.
    ///
    /// # Errors
    /// Returns a failure that shows both.
    pub fn fit(&self, path: &Path, account: &str, region: &str, stack: &str) -> Result<(), Failure> {
        let other = |kept: &Option<String>, now: &str| kept.as_deref().is_some_and(|kept| kept != now);
        if other(&self.account, account) || other(&self.region, region) {
            let kept = |value: &Option<String>| value.clone().unwrap_or_else(|| "any".to_owned());
            return Err(Failure::new(
                Code::Person,
                format!(
                    "{} is about account {} in Region {}, and your login is account {account} in Region {region}",
                    path.display(),
                    kept(&self.account),
                    kept(&self.region)
                ),
                "choose the login with AWS_PROFILE and AWS_REGION, or name another file with --config",
            ));
        }
        if other(&self.stack, stack) {
            return Err(Failure::new(
                Code::Person,
                format!(
                    "{} is about the stack {}, not {stack}",
                    path.display(),
                    self.stack.clone().unwrap_or_default()
                ),
                "give each stack a file of its own with --config",
            ));
        }
        Ok(())
    }
}

/// A text, or a number or truth value as people write it.
fn text_of(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(format!("`{}` must be a text", hubkeeper_core::redact::name(name))),
    }
}

fn unknown(name: &str) -> String {
    format!("`{}` is not a field of it", hubkeeper_core::redact::name(name))
}

fn unusable(path: &Path, error: &io::Error, verb: &str) -> Failure {
    Failure::new(
        Code::Person,
        format!("{} cannot be {verb}: {}", path.display(), error.kind()),
        "name another file with --config",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DeployConfig {
        let text = |value: &str| Some(value.to_owned());
        DeployConfig {
            account: text("111122223333"),
            region: text("eu-west-1"),
            stack: text("hubkeeper"),
            bucket: text("b"),
            subscription: text("s"),
            resource_group: text("rg \"x\" \\ ü"),
            identity: text("hubkeeper"),
            parameters: [("NoticeFormat", "chat"), ("RunbookUrl", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = config().text();
        assert_eq!(DeployConfig::parse(&text), Ok(config()), "{text}");
        assert!(text.starts_with("# ") && text.contains("\n[parameters]\nNoticeFormat = \"chat\"\n"), "{text}");
        assert_eq!(DeployConfig::parse(&DeployConfig::default().text()), Ok(DeployConfig::default()));
    }

    #[test]
    fn numbers_and_truth_values_are_texts() {
        let read = DeployConfig::parse("[parameters]\nMemorySize = 512\nX = true\n").unwrap();
        assert_eq!((read.parameters["MemorySize"].as_str(), read.parameters["X"].as_str()), ("512", "true"));
    }

    #[test]
    fn what_is_wrong_is_named_and_not_quoted() {
        for (text, words) in [
            ("stack = ", "not a file of TOML"),
            ("acount = \"1\"", "`acount`"),
            ("stack = [\"secret\"]", "`stack` must be a text"),
            ("[azure]\ntenant = \"secret\"", "`tenant`"),
            ("[parameters]\nHttpsProxy = \"http://me:secret@proxy\"", "HttpsProxy"),
            ("[parameters]\nCodeBucket = \"secret\"", "CodeBucket"),
        ] {
            let why = DeployConfig::parse(text).unwrap_err();
            assert!(why.contains(words) && !why.contains("secret"), "{text}: {why}");
        }
    }

    #[test]
    fn another_account_region_or_stack_is_refused() {
        let path = Path::new("hubkeeper-deploy.toml");
        assert_eq!(config().fit(path, "111122223333", "eu-west-1", "hubkeeper"), Ok(()));
        assert_eq!(DeployConfig::default().fit(path, "1", "r", "s"), Ok(()));
        for (account, region, stack, word) in [
            ("444455556666", "eu-west-1", "hubkeeper", "444455556666"),
            ("111122223333", "us-east-1", "hubkeeper", "us-east-1"),
            ("111122223333", "eu-west-1", "other", "not other"),
        ] {
            let failure = config().fit(path, account, region, stack).unwrap_err();
            assert!(failure.code == Code::Person && failure.what.contains(word), "{failure:?}");
        }
    }
}
