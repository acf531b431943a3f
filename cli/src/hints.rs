//! What to do next, as commands that can be pasted. Pure: what is known in, text out.

use serde_json::Value;

use crate::exit::Failure;

/// How often Secrets Manager rotates a secret that follows our advice.
const DAYS: u16 = 30;

/// The ARN of a function that was named by its name: in Region and account of a secret, since a secret is rotated by a
/// function beside it.
///
/// Returns `None` if the secret's ARN is not one of Secrets Manager.
pub fn function_arn(function: &str, secret_arn: &str) -> Option<String> {
    if function.starts_with("arn:") {
        return Some(function.to_owned());
    }
    let parts: Vec<&str> = secret_arn.splitn(7, ':').collect();
    match parts[..] {
        ["arn", partition, "secretsmanager", region, account, "secret", _] => {
            Some(format!("arn:{partition}:lambda:{region}:{account}:function:{function}"))
        }
        _ => None,
    }
}

/// The command that turns the rotation of a secret on, without a rotation at once.
pub fn turn_on_rotation(secret_arn: &str, function: Option<&str>) -> String {
    let function = function.and_then(|name| function_arn(name, secret_arn));
    let function = function.unwrap_or_else(|| "<the function's ARN>".to_owned());
    format!(
        "aws secretsmanager rotate-secret --secret-id {secret_arn} --rotation-lambda-arn {function} --rotation-rules AutomaticallyAfterDays={DAYS} --no-rotate-immediately"
    )
}

/// What to do about the rotation of onboarded secrets: a text for each item of a status whose rotation is off.
pub fn rotation(items: &[Value], function: &str) -> String {
    // the next date is known exactly while rotation is on
    let off = items.iter().filter(|item| item["versionId"].is_string() && item["nextRotationAt"].is_null());
    let off = off.filter(|item| item["state"] != "offboarded" && item["state"] != "awaiting");
    let texts: Vec<String> = off
        .filter_map(|item| item["secretId"].as_str())
        .map(|arn| {
            format!(
                "rotation of {arn} is off\n  if the secret names a manager, turn it on: {}\n  without a manager leave it off, and stage the next token before this one expires: hubkeeper stage {arn}",
                turn_on_rotation(arn, Some(function))
            )
        })
        .collect();
    texts.join("\n")
}

/// Whether an event failed because its secret does not exist.
pub fn is_missing(failure: &Failure) -> bool {
    failure.what.contains("there is no secret") && failure.what.contains("ResourceNotFoundException")
}

/// How to create the secret of an organization. No command holds a token or password: what is typed at `read -rs` is
/// not shown, and goes through a pipe.
pub fn create(id: &str) -> String {
    let id = id.rsplit(':').next().unwrap_or(id);
    let (prefix, organization) = id.rsplit_once('/').unwrap_or(("", id));
    // outside of the prefix, under which the function may write
    let manager = match prefix {
        "" => format!("managers/{organization}"),
        prefix => format!("{prefix}-manager/{organization}"),
    };
    let connector = format!(
        r#"{{"subscriptionId": "<uuid>", "resourceGroup": "rg-security", "name": "dockerhub-{organization}", "location": "westeurope"}}"#
    );
    let name = if prefix == "hubkeeper" { String::new() } else { format!(" --name {id}") };
    format!(
        r#"Create it: this command asks for each field, and checks what it can before it creates anything.

   hubkeeper init {organization}{name}

Or create it with the AWS CLI in one of two ways, with your own names and ids. What you type after read -rs is not shown, and goes
through a pipe.

1. hubkeeper makes the tokens. First the login of the dedicated user (the manager secret), then the secret. The stack's parameter
   ManagerSecretArns has to allow the manager secret.

   read -rs password
   printf '%s\n' "$password" | jq -R '{{username: "{organization}-scanner", password: ., usedBy: ["{id}"]}}' |
       aws secretsmanager create-secret --name {manager} \
           --secret-string file:///dev/stdin --query ARN --output text
   unset password

   aws secretsmanager create-secret --name {id} --secret-string '{{
     "organization": "{organization}", "username": "{organization}-scanner",
     "manager": "<the ARN that the first command printed>",
     "connector": {connector}
   }}'

