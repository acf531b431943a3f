//! Reads the forward proxy (`HTTPS_PROXY`) and the hosts that bypass it (`NO_PROXY`) from the environment.
//!
//! The upper-case variable takes precedence over the lower-case one. `HTTP_PROXY` and `ALL_PROXY` are not read.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// The forward proxy. Its URL may hold a password, so only its host and port are ever shown.
#[derive(Clone)]
pub struct Proxy {
    url: SecretString,
    address: String,
    except: String,
}

impl Proxy {
    /// Reads `HTTPS_PROXY` and `NO_PROXY`. An empty variable counts as not set. A proxy without a scheme is an http proxy.
    ///
    /// # Errors
    /// The variable's name and its problem, without its value.
    pub fn parse(environment: &BTreeMap<String, String>) -> Result<Option<Self>, String> {
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
        Some(Self { url: String::from(url).into(), address, except: except.to_owned() })
    }

    /// Host and port, for errors.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its URL, with user and password if it has them.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// The unchanged value of `NO_PROXY`.
    pub fn except(&self) -> &str {
        &self.except
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

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "s3cr3t-of-the-proxy";

    fn parse(pairs: &[(&str, &str)]) -> Result<Option<Proxy>, String> {
        Proxy::parse(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
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
}
