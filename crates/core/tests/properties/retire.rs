//! Retirement never touches what is in use, whatever the clock says, and comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use hubkeeper_core::connector::Observed;
use hubkeeper_core::connector::observed::{TAG_PROVED_AT, TAG_SECRET, TAG_VERSION};
use hubkeeper_core::hub::Pat;
use hubkeeper_core::ids::{TokenId, VersionId};
use hubkeeper_core::plan::Step;
use hubkeeper_core::plan::retirement::{
    Content, Contents, Inventory, Remembered, Stock, Stored, TokenNumber, Wants, plan, versions_in_use, wants,
};
use hubkeeper_core::secret::Secret;
use hubkeeper_core::secret::labels::History;
use hubkeeper_core::time::{Timestamp, rfc3339, within_reach};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use time::Duration;
use time::macros::datetime;

use hubkeeper_test_support::property::{ensure, holds, refuted};

const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf";
const VERSIONS: [&str; 5] = [
    "00000000-0000-4000-a000-000000000000",
    "11111111-1111-4111-a111-111111111111",
    "22222222-2222-4222-a222-222222222222",
    "33333333-3333-4333-a333-333333333333",
    "44444444-4444-4444-a444-444444444444",
];
const LABELS: [&str; 4] = ["AWSCURRENT", "AWSPENDING", "HUBKEEPER_CANDIDATE", "AWSPREVIOUS"];

/// A moment near now or far from it, in whole hours or at the ends of the calendar.
fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        6 => (-2_000..400_i64).prop_map(|hours| NOW + Duration::hours(hours)),
        1 => select(vec![
            datetime!(9999-12-31 23:59:59 UTC),
            datetime!(9999-12-31 23:59:59 -23:59),
            datetime!(0000-01-01 0:00 UTC),
            datetime!(1970-01-01 0:00 UTC),
        ]).prop_map(within_reach),
    ]
}

#[derive(Clone, Debug)]
struct World {
    secret: Secret,
    connector: Option<serde_json::Value>,
    pats: Vec<Pat>,
    /// What each version truly holds.
    contents: Contents,
    /// What is known before the first request.
    known: BTreeSet<String>,
    history: Option<History>,
    grace: Duration,
    skip_grace: bool,
    now: Timestamp,
}

fn secret() -> impl Strategy<Value = Secret> {
    let bearers = vec(option::of(0..VERSIONS.len()), LABELS.len());
    let tag = select(vec![Some("managed"), Some("managed"), Some("managed"), Some("offboarded"), None]);
    (bearers, tag, option::of(moment())).prop_map(|(bearers, tag, last_changed)| {
        let mut versions: BTreeMap<VersionId, Vec<String>> = BTreeMap::new();
        for (label, bearer) in LABELS.iter().zip(bearers) {
            if let Some(at) = bearer {
                versions.entry(VersionId::of_service(VERSIONS[at])).or_default().push((*label).to_owned());
            }
        }
        Secret {
            arn: ARN.into(),
            name: "hub".into(),
            rotation_enabled: true,
            deleted: false,
            versions,
            tags: tag.map(|tag| ("hubkeeper".to_owned(), tag.to_owned())).into_iter().collect(),
            last_changed,
            schedule: None,
            pending_since: None,
        }
    })
}

/// A token of some version, or of nobody's.
fn pat() -> impl Strategy<Value = Pat> {
    let times = (option::of(moment()), option::of(moment()), option::of(moment()));
    (0..VERSIONS.len() + 2, any::<bool>(), any::<bool>(), times).prop_map(|(at, retiring, active, times)| Pat {
        id: TokenId::of_service(""),
        label: match VERSIONS.get(at) {
            Some(version) => format!("{version}{}", if retiring { "/retiring" } else { "" }),
            None if at == VERSIONS.len() => "by hand".into(),
            None => "hubkeeper/ffffffffffff/11111111-1111-4111-a111-111111111111".into(),
        },
        active,
        created_at: times.0,
        last_used: times.1,
        expires_at: times.2,
    })
}

