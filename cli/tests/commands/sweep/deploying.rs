//! Faults while a stack is created, updated, rolled back and deleted, and while the identity in Azure is deployed.

use std::collections::BTreeMap;
use std::fs;

use hubkeeper_sandbox::aws::cloudformation::Stacks;
use hubkeeper_sandbox::aws::deployment::Deployment;
use hubkeeper_sandbox::aws::s3::Bucket;
use hubkeeper_sandbox::scene;
use serde_json::{Map, Value, json};

use super::faults::{AZ, Kind, Point, may_break_az};
use super::{Ended, Flow, again, sweep};
use crate::deploy::{ROLE, azure, release, release_with};
use crate::site::{Run, Site};

const BUCKET: &str = "hubkeeper-111122223333-eu-west-1";
const FILE: &str = "hubkeeper-deploy.toml";
const WAY_BACK: &str = "hubkeeper/hubkeeper/previous/stack.json";
/// A hidden parameter, which no output holds.
const PROXY: &str = "http://me:password-of-the-sweep@proxy.example.com:3128";
/// What belongs to another stack, and stays.
const OF_OTHERS: &str = "hubkeeper/hubkeeper-2/previous/stack.json";

/// A world after some commands.
#[derive(Clone, Default)]
struct Before {
    stacks: Stacks,
    buckets: BTreeMap<String, Bucket>,
    deployment: Option<Deployment>,
    file: String,
}

impl Before {
    /// The world that these commands lead to.
    async fn of(commands: &[&[&str]]) -> Self {
        let site = Self::default().site().await;
        for command in commands {
            deploy(&site, command).ends(0).await;
        }
        site.world.with(|state| Self {
            stacks: state.aws.stacks.clone(),
            buckets: state.aws.buckets.clone(),
            deployment: Some(state.aws.deployment.clone()),
            file: fs::read_to_string(site.folder.join(FILE)).unwrap(),
        })
    }

    /// A person in that world, who has the releases 1.0.0 and 1.1.0.
    async fn site(&self) -> Site {
        let mut site = Site::hub().await;
        site.log_in();
        site.is_secret("password-of-the-sweep");
        release(&site, "1.0.0", &["arm64"]);
        release_with(&site, "1.1.0", &["arm64"], |template| {
            template["Resources"].as_object_mut().unwrap().remove("NoticeTopic");
            template["Resources"]["Queue"] = json!({"Type": "AWS::SQS::Queue"});
        });
        site.world.with(|state| {
            ROLE.clone_into(&mut state.aws.sts.role_arn);
            state.aws.stacks = self.stacks.clone();
            state.aws.buckets = self.buckets.clone();
            if let Some(deployment) = &self.deployment {
                state.aws.deployment = deployment.clone();
            }
            // the ids of this world are others than those of what it starts with
            for _ in 0..if self.deployment.is_some() { 1_000 } else { 0 } {
                let _ = state.uuid();
            }
        });
        if !self.file.is_empty() {
            site.file(FILE, &self.file);
        }
        site
    }
}

fn deploy<'a>(site: &'a Site, arguments: &[&str]) -> Run<'a> {
    site.run(arguments).without("AWS_ENDPOINT_URL_CLOUDFORMATION").with("HttpsProxy", PROXY)
}

fn first() -> Vec<String> {
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let options = ["deploy", "--release", "1.0.0", "--yes", "--aws-only", "--set", &ids[0], "--set", &ids[1]];
    options.into_iter().chain(["--set", "HttpsProxy"]).map(str::to_owned).collect()
}

const UPDATE: [&str; 6] = ["deploy", "--release", "1.1.0", "--yes", "--set", "NotificationEmail=a@b"];

/// Stacks, buckets, and the file of choices.
fn state(site: &Site) -> Value {
    site.world.with(|state| {
        let stacks = state.aws.stacks.stacks.iter().map(|(name, stack)| {
            let value = json!({"status": stack.status, "template": stack.template, "parameters": stack.parameters,
                "waiting": stack.change_sets()});
            (name.clone(), value)
        });
        let buckets = state.aws.buckets.iter().map(|(name, bucket)| {
            let objects = bucket
                .objects
                .keys()
                .map(|key| (key.clone(), json!(String::from_utf8_lossy(bucket.object(key).unwrap()))));
            let value = json!({"blocked": bucket.public_access_blocked, "versioned": bucket.versioned,
                "objects": objects.collect::<Map<_, _>>()});
            (name.clone(), value)
        });
        json!({
            "stacks": stacks.collect::<Map<_, _>>(), "buckets": buckets.collect::<Map<_, _>>(),
            "function": state.aws.deployment.function.name, "outputs": state.aws.deployment.outputs,
            "secrets": state.aws.secrets.values().map(|secret| secret.name.clone()).collect::<Vec<_>>(),
            "file": fs::read_to_string(site.folder.join(FILE)).unwrap_or_default(),
            "azure": site.folder.join("az.deployed").exists(),
        })
    })
}

