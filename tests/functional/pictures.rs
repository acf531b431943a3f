//! Checks that the README's pictures show what the program does: each is drawn from a run, and compared with the file
//! in `docs/pictures`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use hubkeeper_sandbox::picture::sequence::{Band, Kind, Row, Sequence};
use hubkeeper_sandbox::picture::svg::{Canvas, SANS};
use hubkeeper_sandbox::picture::terminal;
use hubkeeper_sandbox::rotation::{Function, FunctionError, rotate};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Recorded, demo};
use serde_json::{Value, json};

use crate::infra::notices;
use hubkeeper_scene::{Begin, Scene};

/// The variable that makes the tests write the files instead of comparing them: `make pictures`.
const RENEW: &str = "HUBKEEPER_RENEW_PICTURES";
/// The scenes of the demo that its picture shows, by the beginnings of their headings.
const SCENES: [&str; 3] = ["2 ", "7b ", "Summary"];
const HOURS: u64 = 26;

fn compare(name: &str, drawn: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures").join(name);
    if std::env::var_os(RENEW).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, drawn).unwrap();
        return;
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    if file == drawn {
        return;
    }
    let differing = drawn.lines().zip(file.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&fresh, drawn).unwrap();
    panic!(
        "docs/pictures/{name} does not show what the program does now: run `make pictures`, look at the picture, and commit it.\n\
         The first line that differs (now, in the file): {differing:?}\nThe picture as it is now: {}",
        fresh.display()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_the_demo_shows_what_it_prints() {
    let function = Path::new(env!("CARGO_BIN_EXE_bootstrap"));
    let page = demo::whole_life(function, demo::Page::kept(terminal::COLUMNS)).await.unwrap();
    assert_eq!(page.failures(), 0, "{}", page.text());
    let description = "A terminal in which make demo ran: a scheduled rotation in four steps, a token that is refused because it can \
                       push, and the summary, in which the three promises held.";
    compare("demo.svg", &terminal::draw(page.text(), &SCENES, "make demo", description));
}

/// A function whose requests are recorded by invocation.
struct Observed<'a> {
    scene: &'a Scene,
    invocations: Mutex<Vec<(Value, Vec<Recorded>)>>,
}

impl Function for Observed<'_> {
    async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
        let _ = self.scene.world.take_record();
        let answer = Function::invoke(self.scene, event.clone()).await;
        self.invocations.lock().unwrap().push((event, self.scene.world.take_record()));
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn the_picture_of_a_rotation_shows_its_requests() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let observed = Observed { scene: &scene, invocations: Mutex::default() };
    let rotation = rotate(&scene.world, &observed, &scene.arn, 1).await;
    assert!(rotation.succeeded, "{:?}", rotation.steps);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_hours(HOURS)).await;
        Function::invoke(&observed, json!({"action": "reconcile"})).await.unwrap();
    }
    let mut bands = Vec::new();
    for (event, record) in observed.invocations.lock().unwrap().iter() {
        let band = band(event, record, bands.len());
        bands.push(band);
    }
    bands.iter_mut().filter(|band| band.name == "reconcile").for_each(sum_up);
    let sequence = Sequence {
        title: "One rotation".into(),
        description: "A sequence diagram of one rotation: Secrets Manager invokes hubkeeper for createSecret, setSecret, \
                      testSecret and finishSecret. hubkeeper mints a token, proves it against Docker Hub, writes it into the \
                      connector and reads it back, and only then moves AWSCURRENT. Reconcile retires the old token days later."
            .into(),
        lanes: [
            ("AWS", "Secrets Manager, STS"),
            ("hubkeeper", "the Lambda function"),
            ("Docker Hub", "hub, auth and registry"),
            ("Azure", "Entra, Resource Manager"),
        ]
        .map(|(name, role)| (name.to_owned(), role.to_owned()))
        .to_vec(),
        bands,
    };
    compare("rotation.svg", &sequence.draw());
}

const AWS: usize = 0;
const HUBKEEPER: usize = 1;
const HUB: usize = 2;
const AZURE: usize = 3;

