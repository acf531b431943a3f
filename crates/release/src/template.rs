//! The packaged template: `infra/aws/template.yaml` as JSON that names the package in a bucket instead of the source, so that
//! `aws cloudformation deploy` needs neither a build nor the AWS SAM CLI.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::names::{Architecture, Version};
use crate::problem::Problem;

/// The template in the repository.
pub const SOURCE: &str = "infra/aws/template.yaml";

/// The largest template that `CloudFormation` accepts without a bucket, in bytes.
pub const MOST_BYTES: usize = 51_200;

/// What only the build and the policy check read, in the metadata of resources. The settings of cfn-lint stay, so that whoever lints
/// the packaged template gets the same result.
const NOT_DEPLOYED: [&str; 3] = ["BuildMethod", "BuildProperties", "checkov"];

/// The intrinsic functions of `CloudFormation` with a short form in YAML, besides `Ref`, `Condition` and `GetAtt`.
const FUNCTIONS: [&str; 19] = [
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "GetAZs",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
    "Implies",
    "Contains",
];

/// Returns the packaged template of a version for the architectures that the release has packages for.
///
/// # Errors
/// Returns a problem if the source cannot be read, has no function with its code in a folder, or is too large.
pub fn packaged(source: &str, version: &Version, architectures: &[Architecture]) -> Result<String, Problem> {
    let mut template = read(source)?;
    let wrong = |what: &str| Problem::of(SOURCE, what);
    let resources = template["Resources"].as_object_mut().ok_or_else(|| wrong("has no Resources"))?;
    let mut replaced = 0;
    for resource in resources.values_mut() {
        remove_metadata(resource);
        if resource["Type"] == "AWS::Serverless::Function" && resource["Properties"]["CodeUri"].is_string() {
            let key = format!("${{CodePrefix}}hubkeeper-function-{version}-${{Architecture}}.zip");
            resource["Properties"]["CodeUri"] = json!({"Bucket": {"Ref": "CodeBucket"}, "Key": {"Fn::Sub": key}});
            replaced += 1;
        }
    }
    if replaced != 1 {
        return Err(wrong("needs exactly one function whose CodeUri is a folder"));
    }
    add_parameters(&mut template, architectures).ok_or_else(|| {
        wrong("needs the parameter Architecture, the metadata AWS::CloudFormation::Interface, and no parameter CodeBucket or CodePrefix")
    })?;
    let text = canonical(template).to_string();
    if text.len() >= MOST_BYTES {
        return Err(Problem::of(
            SOURCE,
            format!(
                "is {} bytes as JSON; CloudFormation accepts fewer than {MOST_BYTES} without a bucket: shorten descriptions, notices or the dashboard",
                text.len()
            ),
        ));
    }
    Ok(text)
}

/// Removes the metadata of build and policy check, and the field if nothing is left.
fn remove_metadata(of: &mut Value) {
    if let Some(metadata) = of["Metadata"].as_object_mut() {
        metadata.retain(|name, _| !NOT_DEPLOYED.contains(&name.as_str()));
    }
    if let Some(fields) = of.as_object_mut()
        && fields.get("Metadata").is_none_or(|metadata| metadata.as_object().is_none_or(Map::is_empty))
    {
        fields.remove("Metadata");
    }
}

/// Adds the two parameters that say where the package is, and allows only architectures that have one.
fn add_parameters(template: &mut Value, architectures: &[Architecture]) -> Option<()> {
    let groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].as_array_mut()?;
    groups.insert(0, json!({"Label": {"default": "Package"}, "Parameters": ["CodeBucket", "CodePrefix"]}));
    let parameters = template["Parameters"].as_object_mut()?;
    let bucket = json!({
        "Type": "String",
        "AllowedPattern": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "Description": "Bucket in this Region that holds the package of the function.",
    });
    let prefix = json!({
        "Type": "String",
        "Default": "",
        "AllowedPattern": "([A-Za-z0-9._-]+/)*",
        "Description": "Folder of the package in the bucket, with a slash at its end. Empty - none.",
    });
    for (name, parameter) in [("CodeBucket", bucket), ("CodePrefix", prefix)] {
        if parameters.insert(name.to_owned(), parameter).is_some() {
            return None;
        }
    }
    let allowed: Vec<&str> = architectures.iter().map(|each| each.of_lambda()).collect();
    let architecture = parameters.get_mut("Architecture")?;
    if !allowed.iter().any(|each| architecture["Default"] == *each) {
        architecture["Default"] = json!(allowed.first()?);
    }
    architecture["AllowedValues"] = json!(allowed);
    Some(())
}

/// Returns the name of the package that a packaged template deploys for an architecture, without a prefix.
pub fn package_of(template: &Value, architecture: Architecture) -> Option<String> {
    let resources = template["Resources"].as_object()?;
    let mut keys =
        resources.values().filter_map(|resource| resource["Properties"]["CodeUri"]["Key"]["Fn::Sub"].as_str());
    let key = keys.next()?;
    Some(key.replace("${CodePrefix}", "").replace("${Architecture}", architecture.of_lambda()))
}

