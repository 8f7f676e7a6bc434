//! Putting a module together again: sections are copied unless an edit says otherwise.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wasm_encoder::{Encode, RawSection, SectionId};

use crate::RewriteError;
use crate::module::{Module, Section};

/// The order in which the format wants its sections.
const ORDER: [SectionId; 13] = [
    SectionId::Type,
    SectionId::Import,
    SectionId::Function,
    SectionId::Table,
    SectionId::Memory,
    SectionId::Tag,
    SectionId::Global,
    SectionId::Export,
    SectionId::Start,
    SectionId::Element,
    SectionId::DataCount,
    SectionId::Code,
    SectionId::Data,
];

/// What becomes of sections that do not stay as they are.
#[derive(Default)]
pub(crate) struct Edits(BTreeMap<u8, Option<Vec<u8>>>);

impl Edits {
    /// Gives the section this body; if there is no such section, there will be.
    pub(crate) fn replace(&mut self, id: SectionId, body: Vec<u8>) {
        self.0.insert(id.into(), Some(body));
    }

    pub(crate) fn drop(&mut self, id: SectionId) {
        self.0.insert(id.into(), None);
    }
}

/// A vector of the binary format: a count, then the items.
#[derive(Default)]
pub(crate) struct Items {
    pub(crate) count: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Items {
    /// The items of a section; none if there is no such section.
    pub(crate) fn of(module: &Module<'_>, id: SectionId) -> Result<Self, RewriteError> {
        let Some(section) = module.section(id) else { return Ok(Self::default()) };
        let mut reader = section.reader();
        let count = reader.read_var_u32()?;
        Ok(Self { count, bytes: reader.read_bytes(reader.bytes_remaining())?.into() })
    }

    /// Adds the item that `write` writes.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.count += 1;
        write(&mut self.bytes);
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// The body of a section with these items.
    pub(crate) fn section(self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes.len() + 5);
        self.count.encode(&mut body);
        body.extend_from_slice(&self.bytes);
        body
    }
}

/// The module with its edits.
pub(crate) fn assemble(module: &Module<'_>, edits: &Edits) -> Vec<u8> {
    let mut sections: Vec<(u8, Cow<'_, [u8]>)> = Vec::new();
    for section in module.sections.iter().filter(|section| !is_stale(section)) {
        match edits.0.get(&section.id) {
            None => sections.push((section.id, section.body.into())),
            Some(None) => {}
            Some(Some(body)) => sections.push((section.id, body.into())),
        }
    }
    for (id, body) in &edits.0 {
        if let Some(body) = body
            && !sections.iter().any(|(other, _)| other == id)
        {
            // Before the first that must come later, thus after a leading `dylink.0`.
            let place =
                sections.iter().position(|(other, _)| rank(*other) > rank(*id)).unwrap_or(sections.len());
            sections.insert(place, (*id, body.into()));
        }
    }
    let mut output = wasm_encoder::Module::new();
    for (id, body) in &sections {
        output.section(&RawSection { id: *id, data: body });
    }
    output.finish()
}

/// The place in the order; `None`, which is less than all places, for custom sections.
fn rank(id: u8) -> Option<usize> {
    ORDER.iter().position(|other| u8::from(*other) == id)
}

/// Custom sections that describe code by its offsets, which have changed or may have.
fn is_stale(section: &Section<'_>) -> bool {
    if !section.is(SectionId::Custom) {
        return false;
    }
    let Ok((name, _)) = section.custom() else { return false };
    name.starts_with(".debug_")
        || name.starts_with("reloc.")
        || name.starts_with("metadata.code.")
        || matches!(name, "linking" | "sourceMappingURL" | "external_debug_info")
}
