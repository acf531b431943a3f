//! The four calls of Secrets Manager's rotation. The wire values are `createSecret` and so on; one page of AWS's guide
//! prints them with underscores, which is wrong and refused.

use secrecy::SecretString;

use crate::error::Error;
use crate::event::fields::Members;
use crate::ids::is_version_id;
use crate::request::{Mode, Request, Trigger};

pub(super) fn parse(members: &Members<'_>) -> Result<Request, Error> {
    members.only(&["Step", "SecretId", "ClientRequestToken", "RotationToken"])?;
    let trigger = match members.required("Step")? {
        "createSecret" => Trigger::CreateSecret,
        "setSecret" => Trigger::SetSecret,
        "testSecret" => Trigger::TestSecret,
        "finishSecret" => Trigger::FinishSecret,
        _ => return Err(members.wrong("Step", "is none of createSecret, setSecret, testSecret, finishSecret")),
    };
    let secret_id = members.secret_id("SecretId")?;
    let version = members.required("ClientRequestToken")?;
    if !is_version_id(version) {
        return Err(members.wrong("ClientRequestToken", "is not a version id of 32 to 64 characters"));
    }
    let rotation_token = members.text("RotationToken")?.map(SecretString::from);
    Ok(Request {
        trigger,
        mode: Mode::Apply,
        secret_id,
        version: Some(version.to_owned()),
        rotation_token,
        sent_at: None,
        stack: None,
    })
}
