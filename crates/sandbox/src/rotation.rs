//! The rotation engine: calls a rotation function as Secrets Manager does.
//!
//! It creates the pending version without a value and calls the function with the four steps. It retries the entire process when
//! a step fails, checks the result, cleans up, and records the events that AWS would send.

use std::future::Future;

use serde_json::{Value, json};

use crate::aws;
use crate::aws::model::{CURRENT, PENDING};
use crate::world::{State, World};

/// The steps, as spelled in the events.
pub const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// A function that can be invoked with an event.
pub trait Function {
    /// Invokes it and waits for its response.
    fn invoke(&self, event: Value) -> impl Future<Output = Result<Value, FunctionError>> + Send;
}

/// The error of a function, as Lambda reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// `errorType`.
    pub error_type: String,
    /// `errorMessage`.
    pub message: String,
}

impl std::fmt::Display for FunctionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for FunctionError {}

/// The result of a rotation.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The pending version's id. Empty if no rotation began.
    pub version_id: String,
    /// Every call of the function, in order: the step and its result.
    pub steps: Vec<(String, Result<Value, FunctionError>)>,
    /// Whether the rotation completed.
    pub succeeded: bool,
    /// Why it did not complete: the service's message, or `RotationAbandoned`.
    pub message: Option<String>,
}

impl Rotation {
    fn not_begun(message: &str) -> Self {
        Self { version_id: String::new(), steps: Vec::new(), succeeded: false, message: Some(message.to_owned()) }
    }
}

/// Why the process stops before its attempts are used up.
enum Stop {
    Failed(String),
    Abandoned,
}

fn enabled(state: &State, arn: &str) -> bool {
    state.aws.secrets.get(arn).is_some_and(|secret| secret.rotation_enabled == Some(true) && secret.deleted.is_none())
}

/// Whether the rotation is still in progress. A person's put, a removed label or a cancellation ends it.
fn under_way(state: &State, arn: &str, version_id: &str) -> bool {
    let rotating = state.aws.secrets.get(arn).and_then(|secret| secret.rotating.as_ref());
    rotating.is_some_and(|rotating| rotating.version_id == version_id)
}

/// The event of one step.
fn event(step: &str, arn: &str, version_id: &str, token: Option<&str>) -> Value {
    let mut event = json!({ "Step": step, "SecretId": arn, "ClientRequestToken": version_id });
    if let Some(token) = token {
        event["RotationToken"] = json!(token);
    }
    event
}

/// Rotates a secret. After each failure it repeats the whole process with the same token, at most `attempts` times. A rotation
/// that is still pending continues with its own token. Waits between attempts are not simulated.
pub async fn rotate(world: &World, function: &impl Function, arn: &str, attempts: usize) -> Rotation {
    let begun = world.with(|state| {
        enabled(state, arn).then(|| {
            let with_token = state.aws.rotation_tokens;
            aws::begin_rotation(state, arn, with_token)
        })
    });
    let Some((version_id, token)) = begun else {
        return Rotation::not_begun("Rotation is not enabled for this secret.");
    };
    let mut rotation = Rotation { version_id, steps: Vec::new(), succeeded: false, message: None };
    for _ in 0..attempts {
        match attempt(world, function, arn, token.as_deref(), &mut rotation).await {
            Ok(()) => {
                rotation.succeeded = true;
                rotation.message = None;
                return rotation;
            }
            Err(Stop::Failed(message)) => rotation.message = Some(message),
            Err(Stop::Abandoned) => {
                rotation.message = Some("RotationAbandoned".to_owned());
                return rotation;
            }
        }
    }
    world.with(|state| aws::rotation_event(state, "RotationFailed", arn, &rotation.version_id));
    rotation
}

async fn attempt(
    world: &World,
    function: &impl Function,
    arn: &str,
    token: Option<&str>,
    rotation: &mut Rotation,
) -> Result<(), Stop> {
    for step in STEPS {
        if !world.with(|state| under_way(state, arn, &rotation.version_id)) {
            return Err(Stop::Abandoned);
        }
        let result = function.invoke(event(step, arn, &rotation.version_id, token)).await;
        let failed = result.as_ref().err().map(ToString::to_string);
        rotation.steps.push((step.to_owned(), result));
        if let Some(message) = failed {
            return Err(Stop::Failed(format!("{step}: {message}")));
        }
    }
    world.with(|state| finish(state, arn, &rotation.version_id))
}

