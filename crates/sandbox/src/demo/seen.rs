//! What the demonstration shows of the sandbox: labels, tags, tokens by their ids, the connector. Never a secret.

use std::collections::BTreeMap;

use crate::arm::Connector;
use crate::aws::model::Version;
use crate::{State, arm, hub, scene};

use crate::demo::page::short;

/// The example's connector.
pub(crate) fn connector(state: &State) -> Option<&Connector> {
    arm::connector(state, scene::SUBSCRIPTION, scene::GROUP, scene::CONNECTOR)
}

/// The version that the connector's tag names.
pub(crate) fn carried_version(state: &State) -> Option<String> {
    connector(state)?.tag("hubkeeper-version").map(str::to_owned)
}

/// A token by its PAT's uuid and label.
pub(crate) fn token_name(state: &State, token: &str) -> String {
    match hub::pats_of(state, scene::USER).into_iter().find(|pat| pat.value == token) {
        Some(pat) => {
            let end = pat.expires_at.map_or("without an end".to_owned(), |at| format!("until {}", at.date()));
            format!("PAT {} \"{}\", {end}", short(&pat.uuid), brief_label(&pat.label))
        }
        None => "a token that Docker Hub does not know".to_owned(),
    }
}

/// Labels of minted tokens end in a version id, followed by a marker during retirement.
fn brief_label(label: &str) -> String {
    let (rest, mark) = label.strip_suffix("/retiring").map_or((label, ""), |rest| (rest, "/retiring"));
    match rest.rsplit_once('/') {
        Some((start, version)) if version.len() > 8 => format!("{start}/{}…{mark}", short(version)),
        _ => label.to_owned(),
    }
}

/// The connector's tag and credential, for a person.
pub(crate) fn carried(state: &State) -> String {
    let Some(connector) = connector(state) else { return "none".to_owned() };
    let Some((username, token)) = connector.credential() else {
        return format!("{} carries no credential", connector.name);
    };
    let tag = |name: &str| connector.tag(name).unwrap_or("-");
    format!(
        "{} carries version {}: user {username}, {}; proved {} repositories/private",
        connector.name,
        short(tag("hubkeeper-version")),
        token_name(state, token),
        tag("hubkeeper-proved"),
    )
}

/// The identity of a connector before and after an event: its tag, its credential, and its etag, which changes with every write.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) version: Option<String>,
    pub(crate) credential: Option<(String, String)>,
    stamp: String,
}

/// The example's connector. `None` if it does not exist.
pub(crate) fn carried_now(state: &State) -> Option<Carried> {
    connector(state).map(|connector| Carried {
        version: connector.tag("hubkeeper-version").map(str::to_owned),
        credential: connector.credential().map(|(user, token)| (user.to_owned(), token.to_owned())),
        stamp: connector.etag.clone(),
    })
}

/// Everything that an event can change, by name.
pub(crate) fn everything(state: &State) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for secret in state.aws.secrets.values() {
        for (id, Version { stages, value, .. }) in &secret.versions {
            let labels: Vec<&str> = stages.iter().map(String::as_str).collect();
            let labels = if labels.is_empty() { "no label".to_owned() } else { labels.join(", ") };
            let value = if value.is_some() { "" } else { ", without a value" };
            all.insert(format!("secret {}, version {}", secret.name, short(id)), format!("{labels}{value}"));
        }
        for (name, value) in &secret.tags {
            all.insert(format!("secret {}, tag {name}", secret.name), value.clone());
        }
    }
    for connector in arm::connectors(state) {
        let name = &connector.name;
        for (tag, value) in &connector.tags {
            let value = if tag == "hubkeeper-version" { short(value) } else { value };
            all.insert(format!("connector {name}, tag {tag}"), value.to_owned());
        }
        all.insert(format!("connector {name}, plans"), connector.offerings().join(", "));
        if let Some((username, token)) = connector.credential() {
            let token = token_name(state, token);
            all.insert(format!("connector {name}, credential"), format!("{username}, {token}"));
        }
    }
    for pat in hub::pats_of(state, scene::USER) {
        let active = if pat.is_active { "active" } else { "deactivated" };
        all.insert(
            format!("Docker Hub, PAT {}", short(&pat.uuid)),
            format!("\"{}\", {}, {active}", brief_label(&pat.label), pat.scopes.join(" ")),
        );
    }
    all
}

/// The differences, one per line.
pub(crate) fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in after {
        match before.get(name) {
            None => lines.push(format!("new: {name}: {value}")),
            Some(old) if old != value => lines.push(format!("changed: {name}: {value} (was: {old})")),
            Some(_) => {}
        }
    }
    lines.extend(before.iter().filter(|(name, _)| !after.contains_key(*name)).map(|(name, _)| format!("gone: {name}")));
    lines
}
