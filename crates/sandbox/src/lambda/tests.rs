//! Tests of the host with a runtime written in shell.

use super::*;

fn start(name: &str, value: &str) -> LambdaHost {
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lambda/runtime.sh"));
    let environment = [(name.to_owned(), value.to_owned())];
    LambdaHost::start(script, &environment, Duration::from_secs(20)).expect("a host")
}

#[tokio::test]
async fn the_binary_answers_in_a_clean_environment_and_its_output_is_kept() {
    let host = start("EXTRA", "given");
    let answer = host.invoke(json!({ "n": 1 })).await.expect("an answer");
    assert_eq!(answer["extra"], "given");
    assert_eq!(answer["cargo"], "");
    assert_eq!(host.invoke(json!("fail")).await, Err(fails("Refused", "no")));
    assert_eq!(host.output(), "handling {\"n\":1}\nhandling \"fail\"\n");
    assert!(host.started_to_first_poll().await.expect("a poll") > Duration::ZERO);
    assert!(host.peak_memory_kib().expect("memory") > 0);
}

#[tokio::test]
async fn a_binary_that_ended_or_hung_is_started_anew() {
    let host = start("EXTRA", "");
    let first = host.pid();
    let ended = host.invoke(json!("exit")).await.expect_err("an end");
    assert_eq!(ended.error_type, "Runtime.ExitError");
    assert!(ended.message.contains('7'), "{}", ended.message);
    let hung = host.invoke_with_deadline(json!("hang"), Duration::from_millis(300)).await.expect_err("a timeout");
    assert_eq!(hung.error_type, "Sandbox.Timedout");
    assert!(host.invoke(json!(1)).await.is_ok());
    assert_ne!(host.pid(), first);
}

#[tokio::test]
async fn an_error_at_the_start_is_the_answer() {
    let host = start("INIT_ERROR", "yes");
    assert_eq!(host.invoke(json!(1)).await, Err(fails("Init", "no")));
}

#[tokio::test]
async fn a_missing_binary_is_an_error() {
    assert!(LambdaHost::start(Path::new("/nonexistent/bootstrap"), &[], Duration::from_secs(1)).is_err());
}
