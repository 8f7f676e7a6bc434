//! The structured questions of the guest's `WebAssembly` API, asked a few hundred times at boot and once per `dlopen`;
//! JSON both ways because nothing here is hot.

use serde::{Deserialize, Serialize};
use wasmtime::{AsContextMut, Caller, Extern, ExternType, Instance, Module, Mutability, Result};

use crate::calls::{function, number_of, trampoline};
use crate::signature::Kind;
use crate::state::{GlobalEntry, ImportItem, State, count};

/// What the guest asks. The numbers are positions in the lists of [`State`].
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
enum Query {
    /// The main module's imports and the exports of its instance.
    Main,
    /// A module's imports and exports.
    Module { module: usize },
    /// Instantiates a module: one value for each import, in order.
    Instantiate { module: usize, imports: Vec<Import> },
}

/// What an import is given.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Import {
    /// A JavaScript function; the answer says which slot to bind it to.
    Js,
    Function {
        handle: u32,
    },
    Global {
        handle: usize,
    },
    Table {
        handle: usize,
    },
    Memory,
    Tag {
        handle: usize,
    },
}

/// `kind` is `f`, `g`, `t`, `m` or `x` (function, global, table, memory, tag).
#[derive(Serialize)]
struct ItemType {
    module: Option<String>,
    name: String,
    kind: char,
    signature: String,
}

/// `handle` is the entity's number; `signature` is a function's type, or a global's kind and `m` if it is mutable.
#[derive(Serialize)]
struct Export {
    name: String,
    kind: char,
    handle: u32,
    signature: String,
}

#[derive(Serialize)]
struct MainInfo {
    exports: Vec<Export>,
    imports: Vec<BoundImport>,
}

/// `handle`: the slot of a function, the number of a global, or −1.
#[derive(Serialize)]
struct BoundImport {
    module: String,
    name: String,
    kind: char,
    handle: i64,
    signature: String,
}

#[derive(Serialize)]
struct ModuleInfo {
    imports: Vec<ItemType>,
    exports: Vec<ItemType>,
}

#[derive(Serialize)]
struct Slot {
    slot: u32,
    signature: String,
}

#[derive(Serialize)]
struct Instantiated {
    exports: Vec<Export>,
    /// For each import the slot to bind, or null.
    slots: Vec<Option<Slot>>,
}

#[derive(Serialize)]
struct Failed {
    error: String,
}

/// Answers a question; what is wrong with the question is the guest's to see. The outer error ends the isolate.
pub(crate) fn answer(caller: &mut Caller<'_, State>, question: &str) -> Result<String> {
    let answer = match serde_json::from_str(question) {
        Ok(Query::Main) => json(&main_info(caller)?),
        Ok(Query::Module { module }) => match module_of(caller, module) {
            Ok(module) => json(&module_info(&module)),
            Err(e) => json(&Failed { error: e.to_string() }),
        },
        Ok(Query::Instantiate { module, imports }) => match instantiate(caller, module, &imports) {
            Ok(done) => json(&done),
            Err(e) if e.is::<crate::stop::Stop>() => return Err(e),
            Err(e) => json(&Failed { error: format!("{e:#}") }),
        },
        Err(e) => json(&Failed { error: e.to_string() }),
    };
    answer.map_err(|e| wasmtime::Error::msg(e.to_string()))
}

fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value)
}

fn module_of(caller: &Caller<'_, State>, module: usize) -> Result<Module> {
    caller.data().modules.get(module).cloned().ok_or_else(|| wasmtime::Error::msg("no such module"))
}

fn main_info(caller: &mut Caller<'_, State>) -> Result<MainInfo> {
    let module = module_of(caller, 0)?;
    let instance = caller.data().instances.first().copied();
    let instance = instance.ok_or_else(|| wasmtime::Error::msg("the main module is not there yet"))?;
    let imports = caller
        .data()
        .main_imports
        .iter()
        .map(|i| {
            let (kind, handle, signature) = match &i.item {
                ImportItem::Slot(slot, s) => {
                    ('f', i64::from(*slot), s.as_ref().map(|s| s.text.clone()).unwrap_or_default())
                }
                ImportItem::Global(g) => ('g', i64::from(*g), String::new()),
                ImportItem::Other => ('?', -1, String::new()),
            };
            BoundImport { module: i.module.clone(), name: i.name.clone(), kind, handle, signature }
        })
        .collect();
    Ok(MainInfo { exports: exports(caller, &module, instance)?, imports })
}