/// Returns a value with the fields of every object in the order of their names, whatever features the JSON library was built with.
pub fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<String, Value> =
                fields.into_iter().map(|(name, value)| (name, canonical(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        other => other,
    }
}

/// Reads a template with its short forms expanded: `!Ref x` is `{"Ref": "x"}`.
fn read(source: &str) -> Result<Value, Problem> {
    let documents =
        Yaml::load_from_str(source).map_err(|error| Problem::of(SOURCE, format!("is not YAML: {error}")))?;
    match documents.as_slice() {
        [document] => to_json(document).map_err(|what| Problem::of(SOURCE, what)),
        _ => Err(Problem::of(SOURCE, "must be one YAML document")),
    }
}

fn to_json(node: &Yaml<'_>) -> Result<Value, String> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (name, value) in fields {
                let name = match to_json(name)? {
                    Value::String(name) => name,
                    other => return Err(format!("has the field name {other}, which is not text: put it in quotes")),
                };
                object.insert(name, to_json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tag, value) => {
            let value = to_json(value)?;
            match (tag.suffix.as_str(), &value) {
                (name @ ("Ref" | "Condition"), Value::String(_)) => json!({ name: value }),
                // the attribute may have dots itself
                ("GetAtt", Value::String(path)) => json!({"Fn::GetAtt": path.splitn(2, '.').collect::<Vec<_>>()}),
                ("GetAtt", Value::Array(_)) => json!({"Fn::GetAtt": value}),
                (name, _) if FUNCTIONS.contains(&name) => json!({ format!("Fn::{name}"): value }),
                (name, _) => {
                    return Err(format!("has !{name}, which is not a function of CloudFormation for such a value"));
                }
            }
        }
        other => return Err(format!("has what a template cannot hold: {other:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
Metadata:
  cfn-lint: {config: {ignore_checks: [W1030]}}
  AWS::CloudFormation::Interface:
    ParameterGroups:
      - Label: {default: Operation}
        Parameters: [Architecture]
Parameters:
  Architecture: {Type: String, Default: arm64, AllowedValues: [arm64, x86_64]}
Conditions:
  IsArm: !And [!Equals [!Ref Architecture, arm64], !Not [!Condition Other], !Equals [1, "1"]]
Resources:
  Function:
    Type: AWS::Serverless::Function
    Metadata:
      BuildMethod: rust-cargolambda
      checkov: {skip: []}
    Properties:
      CodeUri: ../..
      Role: !GetAtt Role.Arn
      Nested: !GetAtt Nested.Outputs.Name
      Text: !Sub |
        a "${Role}"
        b
      Layers: !If [IsArm, [a], !Ref AWS::NoValue]
  Role:
    Type: AWS::IAM::Role
    Metadata: {Kept: true, checkov: {}}
"#;

    fn version() -> Version {
        Version::parse("0.1.0").unwrap()
    }

    #[test]
    fn short_forms_become_long_and_the_source_becomes_a_package() {
        let text = packaged(SMALL, &version(), &Architecture::ALL).unwrap();
        let template: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            template["Conditions"]["IsArm"],
            json!({"Fn::And": [
                {"Fn::Equals": [{"Ref": "Architecture"}, "arm64"]},
                {"Fn::Not": [{"Condition": "Other"}]},
                {"Fn::Equals": [1, "1"]},
            ]})
        );
        let function = &template["Resources"]["Function"];
        assert_eq!(function.get("Metadata"), None);
        assert_eq!(
            function["Properties"],
            json!({
                "CodeUri": {
                    "Bucket": {"Ref": "CodeBucket"},
                    "Key": {"Fn::Sub": "${CodePrefix}hubkeeper-function-0.1.0-${Architecture}.zip"},
                },
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Nested": {"Fn::GetAtt": ["Nested", "Outputs.Name"]},
                "Text": {"Fn::Sub": "a \"${Role}\"\nb\n"},
                "Layers": {"Fn::If": ["IsArm", ["a"], {"Ref": "AWS::NoValue"}]},
            })
        );
        assert_eq!(template["Resources"]["Role"]["Metadata"], json!({"Kept": true}));
        assert_eq!(template["Metadata"]["cfn-lint"], json!({"config": {"ignore_checks": ["W1030"]}}));
        assert_eq!(template["Parameters"]["CodeBucket"].get("Default"), None, "the bucket is required");
        assert_eq!(template["Parameters"]["CodePrefix"]["Default"], "");
        assert_eq!(package_of(&template, Architecture::X86_64).unwrap(), version().function(Architecture::X86_64));
        assert_eq!(text.find('\n'), None);
        assert!(!text.contains("\": "), "{text}");
    }

    #[test]
    fn only_architectures_with_a_package_are_allowed() {
        let both: Value = serde_json::from_str(&packaged(SMALL, &version(), &Architecture::ALL).unwrap()).unwrap();
        assert_eq!(both["Parameters"]["Architecture"]["Default"], "arm64");
        let one: Value = serde_json::from_str(&packaged(SMALL, &version(), &[Architecture::X86_64]).unwrap()).unwrap();
        assert_eq!(one["Parameters"]["Architecture"]["Default"], "x86_64");
        assert_eq!(one["Parameters"]["Architecture"]["AllowedValues"], json!(["x86_64"]));
        assert!(packaged(SMALL, &version(), &[]).is_err());
    }

    #[test]
    fn what_cannot_be_packaged_is_refused() {
        let long = SMALL.replace("a \"${Role}\"", &"long ".repeat(MOST_BYTES / 5));
        for (bad, words) in [
            (SMALL.replace("!Ref", "!Reff"), "!Reff"),
            (SMALL.replace("CodeUri: ../..", "CodeUri: {Bucket: b}"), "exactly one function"),
            (SMALL.replace("Architecture: {Type", "CodeBucket: {Type"), "CodeBucket"),
            (SMALL.replace("Resources:", "1: 2\nResources:"), "field name 1"),
            (long, "51200"),
            ("a: [".to_owned(), "not YAML"),
            ("a: 1\n---\nb: 1\n".to_owned(), "one YAML document"),
        ] {
            let problem = packaged(&bad, &version(), &Architecture::ALL).unwrap_err().to_string();
            assert!(problem.starts_with("infra/aws/template.yaml: ") && problem.contains(words), "{problem}");
        }
    }
}
