//! A terminal window that shows a part of the demonstration, or the screens of commands.

use std::collections::BTreeMap;

use super::svg::{Canvas, MONOSPACE};
use crate::pty::Look;

/// Columns of the window: the width of the page that is drawn.
pub const COLUMNS: usize = 100;

const FONT_SIZE: u32 = 13;
/// Ten columns in pixels: a character of most monospaced fonts is 0.6 of the font's size wide.
const TEN_COLUMNS: u32 = FONT_SIZE * 6;
const LINE: u32 = 19;
const MARGIN: u32 = 26;
const BAR: u32 = 38;
/// The column where the text of a row begins, after indent and name ([`crate::demo::Page`]).
const TEXT: usize = 16;
const INDENT: usize = 3;

/// The coloured words of a row: the class, the text before, the words.
const MARKS: [(&str, &str, &str); 11] = [
    ("good", "", "applied"),
    ("good", "", "unchanged"),
    ("good", "", "verdict complete"),
    ("good", "", "all as expected"),
    ("good", ": ", "yes"),
    ("good", ": ", "none"),
    ("bad", ": ", "NO"),
    ("bad", "", "error of type Refused"),
    ("bad", "", "verdict partial"),
    ("bad", "", "verdict overPrivileged"),
    ("bad", "", "UNEXPECTED"),
];

