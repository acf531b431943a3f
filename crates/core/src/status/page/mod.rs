//! Renders the status page: HTML for a widget of a dashboard of `CloudWatch`, or a whole document for a file.
//!
//! Everything from outside passes [`escape`]. The page holds no script, because `CloudWatch` removes it
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_security.html>), and no
//! address of another host except that of the console. Optional end tags are left out, to keep a large fleet small.

pub mod text;

use std::fmt::Write as _;

use crate::status::{Item, State};
pub use text::{Logs, escape};

/// Maximum bytes of a widget. The rows that do not fit are left out: the last ones, which are the least bad.
pub const LARGEST: usize = 100_000;
/// Bytes reserved for the remarks below the table of a widget, without its filter.
const REMARKS: usize = 400;
/// Days of a full bar: the default life of a token.
const FULL_BAR: i64 = 90;
/// Width of a full bar in pixels.
const BAR: i64 = 60;

/// The documentation of the widget, in Markdown: the response to `{"describe": true}`.
pub const DESCRIPTION: &str = "\
## hubkeeper: status of the managed secrets

Shows every secret that hubkeeper manages, worst first: its state, the days until its token expires, the last proof, and what to do. \
Reads AWS Secrets Manager and Azure Resource Manager. Writes nothing, and logs in nowhere at Docker Hub.

### Parameters

Parameter | Description
---|---
**filter** | Shows the organizations whose name contains this text. Default: all.
**secretIds** | Names or ARNs of secrets. Default: every managed secret.
**next** | Starts after this secret: a page reads 500.

### Example parameters

``` yaml
filter: acme
```
";

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    /// Docker Hub organization.
    pub organization: Option<&'a str>,
    /// Name or ARN.
    pub secret_id: &'a str,
    /// The worst state that applies.
    pub state: State,
    /// The reason for the state, and the remedy.
    pub reason: Option<&'a str>,
    /// Full days until the token expires.
    pub days_left: Option<i64>,
    /// The version that is AWSCURRENT.
    pub version_id: Option<&'a str>,
    /// The version in the connector.
    pub carried_version_id: Option<&'a str>,
    /// When it was first proven, RFC 3339.
    pub proved_at: Option<&'a str>,
    /// Number of repositories that the proof read.
    pub repositories: Option<u64>,
    /// Number of private ones among them.
    pub private: Option<u64>,
    /// When the next rotation starts, RFC 3339.
    pub next_rotation_at: Option<&'a str>,
}

impl<'a> From<&'a Item> for Row<'a> {
    fn from(item: &'a Item) -> Self {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            organization: item.organization.as_deref(),
            secret_id: &item.secret_id,
            state: item.state,
            reason: item.reason.as_deref(),
            days_left: item.days_left,
            version_id: item.version_id.as_ref().map(crate::ids::VersionId::as_str),
            carried_version_id: item.carried_version_id.as_ref().map(crate::ids::VersionId::as_str),
            proved_at: item.proved_at.as_deref(),
            repositories: item.repositories.map(number),
            private: item.private.map(number),
            next_rotation_at: item.next_rotation_at.as_deref(),
        }
    }
}

impl Row<'_> {
    /// What the row is called: the organization, or the secret if its organization is unknown.
    fn name(&self) -> &str {
        self.organization.unwrap_or(self.secret_id)
    }

    /// Whether the name contains `filter`, in upper or lower case.
    fn passes(&self, filter: &str) -> bool {
        filter.is_empty() || self.name().to_ascii_lowercase().contains(&filter.to_ascii_lowercase())
    }
}

/// What the page needs to know besides its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options<'a> {
    /// What a name has to contain; empty for every row.
    pub filter: &'a str,
    /// Whether the dashboard is dark.
    pub dark: bool,
    /// ARN that the buttons of a widget invoke; without it there are no buttons.
    pub endpoint: Option<&'a str>,
    /// The secrets that the widget names; empty for every managed secret.
    pub secret_ids: &'a [String],
    /// Start of this page.
    pub from: Option<&'a str>,
    /// Start of the next page, if there is one.
    pub next: Option<&'a str>,
    /// The function's log group, if it is known.
    pub logs: Option<Logs<'a>>,
    /// When the status was read, RFC 3339.
    pub read_at: &'a str,
}

