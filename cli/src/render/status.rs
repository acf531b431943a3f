//! The status of secrets: a table, worst first, and below it what to do.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};
use hubkeeper_core::status::State;
use hubkeeper_core::time::parse_rfc3339;
use serde_json::Value;
use time::OffsetDateTime;

use super::{short, style};

/// One column: its heading, and what it shows.
struct Column {
    heading: &'static str,
    cell: fn(&Value, OffsetDateTime) -> String,
}

/// The columns. A narrow terminal shows the first ones.
const COLUMNS: [Column; 9] = [
    Column { heading: "STATE", cell: |item, _| state(item) },
    Column { heading: "ORGANIZATION", cell: |item, _| subject(item) },
    Column { heading: "DAYS LEFT", cell: |item, _| number(&item["daysLeft"]) },
    Column { heading: "CARRIES", cell: |item, _| carries(item) },
    Column { heading: "PROVEN", cell: |item, now| age(&item["provedAt"], now) },
    Column { heading: "REPOSITORIES", cell: |item, _| repositories(item) },
    Column { heading: "HEALTH", cell: |item, _| text(&item["health"]["status"]) },
    Column { heading: "ROTATES", cell: |item, now| ahead(&item["nextRotationAt"], now) },
    Column { heading: "WAITING", cell: |item, _| waiting(item) },
];
/// The column that is cut if not even the first columns fit.
const ORGANIZATION: usize = 1;
/// Columns that are always shown.
const FEWEST: usize = 3;
/// Spaces around each column.
const AROUND: usize = 2;

/// The cells of the columns that fit, by row.
fn fitting(items: &[Value], width: usize, now: OffsetDateTime) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> =
        items.iter().map(|item| COLUMNS.iter().map(|column| (column.cell)(item, now)).collect()).collect();
    let widest = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([COLUMNS[at].heading.len()]).max().unwrap_or_default() + AROUND
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(widest).collect();
    let mut shown = COLUMNS.len();
    while shown > FEWEST && widths[..shown].iter().sum::<usize>() > width {
        shown -= 1;
    }
    let over = widths[..shown].iter().sum::<usize>().saturating_sub(width);
    for row in &mut rows {
        row.truncate(shown);
        let name = &mut row[ORGANIZATION];
        let most = widths[ORGANIZATION].saturating_sub(AROUND + over).max(COLUMNS[ORGANIZATION].heading.len());
        if over > 0 && name.chars().count() > most {
            *name = name.chars().take(most - 1).chain(['…']).collect();
        }
    }
    rows
}

/// The table and, for each secret that needs somebody, what to do.
pub fn status(items: &[Value], width: u16, now: OffsetDateTime) -> String {
    if items.is_empty() {
        return "no secret is managed: onboard one with hubkeeper onboard\n".to_owned();
    }
    let rows = fitting(items, usize::from(width), now);
    let shown = rows.first().map_or(0, Vec::len);
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.enforce_styling();
    let headings = COLUMNS[..shown].iter().map(|column| column.heading);
    table.set_header(headings.clone().map(|heading| Cell::new(heading).add_attribute(Attribute::Dim)));
    for (item, row) in items.iter().zip(rows) {
        table.add_row(headings.clone().zip(row).map(|(heading, cell)| match heading {
            "STATE" => Cell::new(cell).fg(colour(item)),
            "DAYS LEFT" => Cell::new(cell).set_alignment(CellAlignment::Right),
            _ => Cell::new(cell),
        }));
    }
    let mut text: String = table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n");
    let _ = write!(text, "\n{}\n", sums(items));
    for item in items.iter().filter(|item| needs_somebody(item) || item["reason"].is_string()) {
        if let Some(reason) = item["reason"].as_str() {
            let _ = write!(text, "\n{}  {reason}\n", style::bold(&subject(item)));
        }
    }
    text
}

/// Whether a person has to act, or look.
pub fn needs_somebody(item: &Value) -> bool {
    !matches!(item["state"].as_str(), Some("ready" | "rotating" | "offboarded"))
}

fn sums(items: &[Value]) -> String {
    let mut parts = Vec::new();
    for state in State::ALL {
        let count = items.iter().filter(|item| item["state"] == state.name()).count();
        if count > 0 {
            parts.push(format!("{count} {}", state.words()));
        }
    }
    format!("{}: {}", style::count(items.len(), "secret", "secrets"), parts.join(", "))
}

fn state(item: &Value) -> String {
    let name = item["state"].as_str().unwrap_or("unknown");
    match State::named(name) {
        Some(state) => format!("{} {}", state.sign(), state.words()),
        // a newer function may know more states
        None => format!("{} {name}", State::Unknown.sign()),
    }
}

fn colour(item: &Value) -> Color {
    match item["state"].as_str() {
        Some("ready") => Color::Green,
        Some("rotating") => Color::Blue,
        Some("offboarded") => Color::Reset,
        Some("expiring" | "candidateWaiting" | "awaiting" | "unknown") => Color::Yellow,
        _ => Color::Red,
    }
}

