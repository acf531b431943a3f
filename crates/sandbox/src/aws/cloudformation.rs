//! `CloudFormation`: stacks, change sets, events and templates. A stack that was created this way deploys
//! [`super::deployment::Deployment`]; of the template it understands parameters, `Ref`, and whether resources differ.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::query::{Denied, Form, denied, invalid, list, tag};
use super::{Signed, deployment, time_text};
use crate::deployed;
use crate::world::State;

/// The namespace of responses.
pub(crate) const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
/// What a request may hold.
const INLINE: usize = 51_200;
/// How many looks an operation lasts.
const LOOKS: usize = 2;

/// A stack.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// Its ARN.
    pub id: String,
    /// Its status.
    pub status: String,
    /// Its template as it was sent.
    pub template: String,
    /// The values of its parameters.
    pub parameters: BTreeMap<String, String>,
    /// Its events, oldest first: resource, type, status, reason.
    pub events: Vec<[String; 4]>,
    /// Whether it is protected against deletion.
    pub is_protected: bool,
    change_sets: BTreeMap<String, ChangeSet>,
    operation: Option<Operation>,
    /// The change set that was executed last, and the token of that request.
    executed: Option<[String; 2]>,
}

impl Stack {
    /// How many change sets wait for their execution.
    #[must_use]
    pub fn change_sets(&self) -> usize {
        self.change_sets.len()
    }
}

#[derive(Clone, Debug)]
struct ChangeSet {
    name: String,
    token: String,
    template: String,
    parameters: BTreeMap<String, String>,
    /// Action, resource, type.
    changes: Vec<[String; 3]>,
    is_create: bool,
    looks: usize,
}

/// An operation in progress.
#[derive(Clone, Debug)]
struct Operation {
    /// `CREATE`, `UPDATE` or `DELETE`.
    kind: &'static str,
    looks: usize,
    resources: Vec<[String; 2]>,
    failure: Option<(String, String)>,
    becomes: Option<(String, BTreeMap<String, String>)>,
}

/// The stacks of the account and Region, and what is planted.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    /// The stacks by name. A deleted one stays, with the status `DELETE_COMPLETE`.
    pub stacks: BTreeMap<String, Stack>,
    /// The resource at which the next operation fails, and why.
    pub fails: Option<(String, String)>,
}

/// The actions that this file knows.
const ACTIONS: [&str; 9] = [
    "DescribeStacks",
    "DescribeStackResources",
    "DescribeStackEvents",
    "GetTemplate",
    "CreateChangeSet",
    "DescribeChangeSet",
    "ExecuteChangeSet",
    "DeleteChangeSet",
    "DeleteStack",
];

/// The content of a response.
pub(crate) fn answer(state: &mut State, signed: &Signed<'_>, action: &str, form: &Form) -> Result<String, Denied> {
    if form.field("Version") != Some("2010-05-15") || !ACTIONS.contains(&action) {
        return Err(denied(400, "InvalidAction", format!("Could not find operation {action}")));
    }
    if signed.service != "cloudformation" {
        return Err(denied(403, "SignatureDoesNotMatch", signed.for_another_service("cloudformation")));
    }
    let is_here = signed.region == state.aws.region;
    let name = addressed(state, action, form);
    let id = stack_id(state, signed, &name);
    if let Some(message) = super::denial(state, &format!("cloudformation:{action}"), Some(&id)) {
        return Err(denied(403, "AccessDenied", message));
    }
    if is_here {
        adopt(state, &name, &id);
    }
    match action {
        "CreateChangeSet" if is_here => return create_change_set(state, form, &name, &id),
        "DescribeChangeSet" if is_here => return describe_change_set(state, form, &name),
        "ExecuteChangeSet" if is_here => return execute(state, form, &name),
        "DeleteChangeSet" if is_here => {
            let wanted = form.field("ChangeSetName").unwrap_or_default();
            if let Some(stack) = state.aws.stacks.stacks.get_mut(&name) {
                stack.change_sets.retain(|id, set| id != wanted && set.name != wanted);
            }
            return Ok(String::new());
        }
        "DeleteStack" if is_here => return delete(state, &name),
        _ => {}
    }
    let by_id = form.field("StackName").is_some_and(|text| text.starts_with("arn:"));
    let known = |stack: &&Stack| stack.status != "DELETE_COMPLETE" || by_id;
    if action == "DescribeStacks" && is_here {
        advance(state, &name);
    }
    let Some(stack) = state.aws.stacks.stacks.get(&name).filter(known).filter(|_| is_here) else {
        return Err(invalid(format!("Stack with id {name} does not exist")));
    };
    match action {
        "DescribeStacks" => Ok(describe(state, stack, &name)),
        "DescribeStackEvents" => Ok(events(state, stack, &name)),
        "GetTemplate" => Ok(tag("TemplateBody", &stack.template)),
        _ => resources(state, form, &name, &stack.id),
    }
}

