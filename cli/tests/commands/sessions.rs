//! docs/cli.md shows what the commands print, and the options that they have: both are made here, and compared with the page.
//! `make sessions` writes them into it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{ArgAction, CommandFactory};
use hubkeeper_cli::args::Cli;
use hubkeeper_cli::exit::Code;
use hubkeeper_core::ids::is_uuid;
use hubkeeper_core::time::{parse_rfc3339, rfc3339};
use hubkeeper_sandbox::{Service, State, arm, aws, hub, scene};
use serde_json::json;
use time::macros::{datetime, format_description};
use time::{Duration, OffsetDateTime, Time};

use crate::site::{Run, Site};

/// The variable that makes the test write the page instead of comparing it: `make sessions`.
const RENEW: &str = "HUBKEEPER_RENEW_SESSIONS";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
/// Now, on the page.
const THEN: OffsetDateTime = datetime!(2026-12-01 09:30 UTC);

/// What the page shows of some commands, one after the other.
struct Session {
    name: &'static str,
    text: String,
}

/// The sessions of one site.
struct Sessions {
    site: Site,
    now: OffsetDateTime,
    done: Vec<Session>,
}

impl Sessions {
    /// Adds a command to a session: as a person types it, and as it is run. A code other than 0 is shown.
    async fn add(&mut self, name: &'static str, typed: &str, run: impl AsyncFnOnce(&Site) -> String, code: i32) {
        let printed = run(&self.site).await;
        let mut text = format!("$ {typed}\n{printed}");
        if code != 0 {
            let _ = write!(text, "$ echo $?\n{code}\n");
        }
        match self.done.last_mut().filter(|session| session.name == name) {
            Some(session) => session.text.extend(["\n", &text]),
            None => self.done.push(Session { name, text }),
        }
    }

    /// Adds a command that is run as it is typed, with a token on standard input.
    async fn typed(&mut self, name: &'static str, typed: &str, token: Option<&str>, code: i32) {
        let words: Vec<String> = typed
            .split(" < ")
            .next()
            .unwrap()
            .split(' ')
            .skip(1)
            .map(|word| word.trim_matches('\'').to_owned())
            .collect();
        let run = async |site: &Site| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let run: Run<'_> = site.run(&words);
            run.input(token.unwrap_or_default()).transcript(code).await
        };
        self.add(name, typed, run, code).await;
    }

    /// The sessions with ids, times and ARNs that do not change from run to run.
    fn stable(self) -> Vec<Session> {
        let (ids, arns) =
            self.site.world.with(|state| (ids(state), state.aws.secrets.keys().cloned().collect::<Vec<_>>()));
        let all: String = self.done.iter().map(|session| session.text.as_str()).collect();
        let mut seen: Vec<(usize, &String)> = ids.iter().filter_map(|id| Some((all.find(&id[..8])?, id))).collect();
        seen.sort();
        let hosts = [
            (Service::Aws, "secretsmanager.eu-west-1.amazonaws.com"),
            (Service::Entra, "login.microsoftonline.com"),
            (Service::Arm, "management.azure.com"),
            (Service::Hub, "hub.docker.com"),
            (Service::HubAuth, "auth.docker.io"),
            (Service::Registry, "registry-1.docker.io"),
        ];
        let hosts = hosts.map(|(service, host)| (self.site.served.port(service), host));
        let stable = |text: &str| {
            let mut text = times(text, self.now);
            for (at, (_, id)) in seen.iter().enumerate() {
                let other = id_of_page(at);
                text = text.replace(id.as_str(), &other).replace(&id[..8], &other[..8]);
            }
            for (port, host) in &hosts {
                text = text.replace(&format!("127.0.0.1:{port}"), host).replace(&format!("localhost:{port}"), host);
            }
            for arn in &arns {
                let whole = &arn[..arn.len() - 6];
                text = text.replace(arn.as_str(), &format!("{whole}JphG1p"));
            }
            durations(&text)
        };
        let mut done: Vec<Session> =
            self.done.iter().map(|session| Session { name: session.name, text: stable(&session.text) }).collect();
        for session in &mut done {
            session.text = format!("```console\n{}```\n", session.text);
        }
        done
    }
}

