//! Proxy, certificates, hosts and clock: what one request to each host says about them.

use time::Duration;

use crate::doctor::checks::Check;
use crate::doctor::ledger::Ledger;
use crate::error::Error;
use crate::time::Timestamp;

/// Difference of the clocks from which AWS rejects signatures ("Signature Version 4", AWS's IAM guide: five minutes).
const WRONG: Duration = Duration::minutes(5);
/// Difference from which a code of a second factor may be outdated (RFC 6238: steps of thirty seconds).
const OFF: Duration = Duration::seconds(30);

/// Why a host gave no response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The proxy: its fault and the remedy.
    Proxy(String, String),
    /// The certificate of the host, or of a proxy that inspects TLS, is not trusted.
    Certificate(String),
    /// Anything else.
    Other(String),
}

/// A response of a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Responded {
    /// `Date` of the response.
    pub date: Option<Timestamp>,
    /// Requests left and allowed in this window, where the host tells them.
    pub limit: Option<(u64, u64)>,
}

/// One request to a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The check that says whether the host responds.
    pub check: Check,
    /// Host and port.
    pub host: String,
    /// When the response arrived, by our own clock.
    pub at: Timestamp,
    /// What came of it.
    pub result: Result<Responded, Trouble>,
}

/// Records what the requests to all hosts say. `proxy` is host and port of the proxy, if one is set.
pub fn record(ledger: &mut Ledger, proxy: Option<&str>, probes: &[Probe]) {
    record_proxy(ledger, proxy, probes);
    record_certificates(ledger, probes);
    for check in [Check::ReachAws, Check::ReachEntra, Check::ReachArm, Check::ReachHub] {
        record_hosts(ledger, check, probes);
    }
    record_clock(ledger, probes);
    let limits = probes.iter().filter_map(|probe| probe.result.as_ref().ok()?.limit);
    match limits.min_by_key(|(left, _)| *left) {
        Some((0, allowed)) => ledger.warn(
            Check::RateLimit,
            format!("none of {allowed} requests is left in this window"),
            "wait a minute, and find out who else sends requests from this address",
        ),
        Some((left, allowed)) => {
            ledger.ok(Check::RateLimit, format!("{left} of {allowed} requests are left in this window"));
        }
        None => ledger.skip(Check::RateLimit, "no response of Docker Hub names the limit", None),
    }
}

fn record_proxy(ledger: &mut Ledger, proxy: Option<&str>, probes: &[Probe]) {
    let faults = probes.iter().filter_map(|probe| match &probe.result {
        Err(Trouble::Proxy(what, remedy)) => Some((what, remedy)),
        _ => None,
    });
    let faults: Vec<_> = faults.collect();
    match (faults.first(), proxy) {
        (Some((what, remedy)), _) => {
            let more = faults.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" (and {more} more hosts)") };
            ledger.fail(Check::Proxy, &Error::needs_human(format!("{what}{more}"), remedy.as_str()));
        }
        (None, Some(address)) => ledger.ok(Check::Proxy, format!("{address} opens a tunnel to each host")),
        (None, None) => ledger.ok(Check::Proxy, "none is set (HTTPS_PROXY)"),
    }
}

fn record_certificates(ledger: &mut Ledger, probes: &[Probe]) {
    let hosts: Vec<&str> = probes
        .iter()
        .filter(|probe| matches!(probe.result, Err(Trouble::Certificate(_))))
        .map(|probe| probe.host.as_str())
        .collect();
    let why = probes.iter().find_map(|probe| match &probe.result {
        Err(Trouble::Certificate(why)) => Some(why.as_str()),
        _ => None,
    });
    if let Some(why) = why {
        let error = Error::needs_human(
            format!("the certificate of {} is not trusted ({why})", hosts.join(", ")),
            "a proxy that inspects TLS signs with its own authority: name its certificate (PEM) in HUBKEEPER_CA_BUNDLE; the stack's parameters are CaBundle and CaBundleLayerArn",
        );
        ledger.fail(Check::Roots, &error);
    } else if probes.iter().any(|probe| probe.result.is_ok()) {
        ledger.ok(Check::Roots, "every host that responds has a trusted certificate");
    } else {
        ledger.skip(Check::Roots, "no host responds", None);
    }
}

fn record_hosts(ledger: &mut Ledger, check: Check, probes: &[Probe]) {
    let own = || probes.iter().filter(|probe| probe.check == check);
    for probe in own() {
        match &probe.result {
            Ok(_) => {}
            Err(Trouble::Proxy(..)) => ledger.block(check, Check::Proxy),
            Err(Trouble::Certificate(_)) => ledger.block(check, Check::Roots),
            Err(Trouble::Other(why)) => ledger.fail(
                check,
                &Error::retryable(
                    why.as_str(),
                    "check name resolution, routes, security groups and firewalls on the way to this host, then try again",
                ),
            ),
        }
    }
    let mut hosts: Vec<&str> = own().map(|probe| probe.host.as_str()).collect();
    hosts.dedup();
    if !hosts.is_empty() {
        ledger.ok(check, hosts.join(", "));
    }
}