fn subject(item: &Value) -> String {
    item["organization"].as_str().or(item["secretId"].as_str()).unwrap_or("?").to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn number(value: &Value) -> String {
    value.as_i64().map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// The version in the connector, beside AWSCURRENT where the two differ.
fn carries(item: &Value) -> String {
    match (item["carriedVersionId"].as_str(), item["versionId"].as_str()) {
        (Some(carried), Some(current)) if carried == current => short(carried).to_owned(),
        (Some(carried), Some(current)) => format!("{}, not {}", short(carried), short(current)),
        (Some(carried), None) => short(carried).to_owned(),
        (None, Some(current)) => format!("none, not {}", short(current)),
        (None, None) => "-".to_owned(),
    }
}

fn repositories(item: &Value) -> String {
    match (item["repositories"].as_u64(), item["private"].as_u64()) {
        (Some(all), Some(private)) => format!("{all} ({private} private)"),
        (Some(all), None) => all.to_string(),
        _ => "-".to_owned(),
    }
}

fn waiting(item: &Value) -> String {
    let candidate = item["candidateVersionId"].as_str().map(|version| format!("candidate {}", short(version)));
    let invitation = item["invitation"]["state"].as_str().filter(|state| *state != "member");
    let invitation = invitation.map(|state| format!("invitation {state}"));
    let parts: Vec<String> = candidate.into_iter().chain(invitation).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

fn age(value: &Value, now: OffsetDateTime) -> String {
    let at = value.as_str().and_then(parse_rfc3339);
    at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", span((now - at).max(time::Duration::ZERO))))
}

fn ahead(value: &Value, now: OffsetDateTime) -> String {
    match value.as_str().and_then(parse_rfc3339) {
        None => "-".to_owned(),
        Some(at) if at <= now => "due".to_owned(),
        Some(at) => format!("in {}", span(at - now)),
    }
}

/// A length of time in its largest unit.
fn span(time: time::Duration) -> String {
    let (days, hours, minutes) = (time.whole_days(), time.whole_hours(), time.whole_minutes());
    if days > 0 {
        format!("{days} d")
    } else if hours > 0 {
        format!("{hours} h")
    } else {
        format!("{minutes} min")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    fn items() -> Vec<Value> {
        let version = "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01";
        vec![
            json!({"organization": "initech", "secretId": "arn:…:initech", "state": "expired", "daysLeft": -3, "versionId": version,
                "carriedVersionId": "0aaaaaaa-3f0e-4d0b-9a43-2f6b8a1d7e01", "provedAt": "2026-11-01T00:00:00Z", "reason": "the token expired; stage one"}),
            json!({"organization": "acme", "secretId": "arn:…:acme", "state": "ready", "daysLeft": 80, "versionId": version, "carriedVersionId": version,
                "provedAt": "2026-11-29T10:00:00Z", "repositories": 42, "private": 12, "health": {"status": "Healthy"}, "nextRotationAt": "2026-12-09T12:00:00Z"}),
        ]
    }

    fn plain(width: u16) -> String {
        anstream::adapter::strip_str(&status(&items(), width, datetime!(2026-11-29 12:00 UTC))).to_string()
    }

    #[test]
    fn a_wide_table_shows_every_column() {
        let text = plain(160);
        for words in
            ["✗ expired", "5c0f7a52", "0aaaaaaa, not 5c0f7a52", "28 d ago", "42 (12 private)", "Healthy", "in 10 d"]
        {
            assert!(text.contains(words), "{words}:\n{text}");
        }
        assert!(text.contains("2 secrets: 1 expired, 1 ready"), "{text}");
        assert!(text.contains("\ninitech  the token expired; stage one\n"), "{text}");
    }

    #[test]
    fn no_line_of_the_table_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 100, 140] {
            let text = plain(width);
            let table: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
            assert_eq!(table.len(), 3, "{width}: a row is one line\n{text}");
            for line in table {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_long_name_takes_the_place_of_columns_and_is_cut_last() {
        let mut items = items();
        items[1]["organization"] = json!("an-organization-with-a-long-name");
        let plain = |width| {
            let text = status(&items, width, datetime!(2026-11-29 12:00 UTC));
            anstream::adapter::strip_str(&text).to_string()
        };
        assert!(plain(80).contains("an-organization-with-a-long-name"), "{}", plain(80));
        assert!(!plain(80).contains("REPOSITORIES"), "{}", plain(80));
        assert!(plain(45).lines().nth(2).unwrap().contains("an-organization-w"), "{}", plain(45));
        assert!(plain(45).lines().take(3).all(|line| line.chars().count() <= 45), "{}", plain(45));
    }

    #[test]
    fn who_needs_nobody_is_known() {
        let needs = |state: &str| needs_somebody(&json!({"state": state}));
        assert!(!needs("ready") && !needs("rotating") && !needs("offboarded"));
        assert!(needs("expiring") && needs("expired") && needs("unknown") && needs("candidateWaiting"));
    }
}
