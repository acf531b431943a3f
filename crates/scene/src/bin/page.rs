//! `page FOLDER`: writes status pages of the real renderer into a folder, for the tests in a browser (`tests/page`).

#![expect(clippy::print_stderr, reason = "a command says why it failed")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use hubkeeper_core::status::State;
use hubkeeper_core::status::page::{Logs, Options, Row, document, widget};

const READ_AT: &str = "2026-11-24T10:00:00Z";
const ARN: &str = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper:status";
/// Rows of the fleet, as `make bench-fleet` measures.
const FLEET: usize = 300;
/// A name that would run a script if it were not escaped.
const HOSTILE: &str = "<script>window.ran = true</script><img src=x onerror=\"window.ran = true\">\"'";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = arguments.as_slice() else {
        eprintln!("usage: page FOLDER");
        return ExitCode::from(2);
    };
    match write(Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let names: Vec<String> = (0..FLEET).map(|index| format!("organization-{index:03}")).collect();
    let fleet: Vec<Row<'_>> = names
        .iter()
        .enumerate()
        .map(|(index, name)| match index {
            0 => Row { organization: Some(name), ..row(State::Expired) },
            1..5 => Row { organization: Some(name), ..row(State::Drifted) },
            5..12 => Row { organization: Some(name), ..row(State::Expiring) },
            _ => Row { organization: Some(name), ..row(State::Ready) },
        })
        .collect();
    let states: Vec<Row<'_>> = State::ALL.into_iter().map(row).collect();
    let hostile = [Row { organization: Some(HOSTILE), reason: Some(HOSTILE), ..row(State::Drifted) }];
    let logs = Some(Logs { region: "eu-west-1", group: "/aws/lambda/hubkeeper" });
    let options = Options { endpoint: Some(ARN), logs, read_at: READ_AT, ..Options::default() };
    let next = Some("arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-AbCdEf");
    for (name, rows, options) in [
        ("empty", &[][..], options),
        ("states", &states[..], options),
        ("fleet", &fleet[..], Options { next, from: next, filter: "organization", ..options }),
        ("hostile", &hostile[..], Options { filter: HOSTILE, ..options }),
    ] {
        let filter = if name == "hostile" { "" } else { options.filter };
        let light = Options { filter, ..options };
        fs::write(folder.join(format!("widget-{name}.html")), widget(rows, &light))?;
        fs::write(folder.join(format!("widget-{name}-dark.html")), widget(rows, &Options { dark: true, ..light }))?;
        fs::write(folder.join(format!("file-{name}.html")), document(rows, &Options { endpoint: None, ..light }))?;
    }
    fs::write(
        folder.join("widget-filtered.html"),
        widget(&hostile, &Options { filter: HOSTILE, endpoint: None, ..options }),
    )
}

/// An organization in a state, with a reason as the function gives it.
fn row(state: State) -> Row<'static> {
    let (organization, days_left, reason) = match state {
        State::Expired => (
            "globex",
            -2,
            "the token expired at 2026-11-22T04:00:00Z; stage a new token as HUBKEEPER_CANDIDATE: hubkeeper stage hubkeeper/globex",
        ),
        State::Stuck => (
            "initech",
            41,
            "version 22222222-2222-4222-a222-222222222222 has been AWSPENDING since 2026-11-22T10:00:00Z: see why its steps fail, or end the rotation: aws secretsmanager cancel-rotate-secret --secret-id hubkeeper/initech",
        ),
        State::Unknown => (
            "hooli",
            12,
            "status (hooli): Azure Resource Manager refused to read the connector: give the function's principal the role on the resource group rg-defender",
        ),
        State::Drifted => (
            "umbrella",
            77,
            "the connector drifted: scan interval is 24 hours instead of 12; to repair it, run hubkeeper reconcile hubkeeper/umbrella",
        ),
        State::Awaiting => ("stark", 0, "the dedicated user has to accept the invitation to the organization"),
        State::CandidateWaiting => (
            "wayne",
            55,
            "version 33333333-3333-4333-a333-333333333333 waits as HUBKEEPER_CANDIDATE: to adopt it, run hubkeeper onboard hubkeeper/wayne",
        ),
        State::Expiring => (
            "tyrell",
            9,
            "the token expires at 2026-12-03T10:00:00Z; rotate the secret: hubkeeper rotate hubkeeper/tyrell",
        ),
        State::Rotating => ("cyberdyne", 30, "version 44444444-4444-4444-a444-444444444444 is AWSPENDING"),
        State::Offboarded => ("soylent", 60, "delete the secret once reconcile has retired its tokens"),
        State::Ready => ("acme", 85, ""),
    };
    let has_token = state != State::Awaiting;
    let reads = has_token && state != State::Unknown;
    Row {
        organization: Some(organization),
        secret_id: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-AbCdEf",
        state,
        reason: Some(reason).filter(|reason| !reason.is_empty()),
        days_left: Some(days_left).filter(|_| has_token),
        version_id: Some("11111111-1111-4111-a111-111111111111"),
        carried_version_id: Some("11111111-1111-4111-a111-111111111111").filter(|_| reads),
        proved_at: Some("2026-11-24T03:12:00Z").filter(|_| reads),
        repositories: Some(42).filter(|_| reads),
        private: Some(17).filter(|_| reads),
        next_rotation_at: Some("2026-12-14T02:00:00Z").filter(|_| reads),
    }
}
