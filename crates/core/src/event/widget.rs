//! The calls of a custom widget of `CloudWatch`: `{"describe": true}`, and an event with `widgetContext`. `CloudWatch`
//! passes the widget's parameters both at the top and as `widgetContext.params`, and the fields of a form as
//! `widgetContext.forms.all`
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html>).

use serde_json::Value;

use crate::event::action::secret_ids;
use crate::event::parsed::{Event, StatusQuery, WidgetQuery};
use crate::fields::{FieldError, Fields};

/// Whether the event is a call of a widget.
pub(super) fn is_widget(fields: &Fields<'_>) -> bool {
    fields.has("describe") || fields.has("widgetContext")
}

/// Parses the call. Other fields are ignored: `CloudWatch` adds to its context, and a person adds parameters.
pub(super) fn parse(fields: &Fields<'_>) -> Result<Event, FieldError> {
    if fields.flag("describe")? {
        return Ok(Event::Describe);
    }
    let context = fields.object("widgetContext")?;
    let params = context.optional_object("params")?;
    let form = match context.optional_object("forms")? {
        Some(forms) => forms.optional_object("all")?,
        None => None,
    };
    // a button passes its own value, even null, instead of the widget's parameter
    let holder = |name: &str| {
        let top = Some(fields).filter(|fields| fields.has(name));
        top.or(params.as_ref().filter(|params| params.has(name)))
    };
    let typed = form.as_ref().filter(|form| form.has("filter"));
    let filter = match typed.or(holder("filter")) {
        Some(holder) => filter(holder)?,
        None => String::new(),
    };
    let next = match holder("next").filter(|holder| is_given(holder, "next")) {
        Some(holder) => Some(holder.secret_id("next")?),
        None => None,
    };
    let named = match holder("secretIds").filter(|holder| is_given(holder, "secretIds")) {
        Some(holder) => Some(secret_ids(holder)?),
        None => None,
    };
    let dark = context.get("theme").and_then(Value::as_str) == Some("dark");
    Ok(Event::Widget(WidgetQuery { status: StatusQuery { secret_ids: named, next }, filter, dark }))
}

/// Whether the parameter has a value: an empty one in the widget's editor means none.
fn is_given(fields: &Fields<'_>, name: &str) -> bool {
    fields.get(name).is_some_and(|value| value.as_str() != Some(""))
}

fn filter(fields: &Fields<'_>) -> Result<String, FieldError> {
    if !is_given(fields, "filter") {
        return Ok(String::new());
    }
    let text = fields.text("filter")?.unwrap_or_default().trim();
    if text.len() > LONGEST_FILTER { Err(fields.wrong("filter", "is too long")) } else { Ok(text.to_owned()) }
}

/// Maximum bytes of a filter. The names of organizations are shorter.
const LONGEST_FILTER: usize = 128;