fn worlds() -> impl Strategy<Value = World> {
    let connector = option::weighted(0.8, (0..VERSIONS.len(), option::of(moment()), any::<u8>()));
    // a version holds one of few tokens, none, or is gone; and names a PAT, whichever
    let held = vec((0..9_usize, option::of(0..6_usize)), VERSIONS.len());
    let known = (subsequence(VERSIONS.to_vec(), 0..=5), btree_map(select(VERSIONS.to_vec()), moment(), 0..5));
    let times = (0..200_i64, any::<bool>(), moment());
    (secret(), connector, vec(pat(), 0..6), held, known, times).prop_map(
        |(secret, connector, mut pats, held, (known, history), (grace, skip_grace, now))| {
            for (at, pat) in pats.iter_mut().enumerate() {
                pat.id = TokenId::of_service(format!("pat-{at}"));
                if VERSIONS.iter().any(|version| pat.label.starts_with(version)) {
                    pat.label = format!("hubkeeper/{}/{}", secret.fingerprint(), pat.label);
                }
            }
            let connector = connector.map(|(at, proved_at, whose)| {
                let mut tags = json!({TAG_VERSION: VERSIONS[at]});
                if whose > 40 {
                    tags[TAG_SECRET] = json!(secret.fingerprint());
                }
                if let Some(at) = proved_at {
                    tags[TAG_PROVED_AT] = json!(rfc3339(at));
                }
                json!({"tags": tags, "properties": {"hierarchyIdentifier": "acme", "environmentName": "DockerHub"}})
            });
            let content = |(version, (stored, pat)): (&str, (usize, Option<usize>))| {
                let stored = match stored {
                    0..=4 => Stored::Token(TokenNumber(stored)),
                    5 => Stored::NoToken,
                    6 => Stored::Unreadable,
                    _ => Stored::Gone,
                };
                let names = matches!(stored, Stored::Token(_) | Stored::NoToken);
                let token_id = pat.filter(|_| names).map(|at| TokenId::of_service(format!("pat-{at}")));
                (VersionId::of_service(version), Content { stored, token_id })
            };
            World {
                secret,
                connector,
                pats,
                contents: VERSIONS.into_iter().zip(held).map(content).collect(),
                known: known.into_iter().map(str::to_owned).collect(),
                history: Some(history.into_iter().map(|(id, at)| (VersionId::of_service(id), at)).collect()),
                grace: Duration::hours(grace),
                skip_grace,
                now,
            }
        },
    )
}

impl World {
    /// Reads what the plan needs, then plans.
    fn plan(&self) -> Vec<Step> {
        let connector = self.connector.clone().and_then(Observed::parse);
        let known = self.contents.iter().filter(|(version, _)| self.known.contains(version.as_str()));
        let mut contents: Contents = known.map(|(version, content)| (version.clone(), content.clone())).collect();
        let mut history = None;
        loop {
            let inventory = Inventory {
                stock: Stock::new(&self.pats, &self.secret, connector.as_ref(), &contents, self.now),
                organization: "acme",
                history,
                remembered: Remembered::Same,
                elsewhere: false,
                grace: self.grace,
                skip_grace: self.skip_grace,
            };
            let wants = wants(&inventory);
            if wants == Wants::default() {
                return plan(&inventory).steps;
            }
            assert!(wants.history || wants.values.iter().all(|version| !contents.contains_key(version)), "asked twice");
            if wants.history {
                history = self.history.as_ref();
            }
            contents.extend(wants.values.into_iter().map(|version| (version.clone(), self.contents[&version].clone())));
        }
    }

    fn offboarded(&self) -> bool {
        self.secret.tags.get("hubkeeper").is_some_and(|tag| tag == "offboarded")
    }

    /// Whether a version in use holds the token's value, or has none yet and gave it its label. `tokenId` is not asked, but for
    /// several tokens of one version: that version is written once, and names the one that it holds.
    fn in_use(&self, pat: &Pat) -> bool {
        let connector = self.connector.clone().and_then(Observed::parse);
        let in_use = versions_in_use(&self.secret, connector.as_ref());
        let of = |pat: &Pat| pat.label.split('/').nth(2).map(str::to_owned);
        let Some(version) = of(pat) else { return false };
        let Some(own) = self.contents.get(version.as_str()) else { return false };
        let named = self.pats.iter().find(|other| own.token_id.as_ref() == Some(&other.id) && of(other) == of(pat));
        match own.stored {
            Stored::Token(_) if named.is_some_and(|named| named.id != pat.id) => false,
            Stored::Token(_) => in_use.iter().any(|held| self.contents[held].stored == own.stored),
            Stored::Gone => in_use.contains(version.as_str()),
            Stored::NoToken | Stored::Unreadable => false,
        }
    }

