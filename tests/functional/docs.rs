//! Checks that the documents match the code: events, variables, warnings, links, files and names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hubkeeper::metrics;
use hubkeeper_core::config::{AzureAuth, Cloud, Config, Environment, OverPrivilege};
use hubkeeper_core::connector::Health;
use hubkeeper_core::doctor::Check;
use hubkeeper_core::event::cloudformation::Asked;
use hubkeeper_core::event::{Event, parse};
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::report::InvitationReport;
use hubkeeper_core::status::{Item, Page, State};
use hubkeeper_core::traffic::Service;
use hubkeeper_core::warning::WarningCode;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns every page of the repository: those of the root and of `docs`, and the others by name.
fn documents() -> Vec<String> {
    let pages = |folder: &str| -> Vec<String> {
        let names = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        let names = names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"));
        names.map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") }).collect()
    };
    let mut pages: Vec<String> = ["", "docs", "tests", "infra/azure"].into_iter().flat_map(pages).collect();
    pages.sort();
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

/// Returns the section under a heading, up to the next heading of its level.
fn section(document: &str, heading: &str) -> String {
    let text = read(document);
    let from = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{document} has no `{heading}`"));
    let body = &text[from + heading.len() + 2..];
    let level = heading.split(' ').next().unwrap_or_default();
    let to = body.find(&format!("\n{level} ")).unwrap_or(body.len());
    body[..to].to_owned()
}

/// Returns the cells of every table row, without heads and rules.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("|--");
    let cells =
        |line: &str| line.trim().trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    (0..lines.len())
        .filter(|at| lines[*at].starts_with('|') && !is_rule(lines[*at]))
        .filter(|at| !lines.get(at + 1).is_some_and(|next| is_rule(next)))
        .map(|at| cells(lines[at]))
        .collect()
}

/// Returns the texts in backticks, outside code blocks.
fn quoted(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2).collect::<String>();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns every Rust file of the function and its core, by its path from the root. Excludes unit tests, which are at
/// the end of a file or in a `tests.rs`.
fn sources() -> BTreeMap<String, String> {
    sources_of(&["src", "crates/core/src"])
}

/// Returns the same of some folders.
fn sources_of(folders: &[&str]) -> BTreeMap<String, String> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("tests") || path.ends_with("fixtures.rs") || path.ends_with("rendered.rs") {
                continue;
            }
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for folder in folders {
        walk(&root().join(folder), &mut files);
    }
    let of = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        let text = read(&path);
        let end = text.find("#[cfg(test)]").unwrap_or(text.len());
        (name, text[..end].to_owned())
    };
    files.into_iter().map(of).collect()
}

fn examples() -> BTreeMap<String, Value> {
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let event = serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, event)
    };
    fs::read_dir(root().join("events")).unwrap().map(of).collect()
}

#[test]
fn the_page_of_doctor_lists_each_check_and_what_it_needs() {
    let rows = rows(&section("docs/doctor.md", "## The checks"));
    let listed: Vec<(String, Vec<String>)> = rows
        .iter()
        .map(|cells| (quoted(&cells[0])[0].clone(), cells.get(2).map(|cell| quoted(cell)).unwrap_or_default()))
        .collect();
    let names = |checks: &[Check]| checks.iter().map(|check| check.name().to_owned()).collect::<Vec<_>>();
    let known: Vec<(String, Vec<String>)> =
        Check::ALL.iter().map(|check| (check.name().to_owned(), names(check.needs()))).collect();
    assert_eq!(listed, known);
    for check in Check::ALL {
        assert!(root().join(check.page()).is_file(), "{}", check.page());
    }
}

#[test]
fn the_page_of_what_is_verified_names_each_fact_of_doctor() {
    let page = read("docs/verified.md");
    let sources = sources();
    let of_doctor = sources.iter().filter(|(name, _)| name.contains("/doctor/"));
    let noted: BTreeSet<String> = of_doctor
        .flat_map(|(_, text)| text.split(".note(").skip(1).map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|text| text.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned))
        .collect();
    assert!(noted.len() > 5, "{noted:?}");
    for item in noted {
        assert!(page.contains(&format!("fact `{item}`")), "docs/verified.md does not name the fact {item}");
    }
}

