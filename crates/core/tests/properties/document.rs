//! A document that is rewritten keeps the members that are not hubkeeper's.

use hubkeeper_core::ids::{TokenId, VersionId};
use hubkeeper_core::secret::Document;
use proptest::collection::btree_map;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use time::macros::datetime;

use crate::merge::json_value;
use hubkeeper_test_support::property::{ensure, holds, refuted};

const OURS: [&str; 4] = ["accessToken", "tokenId", "expiresAt", "candidateVersion"];

fn documents() -> impl Strategy<Value = Map<String, Value>> {
    let ours = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (btree_map("[a-zA-Z]{1,6}", json_value(), 0..4), ours).prop_map(|(others, (token, id, expires, candidate))| {
        let mut members: Map<String, Value> =
            others.into_iter().map(|(name, value)| (format!("x{name}"), value)).collect();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("organization", json!("acme"));
        put("username", json!("acme-scanner"));
        put(
            "connector",
            json!({"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub",
            "location": "westeurope", "more": [1]}),
        );
        if token {
            put("accessToken", json!("dckr_pat_old"));
        }
        if id {
            put("tokenId", json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001"));
        }
        if expires {
            put("expiresAt", json!("2027-01-01T00:00:00Z"));
        }
        if candidate {
            put("candidateVersion", json!("another"));
        }
        members
    })
}

fn parse(members: &Map<String, Value>) -> Document {
    Document::parse(&SecretString::from(Value::Object(members.clone()).to_string())).unwrap()
}

fn written(document: &Document) -> Map<String, Value> {
    serde_json::from_str(document.to_secret_string().expose_secret()).unwrap()
}

/// Everything but the members that a rewrite is about.
fn others(mut members: Map<String, Value>) -> Map<String, Value> {
    members.retain(|name, _| !OURS.contains(&name.as_str()));
    members
}

/// A document and the one before it.
type Pair = (Map<String, Value>, Map<String, Value>);

fn keeps(rewritten: impl Fn(&Document, &Document) -> Map<String, Value>) -> impl Fn(Pair) -> Result<(), String> {
    move |(members, previous)| {
        let after = others(rewritten(&parse(&members), &parse(&previous)));
        ensure(after == others(members), || format!("{after:?}"))
    }
}

#[test]
fn a_rewrite_keeps_the_members_of_others() {
    let at = datetime!(2027-02-22 10:00 UTC);
    let cases = (documents(), documents());
    holds(&cases, keeps(|document, _| written(document)));
    holds(
        &cases,
        keeps(|document, _| written(&document.with_minted("dckr_pat_new".into(), &TokenId::of_service("id"), at))),
    );
    holds(&cases, keeps(|document, previous| written(&document.taken_from(&VersionId::of_service("v"), [previous]))));
    holds(&cases, keeps(|document, previous| written(&document.without_stale(previous))));
    refuted(
        &cases,
        keeps(|document, previous| {
            written(&previous.with_minted("x".into(), &TokenId::of_service("id"), document.expires_at.unwrap_or(at)))
        }),
    );
}

#[test]
fn what_is_written_is_read_as_the_same() {
    holds(&documents(), |members| {
        let document = parse(&members);
        let again = written(&parse(&written(&document)));
        ensure(again == members, || format!("{again:?}"))
    });
}

#[test]
fn what_came_with_another_token_goes_and_what_is_its_own_stays() {
    holds(&(documents(), documents(), any::<bool>()), |(mut members, mut previous, same)| {
        members.insert("accessToken".into(), json!("dckr_pat_one"));
        previous.insert("accessToken".into(), json!(if same { "dckr_pat_one" } else { "dckr_pat_other" }));
        let next = written(&parse(&members).without_stale(&parse(&previous)));
        for name in ["tokenId", "expiresAt"] {
            let stale = !same && members.get(name) == previous.get(name);
            let expected = members.get(name).filter(|_| !stale);
            ensure(next.get(name) == expected, || format!("{name}: {next:?}"))?;
        }
        Ok(())
    });
}
