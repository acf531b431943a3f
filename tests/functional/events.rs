//! Sends every example in `events/` to the handler unchanged: the handler understands it and never panics.

use hubkeeper_scene::{Begin, Scene, outcome};

#[tokio::test(start_paused = true)]
async fn every_example_is_answered_by_a_report_or_a_typed_error_about_the_secret() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let event: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let scene = Scene::new(Begin::ByHand);
        let text = outcome(&scene.invoke(event).await);
        assert!(!text.starts_with("BadEvent"), "{}: {text}", path.display());
        count += 1;
    }
    assert!(count > 10, "{count} examples");
}
