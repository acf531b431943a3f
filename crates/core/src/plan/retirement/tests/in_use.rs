//! Which PATs are in use.

use super::*;
use crate::ids::VersionId;

#[test]
fn versions_in_use_are_those_of_the_labels_and_the_connector_s() {
    let mut secret = secret(&[("a", &["AWSCURRENT"]), ("b", &["AWSPREVIOUS"]), ("c", &["AWSPENDING"])]);
    let carries = connector(&secret, OLDER, NOW);
    assert_eq!(versions_in_use(&secret, Some(&carries)), [OLDER, "a", "c"].map(VersionId::from).into());
    for over in ["AWSPREVIOUS", "AWSCURRENT"] {
        let leftover = [(over.into(), vec![over.to_owned(), "AWSPENDING".to_owned()])];
        let leftover = Secret { versions: leftover.into(), ..secret.clone() };
        let current: &[&str] = if over == "AWSCURRENT" { &[over] } else { &[] };
        assert_eq!(
            versions_in_use(&leftover, None),
            current.iter().map(VersionId::from).collect(),
            "the leftover of a rotation"
        );
    }
    secret.versions.insert("b".into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    assert_eq!(versions_in_use(&secret, None), ["a", "b", "c"].map(VersionId::from).into());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_in_use_is_a_matter_of_values() {
    type Change = fn(&mut Case);
    let table: Vec<(&str, Change, &[&str], &[&str])> = vec![
        (
            "rolled back by hand, the newer id left: the old token is in use, the newer one goes",
            |c| c.put(0, Some("new")),
            &["deactivate new"],
            &["tokenIdMismatch"],
        ),
        (
            "the same, at once after a leak",
            |c| {
                c.put(0, Some("new"));
                c.skip_grace = true;
                c.secret.last_changed = Some(NOW);
            },
            &["deactivate new"],
            &["tokenIdMismatch"],
        ),
        ("rolled back with its own id", |c| c.put(0, Some("old")), &["deactivate new"], &[]),
        ("rolled back without an id", |c| c.put(0, None), &["deactivate new"], &[]),
        ("the newer token with the older id", |c| c.put(1, Some("old")), &["deactivate old"], &["tokenIdMismatch"]),
        (
            "another token with a copied id: the copied one is not protected",
            |c| c.put(5, Some("new")),
            &["deactivate new", "deactivate old"],
            &["tokenIdMismatch"],
        ),
        (
            "the candidate holds the old token and names the new one",
            |c| c.label(EDITED, "HUBKEEPER_CANDIDATE", (0, Some("new"))),
            &[],
            &["tokenIdMismatch"],
        ),
        ("a rotation's pending version holds the old token", |c| c.label(EDITED, "AWSPENDING", (0, None)), &[], &[]),
        (
            "the leftover of a rotation that is over protects nothing",
            |c| {
                c.secret.versions.insert(PREVIOUS.into(), vec!["AWSPREVIOUS".into(), "AWSPENDING".into()]);
            },
            &["deactivate old"],
            &[],
        ),
        (
            "an id whose own value is gone protects",
            |c| {
                c.put(1, Some("old"));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone), lacks(VERSION, Stored::Gone)]);
                c.pats.remove(0);
            },
            &[],
            &[],
        ),
        (
            "an id whose own value is gone, while the token is known as another's",
            |c| {
                c.put(1, Some("old"));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
            },
            &["deactivate old"],
            &["tokenIdMismatch"],
        ),
        (
            "gone, and every token in use is another listed one",
            |c| c.contents.extend([lacks(PREVIOUS, Stored::Gone)]),
            &["deactivate old"],
            &[],
        ),
        (
            "gone, and the token in use was made by hand",
            |c| {
                c.put(5, None);
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
            },
            &["deactivate new", "deactivate old"],
            &[],
        ),
        (
            "gone, the token in use names no id, and this one is being used: it may be it",
            |c| {
                c.put(5, None);
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
                c.pats[1].last_used = Some(NOW - Duration::days(6));
                c.skip_grace = true;
            },
            &["deactivate new"],
            &["stillUsed"],
        ),
        (
            "gone, the token in use names one that is not listed: kept",
            |c| {
                c.put(5, Some("deleted"));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
            },
            &["deactivate new"],
            &["tokenKept"],
        ),
        (
            "gone, the candidate cannot be read: kept",
            |c| {
                c.label(EDITED, "HUBKEEPER_CANDIDATE", (0, None));
                c.contents.extend([lacks(PREVIOUS, Stored::Gone), lacks(EDITED, Stored::Unreadable)]);
            },
            &[],
            &["tokenKept"],
        ),
        (
            "its value is there and cannot be read: kept",
            |c| c.contents.extend([lacks(PREVIOUS, Stored::Unreadable)]),
            &[],
            &["tokenKept"],
        ),
        (
            "a version in use was not read: nothing goes",
            |c| {
                c.contents.remove(VERSION);
            },
            &[],
            &[],
        ),
        (
            "its own value was not read: it stays",
            |c| {
                c.contents.remove(PREVIOUS);
            },
            &[],
            &[],
        ),
        (
            "the value of the version in the connector's tag is gone",
            |c| {
                c.connector = Some(connector(&c.secret, OLDER, NOW - Duration::days(2)));
                c.contents.extend([lacks(OLDER, Stored::Gone)]);
            },
            &[],
            &["nothingRetired"],
        ),
        (
            "deactivated by an interrupted run, and in use by its value alone",
            |c| {
                c.put(0, Some("new"));
                c.pats[1].active = false;
                c.pats[1].label = c.secret.retiring_label(&PREVIOUS.into());
            },
            &["deactivate new", "activate old"],
            &["tokenIdMismatch"],
        ),
        (
            "the token in use was made for another secret",
            |c| {
                c.put(5, Some("new"));
                c.pats[0].label = format!("hubkeeper/ba9876543210/{VERSION}");
            },
            &["deactivate old"],
            &["tokenOfAnotherSecret"],
        ),
        (
            "the candidate's was: it is not in use",
            |c| {
                c.label(EDITED, "HUBKEEPER_CANDIDATE", (5, Some("theirs")));
                let mut theirs = pat(&c.secret, "theirs", EDITED);
                theirs.label = format!("hubkeeper/ba9876543210/{EDITED}");
                c.pats.push(theirs);
            },
            &["deactivate old"],
            &[],
        ),
        (
            "the secret's tag remembers another connector",
            |c| c.remembered = Remembered::Another,
            &[],
            &["nothingRetired"],
        ),
        ("the secret's tag remembers this connector", |c| c.remembered = Remembered::Same, &["deactivate old"], &[]),
        ("another connector has the secret's tag", |c| c.elsewhere = true, &[], &["nothingRetired"]),
        (
            "an abandoned rotation proved its token itself",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = Some(NOW - Duration::days(5));
                orphan.last_used = c.secret.last_changed;
                c.pats = vec![orphan];
            },
            &["deactivate orphan"],
            &[],
        ),
        (
            "somebody used its token after it was over",
            |c| {
                let mut orphan = pat(&c.secret, "orphan", ORPHAN);
                orphan.created_at = Some(NOW - Duration::days(5));
                orphan.last_used = c.secret.last_changed.map(|ended| ended + Duration::SECOND);
                c.pats = vec![orphan];
            },
            &[],
            &["stillUsed"],
        ),
        (
            "labels that name no version",
            |c| {
                for (version, pat) in ["", "/"].into_iter().zip(&mut c.pats) {
                    pat.label = c.secret.retiring_label(&version.into());
                    pat.active = false;
                }
            },
            &[],
            &[],
        ),
    ];
    for (name, change, steps, warnings) in table {
        let mut case = replaced_two_days_ago();
        change(&mut case);
        assert_eq!(case.plan(), (steps.iter().map(|step| (*step).to_owned()).collect(), warnings.to_vec()), "{name}");
    }
}

