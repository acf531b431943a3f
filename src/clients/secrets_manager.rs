//! Reads ([`SecretStore`]) and writes ([`SecretWriter`]) secrets in AWS Secrets Manager. No other module does.
//!
//! Every read of a value names version id and stage together. Every put names its stages. A stage moves only from the
//! version that was seen to have it.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::secrets_manager::Reread;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::secret::document::{Document, without_byte_order_mark};
use hubkeeper_core::secret::invitation::{INVITE_TAG, Invitation};
use hubkeeper_core::secret::kept::WRITER_TAG;
use hubkeeper_core::secret::labels::{History, Label, MANAGED, MANAGED_TAG, Managed, OFFBOARDED, Secret};
use hubkeeper_core::secret::schedule::Schedule;
use hubkeeper_core::secret::subject::Subject;
use hubkeeper_core::time::{Timestamp, within_reach};
use secrecy::{ExposeSecret, SecretString};

use crate::clients::sdk::{failed, stated};
use crate::http::HttpClient;
use crate::http::aws::may_have_acted;

/// Entries per page: the maximum of AWS.
const PAGE_SIZE: i32 = 100;
/// Maximum number of pages of a list. A page may be empty and still have a next page.
const PAGES: usize = 1000;

/// The result of a put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// The value is stored under the version id.
    Stored,
    /// Another value is already stored under the version id (`ResourceExistsException`).
    Exists,
}

/// The reason why a put failed.
#[derive(Clone, Debug)]
pub struct PutFailure {
    /// The error, with its remedy.
    pub error: Error,
    /// Whether every attempt got an error response that stored nothing. `false` if any attempt may have stored the
    /// value.
    pub is_certain: bool,
}

/// The current value of a secret. No `Debug`: it holds a secret.
pub struct CurrentValue {
    /// The secret's ARN, whatever id the request used.
    pub arn: String,
    /// The secret string.
    pub text: SecretString,
}

/// Reads secrets from Secrets Manager, for one invocation.
#[derive(Clone)]
pub struct SecretStore {
    client: Client,
    http_client: HttpClient,
}

impl SecretStore {
    /// Creates a store over an SDK client.
    pub fn new(client: Client, http_client: HttpClient) -> Self {
        Self { client, http_client }
    }