#[test]
fn every_example_is_understood_as_its_name_says() {
    for (name, event) in examples() {
        let what = match parse(&event).unwrap_or_else(|error| panic!("{name}: {error}")) {
            Event::One(request) => {
                let action = request.trigger.name();
                if request.trigger.is_rotation() { format!("rotation {action}") } else { action.to_owned() }
            }
            Event::Fleet(fleet) => {
                let action = fleet.trigger.name();
                match fleet.secret_ids {
                    None => format!("all {action}"),
                    Some(ids) => format!("{} {action}", if ids.len() > 1 { "many" } else { "named" }),
                }
            }
            Event::Status(query) => match (query.secret_ids, query.next) {
                (None, None) => "all status".to_owned(),
                (None, Some(_)) => "next status".to_owned(),
                (Some(_), _) => "named status".to_owned(),
            },
            Event::Describe => "describe".to_owned(),
            Event::Widget(query) => {
                assert!(!query.filter.is_empty() && !query.dark, "{name}");
                "widget".to_owned()
            }
            Event::Doctor(query) => if query.secret_id.is_some() { "named doctor" } else { "all doctor" }.to_owned(),
            Event::Records(records) => {
                assert!(records.len() > 1 && records.iter().all(|record| record.event.is_ok()), "{name}");
                "records".to_owned()
            }
            Event::CustomResource(resource) => match resource.asked.unwrap_or_else(|error| panic!("{name}: {error}")) {
                Asked::Create { .. } => "custom resource create".to_owned(),
                Asked::Update { .. } => "custom resource update".to_owned(),
                Asked::Delete => "custom resource delete".to_owned(),
            },
            Event::Ignored { reason, .. } => {
                assert!(name.contains("ignored"), "{name} is ignored: {reason}");
                continue;
            }
        };
        let expected = match name.as_str() {
            "rotation-create-secret.json" => "rotation createSecret",
            "rotation-set-secret.json" => "rotation setSecret",
            "rotation-test-secret.json" => "rotation testSecret",
            "rotation-finish-secret.json" => "rotation finishSecret",
            "onboard-many.json" => "many onboard",
            "status.json" => "all status",
            "status-many.json" => "named status",
            "status-next.json" => "next status",
            "widget.json" => "widget",
            "widget-describe.json" => "describe",
            "doctor.json" => "all doctor",
            "doctor-secret.json" => "named doctor",
            "secret-label-updated-candidate.json" => "adopt",
            "secret-label-updated-current.json"
            | "cloudtrail-put-secret-value.json"
            | "cloudtrail-update-secret.json"
            | "rotation-succeeded.json" => "secretChanged",
            "verify.json" => "verify",
            "reconcile.json" | "reconcile-plan.json" | "reconcile-in-eventbridge-detail.json" => "all reconcile",
            "reconcile-many.json" => "many reconcile",
            "reconcile-revoke-replaced.json" => "named reconcile",
            "offboard.json" => "offboard",
            "rotation-failed.json" => "rotationFailed",
            "rotation-abandoned.json" => "rotationAbandoned",
            "sqs-records.json" => "records",
            "custom-resource-create.json" => "custom resource create",
            "custom-resource-update.json" => "custom resource update",
            "custom-resource-delete.json" => "custom resource delete",
            other if other.starts_with("onboard") || other == "action-in-eventbridge-detail.json" => "onboard",
            other => panic!("{other}: say here what this example is"),
        };
        assert_eq!(what, expected, "{name}");
    }
}

#[test]
fn the_page_of_events_has_a_row_for_every_example_and_an_example_for_every_row() {
    let mut listed = Vec::new();
    for row in rows(&read("docs/events.md")) {
        assert_eq!(row.len(), 3, "{row:?}");
        let file = row[0].strip_prefix('[').and_then(|cell| cell.split_once(']')).map(|(name, _)| name.to_owned());
        let file = file.unwrap_or_else(|| panic!("{row:?} names no file"));
        assert_eq!(row[0], format!("[{file}](../events/{file})"));
        assert!(row.iter().all(|cell| !cell.is_empty()), "{file}: an empty cell");
        listed.push(file);
    }
    let files: BTreeSet<String> = examples().into_keys().collect();
    assert_eq!(listed.len(), files.len(), "a file is listed twice, or not at all");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), files);
}

