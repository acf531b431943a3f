//! What `hubkeeper import` checks before it creates a secret: that no other secret manages the connector, and that Azure has
//! room for the tags.

use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper_core::connector::Takeover;
use hubkeeper_core::connector::takeover::MAX_TAGS;
use hubkeeper_core::secret::{Kept, KeptConnector, Label, fingerprint_of};
use serde_json::Value;

use super::reading::Reading;
use crate::commands::status;
use crate::exit::{Code, Failure};
use crate::function::Deployed;
use crate::secrets;

/// Checks that no secret of this function manages the connector. `tag` is the connector's tag `hubkeeper-secret`.
///
/// # Errors
/// Returns a failure that names the secret and the next command, or why the function could not be asked.
pub async fn unmanaged(
    function: &Deployed,
    store: &SecretStore,
    reading: &Reading,
    tag: Option<&str>,
) -> Result<(), Failure> {
    let items = status::all(function).await?;
    if let Some(tag) = tag {
        return Err(tagged(reading, tag, &items));
    }
    for item in items.iter().filter(|item| item["organization"] == reading.organization.as_str()) {
        let Some(arn) = item["secretId"].as_str() else { continue };
        let secret = store.describe(arn).await.map_err(|error| Failure::own(error.at("import")))?;
        if secret.kept() == Kept::Connector(reading.kept()) {
            return Err(named_by(reading, &secret.name, item["state"] == "offboarded"));
        }
    }
    Ok(())
}

/// The connector has hubkeeper's tag.
pub fn tagged(reading: &Reading, tag: &str, items: &[Value]) -> Failure {
    let arns = items.iter().filter_map(|item| item["secretId"].as_str());
    let owner = arns.into_iter().find(|arn| fingerprint_of(arn).as_str() == tag);
    let connector = reading.name();
    match owner {
        Some(arn) => Failure::new(
            Code::Refused,
            format!("the connector {connector} is not imported: the secret {arn} manages it already"),
            format!("see its state: hubkeeper status {arn}; replace its token: hubkeeper stage {arn}"),
        ),
        None => Failure::new(
            Code::Refused,
            format!(
                "the connector {connector} is not imported: it has the tag hubkeeper-secret of a secret that this function does not manage"
            ),
            format!(
                "a function of another account, Region or stack may manage it: offboard it there. If that secret no longer exists, remove the tag, and import again: az tag update --resource-id '{}' --operation Delete --tags 'hubkeeper-secret={}'",
                reading.id,
                if fingerprint(tag) { tag } else { "<its value>" }
            ),
        ),
    }
}

fn fingerprint(tag: &str) -> bool {
    tag.len() == 12 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A secret manages the connector, or did until it was offboarded, and the connector has lost its tags.
fn named_by(reading: &Reading, secret: &str, is_offboarded: bool) -> Failure {
    let connector = reading.name();
    if is_offboarded {
        return Failure::new(
            Code::Person,
            format!("the offboarded secret {secret} names the connector {connector}: a second secret is not needed"),
            format!("let it take the connector over: hubkeeper onboard {secret}"),
        );
    }
    Failure::new(
        Code::Person,
        format!(
            "the secret {secret} manages the connector {connector} already, and the connector lacks its tags: a takeover did not finish, or somebody removed them"
        ),
        format!("let the function write it (shows the plan, and asks): hubkeeper onboard {secret}"),
    )
}

/// Checks that no secret has this name. One that names the connector comes with the command that continues.
///
/// # Errors
/// Returns a failure if there is one, or it cannot be known.
pub async fn absent(store: &SecretStore, name: &str, reading: &Reading, flags: &str) -> Result<(), Failure> {
    let failure = match secrets::absent(store, name, "import").await {
        Ok(()) => return Ok(()),
        Err(failure) => failure,
    };
    // the right to read its value is not required: without it the failure names the usual commands
    let Ok(secret) = store.describe(name).await else { return Err(failure) };
    let Some(version) = secret.version(Label::Current).filter(|_| !secret.deleted) else { return Err(failure) };
    let Ok(document) = store.document(&secret.arn, version, Some(Label::Current.name())).await else {
        return Err(failure);
    };
    if KeptConnector::of(&document) != reading.kept() {
        return Err(failure);
    }
    let what = format!("the secret {name} exists already, and names the connector {}", reading.name());
    let has_token = document.access_token.is_some() || document.manager.is_some();
    let onboard = format!("hubkeeper onboard {name}{flags}");
    let remedy = if has_token {
        format!("let the function take the connector over (shows the plan, and asks): {onboard}")
    } else {
        format!(
            "put its token, which the function then takes the connector over with: hubkeeper stage {name}{flags}; then {onboard}"
        )
    };
    Err(Failure::new(Code::Person, what, remedy))
}

/// Checks that the connector has room for hubkeeper's tags.
///
/// # Errors
/// Returns a failure that says how many tags are too many.
pub fn room_for_tags(reading: &Reading, takeover: &Takeover) -> Result<(), Failure> {
    let Some(surplus) = takeover.tags.checked_sub(MAX_TAGS).filter(|surplus| *surplus > 0) else { return Ok(()) };
    Err(Failure::new(
        Code::Person,
        format!(
            "the connector {} has {} tags, and hubkeeper adds {}: Azure allows {MAX_TAGS}",
            reading.name(),
            reading.tags.len(),
            takeover.tags.saturating_sub(reading.tags.len())
        ),
        format!(
            "remove {surplus} of its tags, then import again: az tag update --resource-id '{}' --operation Delete --tags NAME=VALUE",
            reading.id
        ),
    ))
}

/// What to do where the function could not be asked before a plan.
pub fn not_asked(failure: &Failure) -> String {
    format!("{}: whether a secret manages the connector already was not checked", failure.what)
}
