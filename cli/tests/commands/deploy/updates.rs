//! A stack is created, updated and rolled back.

use std::fs;

use hubkeeper_sandbox::{State, scene};
use serde_json::{Value, json};

use super::{
    BUCKET, FIRST, PASSWORD, ROLE, deployed, empty, is_on_the_page, kept, release_with, run, stack, status, told_azure,
    with_function,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deployment_of_both_clouds_and_a_repetition_that_changes_nothing() {
    let site = with_function().await;
    let _ = site.writes();
    let arguments =
        [&FIRST[..], &["--resource-group", "rg-defender", "--set", "NotificationEmail=me@example.com"]].concat();
    let first = run(&site, &arguments).ends(0).await;
    let first = first.says(&[
        "subscription   Security (a5caac9c",
        "subject  arn:aws:iam::111122223333:role/hubkeeper-eu-west-1",
        "+ Microsoft.ManagedIdentity/userAssignedIdentities/hubkeeper",
        "stack          hubkeeper (new)",
        "bucket         hubkeeper-111122223333-eu-west-1 (new: no public access, every version kept)",
        "+ HubkeeperFunction  AWS::Serverless::Function",
        "NotificationEmail  me@example.com",
        "your choices are in hubkeeper-deploy.toml",
        "hubkeeper init <organization>",
    ]);
    is_on_the_page(&site, "hubkeeper deploy --resource-group", &format!("{}{}", first.err, first.out));
    // the outputs, then the checks of doctor
    let first = first.shows(&["outputs of hubkeeper (CREATE_COMPLETE)", "FunctionName", "Deployed function", "✓"]);
    assert!(first.out.find("outputs of").unwrap() < first.out.find("✓").unwrap());
    let create = told_azure(&site).lines().find(|line| line.contains("deployment group create")).unwrap().to_owned();
    for words in [
        "--name hubkeeper --resource-group rg-defender",
        "--template-file 1.0.0/hubkeeper-azure-1.0.0.json",
        &format!("awsRoleArn={ROLE} audience=api://AzureADTokenExchange"),
        "awsIssuer=https://",
    ] {
        assert!(create.contains(words), "{words}: {create}");
    }
    let made = stack(&site).unwrap();
    assert_eq!((made.status.as_str(), made.parameters["Architecture"].as_str()), ("CREATE_COMPLETE", "arm64"));
    assert_eq!(
        (made.parameters["AzureClientId"].as_str(), made.parameters["CodeBucket"].as_str()),
        (scene::CLIENT, BUCKET)
    );
    let bucket = site.world.with(|state| state.aws.buckets[BUCKET].clone());
    assert!(bucket.public_access_blocked && bucket.versioned);
    let package = format!("{}hubkeeper-function-1.0.0-arm64.zip", made.parameters["CodePrefix"]);
    assert_eq!(bucket.object(&package).unwrap(), "package 1.0.0 arm64");
    let written = kept(&site);
    for words in [
        "account = \"111122223333\"",
        "resource_group = \"rg-defender\"",
        "NotificationEmail = \"me@example.com\"",
        scene::CLIENT,
    ] {
        assert!(written.contains(words), "{words}: {written}");
    }

    let _ = site.writes();
    let deployments = told_azure(&site).matches("deployment group create").count();
    let again =
        run(&site, &FIRST).ends(0).await.says(&["Azure          nothing to change", "nothing to change in hubkeeper"]);
    assert!(!again.err.contains("your choices are in"), "{}", again.err);
    assert_eq!(told_azure(&site).matches("deployment group create").count(), deployments);
    assert_eq!(stack(&site).unwrap().events.len(), made.events.len());
    // a change set is computed, found empty, and deleted
    assert_eq!(site.writes(), ["POST CreateChangeSet", "POST DeleteChangeSet"]);
    let json = run(&site, &[&FIRST[..], &["-o", "json"]].concat()).ends(0).await.json();
    assert_eq!((&json["outcome"], &json["azure"]["outcome"]), (&json!("unchanged"), &json!("unchanged")));
    assert_eq!(json["outputs"]["RoleArn"], ROLE);
    assert!(json["doctor"]["checks"].is_array(), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_shows_its_changes_and_is_rolled_back_in_one_command() {
    let site = empty().await;
    deployed(&site).await;
    let before = stack(&site).unwrap();
    release_with(&site, "1.1.0", &["arm64"], |template| {
        template["Parameters"]["AzureCloud"].take();
        template["Parameters"].as_object_mut().unwrap().remove("AzureCloud");
        template["Resources"].as_object_mut().unwrap().remove("NoticeTopic");
        template["Resources"]["Queue"] = json!({"Type": "AWS::SQS::Queue"});
    });
    let update = ["deploy", "--release", "1.1.0", "--yes", "--set", "NotificationEmail=new@example.com", "-o", "json"];
    let updated = run(&site, &update).ends(0).await.says(&[
        "this version has no parameter AzureCloud: left out",
        "~ HubkeeperFunction  AWS::Serverless::Function",
        "- NoticeTopic",
        "+ Queue",
        "NotificationEmail  none → new@example.com",
    ]);
    let json = updated.json();
    assert_eq!(
        (&json["outcome"], &json["version"], &json["status"]),
        (&json!("applied"), &json!("1.1.0"), &json!("UPDATE_COMPLETE"))
    );
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "new@example.com");

    let plan = run(&site, &["deploy", "--rollback", "--plan"]).ends(0).await;
    let plan = plan.says(&["becomes        what it was before its last update", "nothing was changed"]);
    plan.shows(&["+ NoticeTopic", "- Queue"]);
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "new@example.com");
    run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await.shows(&["UPDATE_COMPLETE"]);
    let after = stack(&site).unwrap();
    assert_eq!((&after.template, &after.parameters), (&before.template, &before.parameters));
    let again = run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await;
    again.says(&["nothing to change in hubkeeper: it is what it was before its last update"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_of_sam_is_updated_and_rolled_back_with_its_hidden_value() {
    let site = empty().await;
    site.world.with(|state: &mut State| {
        scene::deploy(state);
        state.aws.deployment.function.architecture = "x86_64".to_owned();
    });
    let first = run(&site, &FIRST).ends(0).await;
    first.says(&["no parameter Retired: left out", "hubkeeper-function-1.0.0-x86_64.zip", "~ HubkeeperFunction"]);
    assert_eq!(told_azure(&site), "", "the ids are known, and nobody named a group");
    let updated = stack(&site).unwrap();
    assert_eq!(
        (updated.parameters["Architecture"].as_str(), updated.parameters["AzureClientId"].as_str()),
        ("x86_64", scene::CLIENT)
    );
    site.is_secret(PASSWORD);
    let proxied = run(&site, &[&FIRST[..], &["--set", "HttpsProxy"]].concat());
    let proxied = proxied.with("HttpsProxy", &format!("http://me:{PASSWORD}@proxy.example.com:3128")).ends(0).await;
    proxied.says(&["HttpsProxy is hidden: the stack keeps it", "HttpsProxy  **** → ****"]);
    assert!(stack(&site).unwrap().parameters["HttpsProxy"].contains(PASSWORD));
    let stored = site
        .world
        .with(|state| state.aws.buckets[BUCKET].object("hubkeeper/hubkeeper/previous/stack.json").unwrap().clone());
    for text in [kept(&site), String::from_utf8(stored.to_vec()).unwrap()] {
        assert!(!text.contains(PASSWORD) && !text.contains("http://me"), "{text}");
    }
    // an update that names no hidden value keeps it
    run(&site, &[&FIRST[..], &["--set", "NotificationEmail=a@b"]].concat()).ends(0).await;
    assert!(stack(&site).unwrap().parameters["HttpsProxy"].contains(PASSWORD));
    run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await;
    let back = stack(&site).unwrap();
    assert!(back.parameters["HttpsProxy"].contains(PASSWORD) && back.parameters["NotificationEmail"].is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rollback_of_a_first_update_returns_to_sam_s_template() {
    let site = empty().await;
    site.world.with(scene::deploy);
    run(&site, &["deploy", "--rollback", "--yes"])
        .ends(4)
        .await
        .says(&["no earlier deployment of hubkeeper", "--release"]);
    // SAM reads a template from a bucket, so it may be longer than a request
    run(&site, &["destroy", "--plan"]).ends(0).await;
    site.world.with(|state| {
        let template = &mut state.aws.stacks.stacks.get_mut("hubkeeper").unwrap().template;
        let mut longer: Value = serde_json::from_str(template).unwrap();
        longer["Description"] = json!("x".repeat(60_000));
        *template = longer.to_string();
    });
    run(&site, &FIRST).ends(0).await;
    let _ = site.writes();
    run(&site, &["deploy", "--rollback", "--plan"]).ends(0).await.says(&["nothing was changed"]);
    assert_eq!(site.writes(), ["POST CreateChangeSet", "POST DeleteChangeSet"], "a plan writes no object");
    run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await.says(&["Retired"]);
    let back = stack(&site).unwrap();
    assert!(back.template.contains("s3://aws-sam-cli-managed-default/"), "{}", back.template);
    assert_eq!(back.parameters["Retired"], "x");
    run(&site, &["deploy", "--rollback", "--yes", "--stack", "none"])
        .ends(4)
        .await
        .says(&["is about the stack hubkeeper"]);
    fs::remove_file(site.folder.join("hubkeeper-deploy.toml")).unwrap();
    run(&site, &["deploy", "--rollback", "--yes", "--stack", "none"]).ends(4).await.says(&["there is no stack none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_builds_its_release_for_the_processor_of_the_function() {
    let site = empty().await;
    for (name, text) in [("infra/aws/template.yaml", ""), ("Cargo.toml", ""), ("infra/azure/azuredeploy.json", "{}")] {
        fs::create_dir_all(site.folder.join(name).parent().unwrap()).unwrap();
        fs::write(site.folder.join(name), text).unwrap();
    }
    let arguments = ["deploy", "--build", "--resource-group", "rg-defender", "--yes", "--set", "Architecture=x86_64"];
    site.program("make", "echo \"$*\" >> make.log; echo 'error: it does not compile' >&2; exit 2");
    run(&site, &arguments).ends(4).await.says(&["it does not compile", "the build failed", "nothing was deployed"]);
    assert_eq!(status(&site), "");
    site.program(
        "make",
        "echo \"$*\" >> make.log; for word; do case $word in FOLDER=*) mkdir -p \"${word#FOLDER=}\"; cp 1.0.0/* \"${word#FOLDER=}\" ;; esac; done; echo built",
    );
    let built = run(&site, &arguments).ends(0).await.says(&["builds the function for x86_64", "built"]);
    assert!(!built.out.contains("built\n"), "results alone go to standard output: {}", built.out);
    let made = fs::read_to_string(site.folder.join("make.log")).unwrap();
    let made = made.lines().last().unwrap();
    assert!(made.contains(" release-folder VERSION=") && made.contains(" ARCH=x86_64 FOLDER="), "{made}");
    assert_eq!(stack(&site).unwrap().parameters["Architecture"], "x86_64");
    assert!(told_azure(&site).contains("infra/azure/azuredeploy.json"), "{}", told_azure(&site));
}
