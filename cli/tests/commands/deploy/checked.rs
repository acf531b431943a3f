//! What a deployment checks before it changes anything, what it keeps, and what it puts back.

use std::fs;

use hubkeeper_sandbox::{Fault, scene};
use serde_json::{Value, json};

use super::{BUCKET, FIRST, ROLE, deployed, empty, kept, release, release_with, run, stack, status, told_azure};
use crate::site::Site;

/// The way back, as it is kept.
const WAY_BACK: &str = "hubkeeper/hubkeeper/previous/stack.json";

/// The options with which a stack needs nothing from Azure.
fn alone() -> Vec<String> {
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let options = FIRST.iter().copied().chain(["--aws-only", "--set", &ids[0], "--set", &ids[1]]);
    options.map(str::to_owned).collect()
}

fn with<'a>(options: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    options.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_parameter_that_was_given_in_the_open_is_neither_kept_nor_shown() {
    let site = empty().await;
    let proxy = "http://proxy-of-the-test.example.com:3128";
    site.is_secret("proxy-of-the-test");
    let option = format!("HttpsProxy={proxy}");
    let ended = run(&site, &with(&alone(), &["--set", &option])).ends(0).await;
    ended.says(&["HttpsProxy is hidden: the stack keeps it, hubkeeper-deploy.toml does not", "    HttpsProxy  "]);
    // whoever lists processes sees the arguments
    site.forget("its arguments");
    assert_eq!(stack(&site).unwrap().parameters["HttpsProxy"], proxy);
    assert!(kept(&site).contains("AzureClientId") && !kept(&site).contains("HttpsProxy"), "{}", kept(&site));
    // the file is not one that the next deployment refuses, and that keeps the value
    run(&site, &[&FIRST[..], &["--set", "NotificationEmail=a@b"]].concat()).ends(0).await;
    assert_eq!(stack(&site).unwrap().parameters["HttpsProxy"], proxy);
    assert!(!kept(&site).contains("proxy-of-the-test"), "{}", kept(&site));
    let objects = site.world.with(|state| state.aws.buckets[BUCKET].objects.clone());
    let texts = objects.values().flatten().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(texts.filter(|text| text.contains("proxy-of-the-test")).count(), 0);
}

