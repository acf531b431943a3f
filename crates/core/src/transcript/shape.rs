//! Shapes of bodies: the types of values, and the names of fields that may be kept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::words;
use crate::time::parse_rfc3339;

/// What a scalar, or a body without fields, may be called.
const KINDS: [&str; 13] = [
    "string",
    "uuid",
    "time",
    "url",
    "empty",
    "number",
    "boolean",
    "null",
    "unreadable",
    "text",
    "html",
    "deep",
    "none",
];

/// The field of a union of several shapes. No name that is kept contains this character.
const UNION: &str = "|";

/// Levels of nesting that a shape shows.
const DEPTH: usize = 24;

/// Fields whose value is a map with keys that are ids or names: no key is kept.
const MAPS: [&str; 12] = [
    "VersionIdsToStages",
    "SecretVersionsToStages",
    "KmsKeyIds",
    "tags",
    "Tags",
    "Variables",
    "labels",
    "annotations",
    "attributes",
    "Attributes",
    "userAssignedIdentities",
    "parameters",
];

/// The shape of a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// A scalar: one of [`KINDS`].
    Scalar(&'static str),
    /// A list, with the distinct shapes of its elements.
    List(BTreeSet<Shape>),
    /// An object, by the names of its fields.
    Object(BTreeMap<String, Shape>),
    /// Several shapes of one field.
    Union(BTreeSet<Shape>),
}

impl Shape {
    /// Returns the shape of a JSON value.
    pub(super) fn of(value: &Value) -> Self {
        Self::at(value, false, 0)
    }

    fn at(value: &Value, is_map: bool, depth: usize) -> Self {
        match value {
            _ if depth > DEPTH => Shape::Scalar("deep"),
            Value::Null => Shape::Scalar("null"),
            Value::Bool(_) => Shape::Scalar("boolean"),
            Value::Number(_) => Shape::Scalar("number"),
            Value::String(text) => Shape::Scalar(kind(text)),
            Value::Array(items) => Shape::List(items.iter().map(|item| Self::at(item, false, depth + 1)).collect()),
            Value::Object(fields) => Self::object(fields.iter().map(|(name, value)| {
                let kept = if is_map { words::OTHER.to_owned() } else { words::name(name) };
                (kept, Self::at(value, MAPS.contains(&name.as_str()), depth + 1))
            })),
        }
    }

    /// Returns the shape of an object. Fields with the same name get the union of their shapes.
    fn object(fields: impl Iterator<Item = (String, Shape)>) -> Self {
        let mut object: BTreeMap<String, Shape> = BTreeMap::new();
        for (name, shape) in fields {
            let shape = match object.remove(&name) {
                Some(other) => other.or(shape),
                None => shape,
            };
            object.insert(name, shape);
        }
        Shape::Object(object)
    }

    /// Returns the union with another shape.
    pub(super) fn or(self, other: Self) -> Self {
        let all = |shape| match shape {
            Shape::Union(shapes) => shapes,
            shape => BTreeSet::from([shape]),
        };
        let mut shapes = all(self);
        shapes.extend(all(other));
        if shapes.len() == 1 { shapes.pop_first().unwrap_or(Shape::Scalar("none")) } else { Shape::Union(shapes) }
    }

    /// Replaces every name of a field for which `hides` is true.
    pub(super) fn without(&self, hides: &dyn Fn(&str) -> bool) -> Self {
        match self {
            Shape::Scalar(kind) => Shape::Scalar(kind),
            Shape::List(items) => Shape::List(items.iter().map(|item| item.without(hides)).collect()),
            Shape::Union(shapes) => {
                let shapes = shapes.iter().map(|shape| shape.without(hides));
                shapes.reduce(Shape::or).unwrap_or(Shape::Scalar("none"))
            }
            Shape::Object(fields) => Self::object(fields.iter().map(|(name, shape)| {
                let name = if hides(name) { words::OTHER } else { name };
                (name.to_owned(), shape.without(hides))
            })),
        }
    }

    /// Returns the shape as JSON: the kind of a scalar, a list of shapes, an object of shapes.
    pub(super) fn to_json(&self) -> Value {
        let list = |shapes: &BTreeSet<Shape>| Value::Array(shapes.iter().map(Shape::to_json).collect());
        match self {
            Shape::Scalar(kind) => Value::from(*kind),
            Shape::List(items) => list(items),
            Shape::Union(shapes) => Value::Object(Map::from_iter([(UNION.to_owned(), list(shapes))])),
            Shape::Object(fields) => {
                Value::Object(fields.iter().map(|(name, shape)| (name.clone(), shape.to_json())).collect())
            }
        }
    }

    /// Reads a shape. Names and kinds that no shape has are replaced, so that nothing else gets in.
    pub(super) fn from_json(value: &Value) -> Self {
        Self::read(value, 0)
    }

    fn read(value: &Value, depth: usize) -> Self {
        let list = |items: &[Value]| items.iter().map(|item| Self::read(item, depth + 1)).collect::<BTreeSet<_>>();
        match value {
            _ if depth > 2 * DEPTH => Shape::Scalar("deep"),
            Value::Array(items) => Shape::List(list(items)),
            Value::Object(fields) => match fields.get(UNION) {
                Some(Value::Array(shapes)) if fields.len() == 1 => {
                    list(shapes).into_iter().reduce(Shape::or).unwrap_or(Shape::Scalar("none"))
                }
                _ => Self::object(fields.iter().map(|(name, shape)| (words::name(name), Self::read(shape, depth + 1)))),
            },
            other => {
                let kind = other.as_str().and_then(|kind| KINDS.into_iter().find(|known| *known == kind));
                Shape::Scalar(kind.unwrap_or("unreadable"))
            }
        }
    }
}

/// Returns what a text is, without its value.
fn kind(text: &str) -> &'static str {
    if text.is_empty() {
        "empty"
    } else if is_uuid(text) {
        "uuid"
    } else if parse_rfc3339(text).is_some() {
        "time"
    } else if text.starts_with("https://") || text.starts_with("http://") {
        "url"
    } else {
        "string"
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
