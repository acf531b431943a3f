//! Checks that `docs/failure-table.md` matches the sources: its tests exist, its error types and warnings are those of
//! the code, and it lists every fault, act and behaviour of the simulation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the cells of every row, without heads and rules.
fn rows() -> Vec<Vec<String>> {
    let table = read("docs/failure-table.md");
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| failure |"));
    rows.map(|row| row.trim().trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns the names that an enumeration of the simulation gives to its variants: `Kind::Variant => "name"`.
fn names(file: &str, kind: &str) -> BTreeSet<String> {
    let source = read(file);
    let lines = source.lines().map(str::trim).filter(|line| line.starts_with(kind) && line.contains(" => \""));
    lines.filter_map(|line| line.split('"').nth(1).map(str::to_owned)).collect()
}

/// Returns everything that the simulation does to a flow: faults of machines, acts of people, behaviours of services.
fn disturbances() -> BTreeSet<String> {
    let kinds = [("faults", "Fault::"), ("acts", "Act::"), ("behaviours", "Behaviour::")];
    kinds.iter().flat_map(|(file, kind)| names(&format!("tests/simulation/{file}.rs"), kind)).collect()
}

#[test]
fn every_row_has_six_cells_and_names_its_tests() {
    let rows = rows();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        assert_eq!(row.len(), 6, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(!quoted(&row[5]).is_empty(), "{row:?} names no test");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let (flows, faults) = (names("tests/simulation/flows.rs", "Flow::"), disturbances());
    for row in rows() {
        for test in quoted(&row[5]) {
            if let Some(run) = test.strip_prefix("chaos: ") {
                let (flow, fault) = run.split_once('/').unwrap_or_else(|| panic!("{test}"));
                assert!(flow == "*" || flows.contains(flow), "{test}: the simulation has no such flow");
                assert!(faults.contains(fault), "{test}: the simulation has no such fault");
            } else {
                let (file, function) = test.split_once("::").unwrap_or_else(|| panic!("{test}"));
                let source = read(file);
                let at = source.find(&format!("fn {function}(")).unwrap_or_else(|| panic!("{test} does not exist"));
                let before: Vec<&str> = source[..at].lines().rev().take(4).collect();
                assert!(before.iter().any(|line| line.contains("test")), "{test} is no test");
            }
        }
    }
}

#[test]
fn every_fault_of_the_simulation_has_a_row() {
    let faults = disturbances();
    assert!(faults.len() > 60, "{faults:?}");
    let rows = rows();
    let named: BTreeSet<&str> =
        rows.iter().flat_map(|row| quoted(&row[5])).filter_map(|test| Some(test.split_once('/')?.1)).collect();
    for fault in &faults {
        assert!(named.contains(fault.as_str()), "no row names the fault `{fault}`");
    }
}

#[test]
fn who_is_told_by_what_is_in_the_code() {
    let (report, proof) = (read("docs/report.md"), read("docs/proof.md"));
    let (outcomes, warnings) = report.split_once("\n## Warnings\n").unwrap();
    let errors = read("crates/core/src/error.rs");
    for row in rows() {
        for word in quoted(&row[3]) {
            let is_kind = errors.contains(&format!("=> \"{word}\""));
            let is_warning = warnings.contains(&format!("`{word}`"));
            let is_outcome = [outcomes, &proof].iter().any(|page| page.contains(&format!("| `{word}` |")));
            let is_other = ["HUBKEEPER_OVER_PRIVILEGE", "warn", "RotationAbandoned", "Failed"].contains(&word);
            assert!(is_kind || is_warning || is_outcome || is_other, "{word} in {row:?} is not in the code");
        }
    }
}

/// `make oracles` plants the faults; this test checks that the patches still apply.
#[test]
fn every_planted_fault_still_applies() {
    let folder = root().join("tests/simulation/planted");
    let mut patches = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let check = Command::new("git").args(["apply", "--check"]).arg(&path).current_dir(root()).output().unwrap();
            let said = String::from_utf8_lossy(&check.stderr).into_owned();
            assert!(check.status.success(), "{}: {said}", path.display());
            patches += 1;
        }
    }
    assert_eq!(patches, 21);
}
