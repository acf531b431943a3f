//! Log lines as Lambda's level filter understands them: JSON with `level` and an RFC 3339 `timestamp`.
//!
//! Only our own target follows the level that is asked for. Others are capped: at TRACE the runtime prints raw payloads,
//! and HTTP stacks print headers.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;

/// What of other crates may reach the log, whatever the level.
///
/// The runtime logs a handler's error once more in `layers::panic`: ours is logged at the boundary already.
const CAPS: &str = "lambda_runtime=warn,lambda_runtime::layers::panic=off";

/// The filter for a level of `AWS_LAMBDA_LOG_LEVEL` (default `info`).
pub fn filter(level: Option<&str>) -> EnvFilter {
    let level = match level.map(str::to_ascii_lowercase).as_deref() {
        Some("trace") => "trace",
        Some("debug") => "debug",
        Some("warn") => "warn",
        Some("error" | "fatal") => "error",
        _ => "info",
    };
    EnvFilter::new(format!("error,hubkeeper={level},{CAPS}"))
}

/// A subscriber that writes to `writer`.
pub fn subscriber<W>(level: Option<&str>, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_timer(SystemTime)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter(level))
        .with_writer(writer)
        .finish()
}

/// Lets a panic say where it was, and nothing of what it says: its message may quote a value.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic.location = place, "panic");
    }));
}
