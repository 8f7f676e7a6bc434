//! One per process: the Wasmtime engine and the compiled code that all isolates share.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use fs_err as fs;
use parking_lot::Mutex;
use taipan_guest::glue::{ERROR_HANDLE, FRAME, Glue};
use taipan_wasm::references::{Frames, Mark, References};
use taipan_wasm::{Dylink, Options};
use wasmtime::{Config, Engine, OptLevel, WasmBacktraceDetails};

use crate::cache::CodeCache;
use crate::code::{Code, CodeName, First};
use crate::cpu::Ticker;
use crate::isolate::STACK_SIZE;
use crate::link::Links;
use crate::snapshot::{Digest, Image};
use crate::stub::stub_of;
use crate::{CompileStep, RuntimeError, RuntimeFiles, RuntimeOptions, Snapshot};

/// What guest code may use of [`STACK_SIZE`]; the rest is the host's, which runs above every guest call.
const WASM_STACK: usize = STACK_SIZE / 8 * 7;

/// A store's references are few; four megabytes of address space each would exhaust mappings first.
const GC_HEAP_RESERVATION: u64 = 64 << 20;

/// The release's files that guest JavaScript reads. Of the main module it sees only the custom sections.
const FILES: [&str; 3] = ["pyodide.mjs", "python_stdlib.zip", "pyodide-lock.json"];
const MAIN_FILE: &str = "pyodide.asm.wasm";

/// Where guest JavaScript finds them.
const FILES_ROOT: &str = "/pyodide/";
/// Where it finds our own Python.
const PYTHON_ROOT: &str = "/taipan/python/";

/// Compiled code and settings that all isolates of a process share.
pub struct Runtime {
    engine: Engine,
    cache: CodeCache,
    main: Arc<Code>,
    links: Links,
    engine_module: Arc<Code>,
    engine_layout: Dylink,
    release: RuntimeFiles,
    glue: &'static Glue,
    files: OnceLock<Files>,
    ticker: Ticker,
    side_modules: Mutex<HashMap<CodeName, Arc<Code>>>,
    cache_dir: PathBuf,
    progress: Box<dyn Fn(CompileStep) + Send + Sync>,
    base: Mutex<Option<Arc<Snapshot>>>,
    /// Snapshots in use, for those that are layers above them.
    images: Mutex<HashMap<Digest, Weak<Image>>>,
    base_name: OnceLock<String>,
}

