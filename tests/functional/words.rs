//! Checks that comments, messages and pages are in plain English (CONTRIBUTING.md): no phrase of [`BANNED`] is in them.

use std::fs;
use std::path::Path;

/// Phrases that read as if translated, each with what to write instead.
const BANNED: [(&str, &str); 28] = [
    ("is none", "is not one; must be one of"),
    ("are none", "there is no"),
    ("takes for none", "rejects"),
    ("takes it for", "mistakes it for"),
    ("for none;", "rejects"),
    ("given up", "discarded, offboarded"),
    ("gives up", "stops"),
    ("as it should be", "nothing needs to change"),
    ("whom", "name the person or the address"),
    ("the way out", "the remedy"),
    ("the doors", "the events"),
    ("stands without", "needs the field"),
    ("stands beside", "cannot be combined with"),
    ("as it stands", "unchanged"),
    ("that stands", "the stored"),
    ("is undecided", "did not complete"),
    ("gives no", "returns no; has no"),
    ("if need be", "if necessary"),
    ("not there any more", "no longer exists"),
    ("bears", "has"),
    ("mended", "corrected, repaired"),
    ("mends", "corrects, repairs"),
    ("where it stays so", "if it fails again"),
    ("to the letter", "exactly"),
    ("is asked for", "is requested"),
    ("it goes on", "it continues"),
    ("goes on by itself", "continues by itself"),
    ("whereof", "of which"),
];

/// Phrases for the product alone (`src`, `crates/core/src` without tests, and the pages): a service returns a response.
const BANNED_IN_THE_PRODUCT: [(&str, &str); 4] = [
    ("answer", "response"),
    ("answers", "returns, responds"),
    ("answered", "returned, responded"),
    ("answering", "responding"),
];

/// Correct English that contains a banned phrase.
const CORRECT: [&str; 2] = ["there is none", "there are none"];

/// Uses that are right: the file, and text of it that contains the phrase.
const ALLOWED: [(&str, &str); 6] = [
    ("README.md", "answer an alarm or a notice"),
    ("ARCHITECTURE.md", "which test answers which question"),
    ("CONTRIBUTING.md", "which test answers which question"),
    ("tests/README.md", "answers your question"),
    ("docs/deploy.md", "'{\"action\": \"reconcile\"}' answer.json"),
    ("docs/deploy.md", "jq -r .outcome answer.json"),
];

/// The phrase lists themselves, data that others wrote, and templates of earlier versions.
const SKIPPED: [&str; 4] = ["tests/functional/words.rs", "tests/simulation/planted", "fuzz/corpus", "tests/e2e/data"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Adds the files with text for people below `folder`, as paths from the root.
fn collect(folder: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "__pycache__"].contains(&name.as_str()) {
                collect(&path, files);
            }
        } else if Path::new(&name)
            .extension()
            .is_some_and(|kind| ["rs", "md", "sh", "py", "yaml", "snap"].iter().any(|known| kind == *known))
        {
            files.push(path);
        }
    }
}

/// The comments and string literals of a Rust file, each with its line. Comment lines that follow each other are one text, since
/// a phrase may cross the end of a line.
fn prose(source: &str) -> Vec<(usize, String)> {
    let mut texts: Vec<(usize, String)> = Vec::new();
    let mut last_comment = None;
    let (mut at, mut line) = (0, 1);
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let raw = rest.strip_prefix('r').map(|rest| rest.len() - rest.trim_start_matches('#').len());
        let raw = raw.filter(|hashes| rest[1 + hashes..].starts_with('"'));
        let before = source[..at].strip_suffix('b').unwrap_or(&source[..at]);
        let in_a_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = if let Some(comment) = rest.strip_prefix("//") {
            let text = comment.lines().next().unwrap_or_default();
            match texts.last_mut().filter(|_| last_comment == Some(line - 1)) {
                Some((_, block)) => *block = format!("{block} {}", text.trim_start_matches(['/', '!']).trim()),
                None => texts.push((line, text.trim_start_matches(['/', '!']).trim().to_owned())),
            }
            last_comment = Some(line);
            2 + text.len()
        } else if let Some(hashes) = raw.filter(|_| !in_a_name) {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &rest[hashes + 2..];
            let body = &body[..body.find(&end).expect("a raw string ends")];
            texts.push((line, body.to_owned()));
            hashes + 2 + body.len() + end.len()
        } else if let Some(body) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = body.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let body = &body[..end.expect("a string ends")];
            let text: Vec<&str> = body.lines().map(|line| line.trim_start().trim_end_matches('\\')).collect();
            texts.push((line, text.concat()));
            body.len() + 2
        } else if let Some(character) = character(rest) {
            character
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        line += source[at..at + length].matches('\n').count();
        at += length;
    }
    texts
}

/// The length of the character literal at the beginning of `rest`; `None` for a lifetime and anything else.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let first = body.chars().next()?;
    let skipped = if first == '\\' { 2 } else { first.len_utf8() };
    let end = skipped + body.get(skipped..)?.find('\'')?;
    (end == skipped || (first == '\\' && end < 12)).then_some(end + 2)
}

