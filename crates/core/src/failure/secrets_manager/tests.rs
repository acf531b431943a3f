use super::*;
use crate::error::Kind;

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-AbCdEf";
const DELETED: &str = "You can't perform this operation on the secret because it was marked for deletion.";

fn stated(call: &'static str, code: &str, message: &str) -> Stated {
    Stated::new(call, code, message)
}

const SECRET: Subject<'static> = Subject::secret(ARN);
const MANAGER: Subject<'static> = Subject::login("manager", "vault/manager");
const THERE: Reread = Reread::There { tags: 3 };

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_refusal_is_told_apart_by_call_and_state() {
    let (not_found, request, parameter) =
        ("ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException");
    let limit = "LimitExceededException";
    for (call, code, message, subject, reread, kind, parts) in [
        (
            "GetSecretValue",
            request,
            DELETED,
            MANAGER,
            Reread::Unknown,
            Kind::NeedsHuman,
            ["manager secret vault/manager", "restore-secret --secret-id vault/manager"],
        ),
        (
            "GetSecretValue",
            request,
            "other words",
            MANAGER,
            Reread::Deleted,
            Kind::NeedsHuman,
            ["manager secret vault/manager", "restore-secret --secret-id vault/manager"],
        ),
        (
            "PutSecretValue",
            request,
            DELETED,
            SECRET,
            Reread::Unknown,
            Kind::NeedsHuman,
            ["the secret arn:aws", "restore-secret --secret-id arn:aws"],
        ),
        (
            "UpdateSecretVersionStage",
            request,
            DELETED,
            SECRET,
            Reread::Unknown,
            Kind::NeedsHuman,
            ["scheduled for deletion", "restore-secret"],
        ),
        (
            "TagResource",
            request,
            DELETED,
            SECRET,
            Reread::Unknown,
            Kind::NeedsHuman,
            ["scheduled for deletion", "restore-secret"],
        ),
        (
            "GetSecretValue",
            not_found,
            "x",
            MANAGER,
            Reread::Absent,
            Kind::Misconfigured,
            ["there is no manager secret vault/manager", "correct `manager`"],
        ),
        (
            "GetSecretValue",
            not_found,
            "x",
            MANAGER,
            Reread::Unknown,
            Kind::Misconfigured,
            ["there is no manager secret vault/manager, or it has no value", "correct `manager`"],
        ),
        (
            "GetSecretValue",
            not_found,
            "x",
            MANAGER,
            THERE,
            Kind::Misconfigured,
            ["the manager secret vault/manager has no AWSCURRENT value", "put-secret-value --secret-id vault/manager"],
        ),
        (
            "GetSecretValue",
            not_found,
            "x",
            Subject::login("owner", "vault/owner"),
            Reread::Absent,
            Kind::Misconfigured,
            ["no owner secret vault/owner", "correct `owner`"],
        ),
        (
            "GetSecretValue",
            not_found,
            "x",
            Subject::client_secret("azure/c"),
            Reread::Absent,
            Kind::Misconfigured,
            ["no client secret azure/c", "HUBKEEPER_AZURE_CLIENT_SECRET_ID"],
        ),
        (
            "GetSecretValue",
            request,
            DELETED,
            Subject::client_secret("azure/c"),
            Reread::Unknown,
            Kind::NeedsHuman,
            ["the client secret azure/c", "restore-secret --secret-id azure/c"],
        ),
        (
            "DescribeSecret",
            not_found,
            "x",
            SECRET,
            Reread::Unknown,
            Kind::Misconfigured,
            ["there is no secret arn:aws", "in the event"],
        ),
        (
            "GetSecretValue",
            request,
            "x",
            SECRET,
            THERE,
            Kind::Retryable,
            ["InvalidRequestException", "labels changed meanwhile"],
        ),
        (
            "GetSecretValue",
            parameter,
            "x",
            SECRET,
            THERE,
            Kind::Retryable,
            ["InvalidParameterException", "labels changed meanwhile"],
        ),
        (
            "DescribeSecret",
            parameter,
            "x",
            SECRET,
            Reread::Unknown,
            Kind::Misconfigured,
            ["InvalidParameterException", "check the secret's name"],
        ),
        (
            "UpdateSecretVersionStage",
            parameter,
            "x",
            SECRET,
            THERE,
            Kind::Retryable,
            ["InvalidParameterException", "moved meanwhile"],
        ),
        (
            "UpdateSecretVersionStage",
            not_found,
            "x",
            SECRET,
            THERE,
            Kind::Retryable,
            ["ResourceNotFoundException", "was removed meanwhile"],
        ),
        (
            "UpdateSecretVersionStage",
            limit,
            "x",
            SECRET,
            Reread::Unknown,
            Kind::NeedsHuman,
            ["LimitExceededException", "20 staging labels"],
        ),
        (
            "PutSecretValue",
            request,
            "x",
            SECRET,
            THERE,
            Kind::NeedsHuman,
            ["InvalidRequestException", "another service"],
        ),
        ("PutSecretValue", parameter, "x", SECRET, THERE, Kind::Misconfigured, ["InvalidParameterException", "65,536"]),
        ("PutSecretValue", limit, "x", SECRET, Reread::Unknown, Kind::NeedsHuman, ["LimitExceededException", "100"]),
        (
            "TagResource",
            parameter,
            "x",
            SECRET,
            Reread::There { tags: 50 },
            Kind::NeedsHuman,
            ["InvalidParameterException", "50 tags"],
        ),
        (
            "TagResource",
            limit,
            "x",
            SECRET,
            Reread::Unknown,
            Kind::NeedsHuman,
            ["LimitExceededException", "untag-resource"],
        ),
        (
            "TagResource",
            "AccessDeniedException",
            "x",
            SECRET,
            Reread::Unknown,
            Kind::Misconfigured,
            ["AccessDeniedException", "secretsmanager:TagResource"],
        ),
        (
            "GetSecretValue",
            "AccessDeniedException",
            "Access to KMS is not allowed",
            MANAGER,
            Reread::Unknown,
            Kind::Misconfigured,
            ["of the manager secret", "kms:Decrypt"],
        ),
        (
            "ListSecretVersionIds",
            limit,
            "x",
            SECRET,
            Reread::Unknown,
            Kind::Retryable,
            ["LimitExceededException", "repeat"],
        ),
        (
            "GetSecretValue",
            "InternalServiceError",
            "x",
            MANAGER,
            Reread::Unknown,
            Kind::Retryable,
            ["of the manager secret", "repeat"],
        ),
    ] {
        let error = stated(call, code, message).error(Some(subject), reread);
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{call} {code}: {text}");
        for part in parts {
            assert!(text.contains(part), "{call} {code}: {part} is missing in: {text}");
        }
    }
}

