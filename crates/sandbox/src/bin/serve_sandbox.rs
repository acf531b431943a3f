//! `serve_sandbox AUTHORITY_FILE`: serves the example world over sockets, for a test in another program. The services listen on
//! 127.0.0.1 until standard input ends.
//!
//! With `SANDBOX_TLS=localhost` every service uses TLS. By default only Entra does.
//!
//! The first line on standard output gives the addresses. Then each line on standard input is a request, a JSON object with the
//! field `do`. The response is one line: `{"ok":true,…}`, or `{"ok":false,"error":"…"}` if nothing was done. Only responses to
//! `password`, `organization`, `owner`, `token`, `organization_token`, `client_secret` and `reader` contain secrets. An error
//! quotes no value.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use hubkeeper_sandbox::serve::{Options, Served, Tls, serve};
use hubkeeper_sandbox::{Service, State, World, arm, aws, entra, hub, keys, leak, record, scene};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

const SERVICES: [(Service, &str); 6] = [
    (Service::Aws, "aws"),
    (Service::Entra, "entra"),
    (Service::Arm, "arm"),
    (Service::Hub, "hub"),
    (Service::HubAuth, "hubAuth"),
    (Service::Registry, "registry"),
];
/// The person who reads Azure with the Azure CLI.
const READER: &str = "a5e0000b-0000-4000-a000-000000000001";
/// The name of the person who changes connectors in the portal.
const PERSON: &str = "somebody@acme.example";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [authority] => run(authority.into()).await,
        _ => Err(io::Error::other("usage: serve_sandbox AUTHORITY_FILE")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "serve_sandbox: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(authority: PathBuf) -> io::Result<()> {
    let sandbox = Sandbox::new();
    let tls = match std::env::var("SANDBOX_TLS").as_deref() {
        Ok("localhost") => Tls::Localhost,
        Err(_) => Tls::default(),
        Ok(_) => return Err(io::Error::other("SANDBOX_TLS must be `localhost` or unset")),
    };
    let options = Options { authority_file: Some(authority), tls, ..Options::default() };
    let served = serve(sandbox.world.clone(), options).await?;
    say(&ready(&served))?;
    tokio::task::spawn_blocking(move || sandbox.converse()).await.map_err(io::Error::other)?
}