/// The name of the stack that a request is about: its name, its ARN, that of a change set, or of a resource.
fn addressed(state: &State, action: &str, form: &Form) -> String {
    let deployment = &state.aws.deployment;
    let physical = form.field("PhysicalResourceId").filter(|_| action == "DescribeStackResources");
    if physical.is_some_and(|id| deployment.resources.iter().any(|resource| resource.physical_id == id)) {
        return deployment.stack.clone();
    }
    let text = form.field("StackName").unwrap_or_default();
    let part = |text: &str| text.split('/').nth(1).unwrap_or_default().to_owned();
    match (form.field("ChangeSetName"), text) {
        (Some(set), "") => {
            let mut stacks = state.aws.stacks.stacks.iter();
            stacks
                .find(|(_, stack)| {
                    stack.change_sets.contains_key(set)
                        || stack.executed.as_ref().is_some_and(|[known, _]| known == set)
                })
                .map(|(name, _)| name.clone())
                .unwrap_or_default()
        }
        (_, text) if text.starts_with("arn:") => part(text),
        (_, text) => text.to_owned(),
    }
}

fn stack_id(state: &State, signed: &Signed<'_>, name: &str) -> String {
    let known = state.aws.stacks.stacks.get(name).map(|stack| stack.id.clone()).filter(|id| !id.is_empty());
    known.unwrap_or_else(|| {
        format!(
            "arn:aws:cloudformation:{}:{}:stack/{name}/0c3e0f11-0000-4000-a000-00000000000f",
            signed.region, state.aws.account
        )
    })
}

/// A stack that a scene deployed is one that SAM deployed: its package is in another bucket.
fn adopt(state: &mut State, name: &str, id: &str) {
    let deployment = &state.aws.deployment;
    if name.is_empty() || deployment.stack != name || state.aws.stacks.stacks.contains_key(name) {
        return;
    }
    let template = json!({
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {
            "AzureTenantId": {"Type": "String"}, "AzureClientId": {"Type": "String"},
            "SecretNamePrefix": {"Type": "String", "Default": "hubkeeper/"},
            "Architecture": {"Type": "String", "Default": "arm64"},
            "HttpsProxy": {"Type": "String", "Default": "", "NoEcho": true},
            "Retired": {"Type": "String", "Default": "x"},
        },
        "Resources": {
            "HubkeeperFunction": {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "s3://aws-sam-cli-managed-default/0c3e0f11"}},
        },
    });
    let parameters = [
        ("AzureTenantId", crate::scene::TENANT),
        ("AzureClientId", crate::scene::CLIENT),
        ("SecretNamePrefix", deployment::SECRET_NAME_PREFIX),
        ("Architecture", deployment.function.architecture.as_str()),
        ("HttpsProxy", ""),
        ("Retired", "x"),
    ];
    let stack = Stack {
        id: id.to_owned(),
        status: "CREATE_COMPLETE".to_owned(),
        template: template.to_string(),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Stack::default()
    };
    state.aws.stacks.stacks.insert(name.to_owned(), stack);
}

/// The parameters of a template whose values are not shown.
fn is_hidden(template: &str, name: &str) -> bool {
    let document: Value = serde_json::from_str(template).unwrap_or_default();
    document["Parameters"][name]["NoEcho"] == true
}

