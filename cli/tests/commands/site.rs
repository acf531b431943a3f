//! A sandbox over sockets, with the function deployed in it or without, and the command line as a process in front of it. Everything
//! that a process printed, and its arguments, is searched for every secret of the world when the site ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Not;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use std::{fs, io, thread};

use assert_cmd::assert::OutputAssertExt;
use hubkeeper_sandbox::deployed::Deployed;
use hubkeeper_sandbox::serve::{Options, Served, serve};
use hubkeeper_sandbox::{State, World, aws, hub, leak, scene};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// The binary under test.
pub(crate) const HUBKEEPER: &str = env!("CARGO_BIN_EXE_hubkeeper");
/// No command of these tests takes longer.
const LONGEST: Duration = Duration::from_mins(3);
/// How often the arguments of a running process are read.
const SAMPLE: Duration = Duration::from_millis(5);

/// One thing that a process let others see.
#[derive(Clone)]
pub(crate) struct Told {
    /// The command, and which of its outputs.
    pub(crate) what: String,
    /// What it holds.
    pub(crate) text: String,
}

/// A served sandbox, and a folder of its own.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) served: Served,
    pub(crate) deployed: Option<Deployed>,
    /// ARN of the example's secret.
    pub(crate) arn: String,
    pub(crate) folder: PathBuf,
    variables: BTreeMap<String, String>,
    told: Arc<Mutex<Vec<Told>>>,
    /// Secrets that the world does not know, such as a token that was mistyped.
    secrets: Mutex<Vec<String>>,
}

impl Site {
    /// Docker Hub, AWS and Azure, and no variable that leads to the latter two. No function.
    pub(crate) async fn hub() -> Self {
        let world = World::new();
        let arn = world.with(scene::build);
        Self::of(world, arn).await
    }

    /// The example's world with the function deployed in it, and a person who is logged in everywhere.
    pub(crate) async fn deployed() -> Self {
        Self::deployed_with(|_| ()).await
    }

    /// The same in a world that `change` has changed.
    pub(crate) async fn deployed_with(change: impl FnOnce(&mut hubkeeper_sandbox::State)) -> Self {
        Self::deployed_in(change, |_| ()).await
    }

    /// The same, with a changed environment of the function.
    pub(crate) async fn deployed_in(
        change: impl FnOnce(&mut hubkeeper_sandbox::State),
        environment: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Self {
        let world = World::new();
        let arn = world.with(scene::build);
        world.with(change);
        let mut site = Self::of(world, arn).await;
        let mut variables: BTreeMap<String, String> = scene::environment(&site.served).into_iter().collect();
        environment(&mut variables);
        let variables: Vec<(String, String)> = variables.into_iter().collect();
        let deployed = Deployed::start(&site.world, &function(), &variables).await.unwrap();
        site.log_in();
        site.variables.extend(deployed.environment());
        site.deployed = Some(deployed);
        site
    }

    async fn of(world: World, arn: String) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("site-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(folder.join("bin")).unwrap();
        let authority = folder.join("authority.pem");
        let options = Options { authority_file: Some(authority), ..Options::default() };
        let served = serve(world.clone(), options).await.unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.join("bin").display());
        let mut variables: BTreeMap<String, String> = [("PATH", path), ("HOME", folder.display().to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let hub = served.environment().into_iter().filter(|(name, _)| {
            matches!(
                name.as_str(),
                "HUBKEEPER_HUB_URL" | "HUBKEEPER_HUB_AUTH_URL" | "HUBKEEPER_REGISTRY_URL" | "HUBKEEPER_CA_BUNDLE"
            )
        });
        variables.extend(hub);
        let (told, secrets) = (Arc::default(), Mutex::default());
        Self { world, served, deployed: None, arn, folder, variables, told, secrets }
    }

    /// Sets the variables of a person with a login at AWS, and with the function's way into Azure.
    pub(crate) fn log_in(&mut self) {
        self.secrets.lock().unwrap().extend([scene::SECRET_KEY, scene::SESSION_TOKEN].map(str::to_owned));
        self.variables.extend(scene::caller(&self.served));
    }

    /// A site with the example's secret onboarded, and nothing of that in the record.
    pub(crate) async fn onboarded() -> Self {
        let site = Self::deployed().await;
        site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
        let _ = site.writes();
        site
    }

    /// Creates a token of the example's user.
    pub(crate) fn token(&self, scope: &str) -> String {
        self.token_of(scene::USER, scope)
    }

    /// Creates a token of a user, which ends in 90 days.
    pub(crate) fn token_of(&self, user: &str, scope: &str) -> String {
        let ends = OffsetDateTime::now_utc() + time::Duration::days(90);
        self.world.with(|state| hub::add_pat(state, user, "by hand", &[scope], Some(ends)).1)
    }

    /// Writes a file into the site's folder, and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Puts a program into the `PATH` of every process.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Searches for this secret too.
    pub(crate) fn is_secret(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    /// Searches this too.
    pub(crate) fn told(&self, what: &str, text: String) {
        self.told.lock().unwrap().push(Told { what: what.to_owned(), text });
    }

    /// The command line with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run<'_> {
        Run {
            site: self,
            program: PathBuf::from(HUBKEEPER),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            input: String::new(),
            variables: self.variables.clone(),
        }
    }

    /// The requests that changed something, since the last call.
    pub(crate) fn writes(&self) -> Vec<String> {
        let record = self.world.take_record();
        record.iter().filter(|entry| entry.is_write()).map(hubkeeper_sandbox::Recorded::line).collect()
    }

    /// Every request since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.world.take_record().iter().map(hubkeeper_sandbox::Recorded::line).collect()
    }

    /// What of all that was told holds a secret.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let mut secrets = self.world.with(|state| leak::secrets_of(state));
        secrets.extend(self.secrets.lock().unwrap().iter().cloned());
        let finder = leak::Finder::new(&secrets);
        let mut told = self.told.lock().unwrap().clone();
        if let Some(deployed) = &self.deployed {
            told.push(Told { what: "the function's log".to_owned(), text: deployed.output() });
        }
        let found = |told: &Told| {
            let leaks = finder.find(&told.text);
            leaks.into_iter().map(|leak| format!("{}: {} {}", told.what, leak.how, leak.around)).collect::<Vec<_>>()
        };
        told.iter().flat_map(found).collect()
    }