fn say(line: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// The addresses of the services, and the names in the example. The environment points the program under test to STS alone of the
/// AWS services.
fn ready(served: &Served) -> Value {
    let variables = scene::environment(served).into_iter().map(|(name, value)| {
        let name = if name == "AWS_ENDPOINT_URL" { "AWS_ENDPOINT_URL_STS".to_owned() } else { name };
        (name, Value::from(value))
    });
    let repositories = scene::REPOSITORIES.map(|(name, ..)| name);
    let private: Vec<&str> =
        scene::REPOSITORIES.iter().filter(|(_, private, _)| *private).map(|(name, ..)| *name).collect();
    json!({
        "ready": true,
        "environment": variables.collect::<Map<_, _>>(),
        "scene": {
            "organization": scene::ORGANIZATION, "user": scene::USER, "teams": [scene::TEAM, scene::PAYMENTS],
            "repositories": repositories, "subscription": scene::SUBSCRIPTION, "group": scene::GROUP,
            "connector": scene::CONNECTOR, "private": private,
        },
        // a registry needs this certificate to trust the token service
        "tokenCertificate": keys::registry_certificate(),
    })
}

/// Requests and writes by service.
type Counts = BTreeMap<Service, (usize, usize)>;

struct Sandbox {
    world: World,
    counts: Arc<Mutex<Counts>>,
}

/// The response to a request. The error says what is wrong with the request.
type Answer = Result<Value, String>;

impl Sandbox {
    fn new() -> Self {
        let world = World::new();
        record::begin(&world);
        world.set_recording(false);
        world.with(|state| {
            scene::docker_hub(state);
            scene::azure(state);
        });
        let counts = Arc::new(Mutex::new(Counts::new()));
        let counted = Arc::clone(&counts);
        world.watch(move |_, entry| {
            let mut counts = counted.lock().unwrap_or_else(PoisonError::into_inner);
            let (requests, writes) = counts.entry(entry.service).or_default();
            *requests += 1;
            *writes += usize::from(entry.is_write());
        });
        Self { world, counts }
    }

    fn converse(&self) -> io::Result<()> {
        for line in io::stdin().lock().split(b'\n') {
            let answer = match self.obey(&line?) {
                Ok(mut answer) => {
                    answer["ok"] = true.into();
                    answer
                }
                Err(error) => json!({ "ok": false, "error": error }),
            };
            say(&answer)?;
        }
        Ok(())
    }

    fn obey(&self, line: &[u8]) -> Answer {
        let request = serde_json::from_slice(line).map_err(|_| "the request is not a JSON object")?;
        let request = Members(&request);
        let act = |act: fn(&mut State, &Members) -> Answer, members: &[&str]| {
            request.only(members)?;
            self.world.with(|state| act(state, &request))
        };
        match request.text("do")? {
            "role" => act(role, &["issuer", "roleArn"]),
            "client_secret" => act(client_secret, &["days"]),
            "organization" => act(organization, &["name", "user"]),
            "owner" => act(owner, &["organization", "user"]),
            "password" => act(password, &["user"]),
            "token" => act(token, &["user", "scope", "days"]),
            "organization_token" => act(organization_token, &["organization", "repositories", "scopes"]),
            "revoke" => act(revoke, &["user", "uuid"]),
            "team" => act(team, &["user", "team", "member"]),
            "tokens" => act(tokens, &["user"]),
            "connectors" => act(|state, _| Ok(connectors(state)), &[]),
            "portal" => act(portal, &["connector", "organization", "user", "token"]),
            "reader" => act(|state, _| Ok(reader(state)), &[]),
            "drift" => act(drift, &["connector"]),
            "delete" => act(delete, &["connector"]),
            "age" => act(age, &["hours"]),
            "secrets_in" => act(secrets_in, &["texts", "also"]),
            "requests" => request.only(&[]).map(|()| self.requests()),
            _ => Err("`do` names an unknown command".to_owned()),
        }
    }

    fn requests(&self) -> Value {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |service| counts.get(&service).copied().unwrap_or_default();
        let by_service = |count: fn((usize, usize)) -> usize| {
            SERVICES.map(|(service, name)| (name.to_owned(), count(of(service)).into())).into_iter().collect()
        };
        let (requests, writes): (Map<_, _>, Map<_, _>) = (by_service(|(all, _)| all), by_service(|(_, writes)| writes));
        json!({ "requests": requests, "writes": writes })
    }
}

/// The fields of a request. An error names the field only, since its value may be a secret.
struct Members<'a>(&'a Map<String, Value>);

impl Members<'_> {
    fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.0.keys().find(|name| *name != "do" && !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
                Err(format!("unknown field `{name}` (known: {})", known.join(", ")))
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let text = self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("`{name}` is not a string"))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let texts = self.0.get(name).and_then(Value::as_array);
        let texts: Option<Vec<String>> =
            texts.and_then(|texts| texts.iter().map(|text| text.as_str().map(str::to_owned)).collect());
        texts.ok_or_else(|| format!("`{name}` is not a list of strings"))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        self.0.get(name).and_then(Value::as_bool).ok_or_else(|| format!("`{name}` is not a boolean"))
    }

    /// A whole number of at most a hundred years in hours, negative or positive.
    fn number(&self, name: &str) -> Result<i64, String> {
        let number = self.0.get(name).and_then(Value::as_i64).filter(|number| number.unsigned_abs() <= 876_000);
        number.ok_or_else(|| format!("`{name}` is not a whole number, or too large"))
    }

    /// The time `days` from now. `None` if the field is absent.
    fn end(&self, state: &State) -> Result<Option<OffsetDateTime>, String> {
        let days = if self.has("days") { Some(self.number("days")?) } else { None };
        Ok(days.map(|days| state.now() + Duration::days(days)))
    }

    /// The name of a user that exists.
    fn user(&self, state: &State) -> Result<&str, String> {
        let name = self.text("user")?;
        hub::user(state, name).map(|_| name).ok_or_else(|| "there is no such user".to_owned())
    }
}

