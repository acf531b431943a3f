//! Login, tags, proof and the manager's login: what evidence of Docker Hub means for the checks.

use crate::doctor::checks::Check;
use crate::doctor::ledger::Ledger;
use crate::error::Error;
use crate::hub::HubError;
use crate::plan::refusals::refusal;
use crate::proof::{Evidence, Verdict};

/// The result of a login with the token.
pub enum TokenLogin {
    /// Docker Hub accepts it.
    Accepted,
    /// 401.
    Rejected,
    /// The result says nothing about the token.
    Unknown(HubError),
}

/// Records a login with the token of `username`. `secret` is the secret's id, for commands.
pub fn record_login(ledger: &mut Ledger, username: &str, secret: &str, login: &TokenLogin) {
    let check = Check::TokenLogin;
    match login {
        TokenLogin::Accepted => ledger.ok(check, format!("Docker Hub accepts the token of {username}")),
        TokenLogin::Rejected => {
            ledger.fail(
                check,
                &Error::refused(
                    format!("Docker Hub rejects the token of {username}: it is wrong, expired or deactivated, or `username` is another user's"),
                    format!("make a read-only token as {username} at Docker Hub and stage it: hubkeeper stage {secret}; where the secret names a manager, hubkeeper onboard {secret} makes one"),
                ),
            );
            // failed logins of one user add up, whichever credential they use
            ledger.block(Check::ManagerLogin, check);
        }
        TokenLogin::Unknown(HubError::LockedOut(why)) => {
            ledger.fail(
                check,
                &Error::retryable(
                    format!("Docker Hub has locked {username} out after too many failed logins ({why})"),
                    "find out who logs in as this user with a wrong password or token, and stop it; then wait at least ten minutes (up to an hour has been observed): each further login may extend the lock",
                ),
            );
            // the lock applies to the user name, so another login would extend it
            ledger.block(Check::ManagerLogin, check);
        }
        TokenLogin::Unknown(error) => ledger.fail(
            check,
            &Error::retryable(
                error.message(),
                "nothing is known about the token: run doctor again, and see status.docker.com",
            ),
        ),
    }
}

