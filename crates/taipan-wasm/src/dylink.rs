//! Emscripten's `dylink.0` section: what a loader must know before it instantiates a module.

use wasmparser::{BinaryReader, Dylink0SectionReader, Dylink0Subsection};

use crate::RewriteError;
use crate::module::{Module, Section, first_section};

const SECTION: &str = "dylink.0";

/// What the `dylink.0` section says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dylink {
    /// Bytes of static memory to reserve at `env.__memory_base`.
    pub memory_size: u32,
    /// Alignment of that memory: the exponent of a power of two, below 32.
    pub memory_align: u32,
    /// Table entries to reserve at `env.__table_base`.
    pub table_size: u32,
    /// Alignment of those entries: the exponent of a power of two, below 32.
    pub table_align: u32,
    /// Libraries that must be loaded first.
    pub needed: Vec<String>,
    /// Exports with flags.
    pub exports: Vec<Export>,
    /// Imports with flags.
    pub imports: Vec<Import>,
    /// Where to look for the libraries.
    pub runtime_path: Vec<String>,
}

/// An export that has flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Flags of the symbol: 1 weak, 2 local, 4 hidden, 0x100 thread-local, …
    pub flags: u32,
}

/// An import that has flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// First part of its name.
    pub module: String,
    /// Second part of its name.
    pub name: String,
    /// Flags of the symbol: 1 weak, …
    pub flags: u32,
}

impl Dylink {
    /// Whether this import may stay without a definition.
    pub fn is_weak(&self, module: &str, name: &str) -> bool {
        self.imports
            .iter()
            .any(|import| import.module == module && import.name == name && import.flags & 1 != 0)
    }
}

/// Reads the `dylink.0` section of a module; `None` if it does not begin with one. Nothing else of the module is looked
/// at.
///
/// # Errors
/// If the bytes are not a core module or the section is malformed.
pub fn dylink(wasm: &[u8]) -> Result<Option<Dylink>, RewriteError> {
    match first_section(wasm)? {
        Some(section) => of_section(&section),
        None => Ok(None),
    }
}

pub(crate) fn of(module: &Module<'_>) -> Result<Option<Dylink>, RewriteError> {
    match module.sections.first() {
        Some(section) => of_section(section),
        None => Ok(None),
    }
}

fn of_section(section: &Section<'_>) -> Result<Option<Dylink>, RewriteError> {
    if section.id != 0 {
        return Ok(None);
    }
    match section.custom()? {
        (SECTION, body) => read(body).map(Some),
        _ => Ok(None),
    }
}

fn read(body: BinaryReader<'_>) -> Result<Dylink, RewriteError> {
    let mut dylink = Dylink::default();
    for subsection in Dylink0SectionReader::new(body) {
        match subsection? {
            Dylink0Subsection::MemInfo(info) => {
                dylink.memory_size = info.memory_size;
                dylink.memory_align = exponent(info.memory_alignment)?;
                dylink.table_size = info.table_size;
                dylink.table_align = exponent(info.table_alignment)?;
            }
            Dylink0Subsection::Needed(names) => dylink.needed = strings(&names),
            Dylink0Subsection::ExportInfo(exports) => {
                dylink.exports = exports
                    .iter()
                    .map(|export| Export { name: export.name.into(), flags: export.flags.bits() })
                    .collect();
            }
            Dylink0Subsection::ImportInfo(imports) => {
                dylink.imports = imports
                    .iter()
                    .map(|import| Import {
                        module: import.module.into(),
                        name: import.field.into(),
                        flags: import.flags.bits(),
                    })
                    .collect();
            }
            Dylink0Subsection::RuntimePath(paths) => dylink.runtime_path = strings(&paths),
            // A later version of the conventions may add more that loaders can ignore.
            Dylink0Subsection::Unknown { .. } => {}
        }
    }
    Ok(dylink)
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).into()).collect()
}

fn exponent(value: u32) -> Result<u32, RewriteError> {
    if value < u32::BITS { Ok(value) } else { Err(RewriteError::Dylink("an alignment of 2^32 or more")) }
}
