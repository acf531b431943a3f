//! `hubkeeper destroy`: what it says, what it asks, what it deletes.

use std::fs;

use hubkeeper_sandbox::{aws, scene};
use serde_json::json;

use crate::deploy::{azure, is_on_the_page, release};
use crate::site::{Run, Site};

const BUCKET: &str = "hubkeeper-111122223333-eu-west-1";

/// A stack that `hubkeeper deploy` has created.
async fn deployed() -> Site {
    let mut site = Site::hub().await;
    site.log_in();
    release(&site, "1.0.0", &["arm64"]);
    azure(&site);
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let arguments = ["deploy", "--release", "1.0.0", "--yes", "--aws-only", "--set", &ids[0], "--set", &ids[1]];
    run(&site, &arguments).ends(0).await;
    let _ = site.writes();
    site
}

fn run<'a>(site: &'a Site, arguments: &[&str]) -> Run<'a> {
    site.run(arguments).without("AWS_ENDPOINT_URL_CLOUDFORMATION")
}

fn status(site: &Site) -> String {
    site.world
        .with(|state| state.aws.stacks.stacks.get("hubkeeper").map(|stack| stack.status.clone()))
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_stack_s_name_nothing_is_deleted() {
    let site = deployed().await;
    let plan =
        ["deletes  the function", "stays    every secret", "the connectors in Azure", "hubkeeper (CREATE_COMPLETE)"];
    run(&site, &["destroy"])
        .ends(2)
        .await
        .shows_nothing()
        .says(&plan)
        .says(&["nothing was deleted", "--confirm hubkeeper"]);
    run(&site, &["destroy", "--confirm", "hubkeepers"]).ends(2).await.shows_nothing().says(&["--confirm hubkeeper"]);
    let planned = run(&site, &["destroy", "--plan", "-o", "json"]).ends(0).await.says(&plan).json();
    assert_eq!(planned["outcome"], "planned");
    run(&site, &["destroy", "--stack", "other", "--confirm", "other"]).ends(4).await.says(&["there is no stack other"]);
    assert_eq!((site.writes(), status(&site).as_str()), (Vec::<String>::new(), "CREATE_COMPLETE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_and_its_packages_are_deleted_and_nothing_else() {
    let site = deployed().await;
    let other = "hubkeeper/hubkeeper-2/previous/stack.json";
    site.world.with(|state| {
        let bucket = state.aws.buckets.get_mut(BUCKET).unwrap();
        bucket.objects.insert(other.to_owned(), vec![("v".to_owned(), "x".into())]);
    });
    let secrets = site.world.with(|state| state.aws.secrets.len());
    let ended = run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(0).await;
    let ended = ended.shows(&["✓ deleted hubkeeper, and 1 object of its packages"]);
    is_on_the_page(&site, "hubkeeper destroy", &format!("{}{}", ended.err, ended.out));
    assert!(!ended.err.contains("WARNING"), "{}", ended.err);
    ended.says(&["what remains", "infra/azure/README.md"]);
    assert_eq!(status(&site), "DELETE_COMPLETE");
    let left: Vec<String> = site.world.with(|state| state.aws.buckets[BUCKET].objects.keys().cloned().collect());
    assert_eq!(left, [other]);
    assert_eq!(site.world.with(|state| state.aws.secrets.len()), secrets);
    run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(4).await.says(&["there is no stack hubkeeper"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_of_the_file_of_choices_is_the_one_that_is_deleted() {
    let site = deployed().await;
    fs::remove_file(site.folder.join("hubkeeper-deploy.toml")).unwrap();
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let other = ["deploy", "--release", "1.0.0", "--yes", "--aws-only", "--set", &ids[0], "--set", &ids[1]];
    run(&site, &[&other[..], &["--stack", "other"]].concat()).ends(0).await;
    let of = |name: &str| site.world.with(|state| state.aws.stacks.stacks[name].status.clone());
    let planned =
        run(&site, &["destroy", "--plan", "-o", "json"]).ends(0).await.says(&["stack    other (CREATE_COMPLETE)"]);
    assert_eq!(planned.json()["stack"], "other");
    let wrong = run(&site, &["destroy", "--confirm", "hubkeeper"]).with("HUBKEEPER_STACK", "hubkeeper").ends(2).await;
    wrong.says(&["--confirm is not the name of the stack, other"]);
    assert_eq!((of("hubkeeper"), of("other")), ("CREATE_COMPLETE".to_owned(), "CREATE_COMPLETE".to_owned()));
    run(&site, &["destroy", "--confirm", "other"])
        .ends(0)
        .await
        .shows(&["✓ deleted other, and 1 object of its packages"]);
    assert_eq!((of("hubkeeper"), of("other")), ("CREATE_COMPLETE".to_owned(), "DELETE_COMPLETE".to_owned()));
    // a login that the file is not about finds another stack of the same name
    let elsewhere = run(&site, &["destroy", "--confirm", "other"]).with("AWS_REGION", "us-east-1").ends(4).await;
    elsewhere.says(&[
        "about account 111122223333 in Region eu-west-1",
        "Region us-east-1",
        "name the stack with --stack",
    ]);
    // an option counts before the file
    run(&site, &["destroy", "--plan", "--stack", "hubkeeper"]).ends(0).await.says(&["stack    hubkeeper (CREATE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_are_still_managed_are_named_with_their_commands() {
    let site = deployed().await;
    let function = site.world.with(|state| state.aws.deployment.outputs["FunctionArn"].clone());
    site.world.with(|state| {
        for (name, value) in
            [("hubkeeper/umbrella", "managed"), ("hubkeeper/initech", "offboarded"), ("elsewhere/globex", "managed")]
        {
            aws::create_secret(state, name, &json!({}), &[("hubkeeper", value)]);
        }
        let arn = site.arn.clone();
        aws::set_tag(state, &arn, "hubkeeper", "managed");
        state.aws.secrets.get_mut(&arn).unwrap().rotation_lambda_arn = Some(function);
    });
    let ended = run(&site, &["destroy", "--confirm", "hubkeeper", "-o", "json"]).ends(0).await;
    let ended = ended.says(&[
        "WARNING  These secrets are still managed",
        "hubkeeper/umbrella: hubkeeper offboard hubkeeper/umbrella",
    ]);
    let ended = ended.says(&["aws secretsmanager cancel-rotate-secret --secret-id hubkeeper/acme --region eu-west-1"]);
    assert_eq!(ended.err.matches("cancel-rotate-secret").count(), 1);
    assert_eq!(ended.json()["stillManaged"], json!(["hubkeeper/acme", "hubkeeper/umbrella"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prevents_a_deletion_is_said() {
    let site = deployed().await;
    let set = |status: &str| {
        site.world.with(|state| status.clone_into(&mut state.aws.stacks.stacks.get_mut("hubkeeper").unwrap().status));
    };
    set("UPDATE_IN_PROGRESS");
    run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(3).await.says(&["is UPDATE_IN_PROGRESS", "wait"]);
    set("CREATE_COMPLETE");
    site.world.with(|state| assert!(state.aws.denied.insert("secretsmanager:ListSecrets".to_owned())));
    run(&site, &["destroy", "--confirm", "hubkeeper"])
        .ends(4)
        .await
        .says(&["cannot be listed", "secretsmanager:ListSecrets"]);
    assert_eq!(site.writes(), [""; 0]);
    site.world.with(|state| {
        state.aws.denied.clear();
        state.aws.stacks.stacks.get_mut("hubkeeper").unwrap().is_protected = true;
    });
    run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(4).await.says(&["TerminationProtection is enabled"]);
    site.world.with(|state| {
        state.aws.stacks.stacks.get_mut("hubkeeper").unwrap().is_protected = false;
        state.aws.stacks.fails = Some(("FunctionRole".to_owned(), "it is still used".to_owned()));
    });
    let failed = run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(4).await.shows_nothing();
    failed.says(&["is not deleted, and is DELETE_FAILED", "FunctionRole (AWS::IAM::Role): it is still used"]);
    // once the cause is gone, the same command ends it; packages that may not be deleted are said
    site.world.with(|state| assert!(state.aws.denied.insert("s3:ListBucketVersions".to_owned())));
    let ended = run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(4).await.shows_nothing();
    ended.says(&[
        "the stack hubkeeper is deleted, and its packages are not",
        "you need the right s3:ListBucketVersions",
        "then run the command again",
    ]);
    assert_eq!(status(&site), "DELETE_COMPLETE");
    site.world.with(|state| state.aws.denied.clear());
    let left = ["stack    hubkeeper (deleted)", "its packages, which are still in the bucket hubkeeper-111122223333"];
    let planned = run(&site, &["destroy", "--plan", "-o", "json"]).ends(0).await.says(&left);
    assert_eq!(planned.json()["outcome"], "planned");
    run(&site, &["destroy", "--confirm", "hubkeepers"]).ends(2).await.shows_nothing().says(&["--confirm hubkeeper"]);
    let ended = run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(0).await.says(&left);
    ended.shows(&["✓ deleted 1 object of the packages of hubkeeper"]);
    run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(4).await.says(&["there is no stack hubkeeper"]);
    site.world.with(|state| {
        "CREATE_COMPLETE".clone_into(&mut state.aws.stacks.stacks.entry("foreign".to_owned()).or_default().status);
    });
    run(&site, &["destroy", "--stack", "foreign", "--confirm", "foreign"])
        .ends(4)
        .await
        .says(&["it is not hubkeeper's"]);
}