2. You made a read-only token at Docker Hub:

   read -rs token
   printf '%s\n' "$token" | jq -R '{{
     "organization": "{organization}", "username": "{organization}-scanner", "accessToken": ., "expiresAt": "<when it expires, RFC 3339>",
     "connector": {connector}
   }}' |
       aws secretsmanager create-secret --name {id} --secret-string file:///dev/stdin
   unset token"#
    )
}

/// A secret that was just created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next<'a> {
    /// Its name.
    pub id: &'a str,
    /// Its ARN.
    pub arn: &'a str,
    /// The function, if it was found.
    pub function: Option<&'a str>,
    /// The options that name the function: empty, or with a space in front.
    pub named: &'a str,
    /// How the token comes into it.
    pub token: Origin,
}

/// How a token comes into a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// hubkeeper makes it, with the login of a manager.
    Manager,
    /// It is in the secret.
    Present,
    /// A person stages it.
    ByHand,
    /// The dedicated user is invited first; then a person stages it.
    Invited,
}

/// What comes after the creation of a secret.
pub fn after_init(next: &Next<'_>) -> String {
    let Next { id, arn, function, named, token } = next;
    let onboard = format!("connect it (shows the plan, and asks): hubkeeper onboard {id}{named}");
    let stage = format!("hubkeeper stage {id}{named}");
    let status = format!("see its state: hubkeeper status {id}{named}");
    let steps = match token {
        Origin::Manager => [onboard, format!("turn on its rotation: {}", turn_on_rotation(arn, *function)), status],
        Origin::Present => {
            [onboard, status, format!("leave rotation off, and stage the next token before this one expires: {stage}")]
        }
        Origin::Invited => [
            format!("invite the user (shows the plan, and asks): hubkeeper onboard {id}{named}"),
            format!("once the user is a member, put a read-only token of it: {stage}"),
            status,
        ],
        Origin::ByHand => [
            format!("put a read-only token, which is proven first, then adopted: {stage}"),
            format!("connect it, if stage did not reach the function: hubkeeper onboard {id}{named}"),
            status,
        ],
    };
    let steps = steps.iter().enumerate().map(|(at, step)| format!("  {}. {step}", at + 1));
    format!("what comes next\n{}", steps.collect::<Vec<_>>().join("\n"))
}

/// What comes after the takeover of a connector.
pub fn after_import(next: &Next<'_>) -> String {
    let Next { id, arn, function, named, token } = next;
    let rotation = match token {
        Origin::Manager => format!("turn on its rotation: {}", turn_on_rotation(arn, *function)),
        _ => {
            format!("leave rotation off, and stage the next token before this one expires: hubkeeper stage {id}{named}")
        }
    };
    format!(
        "what comes next\n  1. see its state: hubkeeper status {id}{named}\n  2. {rotation}\n  3. the token that was in the connector stays valid, since hubkeeper does not know it: stop what rotates it, and once Defender has scanned, revoke it at Docker Hub, unless it is the one in the secret or something else uses it"
    )
}

#[cfg(test)]
mod tests {
    use hubkeeper_core::secret::Document;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::exit::Code;

    const ACME: &str = "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:hubkeeper/acme-xGKMU6";

    #[test]
    fn the_function_is_beside_the_secret() {
        let arn = "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:keeper";
        assert_eq!(function_arn("keeper", ACME).as_deref(), Some(arn));
        assert_eq!(function_arn(arn, "hubkeeper/acme").as_deref(), Some(arn));
        assert_eq!(function_arn("keeper", "hubkeeper/acme"), None);
        assert_eq!(
            turn_on_rotation(ACME, Some("keeper")),
            format!(
                "aws secretsmanager rotate-secret --secret-id {ACME} --rotation-lambda-arn {arn} --rotation-rules AutomaticallyAfterDays=30 --no-rotate-immediately"
            )
        );
        assert!(turn_on_rotation(ACME, None).contains("--rotation-lambda-arn <the function's ARN> "));
    }