fn describe(state: &State, stack: &Stack, name: &str) -> String {
    let deployment = &state.aws.deployment;
    let at: OffsetDateTime = deployment.deployed_at;
    let output = |(key, value): (&String, &String)| [tag("OutputKey", key), tag("OutputValue", value)].concat();
    let is_deployed = deployment.stack == name;
    let outputs: Vec<String> = deployment.outputs.iter().filter(|_| is_deployed).map(output).collect();
    let parameter = |(key, value): (&String, &String)| {
        let shown = if is_hidden(&stack.template, key) { "****" } else { value };
        [tag("ParameterKey", key), tag("ParameterValue", shown)].concat()
    };
    let described = [
        tag("StackName", name),
        tag("StackId", &stack.id),
        tag("CreationTime", &time_text(at)),
        tag("StackStatus", &stack.status),
        list("Parameters", stack.parameters.iter().map(parameter)),
        list("Outputs", outputs),
    ];
    list("Stacks", [described.concat()])
}

fn events(state: &State, stack: &Stack, name: &str) -> String {
    let now = time_text(state.now());
    let numbered = stack.events.iter().enumerate().rev();
    list(
        "StackEvents",
        numbered.map(|(at, [resource, kind, status, reason])| {
            let reason = if reason.is_empty() { String::new() } else { tag("ResourceStatusReason", reason) };
            [
                tag("EventId", &format!("{name}-{at}")),
                tag("StackId", &stack.id),
                tag("StackName", name),
                tag("LogicalResourceId", resource),
                tag("ResourceType", kind),
                tag("Timestamp", &now),
                tag("ResourceStatus", status),
                reason,
            ]
            .concat()
        }),
    )
}

fn resources(state: &State, form: &Form, name: &str, id: &str) -> Result<String, Denied> {
    let deployment = &state.aws.deployment;
    let common = [tag("StackName", name), tag("StackId", id)].concat();
    let wanted = form.field("LogicalResourceId");
    let found: Vec<_> = deployment
        .resources
        .iter()
        .filter(|resource| deployment.stack == name && wanted.is_none_or(|id| id == resource.logical_id))
        .map(|resource| {
            [
                common.clone(),
                tag("LogicalResourceId", &resource.logical_id),
                tag("PhysicalResourceId", &resource.physical_id),
                tag("ResourceType", &resource.kind),
                tag("Timestamp", &time_text(deployment.deployed_at)),
                tag("ResourceStatus", &resource.status),
            ]
            .concat()
        })
        .collect();
    match wanted.filter(|_| found.is_empty()) {
        Some(id) => Err(invalid(format!("Resource {id} does not exist for stack {name}"))),
        None => Ok(list("StackResources", found)),
    }
}

/// A resource with the values of the parameters in it.
fn resolved(value: &Value, parameters: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("Ref").and_then(Value::as_str).filter(|_| fields.len() == 1) {
                return parameters.get(name).map_or_else(|| value.clone(), |value| json!(value));
            }
            if let Some(text) = fields.get("Fn::Sub").and_then(Value::as_str).filter(|_| fields.len() == 1) {
                let text = parameters
                    .iter()
                    .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
                return json!(text);
            }
            fields.iter().map(|(name, field)| (name.clone(), resolved(field, parameters))).collect()
        }
        Value::Array(values) => values.iter().map(|value| resolved(value, parameters)).collect(),
        other => other.clone(),
    }
}

fn resources_of(template: &str, parameters: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let document: Value = serde_json::from_str(template).unwrap_or_default();
    let resources = document["Resources"].as_object().cloned().unwrap_or_default();
    resources.iter().map(|(name, resource)| (name.clone(), resolved(resource, parameters))).collect()
}

/// The text of the template of a request.
fn template(state: &State, form: &Form) -> Result<String, Denied> {
    let text = match (form.field("TemplateBody"), form.field("TemplateURL")) {
        (Some(text), None) if text.len() <= INLINE => text.to_owned(),
        (Some(_), None) => {
            return Err(invalid(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200",
            ));
        }
        (None, Some(url)) => {
            let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
            let object = path.and_then(|path| path.split_once('/'));
            let object = object.and_then(|(bucket, key)| state.aws.buckets.get(bucket)?.object(key));
            object
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                .ok_or_else(|| invalid("S3 error: The specified key does not exist."))?
        }
        _ => return Err(invalid("Either Template URL or Template Body must be specified.")),
    };
    serde_json::from_str::<Value>(&text).map_err(|_| invalid("Template format error: unsupported structure."))?;
    Ok(text)
}

