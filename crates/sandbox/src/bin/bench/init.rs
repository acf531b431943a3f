//! `bench init FUNCTION FLOOR`: the time from the function's start to its first poll of the Runtime API, as a multiple of an
//! empty handler's time. The two start alternately. The last line is `ratio N.NN`, of the best round.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hubkeeper_sandbox::lambda::LambdaHost;
use hubkeeper_sandbox::serve::{Options, serve};
use hubkeeper_sandbox::{World, scene};

const ROUNDS: usize = 3;
const STARTS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for a killed process to exit before the next one starts.
const PAUSE: Duration = Duration::from_millis(5);
/// Maximum start-up time of the function, as a multiple of the empty handler's.
const MOST: f64 = 2.0;

pub(crate) async fn run(arguments: &[String]) -> ExitCode {
    let [function, floor] = arguments else {
        eprintln!("usage: bench init FUNCTION FLOOR");
        return ExitCode::from(2);
    };
    match measure(Path::new(function), Path::new(floor)).await {
        Ok(ratio) => {
            println!("at most {MOST:.2}: {}", if ratio <= MOST { "ok" } else { "OVER" });
            println!("ratio {ratio:.2}");
            if ratio <= MOST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench init: {error}");
            ExitCode::from(2)
        }
    }
}

async fn measure(function: &Path, floor: &Path) -> io::Result<f64> {
    // a complete configuration, and no additional certificate authority, as in Lambda
    let served = serve(World::new(), Options::default()).await?;
    let environment = scene::environment(&served);
    start(floor, &environment).await?;
    configured(function, &environment).await?;
    println!("process start to first poll of the Runtime API: median of {STARTS} starts each, alternately");
    println!("{:>5}  {:>10}  {:>13}  {:>5}", "round", "floor (ms)", "function (ms)", "ratio");
    let mut best = f64::INFINITY;
    let mut all = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (mut floors, mut functions) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            floors.push(start(floor, &environment).await?);
            functions.push(start(function, &environment).await?);
        }
        all.0.extend_from_slice(&floors);
        all.1.extend_from_slice(&functions);
        let (floor, function) = (median(floors), median(functions));
        let ratio = function / floor;
        println!("{round:>5}  {:>10.2}  {:>13.2}  {ratio:>5.2}", floor * 1e3, function * 1e3);
        best = best.min(ratio);
    }
    let (floor, function) = (median(all.0), median(all.1));
    println!("{:>5}  {:>10.2}  {:>13.2}  {:>5.2}", "all", floor * 1e3, function * 1e3, function / floor);
    if best < 1.0 {
        println!(
            "a round below 1.00 was disturbed: the machine is busy, and the line `all` says more than the best round"
        );
    }
    Ok(best)
}

async fn start(binary: &Path, environment: &[(String, String)]) -> io::Result<Duration> {
    let host = LambdaHost::start(binary, environment, PATIENCE)?;
    let took = host.started_to_first_poll().await?;
    drop(host);
    tokio::time::sleep(PAUSE).await;
    Ok(took)
}

/// A function that cannot read its configuration fails fast, so its time means nothing.
async fn configured(function: &Path, environment: &[(String, String)]) -> io::Result<()> {
    let host = LambdaHost::start(function, environment, PATIENCE)?;
    match host.invoke(serde_json::json!({})).await {
        Err(error) if error.error_type == "BadEvent" => Ok(()),
        Err(error) => Err(io::Error::other(error)),
        Ok(_) => Err(io::Error::other("an empty event was not refused")),
    }
}

/// In seconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let middle = times.len() / 2;
    let upper = times.get(middle).copied().unwrap_or_default();
    let lower = times.get(middle.saturating_sub(1)).copied().unwrap_or_default();
    if times.len().is_multiple_of(2) { (lower + upper).as_secs_f64() / 2.0 } else { upper.as_secs_f64() }
}
