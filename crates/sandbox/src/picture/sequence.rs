//! A sequence diagram: lanes from left to right, bands from top to bottom, arrows in them.

use super::svg::{Canvas, MONOSPACE, SANS};

/// The meaning of an arrow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call of the function.
    Invocation,
    /// Requests that change nothing.
    Read,
    /// Requests that change something.
    Write,
}

/// One row of a band.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Row {
    /// Requests of one lane to another.
    Arrow {
        /// The lane that sends, counted from 0.
        from: usize,
        /// The lane that receives.
        to: usize,
        /// The label.
        label: String,
        /// The number of requests.
        count: usize,
        /// The effect of the requests.
        kind: Kind,
    },
    /// A remark over all lanes.
    Note(String),
}

/// A part of the sequence, with a heading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Band {
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub purpose: String,
    /// Its rows, from top to bottom.
    pub rows: Vec<Row>,
}

/// The whole diagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sequence {
    /// Its name, for screen readers.
    pub title: String,
    /// What it shows, for screen readers.
    pub description: String,
    /// The lanes from left to right: the name and the description of each.
    pub lanes: Vec<(String, String)>,
    /// Its bands, from top to bottom.
    pub bands: Vec<Band>,
}

const MARGIN: u32 = 24;
/// Distance from the edge of a band to its first and its last lane.
const INSET: u32 = 96;
const HEAD: u32 = 64;
const HEADING: u32 = 36;
const ROW: u32 = 29;
const PAD: u32 = 10;
const SPACE: u32 = 14;
const LEGEND: u32 = 34;
/// Upper bound for the width of a character, in any of the fonts.
const CHARACTER: u32 = 8;
const SHORTEST: u32 = 200;

