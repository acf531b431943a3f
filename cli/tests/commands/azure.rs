//! `--local` on a person's machine: the login of the Azure CLI.

use hubkeeper_sandbox::{Request, Service, entra, scene};
use serde_json::Value;

use crate::site::Site;

/// A bearer for Azure Resource Manager, as Entra gives it to a login.
pub(crate) fn bearer(site: &Site) -> String {
    let secret = site.world.with(|state| entra::add_client_secret(state, scene::CLIENT, None));
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope=https%3A%2F%2Fmanagement.azure.com%2F.default",
        scene::CLIENT,
        secret.replace('~', "%7E")
    );
    let mut request = Request::new(form.into());
    *request.method_mut() = "POST".parse().unwrap();
    *request.uri_mut() = format!("/{}/oauth2/v2.0/token", scene::TENANT).parse().unwrap();
    request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let response = site.world.call(Service::Entra, request).unwrap();
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_of_the_azure_cli_reads_azure() {
    let site = Site::deployed().await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    let bearer = bearer(&site);
    // the file keeps the token out of the arguments of `cat`, as the Azure CLI does
    let file =
        site.file("az.json", &format!(r#"{{"accessToken":"{bearer}","expires_on":4102444800,"tokenType":"Bearer"}}"#));
    site.program("az", &format!("echo \"$@\" >> az.log\ncat {file}"));
    let (_, entra) = (site.writes(), site.served.requests(Service::Entra));
    site.run(&["status", "--local"]).without("HUBKEEPER_AZURE_AUTH").ends(0).await.shows(&["✓ ready"]);
    site.run(&["reconcile", scene::SECRET, "--plan", "--local"]).without("HUBKEEPER_AZURE_AUTH").ends(0).await;
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.served.requests(Service::Entra), entra, "nobody else logs in");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_of_the_azure_cli_a_person_is_told_to_log_in() {
    let site = Site::deployed().await;
    site.run(&["status", "--local"]).without("HUBKEEPER_AZURE_AUTH").ends(4).await.says(&[
        "the Azure CLI",
        "az is not installed, or not on the PATH",
        "az login",
        "HUBKEEPER_AZURE_AUTH",
    ]);
    site.program("az", "echo \"ERROR: Please run 'az login' to setup account.\" >&2\nexit 1");
    site.run(&["status", "--local"])
        .without("HUBKEEPER_AZURE_AUTH")
        .ends(4)
        .await
        .says(&["returned no token", "az login"]);
    site.program("az", "echo not json");
    site.run(&["onboard", scene::SECRET, "--plan", "--local"])
        .without("HUBKEEPER_AZURE_AUTH")
        .ends(4)
        .await
        .says(&["returned no token"]);
    assert_eq!(site.writes(), [""; 0]);
}
