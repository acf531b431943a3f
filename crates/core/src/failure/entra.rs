//! Maps a refused token request to Entra to an error, by its numbers (`error_codes`) and its `error`.

use crate::error::Error;

/// What the federated credential in Entra must equal, exactly and case-sensitively. Claims are no secret; the assertion is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `aud`
    pub audience: String,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "issuer {}, subject {}, audience {}", self.issuer, self.subject, self.audience)
    }
}

/// A failed token request.
pub struct Failure {
    /// Kind and remedy.
    pub error: Error,
    /// Whether one more request, some seconds later, may succeed: a federated credential may still be propagating.
    pub retry_once: bool,
}

/// The client that requests a token.
pub struct Client<'a> {
    /// `AZURE_CLIENT_ID`
    pub client: &'a str,
    /// `AZURE_TENANT_ID`
    pub tenant: &'a str,
    /// The claims of the assertion; empty where a client secret is used.
    pub identity: Identity,
}

/// Entra's error response.
pub struct Refusal<'a> {
    /// HTTP status.
    pub status: u16,
    /// `error`
    pub error: &'a str,
    /// `error_codes`
    pub codes: &'a [i64],
    /// Plain words of `error_description`, already scrubbed.
    pub words: &'a str,
}

/// The error for a missing or unreadable response of Entra.
pub fn no_token(why: &str) -> Failure {
    let error = Error::retryable(format!("no token from Entra: {why}"), "repeat the event");
    Failure { error, retry_once: false }
}

/// The error for a request that the identity library did not send.
pub fn unsendable() -> Failure {
    let error = Error::misconfigured(
        "the request to Entra cannot be made",
        "check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_AUTHORITY_HOST",
    );
    Failure { error, retry_once: false }
}

/// Codes of a federated credential that does not match, or that is still propagating (Microsoft's federation pages, public logs).
const NO_MATCH: [i64; 5] = [70021, 700_211, 700_212, 700_213, 7_002_121];

