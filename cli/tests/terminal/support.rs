//! The command line in front of a person: a sandbox, and the real binary on a pseudo-terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hubkeeper_sandbox::deployed::Deployed;
use hubkeeper_sandbox::pty::{End, Terminal};
use hubkeeper_sandbox::serve::{Options, Served, serve};
use hubkeeper_sandbox::{World, aws, hub, leak, scene};
use time::OffsetDateTime;

/// A minute is far more than any screen takes, on a machine that does other things too.
pub(crate) const LONGEST: Duration = Duration::from_mins(1);
/// Runs a command as a shell does, and shows the terminal's settings afterwards.
const THEN_SETTINGS: &str = r#"trap : INT; "$0" "$@"; code=$?; stty -a; exit $code"#;

/// The example world over sockets, with or without the function.
pub(crate) struct Sandbox {
    pub(crate) world: World,
    pub(crate) served: Served,
    pub(crate) arn: String,
    deployed: Option<Deployed>,
    authority: PathBuf,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.authority);
    }
}

/// The function's binary. It belongs to another package, so it exists only after a build of the whole workspace.
fn function() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_hubkeeper")).with_file_name("bootstrap");
    let built = fs::metadata(&binary).and_then(|file| file.modified());
    let built =
        built.unwrap_or_else(|error| panic!("{}: {error}; run cargo build --workspace --bins", binary.display()));
    let sources = fs::read_to_string(binary.with_extension("d")).unwrap();
    let (_, sources) = sources.split_once(": ").unwrap();
    for source in sources.split_whitespace() {
        let is_older = fs::metadata(source).and_then(|file| file.modified()).is_ok_and(|changed| changed <= built);
        assert!(is_older, "{source} is newer than {}: run cargo build --workspace --bins", binary.display());
    }
    binary
}

impl Sandbox {
    /// The example world without the function.
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("terminal-{}-{}.pem", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let authority = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let world = World::new();
        let arn = world.with(scene::build);
        let options = Options { authority_file: Some(authority.clone()), ..Options::default() };
        let served = serve(world.clone(), options).await.unwrap();
        Self { world, served, arn, deployed: None, authority }
    }

    /// The example world with the function in it.
    pub(crate) async fn deployed() -> Self {
        let mut sandbox = Self::new().await;
        let environment = scene::environment(&sandbox.served);
        sandbox.deployed = Some(Deployed::start(&sandbox.world, &function(), &environment).await.unwrap());
        sandbox
    }

    /// The deployed function.
    pub(crate) fn function(&self) -> &Deployed {
        self.deployed.as_ref().unwrap()
    }

    /// Milliseconds that each response takes longer from now on.
    pub(crate) fn slow(&self, milliseconds: u64) {
        self.served.latency.store(milliseconds, Ordering::Relaxed);
    }

    /// A new token of the example's user.
    pub(crate) fn token(&self, scope: &str) -> String {
        let ends = OffsetDateTime::now_utc() + time::Duration::days(90);
        self.world.with(|state| hub::add_pat(state, scene::USER, "by hand", &[scope], Some(ends))).1
    }

    /// The variables for the services of Docker Hub alone, which is all that `verify` of a token needs.
    pub(crate) fn docker_hub(&self) -> Vec<(String, String)> {
        let mut variables = self.served.environment();
        variables
            .retain(|(name, _)| name.contains("HUB_URL") || name.contains("HUB_AUTH") || name.contains("REGISTRY"));
        variables.push(("NO_PROXY".to_owned(), "127.0.0.1,localhost".to_owned()));
        variables
    }

    /// The variables for all services, and a login at AWS.
    pub(crate) fn everything(&self) -> Vec<(String, String)> {
        scene::caller(&self.served).into_iter().chain(self.deployed.iter().flat_map(Deployed::environment)).collect()
    }

    /// The lines of the requests that wrote something so far.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.world.record().iter().filter(|entry| entry.is_write()).map(hubkeeper_sandbox::Recorded::line).collect()
    }

    /// The version with a label.
    pub(crate) fn version(&self, label: &str) -> Option<String> {
        self.world.with(|state| aws::version_with(state, &self.arn, label))
    }

    /// Checks that no output holds a secret of the world.
    pub(crate) fn assert_no_leak(&self, end: &End) {
        let secrets = self.world.with(|state| leak::secrets_of(state));
        assert!(!secrets.is_empty());
        let finder = leak::Finder::new(&secrets);
        assert_eq!(finder.find(&end.raw), [], "{}", end.screen);
        for frame in &end.frames {
            assert_eq!(finder.find(&frame.screen), [], "{}", frame.screen);
        }
    }
}

/// Starts the command line on a terminal.
pub(crate) fn start(arguments: &[&str], environment: &[(String, String)], columns: u16) -> Terminal {
    Terminal::start(Path::new(env!("CARGO_BIN_EXE_hubkeeper")), arguments, environment, columns).unwrap()
}

/// Starts the command line in a shell, which shows the terminal's settings when it has ended.
pub(crate) fn start_in_shell(arguments: &[&str], environment: &[(String, String)], columns: u16) -> Terminal {
    let shell = ["-c", THEN_SETTINGS, env!("CARGO_BIN_EXE_hubkeeper")];
    let all: Vec<&str> = shell.iter().chain(arguments).copied().collect();
    Terminal::start(Path::new("/bin/sh"), &all, environment, columns).unwrap()
}

/// Checks the settings that [`start_in_shell`] shows: what is typed is shown, line by line, and Ctrl-C is a signal.
pub(crate) fn assert_usual_settings(screen: &str) {
    let words: Vec<&str> = screen.split_whitespace().collect();
    for setting in ["echo", "icanon", "isig"] {
        assert!(words.contains(&setting), "{setting}:\n{screen}");
    }
}

/// The lines of the last screen as the terminal shows them.
pub(crate) fn rows(end: &End) -> Vec<String> {
    end.lines.iter().map(|parts| parts.iter().map(|(_, text)| text.as_str()).collect()).collect()
}

/// Whether output has an escape sequence for colour or weight.
pub(crate) fn is_painted(raw: &str) -> bool {
    raw.split("\u{1b}[").skip(1).any(|rest| {
        let parameters = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        parameters.starts_with('m')
    })
}
