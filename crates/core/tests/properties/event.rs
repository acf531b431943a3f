//! Events, each with what it is understood as: the shapes of docs/events.md, and the edges between them.

use hubkeeper_core::event::{DoctorQuery, Event, Fleet, StatusQuery, WidgetQuery, parse};
use hubkeeper_core::request::{Mode, Trigger};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf";
const VERSION: &str = "7c2c7a4e-6a0e-4a2f-9b58-0d6a4f8a1c11";

/// What an event was understood as, in one line.
fn said(event: &Event) -> String {
    match event {
        Event::One(request) => {
            let version = request.version.as_ref().map(|id| format!(" at {id}")).unwrap_or_default();
            let token = request.rotation_token.as_ref().map(|token| format!(" with {}", token.expose_secret()));
            let (id, token) = (&request.secret_id, token.unwrap_or_default());
            format!("{}: {:?} {id}{version}{token}", request.mode.name(), request.trigger)
        }
        Event::Fleet(Fleet { trigger, mode, secret_ids }) => format!("{}: {trigger:?} of {secret_ids:?}", mode.name()),
        Event::Status(StatusQuery { secret_ids, next }) => format!("status of {secret_ids:?} after {next:?}"),
        Event::Describe => "describe".to_owned(),
        Event::Widget(WidgetQuery { status, filter, dark }) => {
            let theme = if *dark { "dark" } else { "light" };
            format!("{theme} widget of {:?} after {:?}, filter {filter:?}", status.secret_ids, status.next)
        }
        Event::Doctor(DoctorQuery { secret_id, record }) => format!("doctor of {secret_id:?}, recorded: {record}"),
        Event::Records(records) => {
            let said = records.iter().map(|record| match &record.event {
                Ok(event) => format!("{}: {}", record.message_id, said(event)),
                Err(error) => format!("{}: {}", record.message_id, error.what()),
            });
            said.collect::<Vec<_>>().join("; ")
        }
        Event::Ignored { action, secret_id, reason } => format!("ignored {action} {secret_id:?}: {reason}"),
        Event::CustomResource(request) => match &request.asked {
            Ok(asked) => format!("custom resource {:?}: {asked:?}", request.physical_id),
            Err(error) => format!("custom resource: {}", error.what()),
        },
    }
}

fn understood(event: &Value) -> String {
    match parse(event) {
        Ok(event) => said(&event),
        Err(error) => format!("refused: {}", error.what()),
    }
}

fn check(table: &[(Value, String)]) {
    for (event, expected) in table {
        assert_eq!(&understood(event), expected, "{event}");
    }
}

#[test]
fn a_step_of_a_rotation_names_its_version_and_carries_its_token() {
    let step = |name: &str| json!({"Step": name, "SecretId": ARN, "ClientRequestToken": VERSION});
    let mut with_token = step("createSecret");
    with_token["RotationToken"] = json!("token");
    check(&[
        (step("createSecret"), format!("apply: CreateSecret {ARN} at {VERSION}")),
        (step("setSecret"), format!("apply: SetSecret {ARN} at {VERSION}")),
        (step("testSecret"), format!("apply: TestSecret {ARN} at {VERSION}")),
        (step("finishSecret"), format!("apply: FinishSecret {ARN} at {VERSION}")),
        (with_token, format!("apply: CreateSecret {ARN} at {VERSION} with token")),
    ]);
}