    /// Reads labels, tags and state of a secret, by ARN or name.
    ///
    /// # Errors
    /// Returns `Misconfigured` if the secret does not exist, is not visible, is a replica or is in another Region.
    /// Returns `Retryable` if AWS does not respond.
    pub async fn describe(&self, id: &str) -> Result<Secret, Error> {
        let subject = Subject::secret(id);
        subject.in_region(self.region())?;
        let answer = match self.client.describe_secret().secret_id(id).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.refused("DescribeSecret", &error, subject).await),
        };
        let arn = answer.arn.unwrap_or_else(|| id.to_owned());
        subject.is_no_replica(&arn, answer.primary_region.as_deref())?;
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
        let name = answer.name.unwrap_or_else(|| arn.clone());
        let versions = answer.version_ids_to_stages.unwrap_or_default();
        Ok(Secret {
            arn,
            name,
            rotation_enabled,
            deleted: answer.deleted_date.is_some(),
            versions: versions.into_iter().map(|(id, labels)| (VersionId::of_service(id), labels)).collect(),
            tags: answer.tags.unwrap_or_default().into_iter().filter_map(|tag| Some((tag.key?, tag.value?))).collect(),
            last_changed: answer.last_changed_date.as_ref().and_then(timestamp),
            schedule,
            pending_since: None,
        })
    }

    /// Lists the ARNs of all secrets with the tag `hubkeeper` = `managed` or `offboarded`. AWS filters by prefix, so
    /// the client checks the tags again. The list lags by minutes, so the work on each secret checks them once more.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`].
    pub async fn managed(&self) -> Result<Vec<String>, Error> {
        Ok(self.listed().await?.into_iter().map(|(arn, _)| arn).collect())
    }

    /// The same, each with whether it is managed or offboarded.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`].
    pub async fn listed(&self) -> Result<Vec<(String, Managed)>, Error> {
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
                    && !found.iter().any(|(known, _)| *known == arn)
                {
                    found.push((arn, managed));
                }
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(Error::retryable("ListSecrets: the list does not end", "repeat the event"))
    }

    /// Returns the creation time of each version, including versions without a label but not versions without a value
    /// (AWS).
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`].
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
            let page = match call.send().await {
                Ok(page) => page,
                Err(error) => return Err(self.refused("ListSecretVersionIds", &error, Subject::secret(id)).await),
            };
            for entry in page.versions.unwrap_or_default() {
                if let (Some(version), Some(at)) = (entry.version_id, entry.created_date.as_ref().and_then(timestamp)) {
                    history.insert(VersionId::of_service(version), at);
                }
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(history);
            }
        }
        Err(Error::retryable("ListSecretVersionIds: the list does not end", "repeat the event"))
    }

    /// Reads the value of a version. Returns `None` if the version has no value yet.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`], and `Misconfigured` for a binary value.
    pub async fn value(
        &self,
        id: &str,
        version: &VersionId,
        stage: Option<&str>,
    ) -> Result<Option<SecretString>, Error> {
        let call = self
            .client
            .get_secret_value()
            .secret_id(id)
            .version_id(version.as_str())
            .set_version_stage(stage.map(str::to_owned));
        match call.send().await {
            Ok(answer) => text(answer.secret_string).map(Some),
            Err(error) if error.as_service_error().is_some_and(aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError::is_resource_not_found_exception) => {
                Ok(None)
            }
            Err(error) => Err(self.refused("GetSecretValue", &error, Subject::secret(id)).await),
        }
    }

    /// Reads the document of a version that must have a value. Retries a not-found error shortly after a put.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::value`], and `Retryable` if the value does not appear.
    pub async fn document(&self, id: &str, version: &VersionId, stage: Option<&str>) -> Result<Document, Error> {
        let mut pause = Duration::from_millis(250);
        for _ in 0..3 {
            if let Some(value) = self.value(id, version, stage).await? {
                return Document::parse(&value);
            }
            if !self.http_client.wait(pause).await {
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

    /// Reads the current value of another secret (manager, owner, client secret), without a byte order mark.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::value`], with the name of that secret.
    pub async fn current_value(&self, subject: Subject<'_>) -> Result<CurrentValue, Error> {
        subject.in_region(self.region())?;
        let call = self.client.get_secret_value().secret_id(subject.id()).version_stage(Label::Current.name());
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.refused("GetSecretValue", &error, subject).await),
        };
        let value = text(answer.secret_string)?;
        let value = SecretString::from(without_byte_order_mark(value.expose_secret()));
        Ok(CurrentValue { arn: answer.arn.unwrap_or_else(|| subject.id().to_owned()), text: value })
    }

    fn region(&self) -> Option<&str> {
        let client = &self.client;
        client.config().region().map(AsRef::as_ref)
    }

    /// Returns the error of a failed call about a secret. If the error code is ambiguous, the secret's state decides.
    async fn refused<E>(&self, call: &'static str, error: &SdkError<E>, subject: Subject<'_>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let stated = match stated(call, error) {
            Ok(stated) => stated,
            Err(error) => return error,
        };
        let reread = if stated.is_ambiguous() { self.reread(subject.id()).await } else { Reread::Unknown };
        stated.error(Some(subject), reread)
    }

    async fn reread(&self, id: &str) -> Reread {
        match self.client.describe_secret().secret_id(id).send().await {
            Ok(answer) if answer.deleted_date.is_some() => Reread::Deleted,
            Ok(answer) => Reread::There { tags: answer.tags.map_or(0, |tags| tags.len()) },
            Err(error) if error.as_service_error().is_some_and(aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretError::is_resource_not_found_exception) => {
                Reread::Absent
            }
            Err(_) => Reread::Unknown,
        }
    }
}

/// Writes values, labels and tags to Secrets Manager.
#[derive(Clone)]
pub struct SecretWriter(SecretStore);

impl SecretWriter {
    /// Creates a writer that uses the client of `store`.
    pub fn new(store: SecretStore) -> Self {
        Self(store)
    }

