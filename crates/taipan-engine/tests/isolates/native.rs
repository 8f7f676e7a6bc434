//! Exceptions through code that others compiled: C++'s, `longjmp`'s and, in a wheel, Rust's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use taipan_engine::{IsolateError, inspect};
use tempfile::TempDir;

use crate::guest::{Failed, Guest, Limits, on_guest_stack, release, runtime, shared_cache};

/// The side module of the sources in `native/`.
pub(crate) fn module() -> Arc<[u8]> {
    static MODULE: OnceLock<Arc<[u8]>> = OnceLock::new();
    MODULE.get_or_init(|| build(&[("exceptions.cpp", "c++"), ("jumps.c", "c")])).clone()
}

fn build(list: &[(&str, &str)]) -> Arc<[u8]> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/isolates/native");
    let folder = TempDir::new().unwrap();
    let clang = tool("CLANG", "clang");
    let mut objects = vec![];
    for &(source, language) in list {
        let object = folder.path().join(source).with_extension("o");
        run(Command::new(&clang)
            .args([
                "--target=wasm32-unknown-emscripten",
                "-O1",
                "-fPIC",
                "-fvisibility=hidden",
                "-nostdlibinc",
            ])
            // The legacy instructions, which are what wheels are built with.
            .args(["-fwasm-exceptions", "-mllvm", "-wasm-enable-eh", "-mllvm", "-wasm-enable-sjlj"])
            .args(["-mexception-handling", "-mbulk-memory", "-mreference-types"])
            .args(if language == "c++" { &["-fexceptions"][..] } else { &[] })
            .args(["-x", language, "-c"])
            .arg(sources.join(source))
            .arg("-o")
            .arg(&object));
        objects.push(object);
    }
    let output = folder.path().join("native.so");
    run(Command::new(tool("WASM_LD", "wasm-ld"))
        .args(["--shared", "--experimental-pic", "-Bsymbolic", "--unresolved-symbols=import-dynamic"])
        .args(&objects)
        .arg("-o")
        .arg(&output));
    fs_err::read(output).unwrap().into()
}

