//! Tests the real binary in a network that only a proxy connects to the outside: no resolver knows the services' names.

use std::time::Duration;

use hubkeeper_sandbox::Service;
use hubkeeper_sandbox::proxy::Proxy;
use hubkeeper_sandbox::rotation::rotate;
use hubkeeper_sandbox::serve::Tls;
use serde_json::json;

use crate::binary::Running;
use hubkeeper_scene::Begin;

const USER: &str = "hubkeeper";
const PASSWORD: &str = "pr0xy p@ss/w:rd";
/// The proxy's password as it appears in the URL.
const ENCODED: &str = "pr0xy%20p%40ss%2Fw%3Ard";

/// Runs the function behind a proxy. The proxy's password counts as a secret of its world.
async fn behind(proxy: &str, tls: Tls, begin: Begin, name: &str, extra: &[(&str, &str)]) -> Running {
    let variables = [&[("HTTPS_PROXY", proxy), ("NO_PROXY", "")], extra].concat();
    let mut running = Running::start_over(tls, begin, name, &variables).await;
    running.secrets = vec![PASSWORD.to_owned(), ENCODED.to_owned()];
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_clouds_are_reached_through_the_proxy_and_nothing_goes_around_it() {
    let proxy = Proxy::start(Some((USER, PASSWORD))).await.unwrap();
    assert!(proxy.url().contains(ENCODED), "the leak search looks for what is in the variable: {}", proxy.url());
    let running = behind(&proxy.url(), Tls::Names, Begin::Manager, "proxied", &[]).await;
    let report = running.host.invoke(json!({"action": "onboard", "secretId": running.arn})).await.unwrap();
    assert_eq!(report["outcome"], "applied", "{report}");
    let rotation = rotate(&running.world, &running.host, &running.arn, 1).await;
    assert!(rotation.succeeded, "{:?}", rotation.steps);
    let report = running.host.invoke(json!({"action": "verify", "secretId": running.arn})).await.unwrap();
    assert_eq!(report["outcome"], "proven", "{report}");
    let tunnels = proxy.tunnels();
    let names = ["arm", "aws", "entra", "hub-auth", "hub", "registry"].map(|name| format!("{name}.sandbox.test"));
    assert_eq!(tunnels.keys().cloned().collect::<Vec<_>>(), names, "each service by its name");
    assert_eq!(proxy.turned_away(), 0, "the password comes with the first request");
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lower_case_variable_counts_too() {
    let proxy = Proxy::start(None).await.unwrap();
    let url = proxy.url();
    let lower = [("HTTPS_PROXY", ""), ("https_proxy", url.as_str()), ("NO_PROXY", "")];
    let running = Running::start_over(Tls::Names, Begin::ByHand, "lower", &lower).await;
    let report = running.host.invoke(json!({"action": "verify", "secretId": running.arn})).await.unwrap();
    assert_eq!(report["outcome"], "proven", "{report}");
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_keeps_hosts_away_from_the_proxy() {
    let proxy = Proxy::start(None).await.unwrap();
    for (name, excepted, tunnels) in
        [("around", "127.0.0.1,localhost", false), ("through", "127.0.0.1,other.test", true)]
    {
        let before = proxy.tunnels();
        let running = behind(&proxy.url(), Tls::Localhost, Begin::ByHand, name, &[("NO_PROXY", excepted)]).await;
        let report = running.host.invoke(json!({"action": "verify", "secretId": running.arn})).await.unwrap();
        assert_eq!(report["outcome"], "proven", "{report}");
        assert_eq!(proxy.tunnels() != before, tunnels, "NO_PROXY={excepted}");
        running.finish();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_misconfigured_and_is_not_tried_again() {
    let proxy = Proxy::start(Some((USER, "another password"))).await.unwrap();
    let running = behind(&proxy.url_as(USER, PASSWORD), Tls::Names, Begin::ByHand, "wrong-password", &[]).await;
    let error = running.host.invoke(json!({"action": "onboard", "secretId": running.arn})).await.unwrap_err();
    assert_eq!(error.error_type, "Misconfigured", "{}", error.message);
    for part in
        [&proxy.address(), "407", "aws.sandbox.test", "remedy: put the proxy's user and password into HTTPS_PROXY"]
    {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert_eq!(proxy.turned_away(), 1, "repeated guesses would lock the account");
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cloud_s_refusal_by_the_proxy_is_told_with_the_remedy() {
    for host in ["aws", "hub", "hub-auth", "registry", "arm", "entra"] {
        let proxy = Proxy::start(None).await.unwrap();
        proxy.refuse(&format!("{host}.sandbox.test"));
        let running = behind(&proxy.url(), Tls::Names, Begin::ByHand, &format!("refused-{host}"), &[]).await;
        let error = running.host.invoke(json!({"action": "onboard", "secretId": running.arn})).await.unwrap_err();
        assert_eq!(error.error_type, "Retryable", "{}", error.message);
        let allow = format!("allow CONNECT to {host}.sandbox.test:");
        for part in [&proxy.address(), "refuses the tunnel", &allow, "NO_PROXY"] {
            assert!(error.message.contains(part), "{host}: {part}: {}", error.message);
        }
        running.finish();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_down_is_named() {
    let proxy = Proxy::start(None).await.unwrap();
    let (address, url) = (proxy.address(), proxy.url_as(USER, PASSWORD));
    drop(proxy);
    // the task that holds the socket ends a moment later
    tokio::time::sleep(Duration::from_millis(50)).await;
    let running = behind(&url, Tls::Names, Begin::ByHand, "down", &[]).await;
    let error = running.host.invoke(json!({"action": "onboard", "secretId": running.arn})).await.unwrap_err();
    assert_eq!(error.error_type, "Retryable", "{}", error.message);
    for part in [&format!("no connection to the proxy {address}"), "refused", "HTTPS_PROXY"] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert_eq!(Service::ALL.map(|service| running.served.requests(service)).iter().sum::<usize>(), 0);
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_cannot_be_one_is_told_to_every_event_without_its_value() {
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let url = format!("socks5://{USER}:{ENCODED}@proxy.example.com:1080");
        let name = format!("malformed-{variable}");
        let mut running = Running::start(Begin::ByHand, &name, &[(variable, &url), ("AZURE_TENANT_ID", "")]).await;
        running.secrets = vec![PASSWORD.to_owned(), ENCODED.to_owned()];
        let error = running.host.invoke(json!({"action": "verify", "secretId": running.arn})).await.unwrap_err();
        assert_eq!(error.error_type, "Misconfigured");
        for part in [variable, "AZURE_TENANT_ID"] {
            assert!(error.message.contains(part), "{}", error.message);
        }
        assert!(!error.message.contains("socks5") && !error.message.contains("example.com:1080"), "{}", error.message);
        running.finish();
    }
}
