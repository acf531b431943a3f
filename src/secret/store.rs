//! AWS Secrets Manager: the only place that reads and writes secrets there.
//!
//! Values are read by version id and stage together; a put always names its stages; a stage moves only away from the
//! version that was seen to bear it.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use secrecy::{ExposeSecret, SecretString};

use super::document::Document;
use super::invite::{INVITE_TAG, Invitation};
use super::kept::WRITER_TAG;
use super::labels::{History, Label, MANAGED, MANAGED_TAG, Managed, OFFBOARDED, Secret};
use super::schedule::Schedule;
use crate::clock::{Timestamp, within_reach};
use crate::error::Error;
use crate::http::{Outlet, scrub};

/// Entries a page: the most that AWS gives.
const PAGE_SIZE: i32 = 100;
/// Pages of a list at most: a page may be empty and still have a next one.
const PAGES: usize = 1000;

/// What a put came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// The value stands under the version id.
    Stored,
    /// Another value stands there already (`ResourceExistsException`).
    Exists,
}

/// Secrets Manager for one invocation.
#[derive(Clone)]
pub struct SecretStore {
    client: Client,
    outlet: Outlet,
}

impl SecretStore {
    /// The store over a client.
    pub fn new(client: Client, outlet: Outlet) -> Self {
        Self { client, outlet }
    }

    /// Labels, tags and state of a secret, by ARN or name.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such secret or no right to see it, `Retryable` where AWS does not answer.
    pub async fn describe(&self, id: &str) -> Result<Secret, Error> {
        let answer = self.client.describe_secret().secret_id(id).send().await;
        let answer = answer.map_err(|error| failed("DescribeSecret", &error))?;
        let arn = answer.arn.unwrap_or_else(|| id.to_owned());
        let rotation_enabled = answer.rotation_enabled == Some(true);
        let rules = answer.rotation_rules.as_ref();
        let schedule = rotation_enabled.then(|| {
            Schedule::new(
                rules.and_then(|rules| rules.automatically_after_days),
                rules.and_then(|rules| rules.schedule_expression.as_deref()),
                rules.and_then(|rules| rules.duration.as_deref()),
                answer.next_rotation_date.as_ref().and_then(timestamp),
                answer.last_rotated_date.as_ref().or(answer.created_date.as_ref()).and_then(timestamp),
            )
        });
        Ok(Secret {
            arn,
            rotation_enabled,
            deleted: answer.deleted_date.is_some(),
            versions: answer.version_ids_to_stages.unwrap_or_default().into_iter().collect(),
            tags: answer.tags.unwrap_or_default().into_iter().filter_map(|tag| Some((tag.key?, tag.value?))).collect(),
            last_changed: answer.last_changed_date.as_ref().and_then(timestamp),
            schedule,
            pending_since: None,
        })
    }

