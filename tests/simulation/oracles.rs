//! The promises, by name, as checks at every change of the sandbox's state, at every request, at every response, and at rest.
//!
//! The oracles know nothing about the function's code. They judge a proof by the requests and their responses.

mod people;
mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hubkeeper::http::{Request, Response, TransportError, TransportErrorKind};
use hubkeeper_core::error::Error;
use hubkeeper_sandbox::{Recorded, State, World, arm, aws, hub, leak};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::people::People;
use self::stack::Asked;
use crate::calls::Call;
use crate::network::{Invocation, text_of};
use hubkeeper_scene::{Answer, CONNECTOR, GROUP, ORG, SUBSCRIPTION, Scene, USER};

/// What one invocation knows from the responses that reached it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each on its own")]
struct Told {
    /// Docker Hub's bearers, and the token that each came from.
    bearers: BTreeMap<String, String>,
    /// By token: the listed repositories.
    listed: BTreeMap<String, BTreeSet<String>>,
    /// By token: the repositories that the registry lets it pull.
    granted: BTreeMap<String, BTreeSet<String>>,
    /// Creates that the service may have carried out since the list of tokens was last read.
    created: BTreeSet<String>,
    /// Whether the connector may have been written since it was last read.
    written: bool,
    /// The version in the connector when it was last read.
    carried: Option<String>,
    /// Whether an invitation may have been created since the invitations were last read.
    invited: bool,
    /// Whether a request to Docker Hub was sent: the function then knows the secret's document.
    knows_organization: bool,
    /// The request of a stack.
    stack: Option<Asked>,
    /// The secret that the event names. This run's own if the event names several or none.
    secret: String,
    /// Whether the event is a step of a rotation.
    is_step: bool,
    /// The tokens of the versions in use at the start.
    in_use: BTreeSet<String>,
    /// By password: the users allowed by the login's secret.
    logins: BTreeMap<String, Vec<String>>,
    /// Whether it created a connector.
    made_connector: bool,
    /// Whether the last read of the secret's connector found none.
    saw_none: bool,
}

/// The state that no invocation may change.
#[derive(Default)]
struct Before {
    current: Option<String>,
    /// The token of AWSCURRENT.
    token: Option<String>,
    /// Every token by its uuid.
    values: BTreeMap<String, String>,
    pats: BTreeMap<String, (String, bool, Vec<String>)>,
    tags: BTreeMap<String, String>,
    offerings: BTreeSet<String>,
}

/// The violations without duplicates, in order.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn insert(&mut self, what: String) {
        if !self.0.contains(&what) {
            self.0.push(what);
        }
    }
}

#[derive(Default)]
struct Inner {
    arn: String,
    fingerprint: String,
    told: BTreeMap<Invocation, Told>,
    before: Before,
    people: People,
    /// Former tokens of AWSCURRENT.
    replaced: BTreeSet<String>,
    /// Tokens that were found dead in a connector.
    dead: BTreeSet<String>,
    /// Whether an event requested the deletion of the connector.
    offboarded: bool,
    /// Writes of connectors.
    connector_writes: usize,
    violations: Violations,
}

/// The oracles of one run.
#[derive(Clone, Default)]
pub(crate) struct Oracles(Arc<Mutex<Inner>>);

/// Whether a tag of a connector is hubkeeper's own.
fn is_own_tag(name: &str) -> bool {
    name.starts_with("hubkeeper-")
}

const OWN_OFFERINGS: [&str; 3] = ["CspmMonitorDockerHub", "DefenderForContainersDockerHub", "DefenderCspmDockerHub"];

impl Oracles {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Starts to watch a world.
    pub(crate) fn watch(&self, world: &World) {
        let this = self.clone();
        world.watch(move |state, entry| this.changed(state, entry));
    }

    /// Sets the secret of the run.
    pub(crate) fn about(&self, arn: &str) {
        let mut inner = self.lock();
        arn.clone_into(&mut inner.arn);
        let digest = Sha256::digest(arn.as_bytes());
        inner.fingerprint = digest.iter().take(6).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    }

