use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::fixtures::{document, settled};

const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);
const EMAIL: &str = "scanner@acme.example";

fn member(username: &str, email: Option<&str>, role: Option<Role>) -> Member {
    Member { username: username.into(), email: email.map(str::to_owned), role }
}

fn invited(invitee: &str, days: i64) -> Invite {
    Invite { id: "i".into(), invitee: invitee.into(), created_at: Some(NOW - Duration::days(days)) }
}

fn sees(members: Vec<Member>, invites: Vec<Invite>, team: Option<&[&str]>) -> Roster {
    let team = team.map(|team| team.iter().map(|name| (*name).to_owned()).collect());
    Roster { members, invites, team }
}

/// A secret without a token that requests this user, with this tag and this roster.
fn state(user: &serde_json::Value, tag: Option<&str>, roster: Option<Roster>) -> State {
    let mut state = settled();
    let document = document(|value| {
        value["username"] = json!("acme-scanner");
        value["owner"] = json!("vault/owner");
        value["user"] = user.clone();
        value["accessToken"] = json!(null);
    });
    state.world.document = Some(document);
    state.world.now = NOW;
    if let Some(tag) = tag {
        state.world.secret.tags.insert(INVITE_TAG.into(), tag.into());
    }
    state.world.roster = roster;
    state
}

