//! The parts of a module that rewriting needs to know, read before and without validation.

use std::ops::Range;

use wasm_encoder::SectionId;
use wasmparser::{
    BinaryReader, CompositeInnerType, Export, ExportSectionReader, FuncType, FunctionSectionReader,
    GlobalSectionReader, GlobalType, ImportSectionReader, MemorySectionReader, MemoryType,
    TableSectionReader, TableType, TagSectionReader, TypeRef, TypeSectionReader,
};

use crate::{MemoryError, MemoryPlacement, Options, RewriteError};

/// Length of the magic number and the version.
const HEADER: usize = 8;

pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    pub(crate) body: &'a [u8],
    /// Where the body begins in the module.
    offset: usize,
}

impl<'a> Section<'a> {
    pub(crate) fn is(&self, id: SectionId) -> bool {
        self.id == u8::from(id)
    }

    pub(crate) fn reader(&self) -> BinaryReader<'a> {
        BinaryReader::new(self.body, self.offset)
    }

    /// The name of a custom section and a reader of what follows it.
    pub(crate) fn custom(&self) -> Result<(&'a str, BinaryReader<'a>), RewriteError> {
        let mut reader = self.reader();
        let name = reader.read_string()?;
        Ok((name, reader))
    }
}

pub(crate) struct ImportItem<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) ty: TypeRef,
    /// The item as it stands in the import section.
    pub(crate) bytes: &'a [u8],
}

/// A module, taken apart. The vectors are whole index spaces: what is imported comes first.
#[derive(Default)]
pub(crate) struct Module<'a> {
    wasm: &'a [u8],
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) types: Vec<Option<FuncType>>,
    pub(crate) imports: Vec<ImportItem<'a>>,
    /// Type indices.
    pub(crate) functions: Vec<u32>,
    pub(crate) imported_functions: usize,
    /// Type indices.
    pub(crate) tags: Vec<u32>,
    pub(crate) tables: Vec<TableType>,
    pub(crate) imported_tables: usize,
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) imported_memories: usize,
    pub(crate) globals: Vec<GlobalType>,
    pub(crate) imported_globals: usize,
    pub(crate) exports: Vec<Export<'a>>,
    pub(crate) start: Option<u32>,
    pub(crate) has_data_count: bool,
}

impl<'a> Module<'a> {
    /// Reads the module's declarations. Allocates no more than a small multiple of the input.
    pub(crate) fn parse(wasm: &'a [u8]) -> Result<Self, RewriteError> {
        let mut module = Module { wasm, sections: sections(wasm)?, ..Self::default() };
        for section in std::mem::take(&mut module.sections) {
            module.read(&section)?;
            module.sections.push(section);
        }
        Ok(module)
    }

