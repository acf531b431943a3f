//! Colours and signs. Every colour has a sign or word beside it, so nothing is lost without colour.

use anstyle::{AnsiColor, Style};

const GOOD: Style = AnsiColor::Green.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Text about something that is in order.
pub fn good(text: &str) -> String {
    paint(GOOD, text)
}

/// Something to know.
pub fn warn(text: &str) -> String {
    paint(WARN, text)
}

/// Something wrong.
pub fn bad(text: &str) -> String {
    paint(BAD, text)
}

/// Something beside the point.
pub fn dim(text: &str) -> String {
    paint(DIM, text)
}

/// A heading.
pub fn bold(text: &str) -> String {
    paint(BOLD, text)
}

/// One line of a list of facts: a name, then its value from column 17 on.
pub fn fact(name: &str, value: &str) -> String {
    format!("  {}{value}\n", bold(&format!("{name:<15}")))
}

/// A number of things, in words: `1 repository`, `2 repositories`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", crate::progress::grouped(number))
}