/// Sets the role that calls STS. Entra then trusts only that role.
fn role(state: &mut State, request: &Members) -> Answer {
    let arn = request.text("roleArn")?;
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, "iam", "", account, name] = parts.as_slice() else {
        return Err("`roleArn` is not the ARN of a role".to_owned());
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if !is_account || !name.starts_with("role/") {
        return Err("`roleArn` is not the ARN of a role".to_owned());
    }
    if request.has("issuer") {
        let issuer = request.text("issuer")?;
        if !issuer.starts_with("https://") {
            return Err("`issuer` is not an https URL".to_owned());
        }
        issuer.clone_into(&mut state.aws.sts.issuer);
    }
    (*account).clone_into(&mut state.aws.account);
    arn.clone_into(&mut state.aws.sts.role_arn);
    scene::trust_role(state);
    Ok(json!({ "issuer": state.aws.sts.issuer, "roleArn": state.aws.sts.role_arn }))
}

/// A client secret of the application, for callers that do not federate. Negative days make an expired one.
fn client_secret(state: &mut State, request: &Members) -> Answer {
    let expires_at = request.end(state)?;
    Ok(json!({ "secret": entra::add_client_secret(state, scene::CLIENT, expires_at) }))
}

fn organization(state: &mut State, request: &Members) -> Answer {
    let (name, user) = (request.text("name")?, request.text("user")?);
    if hub::organization(state, name).is_some() || hub::user(state, user).is_some() {
        return Err("the organization or the user exists already".to_owned());
    }
    Ok(json!({ "password": scene::organization(state, name, user) }))
}

fn password(state: &mut State, request: &Members) -> Answer {
    let user = hub::user(state, request.user(state)?);
    Ok(json!({ "password": user.map(|user| user.password.as_str()) }))
}

/// A new user who owns an organization, and so can push to it.
fn owner(state: &mut State, request: &Members) -> Answer {
    let (organization, user) = (request.text("organization")?, request.text("user")?);
    if hub::organization(state, organization).is_none() || hub::user(state, user).is_some() {
        return Err("there is no such organization, or the user exists already".to_owned());
    }
    let password = state.random_text(24);
    hub::add_user(state, user, &password);
    hub::add_member(state, organization, user, hub::Role::Owner);
    Ok(json!({ "password": password }))
}

/// An organization access token with these scopes on these repositories. Repositories are named without the organization, or `*`.
fn organization_token(state: &mut State, request: &Members) -> Answer {
    let organization = request.text("organization")?;
    if hub::organization(state, organization).is_none() {
        return Err("there is no such organization".to_owned());
    }
    let scopes = request.texts("scopes")?;
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let repositories = request.texts("repositories")?;
    let path = |name: &String| hub::OatResource::repositories(&format!("{organization}/{name}"), &scopes);
    let resources = repositories.iter().map(path).collect();
    let (uuid, token) = hub::add_oat(state, organization, "by hand", resources);
    Ok(json!({ "token": token, "uuid": uuid }))
}

/// A personal access token, as a person creates it on the web page. Negative days make an expired one.
fn token(state: &mut State, request: &Members) -> Answer {
    let (user, scope) = (request.user(state)?, request.text("scope")?);
    if !hub::is_scope(scope) {
        return Err("Docker Hub does not know this `scope`".to_owned());
    }
    let expires_at = request.end(state)?;
    let (uuid, token) = hub::add_pat(state, user, "by hand", &[scope], expires_at);
    Ok(json!({ "token": token, "uuid": uuid, "expiresAt": expires_at.map(aws::time_text) }))
}

fn revoke(state: &mut State, request: &Members) -> Answer {
    let (user, uuid) = (request.user(state)?, request.text("uuid")?);
    if !hub::pats_of(state, user).iter().any(|pat| pat.uuid == uuid) {
        return Err("the user has no such token".to_owned());
    }
    hub::revoke(state, uuid);
    Ok(json!({}))
}

/// Adds a user to a team of the user's organization, or removes the user from it.
fn team(state: &mut State, request: &Members) -> Answer {
    let (user, team, member) = (request.user(state)?, request.text("team")?, request.flag("member")?);
    let organizations = hub::organizations_of(state, user);
    let with_team = |name: &&String| hub::organization(state, name).is_some_and(|found| found.teams.contains_key(team));
    let organization = organizations.iter().find(with_team).ok_or("no organization of the user has such a team")?;
    if member {
        hub::add_to_team(state, organization, team, user);
    } else {
        hub::remove_from_team(state, organization, team, user);
    }
    Ok(json!({ "organization": organization }))
}

