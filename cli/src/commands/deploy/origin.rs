//! Where what is deployed comes from: a release's folder, or a checkout.

use std::path::{Path, PathBuf};

use crate::args::Deploy;
use crate::deploy::build;
use crate::deploy::release::{Release, SUMS};
use crate::exit::{Code, Failure};

/// Where what is deployed comes from.
pub(super) enum Origin {
    /// A release.
    Release(Release),
    /// A checkout, from which a release is built.
    Checkout(PathBuf),
}

impl Origin {
    /// Finds it: `--release`, `--build`, the folder of this program, the current folder.
    ///
    /// # Errors
    /// Returns a failure that says how to name it.
    pub(super) fn find(arguments: &Deploy) -> Result<Self, Failure> {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        if arguments.build {
            return build::checkout(&here).map(Origin::Checkout).ok_or_else(|| {
                Failure::usage(
                    "--build works in a checkout of hubkeeper, and this folder is not inside of one",
                    "run it there; or name a release's folder with --release",
                )
            });
        }
        if let Some(folder) = &arguments.release {
            return Release::find(folder)?.map(Origin::Release).ok_or_else(|| {
                Failure::new(
                    Code::Person,
                    format!(
                        "{} is not the folder of a release: it has no {SUMS} that lists a template",
                        folder.display()
                    ),
                    "unpack the whole release into one folder, and name that",
                )
            });
        }
        let program = std::env::current_exe().ok();
        let beside = program.as_deref().and_then(Path::parent).map(Path::to_owned);
        for folder in beside.into_iter().chain([here.clone()]) {
            if let Some(release) = Release::find(&folder)? {
                return Ok(Origin::Release(release));
            }
        }
        if build::checkout(&here).is_some() {
            return Err(Failure::usage(
                "there is no release in this folder",
                "add --build to build one from this checkout (it needs Rust and make, and takes some minutes); or name a release's folder with --release",
            ));
        }
        Err(Failure::usage(
            "there is no release beside this program or in this folder",
            "name a release's folder with --release: it holds SHA256SUMS, the template and the function's package",
        ))
    }

    /// The template of Azure, once its checksum is right.
    ///
    /// # Errors
    /// Returns a failure if it is missing or changed.
    pub(super) fn azure_template(&self) -> Result<PathBuf, Failure> {
        match self {
            Origin::Release(release) => {
                let name = release.azure();
                release.read(&name)?;
                Ok(release.folder.join(name))
            }
            Origin::Checkout(root) => Ok(root.join("infra/azure/azuredeploy.json")),
        }
    }

    /// The release: the one that is there, or one that is built for a processor.
    ///
    /// # Errors
    /// Returns a failure if it cannot be built.
    pub(super) async fn release(&self, architecture: &str) -> Result<Release, Failure> {
        match self {
            Origin::Release(release) => Ok(release.clone()),
            Origin::Checkout(root) => build::release(root, architecture).await,
        }
    }
}
