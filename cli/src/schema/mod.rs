//! JSON Schemas (draft 2020-12) of what people write and read: secrets, events and reports. The types here mirror the
//! parsers and reports of the core, and exist for the schemas alone; `cli/tests/commands/schemas.rs` compares both.
//!
//! A schema cannot say everything that the parser checks: what only the parser refuses is listed in that test.

pub mod event;
pub mod report;
pub mod secret;
mod text;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::args::Described;

/// Every schema, and the name of its file without the ending.
pub const ALL: [(Described, &str); 5] = [
    (Described::Secret, "secret"),
    (Described::Manager, "manager"),
    (Described::Owner, "owner"),
    (Described::Event, "event"),
    (Described::Report, "report"),
];

/// The schema of one of them.
pub fn schema(of: Described) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = match of {
        Described::Secret => root::<secret::Secret>(generator),
        Described::Manager => root::<secret::Manager>(generator),
        Described::Owner => root::<secret::Owner>(generator),
        Described::Event => root::<event::Event>(generator),
        Described::Report => root::<report::Response>(generator),
    };
    let name = ALL.iter().find(|(known, _)| *known == of).map_or("", |(_, name)| name);
    schema["$id"] = json!(format!("urn:hubkeeper:schema:{name}"));
    schema
}

fn root<T: JsonSchema>(generator: SchemaGenerator) -> Value {
    generator.into_root_schema_for::<T>().to_value()
}
