//! Checks that the Makefile runs every test target, and that `tests/README.md` describes every folder.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Returns the test targets of the workspace: those in manifests, and the files of `tests` folders that Cargo
/// discovers.
fn test_targets() -> Vec<String> {
    let mut names = Vec::new();
    let mut sections = read("Cargo.toml").split("[[test]]").skip(1).map(str::to_owned).collect::<Vec<_>>();
    let packages = ["tests", "crates", "benches"].into_iter().flat_map(|folder| entries(&root().join(folder)));
    let packages = packages.chain([root().join("cli")]);
    for package in packages.filter(|folder| folder.join("Cargo.toml").is_file()) {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        sections.extend(manifest.split("[[test]]").skip(1).map(str::to_owned));
        let is_target = |path: &PathBuf| path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").is_file();
        let files = entries(&package.join("tests")).into_iter().filter(is_target);
        names.extend(files.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()));
    }
    for section in sections {
        let name = section.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
        names.push(name.to_owned());
    }
    names
}

#[test]
fn make_test_runs_every_test_target() {
    let test = recipe("test");
    let parts = ["test-cli", "test-function"];
    assert!(parts.iter().all(|part| test.contains(&format!(" {part}"))), "{test}");
    let recipe = [test].into_iter().chain(parts.map(recipe)).collect::<Vec<_>>().join("\n");
    let targets = test_targets();
    assert!(targets.len() > 4, "{targets:?}");
    for target in targets {
        let named = recipe
            .split_whitespace()
            .zip(recipe.split_whitespace().skip(1))
            .any(|pair| pair == ("--test", target.as_str()));
        assert!(named, "`make test` leaves out --test {target}");
    }
}

/// Returns the recipe of a target of make.
fn recipe(target: &str) -> String {
    let makefile = read("Makefile");
    let rest = makefile.split(&format!("\n{target}:")).nth(1).unwrap_or_else(|| panic!("there is no make {target}"));
    rest.split("\n\n").next().unwrap().to_owned()
}

#[test]
fn make_help_lists_the_targets_of_the_command_line() {
    let Ok(help) = std::process::Command::new("make").arg("help").current_dir(root()).output() else {
        panic!("this machine has no make");
    };
    let help = String::from_utf8(help.stdout).unwrap();
    for (target, words) in [("try", "hubkeeper"), ("install", "cargo's bin folder"), ("onboard", "MODE=plan")] {
        let line = help.lines().find(|line| line.trim_start().starts_with(&format!("make {target} ")));
        assert!(line.is_some_and(|line| line.contains(words)), "{target}: {help}");
    }
    let of_releases = help.split("\n\n").last().unwrap();
    for target in ["release", "check-release", "reproducible"] {
        assert!(of_releases.contains(&format!("make {target} ")), "{target}: {of_releases}");
    }
    assert!(of_releases.starts_with("Release (docs/releasing.md)\n"), "{of_releases}");
    let every_day = help.split("\n\n").next().unwrap();
    assert!(every_day.contains("make try ") && every_day.contains("make install "), "{every_day}");
}

#[test]
fn the_command_line_is_installed_tried_and_deployed_from_its_package() {
    let manifest = read("cli/Cargo.toml");
    assert!(manifest.contains("name = \"hubkeeper\"\npath = \"src/main.rs\""), "the binary is not called hubkeeper");
    // with the versions that were tested
    assert!(recipe("install").contains("install --locked --path cli"), "{}", recipe("install"));
    let e2e = recipe("e2e");
    assert!(e2e.starts_with(" tools ") && e2e.contains("$(TOOLS)/serve_sandbox $(TOOLS)/hubkeeper "), "{e2e}");
    let onboard = recipe("onboard");
    assert!(
        onboard.contains("$(TOOLS)/hubkeeper onboard ")
            && onboard.find("tools").unwrap() < onboard.find("$(TOOLS)/hubkeeper").unwrap()
    );
}

#[test]
fn a_release_is_built_without_paths_from_locked_crates_and_checked_at_its_end() {
    for target in ["function", "release", "reproducible", "check-release", "lint-infra"] {
        let recipe = recipe(target);
        assert!(recipe.contains("infra/release/") || recipe.contains("$(TOOLS)/release "), "{target}: {recipe}");
    }
    // the same flags for what is measured, packaged and released
    assert!(recipe("function").contains("infra/release/remapped.sh $(CARGO) build --release --locked "));
    let script = read("infra/release/release.sh");
    assert!(script.contains("infra/release/remapped.sh cargo-auditable auditable \"$1\" --locked "), "{script}");
    assert!(script.trim_end().ends_with("\"$release\" check \"$folder\""), "{script}");
    let (ready, build) = (script.find("\"$release\" ready").unwrap(), script.find("build \"$command\"").unwrap());
    assert!(ready < build, "what stops a release is said before the build");
    // fixed versions, as of the other tools
    let makefile = read("Makefile");
    for tool in ["CARGO_AUDITABLE := cargo-auditable-", "CARGO_CYCLONEDX := cargo-cyclonedx-"] {
        let version = makefile.split(tool).nth(1).unwrap().lines().next().unwrap();
        assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{version}");
    }
}

#[test]
fn the_page_about_tests_names_every_folder_and_only_commands_that_exist() {
    let page = read("tests/README.md");
    let folders = |parent: &str| entries(&root().join(parent)).into_iter().filter(|path| path.is_dir());
    let name = |folder: PathBuf| folder.file_name().unwrap().to_string_lossy().into_owned();
    let inside = folders("tests").map(name);
    let beside = ["crates/sandbox", "crates/scene", "benches/floor", "cli/tests/commands"].map(str::to_owned);
    for folder in inside.chain(beside) {
        assert!(page.contains(&format!("`{folder}`")), "tests/README.md does not tell of {folder}");
    }
    let makefile = read("Makefile");
    for rest in page.split("`make ").skip(1) {
        let target: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        assert!(makefile.contains(&format!("\n{target}:")), "there is no make {target}");
    }
}

#[test]
fn make_demo_looks_at_its_file_before_it_builds_and_lists_the_examples() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let before = |event: &str| {
        let mut command = std::process::Command::new(root().join("crates/sandbox/before-demo.sh"));
        let output = command.args(["/nowhere", event]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let mut wrong = vec![
        ("events/nothing.json".to_owned(), "there is no file events/nothing.json"),
        ("events".to_owned(), "events is not a file"),
        (file("demo-empty.json", " \n"), "does not hold a JSON object"),
        (file("demo-list.json", "[]"), "does not hold a JSON object"),
    ];
    if std::process::Command::new("python3").arg("--version").output().is_ok() {
        wrong.push((file("demo-half.json", "{\"action\": "), "is not JSON"));
    }
    for (event, words) in wrong {
        let (code, said, refusal) = before(&event);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{event}");
        assert!(refusal.contains(words), "{refusal}");
        for example in entries(&root().join("events")) {
            let name = example.file_name().unwrap().to_string_lossy().into_owned();
            assert!(refusal.contains(&format!("make demo EVENT=events/{name}\n")), "{name}: {refusal}");
        }
    }
    let (code, said, refusal) = before("events/onboard.json");
    assert_eq!((code, refusal.as_str()), (Some(0), ""));
    assert!(said.contains("builds") && said.contains("one event"), "{said}");
    let recipe = read("Makefile");
    let recipe = recipe.split("\ndemo: ").nth(1).unwrap().split("\n\n").next().unwrap();
    let (look, build) = (recipe.find("before-demo.sh").unwrap(), recipe.find("$(CARGO) build").unwrap());
    assert!(look < build, "{recipe}");
}