/// The ids of all versions and tokens.
fn ids(state: &State) -> BTreeSet<String> {
    let versions = state.aws.secrets.values().flat_map(|secret| secret.versions.keys().cloned());
    let tokens = hub::pats_of(state, scene::USER).into_iter().map(|pat| pat.uuid);
    versions.chain(tokens).filter(|id| id.len() >= 32).collect()
}

fn id_of_page(at: usize) -> String {
    let first = u32::try_from(at + 1).unwrap().wrapping_mul(0x9e37_79b1);
    let id = format!("{first:08x}-3f0e-4d0b-9a43-2f6b8a1d{at:04x}");
    assert!(is_uuid(&id), "{id}");
    id
}

/// The times of a text, as if the run had been at [`THEN`].
fn times(text: &str, now: OffsetDateTime) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "-T:.Z".contains(c))).unwrap_or(rest.len());
        let word = &rest[..end];
        let whole = word.find('Z').map_or(word, |at| &word[..=at]);
        match parse_rfc3339(whole) {
            None => result.push_str(word),
            Some(time) => {
                // a date is further away than the hour of a metric that happens to be midnight
                let is_date = time.time() == Time::MIDNIGHT && (time - now).abs() > Duration::DAY;
                let days = if is_date {
                    (time.date() - now.date()).whole_days()
                } else {
                    ((time - now).whole_hours() + 12).div_euclid(24)
                };
                let then = THEN + Duration::days(days);
                result.push_str(&rfc3339(if is_date { then.replace_time(Time::MIDNIGHT) } else { then }));
                result.push_str(&word[whole.len()..]);
            }
        }
        rest = &rest[end..];
    }
    result + rest
}

