//! The status page has the same elements whatever texts come from outside.

use hubkeeper_core::status::State;
use hubkeeper_core::status::page::{Logs, Options, Row, document, widget};
use proptest::collection::vec;
use proptest::prelude::*;

use hubkeeper_test_support::property::{ensure, holds, refuted};

/// Texts with the characters that mean something in HTML, in a URL or in JSON.
fn texts() -> impl Strategy<Value = Vec<String>> {
    vec("[<>&\"'`=/ a-z:;\\\\$*~%\u{202e}\u{0}-\u{1f}é]{1,24}", 10)
}

/// A page whose every text is one of these.
fn page(texts: &[String], is_widget: bool) -> String {
    let [organization, secret, reason, version, carried, proved, rotation, filter, other, region] = texts else {
        return String::new();
    };
    let row = Row {
        organization: Some(organization),
        secret_id: secret,
        state: State::Drifted,
        reason: Some(reason),
        days_left: Some(1),
        version_id: Some(version),
        carried_version_id: Some(carried),
        proved_at: Some(proved),
        repositories: Some(2),
        private: Some(1),
        next_rotation_at: Some(rotation),
    };
    let bare = Row { organization: None, ..row };
    let named = [secret.clone()];
    let options = Options {
        filter,
        dark: false,
        endpoint: Some(other),
        secret_ids: &named,
        from: Some(other),
        next: Some(other),
        logs: Some(Logs { region, group: other }),
        read_at: other,
    };
    if is_widget { widget(&[row, bare], &options) } else { document(&[row, bare], &options) }
}

/// The tags of a page, with the names of their attributes and without their values.
fn tags(page: &str) -> Vec<String> {
    let (mut tags, mut tag, mut inside, mut quoted) = (Vec::new(), String::new(), false, false);
    for character in page.chars() {
        match character {
            '"' if inside => quoted = !quoted,
            _ if quoted => {}
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                tags.push(std::mem::take(&mut tag));
            }
            _ if inside => tag.push(character),
            _ => {}
        }
    }
    tags.push(tag);
    tags
}

/// Whether a page has the tags of one with harmless texts. A filter that fits no name empties the table, so that each filter
/// is a part of each name.
fn is_inert(render: impl Fn(&[String], bool) -> String) -> impl Fn((Vec<String>, bool)) -> Result<(), String> {
    move |(mut texts, is_widget)| {
        let filter = texts[7].to_ascii_lowercase();
        texts[0] = format!("{filter}{}", texts[0]);
        texts[1] = format!("{filter}{}", texts[1]);
        texts[4] = format!("4{}", texts[4]);
        texts[3] = format!("3{}", texts[3]);
        let mut harmless = vec!["x".to_owned(); texts.len()];
        "4".clone_into(&mut harmless[4]);
        let (found, wanted) = (tags(&render(&texts, is_widget)), tags(&page(&harmless, is_widget)));
        ensure(found == wanted, || format!("{found:?}"))
    }
}

#[test]
fn a_text_adds_no_element_and_no_attribute() {
    let cases = (texts(), any::<bool>());
    holds(&cases, is_inert(page));
    refuted(&cases, is_inert(|texts, is_widget| page(texts, is_widget).replace("&lt;", "<").replace("&gt;", ">")));
    refuted(&cases, is_inert(|texts, is_widget| page(texts, is_widget).replace("&quot;", "\"")));
}