    /// The leaks so far, which are forgotten then.
    pub(crate) fn take_leaks(&self) -> Vec<String> {
        let leaks = self.leaks();
        self.told.lock().unwrap().clear();
        leaks
    }

    /// Forgets what was told in this way.
    pub(crate) fn forget(&self, what: &str) {
        self.told.lock().unwrap().retain(|told| !told.what.ends_with(what));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let leaks = if thread::panicking() { Vec::new() } else { self.leaks() };
        let _ = fs::remove_dir_all(&self.folder);
        assert!(leaks.is_empty(), "a secret was told:\n{}", leaks.join("\n"));
    }
}

/// A process to run.
pub(crate) struct Run<'a> {
    site: &'a Site,
    program: PathBuf,
    arguments: Vec<String>,
    input: String,
    variables: BTreeMap<String, String>,
}

impl Run<'_> {
    /// Runs another program instead.
    pub(crate) fn program(mut self, path: &str) -> Self {
        self.program = PathBuf::from(path);
        self
    }

    /// What its standard input holds.
    pub(crate) fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    /// A variable of its environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable out of its environment.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The process to start.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.variables).current_dir(&self.site.folder);
        command
    }

    /// Runs it to its end, and returns what a terminal would show: both outputs, in their order. They hold no colour and no progress,
    /// since they go to a file.
    pub(crate) async fn transcript(self, code: i32) -> String {
        let path = self.site.folder.join("transcript");
        let file = File::options().append(true).create(true).open(&path).unwrap();
        let (mut command, input) = (self.command(), self.input);
        let run = tokio::task::spawn_blocking(move || {
            command.stdout(file.try_clone().unwrap()).stderr(file);
            observed(&mut command, &input).unwrap()
        });
        let (output, _) = tokio::time::timeout(LONGEST, run).await.expect("it ends").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        self.site.told("a session", text.clone());
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    /// Runs it to its end, which must have this exit code.
    pub(crate) async fn ends(self, code: i32) -> Ended {
        let name = format!("hubkeeper {}", self.arguments.first().cloned().unwrap_or_default());
        let told = Arc::clone(&self.site.told);
        let (mut command, input) = (self.command(), self.input);
        let run = tokio::task::spawn_blocking(move || {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            observed(&mut command, &input).unwrap()
        });
        let (output, seen) = tokio::time::timeout(LONGEST, run).await.expect("it ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it prints UTF-8");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let mut told = told.lock().unwrap();
        for (what, text) in [("standard output", &out), ("standard error", &err), ("its arguments", &seen)] {
            told.push(Told { what: format!("{name}: {what}"), text: text.clone() });
        }
        drop(told);
        output.assert().code(code);
        Ended { out, err }
    }
}

