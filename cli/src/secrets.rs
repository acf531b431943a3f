//! Secrets Manager with the caller's credentials.

use std::sync::Arc;

use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper::http::HttpShared;
use hubkeeper::sdk_client;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::secret::Label;

use crate::exit::{Code, Failure};
use crate::local;

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
