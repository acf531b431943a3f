//! Searches the function's output for tokens.

use hubkeeper_core::error::Error;

/// The token of the run: the credential of every request. An input that contains it plays a service that quotes the request.
pub const MARKER: &str = "dckr_pat_Zq9wXv3TkL7mBn2RcY5dHs8GfJ1";

/// Length of a run of letters, digits, `_` and `-` that may be a token: longer than any word of ours with a digit in it.
const TOKEN: usize = 20;

/// Panics if a text for people shows the marker.
pub(crate) fn of_the_marker(rendered: &str) {
    assert!(!rendered.contains(MARKER), "the token is shown: {rendered}");
}

/// Panics if a text for people shows the marker, or anything in the input that looks like a token.
pub(crate) fn text(rendered: &str, input: &[u8]) {
    of_the_marker(rendered);
    let is_token = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for run in rendered.split(|c: char| !is_token(c)).filter(|run| run.len() >= TOKEN && !is_uuid(run)) {
        let mixed = run.bytes().any(|byte| byte.is_ascii_digit()) && run.bytes().any(|byte| byte.is_ascii_alphabetic());
        let quoted = mixed && input.windows(run.len()).any(|window| window == run.as_bytes());
        assert!(!quoted, "what may be a token is quoted from the input: {run} in {rendered}");
    }
}

/// The same for an error, in each rendering.
pub(crate) fn error(error: &Error, input: &[u8]) {
    text(&format!("{error} {error:?}"), input);
    assert!(!error.what().is_empty(), "an error says what failed");
}

/// Request ids and subscriptions are not secrets.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| matches!(at, 8 | 13 | 18 | 23) == (byte == b'-'))
}
