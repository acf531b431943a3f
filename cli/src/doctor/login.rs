//! The login of the person at AWS: does it work from this machine?

use aws_config::SdkConfig;
use hubkeeper::doctor::network::probe_aws;
use hubkeeper::http::HttpClient;
use hubkeeper_core::doctor::network::record;
use hubkeeper_core::doctor::{Check, Ledger, State};
use hubkeeper_core::error::Error;
use hubkeeper_core::proxy::Proxy;

use crate::exit::Failure;
use crate::local;

/// Loads the AWS configuration, and records whether AWS can be used from this machine.
pub async fn check(ledger: &mut Ledger, http_client: &HttpClient, proxy: Option<&Proxy>) -> Option<SdkConfig> {
    let aws = match local::aws(http_client).await {
        Ok(aws) => aws,
        Err(Failure { what, remedy, .. }) => {
            ledger.fail(Check::Login, &Error::needs_human(what, remedy));
            return None;
        }
    };
    let region = aws.region().map_or_else(String::new, ToString::to_string);
    let probes = probe_aws(http_client, &aws, &region).await;
    let mut network = Ledger::default();
    record(&mut network, proxy.map(Proxy::address), &probes);
    let wrong = [Check::Proxy, Check::Roots, Check::ReachAws, Check::Clock]
        .into_iter()
        .find_map(|check| network.entry(check).filter(|entry| entry.state == State::Failure));
    if let Some(entry) = wrong {
        let remedy = entry.remedy.clone().unwrap_or_default();
        ledger.fail(Check::Login, &Error::needs_human(format!("on this machine: {}", entry.detail), remedy));
        return None;
    }
    ledger.ok(Check::Login, format!("AWS in {region} responds"));
    Some(aws)
}
