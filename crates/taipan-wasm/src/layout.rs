//! Imports, exports, memory and table.

use std::collections::HashSet;

use wasm_encoder::{Encode, ExportKind, MemoryType, SectionId, TableType, TagKind, TagType};
use wasmparser::{ExternalKind, TypeRef};

use crate::emit::{Edits, Items};
use crate::module::Module;
use crate::{
    Hidden, HiddenGlobal, HiddenTable, MEMORY_EXPORT, MemoryPlacement, Options, RESERVED_PREFIX,
    RewriteError, START_EXPORT, TablePlacement, ValueType,
};

fn export(exports: &mut Items, name: &str, kind: ExportKind, index: u32) {
    exports.push(|bytes| {
        name.encode(bytes);
        kind.encode(bytes);
        index.encode(bytes);
    });
}

/// Refuses modules that use names of ours.
pub(crate) fn check_names(module: &Module<'_>) -> Result<(), RewriteError> {
    match module.exports.iter().find(|export| export.name.starts_with(RESERVED_PREFIX)) {
        Some(export) => Err(RewriteError::ReservedExport(export.name.into())),
        None => Ok(()),
    }
}

/// Moves memory and table between the import section and their own, and makes room for `seats` more functions. Returns
/// the slot of the first of those. Nothing changes its index: there is one memory, and the only imported table comes first
/// in its index space just as the first defined one does.
pub(crate) fn place_memory_and_table(
    module: &Module<'_>,
    options: &Options,
    seats: usize,
    edits: &mut Edits,
) -> Result<u64, RewriteError> {
    let moves_memory = options.memory == MemoryPlacement::Define && module.imported_memories > 0;
    let defines_table = options.table != TablePlacement::Keep && module.imported_tables > 0;
    let defines_tags = options.define_tags && imported_tags(module).next().is_some();
    let first_seat = place_table(module, options, seats, edits)?;
    if !moves_memory && !defines_table && !defines_tags {
        return Ok(first_seat);
    }
    let mut imports = Items::default();
    for import in &module.imports {
        match import.ty {
            TypeRef::Memory(_) if moves_memory => {}
            TypeRef::Table(_) if defines_table => {}
            TypeRef::Tag(_) if defines_tags => {}
            _ => imports.push(|bytes| bytes.extend_from_slice(import.bytes)),
        }
    }
    if let (true, [memory]) = (moves_memory, module.memories.as_slice()) {
        let ty = MemoryType {
            minimum: memory.initial,
            maximum: memory.maximum,
            memory64: memory.memory64,
            shared: memory.shared,
            page_size_log2: memory.page_size_log2,
        };
        let mut memories = Items::default();
        memories.push(|bytes| ty.encode(bytes));
        edits.replace(SectionId::Memory, memories.section());
    }
    if defines_tags {
        let mut tags = Items::default();
        for (_, ty) in imported_tags(module) {
            tags.push(|bytes| TagType { kind: TagKind::Exception, func_type_idx: ty }.encode(bytes));
        }
        tags.append(&Items::of(module, SectionId::Tag)?);
        edits.replace(SectionId::Tag, tags.section());
    }
    edits.replace(SectionId::Import, imports.section());
    Ok(first_seat)
}

/// The names of imported tags, without that of what they are imported from, and their types.
fn imported_tags<'m>(module: &'m Module<'_>) -> impl Iterator<Item = (&'m str, u32)> {
    module.imports.iter().filter_map(|import| match import.ty {
        TypeRef::Tag(tag) => Some((import.name, tag.func_type_idx)),
        _ => None,
    })
}

/// Writes the table section if the function table, the first one, comes to be defined or becomes larger.
fn place_table(
    module: &Module<'_>,
    options: &Options,
    seats: usize,
    edits: &mut Edits,
) -> Result<u64, RewriteError> {
    let Some((first, rest)) = module.tables.split_first() else { return Ok(0) };
    let extra = match (&options.table, module.imported_tables) {
        (_, 0) if seats == 0 && options.table_reserve == 0 => return Ok(first.initial),
        (TablePlacement::Keep, 1..) if seats == 0 => return Ok(first.initial),
        (_, 0) => 0,
        (TablePlacement::Define { extra }, 1) => *extra,
        (_, imported) => return Err(RewriteError::ImportedTables(imported)),
    };
    let first_seat = first.initial.saturating_add(extra.into());
    let wanted = first_seat.saturating_add(seats as u64).saturating_add(options.table_reserve.into());
    if let Some(maximum) = first.maximum
        && maximum < wanted
    {
        return Err(RewriteError::TableSize { wanted, maximum });
    }
    let mut tables = Items::default();
    let fixed = options.table_reserve > 0;
    for (table, minimum, is_first) in
        std::iter::once((first, wanted, true)).chain(rest.iter().map(|t| (t, t.initial, false)))
    {
        let wasm_encoder::ValType::Ref(element_type) = ValueType::of(table.element_type.into())?.encoded()
        else {
            return Err(RewriteError::Bug("a table of values that are not references"));
        };
        let ty = TableType {
            element_type,
            table64: table.table64,
            minimum,
            maximum: if fixed && is_first { Some(minimum) } else { table.maximum },
            shared: table.shared,
        };
        tables.push(|bytes| ty.encode(bytes));
    }
    edits.replace(SectionId::Table, tables.section());
    Ok(first_seat)
}