    #[test]
    fn only_a_rotation_that_is_off_gets_a_hint() {
        let item = |change: Value| {
            let mut item = json!({"secretId": ACME, "state": "ready", "versionId": "v"});
            change.as_object().unwrap().iter().for_each(|(name, value)| item[name] = value.clone());
            item
        };
        let text = rotation(&[item(json!({}))], "keeper");
        assert!(text.starts_with(&format!("rotation of {ACME} is off\n")), "{text}");
        assert!(text.contains("function:keeper ") && text.ends_with(&format!("hubkeeper stage {ACME}")), "{text}");
        for change in [
            json!({"nextRotationAt": "2027-01-01T00:00:00Z"}),
            json!({"state": "awaiting"}),
            json!({"state": "offboarded"}),
            json!({"state": "unknown", "versionId": null}),
        ] {
            assert_eq!(rotation(&[item(change.clone())], "keeper"), "", "{change}");
        }
    }

    #[test]
    fn what_follows_depends_on_where_the_token_comes_from() {
        let next = |token| {
            after_init(&Next {
                id: "hubkeeper/acme",
                arn: ACME,
                function: Some("keeper"),
                named: " --stack other",
                token,
            })
        };
        let by_hand = next(Origin::ByHand);
        assert!(
            by_hand.contains("1. put a read-only token")
                && by_hand.contains("hubkeeper stage hubkeeper/acme --stack other\n")
        );
        assert!(!by_hand.contains("rotate-secret"), "{by_hand}");
        let invited = next(Origin::Invited);
        assert!(
            invited.contains("1. invite the user") && invited.contains("2. once the user is a member"),
            "{invited}"
        );
        let manager = next(Origin::Manager);
        assert!(manager.contains("1. connect it") && manager.contains("function:keeper "), "{manager}");
        let present = next(Origin::Present);
        assert!(present.contains("leave rotation off") && !present.contains("rotate-secret"), "{present}");
    }

    #[test]
    fn after_an_import_the_former_token_is_a_persons_to_revoke() {
        let next =
            |token| Next { id: "hubkeeper/acme", arn: ACME, function: Some("keeper"), named: " --stack s", token };
        let made = after_import(&next(Origin::Manager));
        assert!(made.contains("rotate-secret --secret-id arn:aws-us-gov") && made.contains("revoke it at Docker Hub"));
        let by_hand = after_import(&next(Origin::Present));
        assert!(by_hand.contains("hubkeeper stage hubkeeper/acme --stack s\n") && !by_hand.contains("rotate-secret"));
    }

    #[test]
    fn a_missing_secret_is_told_from_other_failures() {
        let missing = "onboard: there is no secret hubkeeper/acme (DescribeSecret: ResourceNotFoundException)";
        assert!(is_missing(&Failure::new(Code::Person, missing, "")));
        assert!(!is_missing(&Failure::new(Code::Person, "there is no manager secret (ResourceNotFoundException)", "")));
        assert!(!is_missing(&Failure::new(
            Code::Person,
            "the function f cannot be used: ResourceNotFoundException",
            ""
        )));
    }

    #[test]
    fn the_documents_that_are_to_be_created_are_documents() {
        let text = create("hubkeeper/acme");
        assert!(text.contains("--name hubkeeper-manager/acme ") && text.contains("--name hubkeeper/acme "), "{text}");
        assert!(text.contains(r#"usedBy: ["hubkeeper/acme"]"#), "{text}");
        let documents: Vec<&str> = text.split('\'').filter(|part| part.contains("connector")).collect();
        assert_eq!(documents.len(), 2, "{text}");
        for document in documents {
            let document = document
                .replace("<uuid>", "a5caac9c-5c04-49af-b3d0-e204f40345d5")
                .replace("\"accessToken\": .", "\"accessToken\": \"x\"")
                .replace("<when it expires, RFC 3339>", "2027-02-22T09:30:00Z");
            let parsed = Document::parse(&SecretString::from(document.clone()));
            assert_eq!(parsed.unwrap_or_else(|error| panic!("{error}: {document}")).organization, "acme");
        }
        // no command takes a credential as an argument
        assert_eq!(text.matches("read -rs ").count(), 3, "{text}");
        assert!(create("acme").contains("--name managers/acme "));
        assert!(text.contains("hubkeeper init acme\n"), "{text}");
        assert!(create("vault/acme").contains("hubkeeper init acme --name vault/acme\n"));
    }
}
