//! Where a token comes from: a file, the environment, standard input or a hidden prompt.

use std::io::{self, Read};
use std::path::Path;

use hubkeeper_core::config::Environment;
use secrecy::{ExposeSecret, SecretString};

use crate::args;
use crate::exit::Failure;
use crate::terminal::Terminal;

/// Name of the variable that may hold a token.
pub const VARIABLE: &str = "HUBKEEPER_TOKEN";

/// A token is far shorter; a longer file is not one.
const LONGEST: u64 = 4096;

/// Reads the token: the file of `--token-file`, else the variable, else standard input, else a hidden prompt.
///
/// # Errors
/// Returns a usage failure if there is no token, or it cannot be one. The text never quotes it.
pub async fn read(
    arguments: &args::Token,
    environment: &Environment,
    terminal: Terminal,
    user: &str,
) -> Result<SecretString, Failure> {
    let (text, of) = if let Some(path) = &arguments.token_file {
        (from_file(path)?, "the file of --token-file")
    } else if let Some(value) = environment.get(VARIABLE).filter(|value| !value.is_empty()) {
        (SecretString::from(value.clone()), VARIABLE)
    } else if terminal.answers {
        return typed(terminal, user).await;
    } else {
        (from_reader(io::stdin().lock(), "standard input")?, "standard input")
    };
    checked(&text, of)
}

/// Whether an option or the variable names a token.
pub fn is_named(arguments: &args::Token, environment: &Environment) -> bool {
    arguments.token_file.is_some() || environment.get(VARIABLE).is_some_and(|value| !value.is_empty())
}

/// Reads the token on standard input; `None` if the input is empty.
///
/// # Errors
/// Returns a usage failure if it cannot be a token. The text never quotes it.
pub fn piped() -> Result<Option<SecretString>, Failure> {
    let text = from_reader(io::stdin().lock(), "standard input")?;
    if text.expose_secret().trim().is_empty() {
        return Ok(None);
    }
    checked(&text, "standard input").map(Some)
}

/// Asks for the token at the hidden prompt.
///
/// # Errors
/// Returns a usage failure if there is no token, or it cannot be one.
pub async fn typed(terminal: Terminal, user: &str) -> Result<SecretString, Failure> {
    let text = terminal.hidden(format!("Docker Hub token of {user} (hidden)")).await?;
    checked(&text, "the prompt")
}

fn from_file(path: &Path) -> Result<SecretString, Failure> {
    let file = std::fs::File::open(path).map_err(|error| {
        Failure::usage(
            format!("--token-file {} cannot be read: {}", path.display(), error.kind()),
            "name a file that holds the token alone",
        )
    })?;
    from_reader(file, "the file of --token-file")
}

fn from_reader(reader: impl Read, of: &str) -> Result<SecretString, Failure> {
    let mut text = String::new();
    let read = reader.take(LONGEST + 1).read_to_string(&mut text);
    let text = SecretString::from(text);
    match read {
        Ok(length) if length as u64 <= LONGEST => Ok(text),
        Ok(_) => Err(Failure::usage(format!("{of} holds more than a token"), "pass the token alone")),
        Err(_) => Err(Failure::usage(format!("{of} is not text"), "pass the token alone, as plain text")),
    }
}

/// A token as it is sent: without one line end. Anything that no token has is refused here, since Docker Hub would count
/// it as a failed login.
fn checked(text: &SecretString, of: &str) -> Result<SecretString, Failure> {
    let token = text.expose_secret();
    let token = token.strip_suffix('\n').unwrap_or(token);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if token.is_empty() {
        return Err(Failure::usage(
            format!("{of} holds no token"),
            "pass it on standard input (hubkeeper verify … < file), at the prompt, with --token-file or in HUBKEEPER_TOKEN",
        ));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage(
            format!("{of} holds white space or characters that no token has"),
            "pass the token alone, in one line",
        ));
    }
    Ok(SecretString::from(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, String> {
        checked(&SecretString::from(text.to_owned()), "standard input")
            .map(|token| token.expose_secret().to_owned())
            .map_err(|failure| failure.what)
    }

    #[test]
    fn one_line_end_is_cut_off_and_nothing_else() {
        assert_eq!(check("dckr_pat_x\n").as_deref(), Ok("dckr_pat_x"));
        assert_eq!(check("dckr_pat_x\r\n").as_deref(), Ok("dckr_pat_x"));
        for text in ["", "\n", "dckr_pat_x\n\n", " dckr_pat_x", "dckr_pat_x y", "dckr_pät"] {
            let refused = check(text).unwrap_err();
            assert!(!refused.contains("dckr"), "{refused}");
        }
    }

    #[test]
    fn what_is_longer_than_a_token_is_refused() {
        let long = "x".repeat(5000);
        let refused = from_reader(long.as_bytes(), "standard input").map(|_| ()).unwrap_err();
        assert!(refused.what.contains("more than a token"), "{refused:?}");
    }
}
