//! Writes log lines that Lambda's level filter understands: JSON with `level` and an RFC 3339 `timestamp`.
//!
//! Only our own target follows the configured level. Other targets are capped: at TRACE, the runtime prints raw
//! payloads and HTTP libraries print headers.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;

/// Builds the filter for a level of `AWS_LAMBDA_LOG_LEVEL` (default `info`), with caps on other crates, whatever the
/// configured level.
///
/// The runtime logs a handler's error again in `layers::panic`. That target is off, because the handler has already
/// logged the error. `EnvFilter` would do the same with a regular expression engine in the package.
pub fn filter(level: Option<&str>) -> Targets {
    let level = match level.map(str::to_ascii_lowercase).as_deref() {
        Some("trace") => LevelFilter::TRACE,
        Some("debug") => LevelFilter::DEBUG,
        Some("warn") => LevelFilter::WARN,
        Some("error" | "fatal") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("hubkeeper", level)
        .with_target("lambda_runtime", LevelFilter::WARN)
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
}

/// Builds a subscriber that writes to `writer`.
pub fn subscriber<W>(level: Option<&str>, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_timer(SystemTime)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter(level)).with(lines)
}

/// Makes a panic print its location without its message, which may quote a secret.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(panic.location = place, "panic");
    }));
}
