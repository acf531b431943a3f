//! Decides which requests go through the forward proxy, and classifies its faults.
//!
//! The rules are the usual ones (curl, reqwest). The proxy carries requests to `https` URLs through a tunnel
//! (`CONNECT`), so it sees only host and port. Requests to `http` URLs never use the proxy: plain http is for loopback
//! addresses only. Requests to a loopback address over https use the proxy unless `NO_PROXY` lists the address.
//! `NO_PROXY` is a comma-separated list: a domain matches itself and its subdomains, an address or a network
//! (`10.0.0.0/8`) matches addresses, and `*` matches everything. Lambda's Runtime API never uses the proxy, because the
//! runtime's own client does not support one.

use std::sync::Arc;

use hubkeeper_core::proxy::Proxy;
use hyper_util::client::proxy::matcher::Matcher;
use secrecy::ExposeSecret;

/// The proxy, and the rules for its use. No `Debug`: the proxy's URL may hold a password.
#[derive(Clone)]
pub struct Route {
    proxy: Proxy,
    matcher: Arc<Matcher>,
}

impl Route {
    /// Creates the route through `proxy`. Returns `None` if the client cannot use the proxy.
    pub fn new(proxy: &Proxy) -> Option<Self> {
        let url = proxy.url().expose_secret();
        let matcher = Matcher::builder().https(url).no(proxy.except()).build();
        // the matcher silently ignores a proxy that it cannot use, and requests would bypass the proxy
        let usable = Matcher::builder().https(url).build();
        usable.intercept(&http::Uri::from_static("https://hub.docker.com/"))?;
        Some(Self { proxy: proxy.clone(), matcher: Arc::new(matcher) })
    }

    /// Returns host and port of the proxy, for errors.
    pub fn address(&self) -> &str {
        self.proxy.address()
    }

    /// Returns whether requests to `uri` go through the proxy.
    pub fn carries(&self, uri: &http::Uri) -> bool {
        self.matcher.intercept(uri).is_some()
    }

    pub(super) fn rule(&self) -> reqwest::Result<reqwest::Proxy> {
        let except = reqwest::NoProxy::from_string(self.proxy.except());
        reqwest::Proxy::https(self.proxy.url().expose_secret()).map(|proxy| proxy.no_proxy(except))
    }
}

/// A fault of the proxy before the service received the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProxyFault {
    /// Status 407: the proxy requires a user and a password, or rejects them.
    Credentials,
    /// The proxy did not open the tunnel, with a status other than 407: it does not allow the host, cannot reach it, or
    /// rejects the credentials with a 401.
    Refused,
    /// The proxy cannot be reached; the text says why.
    Unreachable(String),
}

impl ProxyFault {
    /// Classifies an error of the HTTP client for a request through a proxy.
    ///
    /// hyper-util does not export its `TunnelError`, so the text of the error identifies it.
    /// `tests/functional/proxy.rs` checks the text.
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
            // the connection timed out: the proxy, or the network to it, is slow
            None if error.is_timeout() => Some(Self::Unreachable(innermost)),
            other => other,
        }
    }

    /// Describes the fault of a request to `host` through the proxy at `address`.
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

    /// Returns the remedy for the fault.
    pub fn remedy(&self, host: &str, address: &str) -> String {
        match self {
            Self::Credentials => format!(
                "put the proxy's user and password into HTTPS_PROXY, percent-encoded: http://user:password@{address}"
            ),
            // some proxies (tinyproxy) reject a wrong password with 401, and the client reports only 407 separately
            Self::Refused => format!(
                "allow CONNECT to {host} at the proxy, correct the user and password in HTTPS_PROXY if it asks for them, \
                 or list the host in NO_PROXY; then repeat the event"
            ),
            Self::Unreachable(_) => {
                "start the proxy, correct HTTPS_PROXY, or allow traffic from the function's subnets and security groups \
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