#[test]
fn values_are_asked_for_where_a_token_is_due_and_no_sooner() {
    let version = |version: &str| BTreeSet::from([VersionId::from(version)]);
    let mut case = replaced_two_days_ago();
    case.contents.remove(PREVIOUS);
    assert_eq!(judged(&case), (version(PREVIOUS), vec![], vec![]));
    case.history = None;
    assert_eq!(wants(&case.inventory()), Wants { values: BTreeSet::new(), history: true }, "the grace may not be over");
    case.history = replaced_two_days_ago().history;
    case.secret.last_changed = Some(NOW - HOUR);
    assert_eq!(wants(&case.inventory()), Wants::default(), "the grace is not over");
    case.pats[1].active = false;
    case.pats[1].label = case.secret.retiring_label(&PREVIOUS.into());
    assert_eq!(judged(&case).0, version(PREVIOUS), "an interrupted run may have deactivated what is in use");
    case.contents.remove(VERSION);
    assert_eq!(judged(&case).0, version(VERSION), "what is in use comes first");
    case.remembered = Remembered::Another;
    assert_eq!(wants(&case.inventory()), Wants::default(), "nothing is retired in any case");

    // a PAT that a version only names is compared once its grace period is over
    let mut case = replaced_two_days_ago();
    case.put(5, Some("old"));
    case.contents.remove(PREVIOUS);
    case.pats.remove(0);
    case.history = None;
    assert_eq!(judged(&case), (version(PREVIOUS), vec![], vec![]));
    case.secret.last_changed = Some(NOW - HOUR);
    assert_eq!(wants(&case.inventory()), Wants::default());

    // the PAT's value is gone: the values of all other versions can show that it is not in use
    let mut case = replaced_two_days_ago();
    case.put(1, Some("new"));
    case.contents.extend([lacks(PREVIOUS, Stored::Gone)]);
    case.contents.remove(VERSION);
    assert_eq!(judged(&case).0, version(VERSION));
}

