//! Turns a service's message about a failure into text for people, without anything that could be a credential.
//!
//! A service may quote the request, and a request may hold a token. So only plain words and small numbers of the message
//! remain; the status and the error code carry the rest. Known secrets are removed first, since a password may be a
//! plain word.

use secrecy::{ExposeSecret, SecretString};

/// Maximum length of a redacted text, in characters.
const CAP: usize = 300;

/// Keeps the plain words of `text` and replaces everything else with `…`.
pub fn words(text: &str, secrets: &[&SecretString]) -> String {
    kept(text, secrets, is_plain)
}

/// Keeps the words of a service's prose, such as instructions: removes markup, and keeps product names
/// (`DockerHub`), acronyms and compounds (`read-only`) as well as plain words. For texts that do not quote a request.
pub fn prose(text: &str) -> String {
    let mut plain = String::new();
    let mut in_tag = false;
    // markup is removed before the text is cut, so that a long list of tags does not use up its length
    for character in text.chars().take(32 * CAP) {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                plain.push(' ');
            }
            _ if in_tag => {}
            _ => plain.push(character),
        }
    }
    kept(&plain, &[], |word| is_plain(word) || is_term(word))
}

fn kept(text: &str, secrets: &[&SecretString], is_kept: impl Fn(&str) -> bool) -> String {
    let secrets = || secrets.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty());
    // removed from the whole text: if the text were cut first, the beginning of a secret could remain
    let text = secrets().fold(text.to_owned(), |text, secret| text.replace(secret, "\u{1}"));
    let text: String = text.chars().take(4 * CAP).collect();
    let mut kept = String::new();
    for word in text.split_whitespace() {
        let word = if is_kept(word) { word } else { "…" };
        if word == "…" && kept.ends_with('…') {
            continue;
        }
        if kept.chars().count() + 1 + word.len() > CAP {
            kept.push_str(" …");
            break;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    // a password of several words, which the text may separate with other white space
    if secrets().any(|secret| kept.contains(secret)) { "…".to_owned() } else { kept }
}

/// Returns a service's error code if it has only letters, so that it cannot be a token; otherwise `None`.
pub fn code(text: &str) -> Option<&str> {
    let plain = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    plain.then_some(text)
}

/// Returns a resource's name for people: up to 64 characters of the usual alphabet of names.
pub fn name(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || "-_. ".contains(*c)).take(64).collect()
}

/// Whether this is an ordinary word: up to 24 letters, all but the first in lower case, or a number of up to five digits,
/// with punctuation around it.
fn is_plain(word: &str) -> bool {
    let core = word.trim_matches(|c: char| "\"'`.,;:!?()[]".contains(c));
    let letters = core.len() <= 24
        && core
            .chars()
            .enumerate()
            .all(|(at, c)| c.is_ascii_lowercase() || (at == 0 && c.is_ascii_uppercase()) || c == '\'');
    let number = core.len() <= 5 && core.bytes().all(|byte| byte.is_ascii_digit());
    letters || number
}

