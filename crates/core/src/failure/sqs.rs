//! Maps a refused message or batch of SQS to an error (AWS's reference of `SendMessageBatch`).

use crate::error::Error;

/// The error of a code that SQS alone uses; `None` for any other code.
pub(super) fn failure(code: &str, what: &str) -> Option<Error> {
    matches!(code, "QueueDoesNotExist" | "NonExistentQueue")
        .then(|| Error::misconfigured(what, "correct HUBKEEPER_QUEUE_URL, or create the queue that it names"))
}

/// The queue did not accept one message; `why` is a checked code or our own words.
pub fn not_taken(why: &str) -> Error {
    Error::retryable(
        format!("the queue did not accept the message ({why})"),
        "send the event again: secrets that were queued already are only checked twice",
    )
}
