//! Starting without a dedicated user: invitation, wait, acceptance; then token, proof and connector.

use crate::{State, aws, hub, scene};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::demo::life::{echoes, expect_report, in_step, show_stages, show_writes};
use crate::demo::page::count;
use crate::demo::stage::{Answer, Stage};

/// The owner secret's name.
pub(crate) const OWNER_SECRET: &str = "vault/acme-owner";
const OWNER: &str = "acme-owner";
const EMAIL: &str = "scanner@acme.example";
const TAG: &str = "hubkeeper-invite";

/// The example before any invitation: the document asks for the dedicated user, who is in no organization.
pub(crate) fn prepare(stage: &Stage) {
    stage.world.with(|state| {
        hub::remove_member(state, scene::ORGANIZATION, scene::USER);
        ask(state, &stage.arn, scene::TEAM);
    });
}

/// The example with a dedicated user who is already a member of the organization, but not of the team in the document.
pub(crate) fn outside(stage: &Stage) {
    stage.world.with(|state| {
        hub::remove_from_team(state, scene::ORGANIZATION, scene::PAYMENTS, scene::USER);
        ask(state, &stage.arn, scene::PAYMENTS);
    });
}

fn ask(state: &mut State, arn: &str, team: &str) {
    let password = state.random_text(24);
    let seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    hub::add_user(state, OWNER, &password);
    hub::set_totp(state, OWNER, Some(seed));
    hub::add_member(state, scene::ORGANIZATION, OWNER, hub::Role::Owner);
    let login = json!({ "username": OWNER, "password": password, "totpSecret": seed, "usedBy": [scene::SECRET] });
    aws::create_secret(state, OWNER_SECRET, &login, &[]);
    let mut document = scene::document();
    document["manager"] = json!(scene::MANAGER);
    document["owner"] = json!(OWNER_SECRET);
    document["user"] = json!({ "email": EMAIL, "role": "member", "team": team });
    aws::put_version(state, arn, None, &document, &["AWSCURRENT"]);
    state.aws.events.clear();
}

fn tag(stage: &Stage) -> String {
    stage.world.with(|state| aws::tags(state, &stage.arn).get(TAG).cloned()).unwrap_or_default()
}

/// The number of invitations ever sent, and of resends of the open one.
fn mails(stage: &Stage) -> (usize, usize) {
    stage.world.with(|state| {
        let waiting = hub::organization(state, scene::ORGANIZATION).map(|found| &found.invitations);
        let resends = waiting.into_iter().flatten().map(|invitation| invitation.resends).sum();
        (hub::invitations_sent(state, scene::ORGANIZATION), resends)
    })
}

pub(crate) async fn invitation(stage: &mut Stage) {
    stage.page.scene("1a Onboarding: the function invites the dedicated user with the owner's login");
    stage.page.row("happens", "an operator invokes the function once, by hand or from a deployment");
    let event = json!({ "action": "onboard", "secretId": scene::SECRET });
    stage.page.row("event", &event.to_string());
    let answer = stage.invoke(event).await;
    stage.show(&answer);
    expect_report(stage, &answer, &[("/outcome", json!("awaiting")), ("/invitation/state", json!("pending"))]);
    show_stages(stage, &answer);
    let (sent, _) = mails(stage);
    stage.page.expect(sent == 1, "one invitation is sent");
    let managed = stage.world.with(|state| aws::tags(state, &stage.arn).get("hubkeeper").cloned());
    stage.page.expect(managed.as_deref() == Some("managed"), "the secret is tagged hubkeeper = managed");
    let value = tag(stage);
    stage.page.row("tag", &format!("{TAG} = {value}"));
    show_writes(stage);
}

