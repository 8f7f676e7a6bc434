//! Lowering of references to values of the host (`externref`) to numbers that an engine in the same memory gives out.
//!
//! An `externref` costs an allocation in a garbage-collected heap outside of the linear memory, and each function that
//! takes or gives one is a call out of WebAssembly. Where the host's values live in the linear memory anyway, as those of a
//! JavaScript engine beside the module do, a reference can be an `i32`: a *handle*, the place of a value on a stack that the
//! engine keeps. `ref.null` is 0. C code lets a reference leave a function in three ways only: it returns it, passes it on, or
//! stores it in a table. So lifetimes stay exact:
//!
//! ```text
//! (func (param …) (result externref)        (func (param …) (result i32)
//!   BODY                              ==>     (local.set $saved (top))
//! )                                           block (result i32)
//!                                               BODY            with `return` as a branch to here
//!                                             end
//!                                             if the top is no longer $saved: call `keep` with the result and $saved
//!                                           )
//! ```
//! `keep` moves the result down to `$saved` and releases what is above it; functions without such a result call `release`.
//! Functions in which no handle can come to be (they call nothing that gives one) need none of this. When an exception
//! unwinds a function, the function around the handler releases. Parameters belong to the caller.
//!
//! Tables of references become the engine's; instructions that use them become calls of it.
//!
//! **Frames.** C code that recurses asks how far the pointer to its stack is from that stack's end. What a function keeps in
//! WebAssembly's locals does not move the pointer, so code that recurses through such functions alone never sees an end, while
//! the stack that calls of WebAssembly need has one. The functions of [`References::frames`] move the pointer
//! all the same: down where they begin, up again behind the block above. An exception that unwinds them is as with
//! other frames: who catches it knows where the pointer was.
//!
//! **How the engine is called.** It is instantiated after the module, whose functions it needs itself. The module gets one
//! new global, the address of a [`layout`] that the engine fills in: the stack's top and the addresses of its functions.
//! Calls of imports that the engine implements ([`References::natives`]) go the same way, past the host.

mod function;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use wasm_encoder::{BlockType, ConstExpr, Encode, ExportKind, GlobalType, SectionId};
use wasmparser::{
    CodeSectionReader, ElementItems, ElementSectionReader, ExternalKind, FuncValidatorAllocations, Operator,
    Parser, RefType, TypeRef, ValType, ValidPayload, Validator,
};

use crate::emit::{Edits, Items, assemble};
use crate::module::{ImportItem, Module};
use crate::output::ReferenceSignatures;
use crate::{REFERENCES_EXPORT, RewriteError, ValueType, features};

/// Which words of four bytes the engine provides, at the address in [`REFERENCES_EXPORT`].
pub mod layout {
    /// How many handles there are.
    pub const TOP: u32 = 0;
    /// The address of `release(top)`.
    pub const RELEASE: u32 = 1;
    /// The address of `keep(handle, top) -> handle`.
    pub const KEEP: u32 = 2;
    /// The address of `table_get(index, table) -> handle`. Tables count from 0.
    pub const TABLE_GET: u32 = 3;
    /// The address of `table_set(index, handle, table)`.
    pub const TABLE_SET: u32 = 4;
    /// The address of `table_grow(handle, by, table) -> old size or -1`.
    pub const TABLE_GROW: u32 = 5;
    /// The address of `table_size(table) -> size`.
    pub const TABLE_SIZE: u32 = 6;
    /// The address of the first of the natives; the others follow.
    pub const NATIVES: u32 = 7;
}

/// What [`Options::references`](crate::Options::references) says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct References {
    /// The names of functions, imported from `env`, that the engine implements, each with its place among them.
    pub natives: BTreeMap<String, u32>,
    /// A value that has the same handle everywhere.
    pub mark: Option<Mark>,
    /// Whether tables of references become the engine's. It does not tell modules apart, so only one can have any.
    pub tables: bool,
    /// Functions that get a frame on C's stack beside what they have there.
    pub frames: Frames,
}

/// Which functions get frames; sizes are in bytes, multiples of 16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frames {
    /// Exported functions, each with the frame that it gets.
    pub named: BTreeMap<String, u32>,
    /// Exported functions that say whether C's stack is near its end. A function that calls one of these, and itself, gets a
    /// frame of `size`.
    pub checks: BTreeSet<String>,
    /// See `checks`.
    pub size: u32,
}