    /// Records the state that people and the flow's preparation left.
    pub(crate) fn note(&self, state: &State) {
        let mut inner = self.lock();
        inner.before = Before::of(state, &inner.arn, &inner.fingerprint);
        inner.people.note(state);
    }

    /// Records the act of a person.
    pub(crate) fn acted(&self, state: &State) {
        let mut inner = self.lock();
        let token = inner.before.token.clone();
        let now = token_of(state, &inner.arn, "AWSCURRENT");
        inner.replaced(token, now.as_ref());
        drop(inner);
        self.note(state);
    }

    /// The number of connector writes so far.
    pub(crate) fn connector_writes(&self) -> usize {
        self.lock().connector_writes
    }

    /// The event asks to set the dedicated user's role.
    pub(crate) fn may_raise(&self) {
        self.lock().people.may_raise = true;
    }

    /// An invocation begins.
    pub(crate) fn began(&self, invocation: Invocation, event: &Value, state: &State) {
        let mut inner = self.lock();
        let text = event.to_string();
        let arn = text.find("arn:aws:secretsmanager:").map(|at| &text[at..]);
        let arn = arn.and_then(|arn| arn.split(['"', '\\']).next()).map_or_else(|| inner.arn.clone(), str::to_owned);
        let in_use = in_use(state, &arn);
        inner.offboarded |= event["action"] == "offboard" || event["RequestType"] == "Delete";
        let told = inner.told.entry(invocation).or_default();
        told.stack = Asked::by(event);
        told.is_step = event["Step"].is_string();
        (told.secret, told.in_use) = (arn, in_use);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.0.clone()
    }

    pub(crate) fn violated(&self, what: impl Into<String>) {
        self.lock().violations.insert(what.into());
    }

    // ---- at every request -------------------------------------------------------------------------------------------

    pub(crate) fn foreign_host(&self, host: &str) {
        self.violated(format!("no leak: a request went to {host}, which is not one of the function's services"));
    }

    /// Checks a request before it is sent.
    pub(crate) fn sent(&self, invocation: Invocation, call: Call, request: &Request) {
        let mut inner = self.lock();
        let Inner { told, violations, arn, .. } = &mut *inner;
        let told = told.entry(invocation).or_default();
        match call {
            Call::Mint if told.created.contains(&text_of(request, "token_label")) => {
                violations.insert(
                    "no blind repeat: a token is created again without reading the list, although the first request may have created it"
                        .into(),
                );
            }
            Call::ConnectorPut if told.written => {
                violations.insert(
                    "no blind repeat: the connector is written again without reading it, although the first request may have written it"
                        .into(),
                );
            }
            Call::Stage if text_of(request, "VersionStage") == "AWSCURRENT" => {
                let member = |name: &str| text_of(request, name);
                if member("RemoveFromVersionId").is_empty() || member("MoveToVersionId").is_empty() {
                    violations
                        .insert("compare-and-swap: a request moves AWSCURRENT without naming its old version".into());
                }
            }
            Call::Put if text_of(request, "SecretId") == *arn => {
                let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
                let stages: Vec<&str> =
                    body["VersionStages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                if stages.is_empty() || stages.contains(&"AWSCURRENT") {
                    violations.insert("compare-and-swap: a put gives the label AWSCURRENT to a value directly".into());
                }
            }
            _ => {}
        }
        if call == Call::Invite && told.invited {
            violations.insert(
                "no blind repeat: an invitation is created again without reading the list, although the first request may have created it"
                    .into(),
            );
        }
        let password = text_of(request, "password");
        if call == Call::PasswordLogin && !password.is_empty() {
            let name = told.secret.split(":secret:").nth(1).unwrap_or_default();
            let name = name.get(..name.len().saturating_sub(7)).unwrap_or_default();
            let may = told
                .logins
                .get(&password)
                .is_some_and(|users| users.iter().any(|user| *user == told.secret || user == name));
            if !may {
                violations
                    .insert(format!("confused deputy: {name} logs in with a login whose usedBy does not list it"));
            }
        }
        if let Some(asked) = told.stack.as_mut().filter(|_| call == Call::Answer) {
            asked.answered = true;
        }
        told.knows_organization |= matches!(call, Call::Login | Call::PasswordLogin);
    }

