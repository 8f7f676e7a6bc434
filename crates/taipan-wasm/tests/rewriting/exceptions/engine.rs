//! Programs run by Wasmtime.

use anyhow::{Context, Result, anyhow};
use wasmtime::{
    Caller, Config, Engine, ExternType, FuncType, Instance, Linker, Module, Store, Tag, TagType,
    ThrownException, Val, ValType,
};

use super::{ARGUMENTS, Program};

/// A line for each call, like those of `reference.mjs`.
pub(crate) fn run(programs: &[Program]) -> Result<Vec<String>> {
    let engine = engine()?;
    let mut lines = Vec::new();
    for program in programs {
        let compiled =
            program.modules.iter().map(|wasm| Module::new(&engine, wasm)).collect::<Result<Vec<_>, _>>();
        let modules = compiled.map_err(|e| anyhow!("program {}: {e:#}", program.name))?;
        let last = modules.last().context("a program without modules")?;
        let runs =
            last.exports().filter(|e| matches!(e.ty(), ExternType::Func(_)) && e.name().starts_with("run"));
        for run in runs {
            for argument in ARGUMENTS {
                let result = call(&engine, &modules, run.name(), argument).map_err(|e| anyhow!("{e:#}"))?;
                lines.push(format!("{} {}({argument}): {result}", program.name, run.name()));
            }
        }
    }
    Ok(lines)
}

/// An engine with the features that lowered modules need.
pub(crate) fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_exceptions(true).wasm_function_references(true).wasm_gc(true);
    Engine::new(&config).map_err(|e| anyhow!("{e:#}"))
}

fn call(engine: &Engine, modules: &[Module], run: &str, argument: i32) -> wasmtime::Result<String> {
    let mut store = Store::new(engine, ());
    let mut tags = Vec::new();
    let mut linker = Linker::new(engine);
    for (name, values) in [("t0/1", [ValType::I32].as_slice()), ("t1/2", &[ValType::I32, ValType::I64])] {
        let ty = TagType::new(FuncType::new(engine, values.iter().cloned(), []));
        let tag = Tag::new(&mut store, &ty)?;
        linker.define(&mut store, "env", name, tag)?;
        tags.push((name.to_owned(), tag));
    }
    linker.func_wrap("env", "host", |mut caller: Caller<'_, ()>, x: i32, j: i32| {
        let callback = caller.get_export("cb").and_then(|export| export.into_func());
        let callback = callback.ok_or_else(|| wasmtime::Error::msg("no export cb"))?;
        callback.typed::<(i32, i32), i32>(&caller)?.call(&mut caller, (x, j))
    })?;
    let mut last = None;
    for (index, module) in modules.iter().enumerate() {
        let instance = linker.instantiate(&mut store, module)?;
        linker.instance(&mut store, &format!("m{index}"), instance)?;
        last = Some((instance, module));
    }
    let (instance, module) = last.ok_or_else(|| wasmtime::Error::msg("a program without modules"))?;
    for export in module.exports() {
        if let Some(tag) = instance.get_tag(&mut store, export.name()) {
            tags.push((export.name().to_owned(), tag));
        }
    }
    let result = instance.get_typed_func::<i32, i32>(&mut store, run)?.call(&mut store, argument);
    let outcome = match result {
        Ok(value) => format!("returned {value}"),
        Err(error) if error.is::<ThrownException>() => thrown(&mut store, &tags)?,
        Err(error) => match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::UnreachableCodeReached) => "trapped: unreachable".into(),
            Some(wasmtime::Trap::IntegerDivisionByZero) => "trapped: divide by zero".into(),
            _ => format!("trapped: {error:#}"),
        },
    };
    Ok(format!("{outcome};{}", globals(&mut store, instance, module)))
}

fn thrown(store: &mut Store<()>, tags: &[(String, Tag)]) -> wasmtime::Result<String> {
    let Some(exception) = store.take_pending_exception() else { return Ok("threw nothing".into()) };
    let tag = exception.tag(&mut *store)?;
    let Some((name, _)) = tags.iter().find(|(_, known)| Tag::eq(&tag, known, &*store)) else {
        return Ok("threw a private tag".into());
    };
    let values: Vec<_> = exception.fields(&mut *store)?.map(|value| number(&value)).collect();
    Ok(format!("threw {name} [{}]", values.join(", ")))
}

fn globals(store: &mut Store<()>, instance: Instance, module: &Module) -> String {
    let mut text = String::new();
    for export in module.exports() {
        if let Some(global) = instance.get_global(&mut *store, export.name()) {
            text += &format!(" {}={}", export.name(), number(&global.get(&mut *store)));
        }
    }
    text
}

fn number(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        other => format!("{other:?}"),
    }
}