/// The drawing has a background of its own, so it is readable on any page. It is dark if the reader prefers dark pages.
const STYLE: &str = "\
.ground { fill: #ffffff; stroke: #d0d7de; }
.band { fill: #f6f8fa; stroke: #d8dee4; }
.band-ground { fill: #f6f8fa; }
.strip { fill: #e7edf4; }
.lane { fill: #1f3a5f; }
.life { stroke: #b6c0cb; stroke-dasharray: 3 4; }
.read { stroke: #6b7785; stroke-width: 1.2; }
.write { stroke: #c2410c; stroke-width: 2.2; }
.invocation { stroke: #1f6feb; stroke-width: 1.6; stroke-dasharray: 6 3; }
.head-read { fill: #6b7785; } .head-write { fill: #c2410c; } .head-invocation { fill: #1f6feb; }
text { font: 12.5px SANS; fill: #24292f; }
.label { text-anchor: middle; }
.label-write { text-anchor: middle; font-weight: 600; fill: #b03a08; }
.label-invocation { text-anchor: middle; fill: #1a5fd0; }
.count { fill: #5c6773; font-weight: 400; }
.title { font: 600 14px SANS; fill: #ffffff; text-anchor: middle; }
.role { font: 11px SANS; fill: #c9d8ec; text-anchor: middle; }
.name { font: 600 13.5px MONOSPACE; }
.purpose { fill: #57606a; }
.note { font-style: italic; fill: #57606a; text-anchor: middle; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; stroke: #30363d; }
  .band { fill: #151b23; stroke: #2b333d; }
  .band-ground { fill: #151b23; }
  .strip { fill: #212a35; }
  .lane { fill: #24476f; }
  .life { stroke: #465160; }
  .read { stroke: #98a4b3; }
  .write { stroke: #ff9b63; }
  .invocation { stroke: #6cb0ff; }
  .head-read { fill: #98a4b3; } .head-write { fill: #ff9b63; } .head-invocation { fill: #6cb0ff; }
  text { fill: #e6edf3; }
  .label-write { fill: #ffab7a; }
  .label-invocation { fill: #84bdff; }
  .count, .purpose, .note { fill: #9aa7b5; }
}";

impl Sequence {
    /// The diagram as an SVG document. The longest label determines the distance of the lanes.
    pub fn draw(&self) -> String {
        let gap = self.gap();
        let width = 2 * (MARGIN + INSET) + gap * pixels(self.lanes.len().saturating_sub(1));
        let bands: u32 = self.bands.iter().map(|band| height(band) + SPACE).sum();
        let size = (width, MARGIN + HEAD + SPACE + bands + LEGEND);
        let mut canvas = Canvas::default();
        canvas.rectangle("ground", (1, 1), (size.0 - 2, size.1 - 2), 12);
        for (number, (name, role)) in self.lanes.iter().enumerate() {
            let x = lane(number, gap);
            canvas.rectangle("lane", (x - INSET + 4, MARGIN), (2 * INSET - 8, HEAD - 14), 8);
            canvas.text("title", (x, MARGIN + 21), &[("", name)]);
            canvas.text("role", (x, MARGIN + 39), &[("", role)]);
        }
        let mut y = MARGIN + HEAD;
        for band in &self.bands {
            draw_band(&mut canvas, band, y, (width, gap), self.lanes.len());
            y += height(band) + SPACE;
        }
        draw_legend(&mut canvas, y + 12);
        let style = STYLE.replace("SANS", SANS).replace("MONOSPACE", MONOSPACE);
        canvas.document(size, &self.title, &self.description, &style)
    }

    /// The distance between lanes, which the longest label determines.
    fn gap(&self) -> u32 {
        let rows = self.bands.iter().flat_map(|band| &band.rows);
        let labels = rows.filter_map(|row| match row {
            Row::Arrow { label, count, .. } => Some(label.chars().count() + times(*count).chars().count()),
            Row::Note(_) => None,
        });
        SHORTEST.max(labels.map(pixels).max().unwrap_or_default() * CHARACTER)
    }
}

fn draw_band(canvas: &mut Canvas, band: &Band, top: u32, (width, gap): (u32, u32), lanes: usize) {
    let bottom = top + height(band);
    canvas.rectangle("band", (MARGIN, top), (width - 2 * MARGIN, height(band)), 8);
    canvas.rectangle("strip", (MARGIN + 1, top + 1), (width - 2 * MARGIN - 2, HEADING - 2), 7);
    let heading = [("name", band.name.as_str()), ("", "\u{2003}"), ("purpose", band.purpose.as_str())];
    canvas.text("", (MARGIN + 16, top + 23), &heading);
    for number in 0..lanes {
        let x = lane(number, gap);
        canvas.line("life", (x, top + HEADING), (x, bottom));
    }
    let mut y = top + HEADING + PAD;
    for row in &band.rows {
        y += ROW;
        match row {
            Row::Note(text) => {
                let half = pixels(text.chars().count()) * CHARACTER / 2;
                canvas.rectangle("band-ground", (width / 2 - half, y - 22), (2 * half, 20), 0);
                canvas.text("note", (width / 2, y - 8), &[("", text)]);
            }
            Row::Arrow { from, to, label, count, kind } => {
                let (from, to) = (lane(*from, gap), lane(*to, gap));
                draw_arrow(canvas, *kind, (from, to), y - 4);
                // the label is at the end of the arrow away from hubkeeper, where no other lane crosses it
                let middle = if to > from { to - gap / 2 } else { to + gap / 2 };
                let class = match kind {
                    Kind::Read => "label",
                    Kind::Write => "label-write",
                    Kind::Invocation => "label-invocation",
                };
                canvas.text(class, (middle, y - 11), &[("", label), ("count", &times(*count))]);
            }
        }
    }
}

fn draw_arrow(canvas: &mut Canvas, kind: Kind, (from, to): (u32, u32), y: u32) {
    let (line, head) = match kind {
        Kind::Read => ("read", "head-read"),
        Kind::Write => ("write", "head-write"),
        Kind::Invocation => ("invocation", "head-invocation"),
    };
    let back = if to > from { to - 9 } else { to + 9 };
    canvas.line(line, (from, y), (back, y));
    canvas.triangle(head, [(to, y), (back, y - 5), (back, y + 5)]);
}

fn draw_legend(canvas: &mut Canvas, y: u32) {
    let mut x = MARGIN + 16;
    for (kind, text) in [
        (Kind::Invocation, "the function is invoked"),
        (Kind::Read, "requests that read"),
        (Kind::Write, "a request that changes something"),
    ] {
        draw_arrow(canvas, kind, (x, x + 40), y - 4);
        canvas.text("purpose", (x + 50, y), &[("", text)]);
        x += 70 + pixels(text.len()) * CHARACTER;
    }
}

fn height(band: &Band) -> u32 {
    HEADING + PAD + ROW * pixels(band.rows.len()) + PAD
}

fn lane(number: usize, gap: u32) -> u32 {
    MARGIN + INSET + gap * pixels(number)
}

fn pixels(number: usize) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// ` ×4`, with a space that every renderer keeps. Empty for a single request.
fn times(count: usize) -> String {
    if count > 1 { format!("\u{a0}\u{d7}{count}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(label: &str) -> Sequence {
        let row = |from, to, label: &str, count, kind| Row::Arrow { from, to, label: label.into(), count, kind };
        let rows =
            vec![row(0, 1, "step", 1, Kind::Invocation), row(1, 2, label, 3, Kind::Read), Row::Note("a < b".into())];
        let lanes = ["A", "B", "C"].map(|name| (name.to_owned(), String::new())).to_vec();
        let bands = vec![Band { name: "one".into(), purpose: "first".into(), rows }];
        Sequence { title: "title".into(), description: "described".into(), lanes, bands }
    }

    #[test]
    fn each_row_is_drawn_with_its_count() {
        let drawn = sequence("list").draw();
        assert!(drawn.contains(">list<tspan class=\"count\">\u{a0}×3</tspan></text>"), "{drawn}");
        assert!(drawn.contains(">step</text>"), "{drawn}");
        assert!(drawn.contains(">a &lt; b</text>"), "{drawn}");
    }

    #[test]
    fn a_longer_label_moves_the_lanes_apart() {
        assert_eq!(sequence("short").gap(), SHORTEST);
        assert!(sequence(&"x".repeat(60)).gap() >= 60 * CHARACTER);
    }
}
