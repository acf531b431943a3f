use super::*;

fn row(organization: &str, state: State) -> Row<'_> {
    Row {
        organization: Some(organization),
        secret_id: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf",
        state,
        reason: None,
        days_left: Some(85),
        version_id: Some("11111111-1111-4111-a111-111111111111"),
        carried_version_id: Some("11111111-1111-4111-a111-111111111111"),
        proved_at: Some("2026-11-24T10:00:00Z"),
        repositories: Some(42),
        private: Some(3),
        next_rotation_at: Some("2026-12-24T10:00:00Z"),
    }
}

const LOGS: Logs<'_> = Logs { region: "eu-west-1", group: "/aws/lambda/hubkeeper" };
const ARN: &str = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper:status";

fn options() -> Options<'static> {
    Options { endpoint: Some(ARN), logs: Some(LOGS), read_at: "2026-11-24T10:00:00Z", ..Options::default() }
}

/// What a hostile name would do if it were not escaped.
const HOSTILE: &str = "\"><script>alert('x')</script><a href='javascript:x' onclick=\"y\">&amp;\u{202e}";

fn is_inert(page: &str) {
    for bad in ["<script", "alert('x')", "javascript:x'", "onclick=\"", "\u{202e}", "&amp;amp;\""] {
        assert!(!page.contains(bad), "{bad}: {page}");
    }
}

#[test]
fn a_row_shows_state_as_sign_and_word_and_the_days_as_bar_and_number() {
    let page = widget(&[row("acme", State::Ready)], &options());
    let expected = "<tr class=ready><th scope=row>acme<td><b>✓ ready</b><td><i style=\"width:56px\"></i>85<td>2026-11-24\
                    <td>42, 3 private<td>11111111<td>2026-12-24<td>\n";
    assert!(page.contains(expected), "{page}");
    assert!(page.contains("<b>1 secret</b> <span class=\"ready\"><b>✓ 1 ready</b></span>"), "{page}");
    assert!(page.contains("<caption>") && !page.contains("console."), "{page}");
}

#[test]
fn a_row_without_values_has_dashes_and_is_named_by_its_secret() {
    let bare = Row {
        organization: None,
        days_left: None,
        version_id: None,
        carried_version_id: None,
        proved_at: None,
        repositories: None,
        private: None,
        next_rotation_at: None,
        reason: Some("cannot be read"),
        ..row("", State::Unknown)
    };
    let page = widget(&[bare], &options());
    let cells =
        format!("<th scope=row>{}<td><b>? unknown</b><td>-<td>-<td>-<td>-<td>-<td>cannot be read\n", bare.secret_id);
    assert!(page.contains(&cells), "{page}");
}

#[test]
fn a_connector_of_another_version_shows_both() {
    let other = Row { version_id: Some("22222222-1111-4111-a111-111111111111"), ..row("acme", State::Drifted) };
    assert!(widget(&[other], &options()).contains("<td>11111111, not 22222222<td>"));
}

#[test]
fn a_bar_has_the_length_of_the_days() {
    for (days, width) in [(-3, 0), (0, 0), (45, 30), (90, 60), (400, 60)] {
        let page = widget(&[Row { days_left: Some(days), ..row("acme", State::Ready) }], &options());
        assert!(page.contains(&format!("width:{width}px\"></i>{days}<td>")), "{days}");
    }
}

#[test]
fn each_state_has_a_colour_a_sign_and_a_word() {
    for state in State::ALL {
        assert!(STYLE.contains(&format!(".hk .{}", state.name())), "{state:?}");
        assert!(!state.sign().is_empty() && !state.words().is_empty());
        assert_eq!(State::named(state.name()), Some(state));
    }
    assert_eq!(State::named("nonsense"), None);
    assert!(STYLE.contains(DARK));
}