/// A process that has ended.
pub(crate) struct Ended {
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Ended {
    /// Its result as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }

    /// Checks that its result holds each of these.
    pub(crate) fn shows(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.out.contains(word),
                "{word:?} is not in\n{}\nbut on standard error is\n{}",
                self.out,
                self.err
            );
        }
        self
    }

    /// Checks that standard error holds each of these.
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in\n{}\nbut standard output is\n{}", self.err, self.out);
        }
        self
    }

    /// Checks that it printed no result.
    pub(crate) fn shows_nothing(self) -> Self {
        assert_eq!(self.out, "", "{}", self.err);
        self
    }
}

/// Runs a process, and reads its arguments and those of its children while it runs.
fn observed(command: &mut Command, input: &str) -> io::Result<(Output, String)> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let (id, over) = (child.id(), Arc::new(AtomicBool::new(false)));
    let mut seen = arguments_of(id);
    let watch = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut seen = String::new();
            while !over.load(Ordering::Relaxed) {
                for line in arguments_of(id).lines() {
                    if !seen.lines().any(|known| known == line) {
                        seen.push_str(line);
                        seen.push('\n');
                    }
                }
                thread::sleep(SAMPLE);
            }
            seen
        }
    });
    // a process that asks for nothing may have ended already
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output();
    over.store(true, Ordering::Relaxed);
    seen.push_str(&watch.join().unwrap_or_default());
    Ok((output?, seen))
}

/// The arguments of a process and of its children, one line each.
fn arguments_of(id: u32) -> String {
    let line = |id: &str| {
        let mut bytes = Vec::new();
        let read = File::open(format!("/proc/{id}/cmdline")).and_then(|mut file| file.read_to_end(&mut bytes));
        read.ok().map(|_| String::from_utf8_lossy(&bytes).replace(['\0', '\n'], " "))
    };
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect::<String>();
    let ids = std::iter::once(id.to_string()).chain(children.split_whitespace().map(str::to_owned));
    ids.filter_map(|id| line(&id)).filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

/// The function's binary, which cargo builds beside the command line's.
pub(crate) fn function() -> PathBuf {
    let path = Path::new(HUBKEEPER).with_file_name("bootstrap");
    usable(&path).unwrap_or_else(|why| panic!("{why}: run `cargo build --workspace --bins` first"));
    path
}

/// Whether a binary is there, and newer than each of its sources, which cargo lists beside it.
pub(crate) fn usable(binary: &Path) -> Result<(), String> {
    let built =
        changed(binary).map_err(|error| format!("the function's binary is missing ({}: {error})", binary.display()))?;
    let list = binary.with_extension("d");
    let list = fs::read_to_string(&list)
        .map_err(|error| format!("the list of its sources is missing ({}: {error})", list.display()))?;
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    let newer = sources.split_whitespace().find(|source| changed(Path::new(source)).is_ok_and(|at| at <= built).not());
    newer.map_or(Ok(()), |source| Err(format!("the function's binary is older than {source}")))
}

fn changed(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

#[test]
fn a_missing_or_outdated_function_is_told_with_the_reason() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stale-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (binary, source) = (folder.join("bootstrap"), folder.join("main.rs"));
    assert!(usable(&binary).unwrap_err().starts_with("the function's binary is missing"));
    fs::write(&binary, "").unwrap();
    assert!(usable(&binary).unwrap_err().contains("list of its sources is missing"));
    fs::write(&source, "").unwrap();
    fs::write(folder.join("bootstrap.d"), format!("{}: {}\n", binary.display(), source.display())).unwrap();
    let touch = |path: &Path, seconds: u64| {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    };
    touch(&source, 1_000);
    touch(&binary, 2_000);
    assert_eq!(usable(&binary), Ok(()));
    touch(&source, 3_000);
    assert_eq!(usable(&binary), Err(format!("the function's binary is older than {}", source.display())));
    fs::remove_dir_all(&folder).unwrap();
}

/// A second organization with a secret of its own. Its user's token is made by hand.
pub(crate) fn second(state: &mut State) {
    scene::organization(state, "globex", "globex-scanner");
    let token = hub::add_pat(state, "globex-scanner", "by hand", &["repo:read"], None).1;
    let mut document = scene::document_with(&token, None);
    document["organization"] = json!("globex");
    document["username"] = json!("globex-scanner");
    document["connector"]["name"] = json!("dockerhub-globex");
    aws::create_secret(state, "hubkeeper/globex", &document, &[]);
}