/// A value of which the code that deals with it needs not know more than its handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Its handle.
    pub handle: u32,
    /// What the imports that deal with it are imported from.
    pub module: String,
    /// The import that gives it, without parameters.
    pub give: String,
    /// The import that says whether its parameter is it.
    pub check: String,
}

/// A module without references.
pub(crate) struct Lowered {
    pub(crate) wasm: Vec<u8>,
    pub(crate) signatures: ReferenceSignatures,
}

/// What is known of the module while its functions are lowered.
struct Context<'m, 'a> {
    module: &'m Module<'a>,
    /// By function index, the word of a native's address.
    natives: HashMap<u32, u32>,
    /// The functions that give the mark, and that check for it; see [`Mark`].
    gives: Option<(u32, u32)>,
    checks: Option<(u32, u32)>,
    /// By table index, the engine's number of a table of references.
    tables: HashMap<u32, u32>,
    /// Where `ref.is_null` is about a reference to the host's.
    null_tests: HashSet<usize>,
    global: u32,
    /// The index of the first helper's type; see [`HELPERS`].
    helpers: u32,
    /// By function index; see [`Frames::named`].
    frames: HashMap<u32, function::Frame>,
    /// Of functions that call one of `askers` and themselves; see [`Frames::checks`].
    frame: Option<function::Frame>,
    askers: HashSet<u32>,
}

/// The types of the helpers, by the numbers of their parameters and results, all of which are `i32`.
const HELPERS: [(usize, usize); 5] = [(1, 0), (2, 1), (3, 0), (3, 1), (1, 1)];

impl Context<'_, '_> {
    fn helper_type(&self, word: u32) -> Result<u32, RewriteError> {
        let shape = match word {
            layout::RELEASE => (1, 0),
            layout::KEEP | layout::TABLE_GET => (2, 1),
            layout::TABLE_SET => (3, 0),
            layout::TABLE_GROW => (3, 1),
            layout::TABLE_SIZE => (1, 1),
            _ => return Err(RewriteError::Bug("a helper that does not exist")),
        };
        let place = HELPERS.iter().position(|helper| *helper == shape);
        let place = place.and_then(|place| u32::try_from(place).ok());
        Ok(self.helpers + place.ok_or(RewriteError::Bug("a helper without a type"))?)
    }
}

/// Lowers the references of a validated module; `None` if it has none, imports no native and gets no frames.
pub(crate) fn lower(
    wasm: &[u8],
    module: &Module<'_>,
    references: &References,
) -> Result<Option<Lowered>, RewriteError> {
    let natives = natives(module, references);
    let Frames { named, checks, size } = &references.frames;
    let function = |name: &String| exported(module, name, ExternalKind::Func);
    let askers: HashSet<u32> = checks.iter().filter_map(function).collect();
    let named: Vec<(u32, u32)> =
        named.iter().filter_map(|(name, size)| Some((function(name)?, *size))).collect();
    let has_frames = !askers.is_empty() || !named.is_empty();
    if natives.is_empty() && !has_frames && !mentions_references(module) {
        return Ok(None);
    }
    let pointer = if has_frames { stack_pointer(module)? } else { 0 };
    let frame = |size| function::Frame { pointer, size };
    let mut edits = Edits::default();
    let helpers = types(module, &mut edits)?;
    let mark = |name: fn(&Mark) -> &str| {
        let mark = references.mark.as_ref()?;
        let function =
            imported_functions(module).find(|(_, i)| i.module == mark.module && i.name == name(mark))?;
        Some((function.0, mark.handle))
    };
    let context = Context {
        module,
        natives,
        gives: mark(|mark| &mark.give),
        checks: mark(|mark| &mark.check),
        tables: tables(module, references)?,
        null_tests: null_tests(wasm)?,
        global: add_global(module, &mut edits)?,
        helpers,
        frames: named.into_iter().map(|(function, size)| (function, frame(size))).collect(),
        frame: (!askers.is_empty()).then(|| frame(*size)),
        askers,
    };
    code(&context, &mut edits)?;
    Ok(Some(Lowered { wasm: assemble(module, &edits), signatures: signatures(module)? }))
}

fn is_extern(ty: ValType) -> bool {
    ty == ValType::EXTERNREF || ty == ValType::Ref(RefType::EXTERN)
}

