//! Secrets Manager with the caller's credentials: reads, and the creation of a secret.

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper::clock::{Random, SystemRandom};
use hubkeeper::http::HttpShared;
use hubkeeper::sdk_client;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::redact;
use hubkeeper_core::secret::{Document, Label};
use secrecy::ExposeSecret;

use crate::exit::{Code, Failure};
use crate::{hints, local};

/// The client of Secrets Manager with the caller's credentials.
///
/// # Errors
/// Returns a failure if nobody is logged in.
pub async fn store(shared: &Arc<HttpShared>) -> Result<SecretStore, Failure> {
    let http_client = local::http_client(shared);
    let aws = local::aws(&http_client).await?;
    let sdk = sdk_client!(aws_sdk_secretsmanager, &aws, http_client);
    Ok(SecretStore::new(sdk, http_client))
}

/// The id of the version that is staged `HUBKEEPER_CANDIDATE`.
///
/// # Errors
/// Returns a failure if no version has the label, or the labels cannot be read.
pub async fn candidate(shared: &Arc<HttpShared>, id: &str) -> Result<VersionId, Failure> {
    let secret = store(shared).await?.describe(id).await.map_err(|error| Failure::own(error.at("verify")))?;
    secret.version(Label::Candidate).cloned().ok_or_else(|| {
        Failure::new(
            Code::Person,
            format!("no version of {id} is staged HUBKEEPER_CANDIDATE"),
            format!("stage a token: hubkeeper stage {id}"),
        )
    })
}

/// A secret that was just created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Its ARN.
    pub arn: String,
    /// Its first version, which is AWSCURRENT.
    pub version: VersionId,
}

/// Checks that no secret has this name, not even one that is scheduled for deletion.
///
/// # Errors
/// Returns a failure if there is one, or it cannot be known.
pub async fn absent(store: &SecretStore, name: &str, step: &'static str) -> Result<(), Failure> {
    match store.describe(name).await {
        Ok(secret) if secret.deleted => Err(deleted(name)),
        Ok(_) => Err(exists(name)),
        Err(error) => {
            let failure = Failure::own(error.at(step));
            if hints::is_missing(&failure) { Ok(()) } else { Err(failure) }
        }
    }
}

/// Creates a secret with one version. A lost response is settled by reading which version the secret has.
///
/// # Errors
/// Returns why it was not created, or that this is not known.
pub async fn create(
    client: &Client,
    store: &SecretStore,
    name: &str,
    document: &Document,
    kms_key: Option<&str>,
) -> Result<Created, Failure> {
    let version = VersionId::of_service(SystemRandom.uuid());
    let call = client
        .create_secret()
        .name(name)
        .client_request_token(version.as_str())
        .secret_string(document.to_secret_string().expose_secret())
        .set_kms_key_id(kms_key.map(str::to_owned));
    let error = match call.send().await {
        Ok(created) => {
            let arn = created.arn.unwrap_or_else(|| name.to_owned());
            return Ok(Created { arn, version: created.version_id.map_or(version, VersionId::of_service) });
        }
        Err(error) => error,
    };
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).and_then(redact::code);
    if matches!(code, None | Some("ResourceExistsException" | "InternalServiceError"))
        && let Ok(secret) = store.describe(name).await
        && secret.bears(&version, Label::Current)
    {
        return Ok(Created { arn: secret.arn, version });
    }
    Err(not_created(name, error.as_service_error().map(|_| code.unwrap_or("an unknown code"))))
}

fn exists(name: &str) -> Failure {
    Failure::new(
        Code::Person,
        format!("the secret {name} exists already"),
        format!(
            "put a new token: hubkeeper stage {name}; connect it: hubkeeper onboard {name}; or choose another name with --name"
        ),
    )
}

fn deleted(name: &str) -> Failure {
    Failure::new(
        Code::Person,
        format!("the secret {name} exists already, and is scheduled for deletion"),
        format!("restore it: aws secretsmanager restore-secret --secret-id {name}; or choose another name with --name"),
    )
}

/// Why a secret was not created, by the error code of AWS; `None` without a response.
fn not_created(name: &str, code: Option<&str>) -> Failure {
    let what = format!("the secret {name} was not created");
    let Some(code) = code else {
        return Failure::new(
            Code::Retry,
            format!("{what}, as far as is known: CreateSecret got no response"),
            "run the command again: it says whether the secret exists",
        );
    };
    let remedy = match code {
        "ResourceExistsException" => return exists(name),
        "AccessDeniedException" => format!("you need the right secretsmanager:CreateSecret on {name}"),
        "EncryptionFailure" | "DecryptionFailure" => {
            "check --kms-key, and your rights kms:GenerateDataKey and kms:Decrypt on it".to_owned()
        }
        "InvalidRequestException" => return deleted_or_invalid(name),
        "InvalidParameterException" => "check --name and --kms-key".to_owned(),
        "LimitExceededException" => "delete secrets that nobody needs, or ask AWS for a higher quota".to_owned(),
        _ => "run the command again".to_owned(),
    };
    Failure::new(Code::of_aws(Some(code)), format!("{what}: CreateSecret: AWS returned {code}"), remedy)
}

/// AWS refuses a name that is scheduled for deletion as an invalid request.
fn deleted_or_invalid(name: &str) -> Failure {
    Failure::new(
        Code::Person,
        format!("the secret {name} was not created: CreateSecret: AWS returned InvalidRequestException"),
        format!(
            "a secret of this name may be scheduled for deletion: aws secretsmanager restore-secret --secret-id {name}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_not_created_comes_with_the_reason() {
        for (code, end, words) in [
            (None, Code::Retry, "says whether the secret exists"),
            (Some("InternalServiceError"), Code::Retry, "run the command again"),
            (Some("AccessDeniedException"), Code::Person, "you need the right secretsmanager:CreateSecret on a/b"),
            (Some("ResourceExistsException"), Code::Person, "hubkeeper stage a/b"),
            (Some("InvalidRequestException"), Code::Person, "scheduled for deletion"),
            (Some("EncryptionFailure"), Code::Person, "--kms-key"),
            (Some("LimitExceededException"), Code::Person, "quota"),
        ] {
            let failure = not_created("a/b", code);
            assert_eq!(failure.code, end, "{failure:?}");
            assert!(failure.remedy.contains(words) && failure.what.contains("a/b"), "{failure:?}");
        }
    }
}
