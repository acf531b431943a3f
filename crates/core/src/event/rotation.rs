//! The four calls of Secrets Manager's rotation. The wire values are `createSecret` and so on; one page of AWS's guide
//! prints them with underscores, which is wrong and refused.

use secrecy::SecretString;

use crate::fields::{FieldError, Fields};
use crate::ids::VersionId;
use crate::request::{Mode, Request, Trigger};

pub(super) fn parse(fields: &Fields<'_>) -> Result<Request, FieldError> {
    fields.only(&["Step", "SecretId", "ClientRequestToken", "RotationToken"])?;
    let trigger = match fields.required("Step")? {
        "createSecret" => Trigger::CreateSecret,
        "setSecret" => Trigger::SetSecret,
        "testSecret" => Trigger::TestSecret,
        "finishSecret" => Trigger::FinishSecret,
        _ => return Err(fields.wrong("Step", "must be one of createSecret, setSecret, testSecret, finishSecret")),
    };
    let secret_id = fields.secret_id("SecretId")?;
    let version = VersionId::parse(fields.required("ClientRequestToken")?)
        .ok_or_else(|| fields.wrong("ClientRequestToken", "is not a version id of 32 to 64 characters"))?;
    let rotation_token = fields.text("RotationToken")?.map(SecretString::from);
    Ok(Request {
        trigger,
        mode: Mode::Apply,
        secret_id,
        version: Some(version),
        rotation_token,
        sent_at: None,
        stack: None,
    })
}
