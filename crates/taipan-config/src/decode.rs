//! Reading typed values out of a tree, with errors that name the key's whole path.

use crate::error::ConfigError;
use crate::nearest::nearest;
use crate::source::Source;
use crate::tree::{Entry, Node, Value};

/// An object of the configuration and the path of keys that leads to it.
#[derive(Debug, Clone)]
pub(crate) struct Section<'a> {
    pub(crate) source: &'a Source,
    path: String,
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(source: &'a Source, node: &'a Node) -> Result<Self, ConfigError> {
        match &node.value {
            Value::Object(entries) => Ok(Self { source, path: String::new(), entries }),
            other => Err(source
                .error(node.at, format!("expected an object, found {}", other.kind()))
                .with_hint("put the keys between `{` and `}`")),
        }
    }

    /// The object under `key`.
    pub(crate) fn child(&self, key: &str) -> Result<Option<Section<'a>>, ConfigError> {
        self.get(key).map(|entry| self.object(self.path_of(key), &entry.node)).transpose()
    }

    /// The objects in the list under `key`.
    pub(crate) fn children(&self, key: &str) -> Result<Vec<Section<'a>>, ConfigError> {
        let Some(entry) = self.get(key) else { return Ok(Vec::new()) };
        let Value::Array(nodes) = &entry.node.value else {
            return Err(self.mistyped(&self.path_of(key), &entry.node, "a list of objects"));
        };
        let path = |index: usize| format!("{}[{index}]", self.path_of(key));
        nodes.iter().enumerate().map(|(index, node)| self.object(path(index), node)).collect()
    }

    /// The object that is a value here.
    pub(crate) fn object(&self, path: String, node: &'a Node) -> Result<Section<'a>, ConfigError> {
        match &node.value {
            Value::Object(entries) => Ok(Section { source: self.source, path, entries }),
            _ => Err(self.mistyped(&path, node, "an object")),
        }
    }

    /// The entry under `key`, if there is one.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// All entries, in the order in which they are written.
    pub(crate) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The whole path of a key here: `env.staging.vars`.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Refuses keys that are not among `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        let Some(unknown) = self.entries.iter().find(|entry| !known.contains(&entry.key.as_str())) else {
            return Ok(());
        };
        let suggestion = nearest(&unknown.key, known.iter().copied());
        let question = suggestion.map(|name| format!("; did you mean `{}`?", self.path_of(name)));
        let message =
            format!("unknown key: `{}`{}", self.path_of(&unknown.key), question.unwrap_or_default());
        Err(self.source.error(unknown.at, message).with_hint("correct the key or remove it"))
    }

    /// The text under `key` and where it begins.
    pub(crate) fn string(&self, key: &str) -> Result<Option<(&'a str, usize)>, ConfigError> {
        self.get(key).map(|entry| self.text(&self.path_of(key), &entry.node)).transpose()
    }

    /// The texts in the list under `key`, each with the place where it begins.
    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<(&'a str, usize)>>, ConfigError> {
        let Some(entry) = self.get(key) else { return Ok(None) };
        let Value::Array(nodes) = &entry.node.value else {
            return Err(self.mistyped(&self.path_of(key), &entry.node, "a list of strings"));
        };
        let path = |index: usize| format!("{}[{index}]", self.path_of(key));
        nodes
            .iter()
            .enumerate()
            .map(|(index, node)| self.text(&path(index), node))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn text(&self, path: &str, node: &'a Node) -> Result<(&'a str, usize), ConfigError> {
        match &node.value {
            Value::String(text) => Ok((text, node.at)),
            Value::Datetime(date) => Err(self
                .mistyped(path, node, "a string")
                .with_hint(format!("put it between quotation marks: \"{date}\""))),
            _ => Err(self.mistyped(path, node, "a string")),
        }
    }

    /// The boolean under `key`.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.get(key).map(|entry| &entry.node) {
            None => Ok(None),
            Some(Node { value: Value::Bool(value), .. }) => Ok(Some(*value)),
            Some(node) => Err(self.mistyped(&self.path_of(key), node, "true or false")),
        }
    }

    /// The whole number under `key`, which must not be less than `least` nor greater than `greatest`.
    pub(crate) fn integer(&self, key: &str, least: u64, greatest: u64) -> Result<Option<u64>, ConfigError> {
        let Some(entry) = self.get(key) else { return Ok(None) };
        let found = match &entry.node.value {
            Value::Number(number) => match number.as_u64() {
                Some(value) if (least..=greatest).contains(&value) => return Ok(Some(value)),
                _ => number.to_string(),
            },
            other => other.kind().to_owned(),
        };
        let range = if greatest == u64::MAX {
            format!("of at least {least}")
        } else {
            format!("from {least} to {greatest}")
        };
        let message =
            format!("wrong value of `{}`: expected a whole number {range}, found {found}", self.path_of(key));
        Err(self.source.error(entry.node.at, message))
    }

    fn mistyped(&self, path: &str, node: &Node, expected: &str) -> ConfigError {
        let message = format!("wrong type of `{path}`: expected {expected}, found {}", node.value.kind());
        self.source.error(node.at, message)
    }
}