fn create_change_set(state: &mut State, form: &Form, name: &str, id: &str) -> Result<String, Denied> {
    let template = template(state, form)?;
    let (called, token) =
        (form.field("ChangeSetName").unwrap_or_default(), form.field("ClientToken").unwrap_or_default());
    let stack = state.aws.stacks.stacks.get(name);
    let same = stack.and_then(|stack| stack.change_sets.iter().find(|(_, set)| set.name == called));
    let is_taken = same.is_some();
    // a request that is repeated with its token creates no second one (AWS's reference of CreateChangeSet)
    if let Some((set, _)) = same.filter(|(_, set)| set.token == token && !token.is_empty()) {
        return Ok([tag("Id", set), tag("StackId", id)].concat());
    }
    let capabilities = form.members("Capabilities");
    for (words, capability) in
        [("AWS::Serverless-2016-10-31", "CAPABILITY_AUTO_EXPAND"), ("RoleName", "CAPABILITY_NAMED_IAM")]
    {
        if template.contains(words) && !capabilities.contains(&capability) {
            return Err(denied(
                400,
                "InsufficientCapabilitiesException",
                format!("Requires capabilities : [{capability}]"),
            ));
        }
    }
    let is_create = form.field("ChangeSetType") == Some("CREATE");
    let existing = state.aws.stacks.stacks.get(name).filter(|stack| stack.status != "DELETE_COMPLETE");
    match existing {
        Some(stack) if is_create && stack.status != "REVIEW_IN_PROGRESS" => {
            return Err(denied(400, "AlreadyExistsException", format!("Stack [{name}] already exists")));
        }
        None if !is_create => return Err(invalid(format!("Stack [{name}] does not exist"))),
        Some(stack) if !is_create && (stack.operation.is_some() || stack.status == "ROLLBACK_COMPLETE") => {
            return Err(invalid(format!("Stack:{id} is in {} state and can not be updated.", stack.status)));
        }
        _ if is_taken => {
            return Err(denied(400, "AlreadyExistsException", format!("ChangeSet [{called}] already exists")));
        }
        _ => {}
    }
    let old = existing.cloned().unwrap_or_default();
    let parameters = parameters(form, &template, &old)?;
    let (before, after) = (resources_of(&old.template, &old.parameters), resources_of(&template, &parameters));
    let mut changes = Vec::new();
    for (logical, resource) in &after {
        let action = match before.get(logical) {
            None => "Add",
            Some(old) if old != resource => "Modify",
            Some(_) => continue,
        };
        changes.push([action.to_owned(), logical.clone(), kind(resource)]);
    }
    let removed = before.iter().filter(|(logical, _)| !after.contains_key(*logical));
    changes.extend(removed.map(|(logical, resource)| ["Remove".to_owned(), logical.clone(), kind(resource)]));
    let uuid = state.uuid();
    let set = format!("arn:aws:cloudformation:{}:{}:changeSet/{called}/{uuid}", state.aws.region, state.aws.account);
    let stack = state.aws.stacks.stacks.entry(name.to_owned()).or_default();
    if stack.status.is_empty() || stack.status == "DELETE_COMPLETE" {
        *stack = Stack { id: id.to_owned(), status: "REVIEW_IN_PROGRESS".to_owned(), ..Stack::default() };
    }
    let (name, token) = (called.to_owned(), token.to_owned());
    stack
        .change_sets
        .insert(set.clone(), ChangeSet { name, token, template, parameters, changes, is_create, looks: 0 });
    Ok([tag("Id", &set), tag("StackId", &stack.id)].concat())
}

fn kind(resource: &Value) -> String {
    resource["Type"].as_str().unwrap_or_default().to_owned()
}

