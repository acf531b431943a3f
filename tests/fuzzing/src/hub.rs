//! Input: a script of responses (see [`crate::answers`]) to one operation at Docker Hub, its token service or its registry. The
//! token of every request is the marker.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubkeeper::clients::hub::login::TokenLogin;
use hubkeeper::clients::hub::registry::{Grant, Granted};
use hubkeeper::clients::hub::repositories::Tags;
use hubkeeper::clients::hub::tokens::Mint;
use hubkeeper::clients::hub::{Credential, Hub, HubWriter, Session, claims};
use hubkeeper::prove::gather::{Prover, Subject, TagList};
use hubkeeper_core::config::OverPrivilege;
use hubkeeper_core::hub::{HubError, Repository};
use hubkeeper_core::ids::TokenId;
use hubkeeper_core::plan::refusals::refusal;
use hubkeeper_core::proof::evidence::{Level, Login as Entered, Pulls, level};
use hubkeeper_core::proof::verdict;
use hubkeeper_core::secret::{Document, Login, Purpose};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::answers::{self, Answer, NOW, Script};
use crate::clean::{self, MARKER};

const OPERATIONS: [&str; 13] = [
    "login",
    "password",
    "repositories",
    "tag",
    "tokens",
    "mint",
    "change",
    "revoke",
    "grant",
    "manifest",
    "proof",
    "registryTags",
    "dailyProof",
];
const ORGANIZATION: &str = "acme";
const TOKEN_ID: &str = "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001";

pub(crate) fn hub(script: &Arc<Script>) -> Hub {
    Hub {
        http_client: script.http_client(),
        api: "https://hub.docker.com".into(),
        auth: "https://auth.docker.io".into(),
        registry: "https://registry-1.docker.io".into(),
    }
}

pub(crate) fn credential() -> Credential {
    Credential { identifier: "acme-scanner".into(), token: SecretString::from(MARKER) }
}

/// A session that began before the script.
fn session() -> Session {
    static SESSION: OnceLock<Session> = OnceLock::new();
    let enter = || {
        let claims = json!({"scope": "repo:read", "iat": 1_795_514_400, "exp": 1_795_515_000, "jti": MARKER});
        let jwt = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let script = Script::new(vec![Answer::json(200, &json!({ "access_token": jwt }))]);
        match answers::run(hub(&script).login(&credential())) {
            Ok(TokenLogin::Accepted(session)) => session,
            _ => panic!("a good login"),
        }
    };
    SESSION.get_or_init(enter).clone()
}

