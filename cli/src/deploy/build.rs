//! Builds a release's folder from a checkout.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::release::Release;
use crate::exit::{Code, Failure};

/// The version of this command line, and of what it builds.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The checkout around a folder.
pub fn checkout(folder: &Path) -> Option<PathBuf> {
    let is_checkout =
        |folder: &&Path| folder.join("infra/aws/template.yaml").is_file() && folder.join("Cargo.toml").is_file();
    folder.ancestors().find(is_checkout).map(Path::to_owned)
}

/// Builds function and package for a processor, and returns the release that it wrote.
///
/// # Errors
/// Returns a failure if the build fails.
pub async fn release(checkout: &Path, architecture: &str) -> Result<Release, Failure> {
    let folder = checkout.join("target/release-folder").join(architecture);
    let mut command = tokio::process::Command::new("make");
    command
        .arg("--no-print-directory")
        .arg("release-folder")
        .arg(format!("VERSION={VERSION}"))
        .arg(format!("ARCH={architecture}"))
        .arg(format!("FOLDER={}", folder.display()))
        .current_dir(checkout)
        .stdin(Stdio::null())
        // results alone go to standard output
        .stdout(std::io::stderr())
        .kill_on_drop(true);
    let failed = |what: String| {
        Failure::new(Code::Person, what, "correct the errors above, then run this again; nothing was deployed")
    };
    let ended = command.status().await.map_err(|error| failed(format!("make does not run: {}", error.kind())))?;
    if !ended.success() {
        return Err(failed("the build failed".to_owned()));
    }
    Release::find(&folder)?.ok_or_else(|| failed(format!("the build left no release in {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_found_from_inside() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = checkout(&here.join("src")).unwrap();
        assert_eq!(found, here.parent().unwrap());
        assert_eq!(checkout(Path::new("/")), None);
    }
}
