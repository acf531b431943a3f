//! The steps of a plan as a list: `+` makes something, `~` changes it, `-` takes it away, `?` only looks.

use std::fmt::Write as _;

use serde_json::Value;

use super::{short, style};

/// The steps of a report with `mode: plan`, in order.
pub fn steps(report: &Value) -> String {
    let mut text = String::new();
    for step in report["plan"].as_array().into_iter().flatten() {
        let (sign, words) = step_in_words(step, report);
        let line = format!("{sign} {words}");
        let line = match sign {
            '+' => style::good(&line),
            '-' => style::bad(&line),
            '~' => style::warn(&line),
            _ => line,
        };
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// A step's sign and its words.
pub fn step_in_words(step: &Value, report: &Value) -> (char, String) {
    let text = |field: &str| step[field].as_str().unwrap_or_default();
    let version = |field: &str| short(text(field)).to_owned();
    let connector = report["connector"]["id"].as_str().map(name_of_connector).unwrap_or_default();
    match text("step") {
        "tagManaged" => match step["connector"].as_str() {
            Some(kept) => ('~', format!("tag the secret hubkeeper = managed, keeping {kept}")),
            None => ('~', "tag the secret hubkeeper = managed".to_owned()),
        },
        "tagOffboarded" => ('~', "tag the secret hubkeeper = offboarded".to_owned()),
        "tagInvite" => ('~', format!("tag the secret hubkeeper-invite = {}", text("state"))),
        "invite" => {
            let team = step["team"].as_str().map(|team| format!(" into the team {team}")).unwrap_or_default();
            ('+', format!("invite the dedicated user as {}{team}", text("role")))
        }
        "resend" => ('~', "send the invitation again".to_owned()),
        "setRole" => ('~', format!("give the dedicated user the role {}", text("role"))),
        "addToTeam" => ('~', format!("add the dedicated user to the team {}", text("team"))),
        "deleteConnector" => ('-', format!("delete connector {connector}")),
        "deactivateToken" => ('-', format!("deactivate token {}", text("id"))),
        "deleteToken" => ('-', format!("delete token {}", text("id"))),
        "activateToken" => ('~', format!("activate token {} again", text("id"))),
        "mintToken" => {
            ('+', format!("create a read-only token, stored as version {} ({})", version("version"), text("label")))
        }
        "copyCandidate" => {
            ('+', format!("copy the candidate {} into version {} (AWSPENDING)", version("from"), version("to")))
        }
        "revokeStrays" => ('-', format!("revoke orphaned tokens of version {}", version("version"))),
        "stageCandidate" => ('~', format!("move HUBKEEPER_CANDIDATE to version {}", version("version"))),
        "prove" => ('?', format!("prove the token of version {}", version("version"))),
        "writeConnector" if step["create"] == Value::Bool(true) => {
            ('+', format!("create connector {connector} with version {}", version("version")))
        }
        "writeConnector" => ('~', format!("update connector {connector} to version {}", version("version"))),
        "moveCurrent" => ('~', format!("move AWSCURRENT from version {} to {}", version("from"), version("to"))),
        "unstage" => ('-', format!("take HUBKEEPER_CANDIDATE off version {}", version("from"))),
        other => ('~', format!("{other} (this hubkeeper is older than the function)")),
    }
}

/// Resource group and name of a connector, out of its ARM resource id.
pub fn name_of_connector(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    let after = |name: &str| {
        let at = parts.iter().position(|part| part.eq_ignore_ascii_case(name))?;
        parts.get(at + 1).copied()
    };
    match (after("resourceGroups"), after("securityConnectors")) {
        (Some(group), Some(name)) => format!("{name} in {group}"),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubkeeper_core::ids::{TokenId, VersionId};
    use hubkeeper_core::plan::Step;
    use hubkeeper_core::secret::document::Role;
    use hubkeeper_core::secret::{Invitation, Label};
    use serde_json::json;

    #[test]
    fn every_step_of_the_planner_has_words() {
        const ID: &str = "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01";
        let (id, token) = (|| VersionId::of_service(ID), || TokenId::of_service(ID));
        let steps = [
            Step::TagManaged { connector: None, stack: None },
            Step::TagManaged { connector: Some("acme/s/g/n".into()), stack: None },
            Step::TagOffboarded,
            Step::TagInvite { state: Invitation::Asked },
            Step::Invite { role: Role::Editor, team: Some("scanning".into()) },
            Step::Resend,
            Step::SetRole { role: Role::Editor },
            Step::AddToTeam { team: "scanning".into() },
            Step::DeleteConnector,
            Step::DeactivateToken { id: token() },
            Step::DeleteToken { id: token() },
            Step::ActivateToken { id: token() },
            Step::MintToken { version: id(), label: Label::Candidate },
            Step::CopyCandidate { from: id(), to: id() },
            Step::RevokeOrphaned { version: id() },
            Step::StageCandidate { version: id() },
            Step::Prove { version: id() },
            Step::WriteConnector { version: id(), create: true },
            Step::WriteConnector { version: id(), create: false },
            Step::MoveCurrent { from: id(), to: id() },
            Step::Unstage { from: id() },
        ];
        let report = json!({"connector": {"id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Security/securityConnectors/dockerhub-acme"}});
        for step in &steps {
            // a new step makes this match fail to compile
            match step {
                Step::TagManaged { .. }
                | Step::TagOffboarded
                | Step::TagInvite { .. }
                | Step::Invite { .. }
                | Step::Resend
                | Step::SetRole { .. }
                | Step::AddToTeam { .. }
                | Step::DeleteConnector
                | Step::DeactivateToken { .. }
                | Step::DeleteToken { .. }
                | Step::ActivateToken { .. }
                | Step::MintToken { .. }
                | Step::CopyCandidate { .. }
                | Step::RevokeOrphaned { .. }
                | Step::StageCandidate { .. }
                | Step::Prove { .. }
                | Step::WriteConnector { .. }
                | Step::MoveCurrent { .. }
                | Step::Unstage { .. } => {}
            }
            let (_, words) = step_in_words(&serde_json::to_value(step).unwrap(), &report);
            assert!(!words.contains("older than") && !words.ends_with(' ') && !words.contains("  "), "{words}");
        }
        let write = serde_json::to_value(Step::WriteConnector { version: id(), create: true }).unwrap();
        assert_eq!(
            step_in_words(&write, &report),
            ('+', "create connector dockerhub-acme in rg with version 5c0f7a52".into())
        );
    }
}