/// Whatever refuses a deployment does so before anything is changed, in either cloud.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_refuse_is_checked_before_the_first_write() {
    type Prepare = fn(&Site);
    let fresh: Prepare = |site| release(site, "1.0.0", &["arm64"]);
    let in_status = |site: &Site, text: &str| {
        fs::remove_file(site.folder.join("hubkeeper-deploy.toml")).unwrap_or_default();
        site.world.with(|state| {
            text.clone_into(&mut state.aws.stacks.stacks.entry("hubkeeper".to_owned()).or_default().status);
        });
    };
    let site = empty().await;
    let both = [&FIRST[..], &["--resource-group", "rg-defender"]].concat();
    let refused = async |prepare: &dyn Fn(&Site), more: &[&str], code: i32, words: &[&str]| {
        fresh(&site);
        prepare(&site);
        run(&site, &[&both[..], more].concat()).ends(code).await.shows_nothing().says(words);
        assert_eq!(site.writes(), [""; 0], "{words:?}");
        assert!(!told_azure(&site).contains("group create"), "{words:?}: {}", told_azure(&site));
        assert!(!site.folder.join("az.deployed").exists() && kept(&site).is_empty(), "{words:?}");
        assert!(site.world.with(|state| state.aws.buckets.is_empty()), "{words:?}");
    };
    let change =
        |name: &'static str| move |site: &Site| fs::write(site.folder.join("1.0.0").join(name), "other").unwrap();
    // the files
    refused(&change("hubkeeper-function-1.0.0-arm64.zip"), &[], 1, &["arm64.zip", "nothing was uploaded"]).await;
    refused(&change("hubkeeper-1.0.0.template.json"), &[], 1, &["template.json", "nothing was uploaded"]).await;
    refused(&change("hubkeeper-azure-1.0.0.json"), &[], 1, &["hubkeeper-azure-1.0.0.json"]).await;
    // the parameters
    refused(&|_| (), &["--set", "Architecture=x86_64"], 4, &["no package for x86_64"]).await;
    refused(&|_| (), &["--set", "Architecture=riscv"], 2, &["arm64 or x86_64"]).await;
    refused(&|_| (), &["--set", "Nothing=x"], 2, &["no parameter Nothing"]).await;
    let demands = |site: &Site| {
        release_with(site, "1.0.0", &["arm64"], |template| template["Parameters"]["Owner"] = json!({"Type": "String"}));
    };
    refused(&demands, &[], 2, &["missing: Owner", "--set Owner=…"]).await;
    refused(&|_| (), &["--bucket", "Upper"], 2, &["not one of S3"]).await;
    // the bucket
    site.world.with(|state| assert!(state.aws.foreign_buckets.insert(BUCKET.to_owned())));
    refused(&|_| (), &[], 4, &["belongs to another account"]).await;
    site.world.with(|state| state.aws.foreign_buckets.clear());
    // the stack
    for (text, code) in [("ROLLBACK_COMPLETE", 4), ("UPDATE_ROLLBACK_FAILED", 4), ("UPDATE_IN_PROGRESS", 3)] {
        refused(&|site| in_status(site, text), &[], code, &[&format!("the stack hubkeeper is {text}")]).await;
    }
    // a checkout is refused before it is built, too
    for name in ["infra/aws/template.yaml", "Cargo.toml", "infra/azure/azuredeploy.json"] {
        fs::create_dir_all(site.folder.join(name).parent().unwrap()).unwrap();
        fs::write(site.folder.join(name), "{}").unwrap();
    }
    site.program("make", "touch make.ran; exit 2");
    let build = ["deploy", "--build", "--yes", "--resource-group", "rg-defender"];
    run(&site, &build).ends(3).await.says(&["the stack hubkeeper is UPDATE_IN_PROGRESS"]);
    site.world.with(|state| state.aws.stacks.stacks.clear());
    run(&site, &[&build[..], &["--bucket", "Upper"]].concat()).ends(2).await.says(&["not one of S3"]);
    run(&site, &[&build[..], &["--set", "Architecture=riscv"]].concat()).ends(2).await.says(&["arm64 or x86_64"]);
    assert_eq!(site.writes(), [""; 0]);
    assert!(!told_azure(&site).contains("group create") && !site.folder.join("make.ran").exists());
    // the file of choices
    let hidden =
        |site: &Site| drop(site.file("hubkeeper-deploy.toml", "[parameters]\nHttpsProxy = \"http://proxy\"\n"));
    hidden(&site);
    run(&site, &both).ends(4).await.says(&["holds HttpsProxy, which AWS hides"]);
    assert_eq!(site.writes(), [""; 0]);
    assert!(!told_azure(&site).contains("group create"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_and_the_audience_that_are_printed_are_those_that_are_used() {
    let site = empty().await;
    release_with(&site, "1.0.0", &["arm64"], |template| {
        template["Parameters"]["RoleName"] = json!({"Type": "String", "Default": ""});
    });
    let role = "arn:aws:iam::111122223333:role/security-hubkeeper";
    let outputs = json!({
        "tenantId": {"value": scene::TENANT}, "clientId": {"value": scene::CLIENT}, "federatedSubject": {"value": role},
    });
    site.file("az.outputs", &outputs.to_string());
    let both = [&FIRST[..], &["--resource-group", "rg-defender"]].concat();
    let named = [&both[..], &["--set", "RoleName=security-hubkeeper"]].concat();
    let ended = run(&site, &named).ends(0).await;
    ended.says(&[
        &format!("subject  {role}\n"),
        &format!("role           {role}\n"),
        "audience api://AzureADTokenExchange\n",
    ]);
    let create = told_azure(&site).lines().find(|line| line.contains("group create")).unwrap().to_owned();
    assert!(create.contains(&format!("awsRoleArn={role} audience=api://AzureADTokenExchange")), "{create}");
    assert_eq!(stack(&site).unwrap().parameters["RoleName"], "security-hubkeeper");
    // the stack has a role now; the name that a person gave, and the file keeps, counts before it
    run(&site, &both).ends(0).await.says(&[&format!("subject  {role}\n"), &format!("role           {role}\n")]);

    // who has to ask an administrator gets the same two
    let site = empty().await;
    let alone = [&FIRST[..], &["--aws-only"]].concat();
    let public = run(&site, &alone).ends(4).await;
    public.says(&[&format!("awsRoleArn={ROLE} audience=api://AzureADTokenExchange\n")]);
    let given = run(&site, &[&alone[..], &["--set", "AzureCloud=us-government"]].concat()).ends(4).await;
    given.says(&[&format!("awsRoleArn={ROLE} audience=api://AzureADTokenExchangeUSGov\n")]);
    site.file("hubkeeper-deploy.toml", "[parameters]\nAzureCloud = \"us-government\"\n");
    run(&site, &alone).ends(4).await.says(&["audience=api://AzureADTokenExchangeUSGov\n"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_rolled_back_leaves_the_way_back_that_there_was() {
    let site = empty().await;
    deployed(&site).await;
    let set = |value: &'static str| [&FIRST[..], &["--set", value]].concat();
    run(&site, &set("NotificationEmail=first@example.com")).ends(0).await;
    let way_back = || site.world.with(|state| state.aws.buckets[BUCKET].object(WAY_BACK).unwrap().clone());
    let before = way_back();
    assert_eq!(serde_json::from_slice::<Value>(&before).unwrap()["parameters"]["NotificationEmail"], "");
    site.world.with(|state| state.aws.stacks.fails = Some(("NoticeTopic".to_owned(), "quota".to_owned())));
    run(&site, &set("NotificationEmail=second@example.com")).ends(4).await.says(&["is UPDATE_ROLLBACK_COMPLETE"]);
    assert_eq!(way_back(), before);
    // so it leads from what the stack is to what it was before its last update that succeeded
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "first@example.com");
    run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await;
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bucket_that_cannot_be_protected_is_deleted_again() {
    let site = empty().await;
    let lost = |site: &Site| {
        let mut lost = false;
        site.world.script(move |_, _, request| {
            let creates = request.method() == http::Method::PUT && request.uri().path() == format!("/{BUCKET}/");
            let first = creates && request.uri().query().is_none() && !std::mem::replace(&mut lost, true);
            first.then_some(Fault::ResetAfter)
        });
    };
    for (right, is_lost) in [
        ("s3:PutBucketPublicAccessBlock", false),
        ("s3:PutBucketVersioning", false),
        // whoever asks once more, since the response was lost, is told that the bucket exists
        ("s3:PutBucketVersioning", true),
    ] {
        site.world.with(|state| state.aws.denied = [right.to_owned()].into());
        if is_lost {
            lost(&site);
        }
        run(&site, &with(&alone(), &[])).ends(4).await.shows_nothing().says(&[&format!("you need the right {right}")]);
        site.world.calm();
        let deleted = site.writes().iter().filter(|line| line.starts_with("DELETE")).count();
        assert_eq!(deleted, 1, "{right}");
        assert!(site.world.with(|state| state.aws.buckets.is_empty()), "{right}");
        assert_eq!(status(&site), "DELETE_COMPLETE", "{right}: the empty stack is gone");
        assert_eq!(told_azure(&site), "");
    }
    site.world.with(|state| state.aws.denied.clear());
    run(&site, &FIRST).ends(0).await;
    let bucket = site.world.with(|state| state.aws.buckets[BUCKET].clone());
    assert!(bucket.public_access_blocked && bucket.versioned);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_follow_name_the_file_of_choices() {
    let site = empty().await;
    let file = ["--config", "my choices.toml"];
    let named = " --stack other --release 1.0.0 --config 'my choices.toml'\n";
    let handed = run(&site, &[&FIRST[..], &["--aws-only", "--stack", "other"], &file].concat()).ends(4).await;
    handed.says(&[&format!("--set AzureClientId=<the second>{named}")]);
    let mut outputs: Value = json!({"tenantId": {"value": scene::TENANT}, "clientId": {"value": scene::CLIENT}});
    outputs["federatedSubject"] = json!({"value": "arn:aws:iam::111122223333:role/other-eu-west-1"});
    site.file("az.outputs", &outputs.to_string());
    let azure = [&FIRST[..], &["--azure-only", "--resource-group", "rg-defender", "--stack", "other"], &file].concat();
    let done = run(&site, &azure).ends(0).await;
    done.says(&[&format!(
        "hubkeeper deploy --aws-only --set AzureTenantId={} --set AzureClientId={}{named}",
        scene::TENANT,
        scene::CLIENT
    )]);
    assert!(site.folder.join("my choices.toml").exists() && kept(&site).is_empty());
    // a remedy is a command, too
    site.world.with(|state| assert!(state.aws.denied.insert("iam:GetOutboundWebIdentityFederationInfo".to_owned())));
    run(&site, &azure).ends(4).await.says(&[&format!("--issuer <URL> --role-arn <ARN>{}", named.trim_end())]);
    site.world.with(|state| state.aws.denied.clear());
    run(&site, &[&FIRST[..], &["--aws-only"], &file].concat()).ends(0).await;
    let back = ["deploy", "--rollback", "--yes", file[0], file[1]];
    let named = " --stack other --release <its folder> --config 'my choices.toml'";
    run(&site, &back).ends(4).await.says(&[&format!("hubkeeper deploy{named}")]);
    // a file beside the program needs no option
    let plain = run(&empty().await, &[&FIRST[..], &["--aws-only"]].concat()).ends(4).await;
    plain.says(&["--set AzureClientId=<the second> --release 1.0.0\n"]);
}
