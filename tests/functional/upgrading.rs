//! Checks that docs/upgrading.md names the tags and labels that later versions must read, and the commit from which an update is
//! tested.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hubkeeper_core::secret::Label;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Adds the values of the constants of tags below a folder, `… TAG…: &str = "…"`.
fn tags(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tags(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let constants = text.lines().filter_map(|line| line.split_once("const ")?.1.split_once(": &str = \""));
            let tags = constants.filter(|(name, _)| name.starts_with("TAG_") || name.ends_with("_TAG"));
            found.extend(tags.filter_map(|(_, value)| value.strip_suffix("\";").map(str::to_owned)));
        }
    }
}

#[test]
fn the_page_of_upgrading_names_every_tag_and_label() {
    let page = read("docs/upgrading.md");
    let interface = page.split("\n## What counts as the interface\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let named: BTreeSet<String> = interface.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut known = BTreeSet::new();
    tags(&root().join("crates/core/src"), &mut known);
    assert!(known.len() > 8 && known.contains("hubkeeper"), "{known:?}");
    let is_tag = |name: &&String| name.as_str() == "hubkeeper" || name.starts_with("hubkeeper-");
    assert_eq!(named.iter().filter(is_tag).cloned().collect::<BTreeSet<_>>(), known);
    for label in [Label::Candidate, Label::Minted] {
        assert!(named.contains(label.name()), "{} is missing", label.name());
    }
}

#[test]
fn the_page_names_the_commit_from_which_an_update_is_tested() {
    let script = read("tests/e2e/run.sh");
    let commit = script.split("\nearlier=").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{commit}");
    let short = &commit[..7];
    let template = format!("tests/e2e/data/template-{short}.yaml");
    assert!(root().join(&template).is_file(), "there is no {template}");
    for page in ["docs/upgrading.md", "tests/README.md", "infra/lint/run.sh", "tests/e2e/test_upgrade.py"] {
        assert!(read(page).contains(short), "{page} does not name {short}");
    }
}