#[test]
fn only_what_the_code_leaves_open_is_read_again() {
    for (call, code, message, open) in [
        ("GetSecretValue", "ResourceNotFoundException", "x", true),
        ("GetSecretValue", "InvalidRequestException", "x", true),
        ("GetSecretValue", "InvalidRequestException", DELETED, false),
        ("TagResource", "InvalidParameterException", "x", true),
        ("DescribeSecret", "ResourceNotFoundException", "x", false),
        ("PutSecretValue", "LimitExceededException", "x", false),
        ("PutSecretValue", "AccessDeniedException", "x", false),
    ] {
        assert_eq!(stated(call, code, message).is_ambiguous(), open, "{call} {code} {message}");
    }
}

#[test]
fn another_region_and_a_replica_are_named() {
    assert_eq!(SECRET.in_region(Some("eu-west-1")), Ok(()));
    assert_eq!(MANAGER.in_region(Some("us-east-1")), Ok(()), "a name has no Region");
    assert_eq!(SECRET.in_region(None), Ok(()));
    let error = SECRET.in_region(Some("us-east-1")).unwrap_err();
    assert_eq!(error.kind(), Kind::Misconfigured);
    assert!(error.to_string().contains("in Region eu-west-1, the function runs in us-east-1"), "{error}");

    assert_eq!(SECRET.is_no_replica(ARN, None), Ok(()));
    assert_eq!(SECRET.is_no_replica(ARN, Some("eu-west-1")), Ok(()), "the primary itself");
    let error = SECRET.is_no_replica(ARN, Some("us-east-1")).unwrap_err();
    assert_eq!(error.kind(), Kind::Misconfigured);
    assert!(error.to_string().contains("a replica in eu-west-1; its primary Region is us-east-1"), "{error}");
}

#[test]
fn a_token_in_the_place_of_an_id_is_not_shown() {
    for id in ["dckr_pat_Ab3dEf9hIjKlMnOpQrStUvWxYz0", "x/DCKR_OAT_secret"] {
        let subject = Subject::login("manager", id);
        for error in [
            subject.deleted(),
            stated("GetSecretValue", "ResourceNotFoundException", "x").error(Some(subject), Reread::Absent),
            stated("GetSecretValue", "InternalServiceError", "x").error(Some(subject), Reread::Unknown),
        ] {
            assert!(!error.to_string().to_ascii_lowercase().contains("dckr_"), "{error}");
        }
    }
}

#[test]
fn each_call_names_its_service_and_its_action() {
    assert_eq!(
        (service("GetSecretValue"), action("GetSecretValue").as_str()),
        ("secretsmanager", "secretsmanager:GetSecretValue")
    );
    assert_eq!(
        (service("GetWebIdentityToken"), action("GetWebIdentityToken").as_str()),
        ("sts", "sts:GetWebIdentityToken")
    );
    assert_eq!((service("SendMessageBatch"), action("SendMessageBatch").as_str()), ("sqs", "sqs:SendMessage"));
}
