//! The half in Azure, with the Azure CLI and without it.

use std::fs;

use hubkeeper_sandbox::scene;

use super::{FIRST, ROLE, empty, kept, run, status, told_azure};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_azure_cli_an_administrator_gets_the_command() {
    let site = empty().await;
    fs::remove_file(site.folder.join("bin/az")).unwrap();
    let both = [&FIRST[..], &["--resource-group", "rg-defender"]].concat();
    let issuer = site.world.with(|state| state.aws.sts.issuer.clone());
    let words = [
        "the Azure CLI is not installed",
        "nothing was deployed",
        "az deployment group create --name hubkeeper --resource-group rg-defender --template-file 1.0.0/hubkeeper-azure-1.0.0.json",
        &format!("awsIssuer={issuer}"),
        &format!("awsRoleArn={ROLE}"),
        "hubkeeper deploy --aws-only --set AzureTenantId=<the first>",
    ];
    run(&site, &both).ends(4).await.shows_nothing().says(&words);
    run(&site, &[&FIRST[..], &["--aws-only"]].concat())
        .ends(4)
        .await
        .says(&["Azure is left out", "az deployment group create"]);
    site.program("az", "echo \"Please run 'az login' to setup account.\" >&2; exit 1");
    run(&site, &both).ends(4).await.says(&["has no login (run az login)", "az deployment group create"]);
    assert_eq!(site.writes(), [""; 0]);
    // with known ids the half in AWS continues
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&both[..], &["--set", &ids[0], "--set", &ids[1]]].concat();
    run(&site, &known).ends(0).await.says(&["Azure   not checked: the Azure CLI has no login"]);
    assert_eq!(status(&site), "CREATE_COMPLETE");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_against_the_half_in_azure_is_said_before_anything_is_made() {
    let site = empty().await;
    let both = |group: &'static str| [&FIRST[..], &["--resource-group", group]].concat();
    site.world.with(|state| state.aws.sts.federation_disabled = true);
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["is off in account 111122223333", "aws iam enable-outbound-web-identity-federation"]);
    site.world.with(|state| state.aws.sts.federation_disabled = false);
    run(&site, &both("rg-missing"))
        .ends(4)
        .await
        .says(&["no resource group rg-missing", "az group create --name rg-missing"]);
    site.file("az.subject", "arn:aws:iam::111122223333:role/other\n");
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["trusts arn:aws:iam::111122223333:role/other already", "--identity"]);
    // where it cannot be read, it is not taken for none
    site.file("az.hidden", "ERROR: (ServerTimeout) The request timed out.\n");
    run(&site, &both("rg-defender")).ends(4).await.says(&[
        "cannot be read which role the identity hubkeeper trusts: ERROR: (ServerTimeout)",
        "run the command again",
    ]);
    fs::remove_file(site.folder.join("az.hidden")).unwrap();
    fs::remove_file(site.folder.join("az.subject")).unwrap();
    run(&site, &FIRST).ends(2).await.says(&["missing: --resource-group"]);
    run(&site, &[&both("rg-defender")[..], &["--identity", "ab"]].concat()).ends(2).await.says(&["3 to 64 characters"]);
    let pair = |text: &'static str| [&both("rg-defender")[..], &["--azure-set", text]].concat();
    run(&site, &pair("existingPrincipalId=x")).ends(2).await.says(&["infra/azure/README.md"]);
    site.world.with(|state| assert!(state.aws.denied.insert("iam:GetOutboundWebIdentityFederationInfo".to_owned())));
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["you need the right iam:GetOutboundWebIdentityFederationInfo"]);
    assert!(!told_azure(&site).contains("group create") && site.writes().is_empty());
    site.world.with(|state| state.aws.denied.clear());
    site.file("az.fails", "ERROR: (AuthorizationFailed) The client does not have authorization.\n");
    site.file("az.provider", "NotRegistered\n");
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["AuthorizationFailed", "az provider register --namespace Microsoft.Security --wait"]);
    assert_eq!(status(&site), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_alone_is_deployed_with_or_without_a_login_at_aws() {
    let site = empty().await;
    let alone = ["deploy", "--release", "1.0.0", "--azure-only", "--resource-group", "rg-defender", "--yes"];
    site.file("az.cloud", "AzureUSGovernment\n");
    let done = run(&site, &[&alone[..], &["--azure-set", "allowDelete=false"]].concat()).ends(0).await;
    done.shows(&["outputs of Azure", scene::CLIENT])
        .says(&["audience api://AzureADTokenExchangeUSGov", "hubkeeper deploy --aws-only --set AzureTenantId="]);
    let told = told_azure(&site);
    assert!(told.contains("audience=api://AzureADTokenExchangeUSGov allowDelete=false"), "{told}");
    assert!(kept(&site).contains("AzureCloud = \"us-government\""), "{}", kept(&site));
    assert_eq!(site.writes(), [""; 0]);
    let issuer = "https://5f2c1d94-8f0e-4f37-9a2b-6f1c6b7d2e10.tokens.sts.global.api.aws";
    let named = [&alone[..], &["--issuer", issuer, "--role-arn", ROLE]].concat();
    let _ = site.requests();
    run(&site, &named).without("AWS_ACCESS_KEY_ID").ends(0).await.says(&["Azure          nothing to change"]);
    assert_eq!(site.requests(), [""; 0]);
    let wrong = [&alone[..], &["--issuer", issuer, "--role-arn", "arn:aws:sts::1:assumed-role/x/y"]].concat();
    run(&site, &wrong).ends(2).await.says(&["not the ARN of an IAM role"]);
}
