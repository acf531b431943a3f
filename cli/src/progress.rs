//! Shows how far a proof is: one line on standard error that moves at least every eighth of a second.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dialoguer::console::Term;
use hubkeeper::observer::{Observer, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use time::OffsetDateTime;

use crate::terminal;

/// How often the line is drawn again.
const TICK: Duration = Duration::from_millis(120);

/// How far a proof is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reached {
    logged_in: bool,
    pages: usize,
    of_pages: usize,
    checked: usize,
    of_repositories: usize,
    manifests: usize,
    of_manifests: usize,
    waiting: Option<(String, OffsetDateTime)>,
}

impl Reached {
    /// Takes note of a step.
    pub fn note(&mut self, progress: Progress<'_>) {
        if !matches!(progress, Progress::Waiting { .. }) {
            self.waiting = None;
        }
        match progress {
            Progress::LoggedIn => self.logged_in = true,
            Progress::Page { of } => {
                // several views are listed side by side: their pages add up
                if self.pages == self.of_pages {
                    self.of_pages += of;
                } else {
                    self.of_pages = self.of_pages.max(of);
                }
                self.pages += 1;
                self.of_pages = self.of_pages.max(self.pages);
            }
            Progress::Checking { repositories } => self.of_repositories += repositories,
            Progress::Checked { repositories } => {
                // what a combined request left open is asked again singly
                self.checked = (self.checked + repositories).min(self.of_repositories);
            }
            Progress::Manifest { of } => {
                self.of_manifests = of;
                self.manifests += 1;
            }
            Progress::Waiting { host, until } => self.waiting = Some((host.to_owned(), until)),
        }
    }

    /// The line that a person reads.
    pub fn line(&self, now: OffsetDateTime) -> String {
        let mut parts = Vec::new();
        if self.logged_in {
            parts.push("logged in".to_owned());
        }
        if self.of_pages > 0 {
            parts.push(format!("{} of {} pages", grouped(self.pages), grouped(self.of_pages)));
        }
        if self.of_repositories > 0 {
            parts.push(format!("{} of {} repositories", grouped(self.checked), grouped(self.of_repositories)));
        }
        if self.of_manifests > 0 {
            parts.push(format!("{} of {} manifests", self.manifests, self.of_manifests));
        }
        if parts.is_empty() {
            parts.push("logging in".to_owned());
        }
        if let Some((host, until)) = &self.waiting
            && *until > now
        {
            parts.push(waiting(host, *until, now));
        }
        parts.join(", ")
    }
}

fn waiting(host: &str, until: OffsetDateTime, now: OffsetDateTime) -> String {
    let left = (until - now).whole_seconds().max(1);
    format!("{host} asks to wait until {} ({left} s)", clock(until))
}

/// The time of day, where this machine is if it tells.
fn clock(at: OffsetDateTime) -> String {
    let offset = time::UtcOffset::current_local_offset().unwrap_or(time::UtcOffset::UTC);
    let local = at.to_offset(offset);
    let zone = if offset.is_utc() { " UTC" } else { "" };
    format!("{:02}:{:02}:{:02}{zone}", local.hour(), local.minute(), local.second())
}

/// A number with its thousands apart.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Shows progress on a terminal. Elsewhere it only tells of waits, once each.
pub struct Line {
    shown: Arc<Shown>,
    tells_waits: bool,
}

struct Shown {
    what: String,
    bar: ProgressBar,
    reached: Mutex<Reached>,
}

/// What the line shows besides its words: a sign before, and the time behind.
const BESIDE: usize = 10;
/// What a terminal itself shows behind the line when somebody presses Ctrl-C.
const CTRL_C: u16 = 3;
/// How often the line is drawn at most, in one second.
const DRAWS: u8 = 20;