impl Refusal<'_> {
    /// Entra's response as an error: `error` decides, the numbers give the hint (Microsoft's error code reference; the 700xxx
    /// federation codes are known from its federation pages and from public logs). A number that is not known gets no advice
    /// beyond where to look it up.
    pub fn failure(&self, client: &Client<'_>) -> Failure {
        let Refusal { status, error, codes, words } = *self;
        let has = |wanted: &[i64]| codes.iter().any(|code| wanted.contains(code));
        let numbers: Vec<_> = codes.iter().take(5).map(|code| format!("AADSTS{code}")).collect();
        let name: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
        let what = format!("Entra issued no token: {name} {} ({words})", numbers.join(" "));
        let Client { client, tenant, identity } = client;
        let error = if has(&[90006, 90012, 90024, 90033, 90055])
            || name == "temporarily_unavailable"
            || status >= 500
            || status == 429
        {
            Error::retryable(what, "repeat the event")
        } else if has(&NO_MATCH) {
            Error::retryable(
                what,
                format!(
                    "a federated credential created minutes ago may not be active yet: repeat the event; otherwise make the issuer, subject and audience of the credential of client {client} equal to those of the function's assertion, character for character: {identity}"
                ),
            )
        } else if has(&[700_024]) {
            Error::retryable(
                what,
                "the assertion is outside of its time range, by Entra's clock: repeat the event; if it fails again, a clock is wrong",
            )
        } else if has(&[700_027]) {
            Error::misconfigured(
                what,
                format!(
                    "Entra cannot verify the assertion's signature: make the issuer of the federated credential of client {client} equal {}",
                    identity.issuer
                ),
            )
        } else if has(&[7_000_229]) {
            Error::needs_human(
                what,
                format!(
                    "create the service principal (enterprise application) in tenant {tenant}: az ad sp create --id {client}"
                ),
            )
        } else if has(&[7_000_222, 7_000_215]) {
            Error::needs_human(
                what,
                "put a valid client secret of the application into the secret that HUBKEEPER_AZURE_CLIENT_SECRET_ID names",
            )
        } else if has(&[7_000_112]) {
            Error::needs_human(what, "enable the application in Entra")
        } else if has(&[53003]) {
            Error::needs_human(what, "allow this workload identity in the conditional access policy")
        } else if has(&[700_016]) {
            Error::misconfigured(what, format!("check AZURE_CLIENT_ID ({client}) in tenant {tenant}"))
        } else if has(&[90002]) {
            Error::misconfigured(what, format!("check AZURE_TENANT_ID ({tenant})"))
        } else if has(&[500_011]) {
            Error::misconfigured(what, "check HUBKEEPER_AZURE_CLOUD: the tenant does not know this cloud's ARM")
        } else {
            let code = numbers.first().map_or_else(String::new, |number| {
                format!(": https://login.microsoftonline.com/error?code={}", number.trim_start_matches("AADSTS"))
            });
            Error::needs_human(
                what,
                format!("see what Entra's code means{code}, and the sign-in log of client {client} in tenant {tenant}"),
            )
        };
        Failure { error, retry_once: has(&NO_MATCH) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn client(issuer: &str) -> Client<'static> {
        let text = |text: &str| if issuer.is_empty() { String::new() } else { text.to_owned() };
        let (subject, audience) = (text("arn:aws:iam::1:role/r"), text("api://AzureADTokenExchange"));
        Client {
            client: "client-1",
            tenant: "tenant-1",
            identity: Identity { issuer: issuer.to_owned(), subject, audience },
        }
    }

    #[test]
    fn each_code_of_entra_has_its_kind_and_its_remedy() {
        let claims =
            "issuer https://issuer.example, subject arn:aws:iam::1:role/r, audience api://AzureADTokenExchange";
        for (error, code, kind, part, retried) in [
            ("invalid_request", 70021, Kind::Retryable, claims, true),
            ("invalid_client", 700_211, Kind::Retryable, "may not be active yet", true),
            ("invalid_client", 700_212, Kind::Retryable, claims, true),
            ("invalid_client", 700_213, Kind::Retryable, claims, true),
            ("invalid_client", 7_002_121, Kind::Retryable, claims, true),
            ("invalid_client", 700_024, Kind::Retryable, "time range", false),
            ("invalid_client", 700_027, Kind::Misconfigured, "signature", false),
            ("invalid_client", 7_000_229, Kind::NeedsHuman, "az ad sp create --id client-1", false),
            ("invalid_client", 7_000_222, Kind::NeedsHuman, "valid client secret", false),
            ("invalid_client", 7_000_215, Kind::NeedsHuman, "valid client secret", false),
            ("unauthorized_client", 7_000_112, Kind::NeedsHuman, "enable the application", false),
            ("invalid_grant", 53003, Kind::NeedsHuman, "conditional access", false),
            ("unauthorized_client", 700_016, Kind::Misconfigured, "AZURE_CLIENT_ID", false),
            ("invalid_request", 90002, Kind::Misconfigured, "AZURE_TENANT_ID", false),
            ("invalid_resource", 500_011, Kind::Misconfigured, "HUBKEEPER_AZURE_CLOUD", false),
            ("temporarily_unavailable", 90033, Kind::Retryable, "repeat", false),
            (
                "invalid_client",
                7_999_999,
                Kind::NeedsHuman,
                "https://login.microsoftonline.com/error?code=7999999",
                false,
            ),
        ] {
            let failure = Refusal { status: 401, error, codes: &[code], words: "words" }
                .failure(&client("https://issuer.example"));
            let text = failure.error.to_string();
            assert_eq!((failure.error.kind(), failure.retry_once), (kind, retried), "{code}: {text}");
            assert!(text.contains(part) && text.contains(&format!("AADSTS{code}")), "{code}: {text}");
        }
    }

    #[test]
    fn nothing_about_the_assertion_is_advised_where_the_code_is_not_about_it() {
        for code in [7_000_229, 7_999_999] {
            for issuer in ["https://issuer.example", ""] {
                let text = Refusal { status: 400, error: "invalid_client", codes: &[code], words: "" }
                    .failure(&client(issuer))
                    .error
                    .to_string();
                assert!(!text.contains("issuer") && !text.contains("subject") && !text.contains("federated"), "{text}");
            }
        }
    }
}