/// Renders the page of a widget, in at most [`LARGEST`] bytes. The rows are sorted, worst first.
pub fn widget(rows: &[Row<'_>], options: &Options<'_>) -> String {
    let mut page = String::with_capacity(16_384);
    page.push_str("<style>");
    page.push_str(STYLE);
    page.push_str(if options.dark { "</style><div class=\"hk dark\">" } else { "</style><div class=\"hk\">" });
    if rows.is_empty() && options.from.is_none() && options.secret_ids.is_empty() {
        page.push_str(EMPTY);
        page.push_str("</div>");
        return page;
    }
    sums(&mut page, rows);
    if let Some(endpoint) = options.endpoint {
        let _ = write!(
            page,
            "<form><label>Organization contains <input name=\"filter\" maxlength=\"128\" value=\"{}\"></label></form>",
            escape(options.filter)
        );
        button(&mut page, "Filter", endpoint, &parameters(options, None, false));
        if options.from.is_some() {
            button(&mut page, "First page", endpoint, &parameters(options, None, true));
        }
    }
    let matching: Vec<&Row<'_>> = rows.iter().filter(|row| row.passes(options.filter)).collect();
    let mut after = String::new();
    follow(&mut after, options);
    foot(&mut after, options);
    after.push_str("</div>");
    let reserved = after.len() + escape(options.filter).len() + REMARKS;
    let shown = table(&mut page, &matching, options, LARGEST.saturating_sub(reserved));
    remarks(&mut page, shown, matching.len(), rows.len(), options);
    page.push_str(&after);
    page
}

/// Writes how to come to the next page, if there is one.
fn follow(page: &mut String, options: &Options<'_>) {
    match (options.next, options.endpoint) {
        (Some(next), Some(endpoint)) => button(page, "Next page", endpoint, &parameters(options, Some(next), true)),
        (Some(next), None) => {
            let _ = write!(
                page,
                "<p>More secrets follow. Set the parameter <code>next</code> to <code>{}</code>.</p>",
                escape(next)
            );
        }
        (None, _) => {}
    }
}

/// Renders the page as a whole document, with every row.
pub fn document(rows: &[Row<'_>], options: &Options<'_>) -> String {
    let mut page = String::with_capacity(16_384);
    page.push_str(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>hubkeeper: status</title>\n<style>",
    );
    page.push_str(STYLE);
    let _ = write!(
        page,
        "body{{margin:0}}.hk{{min-height:100vh;padding:16px;box-sizing:border-box}}@media(prefers-color-scheme:dark){{.hk{{{DARK}}}}}"
    );
    for state in present(rows) {
        let name = state.name();
        let _ = write!(page, ".hk:has(#only-{name}:checked) tbody tr:not(.{name}){{display:none}}");
    }
    page.push_str("</style>\n</head>\n<body>\n<main class=\"hk\">\n<h1>hubkeeper: status</h1>\n");
    if rows.is_empty() {
        page.push_str(EMPTY);
    } else {
        sums(&mut page, rows);
        page.push_str(
            "<fieldset><legend>Show</legend><label><input type=\"radio\" name=\"state\" checked> all</label>",
        );
        for state in present(rows) {
            let (name, words) = (state.name(), state.words());
            let _ = write!(page, "<label><input type=\"radio\" name=\"state\" id=\"only-{name}\"> {words}</label>");
        }
        page.push_str("</fieldset>");
        let all: Vec<&Row<'_>> = rows.iter().collect();
        table(&mut page, &all, options, usize::MAX);
    }
    foot(&mut page, options);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Returns the states that some row has, worst first.
fn present<'a>(rows: &'a [Row<'_>]) -> impl Iterator<Item = State> + 'a {
    State::ALL.into_iter().filter(|state| rows.iter().any(|row| row.state == *state))
}

/// Writes how many rows have each state.
fn sums(page: &mut String, rows: &[Row<'_>]) {
    let noun = if rows.len() == 1 { "secret" } else { "secrets" };
    let _ = write!(page, "<p class=\"sums\"><b>{} {noun}</b>", rows.len());
    for state in present(rows) {
        let count = rows.iter().filter(|row| row.state == state).count();
        let _ =
            write!(page, " <span class=\"{}\"><b>{} {count} {}</b></span>", state.name(), state.sign(), state.words());
    }
    page.push_str("</p>");
}

/// Writes the table until the page has `largest` bytes, and returns the number of its rows.
fn table(page: &mut String, rows: &[&Row<'_>], options: &Options<'_>, largest: usize) -> usize {
    page.push_str(HEAD);
    let mut shown = 0;
    for row in rows {
        let before = page.len();
        write_row(page, row, options);
        if page.len() > largest {
            page.truncate(before);
            break;
        }
        shown += 1;
    }
    page.push_str("</table></div>");
    shown
}

fn write_row(page: &mut String, row: &Row<'_>, options: &Options<'_>) {
    let (class, sign, words) = (row.state.name(), row.state.sign(), row.state.words());
    let _ = write!(page, "<tr class={class}><th scope=row>{}<td><b>{sign} {words}</b><td>", escape(row.name()));
    match row.days_left {
        Some(days) => {
            let width = days.clamp(0, FULL_BAR) * BAR / FULL_BAR;
            // the number beside the bar says the same to a reader of the screen
            let _ = write!(page, "<i style=\"width:{width}px\"></i>{days}");
        }
        None => page.push('-'),
    }
    let _ = write!(page, "<td>{}<td>", text::day(row.proved_at));
    match (row.repositories, row.private) {
        (Some(all), Some(private)) => {
            let _ = write!(page, "{all}, {private} private");
        }
        _ => page.push('-'),
    }
    let _ = write!(page, "<td>{}", text::short(row.carried_version_id));
    if let (Some(carried), Some(current)) = (row.carried_version_id, row.version_id)
        && carried != current
    {
        let _ = write!(page, ", not {}", text::short(Some(current)));
    }
    let _ = write!(page, "<td>{}<td>", text::day(row.next_rotation_at));
    if let Some(reason) = row.reason {
        page.push_str(&escape(reason));
        if let (Some(logs), Some(organization)) = (&options.logs, row.organization) {
            let _ =
                write!(page, " <a href=\"{}\">Logs of {}</a>", escape(&logs.link(organization)), escape(organization));
        }
    }
    page.push('\n');
}

/// Writes what the table leaves out.
fn remarks(page: &mut String, shown: usize, matching: usize, all: usize, options: &Options<'_>) {
    if !options.filter.is_empty() {
        let _ = write!(
            page,
            "<p>{matching} of {all} organizations on this page contain <q>{}</q>.</p>",
            escape(options.filter)
        );
    }
    if shown < matching {
        let _ =
            write!(page, "<p>The table has the worst {shown} of {matching} secrets: set a filter to see others.</p>");
    }
}

fn foot(page: &mut String, options: &Options<'_>) {
    let _ = write!(page, "<p class=\"dim\">Read at {}. Reading changed nothing.</p>", escape(options.read_at));
}

/// The parameters of a button: the widget's own, from another start. The form has the filter of the button `Filter`.
fn parameters(options: &Options<'_>, next: Option<&str>, with_filter: bool) -> String {
    let mut parameters = serde_json::json!({ "next": next });
    if with_filter {
        parameters["filter"] = options.filter.into();
    }
    if !options.secret_ids.is_empty() {
        parameters["secretIds"] = options.secret_ids.into();
    }
    parameters.to_string()
}

/// Writes a button that invokes the function and replaces the widget with its response.
fn button(page: &mut String, words: &str, endpoint: &str, parameters: &str) {
    let _ = write!(
        page,
        "<a class=\"btn\" role=\"button\" tabindex=\"0\">{words}</a><cwdb-action action=\"call\" display=\"widget\" endpoint=\"{}\">{}</cwdb-action> ",
        escape(endpoint),
        escape(parameters)
    );
}

/// The page of an account without managed secrets.
const EMPTY: &str = "\
<h2>hubkeeper manages no secret yet</h2>\
<p>To onboard a Docker Hub organization:</p>\
<ol><li>Create its secret: <code>hubkeeper init ORGANIZATION</code>\
<li>Prove its token and create the connector: <code>hubkeeper onboard SECRET</code>, or send \
<code>{&quot;action&quot;:&quot;onboard&quot;,&quot;secretId&quot;:&quot;SECRET&quot;}</code> to the function\
<li>Open this page again: the secret is in the table.</ol>";

/// The start of the table. A region that can scroll needs the focus of the keyboard.
const HEAD: &str = "\
<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Status of the secrets\"><table>\
<caption>Managed secrets, worst first</caption>\
<thead><tr><th scope=\"col\">Organization<th scope=\"col\">State<th scope=\"col\">Days left<th scope=\"col\">Last proof\
<th scope=\"col\">Repositories<th scope=\"col\">Carried version<th scope=\"col\">Next rotation<th scope=\"col\">What to do\
<tbody>";

/// The colours of a dark page.
const DARK: &str =
    "--fg:#e9ebed;--bg:#0f1b2a;--line:#414d5c;--dim:#a6b0bb;--bad:#ff9b91;--warn:#f5c26b;--good:#7fd78c;--busy:#8cc4ff";

/// The style. A widget shares its document with the dashboard, so that each rule begins with the page's own class. `<b>`
/// is the coloured word of a row, and `<i>` its bar: both say nothing to a reader of the screen.
const STYLE: &str = concat!(
    ".hk{--fg:#16191f;--bg:#fff;--line:#d1d5db;--dim:#545b64;--bad:#b0271c;--warn:#855600;--good:#1a7030;--busy:#0a5fb4;",
    "color:var(--fg);background:var(--bg);font:14px/1.45 system-ui,sans-serif;container-type:inline-size}",
    ".hk.dark{--fg:#e9ebed;--bg:#0f1b2a;--line:#414d5c;--dim:#a6b0bb;--bad:#ff9b91;--warn:#f5c26b;--good:#7fd78c;--busy:#8cc4ff}",
    ".hk .wide{overflow-x:auto}.hk table{border-collapse:collapse;width:100%;color:inherit}",
    ".hk caption{text-align:left;color:var(--dim);padding:4px 0}",
    ".hk th,.hk td{text-align:left;vertical-align:top;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);color:inherit;background:none}",
    ".hk thead th{color:var(--dim);white-space:nowrap}.hk tbody th{overflow-wrap:anywhere;min-width:6em}",
    ".hk td:nth-child(-n+7){white-space:nowrap}.hk td:nth-child(8){overflow-wrap:anywhere;min-width:14em}",
    ".hk i{display:inline-block;height:9px;margin-right:5px;background:var(--c)}",
    ".hk b{color:var(--c,inherit)}.hk .expired,.hk .stuck,.hk .drifted{--c:var(--bad)}",
    ".hk .unknown,.hk .awaiting,.hk .candidateWaiting,.hk .expiring{--c:var(--warn)}",
    ".hk .rotating{--c:var(--busy)}.hk .ready{--c:var(--good)}.hk .offboarded{--c:var(--dim)}",
    ".hk .sums>*{display:inline-block;margin-right:14px}.hk .dim{color:var(--dim)}.hk form{display:inline-block;margin:0 8px 8px 0}",
    ".hk a{color:var(--busy)}.hk .btn{color:var(--busy);border:1px solid;border-radius:4px;padding:2px 10px;cursor:pointer;background:none}",
    ".hk input{font:inherit;color:inherit;background:var(--bg);border:1px solid var(--dim)}.hk code{overflow-wrap:anywhere}",
    ".hk fieldset{border:0;padding:0;margin:0 0 8px}.hk fieldset label{margin-right:12px;display:inline-block}.hk legend{float:left;margin-right:12px;padding:0}",
    ".hk h1{font-size:20px;margin:0 0 8px}.hk h2{font-size:16px;margin:0 0 8px}",
    "@container(max-width:820px){.hk tr>:nth-child(n+4):nth-child(-n+7){display:none}}",
    "@container(max-width:520px){.hk table,.hk caption,.hk thead,.hk tbody{display:block}",
    ".hk tr{display:grid;grid-template-columns:minmax(0,1fr) 10.5em 5em;border-bottom:1px solid var(--line);padding:3px 0}",
    ".hk tr>*{border:0;padding:2px 6px 2px 0}.hk tr>:nth-child(8){grid-column:1/-1;padding:0}.hk i{display:none}}",
);

#[cfg(test)]
mod tests;