/// Records what the proof found. `secret` is the secret's id, for commands.
pub fn record_proof(ledger: &mut Ledger, evidence: &Evidence, verdict: &Verdict, secret: &str) {
    if evidence.untold.is_empty() {
        let sampled = evidence.listed > 0 || evidence.visible.is_empty();
        match evidence.gaps.first().filter(|_| !sampled) {
            Some(gap) => ledger.warn(Check::Tags, format!("no list of tags was read ({gap})"), "run doctor again"),
            None if evidence.visible.is_empty() => {
                ledger.ok(Check::Tags, "there is no repository whose tags could be listed");
            }
            None => ledger.ok(Check::Tags, "the token lists the tags of every repository in the sample"),
        }
    } else {
        let names = evidence.untold.join(", ");
        let remedy = if evidence.organization_token {
            format!(
                "create an organization access token that has the scope scope-tag-read too, and stage it: hubkeeper stage {secret}"
            )
        } else {
            "give the user read access to these repositories (role or team)".to_owned()
        };
        let what = format!("the token may not list the tags of {names} (status 403): no manifest can be checked");
        ledger.fail(Check::Tags, &Error::refused(what, remedy));
        if evidence.organization_token {
            ledger.note("tagListWithoutScope", "403 for a list of tags with an organization access token");
        }
    }
    if verdict.is_complete() {
        let detail = format!(
            "complete: the token reads {} repositories, {} of them private",
            verdict.repositories, verdict.private
        );
        match verdict.warnings.first() {
            None => ledger.ok(Check::Proof, detail),
            Some(first) => ledger.warn(
                Check::Proof,
                format!("{detail}; {}", first.message),
                format!("see all warnings: hubkeeper verify --secret {secret}"),
            ),
        }
    } else {
        ledger.fail(Check::Proof, &refusal(verdict));
    }
    if evidence.is_locked_out {
        ledger.block(Check::ManagerLogin, Check::Proof);
    }
    if evidence.most_granted > 1 {
        ledger.note(
            "scopesInOneRequest",
            format!("the registry's token service granted {} scopes in one request", evidence.most_granted),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OverPrivilege;
    use crate::doctor::ledger::State;
    use crate::proof::verdict::verdict;

    fn ready() -> Ledger {
        let mut ledger = Ledger::default();
        for check in [
            Check::ReachAws,
            Check::ReachHub,
            Check::Clock,
            Check::Identity,
            Check::Secret,
            Check::Value,
            Check::Document,
            Check::Manager,
        ] {
            ledger.ok(check, "fine");
        }
        ledger
    }

    #[test]
    fn a_lock_out_is_one_failure_and_no_further_login() {
        let mut ledger = ready();
        record_login(&mut ledger, "acme-scanner", "s", &TokenLogin::Unknown(HubError::LockedOut("status 429".into())));
        ledger.finish(Check::is_function_s, None);
        assert_eq!(ledger.count(State::Failure), 1);
        assert_eq!(ledger.entry(Check::ManagerLogin).unwrap().because, Some(Check::TokenLogin));
        assert!(ledger.is_worth_a_retry());
    }

    #[test]
    fn after_a_rejected_token_nobody_logs_in_as_the_same_user() {
        let mut ledger = ready();
        record_login(&mut ledger, "acme-scanner", "hubkeeper/acme", &TokenLogin::Rejected);
        assert!(!ledger.is_open(Check::ManagerLogin) && !ledger.is_open(Check::Proof));
        let remedy = ledger.entry(Check::TokenLogin).unwrap().remedy.clone().unwrap();
        assert!(remedy.contains("hubkeeper stage hubkeeper/acme"), "{remedy}");
    }

    #[test]
    fn a_lock_out_in_the_middle_of_the_proof_stops_the_manager_too() {
        let mut ledger = ready();
        record_login(&mut ledger, "acme-scanner", "s", &TokenLogin::Accepted);
        let mut evidence = Evidence::new("acme", false, &[], &[]);
        (evidence.is_locked_out, evidence.gaps) = (true, vec!["locked out".to_owned()]);
        record_proof(&mut ledger, &evidence, &verdict(&evidence, OverPrivilege::Refuse), "s");
        assert_eq!(ledger.entry(Check::ManagerLogin).unwrap().because, Some(Check::Proof));
        assert_eq!(ledger.entry(Check::Tags).unwrap().state, State::Ok, "there is no repository");
    }

    #[test]
    fn tags_that_nobody_could_list_are_not_claimed() {
        let mut ledger = ready();
        record_login(&mut ledger, "acme-scanner", "s", &TokenLogin::Accepted);
        let mut evidence = Evidence::new("acme", false, &[], &[]);
        evidence.visible = vec![crate::hub::Repository { name: "api".into(), private: true, plugin: false }];
        evidence.gaps = vec!["status 503".to_owned()];
        record_proof(&mut ledger, &evidence, &verdict(&evidence, OverPrivilege::Refuse), "s");
        assert_eq!(ledger.entry(Check::Tags).unwrap().state, State::Warning);
        assert_eq!(ledger.entry(Check::Proof).unwrap().state, State::Failure);
    }

    #[test]
    fn an_organization_token_without_the_scope_for_tags_is_told_by_its_scope() {
        let mut ledger = ready();
        record_login(&mut ledger, "acme", "s", &TokenLogin::Accepted);
        let mut evidence = Evidence::new("acme", true, &[], &[]);
        evidence.untold = vec!["api".to_owned()];
        record_proof(&mut ledger, &evidence, &verdict(&evidence, OverPrivilege::Refuse), "s");
        let tags = ledger.entry(Check::Tags).unwrap();
        assert_eq!(tags.state, State::Failure);
        assert!(tags.remedy.as_ref().unwrap().contains("scope-tag-read"));
        assert!(ledger.entry(Check::Proof).is_none(), "the proof needs tags");
        assert_eq!(ledger.facts().len(), 1);
    }
}