#[test]
fn an_action_says_what_of_which_secrets() {
    let wrong = "refused: field `versionId` is not a version id of 32 to 64 characters".to_owned();
    check(&[
        (
            json!({"action": "onboard", "secretId": "a", "force": true, "mode": "plan"}),
            "plan: Onboard { force: true, fix_role: false, version: None } a".into(),
        ),
        (
            json!({"action": "onboard", "secretId": "a", "versionId": VERSION}),
            format!("apply: Onboard {{ force: false, fix_role: false, version: Some(\"{VERSION}\") }} a"),
        ),
        (json!({"action": "onboard", "secretId": "a", "versionId": "x".repeat(31)}), wrong.clone()),
        (json!({"action": "onboard", "secretId": "a", "versionId": format!("{VERSION} ")}), wrong.clone()),
        (json!({"action": "verify", "secretId": "a", "versionId": "x".repeat(65)}), wrong),
        (
            json!({"action": "onboard", "secretIds": ["a", "b", "a"]}),
            "apply: Onboard { force: false, fix_role: false, version: None } of Some([\"a\", \"b\"])".into(),
        ),
        (
            json!({"action": "onboard", "secretIds": ["a"], "versionId": VERSION}),
            "refused: field `versionId` can be used with `secretId` only".into(),
        ),
        (json!({"action": "reconcile"}), "apply: Reconcile { revoke_replaced: false } of None".into()),
        (
            json!({"action": "reconcile", "secretIds": ["a"]}),
            "apply: Reconcile { revoke_replaced: false } of Some([\"a\"])".into(),
        ),
        (
            json!({"action": "reconcile", "secretIds": ["a"], "revokeReplaced": true}),
            "apply: Reconcile { revoke_replaced: true } of Some([\"a\"])".into(),
        ),
        (
            json!({"action": "reconcile", "secretIds": ["a", ""]}),
            "refused: field `secretIds` must be an array of one or more secret names or ARNs".into(),
        ),
        (
            json!({"action": "reconcile", "secretIds": ["a b"]}),
            "refused: field `secretIds` must be an array of one or more secret names or ARNs".into(),
        ),
        (json!({"action": "verify", "secretId": "a"}), "apply: Verify { version: None } a".into()),
        (json!({"action": "offboard", "secretId": "a"}), "apply: Offboard a".into()),
        (json!({"action": "offboard", "secretId": ""}), "refused: field `secretId` is empty or too long".into()),
        (
            json!({"action": "offboard", "secretId": "a".repeat(2049)}),
            "refused: field `secretId` is empty or too long".into(),
        ),
        (json!({"action": "offboard", "secretId": "a".repeat(2048)}), format!("apply: Offboard {}", "a".repeat(2048))),
    ]);
}

#[test]
fn a_message_says_what_its_fleet_says() {
    for trigger in [
        Trigger::Onboard { force: true, fix_role: false, version: None },
        Trigger::Onboard { force: false, fix_role: true, version: None },
        Trigger::Onboard { force: false, fix_role: false, version: None },
        Trigger::Reconcile { revoke_replaced: true },
        Trigger::Reconcile { revoke_replaced: false },
    ] {
        for mode in [Mode::Apply, Mode::Plan] {
            let fleet = Fleet { trigger: trigger.clone(), mode, secret_ids: Some(vec!["a".into()]) };
            assert_eq!(understood(&fleet.message("a")), said(&Event::Fleet(fleet)));
        }
    }
}

#[test]
fn a_label_that_moved_is_about_the_secret_in_resources() {
    let event = |label: &str, resources: Value, name: &str| {
        json!({"detail-type": "Secret Label Updated", "resources": resources,
            "detail": {"name": name, "labelUpdated": label, "versionId": VERSION}})
    };
    let some = format!("Some(\"{VERSION}\")");
    let mut short = event("AWSCURRENT", json!([ARN]), "n");
    short["detail"]["versionId"] = json!("x");
    check(&[
        (event("AWSCURRENT", json!([ARN]), "n"), format!("apply: SecretChanged {{ version: {some} }} {ARN}")),
        (
            event("HUBKEEPER_CANDIDATE", json!([ARN]), "n"),
            format!("apply: CandidateStaged {{ version: {some} }} {ARN}"),
        ),
        (event("AWSCURRENT", json!([]), "hub/acme"), format!("apply: SecretChanged {{ version: {some} }} hub/acme")),
        (
            event("AWSCURRENT", json!(["a b"]), "hub/acme"),
            format!("apply: SecretChanged {{ version: {some} }} hub/acme"),
        ),
        (event("AWSCURRENT", json!([]), ""), "refused: field `resources` does not hold the secret's ARN".into()),
        (
            event("AWSPREVIOUS", json!([ARN]), "n"),
            format!(
                "ignored secretLabelUpdated Some(\"{ARN}\"): the label is neither AWSCURRENT nor HUBKEEPER_CANDIDATE"
            ),
        ),
        (short, "refused: field `detail.versionId` is not a version id of 32 to 64 characters".into()),
    ]);
}

