//! A small writer of SVG: shapes and text on a canvas. It escapes all input.

use std::fmt::{Display, Write as _};

/// Fonts of text in columns.
pub const MONOSPACE: &str =
    "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace";
/// Fonts of other text.
pub const SANS: &str = "-apple-system, 'Segoe UI', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";

/// A drawing in progress. Lengths are in pixels from the top left corner.
#[derive(Default)]
pub struct Canvas {
    body: String,
}

impl Canvas {
    /// A rectangle with corners of the given radius.
    pub fn rectangle(&mut self, class: &str, corner: (u32, u32), size: (u32, u32), radius: u32) {
        let ((x, y), (width, height)) = (corner, size);
        self.element(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\"/>"
        ));
    }

    /// A circle.
    pub fn circle(&mut self, class: &str, centre: (u32, u32), radius: u32) {
        let (x, y) = centre;
        self.element(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"));
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (u32, u32), to: (u32, u32)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.element(format_args!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"));
    }

    /// A filled shape between three points.
    pub fn triangle(&mut self, class: &str, points: [(u32, u32); 3]) {
        let points = points.map(|(x, y)| format!("{x},{y}")).join(" ");
        self.element(format_args!("<polygon class=\"{class}\" points=\"{points}\"/>"));
    }

    /// A line of text in spans of one class each, on the baseline `at`.
    pub fn text(&mut self, class: &str, at: (u32, u32), spans: &[(&str, &str)]) {
        let (x, y) = at;
        let mut content = String::new();
        for (class, text) in spans.iter().filter(|(_, text)| !text.is_empty()) {
            let text = escaped(text);
            let _ = match *class {
                "" => write!(content, "{text}"),
                class => write!(content, "<tspan class=\"{class}\">{text}</tspan>"),
            };
        }
        self.element(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{content}</text>"));
    }

    fn element(&mut self, element: impl Display) {
        let _ = writeln!(self.body, "  {element}");
    }

    /// The whole document. A screen reader reads `title` and `description`. `style` is a style sheet.
    pub fn document(&self, size: (u32, u32), title: &str, description: &str, style: &str) -> String {
        let ((width, height), body) = (size, &self.body);
        let (title, description) = (escaped(title), escaped(description));
        let style: String = style.lines().fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "    {line}");
            all
        });
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             xml:space=\"preserve\" role=\"img\" aria-labelledby=\"title description\">\n  <title id=\"title\">{title}</title>\n  \
             <desc id=\"description\">{description}</desc>\n  <style>\n{style}  </style>\n{body}</svg>\n"
        )
    }
}

/// Text escaped for XML elements and attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML 1.0 cannot represent control characters
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_escaped_everywhere() {
        let mut canvas = Canvas::default();
        canvas.text("row", (1, 2), &[("", "a<b & 'c'"), ("name", "\"d\"\u{1b}>")]);
        let document = canvas.document((10, 20), "<title>", "&", "rect { fill: none }");
        let text = "<text class=\"row\" x=\"1\" y=\"2\">a&lt;b &amp; &#39;c&#39;<tspan class=\"name\">&quot;d&quot;\u{fffd}&gt;</tspan></text>";
        assert!(document.contains(text), "{document}");
        assert!(document.contains("<title id=\"title\">&lt;title&gt;</title>"), "{document}");
        assert!(document.contains("<desc id=\"description\">&amp;</desc>"), "{document}");
    }
}