    /// ARNs of all secrets with the tag `hubkeeper` = `managed` or `offboarded`. The list's filter matches by prefix, so the
    /// tags are looked at again; it lags by minutes, so they are looked at once more where a secret is worked on.
    ///
    /// # Errors
    /// As [`SecretStore::describe`].
    pub async fn managed(&self) -> Result<Vec<String>, Error> {
        let filter = |key: FilterNameStringType, values: &[&str]| {
            Filter::builder()
                .key(key)
                .set_values(Some(values.iter().map(|value| (*value).to_owned()).collect()))
                .build()
        };
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..PAGES {
            let call = self
                .client
                .list_secrets()
                .max_results(PAGE_SIZE)
                .filters(filter(FilterNameStringType::TagKey, &[MANAGED_TAG]))
                .filters(filter(FilterNameStringType::TagValue, &[MANAGED, OFFBOARDED]))
                .set_next_token(token);
            let page = call.send().await.map_err(|error| failed("ListSecrets", &error))?;
            for entry in page.secret_list.unwrap_or_default() {
                let tag = entry.tags.unwrap_or_default().into_iter().find(|tag| tag.key() == Some(MANAGED_TAG));
                let managed = Managed::of(tag.as_ref().and_then(Tag::value));
                if managed != Managed::No
                    && let Some(arn) = entry.arn
                    && !found.contains(&arn)
                {
                    found.push(arn);
                }
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(Error::retryable("ListSecrets: the list does not end", "repeat the event"))
    }

    /// When each version was made, those without a label included, those without a value not (AWS).
    ///
    /// # Errors
    /// As [`SecretStore::describe`].
    pub async fn history(&self, id: &str) -> Result<History, Error> {
        let mut history = History::new();
        let mut token = None;
        for _ in 0..PAGES {
            let call = self
                .client
                .list_secret_version_ids()
                .secret_id(id)
                .include_deprecated(true)
                .max_results(PAGE_SIZE)
                .set_next_token(token);
            let page = call.send().await.map_err(|error| failed("ListSecretVersionIds", &error))?;
            for entry in page.versions.unwrap_or_default() {
                if let (Some(version), Some(at)) = (entry.version_id, entry.created_date.as_ref().and_then(timestamp)) {
                    history.insert(version, at);
                }
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(history);
            }
        }
        Err(Error::retryable("ListSecretVersionIds: the list does not end", "repeat the event"))
    }

    /// The value of a version; `None` where the version has none yet.
    ///
    /// # Errors
    /// As [`SecretStore::describe`]; `Misconfigured` for a binary value.
    pub async fn value(&self, id: &str, version: &str, stage: Option<&str>) -> Result<Option<SecretString>, Error> {
        let call = self
            .client
            .get_secret_value()
            .secret_id(id)
            .version_id(version)
            .set_version_stage(stage.map(str::to_owned));
        match call.send().await {
            Ok(answer) => text(answer.secret_string).map(Some),
            Err(error) if error.as_service_error().is_some_and(aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError::is_resource_not_found_exception) => {
                Ok(None)
            }
            Err(error) => Err(failed("GetSecretValue", &error)),
        }
    }

    /// The document of a version that must have a value: a not-found shortly after a put is waited out.
    ///
    /// # Errors
    /// As [`SecretStore::value`]; `Retryable` where the value does not appear.
    pub async fn document(&self, id: &str, version: &str, stage: Option<&str>) -> Result<Document, Error> {
        let mut pause = Duration::from_millis(250);
        for _ in 0..3 {
            if let Some(value) = self.value(id, version, stage).await? {
                return Document::parse(&value);
            }
            if !self.outlet.wait(pause).await {
                break;
            }
            pause *= 2;
        }
        match self.value(id, version, stage).await? {
            Some(value) => Document::parse(&value),
            None => Err(Error::retryable(
                format!("version {version} of the secret has no value"),
                "repeat the event; in a rotation, createSecret has to put the value first",
            )),
        }
    }

    /// The current value of another secret (manager, owner, client secret).
    ///
    /// # Errors
    /// As [`SecretStore::value`].
    pub async fn current_value(&self, id: &str) -> Result<SecretString, Error> {
        let answer = self.client.get_secret_value().secret_id(id).version_stage(Label::Current.name()).send().await;
        text(answer.map_err(|error| failed("GetSecretValue", &error))?.secret_string)
    }

    /// Puts a value under a version id with one label. The same value again is success.
    ///
    /// # Errors
    /// `Retryable` or `Misconfigured`, as AWS answers.
    pub async fn put(
        &self,
        id: &str,
        version: &str,
        document: &Document,
        label: Label,
        rotation_token: Option<&SecretString>,
    ) -> Result<Put, Error> {
        let value = document.to_secret_string();
        let call = self
            .client
            .put_secret_value()
            .secret_id(id)
            .client_request_token(version)
            .secret_string(value.expose_secret())
            .version_stages(label.name())
            .set_rotation_token(rotation_token.map(|token| token.expose_secret().to_owned()));
        match call.send().await {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.as_service_error().is_some_and(aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError::is_resource_exists_exception) => {
                Ok(Put::Exists)
            }
            Err(error) => Err(failed("PutSecretValue", &error)),
        }
    }

    /// Moves a label from the version that bears it to another, or takes it off (`to` is `None`).
    ///
    /// # Errors
    /// Whatever AWS answers, a mismatch of `from` included: read the labels again and decide by what they are.
    pub async fn move_label(&self, id: &str, label: Label, from: Option<&str>, to: Option<&str>) -> Result<(), Error> {
        let call = self
            .client
            .update_secret_version_stage()
            .secret_id(id)
            .version_stage(label.name())
            .set_remove_from_version_id(from.map(str::to_owned))
            .set_move_to_version_id(to.map(str::to_owned));
        call.send().await.map(|_| ()).map_err(|error| failed("UpdateSecretVersionStage", &error))
    }

    /// Gives the tag `hubkeeper` a value: [`MANAGED`] or [`OFFBOARDED`].
    ///
    /// # Errors
    /// As [`SecretStore::describe`].
    pub async fn tag(&self, id: &str, value: &str) -> Result<(), Error> {
        self.set_tag(id, MANAGED_TAG, value).await
    }

    /// Gives the tag `hubkeeper-invite` a value.
    ///
    /// # Errors
    /// As [`SecretStore::describe`].
    pub async fn tag_invitation(&self, id: &str, state: Invitation) -> Result<(), Error> {
        self.set_tag(id, INVITE_TAG, &state.value()).await
    }

    /// Remembers how ARM calls us as a writer: the tag `hubkeeper-writer`.
    ///
    /// # Errors
    /// As [`SecretStore::describe`].
    pub async fn tag_writer(&self, id: &str, writer: &str) -> Result<(), Error> {
        self.set_tag(id, WRITER_TAG, writer).await
    }

    async fn set_tag(&self, id: &str, key: &str, value: &str) -> Result<(), Error> {
        self.set_tags(id, &[(key, Some(value))]).await
    }

    /// Sets those tags that have a value here, in one request.
    ///
    /// # Errors
    /// As [`SecretStore::describe`].
    pub async fn set_tags(&self, id: &str, tags: &[(&str, Option<&str>)]) -> Result<(), Error> {
        let tags = tags.iter().filter_map(|(key, value)| Some(Tag::builder().key(*key).value((*value)?).build()));
        let call = self.client.tag_resource().secret_id(id).set_tags(Some(tags.collect()));
        call.send().await.map(|_| ()).map_err(|error| failed("TagResource", &error))
    }
}

fn timestamp(at: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    time::OffsetDateTime::from_unix_timestamp_nanos(at.as_nanos()).ok().map(within_reach)
}

fn text(value: Option<String>) -> Result<SecretString, Error> {
    value.map(SecretString::from).ok_or_else(|| {
        Error::misconfigured("the secret's value is binary", "store the document as the secret's string (SecretString)")
    })
}

/// AWS's answer as ours. Its message may quote the request, so it is scrubbed.
pub(crate) fn failed<E: ProvideErrorMetadata>(call: &str, error: &SdkError<E>) -> Error {
    let Some(service) = error.as_service_error() else {
        let why = match error {
            SdkError::TimeoutError(_) => "the invocation's time was up or AWS did not answer in time".to_owned(),
            SdkError::DispatchFailure(failure) => failure
                .as_connector_error()
                .and_then(|error| std::error::Error::source(error).map(ToString::to_string))
                .unwrap_or_else(|| "AWS cannot be reached".to_owned()),
            SdkError::ResponseError(_) => "AWS's answer cannot be read".to_owned(),
            _ => {
                return Error::misconfigured(
                    format!("{call}: the call cannot be made"),
                    "the function needs AWS credentials and AWS_REGION in its environment",
                );
            }
        };
        return Error::retryable(format!("{call}: {why}"), "repeat the event");
    };
    let code = service.code().and_then(scrub::code).unwrap_or("an unknown error");
    let message = service.message().map(|text| scrub::words(text, &[])).unwrap_or_default();
    let what = format!("{call}: AWS answered {code} ({message})");
    match code {
        "ResourceNotFoundException" => Error::misconfigured(what, "check the secret's name or ARN, and the Region"),
        // SQS spells it without `Exception`
        "AccessDenied" | "AccessDeniedException" => Error::misconfigured(
            what,
            format!("allow the function's role {}, and the use of the KMS key", action(call)),
        ),
        "DecryptionFailure" | "EncryptionFailure" | "UnrecognizedClientException" => {
            Error::misconfigured(what, "give the function's role the action on this secret, and on its KMS key")
        }
        "InvalidRequestException"
        | "InvalidParameterException"
        | "LimitExceededException"
        | "MalformedPolicyDocumentException" => Error::retryable(
            what,
            "the secret is being changed, deleted, or full: look at its versions, then repeat the event",
        ),
        "ValidationException" => Error::misconfigured(what, "check the ids in the event"),
        "OutboundWebIdentityFederationDisabledException" => Error::needs_human(
            what,
            "enable outbound web identity federation in the AWS account (iam:EnableOutboundWebIdentityFederation)",
        ),
        "SessionDurationEscalationException" | "JWTPayloadSizeExceededException" => {
            Error::misconfigured(what, "check the function's role")
        }
        _ => Error::retryable(what, "repeat the event"),
    }
}

/// The action in a policy that allows a call; a batch is authorised as the single call (AWS's Service Authorization Reference).
fn action(call: &str) -> String {
    match call {
        "GetWebIdentityToken" => format!("sts:{call}"),
        "SendMessageBatch" => "sqs:SendMessage".to_owned(),
        _ => format!("secretsmanager:{call}"),
    }
}