/// The exports of an instance, each with a number. What our rewriting added is not the guest's business.
fn exports(caller: &mut Caller<'_, State>, module: &Module, instance: Instance) -> Result<Vec<Export>> {
    let mut list = vec![];
    for export in module.exports() {
        let name = export.name();
        if name.starts_with(taipan_wasm::RESERVED_PREFIX) {
            continue;
        }
        let Some(item) = instance.get_export(&mut *caller, name) else { continue };
        let (kind, handle, signature) = register(caller, item);
        list.push(Export { name: name.to_owned(), kind, handle, signature });
    }
    Ok(list)
}

fn register(caller: &mut Caller<'_, State>, item: Extern) -> (char, u32, String) {
    match item {
        Extern::Func(f) => {
            let number = number_of(&mut *caller, f);
            let signature = function(&*caller, number).ok().and_then(|f| f.signature);
            ('f', number, signature.map(|s| s.text.clone()).unwrap_or_default())
        }
        Extern::Global(global) => {
            let ty = global.ty(&*caller);
            let kind = Kind::of(ty.content());
            let mutable = ty.mutability() == Mutability::Var;
            let number = caller.data_mut().add_global(GlobalEntry { global, kind, mutable });
            let code = kind.map_or('?', |k| char::from(k.code()));
            ('g', number, if mutable { format!("{code}m") } else { code.to_string() })
        }
        Extern::Table(table) => {
            let tables = &mut caller.data_mut().tables;
            tables.push(table);
            ('t', count(tables.len() - 1), String::new())
        }
        Extern::Tag(tag) => {
            let tags = &mut caller.data_mut().tags;
            tags.push(tag);
            ('x', count(tags.len() - 1), String::new())
        }
        _ => ('m', 0, String::new()),
    }
}

fn module_info(module: &Module) -> ModuleInfo {
    let kind = |ty: &ExternType| match ty {
        ExternType::Func(_) => 'f',
        ExternType::Global(_) => 'g',
        ExternType::Table(_) => 't',
        ExternType::Memory(_) => 'm',
        ExternType::Tag(_) => 'x',
    };
    ModuleInfo {
        imports: module
            .imports()
            .map(|i| ItemType {
                module: Some(i.module().to_owned()),
                name: i.name().to_owned(),
                kind: kind(&i.ty()),
                signature: String::new(),
            })
            .collect(),
        exports: module
            .exports()
            .map(|e| ItemType {
                module: None,
                name: e.name().to_owned(),
                kind: kind(&e.ty()),
                signature: String::new(),
            })
            .collect(),
    }
}

fn instantiate(caller: &mut Caller<'_, State>, module: usize, imports: &[Import]) -> Result<Instantiated> {
    let module = module_of(caller, module)?;
    if module.imports().len() != imports.len() {
        return Err(wasmtime::Error::msg("the number of imports is not the module's"));
    }
    let unknown = || wasmtime::Error::msg("an import names something that does not exist");
    let mut given = Vec::with_capacity(imports.len());
    let mut slots = Vec::with_capacity(imports.len());
    for (wanted, import) in module.imports().zip(imports) {
        let mut bind = None;
        given.push(match import {
            Import::Js => {
                let ExternType::Func(ty) = wanted.ty() else { return Err(unknown()) };
                let signature = caller.data_mut().signatures.of_type(&ty).ok_or_else(|| {
                    wasmtime::Error::msg(format!(
                        "import has a type that JavaScript cannot give: {}",
                        wanted.name()
                    ))
                })?;
                let slot = caller.data_mut().new_slot();
                bind = Some(Slot { slot, signature: signature.text.clone() });
                trampoline(&mut *caller, ty, slot, signature).into()
            }
            Import::Function { handle } => function(&*caller, *handle)?.func.into(),
            Import::Global { handle } => {
                caller.data().globals.get(*handle).ok_or_else(unknown)?.global.into()
            }
            Import::Table { handle } => (*caller.data().tables.get(*handle).ok_or_else(unknown)?).into(),
            Import::Tag { handle } => (*caller.data().tags.get(*handle).ok_or_else(unknown)?).into(),
            Import::Memory => crate::calls::guest(&*caller)?.memory.into(),
        });
        slots.push(bind);
    }
    let instance = Instance::new(caller.as_context_mut(), &module, &given)?;
    caller.data_mut().instances.push(instance);
    Ok(Instantiated { exports: exports(caller, &module, instance)?, slots })
}
