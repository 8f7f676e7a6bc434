//! Obtaining the archive through the npm client.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::progress::{Progress, Step};
use super::{ObtainError, Release};

/// The npm client's name.
pub(super) const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// Has the npm client `program` put the archive of `release` into `folder`, and returns the archive's path.
///
/// A download that was cut needs no care here: the client has a cache of its own, and tries again by itself.
pub(super) fn pack(
    program: &Path,
    release: &Release,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ObtainError> {
    let package = release.package();
    let _step = Step::start(progress, &format!("{package} through npm"), None);
    let output = Command::new(program)
        .args(["pack", &package, "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination"])
        .arg(folder)
        // Not the Worker's folder: npm reads the package.json of the folder it runs in.
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(ObtainError::NpmMissing { package }),
        Err(source) => return Err(ObtainError::NpmUnusable { package, source }),
    };
    let file = folder.join(release.tarball.name);
    if output.status.success() && file.is_file() {
        return Ok(file);
    }
    let reason = summary(&output.stdout)
        .or_else(|| last_line(&output.stderr))
        .unwrap_or_else(|| format!("npm ended with {}", output.status));
    Err(ObtainError::NpmFailed { package, reason })
}

/// What npm says went wrong, in the JSON that it writes on request.
fn summary(stdout: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(stdout).ok()?;
    let summary = answer.pointer("/error/summary")?.as_str()?;
    summary.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// For clients too old for that, and for what fails before npm itself runs.
fn last_line(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}
