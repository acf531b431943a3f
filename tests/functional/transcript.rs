//! Tests that a transcript of real runs holds no secret and no name (docs/verified.md).

use std::sync::{Arc, Mutex};

use hubkeeper_core::transcript::{Exchange, Message, Service as Told, Transcript};
use hubkeeper_sandbox::{Recorded, leak, scene};
use serde_json::{Value, json};

use crate::zero;
use hubkeeper_scene::{
    Begin, CLIENT, CONNECTOR, EMAIL, GROUP, ORG, OWNER, PASSWORD, SECRET, SUBSCRIPTION, Scene, TENANT, USER,
};

/// Notes every exchange of a scene from now on.
fn recorded(scene: &Scene) -> Arc<Mutex<Transcript>> {
    let bases = [
        ("https://login.microsoftonline.com", Told::Entra),
        ("https://management.azure.com", Told::Arm),
        ("https://hub.docker.com", Told::Hub),
        ("https://auth.docker.io", Told::HubAuth),
        ("https://registry-1.docker.io", Told::Registry),
    ];
    let transcript = Transcript::new(bases.map(|(base, service)| (base.to_owned(), service)));
    let transcript = Arc::new(Mutex::new(transcript));
    let noted = Arc::clone(&transcript);
    scene.world.watch(move |_, entry| note(&mut noted.lock().unwrap(), entry));
    transcript
}

fn note(transcript: &mut Transcript, entry: &Recorded) {
    fn message<'a>(headers: &'a http::HeaderMap, body: &'a [u8]) -> Message<'a> {
        Message { headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(), body }
    }
    transcript.note(&Exchange {
        method: entry.request.method().as_str(),
        uri: &entry.request.uri().to_string(),
        request: message(entry.request.headers(), entry.request.body()),
        response: entry
            .response
            .as_ref()
            .map(|response| (response.status().as_u16(), message(response.headers(), response.body()))),
    });
}

/// Checks that neither a secret of the world nor one of its names is in the transcript. Returns its exchanges.
fn checked(scene: &Scene, transcript: &Mutex<Transcript>) -> Vec<Value> {
    let json = transcript.lock().unwrap().to_json();
    let shown = json.to_string();
    let secrets = scene.world.with(|state| leak::secrets_of(state));
    assert!(secrets.len() > 5, "{}", secrets.len());
    assert_eq!(leak::find(&secrets, &shown), []);
    let names = [CLIENT, CONNECTOR, EMAIL, GROUP, ORG, OWNER, PASSWORD, SECRET, SUBSCRIPTION, TENANT, USER];
    // `api` and `web` are in names of fields
    let repositories = scene::REPOSITORIES.map(|(name, ..)| name).into_iter().filter(|name| name.len() > 4);
    for name in names.into_iter().chain(repositories).chain([scene.arn.as_str()]) {
        assert!(!shown.to_lowercase().contains(&name.to_lowercase()), "{name}: {shown}");
    }
    assert_eq!(Transcript::from_json(&json).unwrap().to_json(), json);
    json["exchanges"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_life_of_a_token_leaves_no_secret_in_its_transcript() {
    let scene = Scene::new(Begin::Manager);
    let transcript = recorded(&scene);
    scene.onboard().await.unwrap();
    assert!(scene.rotate(1).await.succeeded);
    scene.reconcile().await;
    let _ = scene.invoke(json!({"action": "verify", "secretId": "nowhere"})).await;
    let exchanges = checked(&scene, &transcript);
    let services: std::collections::BTreeSet<&str> =
        exchanges.iter().filter_map(|exchange| exchange["service"].as_str()).collect();
    assert_eq!(
        services.into_iter().collect::<Vec<_>>(),
        ["arm", "entra", "hub", "hubAuth", "registry", "secretsmanager", "sts"]
    );
    let of = |path: &str| exchanges.iter().find(|exchange| exchange["path"] == path).unwrap();
    assert_eq!(of("/v2/users/login")["request"]["body"], json!({"username": "string", "password": "string"}));
    assert!(of("/v2/auth/token")["response"]["claims"].get("scope").is_some(), "which claims does a login have?");
    let connector = of("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{}");
    assert_eq!(connector["query"], json!(["api-version=2024-08-01-preview"]));
    assert!(exchanges.iter().any(|exchange| {
        exchange["action"] == "DescribeSecret" && exchange["codes"] == json!(["ResourceNotFoundException"])
    }));
}

#[tokio::test(start_paused = true)]
async fn an_invitation_leaves_no_address_in_its_transcript() {
    let scene = zero::scene(|_| {});
    let transcript = recorded(&scene);
    let _ = scene.onboard().await;
    let exchanges = checked(&scene, &transcript);
    assert!(exchanges.iter().any(|exchange| exchange["path"] == "/v2/invites/bulk"));
}
