//! How a command ends: the exit code, and what is printed about a failure.

use std::process::ExitCode;

use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::proof::Finding;
use serde_json::Value;

/// Exit codes (docs/cli.md).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Code {
    /// Done, or the token is complete.
    Done,
    /// The token or the request was refused.
    Refused,
    /// The command line is wrong.
    Usage,
    /// The result is not known: the same command may succeed later.
    Retry,
    /// Something is configured wrongly, or a person has to act.
    Person,
    /// Ctrl-C ended the command.
    Interrupted,
}

impl Code {
    /// The number that the shell sees.
    pub fn number(self) -> u8 {
        match self {
            Code::Done => 0,
            Code::Refused => 1,
            Code::Usage => 2,
            Code::Retry => 3,
            Code::Person => 4,
            Code::Interrupted => 130,
        }
    }

    /// The code of an `errorType` of the function. Lambda's own types, such as a timeout, are worth another try.
    pub fn of_error_type(name: &str) -> Self {
        match name {
            "Refused" => Code::Refused,
            "BadEvent" => Code::Usage,
            "Misconfigured" | "NeedsHuman" => Code::Person,
            _ => Code::Retry,
        }
    }

    /// The code of a refused call of AWS, by AWS's code; `None` without one.
    pub fn of_aws(code: Option<&str>) -> Self {
        /// Faults of a service, and limits on the rate: the same call may succeed a moment later.
        const PASSING: [&str; 15] = [
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServiceError",
            "OperationAborted",
            "RequestLimitExceeded",
            "RequestTimeout",
            "ServiceException",
            "ServiceFailure",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ];
        if code.is_none_or(|code| code.is_empty() || PASSING.contains(&code)) { Code::Retry } else { Code::Person }
    }

    /// The code of a verdict.
    pub fn of_finding(finding: Finding) -> Self {
        match finding {
            Finding::Complete => Code::Done,
            Finding::Inconclusive => Code::Retry,
            Finding::Rejected | Finding::OverPrivileged | Finding::Partial => Code::Refused,
        }
    }

    /// The code of a report, or of the report of several secrets: that of the worst item.
    pub fn of_report(report: &Value) -> Self {
        if let Some(items) = report["items"].as_array() {
            return items.iter().map(Self::of_report).max_by_key(|code| code.weight()).unwrap_or(Code::Done);
        }
        if let Some(kind) = report["errorType"].as_str() {
            return Self::of_error_type(kind);
        }
        match report["outcome"].as_str() {
            Some("failed" | "notReached") => Code::Retry,
            Some("refused") => Code::Refused,
            Some("awaiting") => Code::Person,
            _ => Code::Done,
        }
    }

    /// How bad an end is, for the worst of several.
    pub fn weight(self) -> u8 {
        match self {
            Code::Done => 0,
            Code::Retry => 1,
            Code::Usage => 2,
            Code::Refused => 3,
            Code::Person => 4,
            Code::Interrupted => 5,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code.number())
    }
}

/// Why a command failed. It never holds a secret.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// How the command ends.
    pub code: Code,
    /// What happened: lower case, no full stop.
    pub what: String,
    /// What to do now.
    pub remedy: String,
}

impl Failure {
    /// A failure with its remedy.
    pub fn new(code: Code, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, what: what.into(), remedy: remedy.into() }
    }

    /// A wrong command line.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Code::Usage, what, remedy)
    }

    /// An error of a call with the caller's own credentials. The function's words ask for a right of its role.
    pub fn own(error: Error) -> Self {
        let mut failure = Self::from(error);
        failure.remedy = failure.remedy.replace("allow the function's role ", "you need the right ");
        if failure.remedy.starts_with("the function needs the credentials of its role") {
            failure.remedy =
                "log in again: run aws sso login (or aws configure), or choose a profile with AWS_PROFILE".into();
        }
        failure
    }

    /// An error of the function, by the message that it returned: what happened, then the remedy.
    pub fn of_message(code: Code, message: &str) -> Self {
        match message.split_once("; remedy: ") {
            Some((what, remedy)) => Self::new(code, what, remedy),
            None => Self::new(code, message, ""),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            Kind::Refused => Code::Refused,
            Kind::BadEvent => Code::Usage,
            Kind::Retryable => Code::Retry,
            Kind::Misconfigured | Kind::NeedsHuman => Code::Person,
        };
        Self::of_message(code, &error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubkeeper_core::failure::secrets_manager::{Reread, Stated};
    use serde_json::json;

    #[test]
    fn a_report_of_several_ends_as_its_worst_item() {
        let code = |report: Value| Code::of_report(&report);
        assert_eq!(code(json!({"outcome": "applied"})), Code::Done);
        assert_eq!(code(json!({"outcome": "awaiting"})), Code::Person);
        assert_eq!(code(json!({"outcome": "refused"})), Code::Refused);
        let retry = json!({"outcome": "failed", "errorType": "Retryable"});
        let person = json!({"outcome": "failed", "errorType": "NeedsHuman"});
        assert_eq!(code(json!({"outcome": "failed", "items": [retry, {"outcome": "unchanged"}]})), Code::Retry);
        assert_eq!(code(json!({"outcome": "failed", "items": [person, retry]})), Code::Person);
        assert_eq!(code(json!({"outcome": "unchanged", "items": []})), Code::Done);
    }

    #[test]
    fn a_message_of_the_function_is_cut_at_its_remedy() {
        let failure = Failure::of_message(Code::Refused, "verify (acme): partial; remedy: give access");
        assert_eq!((failure.what.as_str(), failure.remedy.as_str()), ("verify (acme): partial", "give access"));
        assert_eq!(Failure::of_message(Code::Retry, "Sandbox.Timedout").remedy, "");
    }

    #[test]
    fn a_refused_call_of_ones_own_names_the_right_and_no_role() {
        let refused = |code: &str| Failure::own(Stated::new("PutSecretValue", code, "").error(None, Reread::Unknown));
        let denied = refused("AccessDeniedException");
        assert!(denied.remedy.starts_with("you need the right secretsmanager:PutSecretValue on"), "{denied:?}");
        let unknown = refused("UnrecognizedClientException");
        assert!(unknown.remedy.contains("aws sso login"), "{unknown:?}");
        for failure in [denied, unknown] {
            assert!(!failure.remedy.contains("role") && failure.code == Code::Person, "{failure:?}");
        }
    }

    #[test]
    fn a_fault_of_aws_that_passes_is_worth_another_try() {
        for code in [None, Some(""), Some("Throttling"), Some("SlowDown"), Some("InternalFailure")] {
            assert_eq!(Code::of_aws(code), Code::Retry, "{code:?}");
        }
        for code in ["AccessDenied", "ValidationError", "NoSuchBucket"] {
            assert_eq!(Code::of_aws(Some(code)), Code::Person, "{code}");
        }
    }

    #[test]
    fn each_kind_of_error_has_its_code() {
        let code = |error: Error| Failure::from(error).code.number();
        assert_eq!(code(Error::refused("x", "y")), 1);
        assert_eq!(code(Error::bad_event("x")), 2);
        assert_eq!(code(Error::retryable("x", "y")), 3);
        assert_eq!(code(Error::misconfigured("x", "y")), 4);
        assert_eq!(code(Error::needs_human("x", "y")), 4);
        assert_eq!(Code::of_error_type("Sandbox.Timedout").number(), 3);
        assert_eq!(Code::of_finding(Finding::Partial).number(), 1);
        assert_eq!(Code::of_finding(Finding::Inconclusive).number(), 3);
    }
}
