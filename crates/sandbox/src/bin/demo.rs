//! `demo FUNCTION [EVENT]`: runs the function behind a Lambda Runtime API against the sandbox in this process. Without an event
//! file it shows the whole life of a token; with one, that event alone. Exits with 1 if an expectation fails or the function
//! rejects the event, with 2 if there is nothing to run.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use hubkeeper_sandbox::demo;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let page = demo::Page::printed();
    let result = match arguments.as_slice() {
        [function] => demo::whole_life(Path::new(function), page).await.map(|page| page.failures() == 0),
        [function, event] => demo::one_event(Path::new(function), event, page).await,
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