    /// Records a response that reached the function.
    pub(crate) fn answered(
        &self,
        invocation: Invocation,
        call: Call,
        request: &Request,
        answered: &Result<Response, TransportError>,
    ) {
        let mut inner = self.lock();
        let told = inner.told.entry(invocation).or_default();
        // a request that was certainly not carried out may be sent again
        let undone = match answered {
            Ok(response) => matches!(response.status().as_u16(), 400..=407 | 409..=499),
            Err(error) => error.kind == TransportErrorKind::Connect,
        };
        let body = answered.as_ref().ok().filter(|response| response.status().is_success()).map(Response::body);
        let body: Option<Value> = body.and_then(|body| serde_json::from_slice(body).ok());
        match call {
            Call::Mint if !undone => _ = told.created.insert(text_of(request, "token_label")),
            Call::ConnectorPut if !undone => told.written = true,
            Call::Tokens if body.is_some() => told.created.clear(),
            Call::Invite if !undone => told.invited = true,
            Call::People if body.is_some() && request.uri().path().ends_with("/invites") => told.invited = false,
            Call::Connector
                if answered.as_ref().is_ok_and(|response| matches!(response.status().as_u16(), 200 | 404)) =>
            {
                told.written = false;
                if is_home(request) {
                    told.saw_none = body.is_none();
                }
                let version = body.as_ref().and_then(|body| body["tags"]["hubkeeper-version"].as_str());
                told.carried = version.map(str::to_owned);
            }
            Call::Value => {
                let text = body.as_ref().and_then(|body| body["SecretString"].as_str()).unwrap_or_default();
                let login: Value = serde_json::from_str(text).unwrap_or_default();
                if let Some(password) = login["password"].as_str() {
                    let users = login["usedBy"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    told.logins.insert(password.to_owned(), users.map(str::to_owned).collect());
                }
            }
            Call::Login => {
                if let Some(bearer) = body.as_ref().and_then(|body| body["access_token"].as_str()) {
                    told.bearers.insert(bearer.to_owned(), text_of(request, "secret"));
                }
            }
            Call::Repositories => {
                let token =
                    header(request).strip_prefix("Bearer ").and_then(|bearer| told.bearers.get(bearer)).cloned();
                let names = body.as_ref().and_then(|body| body["results"].as_array()).into_iter().flatten();
                let names = names.filter_map(|entry| entry["name"].as_str().map(str::to_owned));
                if let Some(token) = token {
                    told.listed.entry(token).or_default().extend(names);
                }
            }
            Call::Grant => {
                let pulls = body.as_ref().and_then(|body| body["token"].as_str()).map(pulls).unwrap_or_default();
                if let Some(token) = basic(request) {
                    told.granted.entry(token).or_default().extend(pulls);
                }
            }
            _ => {}
        }
    }

    // ---- at every change --------------------------------------------------------------------------------------------

    fn changed(&self, state: &State, entry: &Recorded) {
        let mut inner = self.lock();
        let now = Before::of(state, &inner.arn, &inner.fingerprint);
        let call = Call::of(entry.service, &entry.request);
        let status = entry.response.as_ref().map_or(0, |response| response.status().as_u16());
        let done = (200..300).contains(&status);
        let invocation = entry.request.extensions().get::<Invocation>().copied();
        inner.connector_writes += usize::from(call == Call::ConnectorPut && done);
        inner.connector(state, entry, invocation, status);
        if let Some(told) = invocation.and_then(|id| inner.told.get_mut(&id)).filter(|_| call == Call::Put && done) {
            // a version that the function stored is in use from then on
            told.in_use.extend(in_use(state, &told.secret));
        }
        inner.token(state, entry, invocation, now.token.as_deref());
        let (replaced, token) = (inner.before.token.clone(), now.token.as_ref());
        inner.replaced(replaced, token);
        let Inner { arn, told, before, people, violations, dead, .. } = &mut *inner;
        let mut broken = |what: String| violations.insert(what);
        // this applies to every connector: people do not revoke tokens here
        for credential in arm::connectors(state).filter_map(arm::Connector::credential) {
            let is_dead = !hub::accepts(state, credential.0, credential.1);
            if is_dead && dead.insert(credential.1.to_owned()) {
                broken(format!("no gap: the token in the connector is dead after {}", entry.line()));
            }
        }
        let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR);
        let credential = connector.and_then(arm::Connector::credential);
        if call == Call::ConnectorPut && done {
            match target(state, &entry.request).and_then(arm::Connector::credential) {
                None => broken("no unproven write: the connector was written without a token".into()),
                Some((username, token)) => {
                    if !hub::can_pull_everything(state, username, token, ORG) {
                        broken("no unproven write: the connector's token does not read everything".into());
                    }
                    if hub::can_push(state, username, token, ORG) {
                        broken("no unproven write: the connector's token can push".into());
                    }
                    let told = entry.request.extensions().get::<Invocation>().and_then(|id| told.get(id));
                    if !told.is_some_and(|told| told.proves(token, &repositories(state))) {
                        broken(
                            "no unproven write: the connector was written before this invocation had listed and been granted every repository with that token"
                                .into(),
                        );
                    }
                }
            }
            let is_home = is_home(&entry.request);
            if is_home && before.tags.iter().any(|(name, value)| now.tags.get(name) != Some(value)) {
                broken("kept: the connector lost a tag of other tools".into());
            }
            if is_home && !now.offerings.is_superset(&before.offerings) {
                broken("kept: the connector lost an offering of other tools".into());
            }
        }
        if call == Call::Answer && done {
            let asked = entry.request.extensions().get::<Invocation>().and_then(|id| told.get(id)?.stack.as_ref());
            let current = aws::value_of(state, arn, now.current.as_deref().unwrap_or_default()).unwrap_or_default();
            let carries_current = credential.is_some_and(|(_, token)| current["accessToken"] == token);
            if let Some(what) = stack::untrue(asked, &entry.request, carries_current, connector.is_some()) {
                broken(format!("true answer: {what}"));
            }
        }
        for what in people.changed(state, call == Call::Membership) {
            broken(format!("people: {what}, by {}", entry.line()));
        }
        let own = invocation.and_then(|id| told.get(&id)).is_none_or(|told| told.secret == *arn);
        for (uuid, pat) in &before.pats {
            if own && now.pats.get(uuid) != Some(pat) {
                broken(format!("no gap: a token without this secret's label was changed by {}", entry.line()));
            }
        }
        if now.current != before.current && matches!(call, Call::Stage | Call::Put) {
            let version = now.current.clone().unwrap_or_default();
            let token = aws::value_of(state, arn, &version).unwrap_or_default()["accessToken"].clone();
            // another run's PUT may come in between; this run reads back, and writes the current version
            let told = entry.request.extensions().get::<Invocation>().and_then(|id| told.get(id));
            let saw = told.is_some_and(|told| told.carried.as_ref() == Some(&version));
            if call == Call::Put || (credential.map(|(_, token)| token) != token.as_str() && !saw) {
                broken("compare-and-swap: AWSCURRENT moved to a version whose token is not in the connector".into());
            }
            let token = token.as_str().unwrap_or_default();
            if !hub::can_pull_everything(state, USER, token, ORG) || hub::can_push(state, USER, token, ORG) {
                broken(
                    "compare-and-swap: AWSCURRENT moved to a version whose token reads too little or does more".into(),
                );
            }
        }
        before.current = now.current;
        (before.token, before.values) = (now.token, now.values);
        if connector.is_none() {
            before.tags.clear();
            before.offerings.clear();
        }
        // later additions by people belong to them as well
        before.pats.extend(now.pats);
    }

