//! Completions and manual pages, both made from the command line's definition.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Code, Failure};

/// Prints a completion script.
pub fn completions(shell: Shell) -> Code {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hubkeeper", &mut script);
    // a closed pipe is no error
    let _ = io::stdout().write_all(&script);
    Code::Done
}

/// Prints the manual page, or writes the pages of all commands into a folder.
///
/// # Errors
/// Returns a failure if the folder cannot be written.
pub fn man(folder: Option<&Path>) -> Result<Code, Failure> {
    let unwritable = |error: io::Error, path: &Path| {
        Failure::usage(
            format!("{} cannot be written: {}", path.display(), error.kind()),
            "name a folder that you may write to",
        )
    };
    let mut command = Cli::command();
    command.build();
    let Some(folder) = folder else {
        let _ = io::stdout().write_all(&page(&command).map_err(|error| unwritable(error, Path::new("the page")))?);
        return Ok(Code::Done);
    };
    fs::create_dir_all(folder).map_err(|error| unwritable(error, folder))?;
    let all = std::iter::once(&command).chain(command.get_subcommands());
    for command in all {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let path = folder.join(format!("{name}.1"));
        let text = page(command).map_err(|error| unwritable(error, &path))?;
        fs::write(&path, text).map_err(|error| unwritable(error, &path))?;
    }
    Ok(Code::Done)
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(text)
}
