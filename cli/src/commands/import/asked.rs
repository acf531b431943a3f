//! The document of the new secret: from the connector, the options, and what a person is asked.

use hubkeeper_core::secret::Document;
use secrecy::SecretString;

use super::reading::Reading;
use crate::args::Import;
use crate::commands::init::draft::{self, Draft};
use crate::commands::init::field::Field;
use crate::commands::stage;
use crate::context::Context;
use crate::exit::Failure;
use crate::token;

/// The token that an option, the variable or standard input gives. Where nobody can be asked, what is missing is named before
/// any request.
///
/// # Errors
/// Returns a usage failure that names what is missing or wrong.
pub async fn given_token(context: &Context, arguments: &Import) -> Result<Option<SecretString>, Failure> {
    let given = if token::is_named(&arguments.token, &context.environment) {
        let user = arguments.username.as_deref().unwrap_or("the connector's user");
        Some(token::read(&arguments.token, &context.environment, context.terminal, user).await?)
    } else if context.terminal.answers || arguments.manager.is_some() {
        None
    } else {
        token::piped()?
    };
    if given.is_none() && arguments.expires_at.is_some() && (arguments.manager.is_some() || !context.terminal.answers) {
        return Err(Failure::usage("--expires-at is about a token, and there is no token", "leave it out"));
    }
    let mut missing = Vec::new();
    if !context.terminal.answers && given.is_none() && arguments.manager.is_none() {
        missing.push("a token on standard input, in --token-file or in HUBKEEPER_TOKEN (or --manager)");
    }
    if !context.terminal.answers && given.is_some() && arguments.expires_at.is_none() {
        missing.push("--expires-at");
    }
    if missing.is_empty() {
        return Ok(given);
    }
    Err(Failure::usage(
        format!("missing: {}", missing.join(", ")),
        "Azure does not show the token of a connector: make a new read-only token as the dedicated user; hubkeeper import --help explains each option",
    ))
}

/// The document: from the connector, the options and the answers.
///
/// # Errors
/// Returns a usage failure that names the option that is missing or wrong.
pub async fn described(
    context: &Context,
    arguments: &Import,
    reading: &Reading,
    given: Option<SecretString>,
) -> Result<(Draft, Document), Failure> {
    let mut draft = Draft::of_connector(arguments, reading);
    let mut token = given;
    if let Some(token) = &token {
        draft.user_of(token);
    }
    if context.terminal.answers {
        ask(context, &mut draft, reading, token.is_some()).await?;
        if token.is_none() && draft.manager.is_none() {
            let user = draft.username.clone().unwrap_or_else(|| draft.organization.clone());
            let typed = token::typed(context.terminal, &user).await?;
            if arguments.username.is_none() {
                // the user was asked for before the token told that it belongs to the organization
                let asked = draft.username.take();
                draft.user_of(&typed);
                draft.username = draft.username.or(asked);
            }
            token = Some(typed);
        }
    } else if draft.username.is_none() {
        draft.username.clone_from(&reading.username);
        if let Some(why) = reading.no_username.filter(|_| draft.username.is_none()) {
            return Err(Failure::usage(
                format!("missing: --username (the connector does not tell it: {why})"),
                "name the Docker Hub user of the token",
            ));
        }
    }
    let document = draft.document()?;
    let Some(token) = token else { return Ok((draft, document)) };
    let expires_at = stage::expiry(context, arguments.expires_at.as_deref()).await?;
    let document = document.with_token(token, expires_at);
    // what the function would refuse is refused here
    draft::checked(&document.to_secret_string())?;
    Ok((draft, document))
}

/// Asks for each field that neither the connector nor an option gives.
async fn ask(context: &Context, draft: &mut Draft, reading: &Reading, has_token: bool) -> Result<(), Failure> {
    // what is wrong is said before any question
    draft.check_given()?;
    let mut questions = Vec::new();
    if draft.username.is_none() {
        if let Some(why) = reading.no_username {
            context.say(&format!("the connector does not tell the user of the next token: {why}"));
        }
        let default = reading.username.clone().unwrap_or_else(|| format!("{}-scanner", draft.organization));
        questions.push((Field::Username, "Docker Hub user of the token", Some(default)));
    }
    if !has_token && draft.manager.is_none() {
        let manager = "Manager secret, with which hubkeeper makes the tokens (name or ARN; empty: none)";
        questions.push((Field::Manager, manager, None));
    }
    if draft.expected.is_empty() {
        questions.push((Field::Expected, "Repositories that must be readable (a,b,team-*; empty: none)", None));
    }
    for (field, prompt, default) in questions {
        let may_be_empty = matches!(field, Field::Manager | Field::Expected);
        let check = move |text: &str| if may_be_empty && text.is_empty() { Ok(()) } else { field.check(text) };
        let text = context.terminal.value(prompt.to_owned(), default, check).await?;
        draft.set(field, &text);
    }
    Ok(())
}