/// The service's work after `finishSecret`: checks who put the value and that it became current, then cleans up.
fn finish(state: &mut State, arn: &str, version_id: &str) -> Result<(), Stop> {
    if !under_way(state, arn, version_id) {
        return Err(Stop::Abandoned);
    }
    let (now, leave_pending) = (state.now(), state.aws.leave_pending);
    let Some(secret) = state.aws.secrets.get_mut(arn) else { return Err(Stop::Abandoned) };
    if !secret.versions.get(version_id).is_some_and(|version| version.put_by_rotation) {
        return Err(Stop::Failed(format!(
            "Pending secret version {version_id} for Secret {arn} was not created by Lambda {}. Remove the AWSPENDING staging \
             label and restart rotation",
            secret.rotation_lambda_arn.as_deref().unwrap_or_default()
        )));
    }
    if secret.version_with(CURRENT) != Some(version_id) {
        return Err(Stop::Failed(format!("AWSCURRENT is not on version {version_id} after finishSecret.")));
    }
    if !leave_pending {
        secret.take_label(PENDING, version_id);
    }
    secret.rotating = None;
    secret.last_rotated = Some(now);
    secret.last_changed = now;
    aws::rotation_event(state, "RotationSucceeded", arn, version_id);
    Ok(())
}

/// `RotateImmediately=false`: runs `testSecret` alone, on a temporary pending version.
pub async fn test_only(world: &World, function: &impl Function, arn: &str) -> Rotation {
    if !world.with(|state| enabled(state, arn)) {
        return Rotation::not_begun("Rotation is not enabled for this secret.");
    }
    let Some((version_id, token)) = world.with(|state| aws::begin_test(state, arn)) else {
        return Rotation::not_begun("A previous rotation isn't complete. That rotation will be reattempted.");
    };
    let result = function.invoke(event("testSecret", arn, &version_id, token.as_deref())).await;
    world.with(|state| aws::end_test(state, arn, &version_id));
    let message = result.as_ref().err().map(ToString::to_string);
    Rotation { version_id, succeeded: result.is_ok(), message, steps: vec![("testSecret".to_owned(), result)] }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::aws::{create_secret, enable_rotation, put_version, version_with};

    /// A well-behaved function, except for what the test breaks.
    struct Puppet<'a> {
        world: &'a World,
        fails: Mutex<Vec<&'static str>>,
        with_token: bool,
        by_hand_before: &'static str,
    }

    impl Puppet<'_> {
        fn on(world: &World) -> Puppet<'_> {
            Puppet { world, fails: Mutex::default(), with_token: true, by_hand_before: "" }
        }

        fn act(&self, event: &Value) -> Result<Value, FunctionError> {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let (step, arn, id) = (text("Step"), text("SecretId"), text("ClientRequestToken"));
            let mut fails = self.fails.lock().expect("fails");
            if let Some(index) = fails.iter().position(|failing| *failing == step) {
                fails.remove(index);
                return Err(FunctionError { error_type: "Retryable".to_owned(), message: step });
            }
            self.world.with(|state| {
                if step == self.by_hand_before {
                    put_version(state, &arn, None, &json!("by hand"), &[CURRENT]);
                }
                let secret = state.aws.secrets.get_mut(&arn).expect("a secret");
                match step.as_str() {
                    "createSecret" => {
                        let version = secret.versions.get_mut(&id).expect("the pending version");
                        version.value = Some(aws::model::Stored::Text("new".to_owned()));
                        version.put_by_rotation = self.with_token && event["RotationToken"].is_string();
                    }
                    "finishSecret" => drop(secret.move_label(CURRENT, &id)),
                    _ => {}
                }
            });
            Ok(Value::Null)
        }
    }

    impl Function for Puppet<'_> {
        async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
            self.act(&event)
        }
    }

    fn rotating() -> (World, String) {
        let world = World::new();
        let arn = world.with(|state| {
            let arn = create_secret(state, "dockerhub", &json!("old"), &[]);
            enable_rotation(state, &arn, true);
            state.aws.events.clear();
            arn
        });
        (world, arn)
    }

    fn steps(rotation: &Rotation) -> Vec<&str> {
        rotation.steps.iter().map(|(step, _)| step.as_str()).collect()
    }

    fn events(world: &World) -> Vec<String> {
        let name = |event: &Value| event["detail"]["eventName"].as_str().map(str::to_owned);
        world.with(|state| state.aws.events.iter().filter_map(name).collect())
    }

    #[tokio::test]
    async fn four_steps_make_the_pending_version_current() {
        let (world, arn) = rotating();
        let rotation = rotate(&world, &Puppet::on(&world), &arn, 3).await;
        assert!(rotation.succeeded);
        assert_eq!(steps(&rotation), STEPS);
        world.with(|state| {
            assert_eq!(version_with(state, &arn, CURRENT), Some(rotation.version_id.clone()));
            assert_eq!(version_with(state, &arn, PENDING), None);
            assert!(state.aws.secrets[&arn].last_rotated.is_some());
        });
        assert_eq!(events(&world), ["RotationStarted", "RotationSucceeded"]);
    }

    #[tokio::test]
    async fn a_failed_step_starts_the_whole_process_again() {
        let (world, arn) = rotating();
        let puppet = Puppet { fails: Mutex::new(vec!["setSecret"]), ..Puppet::on(&world) };
        let rotation = rotate(&world, &puppet, &arn, 2).await;
        assert!(rotation.succeeded);
        let again = ["createSecret", "setSecret", "createSecret", "setSecret", "testSecret", "finishSecret"];
        assert_eq!(steps(&rotation), again);
    }

    #[tokio::test]
    async fn a_rotation_that_failed_is_taken_up_with_its_own_token() {
        let (world, arn) = rotating();
        let puppet = Puppet { fails: Mutex::new(vec!["testSecret"]), ..Puppet::on(&world) };
        let failed = rotate(&world, &puppet, &arn, 1).await;
        assert!(!failed.succeeded);
        assert_eq!(world.with(|state| version_with(state, &arn, PENDING)), Some(failed.version_id.clone()));
        let again = rotate(&world, &puppet, &arn, 1).await;
        assert!(again.succeeded);
        assert_eq!(again.version_id, failed.version_id);
        assert_eq!(events(&world), ["RotationStarted", "RotationFailed", "RotationStarted", "RotationSucceeded"]);
    }

    #[tokio::test]
    async fn a_value_put_by_hand_ends_it() {
        let (world, arn) = rotating();
        let puppet = Puppet { by_hand_before: "testSecret", ..Puppet::on(&world) };
        let rotation = rotate(&world, &puppet, &arn, 3).await;
        assert_eq!(rotation.message.as_deref(), Some("RotationAbandoned"));
        assert_eq!(steps(&rotation), ["createSecret", "setSecret", "testSecret"]);
        assert_eq!(events(&world), ["RotationStarted", "RotationAbandoned"]);
    }

    #[tokio::test]
    async fn a_value_put_without_the_rotation_token_fails_at_the_end() {
        let (world, arn) = rotating();
        let puppet = Puppet { with_token: false, ..Puppet::on(&world) };
        let rotation = rotate(&world, &puppet, &arn, 1).await;
        assert!(rotation.message.as_deref().expect("a message").contains("was not created by Lambda"));
        assert_eq!(steps(&rotation), STEPS);
    }

    #[tokio::test]
    async fn the_service_may_leave_the_pending_label_where_it_is() {
        let (world, arn) = rotating();
        world.with(|state| state.aws.leave_pending = true);
        let first = rotate(&world, &Puppet::on(&world), &arn, 1).await;
        assert_eq!(world.with(|state| version_with(state, &arn, PENDING)), Some(first.version_id.clone()));
        let second = rotate(&world, &Puppet::on(&world), &arn, 1).await;
        assert!(second.succeeded);
        assert_ne!(first.version_id, second.version_id);
    }

    #[tokio::test]
    async fn a_test_leaves_nothing_behind() {
        let (world, arn) = rotating();
        let before = world.with(|state| state.aws.secrets[&arn].versions.len());
        let rotation = test_only(&world, &Puppet::on(&world), &arn).await;
        assert!(rotation.succeeded);
        assert_eq!(steps(&rotation), ["testSecret"]);
        assert_eq!(world.with(|state| state.aws.secrets[&arn].versions.len()), before);
        world.with(|state| enable_rotation(state, &arn, false));
        assert!(!test_only(&world, &Puppet::on(&world), &arn).await.succeeded);
        assert!(!rotate(&world, &Puppet::on(&world), &arn, 1).await.succeeded);
    }
}