/// Returns the quoted names that begin like a variable of the function.
fn variables_in(source: &str) -> BTreeSet<String> {
    let literals = source.split('"').skip(1).step_by(2);
    let is_name = |text: &&str| {
        (text.starts_with("HUBKEEPER_")
            || text.starts_with("AZURE_")
            || text.ends_with("S_PROXY")
            || text.ends_with("NO_PROXY"))
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    literals.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn the_page_of_configuration_lists_the_variables_that_the_code_reads_with_their_defaults() {
    let table: BTreeMap<String, Vec<String>> = rows(&read("docs/configuration.md"))
        .into_iter()
        .map(|row| {
            assert_eq!(row.len(), 3, "{row:?}");
            let default = quoted(&row[1]);
            (row[0].trim_matches('`').to_owned(), if default.is_empty() { vec![row[1].clone()] } else { default })
        })
        .collect();
    let sources = sources();
    let proxy = sources["crates/core/src/proxy.rs"].split("#[cfg(test)]").next().unwrap();
    let config = ["crates/core/src/config.rs", "crates/core/src/config/reader.rs"].map(|name| sources[name].as_str());
    let names = variables_in(&format!("{}{proxy}", config.concat()));
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(table.keys().cloned().collect::<BTreeSet<_>>(), names);

    let mut environment: Environment =
        ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"].map(|name| (name.to_owned(), "x".to_owned())).into();
    let config = Config::parse(&environment).unwrap();
    environment.insert("HUBKEEPER_AZURE_CLOUD".into(), "us-government".into());
    let government = Config::parse(&environment).unwrap();
    let word = |text: &str| vec![text.to_owned()];
    let expected: BTreeMap<String, Vec<String>> = [
        ("AZURE_TENANT_ID", word("required")),
        ("AZURE_CLIENT_ID", word("required")),
        ("AZURE_AUTHORITY_HOST", vec![config.authority, government.authority]),
        ("HUBKEEPER_AZURE_CLOUD", word(if config.cloud == Cloud::Public { "public" } else { "us-government" })),
        (
            "HUBKEEPER_AZURE_AUTH",
            word(if config.azure_auth == AzureAuth::Federated { "federated" } else { "client-secret" }),
        ),
        ("HUBKEEPER_AZURE_CLIENT_SECRET_ID", word("none")),
        ("HUBKEEPER_ARM_URL", vec![config.arm_url, government.arm_url]),
        ("HUBKEEPER_ARM_API_VERSION", vec![config.arm_api_version]),
        ("HUBKEEPER_HUB_URL", vec![config.hub_url]),
        ("HUBKEEPER_HUB_AUTH_URL", vec![config.hub_auth_url]),
        ("HUBKEEPER_REGISTRY_URL", vec![config.registry_url]),
        ("HUBKEEPER_TOKEN_LIFETIME_DAYS", vec![config.token_lifetime_days.to_string()]),
        ("HUBKEEPER_REVOKE_AFTER_HOURS", vec![config.revoke_after_hours.to_string()]),
        (
            "HUBKEEPER_OVER_PRIVILEGE",
            word(if config.over_privilege == OverPrivilege::Refuse { "refuse" } else { "warn" }),
        ),
        ("HUBKEEPER_QUEUE_URL", word(config.queue_url.as_deref().unwrap_or("none"))),
        ("HTTPS_PROXY", word(config.proxy.as_ref().map_or("none", |proxy| proxy.address()))),
        ("NO_PROXY", word("none")),
        ("HUBKEEPER_CA_BUNDLE", word(config.ca_bundle.as_deref().unwrap_or("none"))),
    ]
    .map(|(name, default)| (name.to_owned(), default))
    .into();
    assert_eq!(table, expected);
}

#[test]
fn the_page_of_the_command_line_names_every_variable_that_it_reads() {
    let page = read("docs/cli.md");
    let names = variables_in(&sources_of(&["cli/src"]).into_values().collect::<String>());
    // a prefix is no variable
    let names: Vec<&String> = names.iter().filter(|name| !name.ends_with('_')).collect();
    assert!(names.len() > 6, "{names:?}");
    for name in names {
        let is_named = [format!("`{name}`"), format!("`{name}=")].iter().any(|text| page.contains(text));
        assert!(is_named, "docs/cli.md does not name {name}");
    }
}

#[test]
fn every_warning_is_given_somewhere() {
    let texts: String =
        sources().into_iter().filter(|(name, _)| !name.ends_with("warning.rs")).map(|(_, text)| text).collect();
    for code in WarningCode::ALL {
        assert!(texts.contains(&format!("WarningCode::{code:?}")), "{code} is never given");
    }
}

#[test]
fn the_page_of_the_report_explains_every_warning_and_no_other() {
    let codes: BTreeSet<String> = WarningCode::ALL.iter().map(|code| code.name().to_owned()).collect();
    let explained: BTreeSet<String> =
        rows(&section("docs/report.md", "## Warnings")).iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(explained, codes);
}

#[test]
fn the_page_of_operation_explains_every_state_worst_first() {
    let table = rows(&section("docs/operating.md", "## See the state of every secret"));
    let explained: Vec<String> = table.iter().flat_map(|row| quoted(&row[0])).collect();
    let states: Vec<&str> = State::ALL.iter().map(|state| state.name()).collect();
    assert_eq!(explained, states);
}

/// Returns an item with a value in every field. The compiler rejects it when a field is added.
fn full_status_item() -> Item {
    let text = || Some("x".to_owned());
    let health = Health {
        status: "Healthy".to_owned(),
        reason: None,
        status_changed_at: None,
        last_scanned_at: None,
        issue_count: 0,
        issues: Vec::new(),
    };
    Item {
        organization: text(),
        secret_id: "x".to_owned(),
        state: State::Unknown,
        reason: text(),
        expires_at: text(),
        days_left: Some(1),
        version_id: text().map(VersionId::of_service),
        carried_version_id: text().map(VersionId::of_service),
        proved_at: text(),
        repositories: Some(1),
        private: Some(1),
        health: Some(health),
        next_rotation_at: text(),
        candidate_version_id: text().map(VersionId::of_service),
        invitation: Some(InvitationReport { state: "asked", sent_at: None, age_days: None, resends: None }),
        error_type: Some("Retryable"),
    }
}

#[test]
fn the_page_of_the_report_lists_the_fields_of_a_status_page_and_no_other() {
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let page = Page::new(vec![full_status_item()], Some("x".to_owned()));
    let page = serde_json::to_value(page).unwrap();
    let text = section("docs/report.md", "## Fields of a status page");

    let listed: Vec<String> = rows(&text).iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(listed.len(), fields(&page["items"][0]).len(), "a field is listed twice, or not at all: {listed:?}");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), fields(&page["items"][0]));

    let shape = quoted(&text).into_iter().find(|word| word.starts_with('{')).unwrap();
    let named: BTreeSet<String> = shape.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(named, fields(&page));
}

