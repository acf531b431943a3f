//! Maps a failed call to AWS to an error when AWS itself gave no reason.

use super::secrets_manager::service;
use crate::error::Error;

/// How far the call got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unstated {
    /// The SDK did not send it.
    NotSent,
    /// AWS was not reached: no connection, or no response before the timeout. The text says which.
    NotReached(String),
    /// The request failed in another way, which the text says.
    Failed(String),
    /// There is a response that the SDK cannot read.
    Unreadable,
}

/// The failure of `call`, such as `GetSecretValue`.
pub fn unstated(call: &str, unstated: &Unstated) -> Error {
    match unstated {
        Unstated::NotSent => Error::misconfigured(
            format!("{call}: the request cannot be built"),
            "the function needs AWS credentials and AWS_REGION in its environment",
        ),
        Unstated::NotReached(why) => Error::retryable(
            format!("{call}: {why}"),
            format!(
                "repeat the event; if it fails again and the function runs in a VPC, give it a NAT gateway, or an interface endpoint for {} with private DNS whose security group admits port 443",
                service(call)
            ),
        ),
        Unstated::Failed(why) => Error::retryable(format!("{call}: {why}"), "repeat the event"),
        Unstated::Unreadable => Error::retryable(format!("{call}: AWS's response cannot be read"), "repeat the event"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_a_call_that_reached_nobody_names_the_endpoint_of_its_service() {
        let why = || "no connection".to_owned();
        for (unstated_call, kind, text, names_endpoint) in [
            (Unstated::NotSent, Kind::Misconfigured, "AWS_REGION", false),
            (Unstated::NotReached(why()), Kind::Retryable, "no connection", true),
            (Unstated::Failed(why()), Kind::Retryable, "no connection", false),
            (Unstated::Unreadable, Kind::Retryable, "cannot be read", false),
        ] {
            for (call, service) in
                [("GetWebIdentityToken", "sts"), ("SendMessageBatch", "sqs"), ("TagResource", "secretsmanager")]
            {
                let error = unstated(call, &unstated_call);
                let said = error.to_string();
                assert_eq!(error.kind(), kind, "{said}");
                assert!(said.contains(call) && said.contains(text), "{said}");
                assert_eq!(said.contains(&format!("interface endpoint for {service}")), names_endpoint, "{said}");
            }
        }
    }
}