/// A command of `deploy` or `destroy`.
struct Command {
    name: &'static str,
    before: Before,
    arguments: Vec<String>,
}

impl Command {
    fn new(name: &'static str, before: Before, arguments: &[impl AsRef<str>]) -> Self {
        let arguments = arguments.iter().map(|argument| argument.as_ref().to_owned()).collect();
        Self { name, before, arguments }
    }

    fn is_plan(&self) -> bool {
        self.arguments.iter().any(|word| word == "--plan")
    }
}

impl Flow for Command {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn site(&self) -> Site {
        self.before.site().await
    }

    fn run<'a>(&self, site: &'a Site) -> Run<'a> {
        deploy(site, &self.arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn state(&self, site: &Site) -> Value {
        state(site)
    }

    /// A plan may leave something, if it says so.
    fn is_done(&self, ended: &Ended) -> bool {
        ended.code == Some(0) && !(self.is_plan() && ended.err.contains(" stays: aws cloudformation delete-"))
    }

    fn dishonest(&self, _: &Site, point: &Point, kind: Kind, ended: &Ended) -> Vec<String> {
        let says_what_stays = self.is_plan() && ended.code == Some(0) && !kind.kills();
        if says_what_stays { Vec::new() } else { kind.dishonest(point, ended) }
    }

    /// Whatever the command cannot do, it leaves nothing that a person has to clean up; unless it was killed, or could not clean up.
    fn wrong(&self, site: &Site, point: &Point, kind: Kind) -> Option<String> {
        if kind.kills() || point.line.starts_with("DELETE") || point.line.contains("Delete") {
            return None;
        }
        let is_open = |bucket: &Bucket| !(bucket.public_access_blocked && bucket.versioned);
        let open = site.world.with(|state| state.aws.buckets.values().any(is_open));
        // whether the bucket was created is not known: a deletion would be a guess
        let may_exist = kind == Kind::Lost && point.line == format!("PUT /{BUCKET}/");
        if open && !may_exist {
            return Some("it leaves a bucket that is not protected".to_owned());
        }
        // whether it is executed is not known: a deletion would be a guess
        let may_run = point.line == "POST ExecuteChangeSet" && kind != Kind::Denied;
        site.world.with(|state| {
            let left = state
                .aws
                .stacks
                .stacks
                .iter()
                .find(|(_, stack)| stack.change_sets() > 0 || stack.status == "REVIEW_IN_PROGRESS");
            left.filter(|_| !may_run).map(|(name, stack)| format!("it leaves a change set of {name}, {}", stack.status))
        })
    }

    fn again(&self, site: &Site) -> Result<(), String> {
        match again(self, site) {
            // nothing is left to do
            Err(why) if self.arguments[0] == "destroy" && why.contains("there is no stack hubkeeper") => Ok(()),
            done => done,
        }
    }
}

/// Every kind at writes, two kinds at reads. The checks at the end of a deployment are reads that nothing depends on: every fifth, one
/// kind.
fn kinds(points: &[(Point, bool)]) -> Vec<(Point, Kind)> {
    let over = points.iter().rposition(|(point, _)| point.line == "POST DescribeStackEvents").unwrap_or(points.len());
    let over = over.max(points.iter().rposition(|(_, writes)| *writes).unwrap_or_default());
    let mut cases = Vec::new();
    for (at, (point, writes)) in points.iter().enumerate() {
        let kinds = match (at <= over, *writes) {
            (true, true) => &Kind::ALL[..],
            (true, false) => &[Kind::Broken, Kind::Denied],
            (false, _) if at.is_multiple_of(5) => &[Kind::Broken],
            (false, _) => &[],
        };
        cases.extend(kinds.iter().map(|kind| (point.clone(), *kind)));
    }
    cases
}