fn record_clock(ledger: &mut Ledger, probes: &[Probe]) {
    let largest = |of_aws: bool| {
        let skews = probes.iter().filter(|probe| (probe.check == Check::ReachAws) == of_aws).filter_map(|probe| {
            let date = probe.result.as_ref().ok()?.date?;
            Some((probe.at - date, probe.host.as_str()))
        });
        skews.max_by_key(|(skew, _)| skew.abs())
    };
    let (aws, others) = (largest(true), largest(false));
    let Some((skew, host)) = [aws, others].into_iter().flatten().max_by_key(|(skew, _)| skew.abs()) else {
        return ledger.ok(Check::Clock, "not compared: no response has a Date");
    };
    let detail = |skew: Duration, host: &str| {
        let side = if skew.is_negative() { "behind" } else { "ahead of" };
        format!("this clock is {} seconds {side} {host}", skew.abs().whole_seconds())
    };
    let remedy = "synchronize the clock (NTP): AWS rejects signatures that are five minutes off, and Docker Hub codes of a second factor that are half a minute off";
    // AWS is the one that rejects; the Date of another host may be that of a proxy
    match aws.filter(|(skew, _)| skew.abs() >= WRONG) {
        Some((skew, host)) => ledger.fail(Check::Clock, &Error::needs_human(detail(skew, host), remedy)),
        None if skew.abs() > OFF => ledger.warn(Check::Clock, detail(skew, host), remedy),
        None => ledger.ok(Check::Clock, format!("within {} seconds of every host", skew.abs().whole_seconds())),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::doctor::ledger::State;

    const NOW: Timestamp = datetime!(2026-11-29 12:00 UTC);

    fn probe(check: Check, result: Result<Responded, Trouble>) -> Probe {
        Probe { check, host: check.name().to_owned(), at: NOW, result }
    }

    /// A response of a host whose clock we are ahead of by some seconds.
    fn responded(ahead: i64) -> Responded {
        Responded { date: Some(NOW - Duration::seconds(ahead)), limit: None }
    }

    fn all(result: &Result<Responded, Trouble>) -> Vec<Probe> {
        [Check::ReachAws, Check::ReachEntra, Check::ReachArm, Check::ReachHub]
            .map(|check| probe(check, result.clone()))
            .to_vec()
    }

    fn states(probes: &[Probe]) -> Vec<(Check, State)> {
        let mut ledger = Ledger::default();
        record(&mut ledger, None, probes);
        ledger
            .entries()
            .filter(|(_, entry)| entry.state != State::Ok)
            .map(|(check, entry)| (check, entry.state))
            .collect()
    }

    #[test]
    fn a_proxy_that_is_down_is_one_failure() {
        let fault = Err(Trouble::Proxy("no connection to the proxy p:3128".into(), "start it".into()));
        let states = states(&all(&fault));
        let red: Vec<_> = states.iter().filter(|(_, state)| *state == State::Failure).collect();
        assert_eq!(red, [&(Check::Proxy, State::Failure)]);
    }

    #[test]
    fn an_unknown_authority_is_one_failure_that_names_the_hosts() {
        let mut probes = all(&Ok(responded(0)));
        probes[1].result = Err(Trouble::Certificate("UnknownIssuer".into()));
        let mut ledger = Ledger::default();
        record(&mut ledger, None, &probes);
        assert_eq!(ledger.count(State::Failure), 1);
        let detail = &ledger.entry(Check::Roots).unwrap().detail;
        assert!(detail.contains("reachEntra") && detail.contains("UnknownIssuer"), "{detail}");
        assert_eq!(ledger.entry(Check::ReachEntra).unwrap().because, Some(Check::Roots));
        assert_eq!(ledger.entry(Check::ReachHub).unwrap().state, State::Ok);
    }

    #[test]
    fn a_host_that_does_not_respond_stops_only_what_needs_it() {
        let mut probes = all(&Ok(responded(0)));
        probes[2].result = Err(Trouble::Other("connection refused".into()));
        let states = states(&probes);
        assert_eq!(states, [(Check::ReachArm, State::Failure), (Check::RateLimit, State::NotReached)]);
    }

    #[test]
    fn a_clock_is_judged_by_the_largest_difference() {
        for (ahead, expected) in [
            (0, State::Ok),
            (30, State::Ok),
            (31, State::Warning),
            (-299, State::Warning),
            (300, State::Failure),
            (-600, State::Failure),
        ] {
            let mut probes = all(&Ok(responded(0)));
            probes[0].result = Ok(responded(ahead));
            let mut ledger = Ledger::default();
            record(&mut ledger, None, &probes);
            assert_eq!(ledger.entry(Check::Clock).unwrap().state, expected, "{ahead}");
        }
        let mut ledger = Ledger::default();
        record(&mut ledger, None, &all(&Ok(responded(-600))));
        assert!(ledger.entry(Check::Clock).unwrap().detail.contains("600 seconds behind"));
        // a proxy's page has the proxy's clock
        let mut probes = all(&Ok(responded(0)));
        probes[3].result = Ok(responded(600));
        let mut ledger = Ledger::default();
        record(&mut ledger, None, &probes);
        assert_eq!(ledger.entry(Check::Clock).unwrap().state, State::Warning);
    }

    #[test]
    fn the_smallest_rate_limit_counts() {
        let with = |limit| Ok(Responded { date: None, limit });
        for (limits, state, part) in [
            ([Some((178, 180)), None], State::Ok, "178 of 180"),
            ([Some((5, 180)), Some((0, 180))], State::Warning, "none of 180"),
            ([None, None], State::NotReached, "names the limit"),
        ] {
            let mut ledger = Ledger::default();
            record(&mut ledger, None, &limits.map(|limit| probe(Check::ReachHub, with(limit))));
            let entry = ledger.entry(Check::RateLimit).unwrap();
            assert!(entry.state == state && entry.detail.contains(part), "{entry:?}");
        }
    }
}
