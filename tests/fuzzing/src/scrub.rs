//! Input: a secret in the first line, then a service's text, in which `{}` marks the secret.

use hubkeeper_core::redact;
use secrecy::SecretString;

use crate::clean::MARKER;

/// Removes known secrets and unknown tokens. Keeps words.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (secret, text) = text.split_once('\n').unwrap_or(("", text));
    let text = text.replace("{}", secret);
    let known = SecretString::from(secret);
    for quoted in [text.clone(), planted(&text, input.len())] {
        let kept = redact::words(&quoted, &[&known]);
        assert!(!kept.contains(MARKER), "a token gets through: {kept}");
        // a secret that looks like a placeholder of ours reveals nothing
        let shown = !secret.trim().is_empty() && !"… …".contains(secret.trim()) && kept.contains(secret);
        assert!(!shown, "the secret gets through: {kept}");
        assert!(kept.chars().count() <= 302, "a text is capped");
        assert!(kept.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()), "{kept}");
    }
    assert!(redact::code(&text).is_none_or(|code| code.bytes().all(|byte| byte.is_ascii_alphabetic())));
    assert!(redact::name(&text).chars().count() <= 64);
}

/// The text with the marker at some position.
fn planted(text: &str, salt: usize) -> String {
    let mut at = (salt * 7919) % (text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    format!("{}{MARKER}{}", &text[..at], &text[at..])
}