fn mentions_references(module: &Module<'_>) -> bool {
    let in_type = |ty: &wasmparser::FuncType| ty.params().iter().chain(ty.results()).any(|t| is_extern(*t));
    module.types.iter().flatten().any(in_type)
        || module.globals.iter().any(|global| is_extern(global.content_type))
        || module.tables.iter().any(|table| is_extern(table.element_type.into()))
}

/// A value's type after lowering.
fn lowered(ty: ValType) -> Result<wasm_encoder::ValType, RewriteError> {
    if is_extern(ty) { Ok(wasm_encoder::ValType::I32) } else { Ok(ValueType::of(ty)?.encoded()) }
}

fn block_type(ty: wasmparser::BlockType) -> Result<BlockType, RewriteError> {
    Ok(match ty {
        wasmparser::BlockType::Empty => BlockType::Empty,
        wasmparser::BlockType::Type(ty) => BlockType::Result(lowered(ty)?),
        wasmparser::BlockType::FuncType(index) => BlockType::FunctionType(index),
    })
}

fn imported_functions<'m>(module: &'m Module<'_>) -> impl Iterator<Item = (u32, &'m ImportItem<'m>)> {
    (0..).zip(module.imports.iter().filter(|import| matches!(import.ty, TypeRef::Func(_))))
}

fn natives(module: &Module<'_>, references: &References) -> HashMap<u32, u32> {
    let ours = imported_functions(module).filter(|(_, import)| import.module == "env");
    ours.filter_map(|(index, import)| {
        let place = references.natives.get(import.name)?;
        Some((index, layout::NATIVES.saturating_add(*place)))
    })
    .collect()
}

/// C's stack pointer, among exports and imports.
const STACK_POINTER: &str = "__stack_pointer";

fn exported(module: &Module<'_>, name: &str, kind: ExternalKind) -> Option<u32> {
    module.exports.iter().find(|export| export.kind == kind && export.name == name).map(|export| export.index)
}

/// The global that points to C's stack.
fn stack_pointer(module: &Module<'_>) -> Result<u32, RewriteError> {
    let mut globals = module.imports.iter().filter(|import| matches!(import.ty, TypeRef::Global(_)));
    let imported = globals.position(|import| import.name == STACK_POINTER);
    exported(module, STACK_POINTER, ExternalKind::Global)
        .or(imported.and_then(|index| u32::try_from(index).ok()))
        .ok_or(RewriteError::Reference("frames without a pointer to C's stack"))
}

/// Writes the types without references, and those of the helpers. Gives the index of the first of those.
fn types(module: &Module<'_>, edits: &mut Edits) -> Result<u32, RewriteError> {
    const FUNCTION: u8 = 0x60;
    let mut types = Items::default();
    for ty in &module.types {
        let ty = ty.as_ref().ok_or(RewriteError::Bug("a type that is not a function's"))?;
        let values = |types: &[ValType]| types.iter().map(|ty| lowered(*ty)).collect::<Result<Vec<_>, _>>();
        let (params, results) = (values(ty.params())?, values(ty.results())?);
        types.push(|bytes| {
            bytes.push(FUNCTION);
            params.encode(bytes);
            results.encode(bytes);
        });
    }
    let first = types.count;
    for (params, results) in HELPERS {
        types.push(|bytes| {
            bytes.push(FUNCTION);
            vec![wasm_encoder::ValType::I32; params].encode(bytes);
            vec![wasm_encoder::ValType::I32; results].encode(bytes);
        });
    }
    edits.replace(SectionId::Type, types.section());
    Ok(first)
}

/// The tables of references, which stay where they are and are not used any more.
fn tables(module: &Module<'_>, references: &References) -> Result<HashMap<u32, u32>, RewriteError> {
    if module.globals.iter().any(|global| is_extern(global.content_type)) {
        return Err(RewriteError::Reference("a global"));
    }
    let mut found = HashMap::new();
    for (index, table) in (0..).zip(&module.tables) {
        if !is_extern(table.element_type.into()) {
            continue;
        }
        if !references.tables || (index as usize) < module.imported_tables || table.initial > 0 {
            return Err(RewriteError::Reference(
                "a table of a side module, or one that is imported or not empty at first",
            ));
        }
        let number = u32::try_from(found.len()).map_err(|_| RewriteError::Bug("more tables than indices"))?;
        found.insert(index, number);
    }
    if let Some(section) = module.section(SectionId::Element) {
        for element in ElementSectionReader::new(section.reader())? {
            if let ElementItems::Expressions(ty, _) = element?.items
                && is_extern(ty.into())
            {
                return Err(RewriteError::Reference("an element segment"));
            }
        }
    }
    Ok(found)
}

