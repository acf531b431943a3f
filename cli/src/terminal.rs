//! The terminal: what it can show, questions to the person in front of it, and its state after Ctrl-C.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::OnceLock;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};
use terminal_size::{Width, terminal_size_of};

use crate::exit::{Code, Failure};

/// Columns of a table that goes to a file or a pipe.
const WIDE: u16 = 160;

/// The longest line that a terminal takes.
const LONGEST_LINE: u64 = 4096;

/// The terminal's settings at the start. A hidden prompt turns the echo off; Ctrl-C must turn it on again.
static AT_START: OnceLock<Termios> = OnceLock::new();

/// What the terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terminal {
    /// Columns of standard output.
    pub width: u16,
    /// Whether standard output is a terminal.
    pub shows_results: bool,
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
        Self {
            width,
            shows_results: io::stdout().is_terminal(),
            shows_progress: progress,
            answers: io::stdin().is_terminal() && progress,
        }
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
                // without this the Enter key after the y answers the next question
                .wait_for_newline(true)
                .interact_on(&dialoguer::console::Term::stderr())
        })
        .await
    }

    /// Asks for a line on standard error, again and again until `check` has nothing to say against it.
    ///
    /// # Errors
    /// Returns a usage failure if the prompt ends without a line.
    pub async fn line(self, prompt: String, check: fn(&str) -> Result<(), String>) -> Result<String, Failure> {
        ask(move || {
            dialoguer::Input::<String>::new()
                .with_prompt(prompt)
                .validate_with(|text: &String| check(text))
                .interact_text_on(&dialoguer::console::Term::stderr())
        })
        .await
    }

    /// Asks for a value on standard error, again and again until `check` has nothing to say against it. An empty line
    /// stands for the default, if there is one. White space around the value is removed.
    ///
    /// # Errors
    /// Returns a usage failure if the prompt ends without a line.
    pub async fn value(
        self,
        prompt: String,
        default: Option<String>,
        check: impl Fn(&str) -> Result<(), String> + Send + 'static,
    ) -> Result<String, Failure> {
        let typed = ask(move || {
            let input = dialoguer::Input::<String>::new().with_prompt(prompt).allow_empty(true);
            let input = match default {
                Some(default) => input.default(default),
                None => input,
            };
            input
                .validate_with(|text: &String| check(text.trim()))
                .interact_text_on(&dialoguer::console::Term::stderr())
        })
        .await?;
        Ok(typed.trim().to_owned())
    }

    /// Asks for a token without showing it, again and again until something was typed. The echo is off before the prompt
    /// shows: whoever sees it, person or program, may type at once.
    ///
    /// # Errors
    /// Returns a usage failure if the prompt ends without a line.
    pub async fn hidden(self, prompt: String) -> Result<SecretString, Failure> {
        ask(move || {
            let _silent = Silent::new()?;
            loop {
                eprint(&format!("{prompt}: "))?;
                let mut line = String::new();
                let read = io::stdin().lock().take(LONGEST_LINE).read_line(&mut line);
                let line = SecretString::from(line);
                // the Enter key was not shown either
                eprint("\n")?;
                if read? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                if !line.expose_secret().trim().is_empty() {
                    return Ok(line);
                }
            }
        })
        .await
    }
}

/// A terminal without echo until the value is dropped.
struct Silent(Termios);

impl Silent {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut settings = before.clone();
        settings.local_modes.remove(LocalModes::ECHO);
        settings.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        // keeps what was typed already
        tcsetattr(io::stdin(), OptionalActions::Drain, &settings)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

fn eprint(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// Runs a prompt beside the runtime, so that Ctrl-C is seen meanwhile.
async fn ask<T: Send + 'static>(
    prompt: impl FnOnce() -> Result<T, dialoguer::Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(prompt).await {
        Ok(Ok(answer)) => Ok(answer),
        // a prompt that reads single keys gets Ctrl-C as one of them
        Ok(Err(dialoguer::Error::IO(error))) if error.kind() == io::ErrorKind::Interrupted => {
            Err(Failure::new(Code::Interrupted, "Ctrl-C", ""))
        }
        _ => Err(Failure::usage("the prompt got no answer", "run the command again")),
    }
}

/// Puts the terminal back into its state at the start.
pub fn restore() {
    if let Some(settings) = AT_START.get() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
    }
    let _ = dialoguer::console::Term::stderr().show_cursor();
}

/// Empties the screen before the next picture. This is no colour, so it also happens with `NO_COLOR`.
pub fn clear_screen() {
    let _ = dialoguer::console::Term::stdout().clear_screen();
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
