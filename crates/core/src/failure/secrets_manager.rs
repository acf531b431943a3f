//! Maps a failed AWS call to an error, by the call, the error code and the state of the secret. Pure: the client reads the state.
//!
//! Secrets Manager uses one code for several problems (`InvalidRequestException` for a secret that is
//! scheduled for deletion, for a stage that moved, for a secret of another service), so the code alone decides nothing.

use crate::error::Error;
use crate::failure::{sqs, sts};
use crate::redact;
use crate::secret::Subject;

/// Tags that a secret can have at most (AWS's reference of `TagResource`).
const TAGS: usize = 50;

/// What `DescribeSecret` says about a secret after a call about it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reread {
    /// The client did not ask, or could not find out.
    Unknown,
    /// The secret does not exist.
    Absent,
    /// It is scheduled for deletion.
    Deleted,
    /// It exists, with this many tags.
    There {
        /// Tags of the secret.
        tags: usize,
    },
}

/// A refusal with AWS's reason. It holds no secret: the message is scrubbed.
pub struct Stated {
    call: &'static str,
    code: String,
    /// Plain words.
    message: String,
    /// Whether the message is about a secret that is scheduled for deletion (observed texts; none is documented).
    tells_of_deletion: bool,
    /// Whether the message is about the KMS key.
    tells_of_kms: bool,
}

impl Stated {
    /// The refusal of a call; of `code`, letters alone, and of `message`, plain words.
    pub fn new(call: &'static str, code: &str, message: &str) -> Self {
        let text = message.to_ascii_lowercase();
        let deletion = ["marked for deletion", "scheduled for deletion", "marked deleted"];
        Self {
            call,
            code: code.to_owned(),
            message: redact::words(message, &[]),
            tells_of_deletion: code == "InvalidRequestException" && deletion.iter().any(|words| text.contains(words)),
            tells_of_kms: text.contains("kms"),
        }
    }

    /// Whether the code leaves open what is wrong, and the state of the secret tells.
    pub fn is_ambiguous(&self) -> bool {
        let open = ["ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException"];
        open.contains(&self.code.as_str()) && self.call != "DescribeSecret" && !self.tells_of_deletion
    }

    /// The refusal as an error; `subject` is the secret of the call, where it is about one.
    pub fn error(&self, subject: Option<Subject<'_>>, reread: Reread) -> Error {
        let about = subject.map(|subject| format!(" of the {}", subject.name())).unwrap_or_default();
        let message = if self.message.is_empty() { String::new() } else { format!(" ({})", self.message) };
        let what = format!("{}{about}: AWS returned {}{message}", self.call, self.code);
        if let Some(subject) = subject {
            if reread == Reread::Deleted || self.tells_of_deletion {
                return subject.deleted();
            }
            if reread == Reread::Absent || (self.call == "DescribeSecret" && self.code == "ResourceNotFoundException") {
                return Error::misconfigured(
                    format!("there is no {} ({}: ResourceNotFoundException)", subject.name(), self.call),
                    subject.correct(),
                );
            }
        }
        match self.code.as_str() {
            "ResourceNotFoundException" => self.not_found(what, subject, reread),
            "InvalidRequestException" => self.invalid_request(what),
            "InvalidParameterException" | "ValidationException" => self.invalid_parameter(what, subject, reread),
            "LimitExceededException" => self.limit(what, subject),
            // SQS spells it without `Exception`
            "AccessDenied" | "AccessDeniedException" => Error::misconfigured(what, self.right()),
            "DecryptionFailure" | "EncryptionFailure" => Error::misconfigured(what, KMS),
            "UnrecognizedClientException" | "InvalidClientTokenId" => {
                Error::misconfigured(what, "the function needs the credentials of its role in its environment")
            }
            "MalformedPolicyDocumentException" => Error::misconfigured(what, "correct the secret's resource policy"),
            code => sts::failure(code, &what)
                .or_else(|| sqs::failure(code, &what))
                .unwrap_or_else(|| Error::retryable(what, "repeat the event")),
        }
    }