/// The values of the parameters of a change set.
fn parameters(form: &Form, template: &str, old: &Stack) -> Result<BTreeMap<String, String>, Denied> {
    let document: Value = serde_json::from_str(template).unwrap_or_default();
    let declared = document["Parameters"].as_object().cloned().unwrap_or_default();
    let names = form.members_of("Parameters", "ParameterKey");
    let given = form.members_of("Parameters", "ParameterValue");
    let previous = form.members_of("Parameters", "UsePreviousValue");
    let mut values = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let name = name.unwrap_or_default();
        if !declared.contains_key(name) {
            return Err(invalid(format!("Parameters: [{name}] do not exist in the template")));
        }
        let value = match (given[at], previous[at]) {
            (Some(value), None) => value.to_owned(),
            (None, Some("true")) => old.parameters.get(name).cloned().ok_or_else(|| {
                invalid(format!("Invalid input for parameter key {name}. Cannot specify usePreviousValue as true for a parameter key not in the previous template"))
            })?,
            _ => return Err(invalid(format!("Invalid input for parameter key {name}."))),
        };
        values.insert(name.to_owned(), value);
    }
    for (name, parameter) in &declared {
        let default = parameter["Default"].as_str();
        if !values.contains_key(name) {
            let default = default.ok_or_else(|| invalid(format!("Parameters: [{name}] must have values")))?;
            values.insert(name.clone(), default.to_owned());
        }
        if let Some(allowed) = parameter["AllowedValues"].as_array()
            && !allowed.iter().any(|value| value == values[name].as_str())
        {
            return Err(invalid(format!("Parameter '{name}' must be one of AllowedValues")));
        }
    }
    Ok(values)
}

fn describe_change_set(state: &mut State, form: &Form, name: &str) -> Result<String, Denied> {
    let set = form.field("ChangeSetName").unwrap_or_default().to_owned();
    let stack = state.aws.stacks.stacks.get_mut(name);
    let Some(change_set) = stack.and_then(|stack| stack.change_sets.get_mut(&set)) else {
        return Err(denied(404, "ChangeSetNotFound", format!("ChangeSet [{set}] does not exist")));
    };
    change_set.looks += 1;
    // it is computed in the background
    if change_set.looks == 1 {
        return Ok([tag("ChangeSetId", &set), tag("Status", "CREATE_IN_PROGRESS")].concat());
    }
    if change_set.changes.is_empty() {
        let reason =
            "The submitted information didn't contain changes. Submit different information to create a change set.";
        return Ok([tag("ChangeSetId", &set), tag("Status", "FAILED"), tag("StatusReason", reason)].concat());
    }
    let change = |[action, logical, kind]: &[String; 3]| {
        let resource = [tag("Action", action), tag("LogicalResourceId", logical), tag("ResourceType", kind)].concat();
        [tag("Type", "Resource"), format!("<ResourceChange>{resource}</ResourceChange>")].concat()
    };
    // two pages, as with many changes
    let all = change_set.changes.len();
    let (from, until, next) = match form.field("NextToken") {
        None if all > 1 => (0, 1, tag("NextToken", "after-1")),
        None => (0, all, String::new()),
        Some(_) => (1, all, String::new()),
    };
    let changes = list("Changes", change_set.changes[from..until].iter().map(change));
    Ok([tag("ChangeSetId", &set), tag("Status", "CREATE_COMPLETE"), tag("ExecutionStatus", "AVAILABLE"), next, changes]
        .concat())
}

/// Whether the function's package is where the template says.
fn missing_package(state: &State, change_set: &ChangeSet) -> Option<(String, String)> {
    let resources = resources_of(&change_set.template, &change_set.parameters);
    resources.iter().find_map(|(logical, resource)| {
        let code = &resource["Properties"]["CodeUri"];
        let (bucket, key) = (code["Bucket"].as_str()?, code["Key"].as_str()?);
        let is_there = state.aws.buckets.get(bucket).is_some_and(|bucket| bucket.object(key).is_some());
        (!is_there).then(|| (logical.clone(), "Error occurred while GetObject. S3 Error Code: NoSuchKey.".to_owned()))
    })
}

fn execute(state: &mut State, form: &Form, name: &str) -> Result<String, Denied> {
    let set = form.field("ChangeSetName").unwrap_or_default().to_owned();
    let token = form.field("ClientRequestToken").unwrap_or_default().to_owned();
    let executed = [set.clone(), token];
    let stack = state.aws.stacks.stacks.get(name);
    // a request that is repeated with its token is executed once (AWS's reference of ExecuteChangeSet)
    if !executed[1].is_empty() && stack.is_some_and(|stack| stack.executed.as_ref() == Some(&executed)) {
        return Ok(String::new());
    }
    let Some(change_set) = stack.and_then(|stack| stack.change_sets.get(&set)).cloned() else {
        return Err(denied(404, "ChangeSetNotFound", format!("ChangeSet [{set}] does not exist")));
    };
    if change_set.looks < 2 || change_set.changes.is_empty() {
        return Err(denied(400, "InvalidChangeSetStatus", format!("ChangeSet [{set}] cannot be executed")));
    }
    let failure = state.aws.stacks.fails.take().or_else(|| missing_package(state, &change_set));
    let kind = if change_set.is_create { "CREATE" } else { "UPDATE" };
    let resources = change_set.changes.iter().map(|[_, logical, kind]| [logical.clone(), kind.clone()]).collect();
    if let Some(stack) = state.aws.stacks.stacks.get_mut(name) {
        stack.change_sets.clear();
        stack.executed = Some(executed);
        let becomes = Some((change_set.template, change_set.parameters));
        begin(stack, name, Operation { kind, looks: 0, resources, failure, becomes });
    }
    Ok(String::new())
}

