//! One tree of values for both formats, in which every value knows where it was written.
//!
//! serde would be shorter, but its errors know neither the place of a key nor the keys beside it.

use std::borrow::Cow;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use toml::de::{DeTable, DeValue};

use crate::error::ConfigError;
use crate::source::Source;

/// A value and the byte offset where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    /// A date or time, which only TOML has.
    Datetime(String),
    Array(Vec<Node>),
    Object(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key begins.
    pub(crate) at: usize,
    pub(crate) node: Node,
}

impl Value {
    /// What it is, for "found …".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl Node {
    /// The value as JSON; dates become strings, as they do in wrangler.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => value.clone().into(),
            Value::String(value) | Value::Datetime(value) => value.clone().into(),
            Value::Array(nodes) => nodes.iter().map(Self::to_json).collect(),
            Value::Object(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
            }
        }
    }
}

/// Parses JSON with comments and trailing commas, which is what wrangler takes; the parser could do more.
pub(crate) fn parse_jsonc(source: &Source) -> Result<Node, ConfigError> {
    let options = jsonc_parser::ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = jsonc_parser::parse_to_ast(&source.text, &jsonc_parser::CollectOptions::default(), &options)
        .map_err(|error| {
            let message = format!("this is not JSON: {}", lower_first(&error.kind().to_string()));
            source.error(error.range().start, message).with_hint("correct the syntax at this place")
        })?;
    match parsed.value {
        Some(value) => from_jsonc(source, &value),
        None => Err(source
            .error(source.text.len(), "the file is empty")
            .with_hint("write at least `{ \"main\": \"src/entry.py\" }`")),
    }
}

fn from_jsonc(source: &Source, value: &ast::Value<'_>) -> Result<Node, ConfigError> {
    let at = value.range().start;
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        ast::Value::StringLit(literal) => Value::String(literal.value.to_string()),
        ast::Value::NumberLit(literal) => Value::Number(
            literal
                .value
                .parse()
                .map_err(|_| source.error(at, format!("not a number: {}", literal.value)))?,
        ),
        ast::Value::Array(array) => Value::Array(
            array.elements.iter().map(|element| from_jsonc(source, element)).collect::<Result<_, _>>()?,
        ),
        ast::Value::Object(object) => {
            let mut entries: Vec<Entry> = Vec::with_capacity(object.properties.len());
            for property in &object.properties {
                let entry = Entry {
                    key: property.name.as_str().to_owned(),
                    at: property.range.start,
                    node: from_jsonc(source, &property.value)?,
                };
                if entries.iter().any(|earlier| earlier.key == entry.key) {
                    return Err(source
                        .error(entry.at, format!("the key is there twice: `{}`", entry.key))
                        .with_hint("remove one of them"));
                }
                entries.push(entry);
            }
            Value::Object(entries)
        }
    };
    Ok(Node { at, value })
}

/// Parses TOML.
pub(crate) fn parse_toml(source: &Source) -> Result<Node, ConfigError> {
    let table = DeTable::parse(&source.text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        // Some of the parser's messages go on in a second line with what it expected.
        let message = error.message().trim().replace('\n', ", ");
        source.error(at, format!("this is not TOML: {message}")).with_hint("correct the syntax at this place")
    })?;
    Ok(Node { at: 0, value: from_table(source, table.get_ref())? })
}

fn from_table(source: &Source, table: &DeTable<'_>) -> Result<Value, ConfigError> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        entries.push(Entry {
            key: key.get_ref().to_string(),
            at: key.span().start,
            node: Node {
                at: value.span().start,
                value: from_toml(source, value.span().start, value.get_ref())?,
            },
        });
    }
    entries.sort_by_key(|entry| entry.at);
    Ok(Value::Object(entries))
}

fn from_toml(source: &Source, at: usize, value: &DeValue<'_>) -> Result<Value, ConfigError> {
    let unusable = |text: &str| source.error(at, format!("the number is outside the range of JSON: {text}"));
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(value) => Value::Datetime(value.to_string()),
        DeValue::Integer(integer) => Value::Number(
            i64::from_str_radix(integer.as_str(), integer.radix())
                .map_err(|_| unusable(integer.as_str()))?
                .into(),
        ),
        DeValue::Float(float) => Value::Number(
            float
                .as_str()
                .parse()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .ok_or_else(|| unusable(float.as_str()))?,
        ),
        DeValue::Array(array) => Value::Array(
            array
                .iter()
                .map(|value| {
                    let at = value.span().start;
                    Ok(Node { at, value: from_toml(source, at, value.get_ref())? })
                })
                .collect::<Result<_, ConfigError>>()?,
        ),
        DeValue::Table(table) => from_table(source, table)?,
    })
}

fn lower_first(text: &str) -> Cow<'_, str> {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if first.is_uppercase() => {
            Cow::Owned(first.to_lowercase().chain(characters).collect::<String>())
        }
        _ => Cow::Borrowed(text),
    }
}