    // ---- at every result --------------------------------------------------------------------------------------------

    /// Every failure has a type, names its step and, if known, the organization, and says what to do.
    pub(crate) fn answer(&self, invocation: Invocation, answer: &Answer) {
        let knows = self.lock().told.get(&invocation).is_some_and(|told| told.knows_organization);
        match answer {
            Err(error) => self.error(error, knows),
            Ok(report) => {
                let items = report["items"].as_array().into_iter().flatten();
                for item in items.filter(|item| item["errorType"].is_string()) {
                    self.message(item["errorMessage"].as_str().unwrap_or_default(), knows);
                    let kinds = ["Misconfigured", "Refused", "Retryable", "NeedsHuman", "BadEvent"];
                    if !kinds.contains(&item["errorType"].as_str().unwrap_or_default()) {
                        self.violated(format!("typed error: {} is not a type of error", item["errorType"]));
                    }
                }
            }
        }
    }

    fn error(&self, error: &Error, knows: bool) {
        if error.step().is_none() {
            self.violated(format!("typed error: {error} names no step"));
        }
        if knows && error.organization().is_none() {
            self.violated(format!("typed error: {error} does not name the organization"));
        }
        self.message(&error.to_string(), knows);
    }

    fn message(&self, message: &str, knows: bool) {
        if message.contains("panicked") {
            self.violated(format!("typed error: the function panicked ({message})"));
        }
        if !message.contains("; remedy: ") {
            self.violated(format!("typed error: `{message}` has no remedy"));
        }
        if knows && !message.contains(&format!("organization {ORG}")) {
            self.violated(format!("typed error: `{message}` does not name the organization"));
        }
    }

