//! The terminal: what it can show, questions to the person in front of it, and its state after Ctrl-C.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use terminal_size::{Width, terminal_size_of};

use crate::exit::Failure;

/// Columns of a table that goes to a file or a pipe.
const WIDE: u16 = 160;

/// The terminal's settings at the start. A hidden prompt turns the echo off; Ctrl-C must turn it on again.
static AT_START: OnceLock<Termios> = OnceLock::new();

/// What the terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terminal {
    /// Columns of standard output.
    pub width: u16,
    /// Whether standard error is a terminal that can show progress.
    pub shows_progress: bool,
    /// Whether a person can answer questions: standard input and standard error are terminals.
    pub answers: bool,
}

impl Terminal {
    /// Looks at the standard streams.
    pub fn detect() -> Self {
        let width = terminal_size_of(io::stdout()).map_or(WIDE, |(Width(columns), _)| columns);
        if let Ok(settings) = tcgetattr(io::stdin()) {
            let _ = AT_START.set(settings);
        }
        let progress = io::stderr().is_terminal();
        Self { width, shows_progress: progress, answers: io::stdin().is_terminal() && progress }
    }

    /// Asks a yes-or-no question on standard error. `yes` answers it.
    ///
    /// # Errors
    /// Returns a usage failure if there is nobody to ask.
    pub async fn confirm(self, question: String, yes: bool) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        if !self.answers {
            return Err(Failure::usage(
                "this command asks before it writes, and standard input is not a terminal",
                "add --yes to go on without a question, or --plan to see what it would do",
            ));
        }
        ask(move || {
            dialoguer::Confirm::new()
                .with_prompt(question)
                .default(false)
                .interact_on(&dialoguer::console::Term::stderr())
        })
        .await
    }

    /// Asks for a line on standard error.
    ///
    /// # Errors
    /// Returns a usage failure if the prompt ends without a line.
    pub async fn line(self, prompt: String) -> Result<String, Failure> {
        ask(move || {
            dialoguer::Input::<String>::new().with_prompt(prompt).interact_text_on(&dialoguer::console::Term::stderr())
        })
        .await
    }

    /// Asks for a token without showing it.
    ///
    /// # Errors
    /// Returns a usage failure if the prompt ends without a line.
    pub async fn hidden(self, prompt: String) -> Result<SecretString, Failure> {
        ask(move || dialoguer::Password::new().with_prompt(prompt).interact_on(&dialoguer::console::Term::stderr()))
            .await
            .map(SecretString::from)
    }
}

/// Runs a prompt beside the runtime, so that Ctrl-C is seen meanwhile.
async fn ask<T: Send + 'static>(
    prompt: impl FnOnce() -> Result<T, dialoguer::Error> + Send + 'static,
) -> Result<T, Failure> {
    let asked = tokio::task::spawn_blocking(prompt).await;
    asked.ok().and_then(Result::ok).ok_or_else(|| Failure::usage("the prompt got no answer", "run the command again"))
}

/// Puts the terminal back into its state at the start.
pub fn restore() {
    if let Some(settings) = AT_START.get() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
    }
    let _ = dialoguer::console::Term::stderr().show_cursor();
}

/// Writes a result to standard output, without colour where it is not wanted. A closed pipe ends quietly.
pub fn print(text: &str) {
    let mut output = anstream::stdout();
    let _ = output.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = output.write_all(b"\n");
    }
    let _ = output.flush();
}

/// Writes words to standard error, without colour where it is not wanted.
pub fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}