fn durations(text: &str) -> String {
    let mut parts = text.split("\"durationMs\": ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "\"durationMs\": 120" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

async fn sessions() -> Vec<Session> {
    let now = OffsetDateTime::now_utc();
    let site = Site::deployed().await;
    let (good, public, writes) = (site.token("repo:read"), site.token("repo:public_read"), site.token("repo:write"));
    let mut sessions = Sessions { site, now, done: Vec::new() };
    let all = "hubkeeper verify acme --username acme-scanner";
    sessions.typed("verify", &format!("{all} --expect 'billing,ledger' < good.token"), Some(&good), 0).await;
    sessions.typed("verdicts", &format!("{all} --expect 'billing,ledger' < public.token"), Some(&public), 1).await;
    sessions.typed("verdicts", &format!("{all} --expect 'billing,ledger' < writes.token"), Some(&writes), 1).await;
    sessions
        .typed("json", &format!("{all} --expect 'billing,ledger' --output json < good.token"), Some(&good), 0)
        .await;

    sessions.typed("onboard", "hubkeeper onboard hubkeeper/acme --plan", None, 0).await;
    sessions.typed("onboard", "hubkeeper onboard hubkeeper/acme --yes", None, 0).await;
    sessions.typed("rotate", "hubkeeper rotate hubkeeper/acme --plan", None, 0).await;
    sessions.typed("rotate", "hubkeeper rotate hubkeeper/acme --yes", None, 0).await;

    let date = format_description!("[year]-[month]-[day]");
    let (ends, shown) = [now, THEN].map(|at| (at + Duration::days(90)).date().format(date).unwrap()).into();
    let staged = async |site: &Site| {
        let run = site.run(&["stage", scene::SECRET, "--expires-at", &ends, "--yes"]);
        run.input(&good).transcript(0).await
    };
    // the command asks the function for the adoption, which the event of the label would do as well
    let hold = |sessions: &Sessions, held| sessions.site.deployed.as_ref().unwrap().hold_events(held);
    hold(&sessions, true);
    sessions
        .add("stage", &format!("hubkeeper stage hubkeeper/acme --expires-at {shown} --yes < good.token"), staged, 0)
        .await;
    hold(&sessions, false);
    sessions
        .typed(
            "stage",
            &format!("hubkeeper stage hubkeeper/acme --expires-at {shown} --yes < public.token")
                .replace(&shown, "never"),
            Some(&public),
            1,
        )
        .await;

    sessions.typed("verify-secret", "hubkeeper verify --secret hubkeeper/acme", None, 0).await;
    sessions.typed("verify-secret", "hubkeeper verify --secret hubkeeper/acme --candidate", None, 4).await;

    sessions.site.world.with(|state| {
        let token = state.random_text(36);
        let mut document = scene::document_with(&token, Some(now - Duration::hours(54)));
        document["organization"] = json!("globex");
        document["connector"]["name"] = json!("dockerhub-globex");
        aws::create_secret(state, "hubkeeper/globex", &document, &[("hubkeeper", "managed")])
    });
    sessions.typed("status", "hubkeeper status", None, 4).await;
    sessions.site.world.with(|state| {
        arm::revoke_grants(state, scene::CLIENT);
        arm::add_resource_group(state, scene::SUBSCRIPTION, "rg-other");
        arm::grant(state, scene::CLIENT, scene::SUBSCRIPTION, "rg-other", &["read", "write", "delete"]);
    });
    sessions.typed("doctor", "hubkeeper doctor --secret hubkeeper/acme", None, 4).await;
    sessions.site.world.with(|state| {
        arm::grant(state, scene::CLIENT, scene::SUBSCRIPTION, scene::GROUP, &["read", "write", "delete"]);
    });
    sessions.typed("monitor", "hubkeeper status hubkeeper/acme", None, 0).await;
    sessions.typed("reconcile", "hubkeeper reconcile hubkeeper/acme --revoke-replaced --plan", None, 0).await;
    sessions.typed("reconcile", "hubkeeper reconcile --all --yes", None, 1).await;
    sessions.typed("offboard", "hubkeeper offboard hubkeeper/acme --plan", None, 0).await;
    sessions.typed("offboard", "hubkeeper offboard hubkeeper/acme --yes", None, 0).await;
    let token = token_of_initech(&sessions.site);
    let init = "hubkeeper init initech --username initech-scanner --expect billing,ledger --subscription a5caac9c-5c04-49af-b3d0-e204f40345d5 --resource-group rg-defender --location westeurope --no-token";
    sessions.typed("init-plan", &format!("{init} --dry-run"), None, 0).await;
    sessions.typed("init", &format!("{init} --yes"), None, 0).await;
    let staged = async |site: &Site| {
        let run = site.run(&["stage", "hubkeeper/initech", "--expires-at", &ends, "--yes"]);
        run.input(&token).transcript(0).await
    };
    let stage = format!("hubkeeper stage hubkeeper/initech --expires-at {shown} --yes < initech.token");
    sessions.add("init", &stage, staged, 0).await;
    sessions.typed("init", "hubkeeper status hubkeeper/initech", None, 0).await;
    let nobody =
        async |site: &Site| site.run(&["status", "--local"]).without("HUBKEEPER_AZURE_AUTH").transcript(4).await;
    sessions.add("azure", "hubkeeper status --local", nobody, 4).await;
    sessions.stable()
}

/// Creates another organization at Docker Hub, and a token of its user.
fn token_of_initech(site: &Site) -> String {
    site.world.with(|state| scene::organization(state, "initech", "initech-scanner"));
    site.token_of("initech-scanner", "repo:read")
}

/// The options of a command as rows, those of all commands apart.
fn options(command: &clap::Command, of_all: bool) -> String {
    let mut table = "| option | meaning |\n|---|---|\n".to_owned();
    for argument in command
        .get_arguments()
        .filter(|argument| !matches!(argument.get_action(), ArgAction::Help | ArgAction::Version))
    {
        if argument.is_global_set() != of_all {
            continue;
        }
        let values = argument.get_value_names().filter(|_| argument.get_action().takes_values());
        let value = values.map(|names| names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" "));
        let name = match (argument.get_short(), argument.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}"),
            (None, Some(long)) => format!("--{long}"),
            _ => String::new(),
        };
        let name =
            [Some(name).filter(|name| !name.is_empty()), value].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let hidden = argument.get_possible_values();
        let possible: Vec<&str> = hidden.iter().map(clap::builder::PossibleValue::get_name).collect();
        if argument.get_action().takes_values() && possible.len() > 1 {
            let _ = write!(meaning, ": {}", possible.join(", "));
        }
        let default = argument.get_default_values();
        if let ([default], true) = (default, argument.get_action().takes_values()) {
            let _ = write!(meaning, " (default: {})", default.to_string_lossy());
        }
        let _ = writeln!(table, "| `{name}` | {} |", meaning.replace('|', "\\|"));
    }
    table
}