    /// An invocation returned. A stack that asked must have got a response, or it waits for an hour.
    pub(crate) fn returned(&self, invocation: Invocation) {
        let asked = |told: &Told| told.stack.as_ref().is_some_and(|asked| !asked.answered);
        let untold = self.lock().told.get(&invocation).is_some_and(asked);
        if untold {
            self.violated("true answer: a stack's request gets no response");
        }
    }

    /// The function timed out before it returned.
    pub(crate) fn late(&self, event: &Value) {
        let what = event["Step"].as_str().or(event["action"].as_str()).unwrap_or("an event").to_owned();
        self.violated(format!("deadline: the function timed out before it responded to {what}"));
    }

    // ---- at rest ----------------------------------------------------------------------------------------------------

    /// The connector has the version of AWSCURRENT.
    pub(crate) fn carries_current(&self, scene: &Scene) {
        let current = scene.version("AWSCURRENT").unwrap_or_default();
        let token = scene.value(&current)["accessToken"].as_str().unwrap_or_default().to_owned();
        match scene.connector() {
            None => self.violated("at rest: the connector does not exist"),
            Some((version, in_use)) if version != current || in_use != token => {
                self.violated("at rest: the connector does not have the version of AWSCURRENT");
            }
            Some(_) => {}
        }
    }

    /// One token for each version in use, and no other of ours. `given_up`: none of ours at all.
    pub(crate) fn tokens_are_tidy(&self, scene: &Scene, given_up: bool) {
        for stray in self.strays(scene, given_up) {
            self.violated(format!("at rest: {stray}"));
        }
    }

    /// The tokens that [`Oracles::tokens_are_tidy`] would report.
    pub(crate) fn strays(&self, scene: &Scene, given_up: bool) -> Vec<String> {
        let prefix = format!("hubkeeper/{}/", self.lock().fingerprint);
        let labels = ["AWSCURRENT", "AWSPENDING", "HUBKEEPER_CANDIDATE"];
        let in_use: BTreeSet<String> = scene.world.with(|state| {
            labels.iter().filter(|_| !given_up).filter_map(|label| token_of(state, &scene.arn, label)).collect()
        });
        let pats = scene.world.with(|state| hub::pats_of(state, USER));
        let own = pats.iter().filter(|pat| pat.label.starts_with(&prefix));
        own.filter_map(|pat| match (in_use.contains(&pat.value), pat.is_active) {
            (true, true) => None,
            (true, false) => Some("the token of a version in use is not active".to_owned()),
            (false, _) => Some(format!("a token of no version in use still exists ({})", pat.label)),
        })
        .collect()
    }