    /// Puts a value under a version id with one label. Succeeds if the same value is already stored.
    ///
    /// # Errors
    /// Returns [`PutFailure`]: `Retryable` or `Misconfigured` by AWS's response, and whether the value is certainly not
    /// stored.
    pub async fn put(
        &self,
        id: &str,
        version: &VersionId,
        document: &Document,
        label: Label,
        rotation_token: Option<&SecretString>,
    ) -> Result<Put, PutFailure> {
        let value = document.to_secret_string();
        let call = self
            .0
            .client
            .put_secret_value()
            .secret_id(id)
            .client_request_token(version.as_str())
            .secret_string(value.expose_secret())
            .version_stages(label.name())
            .set_rotation_token(rotation_token.map(|token| token.expose_secret().to_owned()));
        match call.send().await {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.as_service_error().is_some_and(aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError::is_resource_exists_exception) => {
                Ok(Put::Exists)
            }
            Err(error) => {
                let refused = error.as_service_error().and_then(ProvideErrorMetadata::code).is_some_and(stores_nothing);
                let earlier = error.raw_response().is_none_or(may_have_acted);
                let told = self.0.refused("PutSecretValue", &error, Subject::secret(id)).await;
                Err(PutFailure { error: told, is_certain: refused && !earlier })
            }
        }
    }

    /// Moves a label from the version that has it to another, or removes it (`to` is `None`).
    ///
    /// # Errors
    /// Returns an error for every failure, including a mismatch of `from`: read the labels again and decide by them.
    pub async fn move_label(
        &self,
        id: &str,
        label: Label,
        from: Option<&VersionId>,
        to: Option<&VersionId>,
    ) -> Result<(), Error> {
        let call = self
            .0
            .client
            .update_secret_version_stage()
            .secret_id(id)
            .version_stage(label.name())
            .set_remove_from_version_id(from.map(ToString::to_string))
            .set_move_to_version_id(to.map(ToString::to_string));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.0.refused("UpdateSecretVersionStage", &error, Subject::secret(id)).await),
        }
    }

    /// Sets the tag `hubkeeper` to [`MANAGED`] or [`OFFBOARDED`].
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`].
    pub async fn tag(&self, id: &str, value: &str) -> Result<(), Error> {
        self.set_tag(id, MANAGED_TAG, value).await
    }

    /// Sets the tag `hubkeeper-invite`.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`].
    pub async fn tag_invitation(&self, id: &str, state: Invitation) -> Result<(), Error> {
        self.set_tag(id, INVITE_TAG, &state.value()).await
    }

    /// Sets the tag `hubkeeper-writer`: the name that ARM uses for the function as a writer.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`].
    pub async fn tag_writer(&self, id: &str, writer: &str) -> Result<(), Error> {
        self.set_tag(id, WRITER_TAG, writer).await
    }

    async fn set_tag(&self, id: &str, key: &str, value: &str) -> Result<(), Error> {
        self.set_tags(id, &[(key, Some(value))]).await
    }

    /// Sets, in one request, the tags that have a value here.
    ///
    /// # Errors
    /// Returns the errors of [`SecretStore::describe`].
    pub async fn set_tags(&self, id: &str, tags: &[(&str, Option<&str>)]) -> Result<(), Error> {
        let tags = tags.iter().filter_map(|(key, value)| Some(Tag::builder().key(*key).value((*value)?).build()));
        let call = self.0.client.tag_resource().secret_id(id).set_tags(Some(tags.collect()));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.0.refused("TagResource", &error, Subject::secret(id)).await),
        }
    }
}

/// Returns whether an error code of `PutSecretValue` means that nothing was stored (AWS's API reference).
fn stores_nothing(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "EncryptionFailure"
            | "DecryptionFailure"
            | "LimitExceededException"
            | "InvalidParameterException"
            | "InvalidRequestException"
    ) || code.starts_with("KMS")
}

fn timestamp(at: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    time::OffsetDateTime::from_unix_timestamp_nanos(at.as_nanos()).ok().map(within_reach)
}

fn text(value: Option<String>) -> Result<SecretString, Error> {
    value.map(SecretString::from).ok_or_else(|| {
        Error::misconfigured("the secret's value is binary", "store the document as the secret's string (SecretString)")
    })
}
