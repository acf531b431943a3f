//! The log lines of a test.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    /// The log lines of this test, at TRACE. A test and its function run on one thread.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Logs;

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log lines since the last [`Scene`](crate::scene::Scene) began.
pub fn logged() -> String {
    LINES.with_borrow(|lines| String::from_utf8_lossy(lines).into_owned())
}

/// Writes log lines of this test from `level` on, until the guard is dropped: lines at TRACE are most of the time of a long test.
pub fn log_from(level: &str) -> tracing::subscriber::DefaultGuard {
    tracing::subscriber::set_default(hubkeeper::logging::subscriber(Some(level), || Logs))
}

/// Takes the log lines, so that a long test does not keep them all.
pub fn take_logged() -> String {
    LINES.with_borrow_mut(|lines| String::from_utf8_lossy(&std::mem::take(lines)).into_owned())
}

pub(crate) fn begin_logs() {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| {
        let subscriber = hubkeeper::logging::subscriber(Some("trace"), || Logs);
        tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
    });
    LINES.with_borrow_mut(Vec::clear);
}
