//! One per process: the Wasmtime engine and the compiled code that all isolates share.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use parking_lot::Mutex;
use taipan_wasm::{Dylink, Options};
use wasmtime::{Config, Engine, Module, OptLevel, WasmBacktraceDetails};

use crate::cache::CodeCache;
use crate::cpu::Ticker;
use crate::isolate::STACK_SIZE;
use crate::stub::stub_of;
use crate::{CompileStep, RuntimeError, RuntimeOptions};

/// What guest code may use of [`STACK_SIZE`]; the rest is the host's, which runs above every guest call.
const WASM_STACK: usize = STACK_SIZE / 4 * 3;

/// A store's references are few; four megabytes of address space each would exhaust mappings first.
const GC_HEAP_RESERVATION: u64 = 64 << 20;

/// The release's files that guest JavaScript reads. Of the main module it sees only the custom sections.
const FILES: [&str; 4] = ["pyodide.mjs", "pyodide.asm.mjs", "python_stdlib.zip", "pyodide-lock.json"];
const MAIN_FILE: &str = "pyodide.asm.wasm";

/// Where guest JavaScript finds them.
const FILES_ROOT: &str = "/pyodide/";
/// Where it finds our own Python.
const PYTHON_ROOT: &str = "/taipan/python/";

/// Compiled code and settings that all isolates of a process share.
pub struct Runtime {
    engine: Engine,
    cache: CodeCache,
    main: Module,
    main_stub: Arc<[u8]>,
    engine_module: Module,
    engine_layout: Dylink,
    files: HashMap<String, Arc<[u8]>>,
    ticker: Ticker,
    side_modules: Mutex<HashMap<blake3::Hash, Module>>,
    version: String,
}

fn module_error(module: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RuntimeError {
    RuntimeError::Module { module: module.to_owned(), source: source.into() }
}

impl Runtime {
    /// Loads the release's code from the cache, compiling it first when it is not there (some ten seconds of CPU).
    pub fn new(options: RuntimeOptions) -> Result<Arc<Self>, RuntimeError> {
        let engine = new_engine()?;
        let cache = CodeCache::open(&options.cache_dir, &engine)?;
        let mut files = HashMap::new();
        for name in FILES {
            files.insert(format!("{FILES_ROOT}{name}"), read(&options.files.folder.join(name))?.into());
        }
        for (name, content) in taipan_guest::PYTHON {
            files.insert(format!("{PYTHON_ROOT}{name}"), Arc::from(*content));
        }
        let main_wasm = read(&options.files.folder.join(MAIN_FILE))?;
        let main_stub: Arc<[u8]> = stub_of(&main_wasm).into();
        files.insert(format!("{FILES_ROOT}{MAIN_FILE}"), main_stub.clone());

        let main = cache.get(&engine, &recipe("main"), &main_wasm, || {
            (options.progress)(CompileStep::Compiling);
            let code = compile(&engine, MAIN_FILE, &main_wasm, &first_load(Options::main()))?;
            (options.progress)(CompileStep::Compiled);
            Ok(code)
        })?;
        let wasm = taipan_guest::ENGINE_WASM;
        let engine_module = cache.get(&engine, &recipe("side"), wasm, || {
            compile(&engine, "engine.wasm", wasm, &first_load(Options::side()))
        })?;
        let engine_layout = taipan_wasm::dylink(wasm)
            .map_err(|e| module_error("engine.wasm", e))?
            .ok_or_else(|| module_error("engine.wasm", "it is not a side module"))?;
        let ticker = Ticker::start(&engine).map_err(|e| module_error("epoch ticker", e))?;
        Ok(Arc::new(Self {
            engine,
            cache,
            main,
            main_stub,
            engine_module,
            engine_layout,
            files,
            ticker,
            side_modules: Mutex::default(),
            version: options.files.version,
        }))
    }

    /// The release, such as `314.0.7`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn main(&self) -> &Module {
        &self.main
    }

    /// Whether these bytes are what guest JavaScript reads as the main module.
    pub(crate) fn is_main_stub(&self, wasm: &[u8]) -> bool {
        *wasm == *self.main_stub
    }

    pub(crate) fn engine_module(&self) -> &Module {
        &self.engine_module
    }

    pub(crate) fn engine_layout(&self) -> &Dylink {
        &self.engine_layout
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    /// A file that guest JavaScript may read.
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(AsRef::as_ref)
    }

    /// The compiled form of a module that a guest has loaded; all isolates share it.
    pub(crate) fn side_module(&self, wasm: &[u8]) -> Result<Module, RuntimeError> {
        let name = blake3::hash(wasm);
        if let Some(module) = self.side_modules.lock().get(&name) {
            return Ok(module.clone());
        }
        let module = self.cache.get(&self.engine, &recipe("side"), wasm, || {
            compile(&self.engine, "module", wasm, &first_load(Options::side()))
        })?;
        self.side_modules.lock().insert(name, module.clone());
        Ok(module)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RuntimeError> {
    fs::read(path).map_err(|source| RuntimeError::Read { path: path.to_owned(), source })
}

/// What is done to a module before it is compiled; part of the name of its compiled code.
fn recipe(kind: &str) -> String {
    format!("{kind} {}", taipan_wasm::VERSION)
}

/// Instantiating writes the data and runs the start function: there is no image to restore them from yet.
fn first_load(options: Options) -> Options {
    Options { detach_data: false, drop_start: false, ..options }
}

fn compile(engine: &Engine, name: &str, wasm: &[u8], options: &Options) -> Result<Vec<u8>, RuntimeError> {
    let rewritten = taipan_wasm::rewrite(wasm, options).map_err(|e| module_error(name, e))?;
    engine.precompile_module(&rewritten.wasm).map_err(|e| module_error(name, e))
}

fn new_engine() -> Result<Engine, RuntimeError> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        // What Pyodide's modules use once their exceptions are lowered.
        .wasm_exceptions(true)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_tail_call(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .epoch_interruption(true)
        .async_stack_size(STACK_SIZE)
        .max_wasm_stack(WASM_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .gc_heap_reservation(GC_HEAP_RESERVATION);
    Engine::new(&config).map_err(|e| module_error("WebAssembly engine", e))
}
