//! Which requests go through the forward proxy, and what it may do wrong.
//!
//! The meaning is the usual one (curl, reqwest): the proxy carries requests to `https` URLs, through a tunnel (`CONNECT`), so
//! that it sees host and port alone. Requests to `http` URLs are never proxied: plain http is for loopback addresses only.
//! A loopback address over https does go to the proxy, unless `NO_PROXY` lists it. `NO_PROXY` is a list by commas: a
//! domain stands for itself and everything below it, an address or a network (`10.0.0.0/8`) for addresses, `*` for all.
//! Lambda's Runtime API is not concerned: the runtime's own client knows no proxy.

use std::sync::Arc;

use hubkeeper_core::proxy::Proxy;
use hyper_util::client::proxy::matcher::Matcher;
use secrecy::ExposeSecret;

/// The proxy, and what goes through it. No `Debug`: the proxy's URL may hold a password.
#[derive(Clone)]
pub struct Route {
    proxy: Proxy,
    matcher: Arc<Matcher>,
}

impl Route {
    /// The way through `proxy`; `None` where the client cannot use it.
    pub fn new(proxy: &Proxy) -> Option<Self> {
        let url = proxy.url().expose_secret();
        let matcher = Matcher::builder().https(url).no(proxy.except()).build();
        // what the matcher cannot use it would pass over in silence, and the requests would go around the proxy
        let usable = Matcher::builder().https(url).build();
        usable.intercept(&http::Uri::from_static("https://hub.docker.com/"))?;
        Some(Self { proxy: proxy.clone(), matcher: Arc::new(matcher) })
    }

    /// Host and port of the proxy, for errors.
    pub fn address(&self) -> &str {
        self.proxy.address()
    }

    /// Whether requests to `uri` go through the proxy.
    pub fn carries(&self, uri: &http::Uri) -> bool {
        self.matcher.intercept(uri).is_some()
    }

    pub(super) fn rule(&self) -> reqwest::Result<reqwest::Proxy> {
        let except = reqwest::NoProxy::from_string(self.proxy.except());
        reqwest::Proxy::https(self.proxy.url().expose_secret()).map(|proxy| proxy.no_proxy(except))
    }
}

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
    /// hyper-util does not export its `TunnelError`: it is known by its text, which `tests/functional/proxy.rs` holds it to.
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
        parse(pairs).unwrap().is_some_and(|proxy| Route::new(&proxy).unwrap().carries(&uri.parse().unwrap()))
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
