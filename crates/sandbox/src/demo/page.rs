//! The text of the demonstration, and its expectations.

use std::io::Write;

const WIDTH: usize = 118;
const NAME: usize = 12;

/// The printed lines, and the failed expectations.
pub struct Page {
    /// Columns of a row, with its indent and name.
    width: usize,
    is_printed: bool,
    text: String,
    scenes: usize,
    failures: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { width: WIDTH, is_printed: false, text: String::new(), scenes: 0, failures: 0 }
    }
}

impl Page {
    /// A page that prints each line to standard output at once.
    pub fn printed() -> Self {
        Self { is_printed: true, ..Self::default() }
    }

    /// A page that is kept and not printed, with rows of at most `width` columns.
    pub fn kept(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// One line as it is.
    pub(crate) fn line(&mut self, text: &str) {
        if self.is_printed {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A scene's heading.
    pub(crate) fn scene(&mut self, title: &str) {
        self.scenes += 1;
        self.heading(title);
    }

    /// A heading.
    pub(crate) fn heading(&mut self, title: &str) {
        self.line("");
        self.line(title);
    }

    /// A name and a text, wrapped under itself.
    pub(crate) fn row(&mut self, name: &str, text: &str) {
        let room = self.width - NAME - 4;
        for (index, line) in wrapped(text, room).iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            self.line(&format!("   {name:<NAME$} {line}"));
        }
    }

    /// Reports a failed expectation. The demonstration then fails at its end.
    pub(crate) fn expect(&mut self, held: bool, what: &str) {
        if !held {
            self.failures += 1;
            self.row("UNEXPECTED", &format!("expected: {what}"));
        }
    }

    /// The number of failed expectations.
    pub fn failures(&self) -> usize {
        self.failures
    }

    pub(crate) fn scenes(&self) -> usize {
        self.scenes
    }

    /// The whole text so far.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Breaks at spaces. A word longer than a line gets its own line.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let indent: String = paragraph.chars().take_while(|character| *character == ' ').collect();
        let mut line = indent.clone();
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            if line.len() > indent.len() && line.chars().count() + 1 + word.chars().count() > room {
                lines.push(std::mem::replace(&mut line, indent.clone()));
            }
            if line.len() > indent.len() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    if lines.is_empty() { vec![String::new()] } else { lines }
}

/// The first eight characters of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// `1 write`, `2 writes`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_keep_their_indent() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("  one two", 5), ["  one", "  two"]);
        assert_eq!(wrapped("extraordinarily long", 5), ["extraordinarily", "long"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