/// What was exported in addition.
#[derive(Default)]
pub(crate) struct Added {
    pub(crate) hidden: Hidden,
    pub(crate) start: Option<String>,
}

/// Exports what the options ask for and drops the start section.
pub(crate) fn add_exports(
    module: &Module<'_>,
    options: &Options,
    edits: &mut Edits,
) -> Result<Added, RewriteError> {
    let mut exports = Items::of(module, SectionId::Export)?;
    let before = exports.count;
    let mut added = Added::default();
    let table = export_defined_table(module, options, &mut exports)?;
    if options.memory == MemoryPlacement::Define {
        export(&mut exports, MEMORY_EXPORT, ExportKind::Memory, 0);
    }
    if options.define_tags {
        for (index, (name, _)) in (0..).zip(imported_tags(module)) {
            if module.exports.iter().any(|export| export.name == name) {
                return Err(RewriteError::ExportTaken(name.into()));
            }
            export(&mut exports, name, ExportKind::Tag, index);
        }
    }
    if options.export_hidden {
        added.hidden = export_hidden(module, table, &mut exports)?;
    }
    if let (true, Some(function)) = (options.drop_start, module.start) {
        edits.drop(SectionId::Start);
        let mut known = module.exports.iter().filter(|e| e.kind == ExternalKind::Func && e.index == function);
        added.start = Some(match known.next() {
            Some(export) => export.name.into(),
            None => {
                export(&mut exports, START_EXPORT, ExportKind::Func, function);
                START_EXPORT.into()
            }
        });
    }
    if exports.count != before {
        edits.replace(SectionId::Export, exports.section());
    }
    Ok(added)
}

/// Exports a table that was imported and is now defined. Returns its index.
fn export_defined_table(
    module: &Module<'_>,
    options: &Options,
    exports: &mut Items,
) -> Result<Option<u32>, RewriteError> {
    let mut imports = module.imports.iter().filter(|import| matches!(import.ty, TypeRef::Table(_)));
    let (TablePlacement::Define { .. }, Some(import)) = (&options.table, imports.next()) else {
        return Ok(None);
    };
    let index = 0;
    match module.exports.iter().find(|export| export.name == import.name) {
        None => export(exports, import.name, ExportKind::Table, index),
        Some(export) if export.kind == ExternalKind::Table && export.index == index => {}
        Some(export) => return Err(RewriteError::ExportTaken(export.name.into())),
    }
    Ok(Some(index))
}

/// Exports the mutable globals and the tables that the module defines and keeps to itself. What it imports, the engine
/// has already.
fn export_hidden(
    module: &Module<'_>,
    exported: Option<u32>,
    exports: &mut Items,
) -> Result<Hidden, RewriteError> {
    let known_globals = exported_indices(module, ExternalKind::Global);
    let mut known_tables = exported_indices(module, ExternalKind::Table);
    known_tables.extend(exported);
    let mut hidden = Hidden::default();
    for (index, global) in (0..).zip(&module.globals).skip(module.imported_globals) {
        if global.mutable && !known_globals.contains(&index) {
            let name = format!("{RESERVED_PREFIX}global_{index}");
            export(exports, &name, ExportKind::Global, index);
            hidden.globals.push(HiddenGlobal { name, index, value: ValueType::of(global.content_type)? });
        }
    }
    for (index, table) in (0..).zip(&module.tables).skip(module.imported_tables) {
        if !known_tables.contains(&index) {
            let name = format!("{RESERVED_PREFIX}table_{index}");
            export(exports, &name, ExportKind::Table, index);
            let element = ValueType::of(table.element_type.into())?;
            hidden.tables.push(HiddenTable { name, index, element });
        }
    }
    Ok(hidden)
}

fn exported_indices(module: &Module<'_>, kind: ExternalKind) -> HashSet<u32> {
    module.exports.iter().filter(|export| export.kind == kind).map(|export| export.index).collect()
}
