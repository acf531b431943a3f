//! Input: a script of responses (see [`crate::answers`]) to two requests, one after the other, to one host; `safe` or `create`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hubkeeper::http::pace::{LONGEST, asked};
use hubkeeper::http::{Cause, HttpClient, Policy, Request};

use crate::answers::{self, Answer, NOW, Script};

/// Maximum number of 429 responses that one request waits out, and of other attempts.
const REQUESTS: usize = 2 * (30 + 4);

/// A request waits as long as the service asks, or fails at once. The deadline holds. The number of attempts is limited. A
/// request that is not safe to repeat is not repeated once the service may have acted.
pub(crate) fn check(input: &[u8]) {
    let (operation, answers) = answers::parse(input, &["safe", "create"]);
    let policy = if operation == "create" { Policy::CREATE } else { Policy::SAFE };
    let headers: Vec<(u16, HeaderMap)> = answers.iter().map(noted).collect();
    let script = Script::new(answers);
    let shared = script.shared();
    let http_client = HttpClient::new(Arc::clone(&shared), script.deadline());
    let mut sent = Vec::new();
    for _ in 0..2 {
        let answer = answers::run(http_client.send(request(), policy));
        let now = http_client.now();
        let these = script.sent();
        assert!(these.len() <= REQUESTS / 2, "one request was sent {} times", these.len());
        if operation == "create" {
            let acted = these.iter().take(these.len().saturating_sub(1)).filter(|sent| sent.status >= 500).count();
            assert_eq!(acted, 0, "a create was repeated after a status that leaves it open");
        }
        if let Err(error) = &answer
            && matches!(error.cause, Cause::Deadline | Cause::RateLimited)
        {
            assert!(http_client.is_out_of_time());
        }
        sent.extend(these.into_iter().map(|sent| (sent.at, sent.status)));
        assert!(sent.iter().all(|(at, _)| *at <= now));
    }
    // nothing is sent before the time in the response
    for (at, pair) in sent.windows(2).enumerate() {
        let ((told, _), (next, _)) = (pair[0], pair[1]);
        let Some((status, headers)) = headers.get(at) else { break };
        if let Some(wait) = asked(*status, headers, told) {
            assert!(next >= wait.end, "sent at {next}, requested for {}", wait.end);
        }
    }
    for (status, headers) in &headers {
        read(*status, headers);
    }
    script.end();
    // a plausible wait delays the next invocation of the same process, and no longer than it says
    let ended = http_client.now();
    let meant = sent.iter().zip(&headers).filter_map(|((told, _), (status, headers))| asked(*status, headers, *told));
    let meant = meant.filter(|wait| wait.meant).map(|wait| wait.end).max();
    let next = HttpClient::new(shared, ended + time::Duration::HOUR);
    let _ = answers::run(next.send(request(), Policy::SAFE));
    if let Some(first) = script.sent().first() {
        let windows = headers.iter().any(|(_, headers)| headers.keys().any(|name| name.as_str().contains("ratelimit")));
        let latest = meant.map_or(ended, |end| end.max(ended));
        assert!(windows || first.at <= latest, "sent at {}, meant until {latest}", first.at);
        assert!(first.at <= ended + LONGEST, "held back by an earlier invocation until {}", first.at);
    }
}

/// Each spelling on its own.
fn read(status: u16, headers: &HeaderMap) {
    let wait = asked(status, headers, NOW);
    assert!(wait.is_none() || matches!(status, 429 | 503));
    let text = headers.get("retry-after").and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    if let Some(wait) = wait {
        assert!(wait.end > NOW && wait.end <= NOW + LONGEST, "a wait until {}", wait.end);
        if let Ok(seconds @ 1..=900) = text.parse::<u32>() {
            assert_eq!((wait.end, wait.meant), (NOW + Duration::from_secs(seconds.into()), true));
        }
    }
}

fn noted(answer: &Answer) -> (u16, HeaderMap) {
    match answer {
        Answer::Response(response) => (response.status().as_u16(), response.headers().clone()),
        _ => (0, HeaderMap::new()),
    }
}

fn request() -> Request {
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static("https://hub.docker.com/v2/x");
    request
}