#[test]
fn what_cloudtrail_tells_of_a_value_is_a_change_where_the_call_made_one() {
    let event = |detail: Value| json!({"detail-type": "AWS API Call via CloudTrail", "detail": detail});
    let request = json!({"secretId": "hub/acme", "clientRequestToken": VERSION});
    check(&[
        (
            event(
                json!({"eventName": "PutSecretValue", "requestParameters": request, "responseElements": {"arn": ARN}}),
            ),
            format!("apply: SecretChanged {{ version: Some(\"{VERSION}\") }} {ARN}"),
        ),
        (
            event(json!({"eventName": "UpdateSecret", "requestParameters": request, "responseElements": {"aRN": ARN}})),
            format!("apply: SecretChanged {{ version: Some(\"{VERSION}\") }} {ARN}"),
        ),
        (
            event(
                json!({"eventName": "PutSecretValue", "requestParameters": {"secretId": "hub/acme", "clientRequestToken": "short"}}),
            ),
            "apply: SecretChanged { version: None } hub/acme".into(),
        ),
        (
            event(json!({"eventName": "PutSecretValue", "requestParameters": request, "errorCode": "AccessDenied"})),
            "ignored cloudTrail None: the call failed".into(),
        ),
        (
            event(json!({"eventName": "TagResource", "requestParameters": request})),
            "ignored cloudTrail None: the call does not change a value".into(),
        ),
        (
            event(json!({"eventName": "PutSecretValue", "requestParameters": {}})),
            "refused: field `detail.requestParameters.secretId` is missing".into(),
        ),
    ]);
}

#[test]
fn what_secrets_manager_tells_of_a_rotation_is_a_change_or_taken_note_of() {
    let event = |name: &str, more: Value| {
        let mut detail = json!({"eventName": name, "additionalEventData": {"SecretId": ARN}});
        detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"detail-type": "AWS Service Event via CloudTrail", "detail": detail})
    };
    let ended = |abandoned: bool, step: &str, version: &str| {
        format!("apply: RotationEnded {{ abandoned: {abandoned}, step: {step}, version: {version} }} {ARN}")
    };
    let request = format!("Rotation-{ARN}-{VERSION}");
    let some = format!("Some(\"{VERSION}\")");
    check(&[
        (event("RotationSucceeded", json!({})), format!("apply: SecretChanged {{ version: None }} {ARN}")),
        (event("RotationFailed", json!({})), ended(false, "None", "None")),
        (event("TestRotationFailed", json!({"requestID": request})), ended(false, "None", &some)),
        (event("RotationAbandoned", json!({"requestID": VERSION})), ended(true, "None", "None")),
        (event("RotationFailed", json!({"requestID": "Rotation-short"})), ended(false, "None", "None")),
        (event("RotationFailed", json!({"requestID": format!("{request}x")})), ended(false, "None", "None")),
        (
            event("RotationFailed", json!({"serviceEventDetails": {"rotationStep": "setSecret"}})),
            ended(false, "Some(\"setSecret\")", "None"),
        ),
        (
            event("RotationFailed", json!({"additionalEventData": {"SecretId": ARN, "Step": "testSecret"}})),
            ended(false, "Some(\"testSecret\")", "None"),
        ),
        (
            event("RotationFailed", json!({"additionalEventData": {"SecretId": ARN, "Step": "dckr_pat_x"}})),
            ended(false, "None", "None"),
        ),
        (
            event("RotationStarted", json!({})),
            format!("ignored cloudTrail Some(\"{ARN}\"): the event reports neither a new value nor a failed rotation"),
        ),
        (
            event("RotationFailed", json!({"additionalEventData": {}, "serviceEventDetails": {"secretId": ARN}})),
            ended(false, "None", "None"),
        ),
        (
            event("RotationFailed", json!({"additionalEventData": {}})),
            "refused: field `detail.additionalEventData.SecretId` is missing".into(),
        ),
        (
            json!({"detail-type": "Scheduled Event", "detail": {}}),
            "refused: field `detail.action` is missing: let the rule's target send an action as its input".into(),
        ),
        (
            json!({"detail-type": "Scheduled Event", "detail": {"action": "reconcile"}}),
            "apply: Reconcile { revoke_replaced: false } of None".into(),
        ),
    ]);
}