    fn not_found(&self, what: String, subject: Option<Subject<'_>>, reread: Reread) -> Error {
        let Some(subject) = subject else {
            return Error::misconfigured(what, "check the name or ARN, and the Region");
        };
        match (self.call, reread) {
            ("UpdateSecretVersionStage", _) => {
                Error::retryable(what, "a version or its label was removed meanwhile: repeat the event")
            }
            (_, Reread::There { .. }) => Error::misconfigured(
                format!("the {} has no AWSCURRENT value", subject.name()),
                format!(
                    "put its value: aws secretsmanager put-secret-value --secret-id {} --secret-string file://value.json",
                    subject.shown()
                ),
            ),
            _ => Error::misconfigured(
                format!(
                    "there is no {}, or it has no value ({}: ResourceNotFoundException)",
                    subject.name(),
                    self.call
                ),
                subject.correct(),
            ),
        }
    }

    fn invalid_request(&self, what: String) -> Error {
        match self.call {
            "GetSecretValue" => {
                Error::retryable(what, "the version's staging labels changed meanwhile: repeat the event")
            }
            "UpdateSecretVersionStage" => {
                Error::retryable(what, "read the version's staging labels (describe-secret), then repeat the event")
            }
            "PutSecretValue" | "TagResource" => Error::needs_human(
                what,
                "Secrets Manager does not allow changes to this secret: check with describe-secret whether another service owns it (OwningService)",
            ),
            _ => Error::retryable(what, "repeat the event"),
        }
    }

    fn invalid_parameter(&self, what: String, subject: Option<Subject<'_>>, reread: Reread) -> Error {
        match (self.call, reread) {
            // version id and stage that do not mean the same version; which code that gives is not documented
            ("GetSecretValue", Reread::There { .. }) => {
                Error::retryable(what, "the version's staging labels changed meanwhile: repeat the event")
            }
            // a compare-and-swap that came too late
            ("UpdateSecretVersionStage", _) => {
                Error::retryable(what, "the staging label moved meanwhile: repeat the event, it reads the labels again")
            }
            ("TagResource", Reread::There { tags }) if tags >= TAGS => too_many_tags(what, subject),
            ("TagResource", _) => Error::misconfigured(
                what,
                "Secrets Manager rejects a tag of hubkeeper: shorten the names in the secret's `connector`, and give the secret at most 50 tags",
            ),
            ("PutSecretValue", _) => Error::misconfigured(
                what,
                "the document cannot be stored: shorten it to under 65,536 bytes, and remove fields that are not needed",
            ),
            _ => Error::misconfigured(
                what,
                subject.map_or_else(|| "check the ids in the event".to_owned(), Subject::correct),
            ),
        }
    }

    fn limit(&self, what: String, subject: Option<Subject<'_>>) -> Error {
        match self.call {
            "PutSecretValue" => Error::needs_human(
                what,
                "the secret has the maximum number of versions (about 100; Secrets Manager removes no version younger than a day): find out who puts values so often, and repeat the event a day later",
            ),
            "UpdateSecretVersionStage" => Error::needs_human(
                what,
                "the version has 20 staging labels, the maximum: remove some: aws secretsmanager update-secret-version-stage --secret-id <secret> --version-stage <label> --remove-from-version-id <version>",
            ),
            "TagResource" => too_many_tags(what, subject),
            _ => Error::retryable(what, "repeat the event"),
        }
    }

    /// The right that a refused call needs.
    fn right(&self) -> String {
        if self.tells_of_kms {
            return KMS.to_owned();
        }
        let action = action(self.call);
        match self.call {
            "GetSecretValue" | "PutSecretValue" => {
                format!("allow the function's role {action} on this secret, and the use of its KMS key")
            }
            _ => format!("allow the function's role {action}"),
        }
    }
}

const KMS: &str = "allow the function's role kms:Decrypt and kms:GenerateDataKey on the secret's KMS key";

fn too_many_tags(what: String, subject: Option<Subject<'_>>) -> Error {
    let id = subject.map_or("…", Subject::shown);
    Error::needs_human(
        what,
        format!(
            "the secret has {TAGS} tags, the maximum: remove one that is not hubkeeper's: aws secretsmanager untag-resource --secret-id {id} --tag-keys <key>"
        ),
    )
}

/// The service of a call, as its interface endpoint is called.
pub fn service(call: &str) -> &'static str {
    match call {
        "GetWebIdentityToken" => "sts",
        "SendMessageBatch" => "sqs",
        _ => "secretsmanager",
    }
}

/// The action in a policy that allows a call; a batch is authorised as the single call (AWS's Service Authorization Reference).
fn action(call: &str) -> String {
    let name = if call == "SendMessageBatch" { "SendMessage" } else { call };
    format!("{}:{name}", service(call))
}

#[cfg(test)]
mod tests;