#[test]
fn an_id_that_two_versions_name_for_different_tokens_is_warned_about_at_the_later_one() {
    const ID: Option<&str> = Some("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
    let of = |token: &str, id: Option<&str>| {
        document(|value| {
            value["accessToken"] = json!(token);
            value["tokenId"] = json!(id);
        })
    };
    let warned = |documents: &[(&str, &Document)]| {
        let documents: Vec<(VersionId, &Document)> =
            documents.iter().map(|(version, document)| (version.into(), *document)).collect();
        let warnings = copied_ids(documents.iter().map(|(version, document)| (version, *document)));
        warnings
            .iter()
            .map(|warning| (warning.code.name(), warning.message.contains("version later")))
            .collect::<Vec<_>>()
    };
    let first = of("dckr_pat_a", ID);
    assert_eq!(warned(&[("first", &first), ("later", &of("dckr_pat_b", ID))]), [("tokenIdMismatch", true)]);
    let without_token = document(|value| {
        value["accessToken"] = serde_json::Value::Null;
        value["tokenId"] = json!(ID);
    });
    for later in [of("dckr_pat_a", ID), of("dckr_pat_b", None), without_token] {
        assert_eq!(warned(&[("first", &first), ("later", &later)]), []);
    }
}

#[test]
fn an_offboarded_secret_asks_for_the_history_only_where_it_has_tokens() {
    let mut case = replaced_two_days_ago();
    case.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    (case.connector, case.history) = (None, None);
    assert_eq!(wants(&case.inventory()), Wants { values: BTreeSet::new(), history: true });
    case.pats.clear();
    assert_eq!(wants(&case.inventory()), Wants::default());
}

#[test]
fn a_value_is_asked_for_before_the_grace_is_over_only_of_what_a_run_deactivated() {
    for (retiring, active, asked) in [(true, false, true), (true, true, false), (false, false, false)] {
        let mut case = replaced_two_days_ago();
        case.contents.remove(PREVIOUS);
        case.secret.last_changed = Some(NOW - HOUR);
        case.pats[1].active = active;
        if retiring {
            case.pats[1].label = case.secret.retiring_label(&PREVIOUS.into());
        }
        assert_eq!(wants(&case.inventory()).values.contains(PREVIOUS), asked, "retiring {retiring}, active {active}");
    }
}

#[test]
fn the_ids_of_an_offboarded_secret_are_nobodys_concern() {
    let mut case = replaced_two_days_ago();
    case.contents.extend([holds(VERSION, 1, Some("old"))]);
    assert!(case.plan().1.contains(&"tokenIdMismatch"));
    case.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    case.connector = None;
    assert!(!case.plan().1.contains(&"tokenIdMismatch"));
}

#[test]
fn a_token_of_another_secret_is_told_where_the_version_is_current_or_connected() {
    let foreign = || {
        let mut case = replaced_two_days_ago();
        let mut pat = pat(&case.secret, "foreign", OLDER);
        pat.label = format!("hubkeeper/ba9876543210/{OLDER}");
        case.pats.push(pat);
        case
    };
    let mut current = foreign();
    current.contents.extend([holds(VERSION, 1, Some("foreign"))]);
    current.connector = None;
    assert!(current.plan().1.contains(&"tokenOfAnotherSecret"), "AWSCURRENT, without a connector");
    let mut connected = foreign();
    connected.contents.extend([holds(OLDER, 7, Some("foreign"))]);
    connected.connector = Some(connector(&connected.secret, OLDER, NOW - Duration::days(2)));
    assert!(connected.plan().1.contains(&"tokenOfAnotherSecret"), "in the connector, and not AWSCURRENT");
    let mut neither = foreign();
    neither.contents.extend([holds(PREVIOUS, 0, Some("foreign"))]);
    assert!(!neither.plan().1.contains(&"tokenOfAnotherSecret"), "only AWSPREVIOUS");
}

#[test]
fn what_is_in_use_is_read_before_the_value_of_a_token() {
    let mut case = replaced_two_days_ago();
    case.contents.remove(VERSION);
    case.contents.remove(PREVIOUS);
    assert_eq!(case.inventory().stock.needs(&"old".into()), BTreeSet::from([VersionId::from(VERSION)]));
}

#[test]
fn where_a_value_is_gone_the_values_of_all_other_tokens_are_needed() {
    let mut case = replaced_two_days_ago();
    case.contents.extend([holds(VERSION, 5, Some("unknown")), lacks(PREVIOUS, Stored::Gone)]);
    case.contents.remove(OLDER);
    case.pats[0] = pat(&case.secret, "older", OLDER);
    assert_eq!(case.inventory().stock.use_of(&"old".into()), Use::Unknown);
    assert_eq!(case.inventory().stock.needs(&"old".into()), BTreeSet::from([VersionId::from(OLDER)]));
}

#[test]
fn a_version_that_bears_a_label_was_current_whatever_the_history_says() {
    let case = replaced_two_days_ago();
    for (version, was) in [(VERSION, true), (PREVIOUS, true), (OLDER, true), (ORPHAN, false)] {
        assert_eq!(case.inventory().was_current(&version.into()), was, "{version}");
    }
}

#[test]
fn a_token_that_was_used_before_it_was_replaced_is_kept_only_where_it_may_be_the_one_in_use() {
    let kept = |case: &Case| {
        let inventory = case.inventory();
        let labelled = inventory.stock.labelled(&"old".into()).unwrap().clone();
        inventory.still_used(&labelled, NOW - Duration::days(2)).is_some()
    };
    let used = || {
        let mut case = replaced_two_days_ago();
        case.pats[1].last_used = Some(NOW - Duration::days(3));
        case
    };
    let mut nameless = used();
    nameless.contents.extend([holds(VERSION, 5, None), lacks(PREVIOUS, Stored::Gone)]);
    nameless.pats.remove(0);
    assert!(kept(&nameless), "its value is gone, and AWSCURRENT names no token");
    let mut held = used();
    held.contents.extend([holds(VERSION, 1, None), lacks(PREVIOUS, Stored::Gone)]);
    assert!(!kept(&held), "another token is the one in use");
    let mut read = used();
    read.contents.extend([holds(VERSION, 5, None)]);
    read.pats.remove(0);
    assert!(!kept(&read), "its value shows that it is another");
}
