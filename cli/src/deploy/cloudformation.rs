//! `CloudFormation` with the caller's credentials: stacks, change sets, events, templates.

use std::time::Duration;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, Parameter, TemplateStage};
use hubkeeper::sdk_client;
use hubkeeper_core::redact;
use secrecy::ExposeSecret;

use super::changes::{Change, ChangeSet, Event, is_unchanged};
use super::login::Login;
use super::parameters::{Setting, Settings};
use super::stack::{Operation, Stack};
use crate::exit::{Code, Failure};

/// The pauses between two looks at an operation: short at first, then as long as an operation deserves.
const PAUSES: [u64; 5] = [200, 400, 800, 1_500, 3_000];

/// The shortest time without a change after which a change set counts as stuck.
const LOOKS: usize = 200;

/// The template of a change set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source<'a> {
    /// The text itself.
    Body(&'a str),
    /// The URL of an object in S3.
    Url(&'a str),
}

/// One stack, with the caller's credentials. No `Debug`: it holds them.
pub struct Stacks<'a> {
    client: Client,
    login: &'a Login,
    /// The stack's name.
    pub name: &'a str,
}

/// The pause before the next look.
pub async fn pause(look: usize) {
    let milliseconds = PAUSES.get(look).or(PAUSES.last()).copied().unwrap_or(1_000);
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

impl<'a> Stacks<'a> {
    /// The client for one stack.
    pub fn new(login: &'a Login, name: &'a str) -> Self {
        Self { client: sdk_client!(aws_sdk_cloudformation, &login.aws, login.http_client), login, name }
    }

    /// Reads the stack by its name, or by its ARN, which finds a deleted one, too. `None` if it does not exist.
    ///
    /// # Errors
    /// Returns a failure if it cannot be read.
    pub async fn describe(&self, id: Option<&str>) -> Result<Option<Stack>, Failure> {
        let described = self.client.describe_stacks().stack_name(id.unwrap_or(self.name)).send().await;
        let described = match described {
            Ok(described) => described,
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => return Ok(None),
            Err(error) => return Err(self.refused("DescribeStacks", &error)),
        };
        let Some(stack) = described.stacks().first() else { return Ok(None) };
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let parameters = stack.parameters().iter();
        let outputs = stack.outputs().iter();
        Ok(Some(Stack {
            id: text(stack.stack_id()),
            status: stack.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            parameters: parameters.map(|one| (text(one.parameter_key()), text(one.parameter_value()))).collect(),
            outputs: outputs.map(|one| (text(one.output_key()), text(one.output_value()))).collect(),
        }))
    }

    /// The template of the stack as it was sent.
    ///
    /// # Errors
    /// Returns a failure if it cannot be read.
    pub async fn template(&self) -> Result<String, Failure> {
        let call = self.client.get_template().stack_name(self.name).template_stage(TemplateStage::Original);
        let found = call.send().await.map_err(|error| self.refused("GetTemplate", &error))?;
        Ok(found.template_body.unwrap_or_default())
    }

    /// Creates a change set, and waits until it is computed.
    ///
    /// # Errors
    /// Returns a failure with `CloudFormation`'s reason. The change set is deleted then.
    pub async fn change_set(
        &self,
        operation: Operation,
        source: Source<'_>,
        settings: &Settings,
    ) -> Result<ChangeSet, Failure> {
        let name = format!("hubkeeper-{}", self.login.http_client.now().unix_timestamp_nanos() / 1_000_000);
        let kind = match operation {
            Operation::Create => ChangeSetType::Create,
            Operation::Update => ChangeSetType::Update,
        };
        let mut call = self
            .client
            .create_change_set()
            .stack_name(self.name)
            .change_set_name(&name)
            .client_token(&name)
            .change_set_type(kind)
            .capabilities(Capability::CapabilityNamedIam)
            .capabilities(Capability::CapabilityAutoExpand);
        call = match source {
            Source::Body(text) => call.template_body(text),
            Source::Url(url) => call.template_url(url),
        };
        for (name, setting) in settings {
            let parameter = Parameter::builder().parameter_key(name);
            let parameter = match setting {
                Setting::Value(value) => parameter.parameter_value(value),
                Setting::Secret(value) => parameter.parameter_value(value.expose_secret()),
                Setting::Previous => parameter.use_previous_value(true),
            };
            call = call.parameters(parameter.build());
        }
        let created = match call.send().await {
            Ok(created) => created,
            Err(error) => {
                let failure = self.refused("CreateChangeSet", &error);
                if failure.code == Code::Retry {
                    // it may exist nevertheless
                    return Err(leaving(failure, self.discard(&name, operation).await));
                }
                return Err(failure);
            }
        };
        let id = created.id.unwrap_or_default();
        let stack_id = created.stack_id.unwrap_or_default();
        for look in 0..LOOKS {
            let found = match self.computed(&id, &stack_id).await {
                Ok(found) => found,
                Err(failure) => {
                    return Err(leaving(failure, self.discard(&id, operation).await));
                }
            };
            if let Some(change_set) = found {
                return Ok(change_set);
            }
            pause(look).await;
        }
        let failure = Failure::new(
            Code::Retry,
            format!("CloudFormation did not compute the change set of {} in time", self.name),
            "run the command again",
        );
        Err(leaving(failure, self.discard(&id, operation).await))
    }

    /// The change set, once it is computed.
    async fn computed(&self, id: &str, stack_id: &str) -> Result<Option<ChangeSet>, Failure> {
        let (mut changes, mut next) = (Vec::new(), None);
        loop {
            let call = self.client.describe_change_set().change_set_name(id).set_next_token(next);
            let found = call.send().await.map_err(|error| self.refused("DescribeChangeSet", &error))?;
            match found.status() {
                Some(ChangeSetStatus::CreateComplete) => {}
                Some(ChangeSetStatus::Failed) => {
                    let reason = found.status_reason().unwrap_or_default();
                    if is_unchanged(reason) {
                        return Ok(Some(ChangeSet { id: id.to_owned(), stack_id: stack_id.to_owned(), changes: None }));
                    }
                    return Err(Failure::new(
                        Code::Person,
                        format!("CloudFormation cannot compute the changes of {}: {}", self.name, super::plain(reason)),
                        "correct the parameter or the right that the reason names, then run this again; nothing was changed",
                    ));
                }
                _ => return Ok(None),
            }
            changes.extend(found.changes().iter().filter_map(|change| {
                let change = change.resource_change()?;
                let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
                Some(Change {
                    action: text(change.action().map(aws_sdk_cloudformation::types::ChangeAction::as_str)),
                    name: text(change.logical_resource_id()),
                    kind: text(change.resource_type()),
                    replacement: text(change.replacement().map(aws_sdk_cloudformation::types::Replacement::as_str)),
                })
            }));
            next = found.next_token().map(str::to_owned);
            if next.is_none() {
                let (id, stack_id) = (id.to_owned(), stack_id.to_owned());
                return Ok(Some(ChangeSet { id, stack_id, changes: Some(changes) }));
            }
        }
    }

    /// Deletes a change set, by its name or ARN, and the empty stack that it was for. Returns what stays, with the command that deletes
    /// it: neither costs anything, nor is in the way of the next deployment.
    pub async fn discard(&self, id: &str, operation: Operation) -> Option<String> {
        let name = self.name;
        let deleted = self.client.delete_change_set().stack_name(name).change_set_name(id).send().await;
        if operation == Operation::Update {
            let stays = || {
                format!(
                    "a change set stays: aws cloudformation delete-change-set --stack-name {name} --change-set-name {id}"
                )
            };
            return deleted.is_err().then(stays);
        }
        let stays = format!("an empty stack stays: aws cloudformation delete-stack --stack-name {name}");
        match self.describe(None).await {
            Ok(Some(stack)) if stack.is_only_reviewed() => {
                self.client.delete_stack().stack_name(name).send().await.is_err().then_some(stays)
            }
            Ok(_) => None,
            Err(_) => Some(stays.replace("stays", "may stay")),
        }
    }

    /// Executes a change set.
    ///
    /// # Errors
    /// Returns a failure if `CloudFormation` refuses.
    pub async fn execute(&self, id: &str) -> Result<(), Failure> {
        let token = id.rsplit('/').next().unwrap_or(id);
        let call = self.client.execute_change_set().change_set_name(id).client_request_token(format!("deploy-{token}"));
        call.send().await.map(|_| ()).map_err(|error| self.refused("ExecuteChangeSet", &error))
    }

    /// Deletes the stack.
    ///
    /// # Errors
    /// Returns a failure if `CloudFormation` refuses, as with termination protection.
    pub async fn delete(&self) -> Result<(), Failure> {
        let call = self.client.delete_stack().stack_name(self.name);
        call.send().await.map(|_| ()).map_err(|error| self.refused("DeleteStack", &error))
    }

    /// The events of the stack that are not in `known`, oldest first.
    ///
    /// # Errors
    /// Returns a failure if they cannot be read.
    pub async fn events(&self, id: &str, known: &[String]) -> Result<Vec<Event>, Failure> {
        let (mut events, mut next) = (Vec::new(), None);
        loop {
            let call = self.client.describe_stack_events().stack_name(id).set_next_token(next);
            let page = call.send().await.map_err(|error| self.refused("DescribeStackEvents", &error))?;
            let before = events.len();
            for event in page.stack_events() {
                let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
                let id = text(event.event_id());
                if known.contains(&id) {
                    break;
                }
                events.push(Event {
                    id,
                    resource: text(event.logical_resource_id()),
                    kind: text(event.resource_type()),
                    status: text(event.resource_status().map(aws_sdk_cloudformation::types::ResourceStatus::as_str)),
                    reason: text(event.resource_status_reason()),
                });
            }
            next = page.next_token().map(str::to_owned);
            // a page that ends in known events is the last new one
            if next.is_none() || events.len() - before < page.stack_events().len() {
                events.reverse();
                return Ok(events);
            }
        }
    }

    /// Follows an operation until the stack has settled. Returns its status and the events since `known`.
    ///
    /// # Errors
    /// Returns a failure if the stack cannot be read any longer.
    pub async fn follow(
        &self,
        id: &str,
        known: &[String],
        mut tell: impl FnMut(&[Event]),
    ) -> Result<(Stack, Vec<Event>), Failure> {
        for look in 0.. {
            // status first: the events are complete once it has settled
            let stack = self.describe(Some(id)).await?;
            let events = self.events(id, known).await.unwrap_or_default();
            tell(&events);
            match stack {
                Some(stack) if stack.is_busy() || stack.is_only_reviewed() => {}
                Some(stack) => return Ok((stack, events)),
                None => {
                    let status = "DELETE_COMPLETE".to_owned();
                    return Ok((Stack { id: id.to_owned(), status, ..Stack::default() }, events));
                }
            }
            pause(look).await;
        }
        Err(Failure::new(Code::Retry, "the operation did not end", "run the command again"))
    }

    fn refused<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &str,
        error: &SdkError<E>,
    ) -> Failure {
        let name = self.name;
        let again = |why: String| {
            let remedy = "run the command again: it reads first what has happened";
            Failure::new(Code::Retry, format!("{action} ({name}): {why}"), remedy)
        };
        let Some(code) = error.code().and_then(redact::code) else {
            return again(redact::prose(&DisplayErrorContext(error).to_string()));
        };
        if Code::of_aws(Some(code)) == Code::Retry {
            return again(format!("AWS returned {code}"));
        }
        let message = super::plain(error.message().unwrap_or_default());
        match code {
            "AccessDenied" | "AccessDeniedException" => Failure::new(
                Code::Person,
                format!("{action} ({name}): AWS returned {code}"),
                format!(
                    "you need the right cloudformation:{action} on the stack; docs/deploy.md#rights-to-deploy lists all"
                ),
            ),
            _ => Failure::new(
                Code::Person,
                format!("{action} ({name}): AWS returned {code}: {message}"),
                "correct what the message names, then run this again",
            ),
        }
    }
}

/// A failure that leaves something behind.
fn leaving(mut failure: Failure, left: Option<String>) -> Failure {
    if let Some(left) = left {
        failure.remedy = format!("{}; {left}", failure.remedy);
    }
    failure
}
