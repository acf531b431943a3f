//! `CloudFormation`'s requests about a custom resource. Every request gets a response, however wrong it is, or the stack waits for
//! an hour. So the parser reads the response URL first; it is the only field that the event must have.
//!
//! The URL is as secret as a token: whoever has it decides the fate of the stack. The parser accepts a URL of AWS, or of this machine if
//! AWS is on this machine ([`CustomResource::admitted`]). It rejects any other URL without a request to it.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::is_loopback;
use crate::error::Error;
use crate::event::payload::bad_event;
use crate::fields::{FieldError, Fields};

/// The domains of AWS's own hosts.
const HOSTS: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// A request about a custom resource. No `Debug`: it holds the URL.
#[derive(Clone)]
pub struct CustomResource {
    /// The URL for the response.
    pub url: SecretString,
    /// `StackId`, for the response.
    pub stack_id: String,
    /// `RequestId`, for the response.
    pub request_id: String,
    /// `LogicalResourceId`, for the response.
    pub logical_id: String,
    /// `PhysicalResourceId`, as an earlier response named it; a creation has none.
    pub physical_id: Option<String>,
    /// The request, or why it is wrong.
    pub asked: Result<Asked, Error>,
}

impl CustomResource {
    /// Rejects a URL on this machine, unless AWS is here too (`AWS_ENDPOINT_URL` on a loopback address): in Lambda, only another
    /// process of the execution environment could receive the response.
    ///
    /// # Errors
    /// `BadEvent`, as for any other URL that is not AWS's.
    pub fn admitted(&self, is_local: bool) -> Result<(), Error> {
        let loopback = Url::parse(self.url.expose_secret()).is_ok_and(|url| is_loopback(&url));
        if loopback && !is_local {
            return Err(Error::bad_event(format!("field `ResponseURL` {NOT_AWS}")).at("event"));
        }
        Ok(())
    }
}

const NOT_AWS: &str = "is not an https URL of AWS (amazonaws.com, amazonaws.com.cn)";

/// The operation that the stack requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// `Create`: onboard this secret.
    Create {
        /// Name or ARN.
        secret_id: String,
    },
    /// `Update`: onboard this secret, which may differ from the one before.
    Update {
        /// Name or ARN.
        secret_id: String,
    },
    /// `Delete`: offboard what the physical id identifies.
    Delete,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<CustomResource, FieldError> {
    let url = fields.required("ResponseURL")?;
    if !is_for_answers(url) {
        return Err(fields.wrong("ResponseURL", NOT_AWS));
    }
    // the stack's own ids; AWS's limits leave room for them in a response
    let id = |name: &str, most: usize| {
        let text = fields.required(name)?;
        let plain = text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
        if plain { Ok(text.to_owned()) } else { Err(fields.wrong(name, "is not an id")) }
    };
    let (stack, request) = (id("StackId", 1024), id("RequestId", 256));
    let logical = id("LogicalResourceId", 256);
    let asked = [&stack, &request, &logical].into_iter().try_for_each(|id| id.clone().map(|_| ()));
    let asked = asked.and_then(|()| asked_for(fields));
    Ok(CustomResource {
        url: SecretString::from(url),
        stack_id: stack.unwrap_or_default(),
        request_id: request.unwrap_or_default(),
        logical_id: logical.unwrap_or_default(),
        // an id that cannot be parsed is not hubkeeper's
        physical_id: id("PhysicalResourceId", 1024).ok(),
        asked: asked.map_err(|error| bad_event(error).at("customResource")),
    })
}

fn asked_for(fields: &Fields<'_>) -> Result<Asked, FieldError> {
    let kind = fields.required("RequestType")?;
    if kind == "Delete" {
        return Ok(Asked::Delete);
    }
    // further properties are ignored: a stack changes them to trigger an update
    let secret_id = fields.object("ResourceProperties")?.secret_id("SecretId")?;
    match kind {
        "Create" => Ok(Asked::Create { secret_id }),
        "Update" => Ok(Asked::Update { secret_id }),
        _ => Err(fields.wrong("RequestType", "must be one of Create, Update, Delete")),
    }
}

/// The host of a URL as RFC 3986 delimits it, read from the raw text. `None` if the text has characters that no URI may have, or no
/// authority: other parsers (the client that sends the response, the `url` crate) would have to guess.
fn host(text: &str) -> Option<&str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte));
    let (_, rest) = text.split_once("://").filter(|_| is_plain)?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // the port follows the address in brackets, or the name
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    authority.get(..end)
}

/// Whether two parsers of the URL agree that it leads to AWS by https, or to this machine.
fn is_for_answers(text: &str) -> bool {
    let (Ok(url), Some(host)) = (Url::parse(text), host(text)) else { return false };
    let agree = url.host_str().is_some_and(|other| other.eq_ignore_ascii_case(host));
    if !agree || !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    let host = url.host_str().unwrap_or_default();
    let of_aws = HOSTS.iter().any(|suffix| host.len() > suffix.len() && host.ends_with(suffix));
    match url.scheme() {
        "https" => of_aws || is_loopback(&url),
        "http" => is_loopback(&url),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_goes_to_aws_or_to_this_machine_and_nowhere_else() {
        for (url, good) in [
            ("https://cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com/a?X=%2B%20'", true),
            ("https://b.s3.cn-north-1.amazonaws.com.cn/a?b", true),
            ("http://127.0.0.1:9000/a?b", true),
            ("https://localhost/a", true),
            ("http://b.s3.amazonaws.com/a", false),
            ("https://amazonaws.com.example.com/a", false),
            ("https://amazonaws.com/a", false),
            ("https://xamazonaws.com/a", false),
            ("https://.amazonaws.com/a", false),
            ("https://b.amazonaws.com@example.com/a", false),
            ("https://user@b.amazonaws.com/a", false),
            ("https://example.com/?.amazonaws.com", false),
            ("https://example.com#.amazonaws.com", false),
            ("https://example.com\\.amazonaws.com/", false),
            ("https://b.amazonaws.com./a", false),
            ("https://169.254.169.254/a", false),
            ("http://127.0.0.1.example.com/a", false),
            ("ftp://127.0.0.1/a", false),
            ("/a", false),
            ("https://b.amazonaws.com/a b", false),
            ("https:/b.amazonaws.com/a", false),
            ("https://[::1]:9000/a", true),
            ("https://b.amazonaws.com:443@b.amazonaws.com/a", false),
            ("https://b.amazonaws.com:@b.amazonaws.com/a", false),
        ] {
            assert_eq!(is_for_answers(url), good, "{url}");
        }
    }

    #[test]
    fn this_machine_is_told_only_while_aws_is_here_too() {
        for (url, is_local, admitted) in [
            ("http://127.0.0.1:9000/a", true, true),
            ("http://127.0.0.1:9000/a", false, false),
            ("https://b.s3.amazonaws.com/a", true, true),
            ("https://b.s3.amazonaws.com/a", false, true),
        ] {
            let event = json!({"RequestType": "Delete", "ResponseURL": url, "StackId": "s", "RequestId": "r",
                "LogicalResourceId": "l", "PhysicalResourceId": "p"});
            let resource = parse(&Fields::new("", event.as_object().unwrap())).unwrap();
            assert_eq!(resource.admitted(is_local).is_ok(), admitted, "{url} {is_local}");
        }
    }
}
