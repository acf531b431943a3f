//! Checks the direction of dependencies: a module uses only modules below it, in the function and in its core. The
//! crate boundary keeps the core pure, and `.ci/run` checks the core's dependencies.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The function's modules from top to bottom. Modules in one line do not use each other.
const LAYERS: [&[&str]; 11] = [
    &["main"],
    &["handler"],
    &["cloudformation"],
    &["fleet"],
    &["run", "status", "doctor"],
    &["apply"],
    &["prove"],
    &["read", "process"],
    &["clients"],
    &["http"],
    // `sdk_client` is the macro of `http::aws`: an exported macro stands at the root of its crate
    &["metrics", "logging", "clock", "observer", "sdk_client"],
];

/// The core's modules from top to bottom. Modules in one line do not use each other.
const CORE: [&[&str]; 10] = [
    &["status", "doctor"],
    &["report", "event"],
    &["plan"],
    &["proof"],
    &["failure"],
    &["connector", "hub"],
    &["secret", "transcript", "traffic"],
    &["request", "warning", "outcome", "config"],
    &["proxy", "fields"],
    &["error", "ids", "time", "redact"],
];

/// The command line's modules from top to bottom. Modules in one line do not use each other.
const COMMAND_LINE: [&[&str]; 10] = [
    &["main"],
    &["commands"],
    &["target"],
    &["context", "secrets"],
    &["doctor", "deploy"],
    &["function", "local", "render", "manual", "token", "aws"],
    &["progress", "hints", "schema"],
    &["terminal"],
    &["args"],
    &["exit"],
];