fn module_error(module: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RuntimeError {
    RuntimeError::Module { module: module.to_owned(), source: source.into() }
}

impl Runtime {
    /// Loads the release's code from the cache, compiling it first when it is not there (some ten seconds of CPU).
    pub fn new(options: RuntimeOptions) -> Result<Arc<Self>, RuntimeError> {
        keep_large_blocks_lazy();
        let engine = new_engine()?;
        let cache = CodeCache::open(&options.cache_dir, &engine)?;
        let release = options.files;
        let unknown =
            || module_error(MAIN_FILE, format!("this build does not run Pyodide {}", release.version));
        let glue = taipan_guest::glue::glue(&release.version).ok_or_else(unknown)?;
        let references = references(glue);
        let how = recipe(&format!("main {references:?}"));
        let main = cache.get(&engine, cache.name(&how, release.digest.as_bytes()), || {
            let wasm = read(&folder_of(&release)?.join(MAIN_FILE))?;
            (options.progress)(CompileStep::Compiling);
            let code = compile(&engine, MAIN_FILE, &wasm, &Options::main(references))?;
            (options.progress)(CompileStep::Compiled);
            Ok(code)
        })?;
        let wasm = taipan_guest::ENGINE_WASM;
        let engine_module = cache.get(&engine, cache.name(&recipe("side"), wasm), || {
            compile(&engine, "engine.wasm", wasm, &Options::side())
        })?;
        let engine_layout = taipan_wasm::dylink(wasm)
            .map_err(|e| module_error("engine.wasm", e))?
            .ok_or_else(|| module_error("engine.wasm", "it is not a side module"))?;
        let links = Links::new(&engine, &main.module).map_err(|e| module_error(MAIN_FILE, e))?;
        let ticker = Ticker::start().map_err(|e| module_error("watch of CPU time", e))?;
        let runtime = Self {
            engine,
            cache,
            main,
            links,
            engine_module,
            engine_layout,
            release,
            glue,
            files: OnceLock::new(),
            ticker,
            side_modules: Mutex::default(),
            cache_dir: options.cache_dir,
            progress: options.progress,
            base: Mutex::default(),
            images: Mutex::default(),
            base_name: OnceLock::new(),
        };
        if !runtime.base_path().exists() {
            // Needed soon: who asks for a runtime hears best why there is none.
            runtime.files()?;
        }
        Ok(Arc::new(runtime))
    }

    /// The release, such as `314.0.7`.
    pub fn version(&self) -> &str {
        &self.release.version
    }

    /// How the release differs from others.
    pub(crate) fn glue(&self) -> &'static Glue {
        self.glue
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn main(&self) -> &Arc<Code> {
        &self.main
    }

    /// Says what is in the release's files.
    pub(crate) fn release_digest(&self) -> &str {
        &self.release.digest
    }

    /// The files that guest JavaScript may read.
    pub(crate) fn files(&self) -> Result<&Files, RuntimeError> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let files = Files::read(&folder_of(&self.release)?, self.glue)?;
        Ok(self.files.get_or_init(|| files))
    }

    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    pub(crate) fn engine_module(&self) -> &Arc<Code> {
        &self.engine_module
    }

    pub(crate) fn engine_layout(&self) -> &Dylink {
        &self.engine_layout
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    /// The compiled form of a module that a guest has loaded; all isolates share it.
    pub(crate) fn side_module(&self, wasm: &[u8]) -> Result<Arc<Code>, RuntimeError> {
        let name = self.cache.name(&recipe("side"), wasm);
        // What a snapshot has brought along may lack what only a first instantiation needs.
        if let Some(code) = self.side_modules.lock().get(&name)
            && self.cache.first(code).is_ok()
        {
            return Ok(code.clone());
        }
        let code = self.compile_module(wasm)?;
        self.side_modules.lock().insert(name, code.clone());
        Ok(code)
    }

    /// The compiled form of a module, from the cache if it has it.
    pub(crate) fn compile_module(&self, wasm: &[u8]) -> Result<Arc<Code>, RuntimeError> {
        let name = self.cache.name(&recipe("side"), wasm);
        self.cache.get(&self.engine, name, || compile(&self.engine, "module", wasm, &Options::side()))
    }

    /// The file that says that modules were compiled ahead.
    pub(crate) fn mark_of_modules(&self, name: &str) -> PathBuf {
        let name = self.cache.name(&recipe("ahead"), name.as_bytes());
        self.cache_dir.join(format!("{}.ahead", blake3::Hash::from_bytes(name).to_hex()))
    }

    /// Compiled code that a snapshot names; `None` when the cache does not have it any more.
    pub(crate) fn code(&self, name: CodeName) -> Option<Arc<Code>> {
        if let Some(code) = self.side_modules.lock().get(&name) {
            return Some(code.clone());
        }
        let code = self.cache.load(&self.engine, name)?;
        self.side_modules.lock().insert(name, code.clone());
        Some(code)
    }

    /// What the first instantiation of a module does.
    pub(crate) fn first(&self, code: &Code) -> wasmtime::Result<Arc<First>> {
        self.cache.first(code).map_err(|e| wasmtime::Error::msg(e.to_string()))
    }

    /// The folder for compiled code and snapshots.
    pub fn cache_dir(&self) -> &Path {
        &self.cache_dir
    }

    pub(crate) fn report(&self, step: CompileStep) {
        (self.progress)(step);
    }

    pub(crate) fn base_slot(&self) -> &Mutex<Option<Arc<Snapshot>>> {
        &self.base
    }

    /// Remembers an image while it is in use.
    pub(crate) fn know(&self, image: Image) -> Arc<Image> {
        let mut images = self.images.lock();
        images.retain(|_, image| image.strong_count() > 0);
        let image = Arc::new(image);
        images.insert(image.digest, Arc::downgrade(&image));
        image
    }

    pub(crate) fn known(&self, digest: &Digest) -> Option<Arc<Image>> {
        self.images.lock().get(digest)?.upgrade()
    }

    pub(crate) fn base_name_slot(&self) -> &OnceLock<String> {
        &self.base_name
    }

    /// The key that authenticates this installation's files.
    pub(crate) fn key(&self) -> &[u8; 32] {
        self.cache.key()
    }
}

/// What guest JavaScript may read.
pub(crate) struct Files {
    by_path: HashMap<String, Arc<[u8]>>,
    main_stub: Arc<[u8]>,
}

impl Files {
    fn read(folder: &Path, glue: &Glue) -> Result<Self, RuntimeError> {
        let mut by_path = HashMap::new();
        for name in FILES.into_iter().chain([glue.file]) {
            by_path.insert(format!("{FILES_ROOT}{name}"), read(&folder.join(name))?.into());
        }
        for (name, content) in taipan_guest::PYTHON {
            by_path.insert(format!("{PYTHON_ROOT}{name}"), Arc::from(*content));
        }
        let main_stub: Arc<[u8]> = stub_of(&read(&folder.join(MAIN_FILE))?).into();
        by_path.insert(format!("{FILES_ROOT}{MAIN_FILE}"), main_stub.clone());
        Ok(Self { by_path, main_stub })
    }

    pub(crate) fn get(&self, path: &str) -> Option<&[u8]> {
        self.by_path.get(path).map(AsRef::as_ref)
    }

    /// Whether these bytes are what guest JavaScript reads as the main module.
    pub(crate) fn is_main_stub(&self, wasm: &[u8]) -> bool {
        *wasm == *self.main_stub
    }
}

fn folder_of(release: &RuntimeFiles) -> Result<PathBuf, RuntimeError> {
    (release.folder)().map_err(RuntimeError::Files)
}

/// An instance has half a megabyte of tables of which it touches a tenth. Wasmtime asks for them zeroed, which costs nothing
/// as long as the C library takes each such block from the kernel; by default it begins to recycle them, and to write zeros,
/// as soon as one has been freed.
fn keep_large_blocks_lazy() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 64 << 10;
        // SAFETY: changes a number that `malloc` compares sizes with; any thread may do so at any time.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RuntimeError> {
    fs::read(path).map_err(|source| RuntimeError::Read { path: path.to_owned(), source })
}

