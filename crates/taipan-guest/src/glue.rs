//! How Pyodide's releases differ in what the engine does in place of their JavaScript.

/// The engine's handle for the value by which a release says that an exception is pending, where it has one ([`Glue::mark`]).
pub const ERROR_HANDLE: u32 = 4;

/// See [`Glue::checks`].
pub const FRAME: u32 = 128;

/// What the engine must know of a release.
#[derive(Debug, PartialEq, Eq)]
pub struct Glue {
    /// The release's version.
    pub version: &'static str,
    /// The file with its JavaScript.
    pub file: &'static str,
    /// The value that C code returns for "an exception is pending". Without one, `null` says it.
    pub mark: Option<Mark>,
    /// Those of [`NATIVES`](crate::NATIVES) that the release does differently: its JavaScript does them.
    pub left_to_javascript: &'static [&'static str],
    /// Functions of its C that recurse as deeply as what they are given is nested, and move C's stack pointer too little, or not at
    /// all, for CPython and the engine to see how deep they are; each with the frame that it gets there. A level may take ten times
    /// that of WebAssembly's own stack, which is as much larger.
    pub frames: &'static [(&'static str, u32)],
    /// Functions by which CPython's C asks how deep it is. Those that call one of them and themselves get [`FRAME`].
    pub checks: &'static [&'static str],
    /// Whether its Python has `ssl`, and sockets that the host can be behind.
    pub has_sockets: bool,
    /// Whether its loader looks for the libraries that a native module needs.
    pub finds_libraries: bool,
}

/// Imports of the main module.
#[derive(Debug, PartialEq, Eq)]
pub struct Mark {
    /// What they are imported from.
    pub module: &'static str,
    /// Gives the value.
    pub give: &'static str,
    /// Says whether its parameter is the value.
    pub check: &'static str,
}

/// Every release. A test of the engine's compares what is said here with what the releases do.
pub static GLUES: [Glue; 4] = [
    Glue {
        version: "314.0.7",
        file: "pyodide.asm.mjs",
        mark: Some(Mark { module: "env", give: "Jsv_GetError_import", check: "JsvError_Check" }),
        left_to_javascript: &[],
        frames: &[
            ("_Py_Dealloc", 128),
            ("PyObject_RichCompare", 128),
            // Looks for each object among all that it is in.
            ("PyObject_Repr", 512),
            ("_python2js", 256),
        ],
        checks: &["Py_EnterRecursiveCall", "_Py_CheckRecursiveCall", "_Py_ReachedRecursionLimitWithMargin"],
        has_sockets: true,
        finds_libraries: true,
    },
    Glue {
        version: "0.29.5",
        file: "pyodide.asm.js",
        mark: Some(Mark { module: "sentinel", give: "create_sentinel", check: "is_sentinel" }),
        left_to_javascript: &["JsProxy_compute_typeflags"],
        // Python counts how deep it is.
        frames: &[("_python2js", 256)],
        checks: &[],
        has_sockets: false,
        finds_libraries: true,
    },
    Glue {
        version: "0.28.3",
        file: "pyodide.asm.js",
        mark: Some(Mark { module: "sentinel", give: "create_sentinel", check: "is_sentinel" }),
        left_to_javascript: &["JsProxy_compute_typeflags"],
        // Python counts how deep it is.
        frames: &[("_python2js", 256)],
        checks: &[],
        has_sockets: false,
        finds_libraries: true,
    },
    Glue {
        version: "0.27.7",
        file: "pyodide.asm.js",
        mark: None,
        left_to_javascript: &["JsProxy_compute_typeflags"],
        // Python counts how deep it is.
        frames: &[("_python2js", 256)],
        checks: &[],
        has_sockets: false,
        finds_libraries: false,
    },
];

/// What there is to know of a release; `None` for one that the engine cannot run.
pub fn glue(version: &str) -> Option<&'static Glue> {
    GLUES.iter().find(|glue| glue.version == version)
}
