//! The checks of `doctor`: section by section, each with its sign, and below a failure what to do.

use std::fmt::Write as _;

use hubkeeper_core::doctor::{Check, Entry, Ledger, Section, State};

use super::style;

/// The text of all checks and facts.
pub fn doctor(ledger: &Ledger) -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let entries: Vec<(Check, &Entry)> = ledger.entries().filter(|(check, _)| check.section() == section).collect();
        if entries.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{}", style::bold(section.title()));
        for (check, entry) in entries {
            text.push_str(&line(check, entry));
        }
        text.push('\n');
    }
    if !ledger.facts().is_empty() {
        let _ = writeln!(text, "{}", style::bold("Facts that only live services tell (docs/verified.md)"));
        for fact in ledger.facts() {
            let _ = writeln!(text, "  {}  {}", fact.item, fact.found);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", sums(ledger));
    text
}

fn line(check: Check, entry: &Entry) -> String {
    let title = check.title();
    let mut text = match (entry.state, entry.because) {
        (State::Ok, _) => format!("  {} {title}: {}\n", style::good("✓"), entry.detail),
        (State::Warning, _) => format!("  {} {title}: {}\n", style::warn("!"), entry.detail),
        (State::Failure, _) => format!("  {} {title}: {}\n", style::bad("✗"), entry.detail),
        (State::NotReached, Some(because)) => {
            format!("  {}\n", style::dim(&format!("- {title}: not reached (see: {})", because.title())))
        }
        (State::NotReached, None) => {
            format!("  {}\n", style::dim(&format!("- {title}: not reached: {}", entry.detail)))
        }
    };
    if let Some(remedy) = &entry.remedy {
        let _ = writeln!(text, "      {}  {remedy}", style::bold("what to do"));
        let _ = writeln!(text, "      {}", style::dim(&format!("see {}", check.page())));
    }
    text
}

fn sums(ledger: &Ledger) -> String {
    let count = |state| ledger.count(state);
    let failures = style::count(count(State::Failure), "failure", "failures");
    let warnings = style::count(count(State::Warning), "warning", "warnings");
    format!("{} in order, {warnings}, {failures}, {} not reached", count(State::Ok), count(State::NotReached))
}

#[cfg(test)]
mod tests {
    use hubkeeper_core::error::Error;

    use super::*;

    #[test]
    fn a_failure_shows_its_remedy_and_what_depends_on_it_names_it() {
        let mut ledger = Ledger::default();
        ledger.ok(Check::ReachAws, "aws");
        ledger.warn(Check::Clock, "40 seconds ahead", "synchronize it");
        ledger.fail(Check::Identity, &Error::needs_human("no login", "log in"));
        ledger.note("loginClaims", "scope");
        ledger.finish(|check| matches!(check, Check::List | Check::Proxy), None);
        let text = anstream::adapter::strip_str(&doctor(&ledger)).to_string();
        assert_eq!(
            text,
            "Network\n  - Proxy: not reached: there is nothing to check\n  ✓ AWS responds: aws\n  ! Clock: 40 seconds ahead\n      what to do  synchronize it\n      see docs/operating.md\n\nAWS\n  ✗ Who am I: no login\n      what to do  log in\n      see docs/deploy.md\n  - Managed secrets: not reached (see: Who am I)\n\nFacts that only live services tell (docs/verified.md)\n  loginClaims  scope\n\n1 in order, 1 warning, 1 failure, 2 not reached\n"
        );
    }
}
