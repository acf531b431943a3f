//! `hubkeeper deploy` and `hubkeeper destroy` in front of a person: what they ask, and what a no and a wrong name lead to.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hubkeeper_sandbox::scene;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{LONGEST, Sandbox, start};

const MAIL: &str = "E-mail address that gets every notice (empty: none):";
const MANAGERS: &str = "ARNs of the manager secrets that the function may read (a,b; empty: none):";
const EXECUTE: &str = "Execute this change set on hubkeeper in account 111122223333 (eu-west-1)?";
const NAME: &str = "Type the stack's name, hubkeeper, to delete all of this:";

/// A release in a folder of its own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let text = |default: &str| json!({"Type": "String", "Default": default});
        let template: Value = json!({
            "Parameters": {
                "AzureTenantId": {"Type": "String"}, "AzureClientId": {"Type": "String", "Description": "The client."},
                "NotificationEmail": text(""), "ManagerSecretArns": text(""), "SecretNamePrefix": text("hubkeeper/"),
                "CodeBucket": {"Type": "String"}, "CodePrefix": text(""),
            },
            "Resources": {"NoticeTopic": {"Type": "AWS::SNS::Topic", "Properties": {"Endpoint": {"Ref": "NotificationEmail"}}}},
        });
        let mut sums = String::new();
        for (name, text) in [
            ("hubkeeper-1.0.0.template.json", template.to_string()),
            ("hubkeeper-function-1.0.0-arm64.zip", "package".to_owned()),
        ] {
            let sum = Sha256::digest(&text).iter().fold(String::new(), |mut sum, byte| {
                let _ = write!(sum, "{byte:02x}");
                sum
            });
            let _ = writeln!(sums, "{sum}  {name}");
            fs::write(folder.join(name), text).unwrap();
        }
        fs::write(folder.join("SHA256SUMS"), sums).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn status(sandbox: &Sandbox) -> String {
    let of_stack = |state: &mut hubkeeper_sandbox::State| {
        state.aws.stacks.stacks.get("hubkeeper").map(|stack| stack.status.clone())
    };
    sandbox.world.with(of_stack).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_asks_what_is_missing_and_then_once_more() {
    let sandbox = Sandbox::new().await;
    let folder = Folder::new("deploying");
    let config = folder.path("kept.toml");
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let release = folder.path("");
    let arguments = ["deploy", "--release", &release, "--config", &config, "--set", &ids[0], "--set", &ids[1]];
    for (agrees, mail) in [("n", "me@example.com"), ("y", "you@example.com")] {
        let terminal = start(&arguments, &sandbox.everything(), 120);
        terminal.wait_for(&[MAIL], LONGEST).unwrap();
        terminal.type_in(&format!("{mail}\r")).unwrap();
        terminal.wait_for(&[MANAGERS], LONGEST).unwrap();
        terminal.type_in("\r").unwrap();
        terminal.wait_for(&["+ NoticeTopic", EXECUTE], LONGEST).unwrap();
        assert!(sandbox.world.with(|state| state.aws.buckets.is_empty()), "nothing is uploaded before the question");
        terminal.type_in(&format!("{agrees}\r")).unwrap();
        let end = terminal.end(LONGEST).unwrap();
        assert_eq!(end.code, Some(0), "{}", end.screen);
        sandbox.assert_no_leak(&end);
        if agrees == "n" {
            assert!(end.screen.contains("nothing was changed"), "{}", end.screen);
            assert_eq!((status(&sandbox).as_str(), fs::exists(&config).unwrap()), ("DELETE_COMPLETE", false));
        } else {
            assert!(end.screen.contains("what comes next"), "{}", end.screen);
            assert_eq!(status(&sandbox), "CREATE_COMPLETE");
        }
    }
    let kept = fs::read_to_string(&config).unwrap();
    assert!(
        kept.contains("NotificationEmail = \"you@example.com\"") && kept.contains("ManagerSecretArns = \"\""),
        "{kept}"
    );

    for (typed, gone) in [("hubkeepers", false), ("hubkeeper", true)] {
        let terminal = start(&["destroy"], &sandbox.everything(), 120);
        terminal.wait_for(&["deletes  the function", NAME], LONGEST).unwrap();
        assert_eq!(status(&sandbox), "CREATE_COMPLETE");
        terminal.type_in(&format!("{typed}\r")).unwrap();
        let end = terminal.end(LONGEST).unwrap();
        assert_eq!(end.code, Some(0), "{}", end.screen);
        let (words, left) =
            if gone { ("deleted hubkeeper", "DELETE_COMPLETE") } else { ("nothing was deleted", "CREATE_COMPLETE") };
        assert!(end.screen.contains(words), "{}", end.screen);
        assert_eq!(status(&sandbox), left);
    }
}
