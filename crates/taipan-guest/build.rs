//! Makes what runs inside the sandbox: `engine.wasm` from the QuickJS-ng sources and our shim, and the JavaScript
//! bundle from `js/`. Needs clang and wasm-ld 16 or newer, `patch`, Node.js, and the packages of `js/package.json`;
//! `./x setup` installs them.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use fs_err as fs;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const QUICKJS_PACKAGE: &str = "rquickjs-sys";
const QUICKJS_UNITS: [&str; 4] = ["quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["CLANG", "WASM_LD"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(e) = build() {
        println!("cargo::error={e}");
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    build_engine(&root.join("engine"), &out)?;
    build_natives(&root.join("engine/src/natives.h"), &out)?;
    build_bundle(&root.join("js"), &out)?;
    build_python(&root.join("python"), &out)
}

fn build_engine(engine: &Path, out: &Path) -> Result<()> {
    let clang = tool("CLANG", "clang")?;
    let linker = tool("WASM_LD", "wasm-ld")?;
    let quickjs = out.join("quickjs");
    // Who edits JavaScript or Python need not wait for C.
    let common =
        newest(&[engine.join("include"), engine.join("patches"), "build.rs".into(), "Cargo.toml".into()])?;
    let headers = files(&engine.join("src"), "h")?;
    let copied = quickjs.join("quickjs.c");
    let sources = quickjs_sources()?;
    // Its path has the version in it.
    let origin = out.join("quickjs.origin");
    if !is_newer(&copied, common)
        || !fs::read(&origin).is_ok_and(|o| o == sources.as_os_str().as_encoded_bytes())
    {
        copy_patched(&sources, &engine.join("patches"), &quickjs)?;
        fs::write(&origin, sources.as_os_str().as_encoded_bytes())?;
    }

    let mut units: Vec<PathBuf> = QUICKJS_UNITS.iter().map(|f| quickjs.join(f)).collect();
    units.extend(files(&engine.join("src"), "c")?);
    watch(engine)?;
    let mut objects = vec![];
    let mut running = vec![];
    for unit in &units {
        let object = out.join(unit.file_name().ok_or("no name")?).with_extension("o");
        objects.push(object.clone());
        let own = if unit.starts_with(engine) { modified(unit)?.max(newest(&headers)?) } else { common };
        if is_newer(&object, common.max(own)) && is_newer(&object, modified(&copied)?) {
            continue;
        }
        let mut cc = Command::new(&clang);
        cc.args([
            "--target=wasm32-unknown-emscripten",
            "-O2",
            "-fPIC",
            "-fvisibility=hidden",
            "-nostdlibinc",
        ])
        .args(["-mbulk-memory", "-msign-ext", "-mnontrapping-fptoint", "-mreference-types"])
        .args(["-fno-delete-null-pointer-checks", "-fwrapv", "-funsigned-char", "-fno-math-errno"])
        .args(["-fno-builtin-printf", "-fno-builtin-fprintf"])
        .args(["-D__EMSCRIPTEN__", "-DEMSCRIPTEN", "-D_GNU_SOURCE", "-DQUICKJS_NG_BUILD", "-DNDEBUG"])
        .arg("-isystem")
        .arg(engine.join("include"))
        .arg("-I")
        .arg(&quickjs)
        // Warnings are for our own code.
        .args(if unit.starts_with(engine) {
            &["-Wall", "-Wno-unused-parameter", "-Werror"][..]
        } else {
            &["-w"][..]
        })
        .arg("-c")
        .arg(unit)
        .arg("-o")
        .arg(&object);
        running.push((unit, cc.spawn().map_err(|e| format!("cannot run {clang}: {e}"))?));
    }
    for (unit, mut child) in running {
        if !child.wait()?.success() {
            return Err(format!("clang failed on {}", unit.display()).into());
        }
    }
    let mut ld = Command::new(&linker);
    ld.args([
        "--shared",
        "--experimental-pic",
        "-Bsymbolic",
        "--unresolved-symbols=import-dynamic",
        "--gc-sections",
    ])
    .args(["-O2", "--strip-debug"])
    .args(&objects)
    .arg("-o")
    .arg(out.join("engine.wasm"));
    run(&mut ld)
}

/// The list of natives, as Rust source.
fn build_natives(header: &Path, out: &Path) -> Result<()> {
    let text = fs::read_to_string(header)?;
    let names = text.lines().filter_map(|line| line.strip_prefix("NATIVE(")?.strip_suffix(')'));
    let list: String = names.map(|name| format!("{name:?}, ")).collect();
    fs::write(out.join("natives.rs"), format!("&[{list}]"))?;
    Ok(())
}

