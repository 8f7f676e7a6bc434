//! From saving a file to a response by the new code, in `taipan dev`.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Options;
use super::program::{Served, nanos, taipan_dev};
use super::table::{Case, Table, alternate, whole};

/// Between two requests: what asks without a break competes with what it waits for.
const PAUSE: Duration = Duration::from_micros(500);

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let hello = Edited::start(options, &root.join("examples/hello"), "src/entry.py", "/", "Python")?;
    let fastapi = Edited::start(options, &options.folder.join("fastapi"), "app.py", "/items/12", "thing")?;
    let cases = vec![hello.case("hello"), fastapi.case("FastAPI")];
    let all = alternate(cases, options.rounds(50))?;
    let table = Table::new(options, "reload")?;
    table.times(&all, "hello", &[])?;
    table.times(&all, "FastAPI", &[])
}

/// A Worker that is served while one of its files is edited.
struct Edited {
    folder: tempfile::TempDir,
    file: &'static str,
    path: &'static str,
    source: String,
    word: &'static str,
    served: Served,
}

impl Edited {
    /// Serves a copy of `folder`, whose `file` contains `word`, as does the response from `path`.
    fn start(
        options: &Options,
        folder: &Path,
        file: &'static str,
        path: &'static str,
        word: &'static str,
    ) -> Result<Self> {
        let copy = tempfile::tempdir_in(&options.folder)?;
        copy_folder(folder, copy.path())?;
        let source = fs_err::read_to_string(copy.path().join(file))?;
        let (served, _) = Served::start(|port| taipan_dev(options, copy.path(), port), path, word)?;
        Ok(Self { folder: copy, file, path, source, word, served })
    }

    fn case(mut self, name: &'static str) -> Case<'static> {
        let mut number = 0;
        Case::new(name, move || {
            number += 1;
            Ok(whole(nanos(self.save(number)?)))
        })
    }

    /// Saves the file with another word, as editors do, and waits for that in a response.
    fn save(&mut self, number: u32) -> Result<Duration> {
        // New in this run, too: what was saved before has a snapshot in the cache.
        let run = self.folder.path().file_name().unwrap_or_default().to_string_lossy();
        let text = format!("save {number} {run}");
        let path = self.folder.path().join(self.file);
        let draft = path.with_file_name(".draft");
        fs_err::write(&draft, self.source.replace(self.word, &text))?;
        let begun = Instant::now();
        fs_err::rename(&draft, &path)?;
        while !self.served.get(self.path).context("a request failed while the code changed")?.contains(&text)
        {
            if begun.elapsed() > PATIENCE {
                bail!("the new code does not answer");
            }
            thread::sleep(PAUSE);
        }
        Ok(begun.elapsed())
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs_err::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