    fn read(&mut self, section: &Section<'a>) -> Result<(), RewriteError> {
        let reader = section.reader();
        if section.is(SectionId::Type) {
            for group in TypeSectionReader::new(reader)? {
                self.types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                    CompositeInnerType::Func(function) => Some(function),
                    _ => None,
                }));
            }
        } else if section.is(SectionId::Import) {
            self.read_imports(reader)?;
        } else if section.is(SectionId::Function) {
            for ty in FunctionSectionReader::new(reader)? {
                self.functions.push(ty?);
            }
        } else if section.is(SectionId::Table) {
            for table in TableSectionReader::new(reader)? {
                self.tables.push(table?.ty);
            }
        } else if section.is(SectionId::Memory) {
            for memory in MemorySectionReader::new(reader)? {
                self.memories.push(memory?);
            }
        } else if section.is(SectionId::Tag) {
            for tag in TagSectionReader::new(reader)? {
                self.tags.push(tag?.func_type_idx);
            }
        } else if section.is(SectionId::Global) {
            for global in GlobalSectionReader::new(reader)? {
                self.globals.push(global?.ty);
            }
        } else if section.is(SectionId::Export) {
            for export in ExportSectionReader::new(reader)? {
                self.exports.push(export?);
            }
        } else if section.is(SectionId::Start) {
            self.start = Some(section.reader().read_var_u32()?);
        } else if section.is(SectionId::DataCount) {
            self.has_data_count = true;
        }
        Ok(())
    }

    fn read_imports(&mut self, reader: BinaryReader<'a>) -> Result<(), RewriteError> {
        let section = ImportSectionReader::new(reader)?;
        let end = section.range().end;
        let mut items = section.into_imports_with_offsets().peekable();
        while let Some(item) = items.next() {
            let (start, import) = item?;
            let end = match items.peek() {
                Some(Ok((next, _))) => *next,
                _ => end,
            };
            match import.ty {
                TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                    self.functions.push(ty);
                    self.imported_functions += 1;
                }
                TypeRef::Table(ty) => {
                    self.tables.push(ty);
                    self.imported_tables += 1;
                }
                TypeRef::Memory(ty) => {
                    self.memories.push(ty);
                    self.imported_memories += 1;
                }
                TypeRef::Global(ty) => {
                    self.globals.push(ty);
                    self.imported_globals += 1;
                }
                TypeRef::Tag(ty) => self.tags.push(ty.func_type_idx),
            }
            let bytes = self.bytes(start..end)?;
            self.imports.push(ImportItem { module: import.module, name: import.name, ty: import.ty, bytes });
        }
        Ok(())
    }

    /// Bytes of the module.
    pub(crate) fn bytes(&self, range: Range<usize>) -> Result<&'a [u8], RewriteError> {
        self.wasm.get(range).ok_or(RewriteError::Bug("a range outside of the module"))
    }

    pub(crate) fn section(&self, id: SectionId) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.is(id))
    }

    pub(crate) fn func_type(&self, index: u32) -> Result<&FuncType, RewriteError> {
        match self.types.get(index as usize) {
            Some(Some(ty)) => Ok(ty),
            _ => Err(RewriteError::Bug("a type that is not a function's")),
        }
    }

    pub(crate) fn tag_type(&self, tag: u32) -> Result<u32, RewriteError> {
        self.tags.get(tag as usize).copied().ok_or(RewriteError::Bug("a tag that does not exist"))
    }

    /// Refuses modules that an isolate's one memory cannot serve. A module of functions alone, such as the adapters that
    /// Emscripten's glue makes, needs none.
    pub(crate) fn check_memory(&self, options: &Options) -> Result<(), RewriteError> {
        let error = match self.memories.as_slice() {
            [memory] if memory.shared => MemoryError::Shared,
            [memory] if memory.memory64 => MemoryError::Memory64,
            [_] => return Ok(()),
            [] if options.memory == MemoryPlacement::Keep => return Ok(()),
            [] => MemoryError::None,
            several => MemoryError::Several(several.len()),
        };
        Err(RewriteError::Memory(error))
    }
}

/// The sections of a core module.
pub(crate) fn sections(wasm: &[u8]) -> Result<Vec<Section<'_>>, RewriteError> {
    let mut reader = after_header(wasm)?;
    let mut sections = Vec::new();
    while !reader.eof() {
        sections.push(section(&mut reader)?);
    }
    Ok(sections)
}

/// The first section of a core module.
pub(crate) fn first_section(wasm: &[u8]) -> Result<Option<Section<'_>>, RewriteError> {
    let mut reader = after_header(wasm)?;
    if reader.eof() { Ok(None) } else { section(&mut reader).map(Some) }
}

fn after_header(wasm: &[u8]) -> Result<BinaryReader<'_>, RewriteError> {
    let rest = wasm.strip_prefix(b"\0asm\x01\0\0\0").ok_or(RewriteError::NotAModule)?;
    Ok(BinaryReader::new(rest, HEADER))
}

fn section<'a>(reader: &mut BinaryReader<'a>) -> Result<Section<'a>, RewriteError> {
    let id = reader.read_u8()?;
    let length = reader.read_var_u32()?;
    let offset = reader.original_position();
    Ok(Section { id, body: reader.read_bytes(length as usize)?, offset })
}
