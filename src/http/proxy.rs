//! The forward proxy of `HTTPS_PROXY`, and the hosts that `NO_PROXY` keeps away from it.
//!
//! The meaning is the usual one (curl, reqwest): the proxy carries requests to `https` URLs, through a tunnel (`CONNECT`), so
//! that it sees host and port alone. Requests to `http` URLs are never proxied: plain http is for loopback addresses only.
//! A loopback address over https does go to the proxy, unless `NO_PROXY` lists it. `NO_PROXY` is a list by commas: a
//! domain stands for itself and everything below it, an address or a network (`10.0.0.0/8`) for addresses, `*` for all.
//! The upper-case variable wins over the lower-case one. `HTTP_PROXY` and `ALL_PROXY` are not read.
//! Lambda's Runtime API is not concerned: the runtime's own client knows no proxy.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::Environment;

/// The proxy of the environment. Its URL may hold a password, so nothing of it but host and port is ever shown.
#[derive(Clone)]
pub struct Proxy {
    url: SecretString,
    address: String,
    except: String,
    matcher: Arc<Matcher>,
}

impl Proxy {
    /// Reads `HTTPS_PROXY` and `NO_PROXY`; a variable that is empty counts as not set. A proxy without a scheme is an http one.
    ///
    /// # Errors
    /// The problem with the variable's name, and nothing of its value.
    pub fn parse(environment: &Environment) -> Result<Option<Self>, String> {
        let read = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = environment.get(name)?.trim();
                (!value.is_empty()).then_some((name, value))
            })
        };
        let Some((name, value)) = read(["HTTPS_PROXY", "https_proxy"]) else { return Ok(None) };
        let except = read(["NO_PROXY", "no_proxy"]).map_or("", |(_, value)| value);
        Self::new(value, except).map(Some).ok_or_else(|| {
            format!("{name} must be the URL of an http or https proxy, such as http://proxy.example.com:3128")
        })
    }

    fn new(value: &str, except: &str) -> Option<Self> {
        let url = if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("http://{value}")) };
        let url = url.ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
            return None;
        }
        let address = format!("{}:{}", url.host_str().filter(|host| !host.is_empty())?, url.port_or_known_default()?);
        let matcher = Matcher::builder().https(url.as_str()).no(except).build();
        // what the matcher cannot use it would pass over in silence, and the requests would go around the proxy
        let usable = Matcher::builder().https(url.as_str()).build();
        usable.intercept(&http::Uri::from_static("https://hub.docker.com/"))?;
        Some(Self { url: String::from(url).into(), address, except: except.to_owned(), matcher: Arc::new(matcher) })
    }

    /// Host and port, for errors.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether requests to `uri` go through the proxy.
    pub fn carries(&self, uri: &http::Uri) -> bool {
        self.matcher.intercept(uri).is_some()
    }

    pub(super) fn rule(&self) -> reqwest::Result<reqwest::Proxy> {
        let except = reqwest::NoProxy::from_string(&self.except);
        reqwest::Proxy::https(self.url.expose_secret()).map(|proxy| proxy.no_proxy(except))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret() && self.except == other.except
    }
}

impl Eq for Proxy {}

/// What went wrong at the proxy, before the service saw the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProxyFault {
    /// Status 407: it wants a user and a password, or others.
    Credentials,
    /// It did not make the tunnel, with a status other than 407: the host is not allowed, the proxy cannot reach it either, or it
    /// rejects the credentials with a 401.
    Refused,
    /// It cannot be reached; the text says why.
    Unreachable(String),
}

impl ProxyFault {
    /// The fault behind an error of the HTTP client, for a request that goes through a proxy.
    ///
    /// hyper-util does not export its `TunnelError`: it is known by its text, which `tests/it/proxy.rs` holds it to.
    pub(super) fn of(error: &reqwest::Error) -> Option<Self> {
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        let mut fault = None;
        let mut innermost = String::new();
        while let Some(inner) = cause {
            innermost = inner.to_string();
            if let Some(what) = innermost.strip_prefix("tunnel error: ") {
                fault = Some(match what {
                    "proxy authorization required" => Self::Credentials,
                    "failed to create underlying connection" => Self::Unreachable(String::new()),
                    _ => Self::Refused,
                });
            }
            cause = inner.source();
        }
        match fault {
            Some(Self::Unreachable(_)) => Some(Self::Unreachable(innermost)),
            // the time for the connection was up: what is slow is the way to the proxy, or the proxy
            None if error.is_timeout() => Some(Self::Unreachable(innermost)),
            other => other,
        }
    }

    /// What happened to a request to `host` through the proxy at `address`.
    pub fn describe(&self, host: &str, address: &str) -> String {
        match self {
            Self::Credentials => {
                format!("{host} cannot be reached: the proxy {address} rejects the credentials (status 407)")
            }
            Self::Refused => {
                format!("{host} cannot be reached: the proxy {address} refuses the tunnel, or cannot reach the host")
            }
            Self::Unreachable(why) => format!("{host} cannot be reached: no connection to the proxy {address} ({why})"),
        }
    }

