//! Bad credentials that look good: the function rejects each, and the connector stays as it is.

use crate::{aws, hub, scene};
use serde_json::{Value, json};

use crate::demo::life::{by_hand, put_candidate};
use crate::demo::page::{count, short};
use crate::demo::seen;
use crate::demo::stage::{Answer, Stage, verdict_of};

const OTHER_SECRET: &str = "hubkeeper/acme-corp";
const OTHER_ORGANIZATION: &str = "acme-corp";
const OTHER_CONNECTOR: &str = "dockerhub-acme-corp";

pub(crate) async fn all(stage: &mut Stage) {
    stage.page.scene("7a Refused: a public-only token");
    stage
        .page
        .row("happens", "a person picks \"Public Repo Read-only\" for the new token (repo:public_read) and stages it");
    let (_, document) = by_hand(&stage.world, "public only", "repo:public_read", 60);
    candidate(stage, document, "partial", "public read only").await;

    stage.page.scene("7b Refused: a token that can push");
    stage.page.row("happens", "a person picks \"Read & Write\" for the new token (repo:write) and stages it");
    let (_, document) = by_hand(&stage.world, "can push", "repo:write", 60);
    candidate(stage, document, "overPrivileged", "more than read").await;

    stage.page.scene("7c Refused: a user outside a team");
    let happens =
        format!("a person removes {} from the team {} and stages a new read-only token", scene::USER, scene::PAYMENTS);
    stage.page.row("happens", &happens);
    stage.world.with(|state| hub::remove_from_team(state, scene::ORGANIZATION, scene::PAYMENTS, scene::USER));
    let (_, document) = by_hand(&stage.world, "outside a team", "repo:read", 60);
    candidate(stage, document, "partial", "billing, ledger").await;
    stage.world.with(|state| hub::add_to_team(state, scene::ORGANIZATION, scene::PAYMENTS, scene::USER));

    stage.page.scene("7d Refused: a wrong namespace");
    stage.page.row(
        "happens",
        &format!("a new secret names the organization {OTHER_ORGANIZATION}, which does not exist: Docker Hub returns an empty list"),
    );
    wrong_namespace(stage).await;

    stage.page.scene("7e Refused: an expired token");
    stage.page.row("happens", "a person stages a token that expired yesterday");
    let (_, document) = by_hand(&stage.world, "ended yesterday", "repo:read", -1);
    candidate(stage, document, "rejected", "expired").await;
}

async fn candidate(stage: &mut Stage, document: Value, verdict: &str, words: &str) {
    let (_, event) = put_candidate(stage, document);
    refused(stage, event, verdict, words).await;
}

/// Sends the event, and compares the connector before and after it.
async fn refused(stage: &mut Stage, event: Value, verdict: &str, words: &str) {
    let look = |stage: &Stage| {
        stage.world.with(|state| (seen::carried_now(state), aws::version_with(state, &stage.arn, "AWSCURRENT")))
    };
    let (before, current) = look(stage);
    let answer: Answer = stage.invoke(event).await;
    let (after, current_after) = look(stage);
    stage.show(&answer);
    let error = answer.as_ref().err();
    let kind = error.map(|error| error.error_type.as_str());
    stage.page.expect(kind == Some("Refused"), "the error's type is Refused");
    let found = error.and_then(verdict_of);
    stage.page.expect(found == Some(verdict), &format!("the verdict is {verdict}"));
    let named = error.is_some_and(|error| error.message.contains(words));
    stage.page.expect(named, &format!("the message names \"{words}\""));
    let writes = stage.take_writes();
    let same = before.is_some() && before == after;
    stage.page.expect(same && writes.arm == 0, "the connector still has its version, credential and etag");
    stage.page.expect(writes.all() == 0, "nothing was written anywhere");
    stage.page.expect(current == current_after, "AWSCURRENT has not moved");
    let version = after.as_ref().and_then(|after| after.version.as_deref()).unwrap_or("none");
    let text = if same && writes.arm == 0 {
        format!("untouched: still version {}, same credential, 0 write requests", short(version))
    } else {
        format!("CHANGED: version {}, {}", short(version), count(writes.arm, "write request"))
    };
    stage.page.row("connector", &text);
}

async fn wrong_namespace(stage: &mut Stage) {
    let (_, mut document) = by_hand(&stage.world, "another organization", "repo:read", 60);
    document["organization"] = json!(OTHER_ORGANIZATION);
    document["connector"]["name"] = json!(OTHER_CONNECTOR);
    document["expectedRepositories"] = json!([]);
    stage.world.with(|state| {
        aws::create_secret(state, OTHER_SECRET, &document, &[]);
        state.aws.events.clear();
    });
    let event = json!({ "action": "onboard", "secretId": OTHER_SECRET });
    stage.page.row("event", &event.to_string());
    refused(stage, event, "partial", "sees no repository").await;
    let made = stage
        .world
        .with(|state| crate::arm::connector(state, scene::SUBSCRIPTION, scene::GROUP, OTHER_CONNECTOR).is_some());
    stage.page.expect(!made, "no connector was created for it");
    if !made {
        stage.page.row("", &format!("no connector {OTHER_CONNECTOR} was created"));
    }
}