/// Whether this is a compound of up to four terms, each of up to 24 letters: lower case, an acronym of up to five capitals,
/// or capitalized parts of three letters or more. Letters of mixed case in any other order could be part of a token.
fn is_term(word: &str) -> bool {
    let core = word.trim_matches(|c: char| "\"'`.,;:!?()[]".contains(c));
    let term = |term: &str| {
        let is_acronym = (2..=5).contains(&term.len()) && term.bytes().all(|byte| byte.is_ascii_uppercase());
        let letters = (1..=24).contains(&term.len()) && term.bytes().all(|byte| byte.is_ascii_alphabetic());
        // each capital starts a part: at least two lower-case letters separate two capitals
        let capitals: Vec<usize> =
            term.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase()).map(|(at, _)| at).collect();
        let ends = capitals.iter().skip(1).copied().chain([term.len()]);
        let spaced = capitals.iter().zip(ends).all(|(from, to)| to - from >= 3);
        let first = capitals.first().is_none_or(|at| *at == 0 || *at >= 3);
        is_acronym || (letters && spaced && first && capitals.len() <= 4)
    };
    let terms: Vec<&str> = core.split(['-', '/']).collect();
    terms.len() <= 4 && terms.into_iter().all(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_what_could_be_a_credential_goes() {
        let secret = SecretString::from("letmein");
        let text = "Login of 'letmein' failed: dckr_pat_Ab3dEf9hIjKlMnOpQrStUvWxYz0 is invalid (bGV0bWVpbg== eyJhbGciOi.x.y) for scope 12";
        assert_eq!(words(text, &[&secret]), "Login of … failed: … is invalid … for scope 12");
    }

    #[test]
    fn a_password_of_words_goes_whatever_stands_between_them_and_wherever_the_text_is_cut_off() {
        let secret = SecretString::from("correct horse");
        assert_eq!(words("correct horse is wrong", &[&secret]), "… is wrong");
        assert_eq!(words("correct \n horse is wrong", &[&secret]), "…");
        for before in 4 * CAP - 13..4 * CAP {
            let text = format!("{} correct horse", "#".repeat(before - 1));
            assert_eq!(words(&text, &[&secret]), "…", "{before}");
        }
    }

    #[test]
    fn a_long_text_is_cut_off() {
        assert!(words(&"word ".repeat(10_000), &[]).chars().count() <= CAP + 2);
        let full = [vec!["a".repeat(24); 11], vec!["b".to_owned(), "c".repeat(23)]].concat().join(" ");
        assert_eq!(full.len(), CAP);
        assert_eq!(words(&full, &[]), full);
        assert!(words(&full.replacen("b c", "b cc", 1), &[]).ends_with(" b …"));
        assert_eq!(words(&format!("{full} more"), &[]), format!("{full} …"));
        assert_eq!(words(&format!("{} it isn't", "#x ".repeat(390)), &[]), "… it isn't");
    }

    #[test]
    fn a_name_is_what_names_are_made_of() {
        assert_eq!(name("hub-1_a.b é/<c>"), "hub-1_a.b éc");
        assert_eq!(name(&"x".repeat(100)).len(), 64);
    }

    #[test]
    fn a_code_is_letters() {
        assert_eq!(code("AuthorizationFailed"), Some("AuthorizationFailed"));
        assert_eq!(code("dckr_pat_x"), None);
        assert_eq!(code(""), None);
    }

    #[test]
    fn instructions_stay_readable_and_tokens_go() {
        let text = "<ol><li>Open Microsoft Defender for Cloud, and the DockerHub connector.</li><li>Put a read-only token (not dckr_pat_Ab3-dEf) for the ARM API.</li></ol> See <a href=\"https://x.example/?sig=abc\">CloudFormation / GitHub</a>";
        assert_eq!(
            prose(text),
            "Open Microsoft Defender for Cloud, and the DockerHub connector. Put a read-only token (not … for the ARM API. See CloudFormation … GitHub"
        );
        for token in [
            "eyJhbGciOi",
            "AbCdEfGh",
            "dckr_pat_Ab-cd",
            "Ab3",
            "aBcdef",
            "XyZ",
            "a-b-c-d-e",
            "AKIAIOSFODNN",
            "word/Ab3d",
        ] {
            assert_eq!(prose(token), "…", "{token}");
        }
        assert_eq!(prose("a < b"), "a", "what looks like a tag without an end is dropped");
        assert!(prose(&"<b>word</b> ".repeat(10_000)).chars().count() <= CAP + 2);
    }

    #[test]
    fn markup_does_not_use_the_text_up_and_a_lone_bracket_is_no_markup() {
        assert_eq!(prose(&format!("{}put another token", "<b>".repeat(400))), "put another token");
        assert_eq!(prose("a > b"), "a … b");
        assert_eq!((prose("DockerHub").as_str(), prose("DockerHu").as_str()), ("DockerHub", "…"));
    }
}