#[test]
fn a_record_is_an_event_by_itself_and_no_step_of_a_rotation() {
    let record = |id: &str, body: Value| json!({"messageId": id, "eventSource": "aws:sqs", "body": body});
    let step = json!({"Step": "setSecret", "SecretId": ARN, "ClientRequestToken": VERSION});
    let records = json!({"Records": [
        record("1", json!("{\"action\":\"offboard\",\"secretId\":\"a\"}")),
        record("2", json!(step.to_string())),
        record("3", json!("{\"action\":\"offboard\"}")),
        record("4", json!("[]")),
        record("5", json!("dckr_pat_x")),
        record("6", json!({})),
        record("7", json!("{\"RequestType\":\"Delete\"}")),
        record("8", json!("{\"ResponseURL\":\"https://b.s3.amazonaws.com/a?X-Amz-Signature=s\"}")),
    ]});
    check(&[(
        records,
        "1: apply: Offboard a; \
         2: field `Records[1].body` is a rotation step, which only Secrets Manager sends; \
         3: field `body.secretId` is missing; 4: field `Records[3].body` is not a JSON object; \
         5: field `Records[4].body` is not JSON that can be read: expected value at line 1 column 1; 6: field `Records[5].body` is not a string; \
         7: field `Records[6].body` is a CloudFormation request, which must go to the function directly: its URL is a secret; \
         8: field `Records[7].body` is a CloudFormation request, which must go to the function directly: its URL is a secret"
            .into(),
    )]);
}

#[test]
fn a_request_of_a_stack_asks_for_one_secret_and_its_ids_leave_room_for_an_answer() {
    let with = |changes: &[(&str, Value)]| {
        let mut event = json!({
            "RequestType": "Create", "StackId": "stack", "RequestId": "request", "LogicalResourceId": "Organization",
            "ResponseURL": "https://b.s3.eu-west-1.amazonaws.com/a?X-Amz-Signature=s", "ResourceProperties": {"SecretId": ARN},
        });
        for (name, value) in changes {
            event[*name] = value.clone();
        }
        event
    };
    let long = |length: usize| json!("a".repeat(length));
    let asked = |kind: &str| format!("custom resource None: {kind} {{ secret_id: \"{ARN}\" }}");
    let wrong = |why: &str| format!("custom resource: {why}");
    let mut table = vec![
        (with(&[]), asked("Create")),
        (with(&[("RequestType", json!("Update"))]), asked("Update")),
        (
            with(&[("RequestType", json!("Delete")), ("ResourceProperties", Value::Null)]),
            "custom resource None: Delete".into(),
        ),
        (with(&[("RequestType", json!("Read"))]), wrong("field `RequestType` must be one of Create, Update, Delete")),
        (with(&[("RequestType", Value::Null)]), wrong("field `RequestType` is missing")),
        (with(&[("ResourceProperties", json!({"SecretId": ARN, "Version": "2"}))]), asked("Create")),
        (
            with(&[("PhysicalResourceId", json!("hubkeeper/x"))]),
            asked("Create").replace("None", "Some(\"hubkeeper/x\")"),
        ),
        (with(&[("PhysicalResourceId", long(1025))]), asked("Create")),
        (with(&[("PhysicalResourceId", json!("a\"b"))]), asked("Create")),
        (
            with(&[("ResponseURL", json!("https://example.com/a"))]),
            "refused: field `ResponseURL` is not an https URL of AWS (amazonaws.com, amazonaws.com.cn)".into(),
        ),
    ];
    for (name, most) in [("StackId", 1024), ("RequestId", 256), ("LogicalResourceId", 256)] {
        table.push((with(&[(name, long(most))]), asked("Create")));
        table.push((with(&[(name, long(most + 1))]), wrong(&format!("field `{name}` is not an id"))));
        for character in ['"', '\\', ' ', '\n', 'é'] {
            table.push((
                with(&[(name, json!(format!("a{character}b")))]),
                wrong(&format!("field `{name}` is not an id")),
            ));
        }
    }
    check(&table);
}