    /// Certainly rejected puts leave at most this many active tokens that are stored nowhere.
    pub(crate) fn no_pile(&self, scene: &Scene, most: usize) {
        let prefix = format!("hubkeeper/{}/", self.lock().fingerprint);
        let piled = scene.world.with(|state| {
            let versions =
                state.aws.secrets.get(&scene.arn).map(|secret| secret.versions.keys().cloned().collect::<Vec<_>>());
            let values =
                versions.unwrap_or_default().into_iter().filter_map(|id| aws::value_of(state, &scene.arn, &id));
            let stored: BTreeSet<String> =
                values.filter_map(|value| value["accessToken"].as_str().map(str::to_owned)).collect();
            let own =
                hub::pats_of(state, USER).into_iter().filter(|pat| pat.label.starts_with(&prefix) && pat.is_active);
            own.filter(|pat| !stored.contains(&pat.value)).count()
        });
        if piled > most {
            self.violated(format!("no pile: {piled} active tokens are stored nowhere after rejected puts"));
        }
    }

    // ---- at every end -----------------------------------------------------------------------------------------------

    /// No secret in anything that left the function. For long secrets it searches the end, so that parts of them are found too.
    pub(crate) fn no_leak(&self, scene: &Scene) {
        let secrets = scene.world.with(|state| leak::secrets_of(state));
        let ends: BTreeSet<String> = secrets
            .into_iter()
            .map(|secret| {
                let skip = secret.len().saturating_sub(END);
                secret.get(skip..).map(str::to_owned).unwrap_or(secret)
            })
            .collect();
        let ends: Vec<String> = ends.into_iter().collect();
        for leak in leak::find(&ends, &scene.output()) {
            self.violated(format!(
                "no leak: a secret in the output ({}): {}",
                leak.how,
                leak.around.replace('\n', " ")
            ));
        }
    }
}

/// The part of a secret that is searched for.
const END: usize = 20;

impl Told {
    /// Whether every repository was listed and granted with this token.
    fn proves(&self, token: &str, repositories: &BTreeSet<String>) -> bool {
        let has = |known: &BTreeMap<String, BTreeSet<String>>| {
            known.get(token).is_some_and(|known| known.is_superset(repositories))
        };
        has(&self.listed) && has(&self.granted)
    }
}

impl Inner {
    /// AWSCURRENT changes from that token to this one.
    fn replaced(&mut self, before: Option<String>, now: Option<&String>) {
        if before.as_ref() != now {
            self.replaced.extend(before);
        }
        if let Some(now) = now {
            self.replaced.remove(now);
        }
    }

    /// The allowed changes to a connector, by writer.
    fn connector(&mut self, state: &State, entry: &Recorded, invocation: Option<Invocation>, status: u16) {
        let call = Call::of(entry.service, &entry.request);
        let Some(told) = invocation.and_then(|id| self.told.get_mut(&id)) else { return };
        if call == Call::ConnectorDelete && status == 200 && !self.offboarded && !told.made_connector {
            self.violations.insert(
                "no deletion by a tag: a connector is deleted although no event requested an offboarding".into(),
            );
        }
        if call != Call::ConnectorPut || !(200..300).contains(&status) {
            return;
        }
        told.made_connector |= status == 201;
        if told.secret != self.arn {
            return;
        }
        let ours = |connector: &&arm::Connector| connector.tag("hubkeeper-secret") == Some(&self.fingerprint);
        let is_home = is_home(&entry.request);
        let others = arm::connectors(state).filter(ours).count() > 1;
        // created again between a person's move and the read of it: nobody can see that
        if others && (!is_home || (status == 201 && told.saw_none)) {
            self.violations
                .insert(format!("one connector: {} writes a second one while the first exists", entry.line()));
        }
        let written = target(state, &entry.request).and_then(arm::Connector::credential).map(|(_, token)| token);
        if told.is_step && written.is_some_and(|token| self.replaced.contains(token)) {
            self.violations.insert("no way back: a rotation brings a replaced token back into the connector".into());
        }
    }

    /// The allowed changes to a token, and by a rotation to the token of AWSCURRENT.
    fn token(&mut self, state: &State, entry: &Recorded, invocation: Option<Invocation>, current: Option<&str>) {
        let Some(told) = invocation.and_then(|id| self.told.get(&id)) else { return };
        let call = Call::of(entry.service, &entry.request);
        let done = entry.response.as_ref().is_some_and(|response| response.status().is_success());
        if call == Call::Revoke && done {
            let uuid = entry.request.uri().path().rsplit('/').next().unwrap_or_default();
            let value = self.before.values.get(uuid);
            if value.is_some_and(|value| told.in_use.contains(value) && in_use(state, &told.secret).contains(value)) {
                self.violations.insert("no gap: the token of a version in use is deleted".into());
            }
        }
        let moved = call == Call::Stage && current != self.before.token.as_deref();
        if told.is_step && moved && current.is_some_and(|token| self.replaced.contains(token)) {
            self.violations.insert("no way back: a rotation brings a replaced token back into AWSCURRENT".into());
        }
    }
}

