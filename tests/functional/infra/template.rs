//! Reads `infra/aws/template.yaml` as JSON with its short forms expanded: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is
//! `{"Fn::Sub": "x"}`.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

pub(crate) const PATH: &str = "infra/aws/template.yaml";

pub(crate) struct Template {
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Template {
    pub(crate) fn read() -> Self {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PATH);
        let text = std::fs::read_to_string(path).unwrap();
        let documents = Yaml::load_from_str(&text).unwrap();
        assert_eq!(documents.len(), 1);
        let json = to_json(&documents[0]);
        Self { text, json }
    }

    pub(crate) fn section(&self, name: &str) -> &Map<String, Value> {
        self.json[name].as_object().unwrap_or_else(|| panic!("the template has no {name}"))
    }

    /// Returns the properties of a resource.
    pub(crate) fn properties(&self, name: &str) -> &Value {
        &self.section("Resources")[name]["Properties"]
    }

    /// Returns the properties of every resource of a type, by name.
    pub(crate) fn of_type(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.section("Resources").iter().filter(|(_, resource)| resource["Type"] == kind);
        resources.map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
    }

    /// Returns the default of a parameter, as text.
    pub(crate) fn default(&self, parameter: &str) -> Option<String> {
        match self.section("Parameters")[parameter].get("Default")? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// Returns every statement of the function's role, with the name of its condition if it has one.
    pub(crate) fn statements(&self) -> Vec<(Option<String>, Value)> {
        let policies = self.properties("FunctionRole")["Policies"].as_array().unwrap();
        let statements = policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
        statements
            .map(|statement| match statement.get("Fn::If") {
                None => (None, statement.clone()),
                Some(parts) => {
                    assert_eq!(parts[2], json!({"Ref": "AWS::NoValue"}), "a statement has no other form");
                    (Some(parts[0].as_str().unwrap().to_owned()), parts[1].clone())
                }
            })
            .collect()
    }

    pub(crate) fn statement(&self, sid: &str) -> Value {
        let found = self.statements().into_iter().find(|(_, statement)| statement["Sid"] == sid);
        found.unwrap_or_else(|| panic!("the role has no statement {sid}")).1
    }
}

/// Returns a single value or a list as a list.
pub(crate) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn to_json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(members) => {
            Value::Object(members.iter().map(|(name, value)| (text(name), to_json(value))).collect())
        }
        Yaml::Tagged(tag, value) => {
            let inner = to_json(value);
            match tag.suffix.as_str() {
                name @ ("Ref" | "Condition") => json!({ name: inner }),
                "GetAtt" => {
                    let path: Vec<&str> = inner.as_str().unwrap().splitn(2, '.').collect();
                    json!({ "Fn::GetAtt": path })
                }
                name => json!({ format!("Fn::{name}"): inner }),
            }
        }
        other => panic!("not expected in a template: {other:?}"),
    }
}

fn text(node: &Yaml<'_>) -> String {
    match to_json(node) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