#[test]
fn the_checks_are_of_one_secret_or_of_the_only_one() {
    check(&[
        (json!({"action": "doctor"}), "doctor of None, recorded: false".into()),
        (
            json!({"action": "doctor", "secretId": ARN, "record": true}),
            format!("doctor of Some({ARN:?}), recorded: true"),
        ),
        (
            json!({"action": "doctor", "secretIds": [ARN]}),
            "refused: field `secretIds` is unknown (known: action, secretId, record)".into(),
        ),
        (json!({"action": "doctor", "record": 1}), "refused: field `record` is not true or false".into()),
    ]);
}

#[test]
fn the_status_is_of_all_or_of_some_and_goes_on_after_a_page() {
    check(&[
        (json!({"action": "status"}), "status of None after None".into()),
        (
            json!({"action": "status", "secretIds": [ARN, ARN, "b"]}),
            format!("status of Some([{ARN:?}, \"b\"]) after None"),
        ),
        (json!({"action": "status", "next": ARN}), format!("status of None after Some({ARN:?})")),
        (json!({"action": "status", "next": ["x"]}), "refused: field `next` is not a string".into()),
    ]);
}

#[test]
fn a_notice_says_when_it_was_sent_where_that_can_be_read() {
    for (time, told) in [(json!("2026-11-24T10:00:00Z"), true), (json!("yesterday"), false), (json!(7), false)] {
        let event = json!({"detail-type": "Secret Label Updated", "source": "aws.secretsmanager", "resources": [ARN],
            "time": time, "detail": {"labelUpdated": "AWSCURRENT", "versionId": VERSION}});
        let Ok(Event::One(request)) = parse(&event) else { panic!("{event}") };
        let expected = told.then(|| hubkeeper_core::time::parse_rfc3339("2026-11-24T10:00:00Z").unwrap());
        assert_eq!(request.sent_at, expected, "{event}");
    }
}

#[test]
fn a_call_of_a_widget_is_read_from_the_form_the_button_and_the_parameters_in_this_order() {
    let context = |value: Value| {
        let mut context =
            json!({"dashboardName": "d", "widgetId": "widget-16", "theme": "light", "width": 588, "new": [1]});
        context.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        context
    };
    check(&[
        (json!({"describe": true}), "describe".into()),
        (json!({"describe": true, "widgetContext": {"params": 7}}), "describe".into()),
        (json!({"describe": 1}), "refused: field `describe` is not true or false".into()),
        (json!({"describe": false}), "refused: field `widgetContext` is missing".into()),
        (json!({"widgetContext": context(json!({}))}), "light widget of None after None, filter \"\"".into()),
        (
            json!({"widgetContext": context(json!({"theme": "dark", "params": {"filter": " a ", "next": "b", "secretIds": ["c"]}}))}),
            "dark widget of Some([\"c\"]) after Some(\"b\"), filter \"a\"".into(),
        ),
        (
            json!({"filter": "top", "next": null, "other": 1, "widgetContext": context(json!({"params": {"filter": "a", "next": "b"}}))}),
            "light widget of None after None, filter \"top\"".into(),
        ),
        (
            json!({"filter": "top", "widgetContext": context(json!({"forms": {"all": {"filter": "typed"}}}))}),
            "light widget of None after None, filter \"typed\"".into(),
        ),
        (
            json!({"filter": "top", "next": "", "secretIds": "", "widgetContext": context(json!({"forms": {"all": {"filter": ""}}}))}),
            "light widget of None after None, filter \"\"".into(),
        ),
        (
            json!({"secretIds": "a", "widgetContext": context(json!({}))}),
            "refused: field `secretIds` must be an array of one or more secret names or ARNs".into(),
        ),
        (
            json!({"filter": "é".repeat(65), "widgetContext": context(json!({}))}),
            "refused: field `filter` is too long".into(),
        ),
        (
            json!({"filter": "é".repeat(64), "widgetContext": context(json!({}))}),
            format!("light widget of None after None, filter {:?}", "é".repeat(64)),
        ),
    ]);
}