/// The outcome, in one word for each step.
fn follows(state: &State, fix_role: bool) -> String {
    match membership(state, fix_role) {
        Err(error) => error.kind().name().to_owned(),
        Ok(Membership::Look) => "look".into(),
        Ok(Membership::Settled) => "settled".into(),
        Ok(Membership::Awaiting(reason)) => {
            assert!(reason.contains(EMAIL) && reason.contains("follow its link"), "{reason}");
            "awaiting".into()
        }
        Ok(Membership::First(steps, warnings)) => {
            let steps = steps.iter().map(|step| match step {
                Step::TagInvite { state } => state.value(),
                step => step.name().to_owned(),
            });
            let codes = warnings.iter().map(|warning| warning.code.to_string());
            steps.chain(codes).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Name, requested user, tag, roster, whether to correct the role, and the outcome.
type Row<'a> = (&'a str, &'a serde_json::Value, Option<String>, Option<Roster>, bool, String);

#[test]
fn what_follows_from_tag_roster_and_who_is_asked_for() {
    let editor = json!({"email": EMAIL});
    let reader = json!({"email": EMAIL, "role": "member", "team": "readers"});
    let own = |role| member("Acme-Scanner", None, role);
    let nobody = || sees(vec![member("boss", None, Some(Role::Owner))], Vec::new(), None);
    let waits = |days| sees(Vec::new(), vec![invited("Scanner@acme.example", days)], None);
    let is = |role| sees(vec![own(role)], Vec::new(), None);
    let in_team = |role, team: &[&str]| sees(vec![own(role)], Vec::new(), Some(team));
    let pending = |days: i64, resends: u8| Invitation::Pending { sent_at: NOW - Duration::days(days), resends }.value();
    let at = |days: i64| format!("pending {} 0", rfc3339(NOW - Duration::days(days)));
    let counted = |days: i64, resends: u8| format!("{}, resend", pending(days, resends));
    let table: Vec<Row<'_>> = vec![
        ("a member by the tag", &editor, Some("member".into()), None, false, "settled".into()),
        ("an unreadable tag", &editor, Some("sent".into()), None, false, "NeedsHuman".into()),
        ("nobody looked", &editor, None, None, false, "look".into()),
        ("a stranger", &editor, None, Some(nobody()), false, "asked, invite".into()),
        ("asked, not invited", &editor, Some("asked".into()), Some(nobody()), false, "invite".into()),
        ("asked and invited", &editor, Some("asked".into()), Some(waits(0)), false, at(0)),
        ("invited by a person", &editor, None, Some(waits(5)), false, at(5)),
        (
            "invited by user name",
            &editor,
            None,
            Some(sees(vec![], vec![invited("acme-scanner", 0)], None)),
            false,
            at(0),
        ),
        ("two days", &editor, Some(pending(2, 0)), Some(waits(2)), false, "awaiting".into()),
        ("three days", &editor, Some(pending(3, 0)), Some(waits(3)), false, counted(3, 1)),
        ("five days", &editor, Some(pending(5, 1)), Some(waits(5)), false, "awaiting".into()),
        ("six days", &editor, Some(pending(6, 1)), Some(waits(6)), false, counted(6, 2)),
        ("ninety days", &editor, Some(pending(90, 2)), Some(waits(90)), false, "awaiting".into()),
        ("gone", &editor, Some(pending(2, 0)), Some(nobody()), false, "NeedsHuman".into()),
        ("an editor", &editor, Some(pending(2, 0)), Some(is(Some(Role::Editor))), false, "member".into()),
        ("an editor, no tag", &editor, None, Some(is(Some(Role::Editor))), false, "member".into()),
        ("an owner", &editor, None, Some(is(Some(Role::Owner))), false, "member, roleHigher".into()),
        ("a role not told", &editor, None, Some(is(None)), false, "member, roleUnknown".into()),
        ("a member only", &editor, None, Some(is(Some(Role::Member))), false, "Refused".into()),
        ("a member only, fixed", &editor, None, Some(is(Some(Role::Member))), true, "setRole".into()),
        ("in the team", &reader, None, Some(in_team(Some(Role::Member), &["acme-scanner"])), false, "member".into()),
        ("outside", &reader, None, Some(in_team(Some(Role::Member), &["other"])), false, "Refused".into()),
        ("outside, fixed", &reader, None, Some(in_team(Some(Role::Member), &[])), true, "addToTeam".into()),
        ("outside, role not told", &reader, None, Some(in_team(None, &[])), false, "Refused".into()),
        (
            "an editor outside",
            &reader,
            None,
            Some(in_team(Some(Role::Editor), &[])),
            false,
            "member, roleHigher".into(),
        ),
        (
            "another name",
            &editor,
            Some(pending(1, 0)),
            Some(sees(vec![member("other", Some("SCANNER@acme.example"), Some(Role::Editor))], vec![], None)),
            false,
            "NeedsHuman".into(),
        ),
    ];
    for (name, user, tag, roster, fix_role, expected) in table {
        assert_eq!(follows(&state(user, tag.as_deref(), roster), fix_role), expected, "{name}");
    }
}

#[test]
fn once_a_run_is_enough_and_a_plan_goes_on_with_what_its_steps_would_leave() {
    let user = json!({"email": EMAIL});
    let long_ago = Invitation::Pending { sent_at: NOW - Duration::days(30), resends: 0 }.value();
    let roster = sees(Vec::new(), vec![invited(EMAIL, 30)], None);
    let mut waits = state(&user, Some(&long_ago), Some(roster));
    let Ok(Membership::First(steps, _)) = membership(&waits, false) else { panic!("due") };
    foresee(&mut waits, &steps);
    assert_eq!(follows(&waits, false), "awaiting");

    let mut stranger = state(&user, None, Some(sees(Vec::new(), Vec::new(), None)));
    for expected in ["asked, invite", "pending 2026-11-24T10:00:00Z 0", "awaiting"] {
        assert_eq!(follows(&stranger, false), expected);
        if let Ok(Membership::First(steps, _)) = membership(&stranger, false) {
            foresee(&mut stranger, &steps);
        }
    }

    let below = sees(vec![member("acme-scanner", None, Some(Role::Member))], Vec::new(), None);
    let mut below = state(&user, None, Some(below));
    for expected in ["setRole", "member", "settled"] {
        assert_eq!(follows(&below, true), expected);
        if let Ok(Membership::First(steps, _)) = membership(&below, true) {
            foresee(&mut below, &steps);
        }
    }
    below.world.secret.tags.remove("hubkeeper");
    foresee(&mut below, &[Step::TagManaged { connector: None, stack: None }]);
    assert_eq!(below.world.secret.managed(), Managed::Yes);

    let reader = json!({"email": EMAIL, "team": "readers", "role": "member"});
    let outside = sees(vec![member("acme-scanner", None, Some(Role::Member))], Vec::new(), Some(&[]));
    let mut outside = state(&reader, None, Some(outside));
    for expected in ["addToTeam", "member", "settled"] {
        assert_eq!(follows(&outside, true), expected);
        if let Ok(Membership::First(steps, _)) = membership(&outside, true) {
            foresee(&mut outside, &steps);
        }
    }
}

#[test]
fn an_invitation_s_age_is_in_full_days() {
    for (hours, days) in [(-5, 0), (0, 0), (23, 0), (24, 1), (95, 3), (96, 4)] {
        assert_eq!(age_days(NOW - Duration::hours(hours), NOW), days, "{hours} hours");
    }
    let pending = Invitation::Pending { sent_at: NOW - Duration::days(2), resends: 0 }.value();
    let roster = sees(Vec::new(), vec![invited(EMAIL, 2)], None);
    let waits = state(&json!({"email": EMAIL}), Some(&pending), Some(roster));
    let Ok(Membership::Awaiting(reason)) = membership(&waits, false) else { panic!("it waits") };
    assert!(reason.contains("2 days ago"), "{reason}");
}

#[test]
fn a_reconcile_carries_on_what_began_and_nothing_else() {
    let user = json!({"email": EMAIL});
    let with = |tag: Option<&str>, token: bool, change: fn(&mut State)| {
        let mut state = state(&user, tag, None);
        state.world.secret.tags.insert("hubkeeper".into(), "managed".into());
        if token && let Some(document) = &mut state.world.document {
            document.access_token = Some("dckr_pat_x".into());
        }
        change(&mut state);
        carries_on(&state.world)
    };
    let as_is: fn(&mut State) = |_| {};
    assert!(with(Some("asked"), false, as_is) && with(Some("asked"), true, as_is));
    assert!(with(Some("member"), false, as_is));
    assert!(with(Some("what is this"), true, as_is), "its error has to be said");
    assert!(!with(Some("member"), true, as_is), "all is done");
    assert!(!with(None, false, as_is) && !with(None, true, as_is), "it did not begin");
    let no_owner: fn(&mut State) = |state| {
        if let Some(document) = &mut state.world.document {
            document.invitation = None;
        }
    };
    assert!(!with(Some("asked"), true, no_owner));
    let offboarded: fn(&mut State) = |state| {
        state.world.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    };
    assert!(!with(Some("asked"), false, offboarded));
    let stuck: fn(&mut State) = |state| {
        state.world.secret.versions.insert("p".into(), vec!["AWSPENDING".into()]);
        state.world.secret.pending_since = Some(NOW - Duration::days(2));
    };
    assert!(!with(Some("asked"), false, stuck));
}