    /// What to do about it.
    pub fn remedy(&self, host: &str, address: &str) -> String {
        match self {
            Self::Credentials => format!(
                "put the proxy's user and password into HTTPS_PROXY, percent-encoded: http://user:password@{address}"
            ),
            // some proxies (tinyproxy) answer a wrong password with 401, and the client tells 407 alone
            Self::Refused => format!(
                "allow CONNECT to {host} at the proxy, correct the user and password in HTTPS_PROXY if it asks for them, \
                 or list the host in NO_PROXY; then repeat the event"
            ),
            Self::Unreachable(_) => {
                "start the proxy, correct HTTPS_PROXY, or allow the way from the function's subnets and security groups \
                 to the proxy; then repeat the event"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "s3cr3t-of-the-proxy";

    fn parse(pairs: &[(&str, &str)]) -> Result<Option<Proxy>, String> {
        Proxy::parse(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn carried(pairs: &[(&str, &str)], uri: &str) -> bool {
        parse(pairs).unwrap().is_some_and(|proxy| proxy.carries(&uri.parse().unwrap()))
    }

    #[test]
    fn both_spellings_are_read_and_the_upper_case_one_wins() {
        let address = |pairs: &[(&str, &str)]| parse(pairs).unwrap().map(|proxy| proxy.address().to_owned());
        assert_eq!(address(&[]), None);
        assert_eq!(address(&[("HTTPS_PROXY", " ")]), None);
        assert_eq!(address(&[("https_proxy", "http://low:1")]).as_deref(), Some("low:1"));
        assert_eq!(address(&[("https_proxy", "http://low:1"), ("HTTPS_PROXY", "high:2")]).as_deref(), Some("high:2"));
        assert_eq!(address(&[("https_proxy", "http://low:1"), ("HTTPS_PROXY", "")]).as_deref(), Some("low:1"));
        assert_eq!(address(&[("HTTP_PROXY", "http://low:1"), ("ALL_PROXY", "http://low:1")]), None);
        assert_eq!(address(&[("HTTPS_PROXY", "http://[::1]:8080/")]).as_deref(), Some("[::1]:8080"));
        assert_eq!(address(&[("HTTPS_PROXY", "https://proxy.corp")]).as_deref(), Some("proxy.corp:443"));
    }

    #[test]
    fn a_proxy_that_cannot_be_one_is_named_by_its_variable_and_never_by_its_value() {
        for value in [
            "socks5://user:s3cr3t-of-the-proxy@proxy:1080",
            "ftp://user:s3cr3t-of-the-proxy@proxy",
            "http://user:s3cr3t-of-the-proxy@",
            "http://user:s3cr3t-of-the-proxy@proxy:99999",
            "http://user:s3cr3t-of-the-proxy@proxy/path",
            "http://user:s3cr3t-of-the-proxy@proxy?x",
            "http://user:s3cr3t-of-the-proxy@pro xy",
            "://s3cr3t-of-the-proxy",
            "http://",
        ] {
            for name in ["HTTPS_PROXY", "https_proxy"] {
                let problem = parse(&[(name, value)]).unwrap_err();
                assert!(problem.starts_with(name), "{value}: {problem}");
                assert!(!problem.contains(PASSWORD) && !problem.contains("user"), "{problem}");
            }
        }
    }

    #[test]
    fn the_password_is_in_no_debug_text() {
        let proxy = parse(&[("HTTPS_PROXY", "http://user:s3cr3t-of-the-proxy@proxy:3128")]).unwrap().unwrap();
        assert_eq!(format!("{proxy:?}"), "Proxy { address: \"proxy:3128\", .. }");
        for fault in [ProxyFault::Credentials, ProxyFault::Refused, ProxyFault::Unreachable("refused".to_owned())] {
            let (host, address) = ("hub.docker.com", proxy.address());
            let text = format!("{}; {}", fault.describe(host, address), fault.remedy(host, address));
            assert!(text.contains("proxy:3128") && text.contains("_PROXY") && !text.contains(PASSWORD), "{text}");
        }
    }

    #[test]
    fn no_proxy_has_its_usual_meaning() {
        let proxy = ("HTTPS_PROXY", "http://proxy:3128");
        for (except, uri, expected) in [
            ("", "https://hub.docker.com/x", true),
            ("", "http://127.0.0.1:1/x", false),
            ("", "https://localhost:1/x", true),
            ("localhost,127.0.0.1", "https://localhost:1/x", false),
            ("localhost,127.0.0.1", "https://127.0.0.1:1/x", false),
            ("docker.com", "https://hub.docker.com/x", false),
            (".docker.com", "https://hub.docker.com/x", false),
            ("docker.com", "https://notdocker.com/x", true),
            (" other.org , HUB.docker.com ", "https://hub.docker.com/x", false),
            ("10.0.0.0/8", "https://10.1.2.3/x", false),
            ("10.0.0.0/8", "https://11.1.2.3/x", true),
            ("::1", "https://[::1]:1/x", false),
            ("*", "https://hub.docker.com/x", false),
        ] {
            for name in ["NO_PROXY", "no_proxy"] {
                assert_eq!(carried(&[proxy, (name, except)], uri), expected, "{except} {uri}");
            }
        }
    }
}