/// Every response is read as what it says, or becomes an error that shows nothing of it. A rejected request is not repeated.
pub(crate) fn check(input: &[u8]) {
    let (operation, answers) = answers::parse(input, &OPERATIONS);
    let script = Script::new(answers);
    let hub = hub(&script);
    match operation {
        "login" => match clear(answers::run(hub.login(&credential())), input) {
            Some(TokenLogin::Rejected) => once(&script, 401),
            Some(TokenLogin::Accepted(_)) => once(&script, 200),
            None => {}
        },
        "password" => password(&hub, input),
        "repositories" => {
            if let Some(list) = clear(answers::run(hub.repositories(&session(), ORGANIZATION)), input) {
                assert!(list.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted, and each once");
                assert!(list.iter().all(|repository| is_name(&repository.name)));
            }
        }
        "tag" => {
            let tags = clear(answers::run(hub.some_tags(&session(), ORGANIZATION, "web")), input);
            if let Some(Tags::Named(tags)) = &tags {
                assert!(tags.len() <= 3 && tags.iter().all(|tag| is_tag(tag)), "{tags:?}");
            }
            if tags.is_some() {
                assert!(matches!(script.sent().last().map(|sent| sent.status), Some(200 | 403 | 404)));
            }
        }
        "tokens" => {
            if let Some(list) = clear(answers::run(hub.tokens(&session())), input) {
                let ids: std::collections::BTreeSet<_> = list.iter().map(|pat| &pat.id).collect();
                assert!(ids.len() == list.len() && ids.iter().all(|id| id.as_str().len() == 36));
                for at in list.iter().flat_map(|pat| [pat.created_at, pat.last_used, pat.expires_at]).flatten() {
                    assert!(!hubkeeper_core::time::rfc3339(at).is_empty());
                }
            }
        }
        "mint" => match clear(answers::run(HubWriter::new(hub).mint(&session(), "hubkeeper/x/y", NOW)), input) {
            Some(Mint::Minted { id, .. }) => assert_eq!(id.as_str().len(), 36),
            Some(Mint::Unknown(why)) => clean::text(&why, input),
            Some(Mint::Refused(status)) => once(&script, status),
            None => {}
        },
        "change" => {
            clear(
                answers::run(HubWriter::new(hub).set_active(
                    &session(),
                    &TokenId::of_service(TOKEN_ID),
                    false,
                    "hubkeeper/x/y",
                )),
                input,
            );
        }
        "revoke" => {
            clear(answers::run(HubWriter::new(hub).revoke(&session(), &TokenId::of_service(TOKEN_ID))), input);
        }
        "grant" => {
            granted(&hub, input);
        }
        "manifest" => {
            if let Some(granted) = granted(&hub, input) {
                clear(answers::run(hub.manifest(&granted, ORGANIZATION, "web", "1.0")), input);
            }
        }
        "registryTags" => {
            if let Some(granted) = granted(&hub, input) {
                let tags = answers::run(hub.registry_tags(&granted, ORGANIZATION, "web"));
                assert!(tags.len() <= 3 && tags.iter().all(|tag| is_tag(tag)), "{tags:?}");
            }
        }
        "dailyProof" => proof(&hub, TagList::Registry),
        _ => proof(&hub, TagList::DockerHub),
    }
    script.end();
}

/// The content of a response, if it is usable.
fn clear<T>(answer: Result<T, HubError>, input: &[u8]) -> Option<T> {
    answer.map_err(|error| clean::text(&format!("{} {error:?}", error.message()), input)).ok()
}

/// The last response decides.
fn once(script: &Script, status: u16) {
    let sent = script.sent();
    let decided = sent.iter().position(|sent| sent.status == status);
    assert_eq!(decided, sent.len().checked_sub(1), "asked again after {status}");
}

fn password(hub: &Hub, input: &[u8]) {
    let login = Login {
        username: "acme-scanner".into(),
        password: SecretString::from(MARKER),
        totp_seed: Some(SecretString::from("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")),
    };
    if let Err(failure) = answers::run(hub.password_login(&login, Purpose::Manager)) {
        clean::error(&failure.error, input);
    }
}

fn granted(hub: &Hub, input: &[u8]) -> Option<Granted> {
    let web = Repository { name: "web".into(), private: true, plugin: false };
    match clear(answers::run(hub.registry_token(&credential(), ORGANIZATION, &[&web], "pull")), input)? {
        Grant::Granted(granted) => {
            for (name, action) in [("web", "pull"), ("web", "push"), ("we", "pull"), ("", "pull")] {
                let says = says(input, &format!("{ORGANIZATION}/{name}"));
                assert!(says || !granted.grants(ORGANIZATION, name, action), "a grant that the claims do not contain");
            }
            Some(granted)
        }
        Grant::Refused(_) => None,
    }
}

/// Whether the claims of some token in the input name the repository. Computed differently than in the function.
fn says(input: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(input).replace("\\u002e", ".").replace("\\u002E", ".");
    let unescaped: Vec<String> = text.split(['"', ' ', '\n']).map(str::to_owned).collect();
    unescaped.iter().filter_map(|word| claims(word)).any(|claims| {
        let entries = claims.get("access").and_then(Value::as_array).cloned().unwrap_or_default();
        entries.iter().any(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
    }) || text.contains("\\u")
}

/// The whole proof with the script: `complete` only if the function saw every necessary response.
fn proof(hub: &Hub, tags: TagList) {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        let value = json!({"organization": ORGANIZATION, "username": "acme-scanner", "accessToken": MARKER,
            "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub", "location": "westeurope"}});
        Document::parse(&SecretString::from(value.to_string())).expect("a document")
    });
    let prover = Prover { hub };
    let subject = Subject {
        credential: credential(),
        organization: &document.organization,
        is_organization_token: document.is_organization_token(),
        expected: &document.expected,
        excluded: &document.excluded,
        sample_only: false,
        tags,
    };
    let survey = answers::run(prover.survey(&subject));
    let evidence = answers::run(prover.finish(survey, async { true }));
    let verdict = verdict::verdict(&evidence, OverPrivilege::Refuse);
    if verdict.is_complete() {
        assert_eq!((&evidence.login, evidence.pulls), (&Entered::Accepted, Pulls::Asked));
        assert!(!evidence.visible.is_empty() && evidence.denied.is_empty() && evidence.gaps.is_empty());
        assert!(!matches!(level(evidence.scope.as_deref()), Level::More | Level::PublicRead));
    } else {
        // an error contains repository names of the service, which may look like anything
        let refusal = refusal(&verdict);
        clean::of_the_marker(&format!("{refusal} {refusal:?}"));
    }
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len()) && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}
