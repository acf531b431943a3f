//! Computes the tables of `docs/cost.md` from requests, log lines and metrics that are counted in the sandbox, and compares
//! them with the page. `make cost` renews them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hubkeeper::handler::Handler;
use hubkeeper_sandbox::rotation::{Function, FunctionError, rotate};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Recorded, aws, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, ORG, Scene, logged, take_logged};

/// The variable that makes the test write the page instead of comparing it.
const RENEW: &str = "HUBKEEPER_RENEW_COST";
const PAGE: &str = "docs/cost.md";
const REPOSITORIES: usize = 100;
const FLEETS: [usize; 5] = [1, 10, 300, 3_000, 10_000];
/// Time that each request takes in the scene, in milliseconds.
const LATENCY: i128 = 20;
const DAYS: usize = 30;
const HOURS: usize = DAYS * 24;

// ---- what the page assumes, and says

/// Requests per minute and address that Docker Hub's API allows (observed).
const A_MINUTE: usize = 180;
/// Duration of one request of the longest chain, with the work between two of them, in seconds.
const RESPONSE: f64 = 0.15;
/// Lambda's own log lines of one invocation, in bytes: start, report, and the runtime's.
const PLATFORM_LINES: usize = 1_000;
/// Requests of Lambda's pollers to an empty queue in an hour: five pollers that wait for 20 seconds.
const POLLS: usize = 5 * 3 * 60;

// ---- list prices, USD; the page names their source

const SECRET: f64 = 0.40;
const SECRET_CALL: f64 = 0.05 / 10_000.0;
const INVOCATION: f64 = 0.20 / 1e6;
/// arm64.
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;
const QUEUE_REQUEST: f64 = 0.40 / 1e6;
const LOG_GIGABYTE: f64 = 0.50;
/// For each metric: up to so many of them.
const METRIC: [(f64, f64); 3] = [(10_000.0, 0.30), (250_000.0, 0.10), (1_000_000.0, 0.05)];
const ALARM: f64 = 0.10;
const DASHBOARD: f64 = 3.00;

/// The services, in the order of the table's rows.
const SERVICES: [&str; 7] = [
    "Secrets Manager",
    "STS",
    "Entra",
    "Azure Resource Manager",
    "Docker Hub's API",
    "token service of Docker's registry",
    "Docker's registry",
];

/// What one run costs, counted in the sandbox.
#[derive(Default, Clone)]
struct Run {
    requests: BTreeMap<&'static str, usize>,
    invocations: usize,
    /// Requests that wait for each other.
    chain: usize,
    /// Bytes of the function's log lines and metrics.
    logged: usize,
    /// Custom metrics with the dimension `Organization`, and those without.
    metrics: (usize, usize),
}

fn service(entry: &Recorded) -> &'static str {
    match entry.service {
        Service::Aws if aws::action(&entry.request).as_deref() == Some("GetWebIdentityToken") => "STS",
        Service::Aws => "Secrets Manager",
        Service::Entra => "Entra",
        Service::Arm => "Azure Resource Manager",
        Service::Hub => "Docker Hub's API",
        Service::HubAuth => "token service of Docker's registry",
        Service::Registry => "Docker's registry",
        Service::Responses => panic!("no stack takes part"),
    }
}

/// Counts everything since the last call.
fn counted(scene: &Scene, invocations: usize, took: time::Duration) -> Run {
    let mut run = Run { invocations, ..Run::default() };
    for entry in scene.world.take_record() {
        *run.requests.entry(service(&entry)).or_default() += 1;
    }
    assert_eq!(took.whole_milliseconds() % LATENCY, 0, "{took}: something other than requests takes time");
    run.chain = usize::try_from(took.whole_milliseconds() / LATENCY).unwrap();
    let text = take_logged();
    for line in text.lines() {
        let level = serde_json::from_str::<Value>(line).unwrap()["level"].as_str().unwrap().to_owned();
        if ["INFO", "WARN", "ERROR"].contains(&level.as_str()) {
            run.logged += line.len() + 1;
        }
    }
    let mut known = BTreeSet::new();
    for line in scene.take_metrics() {
        run.logged += line.to_string().len() + 1;
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        for (set, metric) in directive["Dimensions"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|set| directive["Metrics"].as_array().unwrap().iter().map(move |metric| (set, metric)))
        {
            let names: Vec<&str> = set.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let values: Vec<String> = names.iter().map(|name| format!("{name}={}", line[name])).collect();
            if known.insert((values, metric["Name"].to_string())) {
                let counts = &mut run.metrics;
                *(if names.contains(&"Organization") { &mut counts.0 } else { &mut counts.1 }) += 1;
            }
        }
    }
    run
}

