//! Input: a JWT, or the claims of one as JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubkeeper::clients::azure::assertion::identity;
use hubkeeper::clients::hub::claims;
use hubkeeper::clients::hub::login::TokenLogin;
use hubkeeper_core::proof::evidence::{Level, level};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::answers::{self, NOW, Script};
use crate::clean::{self, MARKER};
use crate::hub::hub;

/// Claims are read exactly or not at all. A session's scope and lifetime are those of its claims, and no lifetime overflows.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    read(text, input);
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let jwt = format!("e30.{}.{MARKER}", URL_SAFE_NO_PAD.encode(text));
        assert_eq!(claims(&jwt), Some(value).filter(Value::is_object));
        read(&jwt, input);
    }
}

fn read(jwt: &str, input: &[u8]) {
    let read = claims(jwt);
    assert!(read.as_ref().is_none_or(Value::is_object));
    let identity = identity(&SecretString::from(jwt)).to_string();
    assert!(!identity.contains(MARKER) || read.is_some_and(|read| read.to_string().contains(MARKER)), "{identity}");
    let answer = answers::Answer::json(200, &json!({ "access_token": jwt }));
    let script = Script::new(vec![answer]);
    let login = answers::run(hub(&script).login(&crate::hub::credential()));
    match login {
        Ok(TokenLogin::Accepted(session)) => {
            assert!(session.scope.as_ref().is_none_or(|scope| !scope.is_empty()));
            if let Some(scope) = &session.scope
                && scope.iter().any(|name| name.ends_with(":write") || name.ends_with(":admin"))
            {
                assert_eq!(level(Some(scope)), Level::More, "a right to write is never overlooked");
            }
            let end = session.lifetime.map(|lifetime| time::Duration::try_from(lifetime).ok());
            assert!(end.is_none_or(|lifetime| NOW.checked_add(lifetime.unwrap_or(time::Duration::MAX)).is_some()));
        }
        Ok(TokenLogin::Rejected) => panic!("a 200 is no rejection"),
        Err(error) => {
            assert!(jwt.is_empty());
            clean::text(&format!("{} {error:?}", error.message()), input);
        }
    }
}