/// Groups the requests of one invocation, in the order of the first request of each group. A write ends every group
/// before it.
fn band(event: &Value, record: &[Recorded], number: usize) -> Band {
    let (name, purpose, invoked) = match event["Step"].as_str() {
        Some("createSecret") => ("createSecret", "mint a token and store it in the pending version", "Secrets Manager"),
        Some("setSecret") => ("setSecret", "prove the token, then give it to the connector", "Secrets Manager"),
        Some("testSecret") => ("testSecret", "test what the connector now carries", "Secrets Manager"),
        Some("finishSecret") => {
            ("finishSecret", "make the version current, once the connector carries it", "Secrets Manager")
        }
        Some(step) => panic!("no such step: {step}"),
        None if number == 4 => ("reconcile", "a day later: deactivate the old token", "EventBridge Scheduler"),
        None => ("reconcile", "another day later: delete the old token", "EventBridge Scheduler"),
    };
    let label = format!("{invoked} invokes");
    let mut rows = vec![Row::Arrow { from: AWS, to: HUBKEEPER, label, count: 1, kind: Kind::Invocation }];
    let mut start = rows.len();
    let mut written = None;
    for entry in record {
        let response = entry.response.as_ref().unwrap();
        assert!(!response.status().is_server_error(), "{}", entry.line());
        let (lane, label) = meaning(entry, written);
        if entry.is_write() {
            rows.push(Row::Arrow { from: HUBKEEPER, to: lane, label, count: 1, kind: Kind::Write });
            start = rows.len();
            written = Some(entry);
            continue;
        }
        let same = rows[start..].iter_mut().find_map(|row| match row {
            Row::Arrow { to, label: known, count, .. } if *to == lane && *known == label => Some(count),
            _ => None,
        });
        match same {
            Some(count) => *count += 1,
            None => rows.push(Row::Arrow { from: HUBKEEPER, to: lane, label, count: 1, kind: Kind::Read }),
        }
    }
    Band { name: name.into(), purpose: purpose.into(), rows }
}

/// Returns the lane of a request and its group. `written` is the write before it in the same invocation.
fn meaning(entry: &Recorded, written: Option<&Recorded>) -> (usize, String) {
    let line = entry.line();
    let (method, rest) = line.split_once(' ').unwrap();
    let path = rest.split('?').next().unwrap();
    let after = |service| written.is_some_and(|written| written.service == service);
    match entry.service {
        Service::Aws => (AWS, aws(path, entry, written.is_some())),
        Service::Entra => (AZURE, "get an access token".into()),
        Service::HubAuth | Service::Registry => (HUB, pulls()),
        Service::Hub => (HUB, hub(method, path, entry)),
        Service::Arm => {
            let label = match method {
                "GET" if path.ends_with("/healthReports") => "read the health report",
                "GET" if path.ends_with("/securityConnectors") => "list the group's connectors",
                "GET" if after(Service::Arm) => "GET connector (read back)",
                "GET" => "GET connector",
                "PUT" => "PUT connector",
                _ => panic!("name this request: {line}"),
            };
            (AZURE, label.into())
        }
        Service::Responses => panic!("name this request: {line}"),
    }
}

fn aws(action: &str, entry: &Recorded, has_written: bool) -> String {
    let body: Value = serde_json::from_slice(entry.request.body()).unwrap_or_default();
    match action {
        "DescribeSecret" | "ListSecretVersionIds" | "GetSecretValue" if has_written => {
            "read labels and values again".into()
        }
        "DescribeSecret" | "ListSecretVersionIds" | "GetSecretValue" => "read labels and values".into(),
        "ListSecrets" => "list the managed secrets".into(),
        "GetWebIdentityToken" => "get an identity token".into(),
        "PutSecretValue" => "store the token".into(),
        "UpdateSecretVersionStage" => format!("move {}", body["VersionStage"].as_str().unwrap()),
        _ => panic!("name this request: {action}"),
    }
}

fn hub(method: &str, path: &str, entry: &Recorded) -> String {
    let asked: Value = serde_json::from_slice(entry.request.body()).unwrap_or_default();
    let answered: Value = serde_json::from_slice(entry.response.as_ref().unwrap().body()).unwrap_or_default();
    match (method, path) {
        ("POST", "/v2/users/login") => "log in with the password".into(),
        ("POST", "/v2/auth/token") => "log in with the token".into(),
        ("POST", "/v2/access-tokens") => format!("mint a token ({})", asked["scopes"][0].as_str().unwrap()),
        ("GET", "/v2/access-tokens") => "list the user's tokens".into(),
        ("PATCH", _) if path.starts_with("/v2/access-tokens/") => "deactivate the old token".into(),
        ("DELETE", _) if path.starts_with("/v2/access-tokens/") => "delete the old token".into(),
        ("GET", _) if path.ends_with("/repositories") => format!("list {} repositories", answered["count"]),
        ("GET", _) if path.ends_with("/tags") => pulls(),
        _ => panic!("name this request: {method} {path}"),
    }
}