/// One organization, onboarded, with 100 repositories.
async fn onboarded(begin: Begin) -> Scene {
    let scene = Scene::new(begin);
    scene.world.with(|state| hub::add_repositories(state, ORG, "service-", REPOSITORIES - 4, 2));
    scene.onboard().await.unwrap();
    forget(&scene);
    scene
}

fn forget(scene: &Scene) {
    let _ = (scene.world.take_record(), take_logged(), scene.take_metrics());
    assert!(logged().is_empty());
}

/// A daily reconcile in an environment that has a bearer for ARM, as of the message of a queue.
async fn reconcile(begin: Begin) -> Run {
    let scene = onboarded(begin).await;
    let handler: Handler = scene.handler(None);
    let body = scene.reconcile_event(&json!({"mode": "apply"})).to_string();
    let record = json!({"messageId": "m", "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {}, "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:fleet", "awsRegion": "eu-west-1"});
    let event = json!({"Records": [record]});
    let mut took = time::Duration::ZERO;
    for _ in 0..2 {
        forget(&scene);
        let since = scene.now();
        let answer = handler.handle(&event, scene.deadline()).await.unwrap();
        assert_eq!(answer, json!({"batchItemFailures": []}));
        took = scene.now() - since;
    }
    assert_eq!(scene.writes(), [""; 0], "all is well");
    counted(&scene, 1, took)
}

/// What the invocation that sends a secret to the queue logs about it.
async fn fan_out() -> Run {
    let mut scene = onboarded(Begin::Manager).await;
    let queue = scene.world.with(|state| aws::sqs::add_queue(state, "fleet"));
    scene.set("HUBKEEPER_QUEUE_URL", &queue);
    let began = scene.now();
    let answer = scene.invoke(json!({"action": "reconcile"})).await.unwrap();
    assert_eq!(answer["items"][0]["outcome"], "recorded");
    let run = counted(&scene, 1, scene.now() - began);
    assert_eq!((run.chain, run.metrics.0), (2, 0), "a list, and a batch");
    run
}

/// The function, with the time that its invocations take.
struct Timed<'a>(&'a Scene, std::sync::Mutex<time::Duration>);

impl Function for Timed<'_> {
    async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
        let began = self.0.now();
        let answer = Function::invoke(self.0, event).await;
        *self.1.lock().unwrap() += self.0.now() - began;
        answer
    }
}

/// A rotation with a manager, in four invocations of new environments.
async fn rotation() -> Run {
    let scene = onboarded(Begin::Manager).await;
    let timed = Timed(&scene, std::sync::Mutex::default());
    let rotation = rotate(&scene.world, &timed, &scene.arn, 1).await;
    assert!(rotation.succeeded, "{:?}", rotation.message);
    let took = *timed.1.lock().unwrap();
    counted(&scene, rotation.steps.len(), took)
}

/// The stack's settings, from the template.
struct Stack {
    gigabytes: f64,
    concurrency: usize,
    alarms: usize,
}