#[test]
fn what_comes_from_outside_is_text() {
    let hostile = Row {
        secret_id: HOSTILE,
        reason: Some(HOSTILE),
        version_id: Some("'\"<"),
        carried_version_id: Some("<b>'\""),
        proved_at: Some(HOSTILE),
        next_rotation_at: Some(HOSTILE),
        ..row(HOSTILE, State::Drifted)
    };
    let named = [HOSTILE.to_owned()];
    let options = Options {
        filter: HOSTILE,
        dark: true,
        endpoint: Some(HOSTILE),
        secret_ids: &named,
        from: Some(HOSTILE),
        next: Some(HOSTILE),
        logs: Some(Logs { region: HOSTILE, group: HOSTILE }),
        read_at: HOSTILE,
    };
    for page in [
        widget(&[hostile], &options),
        widget(&[hostile], &Options { endpoint: None, ..options }),
        widget(&[Row { organization: None, ..hostile }], &Options { filter: "", ..options }),
        document(&[hostile], &options),
    ] {
        is_inert(&page);
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
    assert_eq!(escape("a\u{0}b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c d");
    assert_eq!(escape("&<>\"'"), "&amp;&lt;&gt;&quot;&#39;");
}

#[test]
fn the_logs_are_linked_where_somebody_has_to_act() {
    let reason = Some("do this");
    let bad = Row { reason, ..row("acme", State::Drifted) };
    let page = widget(&[bad], &options());
    let link = LOGS.link("acme");
    assert!(page.contains(&format!("do this <a href=\"{link}\">Logs of acme</a>")), "{page}");
    assert!(
        link.starts_with(
            "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:logs-insights$3F"
        ),
        "{link}"
    );
    assert!(
        link.contains("hub.organization*20*3d*20*22acme*22") && link.contains("*2faws*2flambda*2fhubkeeper"),
        "{link}"
    );
    assert!(!link.contains(['\'', '(', ')', ' ', '~', '"']), "{link}");
    assert!(LOGS.link("a\"\\").contains("*22a*5c*22*5c*5c*22"));
    assert!(!widget(&[bad], &Options { logs: None, ..options() }).contains("<a href"));
    for (region, host) in [("cn-north-1", "console.amazonaws.cn/"), ("us-gov-west-1", "console.amazonaws-us-gov.com/")]
    {
        assert!(Logs { region, ..LOGS }.link("acme").contains(host));
    }
}

#[test]
fn a_filter_keeps_the_sums_and_says_what_it_left_out() {
    let rows = [row("acme", State::Drifted), row("Umbrella", State::Ready)];
    let page = widget(&rows, &Options { filter: "UMB", ..options() });
    assert!(page.contains("2 secrets") && page.contains("row>Umbrella") && !page.contains("row>acme"), "{page}");
    assert!(page.contains("1 of 2 organizations on this page contain <q>UMB</q>"), "{page}");
    assert!(page.contains("value=\"UMB\""), "{page}");
    assert!(!widget(&rows, &options()).contains("on this page contain"));
}

#[test]
fn the_buttons_keep_the_parameters_of_the_widget() {
    let named = ["a".to_owned()];
    let options = Options { filter: "x", secret_ids: &named, from: Some("b"), next: Some("c"), ..options() };
    let page = widget(&[row("x", State::Ready)], &options);
    let action = |words: &str, parameters: &str| {
        let button = format!(
            "{words}</a><cwdb-action action=\"call\" display=\"widget\" endpoint=\"{ARN}\">{}</cwdb-action>",
            escape(parameters)
        );
        assert!(page.contains(&button), "{button}\n{page}");
    };
    action("Filter", r#"{"next":null,"secretIds":["a"]}"#);
    action("First page", r#"{"filter":"x","next":null,"secretIds":["a"]}"#);
    action("Next page", r#"{"filter":"x","next":"c","secretIds":["a"]}"#);
    let without = widget(&[row("x", State::Ready)], &Options { endpoint: None, ..options });
    assert!(!without.contains("cwdb") && without.contains("<code>c</code>"), "{without}");
    let single = widget(&[row("x", State::Ready)], &super::tests::options());
    assert!(!single.contains("Next page") && !single.contains("First page"), "{single}");
}

#[test]
fn an_account_without_secrets_says_how_to_onboard() {
    let page = widget(&[], &options());
    assert!(page.contains("hubkeeper init") && !page.contains("<table"), "{page}");
    assert!(document(&[], &options()).contains("hubkeeper onboard"));
    // the last page, and a widget of named secrets, are not an empty account
    assert!(!widget(&[], &Options { from: Some("x"), ..options() }).contains("hubkeeper init"));
    let named = ["a".to_owned()];
    assert!(!widget(&[], &Options { secret_ids: &named, ..options() }).contains("hubkeeper init"));
}

#[test]
fn a_page_of_500_organizations_is_under_100_kilobytes() {
    let names: Vec<String> = (0..500).map(|n| format!("organization-{n:04}")).collect();
    let reason = "the connector drifted: scan interval; to repair it, run hubkeeper reconcile arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf";
    let rows: Vec<Row<'_>> = (0..500)
        .map(|n| match n {
            0..15 => Row { reason: Some(reason), ..row(&names[n], State::Drifted) },
            _ => row(&names[n], State::Ready),
        })
        .collect();
    let page = widget(&rows, &options());
    assert!(page.len() < LARGEST && page.matches("<tr class=").count() == 500, "{}", page.len());
    assert!(!page.contains("The table has the worst"));

    let rows: Vec<Row<'_>> =
        names.iter().map(|name| Row { reason: Some(reason), ..row(name, State::Drifted) }).collect();
    let page = widget(&rows, &options());
    let shown = page.matches("<tr class=").count();
    assert!(page.len() < LARGEST && shown > 100, "{} bytes, {shown} rows", page.len());
    assert!(page.contains(&format!("The table has the worst {shown} of 500 secrets")) && page.contains("500 drifted"));
    assert_eq!(document(&rows, &options()).matches("<tr class=").count(), 500);
}

#[test]
fn a_document_filters_by_state_without_a_script() {
    let page = document(&[row("acme", State::Drifted), row("umbrella", State::Ready)], &options());
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">") && page.ends_with("</html>\n"));
    assert!(page.contains(".hk:has(#only-drifted:checked) tbody tr:not(.drifted){display:none}"), "{page}");
    assert!(page.contains("id=\"only-ready\"") && !page.contains("id=\"only-stuck\"") && !page.contains("<script"));
    assert!(page.contains("prefers-color-scheme:dark") && !page.contains("cwdb"));
}

#[test]
fn a_dark_dashboard_gets_a_dark_page() {
    let rows = [row("acme", State::Ready)];
    assert!(widget(&rows, &Options { dark: true, ..options() }).contains("class=\"hk dark\""));
    assert!(!widget(&rows, &options()).contains("class=\"hk dark\""));
}
