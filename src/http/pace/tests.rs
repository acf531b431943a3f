use super::*;
use time::macros::datetime;

const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn each_spelling_of_a_wait_is_understood() {
    let wait = |seconds| Wait { end: NOW + Duration::from_secs(seconds), meant: true };
    let unix = (NOW + Duration::from_secs(30)).unix_timestamp().to_string();
    for (name, value) in [
        ("retry-after", "30"),
        ("retry-after", " 30 "),
        ("retry-after", "Tue, 24 Nov 2026 10:00:30 GMT"),
        ("retry-after", "Tuesday, 24-Nov-26 10:00:30 GMT"),
        ("retry-after", "Tue Nov 24 10:00:30 2026"),
        ("x-retry-after", unix.as_str()),
        ("x-ratelimit-reset", unix.as_str()),
    ] {
        assert_eq!(asked(429, &headers(&[(name, value)]), NOW), Some(wait(30)), "{name}: {value}");
    }
    for value in ["", "-1", "soon", "1.5", "Fri, 31 Dec 9999 23:59:59 -2359", "Tue, 24 Nov 2026 09:00:00 GMT"] {
        assert_eq!(asked(429, &headers(&[("retry-after", value)]), NOW), None, "{value}");
    }
}

#[test]
fn a_wait_is_never_longer_than_15_minutes() {
    let unix = |after: u64| (NOW + Duration::from_secs(after)).unix_timestamp().to_string();
    let milliseconds = format!("{}000", unix(30));
    for (name, value, seconds, meant) in [
        ("retry-after", "900", 900, true),
        ("retry-after", "901", 900, true),
        ("retry-after", "21600", 900, true),
        ("retry-after", "86400", 900, true),
        ("retry-after", "86401", 900, false),
        ("retry-after", "31536000", 900, false),
        ("retry-after", "4294967295", 900, false),
        ("retry-after", "99999999999999999999", 900, false),
        ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT", 900, false),
        ("x-retry-after", &unix(3600), 900, true),
        ("x-retry-after", &milliseconds, 900, false),
        ("x-ratelimit-reset", &unix(3600), 900, true),
        ("x-ratelimit-reset", &milliseconds, 900, false),
        ("x-ratelimit-reset", "99999999999999999999", 900, false),
    ] {
        let expected = Wait { end: NOW + Duration::from_secs(seconds), meant };
        assert_eq!(asked(429, &headers(&[(name, value)]), NOW), Some(expected), "{name}: {value}");
    }
    for (name, value) in [("x-ratelimit-reset", "-5"), ("x-retry-after", "-5"), ("x-ratelimit-reset", "0")] {
        assert_eq!(asked(429, &headers(&[(name, value)]), NOW), None, "{name}: {value}");
    }
    let both = headers(&[("retry-after", "31536000"), ("x-ratelimit-reset", &unix(30))]);
    let expected = Wait { end: NOW + Duration::from_secs(30), meant: true };
    assert_eq!(asked(429, &both, NOW), Some(expected), "what can be meant is believed");
}

#[test]
fn what_cannot_be_meant_is_not_kept_by_the_process() {
    let milliseconds = format!("{}000", (NOW + Duration::from_secs(30)).unix_timestamp());
    for pairs in [
        vec![("retry-after", "31536000")],
        vec![("x-ratelimit-reset", milliseconds.as_str())],
        vec![("x-ratelimit-reset", milliseconds.as_str()), ("x-ratelimit-remaining", "0")],
    ] {
        for status in [200, 429] {
            let host = Host::new(1);
            let noted = host.note(&response(status, &pairs), NOW);
            assert!(noted.is_none_or(|wait| !wait.meant), "{status} {pairs:?}");
            assert_eq!(host.spend(NOW), Duration::ZERO, "{status} {pairs:?}");
        }
    }
}

#[test]
fn a_window_that_ends_late_holds_requests_back_for_15_minutes() {
    let host = Host::new(1);
    let reset = (NOW + Duration::from_hours(6)).unix_timestamp().to_string();
    host.note(&response(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &reset)]), NOW);
    assert_eq!(host.spend(NOW), LONGEST);
    assert_eq!(host.spend(NOW + LONGEST), Duration::ZERO);
}

#[test]
fn a_spent_window_holds_every_request_back_until_it_ends() {
    let host = Host::new(4);
    let reset = NOW + Duration::from_secs(20);
    let mut response = http::Response::new(bytes::Bytes::new());
    *response.headers_mut() =
        headers(&[("x-ratelimit-remaining", "2"), ("x-ratelimit-reset", &reset.unix_timestamp().to_string())]);
    assert_eq!(host.note(&response, NOW), None);
    assert_eq!(host.spend(NOW), Duration::ZERO);
    assert_eq!(host.spend(NOW), Duration::ZERO);
    assert_eq!(host.spend(NOW), Duration::from_secs(20));
    assert_eq!(host.spend(reset), Duration::ZERO);
}

