//! Writes log lines that Lambda's level filter understands: JSON with `level` and an RFC 3339 `timestamp`.
//!
//! Only our own target follows the configured level. Other targets are capped: at TRACE, the runtime prints raw
//! payloads and HTTP libraries print headers.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;

/// The caps on the log levels of other crates, whatever the configured level.
///
/// The runtime logs a handler's error again in `layers::panic`. That target is off, because the handler has already
/// logged the error.
const CAPS: &str = "lambda_runtime=warn,lambda_runtime::layers::panic=off";

/// Builds the filter for a level of `AWS_LAMBDA_LOG_LEVEL` (default `info`).
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

/// Builds a subscriber that writes to `writer`.
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

/// Makes a panic print its location without its message, which may quote a secret.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic.location = place, "panic");
    }));
}