fn stack() -> Stack {
    let template = read("infra/aws/template.yaml");
    let after = |mark: &str, name: &str| -> f64 {
        let rest = template.split_once(mark).unwrap().1;
        let value = rest.split_once(&format!("{name}: ")).unwrap().1;
        value.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let concurrency = template.split_once("MaximumConcurrency: ").unwrap().1;
    Stack {
        gigabytes: after("\n  MemorySize:\n", "Default") / 1024.0,
        concurrency: concurrency.split('}').next().unwrap().parse().unwrap(),
        alarms: template.matches("Type: AWS::CloudWatch::Alarm").count(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn float(count: usize) -> f64 {
    count as f64
}

/// Minutes in which Docker Hub's API allows a reconcile of so many organizations.
fn minutes(organizations: usize, run: &Run) -> usize {
    (organizations * run.requests["Docker Hub's API"]).div_ceil(A_MINUTE)
}

/// The price of so many metrics, for a month.
fn metrics(count: f64) -> f64 {
    let mut below = 0.0;
    let mut price = 0.0;
    for (limit, each) in METRIC {
        price += (count.min(limit) - below).max(0.0) * each;
        below = limit;
    }
    assert!(count <= below, "more tiers than these");
    price
}

/// The costs of a fleet with managers for a month: the quantity, and USD.
fn month(
    organizations: usize,
    daily: &Run,
    sent: &Run,
    rotation: &Run,
    stack: &Stack,
) -> Vec<(&'static str, String, f64)> {
    let many = float(organizations);
    let pages = organizations.div_ceil(100);
    let batches = organizations.div_ceil(10);
    let secrets = 2 * organizations;
    let calls = DAYS * (pages + organizations * daily.requests["Secrets Manager"])
        + organizations * rotation.requests["Secrets Manager"];
    let invocations = DAYS * (1 + organizations * daily.invocations) + organizations * rotation.invocations;
    // an invocation that waits for Docker Hub's limit is billed while it waits
    let working = many * float(daily.chain) * RESPONSE;
    let waiting = float(stack.concurrency.min(organizations) * minutes(organizations, daily) * 60);
    let paced = if minutes(organizations, daily) > 1 { working.max(waiting) } else { working };
    let sending = float(pages + batches) * RESPONSE;
    let seconds = float(DAYS) * (paced + sending) + many * float(rotation.chain) * RESPONSE;
    let queue = HOURS * POLLS + DAYS * (batches + 2 * organizations);
    let lines = DAYS * (organizations * (daily.logged + sent.logged) + (organizations + 1) * PLATFORM_LINES)
        + organizations * (rotation.logged + rotation.invocations * PLATFORM_LINES);
    let gigabytes = float(lines) / 1e9;
    let hours = minutes(organizations, daily).div_ceil(60).max(1);
    let metric_hours = DAYS * (organizations * daily.metrics.0 + hours * daily.metrics.1)
        + organizations * rotation.metrics.0
        + organizations.min(HOURS) * rotation.metrics.1;
    let metric_months = float(metric_hours) / float(HOURS);
    vec![
        ("Secrets Manager, secrets", thousands(secrets), float(secrets) * SECRET),
        ("Secrets Manager, calls", thousands(calls), float(calls) * SECRET_CALL),
        ("Lambda, requests", thousands(invocations), float(invocations) * INVOCATION),
        (
            "Lambda, GB-seconds",
            thousands(whole(seconds * stack.gigabytes)),
            seconds * stack.gigabytes * GIGABYTE_SECOND,
        ),
        ("SQS, requests", thousands(queue), float(queue) * QUEUE_REQUEST),
        ("CloudWatch, GB of logs", format!("{gigabytes:.2}"), gigabytes * LOG_GIGABYTE),
        ("CloudWatch, metrics", thousands(whole(metric_months)), metrics(metric_months)),
        ("CloudWatch, alarms", stack.alarms.to_string(), float(stack.alarms) * ALARM),
        ("CloudWatch, dashboard", "1".to_owned(), DASHBOARD),
    ]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn whole(number: f64) -> usize {
    number.round() as usize
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn table(head: impl IntoIterator<Item = String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head: Vec<String> = head.into_iter().collect();
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    rows.into_iter().fold(row(head) + &rule, |text, cells| text + &row(cells))
}

/// The tables of the page, by name.
fn tables(manager: &Run, by_hand: &Run, sent: &Run, rotation: &Run, stack: &Stack) -> Vec<(&'static str, String)> {
    let runs = [manager, by_hand, rotation];
    let mut requests: Vec<Vec<String>> = SERVICES
        .iter()
        .map(|service| {
            let counts = runs.map(|run| run.requests.get(service).copied().unwrap_or_default().to_string());
            [vec![(*service).to_owned()], counts.to_vec()].concat()
        })
        .collect();
    for (name, value) in [
        ("invocations of Lambda", (|run| run.invocations) as fn(&Run) -> usize),
        ("requests that wait for each other", |run| run.chain),
        ("bytes of log lines and metrics, rounded to hundreds", |run| run.logged.div_ceil(100) * 100),
        ("metrics of the organization", |run| run.metrics.0),
        ("metrics of the function", |run| run.metrics.1),
    ] {
        requests.push([vec![name.to_owned()], runs.map(|run| thousands(value(run))).to_vec()].concat());
    }
    let head = ["", "reconcile, with a manager", "reconcile, token made by hand", "rotation, with a manager"];
    let requests = table(head.map(str::to_owned), requests);

    let pace = FLEETS.map(|organizations| {
        let of = |run: &Run| {
            let sent = organizations * run.requests["Docker Hub's API"];
            let minutes = minutes(organizations, run);
            let time = if minutes < 60 {
                format!("{minutes} min")
            } else {
                format!("{} h {:02} min", minutes / 60, minutes % 60)
            };
            [thousands(sent), time]
        };
        [vec![thousands(organizations)], of(manager).to_vec(), of(by_hand).to_vec()].concat()
    });
    let head = ["organizations", "requests, with managers", "at least", "requests, tokens made by hand", "at least"];
    let pace = table(head.map(str::to_owned), pace);

    let months = FLEETS.map(|organizations| month(organizations, manager, sent, rotation, stack));
    let mut rows: Vec<Vec<String>> = (0..months[0].len())
        .map(|at| {
            let cells = months.iter().map(|month| format!("{:.2} ({})", month[at].2, month[at].1));
            std::iter::once(months[0][at].0.to_owned()).chain(cells).collect()
        })
        .collect();
    let sums = months.map(|month| month.iter().map(|line| line.2).sum::<f64>());
    rows.push(
        std::iter::once("**together**".to_owned()).chain(sums.iter().map(|sum| format!("**{sum:.2}**"))).collect(),
    );
    let each = FLEETS.iter().zip(sums).map(|(organizations, sum)| format!("{:.2}", sum / float(*organizations)));
    rows.push(std::iter::once("for each organization".to_owned()).chain(each).collect());
    let head = std::iter::once("USD a month (quantity)".to_owned()).chain(FLEETS.map(thousands));
    vec![("requests", requests), ("docker-hub", pace), ("month", table(head, rows))]
}

/// The page with these tables between its marks.
fn renewed(page: &str, tables: &[(&str, String)]) -> String {
    tables.iter().fold(page.to_owned(), |page, (name, table)| {
        let (begin, end) = (format!("<!-- computed: {name} -->\n"), "<!-- end -->");
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{PAGE} lacks {begin}"));
        let (_, after) = rest.split_once(end).unwrap();
        let mut text = String::new();
        write!(text, "{before}{begin}{table}{end}{after}").unwrap();
        text
    })
}

#[tokio::test(start_paused = true)]
async fn the_page_of_costs_has_the_measured_requests_and_what_follows_from_them() {
    let (manager, by_hand) = (reconcile(Begin::Manager).await, reconcile(Begin::ByHand).await);
    let (sent, rotation) = (fan_out().await, rotation().await);
    let stack = stack();
    let page = read(PAGE);
    // what the page says in words
    for words in [
        format!("at {A_MINUTE} requests a minute"),
        format!("{REPOSITORIES} repositories"),
        format!("{:.0} milliseconds", RESPONSE * 1e3),
        format!("{} MB", whole(stack.gigabytes * 1024.0)),
        format!("{} alarms", stack.alarms),
        format!("USD {SECRET:.2} each"),
        format!("USD {:.2} for 10,000 calls", SECRET_CALL * 1e4),
        format!("USD {:.2} for a million requests, USD {GIGABYTE_SECOND} for a GB-second", INVOCATION * 1e6),
        format!("USD {:.2} for a million requests: five pollers", QUEUE_REQUEST * 1e6),
        format!("USD {LOG_GIGABYTE:.2} for a GB; {} bytes", thousands(PLATFORM_LINES)),
        format!(
            "USD {:.2} each for a month, {:.2} above 10,000 and {:.2} above 250,000",
            METRIC[0].1, METRIC[1].1, METRIC[2].1
        ),
        format!("USD {ALARM:.2}, a dashboard for USD {DASHBOARD:.2}"),
    ] {
        assert!(page.contains(&words), "{PAGE} does not say {words}");
    }
    let now = renewed(&page, &tables(&manager, &by_hand, &sent, &rotation, &stack));
    if std::env::var_os(RENEW).is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), now).unwrap();
        return;
    }
    if now != page {
        let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cost.md");
        fs::write(&fresh, &now).unwrap();
        let differing = now.lines().zip(page.lines()).find(|(new, old)| new != old);
        panic!(
            "{PAGE} has other figures than the function: run `make cost`, read the page, and commit it.\n\
             The first line that differs (now, in the file): {differing:?}\nThe page as it is now: {}",
            fresh.display()
        );
    }
}

#[test]
fn metrics_get_cheaper_by_tier() {
    assert!((metrics(100.0) - 30.0).abs() < 1e-9);
    assert!((metrics(10_000.0) - 3_000.0).abs() < 1e-9);
    assert!((metrics(30_000.0) - 5_000.0).abs() < 1e-9);
}

#[test]
fn a_changed_figure_changes_the_page() {
    let page = "a\n<!-- computed: month -->\nold\n<!-- end -->\nb\n";
    let now = renewed(page, &[("month", "| 1 |\n".into())]);
    assert_eq!(now, "a\n<!-- computed: month -->\n| 1 |\n<!-- end -->\nb\n");
    assert_eq!(renewed(&now, &[("month", "| 1 |\n".into())]), now);
    assert_eq!(thousands(1_234_567), "1,234,567");
}
