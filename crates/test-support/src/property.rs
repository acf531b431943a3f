//! Searches for counterexamples of properties.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Number of cases per property.
const CASES: u32 = 1_000;

/// Searches for a case that breaks the property. `Err` describes the smallest one found. Every run tries the same cases.
fn search<S: Strategy>(cases: &S, property: impl Fn(S::Value) -> Result<(), String>) -> Result<(), String>
where
    S::Value: Debug,
{
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let judged = runner.run(cases, |case| property(case).map_err(proptest::test_runner::TestCaseError::fail));
    match judged {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, case)) => Err(format!("{why}\n{case:#?}")),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Panics with the smallest case that breaks the property.
pub fn holds<S: Strategy>(cases: &S, property: impl Fn(S::Value) -> Result<(), String>)
where
    S::Value: Debug,
{
    if let Err(found) = search(cases, property) {
        panic!("{found}");
    }
}

/// Panics if no case breaks the property.
pub fn refuted<S: Strategy>(cases: &S, property: impl Fn(S::Value) -> Result<(), String>)
where
    S::Value: Debug,
{
    assert!(search(cases, property).is_err(), "a broken implementation passes for a good one");
}

/// Returns `why` if the property does not hold.
///
/// # Errors
/// The reason, if `holds` is false.
pub fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}