/// Returns the code of a file, without comments and without the unit tests at its end.
pub(crate) fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Returns the names after a `crate::`: one, or the first of each path in braces.
fn names(rest: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(list) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            ',' if depth == 0 => {
                names.push(word(list[start..at].trim()));
                start = at + 1;
            }
            '}' if depth == 0 => {
                names.push(word(list[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Returns the modules at the root of the crate that a file uses. `module` is its path, such as `["clients", "hub"]`.
fn used(module: &[&str], text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut used = BTreeSet::new();
    // main.rs uses the library as `hubkeeper::`; one `super::` for each level of the module leads to the root
    for root in ["crate::", "hubkeeper::", &"super::".repeat(module.len())] {
        for (at, _) in code.match_indices(root) {
            let is_whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if is_whole {
                used.extend(names(&code[at + root.len()..]));
            }
        }
    }
    used
}

/// Returns the violations in a file: uses of modules above or beside it, and re-exports of other folders, which would
/// hide a use.
fn wrong(layers: &[&[&str]], file: &str, text: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let module: Vec<&str> = path.split('/').collect();
    let layer = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    let Some(own) = layer(module[0]) else { return vec![format!("{file} is in no layer")] };
    let mut wrong = Vec::new();
    for name in used(&module, text) {
        match layer(&name) {
            // an item at the root, or a macro
            None if name.is_empty() => {}
            None => wrong.push(format!("{file} uses {name}, which is in no layer")),
            Some(_) if name == module[0] => {}
            Some(other) if other > own => {}
            Some(_) => wrong.push(format!("{file} uses {name}, which is not below it")),
        }
    }
    for statement in code(text).split(';').map(str::trim) {
        let exported = statement.starts_with("pub use ") || statement.starts_with("pub(crate) use ");
        let elsewhere = ["crate::", "super::", "hubkeeper_core::"].iter().any(|root| statement.contains(root));
        if exported && elsewhere {
            wrong.push(format!("{file} hides where something is: {statement}"));
        }
    }
    wrong
}

/// Returns every file below a folder, without unit tests and their fixtures: its path in the folder, and its text.
pub(crate) fn files(folder: &str) -> Vec<(String, String)> {
    fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.ends_with("tests") {
                walk(root, &path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["tests.rs", "fixtures.rs", "rendered.rs", "lib.rs"].iter().any(|end| name.ends_with(end))
            {
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found
}

fn wrong_in(folder: &str, layers: &[&[&str]]) -> Vec<String> {
    let files = files(folder);
    assert!(files.len() > 25, "{folder}: {}", files.len());
    files.iter().flat_map(|(file, text)| wrong(layers, file, text)).collect()
}

#[test]
fn a_module_of_the_function_uses_those_below_it_alone() {
    let wrong = wrong_in("src", &LAYERS);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_module_of_the_core_uses_those_below_it_alone() {
    let wrong = wrong_in("crates/core/src", &CORE);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the files of the command line. There `hubkeeper::` is another crate, not the root.
fn command_line() -> Vec<(String, String)> {
    let files = files("cli/src");
    assert!(files.len() > 15, "{}", files.len());
    files.into_iter().map(|(file, text)| (file, text.replace("hubkeeper::", "the_function::"))).collect()
}

#[test]
fn a_module_of_the_command_line_uses_those_below_it_alone() {
    let files = command_line();
    let wrong: Vec<String> = files.iter().flat_map(|(file, text)| wrong(&COMMAND_LINE, file, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The types that have the methods of requests that change something. Code that cannot name one of them cannot write.
const WRITERS: [&str; 4] = ["Writers", "SecretWriter", "ConnectorWriter", "HubWriter"];

fn writers_in(text: &str) -> Vec<&'static str> {
    let code = code(text);
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    WRITERS.into_iter().filter(|writer| words.contains(writer)).collect()
}

#[test]
fn what_reads_and_what_proves_has_nothing_to_write_with() {
    for (file, text) in files("src") {
        if file.starts_with("read/") || file.starts_with("prove/") {
            assert_eq!(writers_in(&text), [""; 0], "{file}");
            // no module bypasses the clients: only they send requests
            for around in ["http_client.send", "HttpClient::send", "aws_sdk_"] {
                assert!(!code(&text).contains(around), "{file} sends requests by itself: {around}");
            }
        }
    }
    assert_eq!(writers_in("use crate::clients::hub::{Hub, HubWriter};"), ["HubWriter"]);
}

#[test]
fn the_command_line_creates_a_secret_puts_a_version_starts_a_rotation_and_writes_nothing_else() {
    for (file, text) in command_line() {
        let (writers, rotates) = match file.as_str() {
            "commands/stage.rs" => (&["SecretWriter"][..], false),
            "commands/rotate.rs" => (&[][..], true),
            _ => (&[][..], false),
        };
        assert_eq!(writers_in(&text), writers, "{file}");
        let code = code(&text);
        assert_eq!(code.contains(".rotate_secret()"), rotates, "{file}");
        assert_eq!(code.contains(".create_secret()"), file == "secrets.rs", "{file}");
        let creates = ["commands/init/mod.rs", "commands/import/mod.rs"].contains(&file.as_str());
        assert_eq!(code.contains("secrets::create("), creates, "{file}");
        for write in
            [".put_secret_value()", ".update_secret", ".tag_resource()", ".untag_resource()", ".delete_secret()"]
        {
            assert!(!code.contains(write), "{file} calls {write}");
        }
    }
}

/// Lists the methods that send requests other than reads. A new one belongs to a writer.
#[test]
fn the_clients_that_read_send_nothing_that_changes_something() {
    let clients: Vec<(String, String)> =
        files("src").into_iter().filter(|(file, _)| file.starts_with("clients/")).collect();
    let sends = [
        "put_secret_value",
        "update_secret_version_stage",
        "tag_resource",
        "Policy::CREATE",
        "\"PUT\"",
        "\"PATCH\"",
        "DELETE",
        "PATCH",
    ];
    let mut found = 0;
    for (file, text) in clients {
        let code = code(&text);
        let is_writer = |block: &&str| WRITERS.iter().any(|writer| block.starts_with(writer));
        let blocks = code.split("\nimpl ").filter(is_writer).filter_map(|block| block.split("\n}").next());
        let writers = blocks.collect::<Vec<_>>().join("\n");
        for send in sends {
            let (all, written) = (code.matches(send).count(), writers.matches(send).count());
            assert_eq!(all, written, "{file} sends {send} outside of a writer");
            found += all;
        }
    }
    assert!(found > 6, "{found}");
}

#[test]
fn an_arrow_that_points_up_or_sideways_is_found_in_every_form() {
    for (file, planted) in [
        ("read/state.rs", "use crate::apply::Executor;"),
        ("read/state.rs", "use crate::{\n    clients::{Services, hub},\n    run::run,\n};"),
        ("read/state.rs", "fn f() {\n    crate::prove::examine()\n}"),
        ("read/state.rs", "use super::super::fleet::work;"),
        ("read/mod.rs", "use super::process::Process;"),
        ("http/client.rs", "use crate::clients::Services as Clients;"),
        ("clock.rs", "use super::http::HttpClient;"),
        ("prove/mod.rs", "pub use crate::read::state;"),
        ("clients/mod.rs", "pub(crate) use hubkeeper_core::error::Error;"),
        ("elsewhere.rs", ""),
        ("http/client.rs", "use crate::elsewhere::Thing;"),
    ] {
        assert!(!wrong(&LAYERS, file, planted).is_empty(), "{file}: {planted}");
    }
    for (file, fine) in [
        ("read/state.rs", "use crate::clients::Services;\nuse super::inventory;"),
        ("read/state.rs", "/// See [`crate::apply`].\nuse crate::http::Policy; // for crate::run\n"),
        ("read/state.rs", "#[cfg(test)]\nmod tests {\n    use crate::run::run;\n}"),
        ("http/mod.rs", "pub use client::HttpClient;"),
        ("main.rs", "use hubkeeper::handler::Handler;"),
        ("metrics.rs", "use hubkeeper_core::report::Report;"),
    ] {
        assert_eq!(wrong(&LAYERS, file, fine), [""; 0], "{file}: {fine}");
    }
}
