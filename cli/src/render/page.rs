//! The status as a page for a browser: the function's own page, as a whole document.

use hubkeeper_core::status::State;
use hubkeeper_core::status::page::{self, Options, Row};
use hubkeeper_core::time::rfc3339;
use serde_json::Value;
use time::OffsetDateTime;

/// Renders the document. A state that this version does not know is `unknown`.
pub fn document(items: &[Value], now: OffsetDateTime) -> String {
    let rows: Vec<Row<'_>> = items.iter().map(row).collect();
    page::document(&rows, &Options { read_at: &rfc3339(now), ..Options::default() })
}

fn row(item: &Value) -> Row<'_> {
    let text = |name: &str| item[name].as_str();
    Row {
        organization: text("organization"),
        secret_id: text("secretId").unwrap_or("?"),
        state: text("state").and_then(State::named).unwrap_or(State::Unknown),
        reason: text("reason"),
        days_left: item["daysLeft"].as_i64(),
        version_id: text("versionId"),
        carried_version_id: text("carriedVersionId"),
        proved_at: text("provedAt"),
        repositories: item["repositories"].as_u64(),
        private: item["private"].as_u64(),
        next_rotation_at: text("nextRotationAt"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_page_has_the_values_of_the_response() {
        let item = json!({
            "organization": "acme<", "secretId": "arn", "state": "drifted", "reason": "do this", "daysLeft": -2,
            "versionId": "22222222-", "carriedVersionId": "11111111-", "provedAt": "2026-11-24T10:00:00Z",
            "repositories": 4, "private": 3, "nextRotationAt": "2026-12-24T10:00:00Z"
        });
        let page = document(&[item, json!({"state": "new"})], datetime!(2026-11-25 10:00 UTC));
        for part in [
            "<tr class=drifted><th scope=row>acme&lt;<td><b>✗ drifted</b><td><i style=\"width:0px\"></i>-2<td>2026-11-24",
            "<td>4, 3 private<td>11111111, not 22222222<td>2026-12-24<td>do this",
            "<tr class=unknown><th scope=row>?<td>",
            "Read at 2026-11-25T10:00:00Z",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
