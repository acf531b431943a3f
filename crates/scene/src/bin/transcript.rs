//! `transcript`: compares transcripts with the sandbox (docs/verified.md).
//!
//! - `transcript compare FILE RECORD` prints how the transcript in `FILE` differs from the exchanges of the sandbox in the
//!   folder `RECORD` (`make record`), one line each. Exit code 1 if it does, 2 if either cannot be read.
//! - `transcript reduce RECORD` prints the exchanges of the sandbox as a transcript.
//! - `transcript known RECORD` prints every call with its statuses, and the fields that each always or sometimes has.
//! - `transcript record` handles the events on standard input, one in each line, with the function's code and the environment's
//!   configuration, as the function does. It prints the transcript, and the outcomes on standard error.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::BehaviorVersion;
use hubkeeper::clock::{SystemClock, SystemRandom};
use hubkeeper::handler::Handler;
use hubkeeper::http::aws::{SdkHttp, SdkTime};
use hubkeeper::http::recording::Recording;
use hubkeeper::http::transport::{Reqwest, ca_bundle};
use hubkeeper::http::{HttpClient, HttpShared};
use hubkeeper::metrics::Sink;
use hubkeeper::process::Process;
use hubkeeper_core::config::{Config, Environment};
use hubkeeper_core::transcript::Transcript;
use hubkeeper_scene::transcript::{Known, of_record};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

/// How long one event may take.
const DEADLINE: Duration = Duration::minutes(1);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["compare", file, record] => compare(Path::new(file), Path::new(record)),
        ["reduce", record] => of_record(Path::new(record)).and_then(|transcript| print(&transcript.to_json())),
        ["known", record] => of_record(Path::new(record)).and_then(|sandbox| print(&Known::of(&sandbox).to_json())),
        ["record"] => record().await.and_then(|transcript| print(&transcript)),
        _ => Err(io::Error::other("usage: transcript compare FILE RECORD | reduce RECORD | known RECORD | record")),
    };
    result.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "transcript: {error}");
        ExitCode::from(2)
    })
}

fn print(json: &Value) -> io::Result<ExitCode> {
    writeln!(io::stdout(), "{json:#}")?;
    Ok(ExitCode::SUCCESS)
}

fn compare(file: &Path, record: &Path) -> io::Result<ExitCode> {
    let named = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    let json: Value = serde_json::from_str(&text).map_err(|_| named(&"this is not JSON"))?;
    let transcript = Transcript::from_json(&json).ok_or_else(|| named(&"this is not a transcript of this version"))?;
    let differences = Known::of(&of_record(record)?).differences(&transcript);
    let mut output = io::stdout().lock();
    for line in &differences {
        writeln!(output, "{line}")?;
    }
    let exchanges = json.get("exchanges").and_then(Value::as_array).map_or(0, Vec::len);
    writeln!(output, "{} differences in {exchanges} exchanges", differences.len())?;
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Metrics of these events go nowhere.
struct NoMetrics;

impl Sink for NoMetrics {
    fn write(&self, _: &str) {}
}

async fn record() -> io::Result<Value> {
    let environment: Environment = std::env::vars().collect();
    let wrong = |problem: &dyn std::fmt::Display| io::Error::other(problem.to_string());
    let config = Config::parse(&environment).map_err(|problems| wrong(&problems))?;
    let bundle = ca_bundle(&environment).map_err(|problems| wrong(&problems))?;
    let transport = Reqwest::new(bundle.as_deref(), config.proxy.as_ref()).map_err(|error| wrong(&error))?;
    let transcript = Arc::new(Mutex::new(Transcript::of_function(&config)));
    let transport = Recording::new(Arc::new(transport), Arc::clone(&transcript));
    let shared = HttpShared::new(Arc::new(transport), Arc::new(SystemClock), Arc::new(SystemRandom));
    let http_client = HttpClient::new(Arc::clone(&shared), shared.now() + Duration::hours(1));
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(SdkHttp::new(http_client.clone()))
        .time_source(SdkTime::new(http_client));
    let handler = Handler::Ready(Box::new(Process {
        aws: loader.load().await,
        config: Arc::new(config),
        shared,
        bearers: Arc::default(),
        metrics: Arc::new(NoMetrics),
    }));
    for line in io::stdin().lock().lines() {
        let event: Value = serde_json::from_str(&line?).map_err(|_| wrong(&"an event is not JSON"))?;
        let outcome = match Box::pin(handler.handle(&event, OffsetDateTime::now_utc() + DEADLINE)).await {
            Ok(report) => report["outcome"].as_str().unwrap_or("done").to_owned(),
            Err(error) => error.to_string(),
        };
        writeln!(io::stderr(), "{outcome}")?;
    }
    let transcript = transcript.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(transcript.to_json())
}
