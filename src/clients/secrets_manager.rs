//! AWS Secrets Manager: the only place that reads ([`SecretStore`]) and writes ([`SecretWriter`]) secrets there.
//!
//! Values are read by version id and stage together; a put always names its stages; a stage moves only away from the
//! version that was seen to bear it.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::secrets_manager::Reread;
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

/// Why a put failed.
#[derive(Clone, Debug)]
pub struct PutFailure {
    /// The error, with its remedy.
    pub error: Error,
    /// Whether every attempt was answered with a refusal that stored nothing; `false` where any of them may have been carried
    /// out.
    pub is_certain: bool,
}

/// The current value of a secret. No `Debug`: it holds a secret.
pub struct CurrentValue {
    /// The secret's ARN, whatever id it was asked for by.
    pub arn: String,
    /// Its string.
    pub text: SecretString,
}

/// Secrets Manager for one invocation, to read.
#[derive(Clone)]
pub struct SecretStore {
    client: Client,
    http_client: HttpClient,
}

impl SecretStore {
    /// The store over a client.
    pub fn new(client: Client, http_client: HttpClient) -> Self {
        Self { client, http_client }
    }

    /// Labels, tags and state of a secret, by ARN or name.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such secret, no right to see it, or it is a replica or of another Region;
    /// `Retryable` where AWS does not answer.
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
        Ok(Secret {
            arn,
            name,
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
            let page = match call.send().await {
                Ok(page) => page,
                Err(error) => return Err(self.refused("ListSecretVersionIds", &error, Subject::secret(id)).await),
            };
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
            Err(error) => Err(self.refused("GetSecretValue", &error, Subject::secret(id)).await),
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

    /// The current value of another secret (manager, owner, client secret), without a byte order mark.
    ///
    /// # Errors
    /// As [`SecretStore::value`], with the name of that secret.
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

    /// A call about a secret that failed. Where the code leaves open what is wrong, the secret's state tells.
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

/// Secrets Manager, to write: values, labels and tags.
#[derive(Clone)]
pub struct SecretWriter(SecretStore);

impl SecretWriter {
    /// Writes with the store's client.
    pub fn new(store: SecretStore) -> Self {
        Self(store)
    }

    /// Puts a value under a version id with one label. The same value again is success.
    ///
    /// # Errors
    /// [`PutFailure`]: `Retryable` or `Misconfigured`, as AWS answers, and whether the value is certainly not stored.
    pub async fn put(
        &self,
        id: &str,
        version: &str,
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
            .client_request_token(version)
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

    /// Moves a label from the version that bears it to another, or takes it off (`to` is `None`).
    ///
    /// # Errors
    /// Whatever AWS answers, a mismatch of `from` included: read the labels again and decide by what they are.
    pub async fn move_label(&self, id: &str, label: Label, from: Option<&str>, to: Option<&str>) -> Result<(), Error> {
        let call = self
            .0
            .client
            .update_secret_version_stage()
            .secret_id(id)
            .version_stage(label.name())
            .set_remove_from_version_id(from.map(str::to_owned))
            .set_move_to_version_id(to.map(str::to_owned));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.0.refused("UpdateSecretVersionStage", &error, Subject::secret(id)).await),
        }
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
        let call = self.0.client.tag_resource().secret_id(id).set_tags(Some(tags.collect()));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.0.refused("TagResource", &error, Subject::secret(id)).await),
        }
    }
}

/// Whether an error code of `PutSecretValue` says that nothing was stored (AWS's reference of the call).
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