/// The positions of the `ref.is_null`s that the validator sees a reference to the host's before.
fn null_tests(wasm: &[u8]) -> Result<HashSet<usize>, RewriteError> {
    const REF_IS_NULL: u8 = 0xD1;
    let mut found = HashSet::new();
    let mut validator = Validator::new_with_features(features::INPUT);
    let mut allocations = FuncValidatorAllocations::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let ValidPayload::Func(function, body) = validator.payload(&payload?)? else { continue };
        if !body.as_bytes().contains(&REF_IS_NULL) {
            continue;
        }
        let mut function = function.into_validator(allocations);
        let mut reader = body.get_binary_reader();
        function.read_locals(&mut reader)?;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let at = operators.original_position();
            let operator = operators.read()?;
            if matches!(operator, Operator::RefIsNull)
                && function.get_operand_type(0).flatten().is_some_and(is_extern)
            {
                found.insert(at);
            }
            function.op(at, &operator)?;
        }
        allocations = function.into_allocations();
    }
    Ok(found)
}

/// Adds the global that holds the layout's address. Gives its index.
fn add_global(module: &Module<'_>, edits: &mut Edits) -> Result<u32, RewriteError> {
    let index =
        u32::try_from(module.globals.len()).map_err(|_| RewriteError::Bug("more globals than indices"))?;
    let mut globals = Items::of(module, SectionId::Global)?;
    globals.push(|bytes| {
        GlobalType { val_type: wasm_encoder::ValType::I32, mutable: true, shared: false }.encode(bytes);
        ConstExpr::i32_const(0).encode(bytes);
    });
    edits.replace(SectionId::Global, globals.section());
    let mut exports = Items::of(module, SectionId::Export)?;
    exports.push(|bytes| {
        REFERENCES_EXPORT.encode(bytes);
        ExportKind::Global.encode(bytes);
        index.encode(bytes);
    });
    edits.replace(SectionId::Export, exports.section());
    Ok(index)
}

fn code(context: &Context<'_, '_>, edits: &mut Edits) -> Result<(), RewriteError> {
    let module = context.module;
    let Some(section) = module.section(SectionId::Code) else { return Ok(()) };
    let reader = CodeSectionReader::new(section.reader())?;
    let mut code = Vec::with_capacity(section.body.len() + section.body.len() / 16);
    reader.count().encode(&mut code);
    // What was read up to here is in `code`.
    let mut copied = reader.original_position();
    let mut entry = copied;
    let functions = (0..).zip(&module.functions).skip(module.imported_functions);
    for (body, (index, ty)) in reader.into_iter().zip(functions) {
        let body = body?;
        let end = body.range().end;
        if let Some(lowered) = function::lower(context, &body, (index, *ty))? {
            code.extend_from_slice(module.bytes(copied..entry)?);
            lowered.encode(&mut code);
            copied = end;
        }
        entry = end;
    }
    code.extend_from_slice(module.bytes(copied..entry)?);
    edits.replace(SectionId::Code, code);
    Ok(())
}

/// The types of imported and exported functions that had references.
fn signatures(module: &Module<'_>) -> Result<ReferenceSignatures, RewriteError> {
    let mut found = ReferenceSignatures::default();
    let values = |types: &[ValType]| types.iter().map(|ty| ValueType::of(*ty)).collect::<Result<Vec<_>, _>>();
    let signature = |index: u32| -> Result<Option<crate::output::FunctionType>, RewriteError> {
        let Some(ty) = module.functions.get(index as usize) else { return Ok(None) };
        let ty = module.func_type(*ty)?;
        let mentions = ty.params().iter().chain(ty.results()).any(|ty| is_extern(*ty));
        Ok(if mentions { Some((values(ty.params())?, values(ty.results())?)) } else { None })
    };
    for (index, import) in imported_functions(module) {
        if let Some(ty) = signature(index)? {
            found.imports.insert((import.module.to_owned(), import.name.to_owned()), ty);
        }
    }
    for export in module.exports.iter().filter(|export| export.kind == ExternalKind::Func) {
        if let Some(ty) = signature(export.index)? {
            found.exports.insert(export.name.to_owned(), ty);
        }
    }
    Ok(found)
}
