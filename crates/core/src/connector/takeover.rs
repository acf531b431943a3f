//! What a takeover changes in a connector that somebody made without hubkeeper. Pure.
//!
//! It compares the connector with the body that [`merge`] would write, so the list of changes and the
//! write follow the same rules.

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::connector::merge::{Desired, merge, writable};
use crate::connector::observed::{Coverage, Observed, TAG_PROVED, TAG_PROVED_AT, TAG_SECRET, TAG_VERSION};
use crate::ids::{Fingerprint, VersionId};
use crate::secret::Document;
use crate::time::Timestamp;

/// Maximum number of tags of a resource (Microsoft, "Use tags to organize your Azure resources").
pub const MAX_TAGS: usize = 50;

/// The tags that a takeover adds.
const OWN_TAGS: [&str; 4] = [TAG_SECRET, TAG_VERSION, TAG_PROVED_AT, TAG_PROVED];

/// A longer text is not shown: no name or number is as long.
const LONGEST: usize = 300;

/// One side of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// The field does not exist.
    Missing,
    /// Its value.
    Text(String),
    /// A value that is, or could be, a credential.
    Hidden,
    /// A value that is known when the connector is written.
    AtWrite,
}

/// A field that a takeover changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldChange {
    /// Its path in ARM's resource, such as `properties.environmentData.scanInterval`.
    pub field: String,
    /// What it is now.
    pub from: Shown,
    /// What it will be.
    pub to: Shown,
}

/// What a takeover does to a connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Takeover {
    /// The changes, by field.
    pub changes: Vec<FieldChange>,
    /// How many tags the connector has afterwards.
    pub tags: usize,
}

/// Compares a connector with what hubkeeper writes for this document.
pub fn takeover(document: &Document, observed: &Observed) -> Takeover {
    // not known before the write; no value of these is shown
    let placeholder = Desired {
        document,
        token: &SecretString::from("-"),
        fingerprint: &Fingerprint::of_digest("-"),
        version: &VersionId::of_service("-"),
        proved_at: Timestamp::UNIX_EPOCH,
        proved: Coverage { repositories: 0, private: 0 },
    };
    let after = merge(&placeholder, Some(observed));
    let tags = after.get("tags").and_then(Value::as_object).map_or(0, Map::len);
    let mut changes = Vec::new();
    compare("", Some(&Value::Object(writable(observed))), Some(&after), &mut changes);
    for change in changes.iter_mut().filter(|change| is_set_at_write(&change.field)) {
        change.to = Shown::AtWrite;
    }
    Takeover { changes, tags }
}

/// The fields that differ between two reads of a connector, apart from those that only ARM writes.
pub fn changed(before: &Observed, after: &Observed) -> Vec<String> {
    let fields = |observed: &Observed| {
        let mut fields = writable(observed);
        fields.remove("etag");
        Value::Object(fields)
    };
    let mut changes = Vec::new();
    compare("", Some(&fields(before)), Some(&fields(after)), &mut changes);
    changes.into_iter().map(|change| change.field).collect()
}

/// Adds the fields below `path` that differ.
fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let object = |value: Option<&Value>| value.and_then(Value::as_object).map(|fields| named(path, fields));
    let (old, new) = (object(before), object(after));
    if old.is_none() && new.is_none() {
        let change = FieldChange { field: path.to_owned(), from: shown(path, before), to: shown(path, after) };
        // a field that is null is as good as absent
        if (&change.from, &change.to) != (&Shown::Missing, &Shown::Missing) {
            changes.push(change);
        }
        return;
    }
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        compare(&path, old.get(name), new.get(name), changes);
    }
}

/// The fields of an object by name. Names of tags are case-insensitive.
fn named(path: &str, fields: &Map<String, Value>) -> Map<String, Value> {
    if path != "tags" {
        return fields.clone();
    }
    fields.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect()
}

fn is_token(path: &str) -> bool {
    path.ends_with(".authentication.accessToken")
}

fn is_set_at_write(path: &str) -> bool {
    path.strip_prefix("tags.").is_some_and(|name| OWN_TAGS.contains(&name))
}

/// A value for people. Somebody may have pasted a token into any field.
fn shown(path: &str, value: Option<&Value>) -> Shown {
    if is_token(path) {
        return Shown::Hidden;
    }
    let text = match value {
        None | Some(Value::Null) => return Shown::Missing,
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let kinds: Option<Vec<&str>> = items.iter().map(|item| item.get("offeringType")?.as_str()).collect();
            match kinds {
                Some(kinds) => kinds.join(", "),
                None => return Shown::Hidden,
            }
        }
        Some(Value::Object(_)) => return Shown::Hidden,
        Some(other) => other.to_string(),
    };
    text_of(&text).map_or(Shown::Hidden, Shown::Text)
}

