//! Sends one request without a credential to each host: does it respond, over which proxy, with a trusted certificate,
//! and what does its clock say?

use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use futures_util::future::join_all;
use hubkeeper_core::config::Config;
use hubkeeper_core::doctor::Check;
use hubkeeper_core::doctor::network::{Probe, Responded, Trouble, record};
use hubkeeper_core::proxy::Proxy;
use hubkeeper_core::time::Timestamp;
use time::OffsetDateTime;

use super::shared::Run;
use crate::http::{Cause, HttpClient, Policy, Response, SendError, join};

/// One attempt, and not for long: a preflight is for people who wait.
const PROBE: Policy = Policy { attempts: 1, ..Policy::SAFE.within(Duration::from_secs(10)) };

/// Checks proxy, certificates, hosts and clock.
pub(super) async fn check(run: &mut Run<'_>, region: Option<&str>) {
    let config = &run.services.config;
    let aws = aws(&run.process.aws, region.unwrap_or("us-east-1"));
    let urls = aws.into_iter().map(|url| (Check::ReachAws, url)).chain(others(config));
    let client = &run.services.http_client;
    let probes = join_all(urls.map(|(check, url)| probe(client, check, url))).await;
    record(&mut run.ledger, config.proxy.as_ref().map(Proxy::address), &probes);
}

/// Checks proxy, certificates and clock with AWS alone: what a person needs to reach the deployed function.
pub async fn probe_aws(client: &HttpClient, aws: &SdkConfig, region: &str) -> Vec<Probe> {
    join_all(self::aws(aws, region).into_iter().map(|url| probe(client, Check::ReachAws, url))).await
}

/// The endpoints of Secrets Manager and STS, as the SDK chooses them: the service's own variable, the one of all services,
/// else AWS's, with or without FIPS (AWS General Reference, "Service endpoints and quotas").
fn aws(aws: &SdkConfig, region: &str) -> Vec<String> {
    let own = |service: &str| std::env::var(format!("AWS_ENDPOINT_URL_{service}")).ok().filter(|url| !url.is_empty());
    let fips = aws.use_fips() == Some(true);
    let services = [("secretsmanager", own("SECRETS_MANAGER")), ("sts", own("STS"))];
    let mut urls: Vec<String> = services
        .into_iter()
        .map(|(name, own)| {
            own.or_else(|| aws.endpoint_url().map(str::to_owned)).unwrap_or_else(|| endpoint(name, region, fips))
        })
        .collect();
    urls.dedup();
    urls
}

fn endpoint(service: &str, region: &str, fips: bool) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let fips = if fips { "-fips" } else { "" };
    format!("https://{service}{fips}.{region}.{suffix}/")
}

fn others(config: &Config) -> [(Check, String); 5] {
    let authority = join(&config.authority, &format!("/{}/v2.0/.well-known/openid-configuration", config.tenant_id));
    [
        (Check::ReachEntra, authority),
        (Check::ReachArm, join(&config.arm_url, "/subscriptions?api-version=2022-12-01")),
        (Check::ReachHub, join(&config.hub_url, "/v2/namespaces/library/repositories?page=1&page_size=1")),
        (Check::ReachHub, join(&config.hub_auth_url, "/token?service=registry.docker.io")),
        (Check::ReachHub, join(&config.registry_url, "/v2/")),
    ]
}

async fn probe(client: &HttpClient, check: Check, url: String) -> Probe {
    let uri: http::Uri = url.parse().unwrap_or_default();
    let host = uri.authority().map_or_else(|| "?".to_owned(), ToString::to_string);
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = uri;
    let result = client.send(request, PROBE).await;
    let result = result.map(|response| responded(&response)).map_err(|error| trouble(&error));
    Probe { check, host, at: client.now(), result }
}

fn responded(response: &Response) -> Responded {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| header(name).and_then(|text| text.trim().parse::<u64>().ok());
    let date = header("date").and_then(|text| httpdate::parse_http_date(text).ok());
    Responded {
        date: date.map(|date| -> Timestamp { OffsetDateTime::from(date) }),
        limit: number("x-ratelimit-remaining").zip(number("x-ratelimit-limit")),
    }
}

fn trouble(error: &SendError) -> Trouble {
    match &error.cause {
        Cause::Proxy(address, fault) => {
            Trouble::Proxy(fault.describe(&error.host, address), fault.remedy(&error.host, address))
        }
        // rustls: "invalid peer certificate: UnknownIssuer"
        Cause::Unreachable(why) | Cause::Broken(why) if why.contains("certificate") => {
            Trouble::Certificate(why.clone())
        }
        _ => Trouble::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoints_of_aws_depend_on_region_and_partition() {
        assert_eq!(endpoint("sts", "eu-west-1", false), "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(endpoint("sts", "cn-north-1", false), "https://sts.cn-north-1.amazonaws.com.cn/");
        assert_eq!(
            endpoint("secretsmanager", "us-east-1", true),
            "https://secretsmanager-fips.us-east-1.amazonaws.com/"
        );
    }

    #[test]
    fn the_cause_of_a_missing_response_decides_which_check_fails() {
        let of = |cause| trouble(&SendError { host: "h:443".into(), cause, acted: false });
        let certificate = Cause::Unreachable("invalid peer certificate: UnknownIssuer".into());
        assert!(matches!(of(certificate), Trouble::Certificate(_)));
        assert!(matches!(of(Cause::Timeout), Trouble::Other(_)));
        assert!(matches!(of(Cause::Unreachable("connection refused".into())), Trouble::Other(_)));
    }
}
