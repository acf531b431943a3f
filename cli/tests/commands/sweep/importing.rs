//! Faults while a connector is taken over: its login works after every request, and there is one secret in the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hubkeeper_sandbox::{aws, scene};
use serde_json::{Value, json};

use super::faults::{INVOKE, Kind, Point};
use super::{AGAIN, Ended, Flow, run, sweep, told};
use crate::import::{self, USUAL};
use crate::site::{Run, Site};

/// The connector of the portal becomes one that a secret manages.
#[derive(Default)]
struct Import {
    /// The requests after which the login in a connector did not work, by the site's folder.
    gaps: Arc<Mutex<BTreeMap<PathBuf, Vec<String>>>>,
}

impl Import {
    fn onboard(site: &Site) -> Run<'_> {
        site.run(&["onboard", scene::SECRET, "--yes"])
    }
}

impl Flow for Import {
    fn name(&self) -> &'static str {
        "import"
    }

    async fn site(&self) -> Site {
        let (site, id) = import::site(&USUAL).await;
        // the function would handle them beside the command: each run would send other requests
        site.deployed.as_ref().unwrap().hold_events(true);
        site.file("connector", &id);
        site.file("token", &site.token("repo:read"));
        let (gaps, folder) = (Arc::clone(&self.gaps), site.folder.clone());
        site.world.watch(move |state, entry| {
            if !import::works(state, scene::GROUP) {
                gaps.lock().unwrap().entry(folder.clone()).or_default().push(entry.line());
            }
        });
        site
    }

    fn run<'a>(&self, site: &'a Site) -> Run<'a> {
        let id = fs::read_to_string(site.folder.join("connector")).unwrap();
        site.run(&["import", "--connector", &id, "--expires-at", "2099-01-31", "--yes"])
    }

    fn input(&self, site: &Site) -> String {
        fs::read_to_string(site.folder.join("token")).unwrap()
    }

    fn state(&self, site: &Site) -> Value {
        let gaps = self.gaps.lock().unwrap().get(&site.folder).cloned().unwrap_or_default();
        site.world.with(|state| {
            let connector = import::connector(state, scene::GROUP);
            let secrets = state.aws.secrets.values().map(|secret| {
                let current = aws::version_with(state, &secret.arn, "AWSCURRENT").unwrap();
                let value = aws::value_of(state, &secret.arn, &current);
                let carried = connector
                    .tags
                    .get("hubkeeper-version")
                    .is_some_and(|version| current.starts_with(version.as_str()));
                (
                    secret.name.clone(),
                    json!({"value": value, "managed": secret.tags.get("hubkeeper"), "carried": carried}),
                )
            });
            let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            secrets.for_each(|(name, value)| all.entry(name).or_default().push(value));
            json!({
                "secrets": all, "gaps": gaps, "properties": connector.properties, "login": connector.credential(),
                "tags": connector.tags.keys().collect::<Vec<_>>(),
            })
        })
    }

    /// The function's words are those of its errors. Once there is a secret, the next command is another one.
    fn dishonest(&self, site: &Site, point: &Point, kind: Kind, ended: &Ended) -> Vec<String> {
        if kind.kills() {
            return kind.dishonest(point, ended);
        }
        let text = format!("{}{}", ended.out, ended.err);
        let mut wrong = Vec::new();
        match (kind, ended.code) {
            (Kind::LostOnce | Kind::ThrottledOnce, code) => {
                wrong.push(format!("it happened once, and it ends with {code:?}: {text}"));
            }
            (Kind::Denied, Some(1 | 3 | 4)) | (_, Some(3)) => {}
            (_, code) => wrong.push(format!("it ends with {code:?}: {text}")),
        }
        if !text.contains("what to do") {
            wrong.push(format!("it does not say what to do: {text}"));
        }
        let exists = site.world.with(|state| state.aws.secrets.values().any(|secret| secret.name == scene::SECRET));
        let told = ["hubkeeper onboard hubkeeper/acme", "run the command again"];
        if exists && !told.iter().any(|words| text.contains(words)) {
            wrong.push(format!("it does not say how to continue: {text}"));
        }
        wrong
    }

    fn again(&self, site: &Site) -> Result<(), String> {
        for _ in 0..AGAIN {
            let ended = run(&self.run(site), &self.input(site), |_| ());
            told(site, &ended);
            match ended.code {
                Some(0) => return Ok(()),
                Some(1) if ended.err.contains("manages it already") => return Ok(()),
                Some(4) if ended.err.contains("hubkeeper onboard hubkeeper/acme") => {
                    let ended = run(&Self::onboard(site), "", |_| ());
                    told(site, &ended);
                    if ended.code == Some(0) {
                        return Ok(());
                    }
                }
                Some(3) => {}
                code => return Err(format!("run again, it ends with {code:?}: {}", ended.err.trim())),
            }
        }
        Err("run again, it is not done".to_owned())
    }
}

/// Every kind at writes and invocations. At reads one kind each, by turns, and what is asked about each repository is asked about one of
/// them: the simulation has the function's own requests.
fn kinds(points: &[(Point, bool)]) -> Vec<(Point, Kind)> {
    // the requests about repositories have no order of their own
    let mut points = points.to_vec();
    points.sort();
    let others = scene::REPOSITORIES.map(|(name, ..)| format!("/{name}")).into_iter().filter(|name| name != "/api");
    let others: Vec<String> = others.collect();
    points.retain(|(point, _)| !others.iter().any(|name| point.line.contains(name)));
    let reads = points.iter().filter(|(_, writes)| !writes).map(|(point, _)| point.clone());
    let by_turns = reads.zip([Kind::Broken, Kind::Denied].into_iter().cycle());
    let writes = points.iter().filter(|(_, writes)| *writes);
    let at_writes = writes.flat_map(|(point, _)| Kind::ALL.map(|kind| (point.clone(), kind)));
    let invocation = |nth| Point { line: INVOKE.to_owned(), nth };
    let invoked = [Kind::Lost, Kind::Broken, Kind::Throttled, Kind::Denied];
    let at_invocations = (1..=3).flat_map(|nth| invoked.map(|kind| (invocation(nth), kind)));
    by_turns.chain(at_writes).chain(at_invocations).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_with_a_fault_at_each_request() {
    sweep(Import::default(), kinds).await;
}
