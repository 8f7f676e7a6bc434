//! The structured questions of the guest's `WebAssembly` API, asked a few hundred times at boot and once per `dlopen`;
//! JSON both ways because nothing here is hot.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wasmtime::{
    AsContextMut, Caller, Extern, ExternType, Instance, Module, Mutability, Result, StoreContextMut,
};

use crate::calls::{guest, trampoline};
use crate::code::Code;
use crate::entities::{function, global, number_of};
use crate::functions::Origin;
use crate::signature::Kind;
use crate::state::{
    ExportOrigin, GlobalEntry, GlobalOrigin, ImportItem, ImportRecord, InstanceRecord, State, count,
};

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
        handle: u32,
    },
    Table {
        handle: u32,
    },
    Memory,
    Tag {
        handle: u32,
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
            Ok(code) => json(&module_info(&code.module)),
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

fn module_of(caller: &Caller<'_, State>, module: usize) -> Result<Arc<Code>> {
    caller.data().modules.get(module).cloned().ok_or_else(|| wasmtime::Error::msg("no such module"))
}

fn main_info(caller: &mut Caller<'_, State>) -> Result<MainInfo> {
    let code = module_of(caller, 0)?;
    let instance = caller.data().instances.first().copied();
    let instance = instance.ok_or_else(|| wasmtime::Error::msg("the main module is not there yet"))?;
    let first = caller.data().runtime.clone().first(&code)?;
    let imports = caller
        .data()
        .main_imports
        .iter()
        .map(|i| {
            let (kind, handle, signature) = match &i.item {
                ImportItem::Slot(slot, s) => {
                    let plain = s.as_ref().map(|s| s.text.as_str());
                    let signature = first.import(&i.module, &i.name).or(plain).unwrap_or_default();
                    ('f', i64::from(*slot), signature.to_owned())
                }
                ImportItem::Global(g) => ('g', i64::from(*g), String::new()),
                ImportItem::Other => ('?', -1, String::new()),
            };
            BoundImport { module: i.module.clone(), name: i.name.clone(), kind, handle, signature }
        })
        .collect();
    Ok(MainInfo { exports: exports(caller, &code, 0, instance)?, imports })
}

/// The exports of an instance, each with a number. What our rewriting added is not the guest's business.
fn exports(
    caller: &mut Caller<'_, State>,
    code: &Code,
    number: u32,
    instance: Instance,
) -> Result<Vec<Export>> {
    let first = caller.data().runtime.clone().first(code)?;
    let mut list = vec![];
    for export in code.module.exports() {
        let name = export.name();
        if name.starts_with(taipan_wasm::RESERVED_PREFIX) {
            continue;
        }
        let Some(item) = instance.get_export(&mut *caller, name) else { continue };
        let (kind, handle, signature) = register(caller, item, number, name, first.export(name));
        list.push(Export { name: name.to_owned(), kind, handle, signature });
    }
    Ok(list)
}

/// `signature`: of a function, if it has references.
fn register(
    caller: &mut Caller<'_, State>,
    item: Extern,
    instance: u32,
    name: &str,
    signature: Option<&str>,
) -> (char, u32, String) {
    let name = name.to_owned();
    match item {
        Extern::Func(f) => {
            let signature = signature.map(str::to_owned);
            let number = number_of(&mut *caller, f, || Origin::Export { instance, name, signature });
            let signature = function(&mut *caller, number).ok().and_then(|f| f.signature);
            ('f', number, signature.map(|s| s.text.clone()).unwrap_or_default())
        }
        Extern::Global(global) => {
            let ty = global.ty(&*caller);
            let kind = Kind::of(ty.content());
            let mutable = ty.mutability() == Mutability::Var;
            let entry = GlobalEntry { global, kind, mutable };
            let number = caller.data_mut().globals.add(GlobalOrigin::Export { instance, name }, entry);
            let code = kind.map_or('?', |k| char::from(k.code()));
            ('g', number, if mutable { format!("{code}m") } else { code.to_string() })
        }
        Extern::Table(table) => {
            let tables = &mut caller.data_mut().tables;
            let known = tables.iter().position(|(_, o)| o.instance == instance && o.name == name);
            let number = known.unwrap_or_else(|| {
                tables.push((table, ExportOrigin { instance, name }));
                tables.len() - 1
            });
            ('t', count(number), String::new())
        }
        Extern::Tag(tag) => {
            let tags = &mut caller.data_mut().tags;
            tags.push((tag, ExportOrigin { instance, name }));
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
    let code = module_of(caller, module)?;
    if code.module.imports().len() != imports.len() {
        return Err(wasmtime::Error::msg("the number of imports is not the module's"));
    }
    let unknown = || wasmtime::Error::msg("an import names something that does not exist");
    let first = caller.data().runtime.clone().first(&code)?;
    let mut records = Vec::with_capacity(imports.len());
    let mut slots = Vec::with_capacity(imports.len());
    for (wanted, import) in code.module.imports().zip(imports) {
        let mut bind = None;
        records.push(match import {
            Import::Js => {
                let ExternType::Func(ty) = wanted.ty() else { return Err(unknown()) };
                let signature = caller.data_mut().signatures.of_type(&ty).ok_or_else(|| {
                    wasmtime::Error::msg(format!(
                        "import has a type that JavaScript cannot give: {}",
                        wanted.name()
                    ))
                })?;
                let slot = caller.data_mut().new_slot();
                let text = first.import(wanted.module(), wanted.name()).unwrap_or(&signature.text);
                bind = Some(Slot { slot, signature: text.to_owned() });
                ImportRecord::Slot(slot)
            }
            Import::Function { handle } => ImportRecord::Function(*handle),
            Import::Global { handle } => ImportRecord::Global(*handle),
            Import::Table { handle } => ImportRecord::Table(*handle),
            Import::Tag { handle } => ImportRecord::Tag(*handle),
            Import::Memory => ImportRecord::Memory,
        });
        slots.push(bind);
    }
    let record = InstanceRecord { module: count(module), imports: records };
    let instance = make_instance(caller.as_context_mut(), &code, &record)?;
    caller.data_mut().instances.push(instance);
    let number = count(caller.data().instances.len() - 1);

    let mut bases = HashMap::new();
    for (wanted, given) in code.module.imports().zip(&record.imports) {
        if let ImportRecord::Global(handle) = given {
            let value = global(&mut *caller, *handle)?.global.get(&mut *caller);
            if let Some(value) = value.i32() {
                bases.insert((wanted.module().to_owned(), wanted.name().to_owned()), value.cast_unsigned());
            }
        }
    }
    caller.data_mut().instance_records.push(record);
    let memory = guest(&*caller)?.memory;
    share_references(caller, instance)?;
    first.run(caller.as_context_mut(), memory, instance, &bases)?;
    Ok(Instantiated { exports: exports(caller, &code, number, instance)?, slots })
}

/// Tells a module that has references where the engine keeps them.
fn share_references(caller: &mut Caller<'_, State>, instance: Instance) -> Result<()> {
    let Some(global) = instance.get_global(&mut *caller, taipan_wasm::REFERENCES_EXPORT) else {
        return Ok(());
    };
    let main = caller.data().instances.first().copied();
    let known = main.and_then(|main| main.get_global(&mut *caller, taipan_wasm::REFERENCES_EXPORT));
    let known = known.ok_or_else(|| wasmtime::Error::msg("the main module has no references"))?;
    let value = known.get(&mut *caller);
    global.set(&mut *caller, value)
}

/// Instantiates a side module as recorded. Its data is not written and its start function does not run.
pub(crate) fn make_instance(
    mut store: StoreContextMut<'_, State>,
    code: &Code,
    record: &InstanceRecord,
) -> Result<Instance> {
    let unknown = || wasmtime::Error::msg("an import names something that does not exist");
    let mut given: Vec<Extern> = Vec::with_capacity(record.imports.len());
    for (wanted, import) in code.module.imports().zip(&record.imports) {
        given.push(match import {
            ImportRecord::Slot(slot) => {
                let ExternType::Func(ty) = wanted.ty() else { return Err(unknown()) };
                let signature = store.data_mut().signatures.of_type(&ty).ok_or_else(unknown)?;
                trampoline(&mut store, ty, *slot, signature).into()
            }
            ImportRecord::Function(number) => function(&mut store, *number)?.func.into(),
            ImportRecord::Global(number) => global(&mut store, *number)?.global.into(),
            ImportRecord::Table(number) => {
                store.data().tables.get(*number as usize).ok_or_else(unknown)?.0.into()
            }
            ImportRecord::Tag(number) => {
                store.data().tags.get(*number as usize).ok_or_else(unknown)?.0.into()
            }
            ImportRecord::Memory => guest(&store)?.memory.into(),
        });
    }
    Instance::new(&mut store, &code.module, &given)
}
