//! Texts with a pattern, which several schemas use.

use schemars::JsonSchema;

/// Name or ARN of a secret in AWS Secrets Manager.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[A-Za-z0-9/_+=.@:!-]{1,2048}$"))]
pub struct SecretId(pub String);

/// A uuid.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"))]
pub struct Uuid(pub String);

/// A point in time, RFC 3339.
#[derive(JsonSchema)]
#[schemars(extend(
    "format" = "date-time",
    "pattern" = "^\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?([Zz]|[+-]\\d{2}:\\d{2})$"
))]
pub struct Time(pub String);

/// Id of one version of a secret: 32 to 64 characters.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[!-~]{32,64}$"))]
pub struct Version(pub String);
