//! The output that docs/deploy.md shows is what the command line prints.

use hubkeeper_core::ids::VersionId;
use hubkeeper_core::plan::Step;
use hubkeeper_core::secret::Label;
use serde_json::{Value, json};

use crate::exit::{Code, Failure};
use crate::{hints, render};

const PAGE: &str = include_str!("../../../docs/deploy.md");
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-xGKMU6";
const FUNCTION: &str = "hubkeeper-HubkeeperFunction-1A2b3C4d5E6f";
const CONNECTOR: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-security/providers/Microsoft.Security/securityConnectors/dockerhub-acme";
const KEPT: &str = "acme/00000000-0000-4000-8000-000000000001/rg-security/dockerhub-acme";
const OLD: &str = "59f2c15a-7041-477e-adb2-506628f4779d";
const NEW: &str = "849d6df2fe48ba09ff6638e626fab959";

/// The text block that follows a command of the page.
fn shown(command: &str) -> String {
    let after = PAGE.split(&format!("```sh\n{command}\n```\n\n```text\n")).nth(1);
    let after = after.unwrap_or_else(|| panic!("docs/deploy.md shows no output of {command}"));
    after.split("```").next().unwrap_or_default().to_owned()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn step(step: &Step) -> Value {
    serde_json::to_value(step).unwrap()
}

#[test]
fn the_plan() {
    let (old, new) = (VersionId::of_service(OLD), VersionId::of_service(NEW));
    let plan = json!({
        "action": "onboard", "mode": "plan", "outcome": "planned", "organization": "acme", "secretId": SECRET, "versionId": OLD,
        "connector": {"id": CONNECTOR, "change": "wouldCreate"}, "tokens": {"retired": []}, "warnings": [],
        "plan": [
            step(&Step::TagManaged { connector: Some(KEPT.into()), stack: None }),
            step(&Step::MintToken { version: new.clone(), label: Label::Minted }),
            step(&Step::RevokeOrphaned { version: new.clone() }),
            step(&Step::StageCandidate { version: new.clone() }),
            step(&Step::Prove { version: new.clone() }),
            step(&Step::WriteConnector { version: new.clone(), create: true }),
            step(&Step::MoveCurrent { from: old, to: new.clone() }),
            step(&Step::Unstage { from: new }),
        ],
    });
    assert_eq!(plain(&render::report::report(&plan)), shown("hubkeeper onboard hubkeeper/acme --plan"));
}

#[test]
fn what_was_done_and_the_hint_below_it() {
    let done = json!({
        "action": "onboard", "mode": "apply", "outcome": "applied", "organization": "acme", "secretId": SECRET, "versionId": NEW,
        "verdict": {"result": "complete", "repositories": 6, "private": 4, "missing": [], "missingCount": 0, "reasons": [], "warnings": []},
        "connector": {"id": CONNECTOR, "change": "created"}, "warnings": [],
        "tokens": {"minted": "35b0c8ef-b672-4fc2-a0f3-acc8d4ce735d", "retired": [], "expiresAt": "2027-02-22T11:26:34Z"},
    });
    let hint = hints::rotation(&[json!({"state": "ready", "secretId": SECRET, "versionId": NEW})], FUNCTION);
    let printed = format!("{}\n{hint}\n", plain(&render::report::report(&done)));
    assert_eq!(printed, shown("hubkeeper onboard hubkeeper/acme --yes"));
}

#[test]
fn a_refusal() {
    let message = "onboard for organization acme: the verdict is partial: the token's scope is public read only; remedy: give the token `Read-only` (not `Public Repo Read-only`) and the dedicated user read access to every repository (role or team), check the organization's name, or list the repositories to leave out in `excludedRepositories`";
    let printed = plain(&render::failure(&Failure::of_message(Code::Refused, message)));
    assert!(PAGE.contains(&format!("```text\n{printed}\n```\n")), "{printed}");
}