/// The page with the text under each mark `<!-- kind: name -->` replaced: up to the next empty line outside a code block.
fn with(page: &str, mark: &str, text: &str) -> String {
    let mark = format!("<!-- {mark} -->\n");
    let (before, after) = page.split_once(&mark).unwrap_or_else(|| panic!("docs/cli.md has no {mark}"));
    let old = match after.strip_prefix("```") {
        Some(block) => block.find("\n```\n").map_or(0, |at| "```".len() + at + "\n```\n".len()),
        None if after.starts_with('|') => after.find("\n\n").map_or(after.len(), |at| at + 1),
        None => 0,
    };
    format!("{before}{mark}{text}{}", &after[old..])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_the_commands_print_and_their_options() {
    let page = fs::read_to_string(Path::new(PAGE)).unwrap();
    let mut new = page.clone();
    for session in sessions().await {
        new = with(&new, &format!("session: {}", session.name), &session.text);
    }
    let mut command = Cli::command();
    command.build();
    new = with(&new, "options: of all commands", &options(&command, true));
    for command in command.get_subcommands() {
        new = with(&new, &format!("options: {}", command.get_name()), &options(command, false));
    }
    if std::env::var_os(RENEW).is_some() {
        fs::write(PAGE, new).unwrap();
        return;
    }
    let differing = new.lines().zip(page.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
    assert!(
        new == page,
        "docs/cli.md does not show what hubkeeper prints now: run `make sessions`, read the page, and commit it.\n\
        The first line that differs (now, on the page): {differing:?}"
    );
}

#[test]
fn the_page_lists_every_exit_code() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (_, table) = page.split_once("## Exit codes\n").unwrap();
    let rows =
        table.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let listed: Vec<u8> = rows.filter_map(|cell| cell.parse().ok()).collect();
    let all = [Code::Done, Code::Refused, Code::Usage, Code::Retry, Code::Person, Code::Interrupted];
    assert_eq!(listed, all.map(Code::number));
}

#[test]
fn what_changes_from_run_to_run_is_made_stable() {
    let now = datetime!(2027-05-05 23:59:30 UTC);
    let text = "expires 2027-08-03T23:59:31Z, staged 2027-08-03T00:00:00Z, at 12.5, 2027-05-05T23:59:29.123Z.";
    assert_eq!(
        times(text, now),
        "expires 2027-03-01T09:30:00Z, staged 2027-03-01T00:00:00Z, at 12.5, 2026-12-01T09:30:00Z."
    );
    assert_eq!(durations("{\"durationMs\": 7,\n\"durationMs\": 1234}"), "{\"durationMs\": 120,\n\"durationMs\": 120}");
    let page = "a\n<!-- session: x -->\n```console\n$ y\n\nz\n```\n\n<!-- options: x -->\n| a |\n|---|\n| b |\n\nend\n";
    let new = with(&with(page, "session: x", "```console\nn\n```\n"), "options: x", "| c |\n");
    assert_eq!(new, "a\n<!-- session: x -->\n```console\nn\n```\n\n<!-- options: x -->\n| c |\n\nend\n");
    assert_eq!(with("<!-- session: n -->\n\nend\n", "session: n", "x\n"), "<!-- session: n -->\nx\n\nend\n");
}
