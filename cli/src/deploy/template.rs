//! The parameters of a packaged template.

use serde_json::Value;

use crate::exit::{Code, Failure};

/// The bytes that `CloudFormation` accepts inside of a request; a longer template must be in a bucket.
pub const LARGEST: usize = 51_200;

/// The bucket of the function's package, and the key before its name: parameters of a packaged template alone.
pub const OF_THE_PACKAGE: [&str; 2] = ["CodeBucket", "CodePrefix"];

/// A parameter of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether it has a default.
    pub has_default: bool,
    /// Whether AWS never shows its value.
    pub is_hidden: bool,
    /// What it is for.
    pub description: String,
}

/// A packaged template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// Its text, JSON.
    pub text: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

impl Template {
    /// Reads a packaged template.
    ///
    /// # Errors
    /// Returns a failure if it is not a template that the release tool writes.
    pub fn parse(text: String) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::new(Code::Person, what, "take the whole release again");
        if text.len() > LARGEST {
            return Err(wrong(format!(
                "the template has {} bytes; CloudFormation accepts {LARGEST} in a request",
                text.len()
            )));
        }
        let document: Value =
            serde_json::from_str(&text).map_err(|_| wrong("the template is not a JSON document".to_owned()))?;
        let Some(found) = document["Parameters"].as_object() else {
            return Err(wrong("the template has no parameters".to_owned()));
        };
        let parameters = found.iter().map(|(name, parameter)| Parameter {
            name: name.clone(),
            has_default: !parameter["Default"].is_null(),
            is_hidden: parameter["NoEcho"] == Value::Bool(true) || parameter["NoEcho"] == "true",
            description: parameter["Description"].as_str().unwrap_or_default().to_owned(),
        });
        let parameters: Vec<Parameter> = parameters.collect();
        for name in OF_THE_PACKAGE {
            if !parameters.iter().any(|parameter| parameter.name == name) {
                return Err(wrong(format!("the template has no parameter {name}: it is not a packaged one")));
            }
        }
        Ok(Self { text, parameters })
    }

    /// The parameter of a name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_packaged_template_is_one() {
        let text = |extra: &str| format!(r#"{{"Parameters":{{"CodeBucket":{{"Type":"String"}}{extra}}}}}"#);
        let packaged = text(
            r#","CodePrefix":{"Default":""},"Proxy":{"NoEcho":true,"Default":"","Description":"d"},"P2":{"NoEcho":"true"}"#,
        );
        let template = Template::parse(packaged).unwrap();
        let proxy = template.parameter("Proxy").unwrap();
        assert!(proxy.is_hidden && proxy.has_default && proxy.description == "d");
        assert!(template.parameter("P2").unwrap().is_hidden && !template.parameter("CodeBucket").unwrap().has_default);
        let wrong = |text: String| Template::parse(text).unwrap_err().what;
        assert!(wrong(text("")).contains("CodePrefix"));
        assert!(wrong("Parameters:".to_owned()).contains("not a JSON document"));
        assert!(wrong("{}".to_owned()).contains("no parameters"));
        assert!(wrong(" ".repeat(51_201)).contains("51200"));
    }
}