/// The paragraphs of a page, each with its first line. A row of a table is a paragraph.
fn paragraphs(page: &str) -> Vec<(usize, String)> {
    let mut texts: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (at, line) in page.lines().enumerate() {
        let is_row = line.starts_with('|');
        match texts.last_mut().filter(|_| open && !is_row) {
            Some((_, text)) if !line.trim().is_empty() => *text = format!("{text} {}", line.trim()),
            _ => texts.push((at + 1, line.to_owned())),
        }
        open = !is_row && !line.trim().is_empty();
    }
    texts
}

/// The text for people in a file.
fn texts(path: &str, content: &str) -> Vec<(usize, String)> {
    match Path::new(path).extension().and_then(|kind| kind.to_str()) {
        Some("rs") => prose(content),
        Some("md") => paragraphs(content),
        _ => content.lines().enumerate().map(|(at, line)| (at + 1, line.to_owned())).collect(),
    }
}

/// Whether `text` has the phrase as whole words; its first letter may be a capital (`is None` of Python is no match).
fn has(text: &str, phrase: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let tail = &phrase[1..];
    text.match_indices(tail).any(|(at, _)| {
        let before = &text[..at];
        let first = before.chars().next_back().map(|c| c.to_ascii_lowercase());
        let outside = before.char_indices().next_back().map_or("", |(start, _)| &before[..start]);
        first == phrase.chars().next()
            && !outside.ends_with(is_word)
            && !(phrase.ends_with(is_word) && text[at + tail.len()..].starts_with(is_word))
    })
}

fn is_product(path: &str) -> bool {
    let is_page = Path::new(path).extension().is_some_and(|kind| kind == "md");
    let is_code = path.starts_with("src/") || path.starts_with("crates/core/src/");
    is_page || (is_code && !path.contains("tests"))
}

/// The banned phrases in a file, as `path:line: phrase (write: …)`.
fn findings(path: &str, content: &str) -> Vec<String> {
    let everywhere = BANNED.iter();
    let here = everywhere.chain(BANNED_IN_THE_PRODUCT.iter().filter(|_| is_product(path)));
    let here: Vec<_> = here.collect();
    let mut found = Vec::new();
    for (line, text) in texts(path, content) {
        let allowed = ALLOWED.iter().filter(|(file, _)| *file == path).map(|(_, allowed)| *allowed);
        let text = allowed.chain(CORRECT).fold(text, |text, allowed| text.replace(allowed, ""));
        for (phrase, instead) in here.iter().filter(|(phrase, _)| has(&text, phrase)) {
            found.push(format!("{path}:{line}: `{phrase}` (write: {instead})"));
        }
    }
    found
}

#[test]
fn comments_messages_and_pages_are_in_plain_english() {
    let mut files = Vec::new();
    collect("", &mut files);
    assert!(files.len() > 300, "{}", files.len());
    let mut found = Vec::new();
    for path in &files {
        found.extend(findings(path, &fs::read_to_string(root().join(path)).unwrap()));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_allowed_use_exists_and_has_a_banned_phrase() {
    for (path, allowed) in ALLOWED {
        let content = fs::read_to_string(root().join(path)).unwrap();
        assert!(texts(path, &content).iter().any(|(_, text)| text.contains(allowed)), "{path} has no `{allowed}`");
        assert!(BANNED_IN_THE_PRODUCT.iter().any(|(phrase, _)| has(allowed, phrase)), "nothing bans `{allowed}`");
    }
}

#[test]
fn a_planted_phrase_is_found_where_people_read_it() {
    let rust = "/// A token that\n/// is none.\nfn stands_beside() { let none = value.is_none(); say(\"Whom \\\n    it concerns\"); }\n\
                const Q: char = '\"'; const R: &[u8] = br#\"\"given up\"\"#; // 'a whom 'b\n";
    assert_eq!(
        findings("tests/x.rs", rust),
        [
            "tests/x.rs:1: `is none` (write: is not one; must be one of)",
            "tests/x.rs:3: `whom` (write: name the person or the address)",
            "tests/x.rs:5: `given up` (write: discarded, offboarded)",
            "tests/x.rs:5: `whom` (write: name the person or the address)",
        ]
    );
    assert_eq!(findings("x.py", "if value is None: whom = 1").len(), 1, "`is None` is code");
    assert_eq!(findings("docs/x.md", "A value that\nis none.\n\n| a | is none |\n").len(), 2);
    assert_eq!(findings("docs/x.md", "ARM answered.\n"), ["docs/x.md:1: `answered` (write: returned, responded)"]);
    assert_eq!(findings("src/x.rs", "let answer = 1; // no answer\n").len(), 1);
    assert!(findings("crates/sandbox/src/x.rs", "// no answer\n").is_empty(), "the stand-ins may");
    assert!(findings("README.md", "answer an alarm or a notice\n").is_empty(), "allowed there");
    assert_eq!(findings("docs/x.md", "answer an alarm or a notice\n").len(), 1, "and nowhere else");
    for word in ["wholesome", "whomever", "this none", "is nonetheless", "if there is none"] {
        assert!(findings("docs/x.md", word).is_empty(), "{word}");
    }
}
