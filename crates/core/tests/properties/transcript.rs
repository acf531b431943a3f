//! A transcript holds nothing of an exchange but its form, whatever the exchange is.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hubkeeper_core::transcript::{Exchange, Message, Service, Transcript};
use hubkeeper_test_support::property::{ensure, holds, refuted};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The parts of an exchange, owned.
#[derive(Clone, Debug)]
struct Sample {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    bodies: (Vec<u8>, Vec<u8>),
    status: Option<u16>,
}

/// Secrets of many forms. None can be a word by chance: those of letters alone have no vowel.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "dckr_pat_[A-Za-z0-9_-]{27}",
        "[bcdfghjklmnpqrstvwxz]{6,12}",
        "[A-Z2-7]{4}[2-7][A-Z2-7]{12}",
        "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}",
        "[a-z]{3,8}@[bcdfg]{4}\\.example",
        "[bcdfghjk]{4} [lmnpqrst]{5}",
        "[!-~]{5}[0-9@%&\"\\\\]{6}",
        "eyJ[A-Za-z0-9]{8}\\.eyJ[A-Za-z0-9]{12}\\.[A-Za-z0-9_-]{10}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "name",
            "message",
            "code",
            "error",
            "errors",
            "detail",
            "details",
            "__type",
            "token",
            "access_token",
            "tags",
            "SecretString",
            "VersionIdsToStages",
            "properties",
            "results",
            "error_codes",
            "password",
            "error_description",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z_.-]{1,12}",
    ]
}

/// JSON with `SECRET` in places.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z ]{0,12}".prop_map(Value::from),
        Just(json!("SECRET")),
        Just(json!("the login of SECRET is denied (SECRET).")),
        Just(json!("CLAIMS")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof![4 => name(), 1 => Just("SECRET".to_owned()), 1 => name().prop_map(|name| format!("{name}SECRET"))];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn xml(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("<{name}>{}</{name}>", xml(value))).collect::<Vec<_>>().concat()
        }
        Value::Array(items) => {
            items.iter().map(|item| format!("<member>{}</member>", xml(item))).collect::<Vec<_>>().concat()
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => value().prop_map(|value| value.to_string().into_bytes()),
        2 => value().prop_map(|value| format!("<Error>{}</Error>", xml(&value)).into_bytes()),
        2 => vec((name(), "SECRET|[a-z]{0,5}"), 0..4).prop_map(|fields| {
            fields.iter().map(|(name, value)| format!("{name}={value}&SECRET=")).collect::<Vec<_>>().concat().into_bytes()
        }),
        1 => (value(), any::<prop::sample::Index>()).prop_map(|(value, end)| {
            let text = value.to_string().into_bytes();
            text[..end.index(text.len() + 1)].to_vec()
        }),
        1 => vec(any::<u8>(), 0..40),
        1 => Just(Vec::new()),
    ]
}

fn samples() -> impl Strategy<Value = Sample> {
    let method = prop_oneof![4 => "GET|POST|PUT", 1 => Just("SECRET".to_owned())];
    let base = prop_oneof![
        6 => "https://(hub|arm|entra|auth|registry)\\.example",
        1 => Just("https://SECRET@hub.example".to_owned()),
        1 => Just("https://SECRET.example".to_owned()),
    ];
    let segment = prop_oneof![
        3 => "v2|orgs|members|token|auth|oauth2|login|users|subscriptions|manifests",
        1 => Just("SECRET".to_owned()),
        1 => "[a-zA-Z0-9%._-]{0,6}",
    ];
    let query = prop_oneof![
        Just(String::new()),
        "\\?(page|api-version|SECRET|token)=(SECRET|2024-08-01|x)(&SECRET)?(#SECRET)?"
    ];
    let header = (
        prop_oneof![
            3 => "authorization|x-amz-target|content-type|www-authenticate|x-amzn-errortype|cookie|x-ms-request-id",
            1 => "SECRET|x-SECRET|[a-z-]{1,8}",
        ],
        prop_oneof![
            "(Bearer |Basic |)SECRET",
            "secretsmanager\\.(GetSecretValue|SECRET)|SECRET\\.x",
            "application/(json|x-www-form-urlencoded|xml)",
            "Bearer error=\"SECRET\", claims=\"SECRET\"",
        ],
    );
    (method, base, vec(segment, 0..6), query, vec(header, 0..4), (body(), body()), prop::option::of(100u16..600))
        .prop_map(|(method, base, segments, query, headers, bodies, status)| Sample {
            method,
            uri: format!("{base}/{}{query}", segments.join("/")),
            headers,
            bodies,
            status,
        })
}

