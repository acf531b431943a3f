//! `try FUNCTION FOLDER`: serves the example world for the command line `hubkeeper`, with the function deployed in it, until
//! Ctrl-C. Writes the variables and some tokens into FOLDER, and prints what to type.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hubkeeper_sandbox::deployed::Deployed;
use hubkeeper_sandbox::serve::{Options, serve};
use hubkeeper_sandbox::{World, hub, scene};
use time::{Duration, OffsetDateTime};

/// Tokens of the example's user: file, scope, and what is special about it.
const TOKENS: [(&str, &str, &str); 3] = [
    ("good", "repo:read", "reads everything, and can do nothing more"),
    ("public", "repo:public_read", "reads public repositories only"),
    ("writes", "repo:write", "can push"),
];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [function, folder] => run(Path::new(function), &PathBuf::from(folder)).await,
        _ => Err(io::Error::other("usage: try FUNCTION FOLDER")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "try: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(function: &Path, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let world = World::new();
    world.with(scene::build);
    let options = Options { authority_file: Some(folder.join("authority.pem")), ..Options::default() };
    let served = serve(world.clone(), options).await?;
    let variables = scene::environment(&served);
    let deployed = Deployed::start(&world, function, &variables).await?;
    let ends = OffsetDateTime::now_utc() + Duration::days(90);
    for (name, scope, _) in TOKENS {
        let (_, token) = world.with(|state| hub::add_pat(state, scene::USER, name, &[scope], Some(ends)));
        private(&folder.join(format!("{name}.token")), &format!("{token}\n"))?;
    }
    let all = scene::caller(&served).into_iter().chain(deployed.environment());
    let mut lines = String::new();
    for (name, value) in all {
        let _ = writeln!(lines, "export {name}='{value}'");
    }
    // the command line that was built together with this program
    if let Some(built) = std::env::current_exe()?.parent() {
        let _ = writeln!(lines, "export PATH='{}':\"$PATH\"", built.display());
    }
    private(&folder.join("env"), &lines)?;
    say(&folder)?;
    tokio::signal::ctrl_c().await?;
    writeln!(io::stdout(), "\nthe sandbox has ended")
}

/// Writes a file that only its owner reads.
fn private(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn say(folder: &Path) -> io::Result<()> {
    let here = std::env::current_dir()?;
    let folder = folder.strip_prefix(&here).unwrap_or(folder).display().to_string();
    let mut text = format!(
        "The sandbox runs: Docker Hub with the organization {} ({} repositories), AWS with the function deployed, and Azure.\n\
         Everything is on this machine, and ends with Ctrl-C. In another terminal, in this folder:\n\n\
         \x20 . {folder}/env\n\
         \x20 hubkeeper verify {} --username {} < {folder}/good.token\n\n\
         Other tokens, to see other verdicts:\n",
        scene::ORGANIZATION,
        scene::REPOSITORIES.len(),
        scene::ORGANIZATION,
        scene::USER,
    );
    for (name, _, what) in &TOKENS[1..] {
        let _ = writeln!(text, "  {folder}/{name}.token   {what}");
    }
    let secret = scene::SECRET;
    let _ = write!(
        text,
        "\nThen the whole way, with the secret {secret}:\n\n\
         \x20 hubkeeper onboard {secret}     the function mints a token, proves it, and creates the connector\n\
         \x20 hubkeeper status\n\
         \x20 hubkeeper rotate {secret}\n\
         \x20 hubkeeper stage {secret} < {folder}/good.token\n",
    );
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
