//! Input: a script of answers (see [`crate::answers`]) to two requests, one after the other, to one host; `safe` or `create`.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hubkeeper::http::pace::retry_after;
use hubkeeper::http::{Cause, Policy, Request};

use crate::answers::{self, Answer, NOW, Script};

/// Answers 429 that one request may wait out, and attempts besides.
const REQUESTS: usize = 2 * (30 + 4);

/// What a service asks to wait is waited, or the request fails at once; the deadline holds; nobody is asked for ever; and what is
/// not safe to repeat is not repeated once the service may have acted.
pub(crate) fn check(input: &[u8]) {
    let (operation, answers) = answers::parse(input, &["safe", "create"]);
    let policy = if operation == "create" { Policy::CREATE } else { Policy::SAFE };
    let headers: Vec<(u16, HeaderMap)> = answers.iter().map(noted).collect();
    let script = Script::new(answers);
    let outlet = script.outlet();
    let mut sent = Vec::new();
    for _ in 0..2 {
        let answer = answers::run(outlet.send(request(), policy));
        let now = outlet.now();
        let these = script.sent();
        assert!(these.len() <= REQUESTS / 2, "one request was sent {} times", these.len());
        if operation == "create" {
            let acted = these.iter().take(these.len().saturating_sub(1)).filter(|sent| sent.status >= 500).count();
            assert_eq!(acted, 0, "a create was repeated after a status that leaves it open");
        }
        if let Err(error) = &answer
            && matches!(error.cause, Cause::Deadline | Cause::RateLimited)
        {
            assert!(outlet.is_out_of_time());
        }
        sent.extend(these.into_iter().map(|sent| (sent.at, sent.status)));
        assert!(sent.iter().all(|(at, _)| *at <= now));
    }
    // after an answer that says when, nothing is sent before that
    for (at, pair) in sent.windows(2).enumerate() {
        let ((asked, _), (next, _)) = (pair[0], pair[1]);
        let Some((status, headers)) = headers.get(at) else { break };
        if matches!(status, 429 | 503)
            && let Some(until) = retry_after(headers, asked)
        {
            assert!(next >= until, "sent at {next}, asked for {until}");
        }
    }
    for (_, headers) in &headers {
        read(headers);
    }
    script.end();
}

/// Each spelling by itself.
fn read(headers: &HeaderMap) {
    let at = retry_after(headers, NOW);
    let text = headers.get("retry-after").and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    if let Ok(seconds) = text.parse::<u32>() {
        assert_eq!(at, Some(NOW + Duration::from_secs(seconds.into())));
    }
    if let Some(at) = at {
        assert!(!hubkeeper::clock::rfc3339(at).is_empty(), "a moment that can be told");
        assert!(at.checked_add(time::Duration::HOUR).is_some(), "a moment that can be reckoned with");
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
