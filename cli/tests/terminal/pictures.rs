//! Checks that the README's picture of the command line shows what it prints: it is drawn from real screens, and compared
//! with the file in `docs/pictures`. `make pictures` redraws it.

use std::fs;
use std::path::Path;

use hubkeeper_sandbox::picture::terminal::{COLUMNS, Painted, screens};
use hubkeeper_sandbox::scene;

use crate::support::{LONGEST, Sandbox, start};

/// The variable that makes the test write the file instead of comparing it.
const RENEW: &str = "HUBKEEPER_RENEW_PICTURES";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pictures/verify.svg");

/// What a person knows to be there.
const EXPECTED: &str = "billing,ledger";

/// The last screen of `hubkeeper verify` with a token of this scope, typed at the prompt.
async fn screen(scope: &str) -> Vec<Painted> {
    let sandbox = Sandbox::new().await;
    let columns = u16::try_from(COLUMNS).unwrap();
    let arguments = ["verify", scene::ORGANIZATION, "--username", scene::USER, "--expect", EXPECTED];
    let terminal = start(&arguments, &sandbox.docker_hub(), columns);
    terminal.wait_for(&["(hidden)"], LONGEST).unwrap();
    terminal.type_in(&format!("{}\r", sandbox.token(scope))).unwrap();
    let end = terminal.end(LONGEST).unwrap();
    sandbox.assert_no_leak(&end);
    end.lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_verify_shows_what_it_prints() {
    let command = format!("hubkeeper verify {} --username {} --expect {EXPECTED}", scene::ORGANIZATION, scene::USER);
    let commands =
        [(command.as_str(), screen("repo:read").await), (command.as_str(), screen("repo:public_read").await)];
    let description = "A terminal in which hubkeeper verify ran twice: a token that reads the whole organization is complete; a \
                       token that reads public repositories only is partial.";
    let drawn = screens("hubkeeper verify", &commands, description);
    if std::env::var_os(RENEW).is_some() {
        fs::write(FILE, drawn).unwrap();
        return;
    }
    let file = fs::read_to_string(FILE).unwrap_or_default();
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify.svg");
    let differing = drawn.lines().zip(file.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
    if file != drawn {
        fs::write(&fresh, &drawn).unwrap();
    }
    assert!(
        file == drawn,
        "docs/pictures/verify.svg does not show what the program does now: run `make pictures`, look at the picture, and commit it.\n\
         The first line that differs (now, in the file): {differing:?}\nThe picture as it is now: {}",
        fresh.display()
    );
}
