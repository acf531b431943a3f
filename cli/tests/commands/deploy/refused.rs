//! What stops a deployment, and what it says then: nothing is left behind.

use std::fs;

use hubkeeper_sandbox::scene;
use serde_json::json;

use super::{BUCKET, FIRST, PASSWORD, deployed, empty, kept, release, run, stack, status, told_azure};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_and_a_question_that_nobody_answers_change_nothing() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = ["deploy", "--release", "1.0.0", "--aws-only", "--set", &ids[0], "--set", &ids[1]];
    let json = run(&site, &[&known[..], &["--plan", "-o", "json"]].concat())
        .ends(0)
        .await
        .says(&["nothing was changed"])
        .json();
    assert_eq!((&json["outcome"], json["changes"].as_array().unwrap().len()), (&json!("planned"), 3));
    run(&site, &known).ends(2).await.shows_nothing().says(&["standard input is not a terminal", "--yes"]);
    assert_eq!(status(&site), "DELETE_COMPLETE", "the empty stack is gone");
    assert!(site.world.with(|state| state.aws.buckets.is_empty()) && kept(&site).is_empty());
    let writes = site.writes();
    let expected = ["POST CreateChangeSet", "POST DeleteChangeSet", "POST DeleteStack"];
    assert_eq!(writes, [expected, expected].concat());
    // Azure first: its ids are not known before it is deployed
    let both = ["deploy", "--release", "1.0.0", "--resource-group", "rg-defender", "--plan"];
    run(&site, &both)
        .ends(0)
        .await
        .says(&["nothing was changed in Azure", "the stack was not planned: AzureClientId and AzureTenantId"]);
    assert!(!told_azure(&site).contains("group create") && site.writes().is_empty() && kept(&site).is_empty());
    // an update is discarded, and the stack stays
    deployed(&site).await;
    let change = ["deploy", "--release", "1.0.0", "--set", "NotificationEmail=a@b"];
    run(&site, &[&change[..], &["--plan"]].concat()).ends(0).await;
    run(&site, &change).ends(2).await;
    assert_eq!(
        (status(&site).as_str(), stack(&site).unwrap().parameters["NotificationEmail"].as_str()),
        ("CREATE_COMPLETE", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_region_or_subscription_than_the_file_s_is_refused() {
    let site = empty().await;
    deployed(&site).await;
    run(&site, &FIRST).with("AWS_REGION", "us-east-1").ends(4).await.says(&["in Region us-east-1", "AWS_PROFILE"]);
    site.world.with(|state| state.aws.account = "444455556666".to_owned());
    run(&site, &FIRST).ends(4).await.says(&[
        "about account 111122223333",
        "your login is account 444455556666",
        "--config",
    ]);
    site.world.with(|state| state.aws.account = "111122223333".to_owned());
    run(&site, &[&FIRST[..], &["--stack", "other"]].concat())
        .ends(4)
        .await
        .says(&["is about the stack hubkeeper, not other"]);
    site.file("hubkeeper-deploy.toml", "[azure]\nsubscription = \"other\"\nresource_group = \"rg-defender\"\n");
    run(&site, &FIRST).ends(4).await.says(&["is about the subscription other", "az account set --subscription other"]);
    site.file("hubkeeper-deploy.toml", "acount = 1\n");
    run(&site, &FIRST).ends(4).await.says(&["`acount` is not a field"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_is_named_and_nothing_is_uploaded() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&FIRST[..], &["--set", &ids[0], "--set", &ids[1]]].concat();
    for name in ["hubkeeper-function-1.0.0-arm64.zip", "hubkeeper-1.0.0.template.json"] {
        release(&site, "1.0.0", &["arm64"]);
        fs::write(site.folder.join("1.0.0").join(name), "other").unwrap();
        run(&site, &[&known[..], &["--aws-only"]].concat()).ends(1).await.says(&[name, "nothing was uploaded"]);
    }
    release(&site, "1.0.0", &["arm64"]);
    fs::write(site.folder.join("1.0.0/hubkeeper-azure-1.0.0.json"), "{}").unwrap();
    run(&site, &[&known[..], &["--resource-group", "rg-defender"]].concat())
        .ends(1)
        .await
        .says(&["hubkeeper-azure-1.0.0.json"]);
    assert!(site.writes().is_empty() && !told_azure(&site).contains("deployment"));
    let wrong = run(&site, &[&known[..], &["--aws-only", "--set", "Architecture=x86_64"]].concat()).ends(4).await;
    wrong.says(&["no package for x86_64, only for arm64"]);
    run(&site, &["deploy", "--release", "bin", "--yes"]).ends(4).await.says(&["not the folder of a release"]);
    run(&site, &["deploy", "--yes"]).ends(2).await.says(&["no release in this folder", "--build", "--release"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_be_updated_comes_with_the_remedy() {
    let site = empty().await;
    deployed(&site).await;
    for (status, code, words) in [
        ("ROLLBACK_COMPLETE", 4, "hubkeeper destroy --stack hubkeeper"),
        ("ROLLBACK_FAILED", 4, "hubkeeper destroy --stack hubkeeper"),
        ("DELETE_FAILED", 4, "hubkeeper destroy --stack hubkeeper"),
        ("UPDATE_ROLLBACK_FAILED", 4, "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", 3, "wait until it has finished"),
    ] {
        site.world.with(|state| status.clone_into(&mut state.aws.stacks.stacks.get_mut("hubkeeper").unwrap().status));
        run(&site, &FIRST).ends(code).await.says(&[&format!("the stack hubkeeper is {status}"), words]);
        run(&site, &["deploy", "--rollback", "--yes"]).ends(code).await.says(&[words]);
    }
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_comes_with_the_reason_of_its_first_event() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&FIRST[..], &["--aws-only", "--set", &ids[0], "--set", &ids[1]]].concat();
    site.is_secret(PASSWORD);
    let reason = format!("Value '{{HTTPS_PROXY=http://me:{PASSWORD}@proxy}}' at 'environment' is invalid");
    site.world.with(|state| state.aws.stacks.fails = Some(("HubkeeperFunction".to_owned(), reason)));
    let failed = run(&site, &known).ends(4).await.shows_nothing().says(&[
        "the stack hubkeeper was not created, and is ROLLBACK_COMPLETE",
        "HubkeeperFunction (AWS::Serverless::Function): Value",
        "hubkeeper destroy --stack hubkeeper",
    ]);
    assert!(!failed.err.contains("cancelled"), "{}", failed.err);
    run(&site, &FIRST).ends(4).await.says(&["is ROLLBACK_COMPLETE"]);
    run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(0).await;
    run(&site, &FIRST).ends(0).await;
    site.world.with(|state| state.aws.stacks.fails = Some(("NoticeTopic".to_owned(), "quota".to_owned())));
    let update = [&FIRST[..], &["--set", "NotificationEmail=a@b"]].concat();
    run(&site, &update)
        .ends(4)
        .await
        .says(&["was not updated, and is UPDATE_ROLLBACK_COMPLETE", "NoticeTopic (AWS::SNS::Topic): quota"]);
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "");
    // the next one succeeds
    run(&site, &update).ends(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_names_the_right_or_the_parameter() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&FIRST[..], &["--aws-only", "--set", &ids[0], "--set", &ids[1]]].concat();
    run(&site, &[&FIRST[..], &["--aws-only", "--set", &ids[0]]].concat())
        .ends(4)
        .await
        .says(&["ids of the identity are not known"]);
    for right in [
        "cloudformation:DescribeStacks",
        "cloudformation:CreateChangeSet",
        "cloudformation:DescribeChangeSet",
        "cloudformation:ExecuteChangeSet",
        "s3:ListBucket",
        "s3:CreateBucket",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketVersioning",
        "s3:PutObject",
    ] {
        site.world.with(|state| state.aws.denied = [right.to_owned()].into());
        run(&site, &known).ends(4).await.shows_nothing().says(&[&format!("you need the right {right}")]);
        assert_ne!(status(&site), "CREATE_COMPLETE", "{right}");
        site.world.with(|state| state.aws.buckets.clear());
        let _ = fs::remove_file(site.folder.join("hubkeeper-deploy.toml"));
    }
    site.world.with(|state| state.aws.denied.clear());
    run(&site, &[&known[..], &["--set", "Nothing=x"]].concat()).ends(2).await.says(&["no parameter Nothing"]);
    run(&site, &[&known[..], &["--set", "CodeBucket=x"]].concat()).ends(2).await.says(&["--bucket"]);
    run(&site, &[&known[..], &["--set", "HttpsProxy"]].concat())
        .ends(2)
        .await
        .says(&["the environment has no variable HttpsProxy"]);
    run(&site, &[&known[..], &["--set", "Architecture=riscv"]].concat()).ends(2).await.says(&["arm64 or x86_64"]);
    run(&site, &[&known[..], &["--bucket", "Upper"]].concat()).ends(2).await.says(&["not one of S3"]);
    run(&site, &[&known[..], &["--stack", &"s".repeat(60)]].concat()).ends(2).await.says(&["more than 64 characters"]);
    site.is_secret(PASSWORD);
    let proxy = format!("HttpsProxy=http://me:{PASSWORD}@proxy");
    run(&site, &[&known[..], &["--set", &proxy]].concat())
        .ends(2)
        .await
        .says(&["holds a password", "--set HttpsProxy without a value"]);
    site.forget("its arguments");
    site.file("hubkeeper-deploy.toml", "[parameters]\nHttpsProxy = \"http://proxy\"\n");
    run(&site, &known).ends(4).await.says(&["holds HttpsProxy, which AWS hides"]);
    fs::remove_file(site.folder.join("hubkeeper-deploy.toml")).unwrap();
    site.world.with(|state| assert!(state.aws.foreign_buckets.insert(BUCKET.to_owned())));
    run(&site, &known).ends(4).await.says(&["belongs to another account"]);
    run(&site, &[&known[..], &["--bucket", "mine-1"]].concat()).ends(0).await;
    assert!(kept(&site).contains("bucket = \"mine-1\""), "{}", kept(&site));
    run(&site, &known).ends(0).await.says(&["nothing to change"]);
}
