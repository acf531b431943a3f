//! Release notes: the section of `CHANGELOG.md` about one version.

use crate::names::Version;
use crate::problem::Problem;

/// The changelog in the repository.
pub const SOURCE: &str = "CHANGELOG.md";

/// Returns the notes of a version.
///
/// # Errors
/// Returns a problem if the changelog has no section of the version with a date, or an empty one.
pub fn of(changelog: &str, version: &Version) -> Result<String, Problem> {
    let heading = format!("## [{version}]");
    let missing = || {
        Problem::of(
            SOURCE,
            format!(
                "has no section `{heading} - YYYY-MM-DD`: put such a heading below `## [Unreleased]`, above what the release contains"
            ),
        )
    };
    let (title, body) = section(changelog, &heading).ok_or_else(missing)?;
    let date = title.strip_prefix(" - ").filter(|date| is_date(date)).ok_or_else(missing)?;
    if body.is_empty() {
        return Err(Problem::of(SOURCE, format!("the section `{heading}` is empty: write what the release contains")));
    }
    Ok(format!("# hubkeeper {version}\n\nReleased on {date}.\n\n{body}\n"))
}

/// Returns the notes of a build for tests: those of the version, or what is not released yet.
///
/// # Errors
/// Returns a problem if the changelog has neither.
pub fn of_quick(changelog: &str, version: &Version) -> Result<String, Problem> {
    of(changelog, version).or_else(|problem| {
        let (_, body) = section(changelog, "## [Unreleased]").ok_or(problem)?;
        Ok(format!("# hubkeeper {version}, not released\n\n{body}\n"))
    })
}

/// Returns the rest of the heading's line, and the text up to the next heading of its level or the links at the end.
fn section<'a>(changelog: &'a str, heading: &str) -> Option<(&'a str, &'a str)> {
    let mut lines = changelog.split_inclusive('\n');
    let mut from = 0;
    let title = lines.find_map(|line| {
        from += line.len();
        line.trim_end().strip_prefix(heading)
    })?;
    let body = &changelog[from..];
    let mut to = 0;
    for line in body.split_inclusive('\n') {
        if line.starts_with("## ") || (line.starts_with('[') && line.contains("]: ")) {
            break;
        }
        to += line.len();
    }
    Some((title, body[..to].trim()))
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n- next\n\n## [0.2.0] - 2026-12-24\n\n### Added\n\n- a\n  [link](docs/x.md)\n\n\
                             ## [0.1.0] - 2026-11-30\n\nFirst.\n\n[0.1.0]: https://example.com\n";

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn the_notes_are_the_section_of_the_version() {
        assert_eq!(
            of(CHANGELOG, &version("0.2.0")).unwrap(),
            "# hubkeeper 0.2.0\n\nReleased on 2026-12-24.\n\n### Added\n\n- a\n  [link](docs/x.md)\n"
        );
        assert_eq!(
            of(CHANGELOG, &version("0.1.0")).unwrap(),
            "# hubkeeper 0.1.0\n\nReleased on 2026-11-30.\n\nFirst.\n"
        );
    }

    #[test]
    fn a_version_without_a_dated_section_is_refused() {
        for changelog in [
            CHANGELOG.replace("[0.1.0] -", "[0.1.1] -"),
            CHANGELOG.replace("2026-11-30", "soon"),
            CHANGELOG.replace(" - 2026-11-30", ""),
        ] {
            let problem = of(&changelog, &version("0.1.0")).unwrap_err().to_string();
            assert!(problem.contains("CHANGELOG.md: has no section `## [0.1.0] - YYYY-MM-DD`: put"), "{problem}");
        }
        let empty = CHANGELOG.replace("First.", "");
        assert!(of(&empty, &version("0.1.0")).unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn a_build_for_tests_has_what_is_not_released() {
        assert_eq!(of_quick(CHANGELOG, &version("0.3.0")).unwrap(), "# hubkeeper 0.3.0, not released\n\n- next\n");
        assert_eq!(of_quick(CHANGELOG, &version("0.1.0")).unwrap(), of(CHANGELOG, &version("0.1.0")).unwrap());
        assert!(of_quick("# Changelog\n", &version("0.1.0")).is_err());
    }
}
