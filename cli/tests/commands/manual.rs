//! `hubkeeper completions` and `hubkeeper man`, and the help.

use clap::CommandFactory;
use hubkeeper_cli::args::Cli;

use crate::site::Site;

fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shell_gets_a_completion_script_with_every_command() {
    let site = Site::hub().await;
    for (shell, beginning) in [
        ("bash", "_hubkeeper()"),
        ("zsh", "#compdef hubkeeper"),
        ("fish", "__fish_hubkeeper"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ended = site.run(&["completions", shell]).ends(0).await;
        for word in commands().iter().map(String::as_str).chain([beginning, "revoke-replaced"]) {
            assert!(ended.out.contains(word), "{shell}: {word}");
        }
        assert_eq!(ended.err, "");
    }
    site.run(&["completions", "tcsh"]).ends(2).await.says(&["bash"]);
    // bash reads its script
    let script = site.run(&["completions", "bash"]).ends(0).await.out;
    let file = site.file("completion.bash", &script);
    let read = std::process::Command::new("bash").args(["-n", &file]).output().unwrap();
    assert!(read.status.success(), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_is_one_page_or_one_for_each_command() {
    let site = Site::hub().await;
    let page = site.run(&["man"]).ends(0).await;
    assert!(page.out.starts_with(".ie") || page.out.contains(".TH hubkeeper 1"), "{}", page.out);
    let folder = site.folder.join("man1").display().to_string();
    site.run(&["man", "--dir", &folder]).ends(0).await.shows_nothing();
    let mut names: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> =
        commands().iter().map(|name| format!("hubkeeper-{name}.1")).chain(["hubkeeper.1".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected);
    for name in names {
        let text = std::fs::read_to_string(site.folder.join("man1").join(&name)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}");
        site.told(&name, text);
    }
    let file = site.file("a-file", "");
    site.run(&["man", "--dir", &file]).ends(2).await.says(&["a-file cannot be written"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_a_help_and_the_codes_are_in_it() {
    let site = Site::hub().await;
    site.run(&["--help"]).ends(0).await.shows(&["Exit codes: 0 done", "130 interrupted", "verify", "rotate"]);
    for command in commands() {
        let ended = site.run(&[&command, "--help"]).ends(0).await;
        assert!(ended.out.contains("Usage: hubkeeper ") && ended.err.is_empty(), "{command}");
    }
    site.run(&["--version"]).ends(0).await.shows(&["hubkeeper 0."]);
}