/// Standard error without its last columns. The line is filled up with spaces, so a `^C` behind it would go to the next
/// line, and the wrong line would be taken away.
#[derive(Debug)]
struct Narrow(Term);

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(CTRL_C).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Shown {
    /// Shows words, and no more of them than fit: what wraps could not be taken away again.
    fn show(&self, words: &str) {
        let most = usize::from(Narrow(Term::stderr()).width()).saturating_sub(BESIDE);
        self.bar.set_message(cut(&format!("{}: {words}", self.what), most));
    }

    fn reached(&self) -> MutexGuard<'_, Reached> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// A line for `what`. `shows` says whether there is a terminal; `quiet` keeps it silent.
    pub fn new(what: &str, shows: bool, quiet: bool) -> Self {
        let target = if shows && !quiet {
            // one write for each picture
            ProgressDrawTarget::term_like_with_hz(Box::new(Narrow(Term::buffered_stderr())), DRAWS)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        let state = Arc::new(Shown { what: what.to_owned(), bar, reached: Mutex::default() });
        state.show(&Reached::default().line(OffsetDateTime::now_utc()));
        if shows && !quiet {
            let ticking = Arc::downgrade(&state);
            std::thread::spawn(move || tick(&ticking));
        }
        Self { shown: state, tells_waits: !shows && !quiet }
    }

    /// Shows other words.
    pub fn message(&self, text: &str) {
        self.shown.show(text);
    }

    /// Takes the line away, so that the result stands alone.
    pub fn clear(&self) {
        self.shown.bar.finish_and_clear();
    }
}

/// The first `most` characters, with a sign that something is left out.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Draws the line again and again until it is taken away. A wait is counted down.
fn tick(shown: &Weak<Shown>) {
    while let Some(shown) = shown.upgrade()
        && !shown.bar.is_finished()
    {
        let reached = shown.reached();
        if reached.waiting.is_some() {
            shown.show(&reached.line(OffsetDateTime::now_utc()));
        }
        drop(reached);
        shown.bar.tick();
        drop(shown);
        std::thread::sleep(TICK);
    }
}

impl Observer for Line {
    fn observe(&self, progress: Progress<'_>) {
        let now = OffsetDateTime::now_utc();
        let mut reached = self.shown.reached();
        if let Progress::Waiting { host, until } = progress
            && self.tells_waits
            && reached.waiting.as_ref().is_none_or(|(known, at)| known != host || *at < now)
        {
            terminal::say(&waiting(host, until, now));
        }
        reached.note(progress);
        self.shown.show(&reached.line(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_line_tells_how_far_a_proof_is() {
        let now = datetime!(2026-11-29 12:00 UTC);
        let mut reached = Reached::default();
        assert_eq!(reached.line(now), "logging in");
        reached.note(Progress::LoggedIn);
        for _ in 0..3 {
            reached.note(Progress::Page { of: 12 });
        }
        assert_eq!(reached.line(now), "logged in, 3 of 12 pages");
        reached.note(Progress::Checking { repositories: 1180 });
        reached.note(Progress::Checked { repositories: 214 });
        assert_eq!(reached.line(now), "logged in, 3 of 12 pages, 214 of 1,180 repositories");
        reached.note(Progress::Manifest { of: 8 });
        assert!(reached.line(now).ends_with("1 of 8 manifests"));
        reached.note(Progress::Waiting { host: "hub.docker.com", until: now + time::Duration::seconds(90) });
        assert!(reached.line(now).contains("hub.docker.com asks to wait until"), "{}", reached.line(now));
        assert!(reached.line(now).ends_with("(90 s)"));
        reached.note(Progress::Checked { repositories: 5000 });
        assert!(reached.line(now).contains("1,180 of 1,180 repositories"), "{}", reached.line(now));
        assert!(!reached.line(now).contains("wait"), "the wait is over");
    }

    #[test]
    fn pages_of_a_second_view_add_up() {
        let mut reached = Reached::default();
        reached.note(Progress::Page { of: 1 });
        reached.note(Progress::Page { of: 2 });
        reached.note(Progress::Page { of: 2 });
        assert!(reached.line(datetime!(2026-11-29 12:00 UTC)).contains("3 of 3 pages"));
    }

    #[test]
    fn a_line_is_cut_where_the_terminal_ends() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("a", 0), "…");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            ["7", "999", "1,000", "1,234,567"],
            [7, 999, 1_000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
    }
}