fn build_bundle(js: &Path, out: &Path) -> Result<()> {
    watch(&js.join("src"))?;
    println!("cargo::rerun-if-changed={}", js.join("package-lock.json").display());
    let esbuild = js.join("node_modules/.bin/esbuild");
    if !esbuild.exists() {
        return Err(format!(
            "esbuild is missing: {} (run `./x setup`, or `npm ci` in that folder)",
            js.display()
        )
        .into());
    }
    run(Command::new(esbuild)
        .arg(js.join("src/main.ts"))
        .args(["--bundle", "--format=iife", "--target=es2023", "--minify-syntax", "--minify-whitespace"])
        .args(["--legal-comments=none", "--log-level=warning"])
        .arg(format!("--outfile={}", out.join("bundle.js").display())))
}

/// A table of the Python files, as Rust source.
fn build_python(python: &Path, out: &Path) -> Result<()> {
    let mut found = vec![];
    for part in ["workers", "."] {
        collect(&python.join(part), part == ".", &mut found)?;
    }
    found.sort();
    found.dedup();
    let mut table = String::from("&[\n");
    for file in found {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.strip_prefix(python)?.to_str().ok_or("file name is not UTF-8")?;
        table +=
            &format!("    ({name:?}, include_bytes!({:?})),\n", file.to_str().ok_or("path is not UTF-8")?);
    }
    table += "]\n";
    println!("cargo::rerun-if-changed={}", python.display());
    fs::write(out.join("python.rs"), table)?;
    Ok(())
}

fn collect(folder: &Path, flat: bool, found: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !flat && !path.ends_with("__pycache__") {
                collect(&path, flat, found)?;
            }
        } else if path.extension().is_some_and(|e| e == "py" || e == "pyi" || e == "typed") {
            found.push(path);
        }
    }
    Ok(())
}

/// The folder with the QuickJS-ng sources inside the package that carries them.
fn quickjs_sources() -> Result<PathBuf> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml"))
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    // One path out of one field: not worth a JSON parser among the build dependencies.
    let text = String::from_utf8(output.stdout)?;
    let manifest = text
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains(QUICKJS_PACKAGE) && path.ends_with("Cargo.toml"))
        .ok_or("cargo metadata does not list the package that carries QuickJS-ng")?;
    Ok(Path::new(manifest).with_file_name("quickjs"))
}

fn copy_patched(from: &Path, patches: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for extension in ["c", "h"] {
        for file in files(from, extension)? {
            let copy = to.join(file.file_name().ok_or("no name")?);
            fs::write(copy, fs::read(&file)?)?;
        }
    }
    let mut list = files(patches, "patch")?;
    list.sort();
    for patch in list {
        run(Command::new("patch").args(["-p1", "--quiet", "--fuzz=0", "-d"]).arg(to).arg("-i").arg(&patch))?;
    }
    Ok(())
}

/// The tool named by the variable, or the newest on the PATH.
fn tool(variable: &str, name: &str) -> Result<String> {
    if let Ok(tool) = env::var(variable) {
        return Ok(tool);
    }
    let names = (16..=22).rev().map(|v| format!("{name}-{v}")).chain([name.to_owned()]);
    for candidate in names {
        if Command::new(&candidate).arg("--version").output().is_ok_and(|o| o.status.success()) {
            return Ok(candidate);
        }
    }
    Err(format!("{name} is missing (run `./x setup`, or set {variable})").into())
}

fn modified(path: &Path) -> Result<SystemTime> {
    Ok(fs::metadata(path)?.modified()?)
}

/// When the last of these files and folders was changed.
fn newest(paths: &[PathBuf]) -> Result<SystemTime> {
    let mut last = SystemTime::UNIX_EPOCH;
    for path in paths {
        last = last.max(modified(path)?);
        if path.is_dir() {
            let inside: Vec<PathBuf> = fs::read_dir(path)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
            last = last.max(newest(&inside)?);
        }
    }
    Ok(last)
}

/// Whether the file was made after that.
fn is_newer(file: &Path, than: SystemTime) -> bool {
    modified(file).is_ok_and(|at| at > than)
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

fn watch(folder: &Path) -> Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    if status.success() { Ok(()) } else { Err(format!("failed: {command:?}").into()) }
}