#[test]
fn the_page_of_metrics_lists_them_with_their_units() {
    let table: BTreeMap<String, String> = rows(&read("docs/metrics.md"))
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone()))
        .collect();
    let of_reports = metrics::METRICS.iter().map(|metric| (metric.name.to_owned(), metric.unit().to_owned()));
    let of_services = metrics::TRAFFIC_METRICS.iter().map(|metric| (metric.name.to_owned(), metric.unit().to_owned()));
    assert_eq!(table, of_reports.chain(of_services).collect());
    let page = read("docs/metrics.md");
    for service in Service::ALL {
        assert!(page.contains(&format!("`{}`", service.name())), "{service:?}");
    }
}

/// Returns the anchors that GitHub creates for a page's headings: lower case, no punctuation, hyphens for spaces, and a
/// number for a repeated heading.
fn anchors(page: &str) -> BTreeSet<String> {
    let prose = page.split("```").step_by(2).collect::<String>();
    let headings = prose.lines().filter(|line| line.trim_start_matches('#').starts_with(' ') && line.starts_with('#'));
    let mut seen = BTreeMap::<String, usize>::new();
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}-{}", *count - 1) }
    };
    headings.map(anchor).collect()
}

/// Returns the dead relative links of a page: a missing file, or a page without that heading.
fn dead_links(document: &str, text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|target| !target.starts_with("https://"));
    let is_dead = |target: &&str| {
        let (path, heading) = target.split_once('#').map_or((*target, None), |(path, heading)| (path, Some(heading)));
        let folder = root().join(document).parent().unwrap().to_owned();
        let file = folder.join(path);
        let page = match (path.is_empty(), heading) {
            (true, _) => text.to_owned(),
            (false, None) => return !file.exists(),
            (false, Some(_)) => fs::read_to_string(file).unwrap_or_default(),
        };
        heading.is_some_and(|heading| !anchors(&page).contains(heading))
    };
    relative.filter(is_dead).map(str::to_owned).collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_to_a_heading() {
    for document in documents() {
        let dead = dead_links(&document, &read(&document));
        assert!(dead.is_empty(), "{document} links {dead:?}, which is not there");
    }
}

#[test]
fn a_dead_link_is_noticed() {
    let text = "# A `b`, c\n\n[1](#a-b-c) [2](#a) [3](docs/deploy.md#alarms) [4](docs/deploy.md#no-such) [5](docs/no.md) [6](docs/no.md#x) [7](docs)";
    assert_eq!(dead_links("README.md", text), ["#a", "docs/deploy.md#no-such", "docs/no.md", "docs/no.md#x"]);
}

#[test]
fn the_readme_is_a_front_door_and_leads_to_every_page() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 150, "the README has {} lines: the reference is in docs", readme.lines().count());
    for page in documents().iter().filter(|page| page.starts_with("docs/")) {
        assert!(readme.contains(&format!("]({page})")), "the README does not link {page}");
    }
}