/// Puts the secret where `SECRET` is, as the format of the place spells it.
fn planted(sample: &Sample, secret: &str) -> Sample {
    let quoted = Value::from(secret).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    let claims = json!({"sub": secret, secret: 1, "access": [{"name": secret}]}).to_string();
    let claims = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let plain = |text: &str| text.replace("SECRET", secret);
    let bytes = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => {
            let secret = if text.starts_with('<') { secret } else { escaped };
            text.replace("SECRET", secret).replace("CLAIMS", &claims).into_bytes()
        }
        Err(_) => bytes.to_vec(),
    };
    Sample {
        method: plain(&sample.method),
        uri: plain(&sample.uri),
        headers: sample.headers.iter().map(|(name, value)| (plain(name), plain(value))).collect(),
        bodies: (bytes(&sample.bodies.0), bytes(&sample.bodies.1)),
        status: sample.status,
    }
}

fn noted(samples: &[Sample]) -> Transcript {
    let bases = [
        ("https://hub.example", Service::Hub),
        ("https://arm.example", Service::Arm),
        ("https://entra.example", Service::Entra),
        ("https://auth.example", Service::HubAuth),
        ("https://registry.example", Service::Registry),
    ];
    let mut transcript = Transcript::new(bases.map(|(base, service)| (base.to_owned(), service)));
    for sample in samples {
        let headers = || sample.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        transcript.note(&Exchange {
            method: &sample.method,
            uri: &sample.uri,
            request: Message { headers: headers(), body: &sample.bodies.0 },
            response: sample.status.map(|status| (status, Message { headers: headers(), body: &sample.bodies.1 })),
        });
    }
    transcript
}

type Case = (Vec<Sample>, String);

fn cases() -> impl Strategy<Value = Case> {
    (vec(samples(), 1..4), secret()).prop_map(|(samples, secret)| {
        let samples = samples.iter().map(|sample| planted(sample, &secret)).collect();
        (samples, secret)
    })
}

/// Nothing of the secret is in the document, in any usual spelling.
fn is_without_secret(reduce: impl Fn(&[Sample]) -> Value) -> impl Fn(Case) -> Result<(), String> {
    move |(samples, secret)| {
        let shown = reduce(&samples).to_string().to_lowercase();
        let percent = secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let spellings = [secret.clone(), STANDARD.encode(&secret), URL_SAFE_NO_PAD.encode(&secret), percent];
        let found = spellings.iter().find(|spelling| shown.contains(&spelling.to_lowercase()));
        ensure(found.is_none(), || format!("{found:?} of {secret} is in {shown}"))
    }
}

#[test]
fn a_transcript_holds_nothing_of_a_secret() {
    holds(&cases(), is_without_secret(|samples| noted(samples).to_json()));
    refuted(
        &cases(),
        is_without_secret(|samples| {
            let queries: Vec<_> = samples.iter().map(|sample| sample.uri.split_once('?')).collect();
            json!([noted(samples).to_json(), queries])
        }),
    );
}

/// A transcript that is read again is the same, and one that is merged with itself too.
fn is_stable(read: impl Fn(&Value) -> Option<Value>) -> impl Fn(Case) -> Result<(), String> {
    move |(samples, _)| {
        let mut transcript = noted(&samples);
        let json = transcript.to_json();
        let again = read(&json);
        ensure(again.as_ref() == Some(&json), || format!("{json} is read as {again:?}"))?;
        transcript.merge(noted(&samples));
        ensure(transcript.to_json() == json, || format!("{json} merged with itself"))
    }
}

#[test]
fn a_transcript_is_read_as_it_was_written() {
    holds(&cases(), is_stable(|json| Some(Transcript::from_json(json)?.to_json())));
    refuted(
        &cases(),
        is_stable(|json| {
            let mut json = Transcript::from_json(json)?.to_json();
            json["exchanges"].as_array_mut()?.retain(|exchange| exchange.get("status").is_some());
            Some(json)
        }),
    );
}