    fn pat(&self, id: &str) -> &Pat {
        self.pats.iter().find(|pat| pat.id == id).unwrap()
    }
}

fn touched(step: &Step) -> Option<&str> {
    match step {
        Step::DeactivateToken { id } | Step::DeleteToken { id } => Some(id.as_str()),
        _ => None,
    }
}

fn is_careful(plan: impl Fn(&World) -> Vec<Step>) -> impl Fn(World) -> Result<(), String> {
    move |world| {
        let ours = world
            .connector
            .as_ref()
            .is_some_and(|body| body["tags"][TAG_SECRET] == world.secret.fingerprint().as_str());
        for step in plan(&world) {
            let known = if world.offboarded() { world.connector.is_none() } else { ours };
            ensure(known, || format!("{step:?}, though what is in use is not known"))?;
            if let Step::ActivateToken { id } = &step {
                let pat = world.pat(id.as_str());
                ensure(!pat.active && pat.label.ends_with("/retiring"), || format!("{step:?}"))?;
            }
            let Some(id) = touched(&step) else { continue };
            let pat = world.pat(id);
            ensure(world.offboarded() || !world.in_use(pat), || format!("{step:?} of a token in use"))?;
            let label = format!("hubkeeper/{}/", world.secret.fingerprint());
            ensure(pat.label.starts_with(&label), || format!("{step:?} of a token of others"))?;
            let dead = pat.expires_at.is_some_and(|at| at + Duration::DAY <= world.now);
            let expected = pat.active && !dead;
            ensure(matches!(step, Step::DeactivateToken { .. }) == expected, || {
                format!("{step:?}: first inactive, then gone")
            })?;
            // without a start in the past no grace is over
            let starts = [pat.created_at, world.secret.last_changed];
            let started = starts.into_iter().flatten().any(|at| at + world.grace <= world.now);
            ensure(started || world.skip_grace, || format!("{step:?} before any grace is over"))?;
        }
        Ok(())
    }
}

#[test]
fn what_is_in_use_is_never_touched_whatever_the_clock_says() {
    holds(&worlds(), is_careful(World::plan));
}

#[test]
fn the_property_finds_a_plan_that_believes_ids_or_trusts_the_clock() {
    // believes `tokenId` alone, in place of the values
    refuted(
        &worlds(),
        is_careful(|world| {
            let mut believing = world.clone();
            for (at, content) in believing.contents.values_mut().enumerate() {
                if let Stored::Token(number) = &mut content.stored {
                    number.0 += 100 * at;
                }
            }
            believing.plan()
        }),
    );
    refuted(&worlds(), is_careful(|world| World { grace: Duration::ZERO, ..world.clone() }.plan()));
    refuted(&worlds(), is_careful(|world| World { now: world.now + Duration::days(90), ..world.clone() }.plan()));
}

#[test]
fn what_was_retired_is_not_retired_again() {
    holds(&worlds(), |mut world| {
        for _ in 0..2 {
            for step in world.plan() {
                match step {
                    Step::DeleteToken { id } => world.pats.retain(|pat| pat.id != id),
                    Step::DeactivateToken { id } | Step::ActivateToken { id } => {
                        let pat = world.pats.iter_mut().find(|pat| pat.id == id).unwrap();
                        pat.active = !pat.active;
                        pat.label = pat.label.trim_end_matches("/retiring").to_owned();
                        if !pat.active {
                            pat.label.push_str("/retiring");
                        }
                    }
                    other => return Err(format!("{other:?}")),
                }
            }
        }
        let left = world.plan();
        ensure(left.is_empty(), || format!("{left:?}"))
    });
}

#[test]
fn more_time_and_less_grace_only_ever_add() {
    // a grace that is skipped lets nothing live that would go with it
    holds(&worlds(), |world| {
        let of = |skip_grace: bool| -> BTreeSet<String> {
            let plan = World { skip_grace, ..world.clone() }.plan();
            plan.iter().filter_map(touched).map(str::to_owned).collect()
        };
        ensure(of(false).is_subset(&of(true)), || "skipping the grace keeps a token alive".into())
    });
}