#[test]
fn an_answer_under_way_does_not_give_spent_requests_back() {
    let host = Host::new(4);
    let reset = (NOW + Duration::from_secs(20)).unix_timestamp().to_string();
    let response = |left: &str| {
        let mut response = http::Response::new(bytes::Bytes::new());
        *response.headers_mut() = headers(&[("x-ratelimit-remaining", left), ("x-ratelimit-reset", &reset)]);
        response
    };
    host.note(&response("1"), NOW);
    assert_eq!(host.spend(NOW), Duration::ZERO);
    host.note(&response("2"), NOW);
    assert_eq!(host.spend(NOW), Duration::from_secs(20));
}

fn response(status: u16, pairs: &[(&'static str, &str)]) -> Response {
    let mut response = http::Response::new(bytes::Bytes::new());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = headers(pairs);
    response
}

#[test]
fn a_wait_is_one_only_with_a_status_that_says_so() {
    let soon = (NOW + Duration::from_secs(20)).unix_timestamp().to_string();
    let present = NOW.unix_timestamp().to_string();
    let noted = |status: u16, name: &'static str, value: &str| {
        Host::new(1).note(&response(status, &[(name, value)]), NOW).map(|wait| wait.end - NOW)
    };
    let seconds = time::Duration::seconds;
    assert_eq!(noted(429, "retry-after", "3"), Some(seconds(3)));
    assert_eq!(noted(503, "retry-after", "3"), Some(seconds(3)));
    assert_eq!(noted(200, "retry-after", "3"), None);
    assert_eq!(noted(429, "retry-after", "0"), Some(time::Duration::milliseconds(50)));
    for (status, at, expected) in [(429, &soon, Some(seconds(20))), (503, &soon, None), (429, &present, None)] {
        assert_eq!(noted(status, "x-ratelimit-reset", at), expected, "{status} {at}");
    }
}

#[test]
fn a_new_window_gives_new_requests() {
    let host = Host::new(1);
    let window = |left: &str, seconds: u64| {
        let reset = (NOW + Duration::from_secs(seconds)).unix_timestamp().to_string();
        response(200, &[("x-ratelimit-remaining", left), ("x-ratelimit-reset", &reset)])
    };
    host.note(&window("0", 20), NOW);
    assert_eq!(host.spend(NOW), Duration::from_secs(20));
    host.note(&window("1", 30), NOW);
    assert_eq!(host.spend(NOW), Duration::ZERO);
    assert_eq!(host.spend(NOW), Duration::from_secs(30));
}

#[test]
fn a_wait_that_is_over_does_not_hide_the_window() {
    let host = Host::new(1);
    let reset = (NOW + Duration::from_secs(20)).unix_timestamp().to_string();
    let both = [("retry-after", "5"), ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", &reset)];
    host.note(&response(429, &both), NOW);
    assert_eq!(host.spend(NOW + Duration::from_secs(4)), Duration::from_secs(1));
    let over = NOW + Duration::from_secs(5);
    assert_eq!(host.spend(over), Duration::ZERO);
    assert_eq!(host.spend(over), Duration::from_secs(15));
}

#[test]
fn an_empty_bucket_of_arm_holds_requests_back_for_a_second() {
    for (name, value, expected) in [
        ("x-ms-ratelimit-remaining-subscription-reads", "0", 1),
        ("x-ms-ratelimit-remaining-subscription-reads", "7", 0),
        ("x-other", "0", 0),
    ] {
        let host = Host::new(1);
        assert_eq!(host.note(&response(200, &[(name, value)]), NOW), None);
        assert_eq!(host.spend(NOW), Duration::from_secs(expected), "{name}: {value}");
    }
}

/// A clock that advances while somebody sleeps.
struct Hands(std::sync::Arc<Mutex<Timestamp>>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> futures_util::future::BoxFuture<'static, ()> {
        let hands = std::sync::Arc::clone(&self.0);
        Box::pin(async move { *hands.lock().unwrap() += duration })
    }
}

#[tokio::test]
async fn a_request_waits_as_long_as_the_deadline_lets_it() {
    for (asked, deadline, expected) in [
        (0, 10, Ok(0)),
        (5, 10, Ok(5)),
        (10, 10, Err(Refusal::RateLimited)),
        (15, 10, Err(Refusal::RateLimited)),
        (0, 0, Err(Refusal::Deadline)),
    ] {
        let (host, clock) = (Host::new(1), Hands(std::sync::Arc::new(Mutex::new(NOW))));
        if asked > 0 {
            host.note(&response(429, &[("retry-after", &asked.to_string())]), NOW);
        }
        let admitted = host
            .admit(
                &clock,
                NOW + Duration::from_secs(deadline),
                (&Holds::default(), &Tally::default(), "x"),
                &crate::observer::Silent,
            )
            .await;
        let waited = clock.now() - NOW;
        assert_eq!(admitted.map(|_| waited), expected.map(time::Duration::seconds), "{asked} {deadline}");
        assert!(expected.is_ok() || waited.is_zero(), "who is refused does not wait first");
    }
}