fn delete(state: &mut State, name: &str) -> Result<String, Denied> {
    let failure = state.aws.stacks.fails.take();
    let resources: Vec<[String; 2]> = state
        .aws
        .deployment
        .resources
        .iter()
        .map(|resource| [resource.logical_id.clone(), resource.kind.clone()])
        .collect();
    let Some(stack) = state.aws.stacks.stacks.get_mut(name) else { return Ok(String::new()) };
    if stack.is_protected {
        return Err(invalid(format!("Stack [{name}] cannot be deleted while TerminationProtection is enabled")));
    }
    if stack.status == "REVIEW_IN_PROGRESS" {
        "DELETE_COMPLETE".clone_into(&mut stack.status);
        stack.change_sets.clear();
    } else if stack.status != "DELETE_COMPLETE" {
        begin(stack, name, Operation { kind: "DELETE", looks: 0, resources, failure, becomes: None });
    }
    Ok(String::new())
}

fn begin(stack: &mut Stack, name: &str, operation: Operation) {
    stack.status = format!("{}_IN_PROGRESS", operation.kind);
    note(stack, [name, "AWS::CloudFormation::Stack", &format!("{}_IN_PROGRESS", operation.kind), "User Initiated"]);
    stack.operation = Some(operation);
}

fn note(stack: &mut Stack, event: [&str; 4]) {
    stack.events.push(event.map(str::to_owned));
}

/// An operation advances at each look.
fn advance(state: &mut State, name: &str) {
    let Some(stack) = state.aws.stacks.stacks.get_mut(name) else { return };
    let Some(mut operation) = stack.operation.take() else { return };
    operation.looks += 1;
    let kind = operation.kind;
    if operation.looks < LOOKS {
        for [logical, resource] in &operation.resources {
            let failed = operation.failure.as_ref().filter(|(failed, _)| failed == logical);
            let (status, reason) = failed.map_or(("COMPLETE", ""), |(_, reason)| ("FAILED", reason));
            note(stack, [logical, resource, &format!("{kind}_IN_PROGRESS"), ""]);
            note(stack, [logical, resource, &format!("{kind}_{status}"), reason]);
        }
        if operation.failure.is_some() {
            note(stack, ["Later", "AWS::SQS::Queue", &format!("{kind}_FAILED"), "Resource creation cancelled"]);
        }
        stack.operation = Some(operation);
        return;
    }
    let status = match (kind, &operation.failure) {
        ("CREATE", None) => "CREATE_COMPLETE",
        ("CREATE", Some(_)) => "ROLLBACK_COMPLETE",
        ("UPDATE", None) => "UPDATE_COMPLETE",
        ("UPDATE", Some(_)) => "UPDATE_ROLLBACK_COMPLETE",
        (_, None) => "DELETE_COMPLETE",
        (_, Some(_)) => "DELETE_FAILED",
    };
    status.clone_into(&mut stack.status);
    note(stack, [name, "AWS::CloudFormation::Stack", status, ""]);
    if let Some((template, parameters)) = operation.becomes
        && (operation.failure.is_none() || kind == "CREATE")
    {
        stack.template = template;
        stack.parameters = parameters;
    }
    match status {
        "CREATE_COMPLETE" => {
            let architecture = stack.parameters.get("Architecture").cloned();
            deployment::deploy(state, name, deployed::FUNCTION);
            if let Some(architecture) = architecture {
                state.aws.deployment.function.architecture = architecture;
            }
        }
        "DELETE_COMPLETE" => state.aws.deployment = deployment::Deployment::default(),
        _ => {}
    }
}
