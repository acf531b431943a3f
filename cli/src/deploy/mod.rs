//! What `hubkeeper deploy` and `hubkeeper destroy` decide and call.
//!
//! - [`release`] is a release's folder, [`template`] what is inside of it: only files whose checksum is right are used.
//! - [`config`] is the file that keeps a person's choices; [`parameters`] what each parameter of the stack gets.
//! - [`stack`] decides by the stack's status, and [`changes`] shows a change set. Both are pure.
//! - [`cloudformation`] and [`bucket`] call AWS, [`azure`] runs the Azure CLI, [`build`] builds a release's folder.
//! - [`handover`] is the text for an administrator of Azure.

pub mod azure;
pub mod bucket;
pub mod build;
pub mod changes;
pub mod cloudformation;
pub mod config;
pub mod handover;
pub mod login;
pub mod parameters;
pub mod release;
pub mod stack;
pub mod template;

/// Text of a service for people: without the credentials in a URL, and without anything that begins as a Docker Hub token does.
///
/// The reasons of `CloudFormation`'s events quote what the template says, and a proxy's URL may hold a password.
pub fn plain(text: &str) -> String {
    /// A reason is a sentence or two.
    const LONGEST: usize = 600;
    let words = text.split_whitespace().map(|word| {
        let masked = word.split_once("://").and_then(|(scheme, rest)| {
            let (_, host) = rest.rsplit_once('@')?;
            Some(format!("{scheme}://…@{host}"))
        });
        match masked {
            _ if word.contains("dckr_") => "…".to_owned(),
            Some(masked) => masked,
            None => word.to_owned(),
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn the_password_of_a_proxy_is_not_in_a_reason() {
        assert_eq!(
            plain("Value '{HTTPS_PROXY=http://me:p@ss@proxy:3128}'  is\n wrong"),
            "Value '{HTTPS_PROXY=http://…@proxy:3128}' is wrong"
        );
        assert_eq!(plain("x=dckr_pat_abc y"), "… y");
        assert!(plain(&"word ".repeat(1000)).chars().count() <= 601);
    }
}
