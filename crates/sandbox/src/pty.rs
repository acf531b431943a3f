//! A program on a pseudo-terminal: what its screen shows, and when it changed. For tests, measurements and pictures of the
//! command line.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pts, Pty, open};
use vt100::{Color, Parser};

/// Lines of the screen. Longer output scrolls.
const LINES: u16 = 60;
/// How often an end is looked for.
const POLL: Duration = Duration::from_millis(5);

/// The screen after one piece of output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Time since the program started.
    pub at: Duration,
    /// The lines of the screen, without trailing spaces and empty lines.
    pub screen: String,
}

/// How characters look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Look {
    /// The colour's number in the terminal's palette (1 red, 2 green, 3 yellow). `None` for the default.
    pub colour: Option<u8>,
    /// Bold.
    pub bold: bool,
    /// Dimmed.
    pub dim: bool,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct End {
    /// The exit code. `None` if a signal ended it.
    pub code: Option<i32>,
    /// The last screen.
    pub screen: String,
    /// Every screen that was shown.
    pub frames: Vec<Frame>,
    /// All output, with its escape sequences.
    pub raw: String,
    /// The last screen by line, in parts of one look.
    pub lines: Vec<Vec<(Look, String)>>,
    /// Whether the cursor is hidden.
    pub cursor_is_hidden: bool,
    /// Time until the program had ended.
    pub after: Duration,
}

struct Seen {
    parser: Parser,
    raw: Vec<u8>,
    frames: Vec<Frame>,
    is_over: bool,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running program with a terminal of its own. Dropping it kills the program.
pub struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    /// Kept open until the end, so that no output is lost.
    pts: Option<Pts>,
    shared: Arc<Shared>,
    since: Instant,
}

