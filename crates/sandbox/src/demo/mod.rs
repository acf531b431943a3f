//! The demonstration: the function behind a Lambda Runtime API, against the sandbox in this process. The program `demo` prints
//! it. A test draws a part of it for the README.

mod event;
mod life;
mod page;
mod refusals;
mod seen;
mod stage;
mod upkeep;
mod zero;

use std::path::Path;

pub use page::Page;
use stage::Stage;

type Failure = Box<dyn std::error::Error>;

/// Runs the whole life of a token and writes it to `page`, which also records every failed expectation.
///
/// # Errors
/// The function cannot start, or the sandbox cannot listen.
pub async fn whole_life(function: &Path, page: Page) -> Result<Page, Failure> {
    let mut stage = Stage::open(function, page).await?;
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
    Ok(std::mem::take(&mut stage.page))
}

/// Sends the event in the file at `path`, and nothing else. Returns whether the function did what the event asks and all
/// expectations hold.
///
/// # Errors
/// The file cannot be read or is not JSON, the function cannot start, or the sandbox cannot listen.
pub async fn one_event(function: &Path, path: &str, page: Page) -> Result<bool, Failure> {
    let text = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let event = serde_json::from_slice(&text).map_err(|error| format!("{path}: {error}"))?;
    let mut stage = Stage::open(function, page).await?;
    let done = event::send(&mut stage, path, event).await;
    Ok(done && stage.page.failures() == 0)
}
