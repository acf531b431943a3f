//! `azure` of tests/fuzzing, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hubkeeper_fuzzing::run("azure", input));