/// What is done to a module before it is compiled; part of the name of its compiled code.
fn recipe(kind: &str) -> String {
    format!("{kind} {}", taipan_wasm::VERSION)
}

/// What the JavaScript engine knows of references.
fn references(glue: &Glue) -> References {
    let natives =
        taipan_guest::NATIVES.iter().zip(0..).filter(|(name, _)| !glue.left_to_javascript.contains(name));
    let mark = glue.mark.as_ref().map(|mark| Mark {
        handle: ERROR_HANDLE,
        module: mark.module.into(),
        give: mark.give.into(),
        check: mark.check.into(),
    });
    let natives = natives.map(|(name, place)| ((*name).to_owned(), place)).collect();
    let frames = Frames {
        named: glue.frames.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect(),
        checks: glue.checks.iter().map(|name| (*name).to_owned()).collect(),
        size: FRAME,
    };
    References { natives, mark, frames, ..References::default() }
}

fn compile(
    engine: &Engine,
    name: &str,
    wasm: &[u8],
    options: &Options,
) -> Result<(Vec<u8>, First), RuntimeError> {
    let rewritten = taipan_wasm::rewrite(wasm, options).map_err(|e| module_error(name, e))?;
    let code = engine.precompile_module(&rewritten.wasm).map_err(|e| module_error(name, e))?;
    Ok((code, First::of(&rewritten)))
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
        // `interrupt` depends on it: frames must not be looked at where one may be half made.
        .wasm_backtrace_max_frames(None)
        .async_stack_size(STACK_SIZE)
        .max_wasm_stack(WASM_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .gc_heap_reservation(GC_HEAP_RESERVATION);
    Engine::new(&config).map_err(|e| module_error("WebAssembly engine", e))
}
