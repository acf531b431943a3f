//! The events that AWS sends to `EventBridge`, kept in [`super::Aws::events`], oldest first.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::model::{Moved, PENDING, PREVIOUS};
use crate::world::State;

/// A time as events write it: RFC 3339, whole seconds, `Z`.
#[must_use]
pub fn time_text(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// Records `Secret Label Updated` for every label that moved to a version, except `AWSPENDING` and `AWSPREVIOUS` (AWS's user
/// guide, "Secret Label Updated event").
pub(super) fn labels_moved(state: &mut State, arn: &str, moved: &[Moved]) {
    let name = state.aws.secrets.get(arn).map(|secret| secret.name.clone()).unwrap_or_default();
    for Moved { label, version_id } in moved {
        if label == PENDING || label == PREVIOUS {
            continue;
        }
        let event = json!({
            "version": "0",
            "id": state.uuid(),
            "detail-type": "Secret Label Updated",
            "source": "aws.secretsmanager",
            "account": state.aws.account,
            "time": time_text(state.now()),
            "region": state.aws.region,
            "resources": [arn],
            "detail": { "name": name, "labelUpdated": label, "versionId": version_id },
        });
        state.aws.events.push(event);
    }
}

/// Records an `AWS Service Event via CloudTrail`: `RotationStarted`, `RotationSucceeded`, `RotationFailed`, `RotationAbandoned`.
/// The secret is in `detail.additionalEventData.SecretId`; `requestParameters` is null (as captured in AWS's samples).
pub(super) fn rotation(state: &mut State, name: &str, arn: &str, version_id: &str) {
    let (id, event_id) = (state.uuid(), state.uuid());
    let time = time_text(state.now());
    let event: Value = json!({
        "version": "0",
        "id": id,
        "detail-type": "AWS Service Event via CloudTrail",
        "source": "aws.secretsmanager",
        "account": state.aws.account,
        "time": time,
        "region": state.aws.region,
        "resources": [],
        "detail": {
            "eventVersion": "1.08",
            "userIdentity": { "accountId": state.aws.account, "invokedBy": "secretsmanager.amazonaws.com" },
            "eventTime": time,
            "eventSource": "secretsmanager.amazonaws.com",
            "eventName": name,
            "awsRegion": state.aws.region,
            "sourceIPAddress": "secretsmanager.amazonaws.com",
            "userAgent": "secretsmanager.amazonaws.com",
            "requestParameters": null,
            "responseElements": null,
            "additionalEventData": { "SecretId": arn },
            "requestID": format!("Rotation-{arn}-{version_id}"),
            "eventID": event_id,
            "readOnly": false,
            "eventType": "AwsServiceEvent",
            "managementEvent": true,
            "recipientAccountId": state.aws.account,
            "eventCategory": "Management",
        },
    });
    state.aws.events.push(event);
}