/// The window is dark in both themes of GitHub, like a terminal. Its border separates it from a dark page.
const STYLE: &str = "\
.window { fill: #0d1420; stroke: #3b4657; }
.bar { fill: #1a2332; }
.edge { stroke: #3b4657; }
.close { fill: #ff6159; } .hide { fill: #ffbd2e; } .grow { fill: #28c941; }
text { font: 13px FONTS; fill: #d5dde8; }
.caption { fill: #8fa0b5; text-anchor: middle; }
.prompt { fill: #7ee2a8; font-weight: bold; }
.heading { fill: #7cc4ff; font-weight: bold; }
.name { fill: #93a3b8; }
.gap { fill: #66758a; }
.good { fill: #7ee2a8; }
.bad { fill: #ff9b8f; }";
/// What the screens of commands have besides.
const PAINTED: &str = "
.warn { fill: #f2cc60; }
.strong { font-weight: bold; }";

/// Draws the scenes of `page` whose heading begins with one of `chosen`, after the page's first line, in a window that shows
/// `command`. Fixed ids and dates replace the real ones. Three dots mark omitted scenes.
pub fn draw(page: &str, chosen: &[&str], command: &str, description: &str) -> String {
    let lines = steady(&excerpt(page, chosen));
    let (mut canvas, size, mut y) = window(command, lines.len() + 1);
    prompt(&mut canvas, y, command);
    y += LINE;
    for line in &lines {
        match Line::of(line) {
            Line::Empty => {}
            Line::Gap => canvas.text("gap", (column(0), y), &[("", line)]),
            Line::Heading => canvas.text("heading", (column(0), y), &[("", line)]),
            Line::Row(name, text) => {
                if !name.is_empty() {
                    canvas.text("name", (column(INDENT), y), &[("", name)]);
                }
                canvas.text("", (column(TEXT), y), &marked(text));
            }
        }
        y += LINE;
    }
    canvas.document(size, command, description, &STYLE.replace("FONTS", MONOSPACE))
}

/// A line of a screen, in parts of one look each.
pub type Painted = Vec<(Look, String)>;

/// Draws commands and the screens that they ended with, one below the other, in a window with this title.
pub fn screens(title: &str, commands: &[(&str, Vec<Painted>)], description: &str) -> String {
    let rows: usize = commands.iter().map(|(_, screen)| screen.len() + 2).sum();
    let (mut canvas, size, mut y) = window(title, rows.saturating_sub(1));
    for (command, screen) in commands {
        prompt(&mut canvas, y, command);
        for line in screen {
            y += LINE;
            let classes: Vec<String> = line.iter().map(|(look, _)| class(*look)).collect();
            let spans: Vec<(&str, &str)> =
                classes.iter().zip(line).map(|(class, (_, text))| (class.as_str(), text.as_str())).collect();
            if !spans.is_empty() {
                canvas.text("", (column(0), y), &spans);
            }
        }
        y += 2 * LINE;
    }
    canvas.document(size, title, description, &format!("{STYLE}{PAINTED}").replace("FONTS", MONOSPACE))
}

/// The classes of a look, by the numbers of the terminal's palette.
fn class(look: Look) -> String {
    let colour = match look.colour {
        Some(1 | 9) => "bad",
        Some(2 | 10) => "good",
        Some(3 | 11) => "warn",
        _ if look.dim => "gap",
        _ => "",
    };
    let weight = if look.bold { "strong" } else { "" };
    format!("{colour} {weight}").trim().to_owned()
}

/// An empty window for so many lines: the canvas, its size, and the baseline of the first line.
fn window(title: &str, lines: usize) -> (Canvas, (u32, u32), u32) {
    let mut canvas = Canvas::default();
    let height = BAR + MARGIN + LINE * u32::try_from(lines).unwrap_or(u32::MAX / LINE) + MARGIN - LINE / 2;
    let width = column(COLUMNS) + MARGIN;
    canvas.rectangle("window", (1, 1), (width - 2, height - 2), 10);
    canvas.rectangle("bar", (2, 2), (width - 4, BAR), 9);
    canvas.rectangle("bar", (2, BAR / 2), (width - 4, BAR / 2), 0);
    canvas.line("edge", (1, BAR), (width - 1, BAR));
    for (class, x) in [("close", 22), ("hide", 42), ("grow", 62)] {
        canvas.circle(class, (x, BAR / 2), 6);
    }
    canvas.text("caption", (width / 2, BAR / 2 + 5), &[("", title)]);
    (canvas, (width, height), BAR + MARGIN + FONT_SIZE / 2)
}

fn prompt(canvas: &mut Canvas, y: u32, command: &str) {
    canvas.text("", (column(0), y), &[("prompt", "$"), ("", " "), ("", command)]);
}

/// Where a column begins.
fn column(column: usize) -> u32 {
    MARGIN + TEN_COLUMNS * u32::try_from(column).unwrap_or_default() / 10
}

const DOTS: &str = "...";

enum Line<'a> {
    Empty,
    Gap,
    Heading,
    Row(&'a str, &'a str),
}

impl Line<'_> {
    fn of(line: &str) -> Line<'_> {
        match line {
            "" => Line::Empty,
            DOTS => Line::Gap,
            row if row.starts_with("   ") => {
                let (name, text) = row.split_at_checked(TEXT).unwrap_or((row, ""));
                Line::Row(name.trim(), text)
            }
            _ => Line::Heading,
        }
    }
}

/// The first line and the chosen scenes, with an empty line before each.
fn excerpt(page: &str, chosen: &[&str]) -> Vec<String> {
    let mut scenes: Vec<Vec<&str>> = Vec::new();
    for line in page.lines() {
        if scenes.is_empty() || !(line.is_empty() || line.starts_with(' ')) {
            scenes.push(Vec::new());
        }
        if let Some(scene) = scenes.last_mut() {
            scene.push(line);
        }
    }
    let mut lines: Vec<String> =
        scenes.first().and_then(|first| first.first()).iter().map(ToString::to_string).collect();
    let mut is_left_out = scenes.first().is_some_and(|first| first.len() > 1);
    for scene in scenes.iter().skip(1) {
        if !chosen.iter().any(|chosen| scene.first().is_some_and(|heading| heading.starts_with(chosen))) {
            is_left_out = true;
            continue;
        }
        if std::mem::take(&mut is_left_out) {
            lines.push(DOTS.to_owned());
        }
        lines.push(String::new());
        let end = scene.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.extend(scene.iter().take(end).map(ToString::to_string));
    }
    lines
}

/// Replaces each id, each date and each measured size with a fixed one, in order of appearance, so that every run gives the same
/// text. Sizes vary since durations in the log have more or fewer digits.
fn steady(lines: &[String]) -> Vec<String> {
    let mut ids = BTreeMap::new();
    let mut dates = BTreeMap::new();
    let mut word = |word: &str| {
        if is_id(word) {
            let next = ids.len();
            ids.entry(word.to_owned()).or_insert_with(|| id(next, word.len())).clone()
        } else if is_date(word) {
            let next = dates.len() + 1;
            dates.entry(word.to_owned()).or_insert_with(|| format!("2027-02-{:02}", next % 28)).clone()
        } else {
            word.to_owned()
        }
    };
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let mut steady: Vec<String> = Vec::new();
    for line in lines {
        let mut replaced = String::new();
        let mut rest = line.as_str();
        while !rest.is_empty() {
            let start = rest.find(is_part).unwrap_or(rest.len());
            replaced.push_str(&rest[..start]);
            rest = &rest[start..];
            let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
            replaced.push_str(&word(&rest[..end]));
            rest = &rest[end..];
        }
        steady.push(replaced);
    }
    sized(&steady.join("\n")).lines().map(str::to_owned).collect()
}

/// Replaces the number before each `KiB`, also if the line breaks between the two.
fn sized(text: &str) -> String {
    let mut parts = text.split("KiB").peekable();
    let mut sized = String::new();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            sized.push_str(part);
            break;
        }
        let number = part.trim_end();
        sized.push_str(number.trim_end_matches(|character: char| character.is_ascii_digit()));
        sized.push_str("64");
        sized.push_str(&part[number.len()..]);
        sized.push_str("KiB");
    }
    sized
}

/// A shortened id, or a fingerprint: 8 or 12 hexadecimal digits. No word of the page looks like one.
fn is_id(word: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    matches!(word.len(), 8 | 12) && word.bytes().all(is_digit)
}

fn is_date(word: &str) -> bool {
    word.len() == 10
        && word
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

/// A fixed id of this many digits.
fn id(number: usize, digits: usize) -> String {
    let number = u64::try_from(number).unwrap_or_default() + 1;
    let mixed = format!("{:016x}", number.wrapping_mul(0x5851_f42d_4c95_7f2d));
    mixed.chars().take(digits).collect()
}

/// The text in spans, with its [`MARKS`].
fn marked(text: &str) -> Vec<(&str, &str)> {
    let mut spans = Vec::new();
    let mut rest = text;
    loop {
        let found = MARKS.iter().filter_map(|(class, before, mark)| {
            let start = rest.find(&format!("{before}{mark}"))? + before.len();
            Some((start, *class, mark.len()))
        });
        let Some((start, class, length)) = found.min() else { break };
        let (before, mark) = rest.split_at(start);
        let (mark, after) = mark.split_at(length);
        if !before.is_empty() {
            spans.push(("", before));
        }
        spans.push((class, mark));
        rest = after;
    }
    if !rest.is_empty() {
        spans.push(("", rest));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_excerpt_has_the_first_line_and_the_chosen_scenes() {
        let page = "title\n\n   a\n\n1  one\n   b\n\n2  two\n   c\n\n3  three\n   d\n\nSummary\n   e\n";
        assert_eq!(excerpt(page, &["2 ", "3 "]), lines("title\n...\n\n2  two\n   c\n\n3  three\n   d"));
        assert_eq!(excerpt(page, &["1 ", "Summary"]), lines("title\n...\n\n1  one\n   b\n...\n\nSummary\n   e"));
    }

    #[test]
    fn two_runs_look_the_same_and_different_ids_stay_different() {
        let one = lines(
            "PAT 34871124 \"bae145e68f4f/2e1b1e6e…\", until 2027-02-27; PAT 34871124\n9 secrets (63 KiB of output)",
        );
        let two = lines(
            "PAT deca4696 \"00bae145e68f/c715dbfc…\", until 2028-01-01; PAT deca4696\n9 secrets (59 KiB of output)",
        );
        assert_eq!(steady(&one), steady(&two));
        let mixed = lines("PAT 34871124, PAT c715dbfc");
        let same = lines("PAT 34871124, PAT 34871124");
        assert_ne!(steady(&mixed), steady(&same));
        assert_eq!(
            sized(
                "(9 secrets, 63
  KiB of output), 9"
            ),
            "(9 secrets, 64
  KiB of output), 9"
        );
        assert_eq!(
            steady(&lines("not an id: 1234567, accepted, hubkeeper")),
            ["not an id: 1234567, accepted, hubkeeper"]
        );
    }

    #[test]
    fn a_screen_keeps_its_colours_and_its_words() {
        let red = Look { colour: Some(1), bold: true, dim: false };
        let line = vec![(red, "✗ ".to_owned()), (Look::default(), "acme <b>".to_owned())];
        let drawn =
            screens("verify", &[("hubkeeper verify", vec![line, Vec::new()]), ("exit", Vec::new())], "two commands");
        assert!(drawn.contains("<tspan class=\"bad strong\">✗ </tspan>acme &lt;b&gt;</text>"), "{drawn}");
        assert_eq!(drawn.matches("<tspan class=\"prompt\">$</tspan>").count(), 2, "{drawn}");
        assert_eq!(class(Look { dim: true, ..Look::default() }), "gap");
    }

    #[test]
    fn words_are_marked_in_order() {
        assert_eq!(
            marked("applied; verdict complete (6)"),
            [("good", "applied"), ("", "; "), ("good", "verdict complete"), ("", " (6)")]
        );
        assert_eq!(marked("plain"), [("", "plain")]);
    }
}