impl Terminal {
    /// Starts a program on a terminal with this many columns. The program gets no variable but `PATH`, `HOME`, `TERM` and
    /// those in `environment`.
    ///
    /// # Errors
    /// There is no pseudo-terminal, or the program cannot start.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        environment: &[(String, String)],
        columns: u16,
    ) -> io::Result<Self> {
        let (pty, pts) = open().map_err(io::Error::other)?;
        pty.resize(Size::new(LINES, columns)).map_err(io::Error::other)?;
        let kept = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        let mut command = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(kept)
            .env("TERM", "xterm-256color")
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let since = Instant::now();
        let child = command.spawn_borrowed(&pts).map_err(io::Error::other)?;
        let size = |number: u16| NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN);
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen {
                parser: Parser::new(size(LINES), size(columns), 0),
                raw: Vec::new(),
                frames: Vec::new(),
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let pty = Arc::new(pty);
        std::thread::spawn({
            let (pty, shared) = (Arc::clone(&pty), Arc::clone(&shared));
            move || read(&pty, &shared, since)
        });
        Ok(Self { child, pty, pts: Some(pts), shared, since })
    }

    /// The id of the program's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types text. `\r` is the Enter key, `\u{3}` is Ctrl-C.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn type_in(&self, text: &str) -> io::Result<()> {
        (&*self.pty).write_all(text.as_bytes())
    }

    /// The screen now.
    #[must_use]
    pub fn screen(&self) -> String {
        screen(&self.shared.seen().parser)
    }

    /// Waits until a screen has all these words, and returns it. Screens of the past count.
    ///
    /// # Errors
    /// No screen had them in that time. The error shows the last one.
    pub fn wait_for(&self, words: &[&str], longest: Duration) -> io::Result<String> {
        let until = Instant::now() + longest;
        let mut seen = self.shared.seen();
        loop {
            if let Some(frame) = seen.frames.iter().find(|frame| words.iter().all(|word| frame.screen.contains(word))) {
                return Ok(frame.screen.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.is_over {
                let text = format!("no screen had {words:?}; the last one:\n{}", screen(&seen.parser));
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            seen = self.shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The program's peak memory so far, in KiB. `None` if it has ended.
    #[must_use]
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
    }

    /// Whether the program has ended.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        self.child.try_wait().map(|status| status.is_some())
    }

    /// Waits until the program has ended and all its output was read.
    ///
    /// # Errors
    /// It has not ended in that time. The error shows the screen.
    pub fn end(mut self, longest: Duration) -> io::Result<End> {
        let until = Instant::now() + longest;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= until {
                let text = format!("the program still runs; its screen:\n{}", self.screen());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(POLL);
        };
        let after = self.since.elapsed();
        // with the last holder of the other end, the reader's file ends
        self.pts = None;
        let mut seen = self.shared.seen();
        while !seen.is_over && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            seen = self.shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(End {
            code: status.code(),
            screen: screen(&seen.parser),
            frames: seen.frames.clone(),
            raw: String::from_utf8_lossy(&seen.raw).into_owned(),
            lines: lines(&seen.parser),
            cursor_is_hidden: seen.parser.screen().hide_cursor(),
            after,
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pty: &Pty, shared: &Shared, since: Instant) {
    let mut buffer = [0; 4096];
    // after the last writer the system reports an error, not an end
    while let Ok(length @ 1..) = (&mut &*pty).read(&mut buffer) {
        let at = since.elapsed();
        let mut seen = shared.seen();
        seen.raw.extend_from_slice(&buffer[..length]);
        seen.parser.process(&buffer[..length]);
        let screen = screen(&seen.parser);
        seen.frames.push(Frame { at, screen });
        shared.changed.notify_all();
    }
    shared.seen().is_over = true;
    shared.changed.notify_all();
}

fn screen(parser: &Parser) -> String {
    let lines: Vec<String> = parser.screen().contents().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n").trim_end().to_owned()
}

fn lines(parser: &Parser) -> Vec<Vec<(Look, String)>> {
    let screen = parser.screen();
    let (rows, columns) = screen.size();
    let mut lines: Vec<Vec<(Look, String)>> = (0..rows.get())
        .map(|row| {
            let mut parts: Vec<(Look, String)> = Vec::new();
            for cell in (0..columns.get()).filter_map(|column| screen.cell(row, column)) {
                let colour = match cell.fgcolor() {
                    Color::Idx(number) => Some(number),
                    Color::Default | Color::Rgb(..) => None,
                };
                let text = if cell.has_contents() { cell.contents() } else { " " };
                let is_blank = text == " ";
                let look = Look { colour, bold: cell.bold(), dim: cell.dim() };
                match parts.last_mut() {
                    // a space looks the same in every colour
                    Some((last, line)) if *last == look || is_blank => line.push_str(text),
                    _ => parts.push((if is_blank { Look::default() } else { look }, text.to_owned())),
                }
            }
            if let Some((_, last)) = parts.last_mut() {
                last.truncate(last.trim_end().len());
            }
            parts.retain(|(_, text)| !text.is_empty());
            parts
        })
        .collect();
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

impl End {
    /// The colours on the last screen.
    #[must_use]
    pub fn colours(&self) -> BTreeSet<u8> {
        self.lines.iter().flatten().filter_map(|(look, _)| look.colour).collect()
    }

    /// The longest time from one screen to the next that differs in what `of` makes of it, between the first screen for
    /// which `of` is something, and the last.
    #[must_use]
    pub fn longest_standstill<T: PartialEq>(&self, of: impl Fn(&str) -> Option<T>) -> Option<Duration> {
        let mut shown = self.frames.iter().filter_map(|frame| Some((frame.at, of(&frame.screen)?)));
        let (mut since, mut last) = shown.next()?;
        let mut end = since;
        let mut longest = Duration::ZERO;
        for (at, next) in shown {
            end = at;
            if next != last {
                longest = longest.max(at.saturating_sub(since));
                (since, last) = (at, next);
            }
        }
        Some(longest.max(end.saturating_sub(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Terminal {
        Terminal::start(Path::new("/bin/sh"), &["-c", script], &[], 40).expect("a shell")
    }

    #[test]
    fn a_program_reads_what_is_typed_and_its_end_is_told() {
        let terminal =
            shell("printf 'name? '; read -r name; printf '\\033[1;31mhello\\033[0m %s\\n' \"$name\"; exit 7");
        terminal.wait_for(&["name?"], LONGEST).expect("a prompt");
        terminal.type_in("you\r").expect("typed");
        let end = terminal.end(LONGEST).expect("an end");
        assert_eq!((end.code, end.screen.as_str()), (Some(7), "name? you\nhello you"));
        assert_eq!(end.colours(), BTreeSet::from([1]));
        let red = Look { colour: Some(1), bold: true, dim: false };
        assert_eq!(end.lines[1], [(red, "hello ".to_owned()), (Look::default(), "you".to_owned())]);
    }

    #[test]
    fn ctrl_c_is_a_signal_and_the_width_is_known() {
        let terminal = shell("stty size; trap 'echo stopped; exit 130' INT; while :; do sleep 0.05; done");
        terminal.wait_for(&["60 40"], LONGEST).expect("a size");
        // the trap is set right after the size was shown
        std::thread::sleep(Duration::from_millis(200));
        terminal.type_in("\u{3}").expect("typed");
        let end = terminal.end(LONGEST).expect("an end");
        assert_eq!(end.code, Some(130));
        assert!(end.screen.ends_with("stopped"), "{}", end.screen);
    }

    #[test]
    fn what_is_awaited_in_vain_is_an_error_with_the_screen() {
        let mut terminal = shell("echo here; exec sleep 60");
        terminal.wait_for(&["here"], LONGEST).expect("a screen");
        let error = terminal.wait_for(&["there"], Duration::from_millis(50)).expect_err("nothing");
        assert!(error.to_string().ends_with("here"), "{error}");
        assert!(!terminal.has_ended().expect("a state"));
        assert!(terminal.peak_memory_kib().is_some_and(|kib| kib > 100));
    }

    #[test]
    fn a_standstill_is_the_time_between_two_changes() {
        let frame = |at: u64, screen: &str| Frame { at: Duration::from_millis(at), screen: screen.to_owned() };
        let mut end = shell("exit").end(LONGEST).expect("an end");
        end.frames =
            vec![frame(5, ""), frame(10, "a1"), frame(30, "a1"), frame(110, "a2"), frame(130, "a2"), frame(900, "")];
        let of = |screen: &str| screen.strip_prefix('a').map(str::to_owned);
        assert_eq!(end.longest_standstill(of), Some(Duration::from_millis(100)));
        assert_eq!(end.longest_standstill(|_| None::<u8>), None);
    }
}