/// Returns the line for tags, pull rights and manifests: the requests that show that images can be read.
fn pulls() -> String {
    "pull manifests".into()
}

/// Replaces the requests before the first write by one line: they read the state and prove the token as setSecret does.
fn sum_up(band: &mut Band) {
    let end = band.rows.iter().position(|row| matches!(row, Row::Arrow { kind: Kind::Write, .. })).unwrap();
    let count = |lane: usize| -> usize {
        let of_lane = band.rows[1..end].iter().filter_map(|row| match row {
            Row::Arrow { to, count, .. } if *to == lane => Some(*count),
            _ => None,
        });
        of_lane.sum()
    };
    let (aws, hub, azure) = (count(AWS), count(HUB), count(AZURE));
    let note =
        format!("reads everything and proves the token: {aws} requests to AWS, {hub} to Docker Hub, {azure} to Azure");
    band.rows.splice(1..end, [Row::Note(note)]);
}

/// The style of the pictures of notices: a light card, as mail programs and chats show it.
const NOTICE: &str = "\
.card { fill: #ffffff; stroke: #c8d1dc; }
.kind { font: bold 12px FONTS; fill: #5b6b80; }
.line { font: 13px FONTS; fill: #1d2733; }
.title { font: bold 14px FONTS; fill: #0b3d91; }";

/// Breaks a text into lines of at most `columns` characters. A longer word has a line of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().unwrap();
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= columns {
            *last = format!("{last} {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Draws a notice as a mail, and below as a chat message. Both are rendered from the template.
fn draw_notice(name: &str, rule: &str, event: &Value) -> String {
    const COLUMNS: usize = 118;
    let mail = notices::mail(&notices::render(rule, notices::Format::Email, event));
    let message: Value = serde_json::from_str(&notices::render(rule, notices::Format::Chat, event)).unwrap();
    let content = &message["content"];
    let text = |field: &str| content[field].as_str().unwrap();
    let mut rows: Vec<(&str, String)> = vec![("kind", "Mail: AWS Notification Message".to_owned())];
    rows.extend(mail.iter().flat_map(|line| wrapped(line, COLUMNS)).map(|line| ("line", line)));
    let end_of_mail = rows.len();
    rows.push(("kind", "Chat: Amazon Q Developer".to_owned()));
    rows.extend(wrapped(text("title"), COLUMNS).into_iter().map(|line| ("title", line)));
    rows.extend(wrapped(text("description"), COLUMNS).into_iter().map(|line| ("line", line)));
    for step in content["nextSteps"].as_array().unwrap() {
        let lines = wrapped(step.as_str().unwrap(), COLUMNS - 2).into_iter().enumerate();
        rows.extend(lines.map(|(at, line)| ("line", format!("{} {line}", if at == 0 { "•" } else { " " }))));
    }
    let mut canvas = Canvas::default();
    let heights = [end_of_mail, rows.len() - end_of_mail].map(|rows| u32::try_from(rows).unwrap() * 20 + 28);
    canvas.rectangle("card", (10, 10), (880, heights[0]), 8);
    canvas.rectangle("card", (10, 26 + heights[0]), (880, heights[1]), 8);
    let (mut y, size) = (36, (900, heights[0] + heights[1] + 36));
    for (at, (class, line)) in rows.iter().enumerate() {
        if at == end_of_mail {
            y = heights[0] + 52;
        }
        canvas.text(class, (28, y), &[("", line)]);
        y += 20;
    }
    let description =
        format!("The notice {name} as a mail and as a chat message: what happened, what to do, and links.");
    canvas.document(size, &format!("The notice {name}"), &description, &NOTICE.replace("FONTS", SANS))
}

#[test]
fn the_pictures_of_the_notices_show_what_the_template_sends() {
    for (name, rule, event) in notices::all() {
        compare(&format!("notice-{}.svg", name.to_lowercase()), &draw_notice(name, rule, &event));
    }
}