fn tokens(state: &mut State, request: &Members) -> Answer {
    let pats = hub::pats_of(state, request.user(state)?).into_iter().map(|pat| {
        json!({
            "uuid": pat.uuid, "label": pat.label, "active": pat.is_active, "scope": pat.scopes.join(" "),
            "expiresAt": pat.expires_at.map(aws::time_text),
        })
    });
    Ok(json!({ "tokens": pats.collect::<Vec<_>>() }))
}

/// Every connector, and what Docker Hub says about its token now.
fn connectors(state: &State) -> Value {
    let connectors = arm::connectors(state).map(|connector| {
        let organization = connector.properties["hierarchyIdentifier"].as_str().unwrap_or_default();
        let login = connector.credential();
        let holds = |of: fn(&State, &str, &str, &str) -> bool| {
            login.is_some_and(|(username, token)| of(state, username, token, organization))
        };
        json!({
            "name": connector.name, "group": connector.resource_group, "subscription": connector.subscription,
            "tags": connector.tags, "organization": organization, "user": login.map(|(username, _)| username),
            "offerings": connector.offerings(), "modifiedBy": connector.modified_by,
            "accepted": holds(|state, username, token, _| hub::accepts(state, username, token)),
            "readsEverything": holds(hub::can_pull_everything),
            "canPush": holds(hub::can_push),
        })
    });
    json!({ "connectors": connectors.collect::<Vec<_>>() })
}

/// Subscription, group and name of the connector that a request names.
fn named(state: &State, request: &Members) -> Result<[String; 3], String> {
    let name = request.text("connector")?;
    let found = arm::connectors(state).find(|connector| connector.name.eq_ignore_ascii_case(name));
    let found = found.ok_or("there is no such connector")?;
    Ok([&found.subscription, &found.resource_group, &found.name].map(String::clone))
}

/// A connector as a person makes it in the portal, with one plan and another interval than hubkeeper's default.
fn portal(state: &mut State, request: &Members) -> Answer {
    let (name, organization) = (request.text("connector")?, request.text("organization")?);
    let (user, token) = (request.text("user")?, request.text("token")?);
    let body = json!({"location": "westeurope", "tags": {"team": "platform"}, "properties": {
        "hierarchyIdentifier": organization, "environmentName": "DockerHub",
        "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 12,
            "authentication": {"authenticationType": "AccessToken", "username": user, "accessToken": token}},
        "offerings": [{"offeringType": "CspmMonitorDockerHub"}]}});
    arm::put_connector(state, scene::SUBSCRIPTION, scene::GROUP, name, &body, PERSON);
    let id = arm::connector(state, scene::SUBSCRIPTION, scene::GROUP, name).map(arm::Connector::id);
    Ok(json!({ "id": id }))
}

/// The login of a person at Azure with the built-in role Reader, as the Azure CLI has it.
fn reader(state: &mut State) -> Value {
    arm::grant_reader(state, READER, scene::SUBSCRIPTION);
    json!({ "bearer": entra::issue_bearer(state, READER) })
}

fn drift(state: &mut State, request: &Members) -> Answer {
    let [subscription, group, name] = named(state, request)?;
    arm::edit_connector(state, &subscription, &group, &name, PERSON);
    Ok(json!({}))
}

fn delete(state: &mut State, request: &Members) -> Answer {
    let [subscription, group, name] = named(state, request)?;
    arm::delete_connector(state, &subscription, &group, &name);
    Ok(json!({}))
}

/// Moves the dates of tokens and connectors into the past.
fn age(state: &mut State, request: &Members) -> Answer {
    let hours = request.number("hours")?;
    if hours < 1 {
        return Err("`hours` is not positive".to_owned());
    }
    scene::age(state, Duration::hours(hours));
    Ok(json!({}))
}

/// Searches texts for every secret of this world, and for those that the caller knows.
fn secrets_in(state: &mut State, request: &Members) -> Answer {
    let texts = request.texts("texts")?;
    let secrets: BTreeSet<String> = leak::secrets_of(state).into_iter().chain(request.texts("also")?).collect();
    let finder = leak::Finder::new(&Vec::from_iter(secrets));
    let leaks = texts.iter().enumerate().flat_map(|(index, text)| {
        let leaks = finder.find(text).into_iter();
        leaks.map(move |leak| json!({ "text_index": index, "how": leak.how, "around": leak.around }))
    });
    Ok(json!({ "leaks": leaks.collect::<Vec<_>>() }))
}
