//! Defender's report on a connector's health.

use serde_json::Value;

use crate::redact;
use crate::time::{parse_rfc3339, rfc3339};

/// Maximum number of issues shown; beyond it the report gives the count only.
const ISSUES: usize = 3;

/// Defender's report on a connector's health (`Microsoft.Security/healthReports`): the worst of its reports.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `Healthy`, `NotHealthy`, `NotApplicable`; an open set.
    pub status: String,
    /// Plain words of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when the status has held, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_changed_at: Option<String>,
    /// When Defender checked, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scanned_at: Option<String>,
    /// Open issues of all reports with this status.
    pub issue_count: usize,
    /// The first of them, at most three, each once.
    pub issues: Vec<HealthIssue>,
}

/// One issue of a health report: Defender's own words, without markup and without anything that could be a credential.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthIssue {
    /// What is wrong (`issueName`, else `issueDescription`).
    pub name: String,
    /// What to do (`remediationSteps`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
}

impl HealthIssue {
    fn parse(issue: &Value) -> Option<Self> {
        let text = |name: &str| {
            let text = issue.get(name).and_then(Value::as_str).map(redact::prose)?;
            (!text.is_empty() && text != "…").then_some(text)
        };
        let name = text("issueName").or_else(|| text("issueDescription"))?;
        Some(Self { name, remediation: text("remediationSteps") })
    }
}

impl Health {
    /// The worst of a connector's reports, with the issues of all reports that are equally bad.
    pub fn parse(reports: &[Value]) -> Option<Self> {
        let issues_of = |report: &Value| -> Vec<Value> {
            report.pointer("/properties/issues").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let read = reports.iter().filter_map(|report| {
            let status = report.get("properties")?.get("status")?;
            let text = |name: &str| status.get(name).and_then(Value::as_str);
            let time = |name: &str| text(name).and_then(parse_rfc3339).map(rfc3339);
            let issues = issues_of(report);
            let health = Health {
                status: redact::code(text("code")?)?.to_owned(),
                reason: text("reason").map(redact::prose).filter(|reason| !reason.is_empty()),
                status_changed_at: time("statusChangeDate"),
                last_scanned_at: time("lastScannedDate"),
                issue_count: issues.len(),
                issues: Vec::new(),
            };
            Some((health, issues))
        });
        let mut read: Vec<(Health, Vec<Value>)> = read.collect();
        read.sort_by_key(|(health, _)| (health.is_healthy(), std::cmp::Reverse(health.issue_count)));
        let mut worst = read.first()?.0.clone();
        let as_bad = read.iter().filter(|(health, _)| health.is_healthy() == worst.is_healthy());
        let issues: Vec<&Value> = as_bad.flat_map(|(_, issues)| issues).collect();
        worst.issue_count = issues.len();
        for issue in issues.into_iter().filter_map(HealthIssue::parse) {
            if worst.issues.len() < ISSUES && !worst.issues.contains(&issue) {
                worst.issues.push(issue);
            }
        }
        Some(worst)
    }

    /// Whether Defender finds nothing wrong.
    pub fn is_healthy(&self) -> bool {
        !self.status.eq_ignore_ascii_case("NotHealthy")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_worst_health_report_is_told_with_the_issues_of_all_that_are_as_bad() {
        let report = |code: &str, issues: &[(&str, &str)]| {
            let issue = |(name, steps): &(&str, &str)| json!({"issueName": name, "remediationSteps": steps});
            json!({"properties": {
                "status": {"code": code, "reason": "R", "statusChangeDate": "2026-11-20T08:00:00Z", "lastScannedDate": "2026-11-24T08:00:00Z"},
                "issues": issues.iter().map(issue).collect::<Vec<_>>(),
            }})
        };
        let health = Health::parse(&[
            report("Healthy", &[("fine", "nothing"); 5]),
            report("NotHealthy", &[("The token is bad", "<p>Put a read-only token</p>")]),
            report("NotHealthy", &[("Second", ""), ("dckr_pat_x1", "x"), ("Third", "a"), ("Fourth", "b")]),
            json!({"properties": {"status": {"code": 7}}}),
        ]);
        let health = serde_json::to_value(health.unwrap()).unwrap();
        assert_eq!(
            health,
            json!({"status": "NotHealthy", "reason": "R", "statusChangedAt": "2026-11-20T08:00:00Z", "lastScannedAt": "2026-11-24T08:00:00Z",
                "issueCount": 5, "issues": [{"name": "Second"}, {"name": "Third", "remediation": "a"}, {"name": "Fourth", "remediation": "b"}]})
        );
        let one =
            Health::parse(&[report("NotHealthy", &[("The token is bad", "<p>Put a read-only token</p>"); 2])]).unwrap();
        let expected =
            HealthIssue { name: "The token is bad".into(), remediation: Some("Put a read-only token".into()) };
        assert_eq!((one.issue_count, one.issues), (2, vec![expected]));
        assert_eq!(Health::parse(&[]), None);
    }
}
