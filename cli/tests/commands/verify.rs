//! `hubkeeper verify`: each verdict, each way to pass a token, and the token of a secret.

use hubkeeper_sandbox::hub::OatResource;
use hubkeeper_sandbox::world::json as answer;
use hubkeeper_sandbox::{Fault, Service, aws, hub, scene};
use serde_json::json;

use crate::site::Site;

const VERIFY: [&str; 4] = ["verify", scene::ORGANIZATION, "--username", scene::USER];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    VERIFY.iter().chain(more).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_token_needs_neither_aws_nor_azure() {
    let site = Site::hub().await;
    let token = site.token("repo:read");
    let ended = site.run(&VERIFY).input(&format!("{token}\n")).ends(0).await;
    assert!(!ended.out.contains("expectedRepositories"), "there is no secret to write it into: {}", ended.out);
    ended.shows(&[
        "✓ acme  the token reads the whole organization",
        "complete",
        "6 repositories, 4 private",
        "with `--expect`",
    ]);
    for service in [Service::Aws, Service::Entra, Service::Arm] {
        assert_eq!(site.served.requests(service), 0, "{service:?}");
    }
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_has_its_words_its_code_and_its_remedy() {
    let site = Site::hub().await;
    let public = site.token("repo:public_read");
    site.run(&with(&["--expect", "billing,le*"]))
        .input(&public)
        .ends(1)
        .await
        .shows(&[
            "✗ acme  the token does not read the whole organization",
            "partial",
            "2 repositories, 0 private",
            "billing",
        ])
        .says(&["what to do", "give the token `Read-only`"]);
    let writes = site.token("repo:write");
    site.run(&VERIFY)
        .input(&writes)
        .ends(1)
        .await
        .shows(&["the token can do more than read", "overPrivileged"])
        .says(&["create a token with the permission `Read-only` instead"]);
    let revoked = site.world.with(|state| {
        let (uuid, token) = hub::add_pat(state, scene::USER, "revoked", &["repo:read"], None);
        hub::revoke(state, &uuid);
        token
    });
    site.is_secret(&revoked);
    site.run(&VERIFY)
        .input(&revoked)
        .ends(1)
        .await
        .shows(&["Docker Hub rejects the token", "rejected"])
        .says(&["create a new"]);
    let token = site.token("repo:read");
    site.world.script(|_, service, _| {
        (service == Service::HubAuth).then(|| Fault::Answer(answer(503, &json!({"message": "down"}))))
    });
    site.run(&VERIFY)
        .input(&token)
        .ends(3)
        .await
        .shows(&["inconclusive", "nothing is known yet"])
        .says(&["run the command again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_hub_that_is_down_is_inconclusive() {
    let site = Site::hub().await;
    let token = site.token("repo:read");
    site.world.script(|_, _, _| Some(Fault::Answer(answer(503, &json!({"message": "down"})))));
    let report = site.run(&with(&["-o", "json"])).input(&token).ends(3).await.json();
    assert_eq!(report["verdict"]["result"], "inconclusive", "{report}");
    assert_eq!((&report["outcome"], &report["errorType"]), (&json!("failed"), &json!("Retryable")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_namespace_is_no_success() {
    let site = Site::hub().await;
    let token = site.token("repo:read");
    site.run(&["verify", "acmee", "--username", scene::USER])
        .input(&token)
        .ends(1)
        .await
        .shows(&["✗ acmee", "partial"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_access_token_needs_no_user() {
    let site = Site::hub().await;
    let pull = ["scope-image-pull", "scope-tag-read", "scope-repository-list"];
    let token = site.world.with(|state| {
        let resources = vec![OatResource::repositories(&format!("{}/*", scene::ORGANIZATION), &pull)];
        hub::add_oat(state, scene::ORGANIZATION, "scanner", resources).1
    });
    site.run(&["verify", scene::ORGANIZATION]).input(&token).ends(0).await.shows(&["complete", "6 repositories"]);
    let personal = site.token("repo:read");
    site.run(&["verify", scene::ORGANIZATION]).input(&personal).ends(2).await.says(&["--username is missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expected_and_what_is_excluded_decides() {
    let site = Site::hub().await;
    let token = site.token("repo:read");
    let report = |more: &[&str], code| {
        let arguments = with(&[more, &["-o", "json"]].concat());
        let (run, token) = (site.run(&arguments), token.clone());
        async move { run.input(&token).ends(code).await.json() }
    };
    let complete = report(&["--expect", "billing,ledger,w*"], 0).await;
    assert_eq!(complete["outcome"], "proven", "{complete}");
    assert!(!complete.to_string().contains("nothingToCompare"), "{complete}");
    let missing = report(&["--expect", "billing,vault"], 1).await;
    assert_eq!(missing["verdict"]["missing"], json!(["vault"]));
    let prefix = report(&["--expect", "vault-*"], 1).await;
    assert_eq!(prefix["verdict"]["result"], "partial", "{prefix}");
    // the user loses a team, and with it two repositories
    site.world.with(|state| {
        for name in ["billing", "ledger"] {
            hub::team_permission(state, scene::ORGANIZATION, scene::PAYMENTS, name, None);
        }
    });
    let lost = report(&["--expect", "billing,ledger"], 1).await;
    assert_eq!(lost["verdict"]["missing"], json!(["billing", "ledger"]));
    let excluded = report(&["--expect", "web,billing,ledger", "--exclude", "billing,ledger"], 0).await;
    assert_eq!(excluded["verdict"]["result"], "complete", "{excluded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_from_input_a_file_or_a_variable() {
    let site = Site::hub().await;
    let token = site.token("repo:read");
    let file = site.file("good.token", &format!("{token}\r\n"));
    site.run(&with(&["--token-file", &file])).ends(0).await;
    site.run(&VERIFY).with("HUBKEEPER_TOKEN", &token).ends(0).await;
    site.run(&VERIFY).input(&token).ends(0).await;
    // the file counts before the variable, and the variable before the input
    site.run(&with(&["--token-file", &file])).with("HUBKEEPER_TOKEN", "wrong").input("wrong").ends(0).await;
    site.run(&VERIFY).with("HUBKEEPER_TOKEN", &token).input("wrong").ends(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_token_is_refused_without_a_request() {
    let site = Site::hub().await;
    let token = site.token("repo:read");
    let long = token.repeat(200);
    for (input, words) in [
        ("", "standard input holds no token"),
        ("\n", "standard input holds no token"),
        (&format!(" {token}"), "white space"),
        (&format!("{token}\n{token}\n"), "white space"),
        (&format!("{token}\u{e4}"), "characters that no token has"),
        (&long, "more than a token"),
    ] {
        site.run(&VERIFY).input(input).ends(2).await.shows_nothing().says(&[words, "what to do"]);
    }
    let missing = site.folder.join("missing.token").display().to_string();
    site.run(&with(&["--token-file", &missing])).ends(2).await.says(&["missing.token cannot be read"]);
    let empty = site.file("empty.token", "");
    site.run(&with(&["--token-file", &empty])).ends(2).await.says(&["the file of --token-file holds no token"]);
    site.run(&VERIFY).with("HUBKEEPER_TOKEN", " x y ").ends(2).await.says(&["HUBKEEPER_TOKEN holds white space"]);
    site.run(&["verify", scene::ORGANIZATION, "--username", "a@b.example"])
        .input(&token)
        .ends(2)
        .await
        .says(&["e-mail address"]);
    site.run(&["verify", "Acme/web", "--username", scene::USER])
        .input(&token)
        .ends(2)
        .await
        .says(&["not the name of a Docker Hub organization"]);
    for wrong in [["--expect", "acme/web"], ["--exclude", "web*"]] {
        site.run(&with(&wrong)).input(&token).ends(2).await.says(&[wrong[1], "leave out the organization"]);
    }
    assert_eq!(site.requests(), [""; 0]);
}

/// Puts a version with this token under a label.
fn put(site: &Site, label: &str, token: &str) -> String {
    site.world.with(|state| aws::put_version(state, &site.arn, None, &scene::document_with(token, None), &[label]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_proven_by_its_label_or_its_version() {
    let site = Site::deployed().await;
    let (good, public) = (site.token("repo:read"), site.token("repo:public_read"));
    let current = put(&site, "AWSCURRENT", &good);
    let secret = ["verify", "--secret", scene::SECRET];
    let of = |more: &[&'static str]| [&secret[..], more].concat();
    site.run(&of(&["--candidate"]))
        .ends(4)
        .await
        .says(&["no version of hubkeeper/acme is staged HUBKEEPER_CANDIDATE", "hubkeeper stage hubkeeper/acme"]);
    let candidate = put(&site, "HUBKEEPER_CANDIDATE", &public);
    let _ = site.writes();

    let local = site.run(&of(&["-o", "json"])).ends(0).await.json();
    assert_eq!((&local["outcome"], &local["versionId"]), (&json!("proven"), &json!(current)));
    let staged = site.run(&of(&["--candidate", "-o", "json"])).ends(1).await.json();
    assert_eq!((&staged["verdict"]["result"], &staged["versionId"]), (&json!("partial"), &json!(candidate)));
    assert_eq!(
        staged["verdict"]["missing"],
        json!(["api", "billing", "ledger", "worker"]),
        "compared with the token in use"
    );
    let named = site.run(&[&of(&[])[..], &["--version", &candidate]].concat()).ends(1).await;
    named.shows(&["✗ acme", "partial", "billing"]);

    let function = ["--function", hubkeeper_sandbox::deployed::FUNCTION, "-o", "json"];
    let mut remote = site.run(&of(&function)).ends(0).await.json();
    let mut local = local;
    // how long each step took differs from run to run
    for report in [&mut remote, &mut local] {
        report.as_object_mut().unwrap().remove("stages");
    }
    assert_eq!(remote, local, "the function's code, here and there");
    let remote = site.run(&[&of(&function)[..], &["--candidate"]].concat()).ends(1).await.json();
    assert_eq!(remote["verdict"]["result"], "partial");
    assert_eq!(site.writes(), [""; 0]);
}