/// The tool named by the variable, or the newest on the PATH, as `taipan-guest` finds it.
fn tool(variable: &str, name: &str) -> PathBuf {
    if let Some(tool) = std::env::var_os(variable) {
        return tool.into();
    }
    let names = (16..=22).rev().map(|version| format!("{name}-{version}")).chain([name.to_owned()]);
    let works = |tool: &String| {
        Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    names.into_iter().find(works).unwrap_or_else(|| panic!("{name} is missing: run ./x setup")).into()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const EXCEPTIONS: &str = r#"
import ctypes

lib = ctypes.CDLL("/session/metadata/native.so")
function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)

def check(result, expected):
    assert result == expected, (result, expected)

def cpp():
    for depth in range(200):
        check(lib.caught(depth), 42001 + depth)
        check(lib.rethrown(depth), 42101 + depth)

def callbacks():
    for _ in range(100):
        check(lib.throws_result(function(lambda n: n + 6), 1), 7)
        check(lib.throws_result(function(lambda n: -3), 1), -3001)
        # An exception that is thrown and caught while another module's frames are below it.
        check(lib.throws_result(function(lambda n: lib.caught(5)), 1), 42006)

def over_python():
    for n in range(1, 50):
        check(lib.catches_all(function(lambda n: lib.uncaught(n)), n), 7000 + n)
    check(lib.catches_all(function(lambda n: lib.uncaught(n)), 0), 0)

def jumps():
    for depth in range(200):
        check(lib.jumps(depth), 772)
    check(lib.jumps_again(1000), 1000)
    check(lib.lands(function(lambda n: 3), 1), 3)

def jumps_over_python():
    for n in range(1, 50):
        check(lib.lands(function(lambda n: lib.leaps(n)), n), 5000 + n)

def uncaught():
    try:
        return lib.uncaught(9)
    except BaseException as error:
        return type(error).__name__
"#;

#[test]
fn exceptions_and_jumps_of_a_side_module() {
    on_guest_stack(|| {
        let files = [("native.so", module())];
        let mut guest = Guest::load_with(runtime(), EXCEPTIONS, &files, Limits::default()).unwrap();
        for function in ["cpp", "callbacks", "jumps", "over_python", "jumps_over_python", "cpp", "jumps"] {
            assert_eq!(guest.call(function), Ok("None".into()), "{function}");
        }
        // An exception that nobody knows is the end of the interpreter, as it is in a process.
        let result = guest.call("uncaught");
        assert!(matches!(result, Err(Failed::Stopped(IsolateError::Aborted { .. }))), "{result:?}");
    });
}

#[test]
fn a_snapshot_keeps_side_modules() {
    on_guest_stack(|| {
        let files = [("native.so", module())];
        let mut guest = Guest::load_with(runtime(), EXCEPTIONS, &files, Limits::default()).unwrap();
        assert_eq!(guest.call("jumps"), Ok("None".into()));
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("native.snapshot");
        let snapshot = guest.freeze(&path).unwrap();
        assert_eq!(inspect(&path, &shared_cache()).unwrap().native_modules.len(), 1);
        for _ in 0..2 {
            let mut guest = Guest::restore(runtime(), &snapshot, Limits::default()).unwrap();
            for function in ["cpp", "callbacks", "jumps", "over_python", "jumps_over_python"] {
                assert_eq!(guest.call(function), Ok("None".into()), "{function}");
            }
        }
    });
}

const INCOMPLETE: &str = r#"
import ctypes

def fails():
    try:
        ctypes.CDLL("/session/metadata/incomplete.so")
    except OSError as error:
        return "is_nowhere" in str(error)

def works():
    return ctypes.CDLL("/session/metadata/native.so").returns(5)
"#;

#[test]
fn a_module_that_cannot_be_linked_harms_no_other() {
    on_guest_stack(|| {
        let files = [("incomplete.so", build(&[("incomplete.c", "c")])), ("native.so", module())];
        let mut guest = Guest::load_with(runtime(), INCOMPLETE, &files, Limits::default()).unwrap();
        for (function, expected) in [("fails", "True"), ("fails", "True"), ("works", "5"), ("fails", "True")]
        {
            assert_eq!(guest.call(function), Ok(expected.into()), "{function}");
        }
        let folder = TempDir::new().unwrap();
        let snapshot = guest.freeze(&folder.path().join("incomplete.snapshot")).unwrap();
        let mut guest = Guest::restore(runtime(), &snapshot, Limits::default()).unwrap();
        for (function, expected) in [("fails", "True"), ("works", "5")] {
            assert_eq!(guest.call(function), Ok(expected.into()), "{function}");
        }
    });
}

/// The wheels of `native/wheels.txt`, through pip, which checks their digests.
fn wheels() -> Vec<(String, Arc<[u8]>)> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/isolates/native/wheels.txt");
    let folder = shared_cache().join("test-wheels");
    let python = release().python.rsplit_once('.').unwrap().0;
    let pip = |source: &[&str]| {
        Command::new("pip3")
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
            .args(["--only-binary=:all:", "--implementation=cp", &format!("--python-version={python}")])
            .arg(format!("--platform={}", release().platform_tag))
            .args(source)
            .arg("--dest")
            .arg(&folder)
            .arg("--requirement")
            .arg(&requirements)
            .output()
            .expect("pip3 is missing: run ./x setup")
    };
    let known = format!("--find-links={}", folder.display());
    if !pip(&["--no-index", &known]).status.success() {
        let output = pip(&[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let files = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs_err::read(path).unwrap().into())
        })
        .collect()
}

const PANICS: &str = r#"
import glob
import sys
import zipfile

for wheel in glob.glob("/session/metadata/*.whl"):
    zipfile.ZipFile(wheel).extractall("/tmp/wheels")
sys.path.insert(0, "/tmp/wheels")

from pydantic_core import SchemaValidator, ValidationError

number = SchemaValidator({"type": "typed-dict", "fields": {"a": {"type": "typed-dict-field", "schema": {"type": "int"}}}})

def validate():
    try:
        number.validate_python({"a": "x"})
    except ValidationError as error:
        assert error.errors()[0]["type"] == "int_parsing", error
    return number.validate_python({"a": "12"})

def panic():
    names = set()
    for _ in range(500):
        try:
            # The validator asks for a key that this schema lacks, and takes its presence for granted.
            SchemaValidator({"type": "custom-error", "schema": {"type": "none"}})
        except BaseException as error:
            names.add(type(error).__name__)
        assert validate() == {"a": 12}
    return names
"#;

#[test]
fn panics_of_rust_in_a_wheel() {
    on_guest_stack(|| {
        let wheels = wheels();
        let files: Vec<_> = wheels.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        let mut guest = Guest::load_with(runtime(), PANICS, &files, Limits::default()).unwrap();
        assert_eq!(guest.call("validate"), Ok("{'a': 12}".into()));
        assert_eq!(guest.call("panic"), Ok("{'PanicException'}".into()));
        assert!(guest.log().contains("panicked at"), "{}", guest.log());

        let folder = TempDir::new().unwrap();
        let snapshot = guest.freeze(&folder.path().join("wheel.snapshot")).unwrap();
        let mut guest = Guest::restore(runtime(), &snapshot, Limits::default()).unwrap();
        assert_eq!(guest.call("panic"), Ok("{'PanicException'}".into()));
    });
}