/// The token of the version that has a label.
fn token_of(state: &State, arn: &str, label: &str) -> Option<String> {
    let version = aws::version_with(state, arn, label)?;
    aws::value_of(state, arn, &version)?["accessToken"].as_str().map(str::to_owned)
}

/// The tokens of the versions in use. An offboarded secret has none.
fn in_use(state: &State, arn: &str) -> BTreeSet<String> {
    if aws::tags(state, arn).get("hubkeeper").is_some_and(|tag| tag == "offboarded") {
        return BTreeSet::new();
    }
    // beside AWSPREVIOUS, AWSPENDING is left over from a completed rotation
    let version = |label| aws::version_with(state, arn, label);
    let is_over = version("AWSPENDING") == version("AWSPREVIOUS");
    let labels = ["AWSCURRENT", "AWSPENDING", "HUBKEEPER_CANDIDATE"];
    let labels = labels.iter().filter(|label| !is_over || **label != "AWSPENDING");
    labels.filter_map(|label| token_of(state, arn, label)).collect()
}

/// The connector in a request.
fn target<'a>(state: &'a State, request: &Request) -> Option<&'a arm::Connector> {
    let mut parts = request.uri().path().split('/').skip(2);
    arm::connector(state, parts.next()?, parts.nth(1)?, parts.nth(3)?)
}

/// Whether a request is about the connector that the run's secret kept from the beginning.
fn is_home(request: &Request) -> bool {
    let path = request.uri().path().to_ascii_lowercase();
    path.contains(&format!("/resourcegroups/{GROUP}/")) && path.ends_with(&format!("/{CONNECTOR}"))
}

impl Before {
    fn of(state: &State, arn: &str, fingerprint: &str) -> Self {
        let prefix = format!("hubkeeper/{fingerprint}/");
        let foreign = hub::pats_of(state, USER).into_iter().filter(|pat| !pat.label.starts_with(&prefix));
        let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR);
        let tags = connector.map(|connector| connector.tags.clone()).unwrap_or_default();
        let offerings = connector.map(arm::Connector::offerings).unwrap_or_default();
        Self {
            current: aws::version_with(state, arn, "AWSCURRENT"),
            token: token_of(state, arn, "AWSCURRENT"),
            values: hub::pats_of(state, USER).into_iter().map(|pat| (pat.uuid, pat.value)).collect(),
            pats: foreign.map(|pat| (pat.uuid, (pat.label, pat.is_active, pat.scopes))).collect(),
            tags: tags.into_iter().filter(|(name, _)| !is_own_tag(name)).collect(),
            offerings: offerings.into_iter().filter(|kind| !OWN_OFFERINGS.contains(kind)).map(str::to_owned).collect(),
        }
    }
}

fn repositories(state: &State) -> BTreeSet<String> {
    hub::organization(state, ORG).map(|found| found.repositories.keys().cloned().collect()).unwrap_or_default()
}

fn header(request: &Request) -> &str {
    request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The password of basic authorization.
fn basic(request: &Request) -> Option<String> {
    let pair = STANDARD.decode(header(request).strip_prefix("Basic ")?).ok()?;
    String::from_utf8(pair).ok()?.split_once(':').map(|(_, token)| token.to_owned())
}

/// The repositories of the organization that a registry token lets its holder pull.
fn pulls(jwt: &str) -> BTreeSet<String> {
    let claims = jwt.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Value = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let access = claims["access"].as_array().into_iter().flatten();
    let pull =
        access.filter(|entry| entry["actions"].as_array().is_some_and(|actions| actions.iter().any(|a| a == "pull")));
    pull.filter_map(|entry| entry["name"].as_str()?.strip_prefix(&format!("{ORG}/")).map(str::to_owned)).collect()
}
