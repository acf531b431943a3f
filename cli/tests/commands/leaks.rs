//! The search for secrets in all that a process tells: it finds planted ones, and nothing in any command.

use hubkeeper_sandbox::world::json as answer;
use hubkeeper_sandbox::{Fault, arm, hub};
use hubkeeper_sandbox::{Service, scene};
use serde_json::json;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_leak_is_found_wherever_it_is() {
    let site = Site::hub().await;
    let token = site.token("repo:read");
    for (script, arguments, what) in [
        ("printf %s \"$HUBKEEPER_TOKEN\"", &[][..], "standard output"),
        ("printf %s \"$HUBKEEPER_TOKEN\" >&2", &[], "standard error"),
        ("printf %s \"$HUBKEEPER_TOKEN\" | base64 -w0", &[], "standard output"),
        ("sleep 0.2", &[token.as_str()], "its arguments"),
        ("sh -c 'sleep 0.2; true' x \"$HUBKEEPER_TOKEN\"; true", &[], "its arguments"),
    ] {
        let program = [&["-c", script, "planted"][..], arguments].concat();
        site.run(&program).program("/bin/sh").with("HUBKEEPER_TOKEN", &token).ends(0).await;
        let leaks = site.take_leaks();
        assert!(!leaks.is_empty() && leaks.iter().all(|leak| leak.contains(what)), "{script}: {leaks:?}");
        assert!(leaks.iter().all(|leak| !leak.contains(&token)), "the report of a leak quotes no secret");
    }
    site.told("hubkeeper.1", format!(".TH x\n{token}\n"));
    assert!(site.take_leaks()[0].starts_with("hubkeeper.1: raw"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_among_the_arguments_is_quoted_nowhere() {
    let site = Site::deployed().await;
    let (token, password) = (site.token("repo:read"), "aB3-aB3-aB3-aB3-aB3-xyz".to_owned());
    site.is_secret(&password);
    for secret in [&token, &password] {
        let assigned = format!("--token={secret}");
        let option = format!("--token-file{secret}");
        for arguments in [
            &["verify", scene::ORGANIZATION, secret][..],
            &["verify", scene::ORGANIZATION, "--username", scene::USER, "--token", secret],
            &["verify", scene::ORGANIZATION, "--username", scene::USER, &assigned],
            &["verify", scene::ORGANIZATION, &option],
            &["stage", scene::SECRET, secret],
            &["status", "--watch", secret],
            &["status", "-o", secret],
            &["completions", secret],
            &[secret],
        ] {
            let ended = site
                .run(arguments)
                .ends(2)
                .await
                .shows_nothing()
                .says(&["an argument looks like a token", "--token-file"]);
            assert!(!ended.err.contains(secret.as_str()));
        }
    }
    // whoever lists processes sees the arguments of a process: that much nobody can take back
    site.forget("its arguments");
    assert_eq!(site.requests(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_at_its_most_talkative_tells_no_secret() {
    let site = Site::deployed().await;
    let (good, public, writes) = (site.token("repo:read"), site.token("repo:public_read"), site.token("repo:write"));
    let file = site.file("good.token", &good);
    for format in ["table", "json", "yaml"] {
        let verify = |more: &[&str]| {
            [&["verify", scene::ORGANIZATION, "--username", scene::USER, "-vv", "-o", format], more]
                .concat()
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let words = verify(&[]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.run(&words).input(&good).ends(0).await;
        site.run(&words).input(&public).ends(1).await;
        site.run(&words).input(&writes).ends(1).await;
        site.run(&words).input(&good[..good.len() - 1]).ends(1).await;
        site.run(&words).input(&format!("{good} {public}")).ends(2).await;
        site.run(&words).with("HUBKEEPER_TOKEN", &good).ends(0).await;
        let words = verify(&["--token-file", &file]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.run(&words).ends(0).await;
    }
    site.is_secret(&good[..good.len() - 1]);
    site.run(&["onboard", scene::SECRET, "--plan", "--local", "-vv"]).ends(0).await;
    site.run(&["onboard", scene::SECRET, "--yes", "-vv"]).ends(0).await;
    site.run(&["status", "-vv"]).ends(0).await;
    site.run(&["status", "--local", "-vv", "-o", "yaml"]).ends(0).await;
    site.run(&["verify", "--secret", scene::SECRET, "-vv"]).ends(0).await;
    site.run(&["rotate", scene::SECRET, "--yes", "-vv"]).ends(0).await;
    site.run(&["stage", scene::SECRET, "--expires-at", "never", "--yes", "-vv"]).input(&public).ends(1).await;
    site.run(&["stage", scene::SECRET, "--expires-at", "never", "--yes", "-vv"]).input(&good).ends(0).await;
    site.run(&["reconcile", scene::SECRET, "--revoke-replaced", "--yes", "-vv"]).ends(0).await;
    let init = |name: &'static str, more: &[&'static str]| {
        let all = [
            "init",
            scene::ORGANIZATION,
            "--username",
            scene::USER,
            "--subscription",
            scene::SUBSCRIPTION,
            "--resource-group",
        ];
        [&all[..], &[scene::GROUP, "--connector", "another", "--location", "westeurope", "--name", name, "-vv"], more]
            .concat()
    };
    for (name, more) in [("hubkeeper/one", &["--dry-run"][..]), ("hubkeeper/two", &["--yes"])] {
        let given = [more, &["--expires-at", "never"]].concat();
        site.run(&init(name, &given)).input(&public).ends(1).await;
        site.run(&init(name, &given)).input(&good).ends(0).await;
        let login = [more, &["--manager", scene::MANAGER]].concat();
        site.run(&init(if name.ends_with("one") { name } else { "hubkeeper/three" }, &login)).ends(0).await;
    }
    let id = format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/portal",
        scene::SUBSCRIPTION,
        scene::GROUP
    );
    // a person pasted the token into a field of the connector, too
    site.world.with(|state| {
        state.arm.echo_token = arm::EchoToken::Plain;
        let body = json!({"location": "westeurope", "tags": {"note": good}, "properties": {
            "hierarchyIdentifier": scene::ORGANIZATION, "environmentName": "DockerHub",
            "environmentData": {"environmentType": "DockerHubOrganization",
                "authentication": {"authenticationType": "AccessToken", "username": good, "accessToken": good}}}});
        arm::put_connector(state, scene::SUBSCRIPTION, scene::GROUP, "portal", &body, "jane@acme.example");
    });
    let import =
        ["import", "--connector", &id, "-u", scene::USER, "--expires-at", "never", "--name", "hubkeeper/portal", "-vv"];
    for more in [&["--plan"][..], &["--plan", "-o", "json"], &["--yes"]] {
        let all = [&import[..], more].concat();
        site.run(&all).input(&public).ends(1).await;
        site.run(&all).input(&good).ends(0).await;
    }
    // services that repeat what they got in their errors
    let echo = good.clone();
    site.world.script(move |_, service, _| {
        (service != Service::Aws).then(|| {
            Fault::Answer(answer(
                400,
                &json!({"message": echo, "detail": echo, "error": {"code": echo, "message": echo}}),
            ))
        })
    });
    site.run(&["verify", scene::ORGANIZATION, "--username", scene::USER, "-vv"]).input(&good).ends(3).await;
    site.run(&["reconcile", scene::SECRET, "--plan", "--local", "-vv"]).ends(3).await;
    site.world.calm();
    let proxy = "http://person:a-password-of-a-proxy@127.0.0.1:1";
    site.is_secret("a-password-of-a-proxy");
    site.run(&["verify", scene::ORGANIZATION, "--username", scene::USER, "-vv"])
        .with("HTTPS_PROXY", proxy)
        .input(&good)
        .ends(0)
        .await;
    site.run(&["offboard", scene::SECRET, "--yes", "-vv"]).ends(0).await;
    assert_eq!(site.world.with(|state| hub::failed_logins(state, scene::USER)), 3);
}
