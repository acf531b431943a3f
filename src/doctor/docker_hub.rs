//! Logs in with the token and with the manager's password, and runs the proof.

use hubkeeper_core::doctor::Check;
use hubkeeper_core::doctor::docker_hub::{TokenLogin, record_login, record_proof};
use hubkeeper_core::proof::verdict::{unscanned, verdict};
use hubkeeper_core::secret::{Document, Secret};

use super::shared::Run;
use crate::clients::hub::login;
use crate::prove::gather::{Prover, Subject};

/// Checks token, proof and manager login.
pub(super) async fn check(run: &mut Run<'_>, secret: &Secret, document: &Document) {
    if run.ledger.is_open(Check::TokenLogin) {
        token(run, secret, document).await;
    }
    if run.ledger.is_open(Check::ManagerLogin) {
        let session = run.services.manager(secret, document).await;
        let session = run
            .result(Check::ManagerLogin, session, |_| format!("Docker Hub accepts the login of {}", document.username));
        if let Some(session) = session {
            run.ledger.note("loginClaims", format!("a password login has the claims {}", session.claims.join(", ")));
        }
    }
}

async fn token(run: &mut Run<'_>, secret: &Secret, document: &Document) {
    let Some(subject) = Subject::of(document, false) else {
        let remedy = format!("stage one: hubkeeper stage {}; with a manager, onboard makes it", secret.arn);
        run.ledger.skip(Check::TokenLogin, "the secret holds no token yet", Some(&remedy));
        return;
    };
    let hub = &run.services.hub;
    let login = match hub.login(&subject.credential).await {
        Ok(login::TokenLogin::Accepted(session)) => {
            let kind =
                if subject.is_organization_token { "an organization access token" } else { "a personal access token" };
            run.ledger.note("loginClaims", format!("the login of {kind} has the claims {}", session.claims.join(", ")));
            TokenLogin::Accepted
        }
        Ok(login::TokenLogin::Rejected) => TokenLogin::Rejected,
        Err(error) => TokenLogin::Unknown(error),
    };
    record_login(&mut run.ledger, &document.username, &secret.arn, &login);
    if !run.ledger.is_open(Check::Tags) {
        return;
    }
    let prover = Prover { hub };
    let survey = Box::pin(prover.survey(&subject)).await;
    // a refused request for `push` may count as a failed login (docs/verified.md)
    let evidence = prover.finish(survey, async { false }).await;
    let mut verdict = verdict(&evidence, run.services.config.over_privilege);
    verdict.warnings.extend(unscanned(&evidence, &verdict));
    record_proof(&mut run.ledger, &evidence, &verdict, &secret.arn);
}