/// A text of a connector that can be shown to its owner; `None` if it could be a credential, or could change a terminal.
pub fn text_of(text: &str) -> Option<String> {
    let plain = text.len() <= LONGEST && !text.contains("dckr_") && !text.chars().any(char::is_control);
    plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::document;

    fn portal(change: impl FnOnce(&mut Value)) -> Observed {
        let mut body = json!({
            "id": "/subscriptions/x", "name": "hub", "type": "t", "location": "CentralUS", "kind": "", "etag": "",
            "systemData": {"lastModifiedBy": "person@example.com"},
            "tags": {"cost": "7", "TEAM": "sec"},
            "properties": {
                "hierarchyIdentifier": "acme", "hierarchyIdentifierTrialEndDate": "2027-01-01", "environmentName": "DockerHub",
                "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 12, "future": [1],
                    "authentication": {"authenticationType": "AccessToken", "username": "acme-scanner"}},
                "offerings": [{"offeringType": "DefenderForContainersDockerHub", "description": "d"}, {"offeringType": "Future", "knob": 2}]
            }
        });
        change(&mut body);
        Observed::parse(body).unwrap()
    }

    fn changes(change: impl FnOnce(&mut Value)) -> Vec<(String, Shown, Shown)> {
        let takeover = takeover(&document(|_| {}), &portal(change));
        takeover.changes.into_iter().map(|change| (change.field, change.from, change.to)).collect()
    }

    fn text(text: &str) -> Shown {
        Shown::Text(text.to_owned())
    }

    /// The changes of every takeover: the token and the tags of hubkeeper.
    fn least() -> Vec<(String, Shown, Shown)> {
        let token = "properties.environmentData.authentication.accessToken";
        let tags = ["hubkeeper-proved", "hubkeeper-proved-at", "hubkeeper-secret", "hubkeeper-version"];
        let tags = tags.map(|name| (format!("tags.{name}"), Shown::Missing, Shown::AtWrite));
        [(token.to_owned(), Shown::Hidden, Shown::Hidden)].into_iter().chain(tags).collect()
    }

    #[test]
    fn a_connector_that_is_as_the_document_says_gets_a_token_and_tags() {
        assert_eq!(changes(|_| {}), least());
        // a connector without any tag is told tag by tag too
        let untagged = changes(|body| body["tags"] = Value::Null);
        let team = ("tags.team".to_owned(), Shown::Missing, text("sec"));
        assert_eq!(untagged, least().into_iter().chain([team]).collect::<Vec<_>>());
        // nothing of these is hubkeeper's
        assert_eq!(changes(|body| body["extra"] = json!({"kept": 1})), least());
        // the same token under asterisks, or in plain text
        for token in ["***", "dckr_pat_x"] {
            let with = changes(|body| {
                body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(token);
            });
            assert_eq!(with, least());
        }
    }

    #[test]
    fn each_setting_that_differs_is_a_change() {
        for (pointer, value, field, from, to) in [
            (
                "/properties/hierarchyIdentifier",
                json!("ACME"),
                "properties.hierarchyIdentifier",
                text("ACME"),
                text("acme"),
            ),
            (
                "/properties/environmentData/authentication/username",
                json!("jane"),
                "properties.environmentData.authentication.username",
                text("jane"),
                text("acme-scanner"),
            ),
            (
                "/properties/environmentData/scanInterval",
                Value::Null,
                "properties.environmentData.scanInterval",
                Shown::Missing,
                text("12"),
            ),
            (
                "/properties/offerings",
                json!([{"offeringType": "CspmMonitorDockerHub"}]),
                "properties.offerings",
                text("CspmMonitorDockerHub"),
                text("DefenderForContainersDockerHub"),
            ),
            ("/tags", json!({"cost": "7", "team": "blue"}), "tags.team", text("blue"), text("sec")),
        ] {
            let mut found = changes(|body| *body.pointer_mut(pointer).unwrap() = value);
            found.retain(|change| !least().contains(change));
            assert_eq!(found, [(field.to_owned(), from, to)], "{pointer}");
        }
    }

    #[test]
    fn a_tag_of_hubkeeper_that_somebody_left_is_replaced() {
        let found = changes(|body| body["tags"]["Hubkeeper-Version"] = json!("old"));
        assert!(found.contains(&("tags.hubkeeper-version".to_owned(), text("old"), Shown::AtWrite)), "{found:?}");
        assert_eq!(found.len(), least().len());
    }

    #[test]
    fn what_could_be_a_token_is_hidden_wherever_it_is() {
        for wrong in ["dckr_pat_abc", "two\nlines"] {
            let found = changes(|body| {
                body["properties"]["environmentData"]["authentication"]["username"] = json!(wrong);
            });
            let user = "properties.environmentData.authentication.username".to_owned();
            assert!(found.contains(&(user, Shown::Hidden, text("acme-scanner"))), "{found:?}");
        }
        assert_eq!(text_of(&"x".repeat(301)), None);
        assert_eq!(text_of("acme").as_deref(), Some("acme"));
    }

    #[test]
    fn two_reads_differ_in_what_was_written() {
        let before = portal(|_| {});
        assert_eq!(changed(&before, &before), [""; 0]);
        let after = portal(|body| {
            body["etag"] = json!("e2");
            body["systemData"]["lastModifiedBy"] = json!("a-client");
            body["properties"]["environmentData"]["scanInterval"] = json!(6);
            body["properties"]["offerings"] = json!([{"offeringType": "Future", "knob": 2}]);
            body["tags"] = json!({"COST": "7", "team": "sec", "hubkeeper-version": "v"});
        });
        let fields = ["properties.environmentData.scanInterval", "properties.offerings", "tags.hubkeeper-version"];
        assert_eq!(changed(&before, &after), fields);
    }

    #[test]
    fn the_tags_after_the_takeover_are_counted() {
        let count = |own: usize| {
            let tags: Map<String, Value> = (0..own).map(|at| (format!("t{at}"), json!("x"))).collect();
            takeover(&document(|_| {}), &portal(|body| body["tags"] = Value::Object(tags))).tags
        };
        // four of hubkeeper, and one that the document names
        assert_eq!((count(0), count(45)), (5, MAX_TAGS));
        assert_eq!(
            takeover(&document(|_| {}), &portal(|body| body["tags"]["HUBKEEPER-proved"] = json!("1/1"))).tags,
            6
        );
    }
}
