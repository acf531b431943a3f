//! `hubkeeper schema`: prints a JSON Schema.

use crate::args::Described;
use crate::context::Context;
use crate::exit::Code;
use crate::schema;

/// Runs the command.
pub fn run(context: &Context, of: Described) -> Code {
    let schema = schema::schema(of);
    context.print(&schema, || serde_json::to_string_pretty(&schema).unwrap_or_default());
    Code::Done
}