/// The same with one of the two kinds at reads, by turns: the creation has both.
fn by_turns(points: &[(Point, bool)]) -> Vec<(Point, Kind)> {
    let reads: Vec<&Point> = points.iter().filter(|(_, writes)| !writes).map(|(point, _)| point).collect();
    let mut cases = kinds(points);
    cases.retain(|(point, kind)| {
        let read = reads.iter().position(|read| *read == point);
        read.is_none_or(|at| *kind == [Kind::Broken, Kind::Denied][at % 2])
    });
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_with_a_fault_at_each_request() {
    sweep(Command::new("deploy (create)", Before::default(), &first()), kinds).await;
}

/// A plan leaves nothing, whichever of its writes fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_fault_at_each_write() {
    let plan: Vec<String> = first().into_iter().map(|word| word.replace("--yes", "--plan")).collect();
    let at_writes = |points: &[(Point, bool)]| {
        let writes = points.iter().filter(|(_, writes)| *writes).cloned().collect::<Vec<_>>();
        kinds(&writes)
    };
    sweep(Command::new("deploy --plan", Before::default(), &plan), at_writes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_a_fault_at_each_request() {
    let first = first();
    let before = Before::of(&[&words(&first)]).await;
    sweep(Command::new("deploy (update)", before, &UPDATE), by_turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_with_a_fault_at_each_request() {
    let first = first();
    let before = Before::of(&[&words(&first), &UPDATE]).await;
    sweep(Command::new("deploy --rollback", before, &["deploy", "--rollback", "--yes"]), by_turns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destruction_with_a_fault_at_each_request() {
    let first = first();
    let mut before = Before::of(&[&words(&first), &UPDATE]).await;
    let of_others = vec![("v".to_owned(), "x".into())];
    before.buckets.get_mut(BUCKET).unwrap().objects.insert(OF_OTHERS.to_owned(), of_others);
    sweep(Command::new("destroy", before, &["destroy", "--confirm", "hubkeeper"]), by_turns).await;
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// An update that `CloudFormation` cannot do.
struct Impossible(Command);

impl Impossible {
    fn fails(site: &Site) {
        let reason = ("NoticeTopic".to_owned(), "quota".to_owned());
        site.world.with(|state| state.aws.stacks.fails = Some(reason));
    }
}

impl Flow for Impossible {
    fn name(&self) -> &'static str {
        self.0.name
    }

    async fn site(&self) -> Site {
        let site = self.0.site().await;
        Self::fails(&site);
        site
    }

    fn run<'a>(&self, site: &'a Site) -> Run<'a> {
        Self::fails(site);
        self.0.run(site)
    }

    fn is_done(&self, ended: &Ended) -> bool {
        ended.code == Some(4) && ended.err.contains("was not updated, and is UPDATE_ROLLBACK_COMPLETE")
    }

    fn state(&self, site: &Site) -> Value {
        let mut state = state(site);
        let way_back = &mut state["buckets"][BUCKET]["objects"][WAY_BACK];
        let kept: Value = serde_json::from_str(way_back.as_str().unwrap()).unwrap();
        let address = &kept["parameters"]["NotificationEmail"];
        // a run that was killed may leave one that leads to what the stack is; none leads elsewhere
        *way_back = if *address == "" || *address == "first@example.com" { json!("as before") } else { kept };
        state
    }

    fn wrong(&self, site: &Site, point: &Point, kind: Kind) -> Option<String> {
        self.0.wrong(site, point, kind)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_rolled_back_with_a_fault_at_each_request() {
    let first = first();
    let change = |address: &'static str| ["deploy", "--release", "1.0.0", "--yes", "--set", address];
    let before = Before::of(&[&words(&first), &change("NotificationEmail=first@example.com")]).await;
    let second = change("NotificationEmail=second@example.com");
    sweep(Impossible(Command::new("deploy (update that is rolled back)", before, &second)), by_turns).await;
}

/// Both clouds, with faults in the calls of the Azure CLI.
struct BothClouds(Command);

impl Flow for BothClouds {
    fn name(&self) -> &'static str {
        self.0.name
    }

    async fn site(&self) -> Site {
        let site = self.0.site().await;
        azure(&site);
        may_break_az(&site);
        site
    }

    fn run<'a>(&self, site: &'a Site) -> Run<'a> {
        self.0.run(site)
    }

    fn state(&self, site: &Site) -> Value {
        state(site)
    }

    fn wrong(&self, site: &Site, point: &Point, kind: Kind) -> Option<String> {
        self.0.wrong(site, point, kind)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_both_clouds_with_a_fault_at_each_call_of_the_azure_cli() {
    let arguments = ["deploy", "--release", "1.0.0", "--yes", "--resource-group", "rg-defender"];
    let flow = BothClouds(Command::new("deploy (both clouds)", Before::default(), &arguments));
    let site = flow.site().await;
    flow.run(&site).ends(0).await;
    let calls = fs::read_to_string(site.folder.join("az.calls")).unwrap().lines().count();
    let kinds = [Kind::Denied, Kind::Lost, Kind::KilledBefore, Kind::KilledAfter];
    let point = |nth| Point { line: AZ.to_owned(), nth };
    let cases = (1..=calls).flat_map(|nth| kinds.map(|kind| (point(nth), kind))).collect::<Vec<_>>();
    sweep(flow, |_| cases.clone()).await;
}
