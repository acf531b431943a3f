//! `demo FUNCTION [EVENT]`: the function behind a Lambda Runtime API, against the sandbox in this process. Without an event file the
//! whole life of a token; with one, that event alone. Exits with 1 where anything is not as it is expected to be, or where the
//! function refuses the event; with 2 where there is nothing to run.

mod event;
mod life;
mod page;
mod refusals;
mod seen;
mod stage;
mod upkeep;
mod zero;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use stage::Stage;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [function] => whole_life(function).await,
        [function, event] => one_event(function, event).await,
        _ => Err("usage: demo FUNCTION [EVENT]".into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "demo: {error}");
            ExitCode::from(2)
        }
    }
}

type Failure = Box<dyn std::error::Error>;

async fn whole_life(function: &str) -> Result<bool, Failure> {
    let mut stage = Stage::open(Path::new(function)).await?;
    zero::prepare(&stage);
    life::introduce(&mut stage, function);
    zero::invitation(&mut stage).await;
    zero::wait(&mut stage).await;
    zero::acceptance(&mut stage).await;
    life::rotation(&mut stage).await;
    upkeep::well(&mut stage).await;
    upkeep::queue(&mut stage).await;
    upkeep::retirement(&mut stage).await;
    upkeep::repair(&mut stage).await;
    life::candidate(&mut stage).await;
    refusals::all(&mut stage).await;
    upkeep::offboarding(&mut stage).await;
    life::summary(&mut stage);
    Ok(stage.page.failures() == 0)
}

async fn one_event(function: &str, path: &str) -> Result<bool, Failure> {
    let text = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let event = serde_json::from_slice(&text).map_err(|error| format!("{path}: {error}"))?;
    let mut stage = Stage::open(Path::new(function)).await?;
    let done = event::send(&mut stage, path, event).await;
    Ok(done && stage.page.failures() == 0)
}
