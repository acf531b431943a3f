//! The texts in a page: escaped, shortened, or in an address of the console.

use std::fmt::Write as _;

/// Escapes a text from outside, for the content of an element or the quoted value of an attribute. A control character,
/// or one that changes the direction of the text, becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Returns the day of a time, escaped; a dash for none.
pub(super) fn day(time: Option<&str>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| escape(time.split('T').next().unwrap_or(time)))
}

/// Returns the start of a version's id, escaped; a dash for none.
pub(super) fn short(version: Option<&str>) -> String {
    version.map_or_else(|| "-".to_owned(), |version| escape(&version.chars().take(8).collect::<String>()))
}

/// The log group of the function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Logs<'a> {
    /// The Region.
    pub region: &'a str,
    /// The name of the log group.
    pub group: &'a str,
}

impl Logs<'_> {
    /// Returns the address in the console of an organization's log lines of the last week.
    pub fn link(&self, organization: &str) -> String {
        let (region, host) = (percent(self.region), self.host());
        let quoted = organization.replace('\\', "\\\\").replace('"', "\\\"");
        let query = format!(
            "fields @timestamp, level, message, error.message\n| filter hub.organization = \"{quoted}\"\n| sort @timestamp desc"
        );
        // the console encodes its parameters twice, with `*` for the first time and with `$` for the second
        let detail = format!(
            "~(end~0~start~-604800~timeType~'RELATIVE~unit~'seconds~editorString~'{}~source~(~'{}))",
            starred(&query),
            starred(self.group)
        );
        let detail = detail.chars().fold(String::new(), |mut detail, character| {
            match character {
                '~' | '(' | ')' | '\'' => {
                    let _ = write!(detail, "$25{:02X}", u32::from(character));
                }
                character => detail.push(character),
            }
            detail
        });
        format!("https://{region}.{host}/cloudwatch/home?region={region}#logsV2:logs-insights$3FqueryDetail$3D{detail}")
    }

    /// Returns the console's host in the partition of the Region.
    fn host(&self) -> &'static str {
        match self.region {
            region if region.starts_with("cn-") => "console.amazonaws.cn",
            region if region.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
            _ => "console.aws.amazon.com",
        }
    }
}

/// Writes every byte but letters, digits, `_`, `.` and `-` as `*` and two hexadecimal digits.
fn starred(text: &str) -> String {
    encoded(text, '*')
}

/// Encodes a part of a host or of a query.
fn percent(text: &str) -> String {
    encoded(text, '%')
}

fn encoded(text: &str, sign: char) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "{sign}{byte:02x}");
        }
        encoded
    })
}