#[test]
fn the_code_cites_pages_of_this_repository() {
    let mut cited = BTreeSet::new();
    for (name, text) in sources() {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c));
        let is_page = |word: &&str| Path::new(word).extension().is_some_and(|extension| extension == "md");
        for page in words.map(|word| word.trim_end_matches('.')).filter(is_page) {
            assert!(root().join(page).is_file(), "{name} cites {page}, which is not there");
            cited.insert(page.to_owned());
        }
        assert!(!text.contains("(contract"), "{name} cites a contract: name the page in docs that says it");
    }
    assert!(cited.len() > 5, "{cited:?}");
}

#[test]
fn every_target_of_make_that_a_page_names_exists() {
    let makefile = read("Makefile");
    for document in documents() {
        // the change log may name targets that no longer exist
        for rest in read(&document).split("`make ").skip(1).take_while(|_| document != "CHANGELOG.md") {
            let target: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            assert!(makefile.contains(&format!("\n{target}:")), "{document}: there is no make {target}");
        }
    }
}

#[test]
fn the_map_names_files_that_exist_and_leaves_no_module_out() {
    let named: BTreeSet<String> = quoted(&read("ARCHITECTURE.md"))
        .into_iter()
        .filter(|name| ["src/", "crates/", "tests/", "cli/"].iter().any(|folder| name.starts_with(folder)))
        .collect();
    for name in &named {
        assert!(root().join(name).exists(), "ARCHITECTURE.md names {name}, which is not there");
    }
    // a `mod.rs` that only lists its modules needs no row of its own
    let all = sources_of(&["src", "crates/core/src", "cli/src"]);
    for source in all.keys().filter(|name| !name.ends_with("src/lib.rs") && !name.ends_with("/mod.rs")) {
        assert!(named.contains(source), "ARCHITECTURE.md does not say what is in {source}");
    }
}

/// The first questions of a newcomer, each with a word in the code that answers it.
const QUESTIONS: [(&str, &str); 10] = [
    ("Where is it decided that AWSCURRENT may move?", "carried"),
    ("What is sent to ARM?", "environmentData"),
    ("When is a token good?", "Finding::Complete"),
    ("Which tokens are retired, and when?", "Inventory"),
    ("Where does a TOTP code come from?", "TOTP"),
    ("What happens to a 429?", "429"),
    ("Which tags does it write?", "tag_resource"),
    ("Who may use a manager's login?", "usedBy"),
    ("What does an error of ARM mean?", "RequestDisallowedByPolicy"),
    ("Which events are understood?", "detail-type"),
];

#[test]
fn the_map_answers_a_stranger_in_one_step() {
    let rows = rows(&section("ARCHITECTURE.md", "## Where is it?"));
    assert_eq!(rows.len(), QUESTIONS.len());
    for (row, (question, word)) in rows.iter().zip(QUESTIONS) {
        assert_eq!(row[0], question);
        let (file, function) = (row[1].trim_matches('`'), row[2].trim_matches('`'));
        let source = read(root().join(file));
        let from = source.find(&format!("fn {function}("));
        let from = from.unwrap_or_else(|| panic!("{question} {file} has no function {function}"));
        assert!(source[from..].contains(word), "{question} {function} in {file} does not speak of {word}");
    }
    assert!(read(root().join("ARCHITECTURE.md")).lines().count() <= 200);
    assert!(read(root().join("README.md")).lines().count() <= 150);
}

#[test]
fn names_with_a_path_are_those_of_the_source() {
    let code = sources().into_values().collect::<String>();
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for document in ["ARCHITECTURE.md", "SECURITY.md", "docs/internals.md"] {
        for name in quoted(&read(document)) {
            let is_path =
                name.contains("::") && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_".contains(&byte));
            if is_path {
                let unknown: Vec<&str> = name.split("::").filter(|part| !words.contains(part)).collect();
                assert!(unknown.is_empty(), "{document} names `{name}`: the source has no {unknown:?}");
            }
        }
    }
}

#[test]
fn secrets_are_exposed_where_the_architecture_says_and_nowhere_else() {
    let listed = rows(&section("docs/internals.md", "## Where a secret is exposed"));
    let listed: BTreeSet<String> = listed.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let all = sources_of(&["src", "crates/core/src", "cli/src"]);
    let found = all.into_iter().filter(|(_, text)| text.contains(".expose_secret()")).map(|(name, _)| name);
    assert_eq!(listed, found.collect::<BTreeSet<_>>());
}
