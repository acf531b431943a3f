//! The fuzz targets as plain tests: every file of the corpora, then mutations of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use hubkeeper_fuzzing::{MARKER, TARGETS, run};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Mutations per target: a number, not a time, so that every machine tries the same ones. `make fuzz` goes further.
const MUTATIONS: usize = 200;

/// Insertions of mutations: tokens, separators, edge cases.
const WORDS: [&str; 24] = [
    MARKER,
    "\n%%\n",
    "\n\n",
    "000",
    "001",
    "002",
    "401",
    "404",
    "429",
    "503",
    "\nretry-after: 3",
    "\nx-ratelimit-remaining: 0",
    "null",
    "[]",
    "{}",
    "\"",
    "18446744073709551615",
    "-1",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "1e308",
    "\u{fffd}",
    " ",
    "{\"scope\":\"repo:write\"}",
];

#[derive(Clone, Debug)]
enum Edit {
    Remove(Index, u8),
    Put(Index, Index),
    Set(Index, u8),
    Double(Index, u8),
}

fn edits() -> impl Strategy<Value = (Index, Vec<Edit>)> {
    let edit = prop_oneof![
        (any::<Index>(), 1..40_u8).prop_map(|(at, length)| Edit::Remove(at, length)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, word)| Edit::Put(at, word)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Edit::Double(at, length)),
    ];
    (any::<Index>(), proptest::collection::vec(edit, 1..6))
}

fn edited(mut input: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let within = |at: &Index, length: u8, input: &[u8]| {
            let at = at.index(input.len() + 1);
            at..(at + usize::from(length)).min(input.len())
        };
        match edit {
            Edit::Remove(at, length) => drop(input.drain(within(at, *length, &input))),
            Edit::Put(at, word) => {
                let at = at.index(input.len() + 1);
                drop(input.splice(at..at, word.get(&WORDS).bytes()));
            }
            Edit::Set(at, byte) => {
                let at = at.index(input.len().max(1));
                if let Some(place) = input.get_mut(at) {
                    *place = *byte;
                }
            }
            Edit::Double(at, length) => {
                let range = within(at, *length, &input);
                let piece = input[range.clone()].to_vec();
                drop(input.splice(range.start..range.start, piece));
            }
        }
    }
    input
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_file_of_the_corpora_holds() {
    for (target, check) in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{target}");
        for (path, input) in corpus {
            let held = std::panic::catch_unwind(|| check(&input));
            assert!(held.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn every_mutation_of_the_corpora_holds() {
    for (target, _) in TARGETS {
        let corpus = corpus(target);
        let config = Config { cases: u32::MAX, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        for _ in 0..MUTATIONS {
            let tree = edits().new_tree(&mut runner).unwrap();
            let (file, edits) = tree.current();
            run(target, &edited(file.get(&corpus).1.clone(), &edits));
        }
    }
}

#[test]
fn every_target_has_a_program() {
    for (target, _) in TARGETS {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let program = fs::read_to_string(root.join("fuzz_targets").join(format!("{target}.rs"))).unwrap();
        assert!(program.contains(&format!("run(\"{target}\", input)")), "{target}");
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
    }
}