/// Moves all dates of the sandbox, and that in the tag, into the past: the function runs on the system clock.
fn days_pass(state: &mut State, arn: &str, days: i64) {
    scene::age(state, Duration::days(days));
    let value = aws::tags(state, arn).get(TAG).cloned().unwrap_or_default();
    let words: Vec<&str> = value.split(' ').collect();
    let at = words.get(1).and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    if let (Some(at), [kind, _, resends]) = (at, words.as_slice()) {
        let moved = aws::time_text(at - Duration::days(days));
        aws::set_tag(state, arn, TAG, &format!("{kind} {moved} {resends}"));
    }
}

/// Sends a reconcile of all managed secrets. Returns the report about the only one, or the error.
async fn reconcile(stage: &Stage) -> Answer {
    let report = stage.invoke(json!({ "action": "reconcile" })).await?;
    Ok(report["items"][0].clone())
}

pub(crate) async fn wait(stage: &mut Stage) {
    stage.page.scene("1b Ten days pass, and nobody accepts the invitation");
    stage.page.row(
        "happens",
        "reconcile runs on days 2, 3, 6 and 10 after the invitation; to save the wait, the demo moves all dates in the sandbox back",
    );
    let (mut day, mut before, mut last) = (0, mails(stage).1, Ok(Value::Null));
    for (days, resends) in [(2, 0), (1, 1), (3, 2), (4, 2)] {
        day += days;
        stage.world.with(|state| days_pass(state, &stage.arn, days));
        last = reconcile(stage).await;
        let outcome = last.as_ref().map_or_else(|error| error.error_type.clone(), |report| text(&report["outcome"]));
        let (sent, again) = mails(stage);
        let mail = if again > before { "the invitation is resent" } else { "no e-mail" };
        stage.page.row(&format!("day {day}"), &format!("{outcome}; {mail}"));
        stage.page.expect(outcome == "awaiting", "the item still waits for a person");
        let told = (sent, again) == (1, resends);
        stage.page.expect(told, &format!("one invitation, resent {}", count(resends, "time")));
        before = again;
    }
    // the message of the last one tells a person what to do
    stage.show(&last);
    show_writes(stage);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) async fn acceptance(stage: &mut Stage) {
    stage.page.scene("1c Acceptance: token, proof and connector without another event");
    stage.page.row(
        "happens",
        &format!(
            "a day later the reader of {EMAIL} follows the link and joins as {}; an owner adds the user to the team {}",
            scene::USER,
            scene::PAYMENTS
        ),
    );
    let joined = stage.world.with(|state| {
        let joined = hub::accept_invitation(state, scene::ORGANIZATION, EMAIL, scene::USER);
        hub::add_to_team(state, scene::ORGANIZATION, scene::PAYMENTS, scene::USER);
        // the owner last logged in on another day: that login consumed its code
        days_pass(state, &stage.arn, 1);
        joined
    });
    stage.page.expect(joined, "the invitation can be accepted");
    stage.page.row("event", &json!({ "action": "reconcile" }).to_string());
    let report = reconcile(stage).await;
    stage.show(&report);
    let expected = [
        ("/outcome", json!("applied")),
        ("/verdict/result", json!("complete")),
        ("/verdict/repositories", json!(scene::REPOSITORIES.len())),
        ("/connector/change", json!("created")),
        ("/invitation/state", json!("member")),
    ];
    expect_report(stage, &report, &expected);
    show_stages(stage, &report);
    in_step(stage);
    let minted = report.as_ref().ok().and_then(|report| report["tokens"]["minted"].as_str()).unwrap_or_default();
    let pats = stage.world.with(|state| hub::pats_of(state, scene::USER));
    let one = pats.len() == 1 && pats.iter().all(|pat| pat.uuid == minted && pat.scopes == ["repo:read"]);
    stage.page.expect(one, "Docker Hub has one token: read-only, and named in the report");
    let value = tag(stage);
    stage.page.row("tag", &format!("{TAG} = {value}: the function no longer reads the owner secret"));
    stage.page.expect(value == "member", "the tag says that the user is a member");
    show_writes(stage);
    echoes(stage).await;
}
