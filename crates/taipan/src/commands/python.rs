//! `taipan python`: Python in the sandbox, with the options of the `python` command.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, anyhow};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use taipan_bindings::{Folder, Process, Volume};
use taipan_engine::{Program, ProgramKind};

use crate::program::run_program;
use crate::python::Importable;
use crate::report::hint;
use crate::runtime;
use crate::settings::PythonSettings;

/// What a process ends with that was aborted: 128 and the number of SIGABRT.
const ABORTED: u8 = 134;

pub(super) fn run(settings: PythonSettings) -> Result<ExitCode> {
    let invocation = match parse(&settings.arguments)? {
        Parsed::Run(invocation) => invocation,
        Parsed::Version => {
            println!("Python {}", settings.release.python);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let status = Arc::new(AtomicU8::new(ABORTED));
    let current = std::env::current_dir().context("the current folder is gone")?;
    let importable = if settings.is_alone || invocation.isolated {
        Importable::nothing(settings.clone(), current.clone())
    } else {
        Importable::of_project(settings.clone(), current.clone())?
    };
    let importable = Arc::new(importable);
    let (program, volumes) = program(&settings, &current, invocation, importable.clone())?;
    let history = settings.releases.cache.folder().join("python").join("history");
    let runtime = runtime::prepare(settings.release, settings.releases)?;
    runtime::compile_packages(&runtime, &importable.tree());
    let streams = Streams { status: status.clone(), history, editor: None, importable };
    run_program(runtime, program, volumes, Box::new(streams))?;
    Ok(ExitCode::from(status.load(Ordering::Relaxed)))
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Run(Invocation),
    Version,
}

#[derive(Debug, PartialEq, Eq)]
struct Invocation {
    kind: ProgramKind,
    what: String,
    argv: Vec<String>,
    isolated: bool,
    unbuffered: bool,
}

/// Options of CPython's that are about things that the sandbox does not have, or does anyway.
const IGNORED: &str = "BEOPRbdqsSvx";

fn parse(arguments: &[String]) -> Result<Parsed> {
    let (mut isolated, mut unbuffered) = (false, false);
    let mut rest = arguments.iter();
    let done = |kind, what: &str, argv: Vec<String>, isolated, unbuffered| {
        Ok(Parsed::Run(Invocation { kind, what: what.to_owned(), argv, isolated, unbuffered }))
    };
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            let kind = if argument == "-" { ProgramKind::Input } else { ProgramKind::Script };
            let argv = [argument].into_iter().chain(rest).cloned().collect();
            return done(kind, argument, argv, isolated, unbuffered);
        };
        if argument == "--version" {
            return Ok(Parsed::Version);
        }
        for (at, letter) in letters.char_indices() {
            let attached = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            match letter {
                'I' => isolated = true,
                'u' => unbuffered = true,
                'V' => return Ok(Parsed::Version),
                'c' | 'm' | 'W' | 'X' => {
                    let value =
                        if attached.is_empty() { rest.next().map(String::as_str) } else { Some(attached) };
                    let value = value.ok_or_else(|| anyhow!("the option -{letter} needs an argument"))?;
                    let kind = match letter {
                        'c' => ProgramKind::Command,
                        'm' => ProgramKind::Module,
                        // Warnings and implementation options.
                        _ => break,
                    };
                    let argv = [format!("-{letter}")].into_iter().chain(rest.cloned()).collect();
                    return done(kind, value, argv, isolated, unbuffered);
                }
                _ if IGNORED.contains(letter) => {}
                _ => {
                    return Err(hint(
                        anyhow!("unknown option of python: {argument}"),
                        "use: taipan python [-IBEsSuO] [-W arg] [-X opt] [-c code | -m module | file | -] [argument…]",
                    ));
                }
            }
        }
    }
    let kind = if io::stdin().is_terminal() { ProgramKind::Terminal } else { ProgramKind::Input };
    done(kind, "", vec![String::new()], isolated, unbuffered)
}

/// Folders that Python needs at these places, so that nothing of the host's can be seen there.
const TAKEN: &[&str] = &["/", "/dev", "/home/pyodide", "/lib", "/proc", "/pyodide", "/session", "/taipan"];

/// What to run, and what it may read: the current folder, the script's, and those that were named.
fn program(
    settings: &PythonSettings,
    current: &Path,
    invocation: Invocation,
    importable: Arc<Importable>,
) -> Result<(Program, Vec<Arc<dyn Volume>>)> {
    let Invocation { kind, what, mut argv, isolated, unbuffered } = invocation;
    let mut folders = vec![current.to_owned()];
    let mut path = String::new();
    match kind {
        ProgramKind::Script => {
            let script = std::path::absolute(&what)?;
            let folder = script.parent().unwrap_or(current).to_owned();
            path = text(&folder)?;
            folders.push(folder);
        }
        ProgramKind::Module => {
            path = text(current)?;
            // As CPython until it has found the module.
            argv.insert(0, "-m".to_owned());
        }
        ProgramKind::Command | ProgramKind::Input | ProgramKind::Terminal => {}
    }
    folders.extend(settings.folders.iter().cloned());
    let folders = outermost(folders);
    let mut mounts = vec![];
    let packages = !importable.tree().is_empty();
    let mut volumes: Vec<Arc<dyn Volume>> = vec![importable];
    for folder in folders {
        let at = text(&folder)?;
        if TAKEN.contains(&at.as_str()) || at.starts_with("/lib/python3.") {
            continue;
        }
        // A folder that is not there has nothing to show.
        let Ok(volume) = Folder::new(&folder) else { continue };
        mounts.push(at);
        volumes.push(Arc::new(volume));
    }
    let program = Program {
        kind,
        what,
        argv,
        executable: settings.executable.clone(),
        folder: text(current)?,
        path,
        isolated,
        unbuffered,
        env: BTreeMap::new(),
        packages,
        lacks: settings.release.lacks.iter().map(|&name| name.to_owned()).collect(),
        mounts,
        terminals: [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()],
    };
    Ok((program, volumes))
}

/// Without folders that are in others of them.
fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort();
    folders.dedup_by(|later, earlier| later.starts_with(earlier));
    folders
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| anyhow!("the path is not text: {}", path.display()))
}

/// The command's own streams.
struct Streams {
    status: Arc<AtomicU8>,
    /// Where lines are kept that were typed.
    history: PathBuf,
    /// Made when the first line is asked for.
    editor: Option<DefaultEditor>,
    importable: Arc<Importable>,
}

impl Streams {
    fn editor(&mut self) -> io::Result<&mut DefaultEditor> {
        if let Some(editor) = self.editor.take() {
            return Ok(self.editor.insert(editor));
        }
        let config = rustyline::Config::builder().auto_add_history(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(io::Error::other)?;
        // The first time there is none.
        drop(editor.load_history(&self.history));
        Ok(self.editor.insert(editor))
    }
}

impl Process for Streams {
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        let history = self.history.clone();
        let editor = self.editor()?;
        match editor.readline(prompt) {
            Ok(line) => {
                // Without it, lines are typed again.
                drop(editor.append_history(&history));
                Ok(Some(line))
            }
            Err(ReadlineError::Interrupted) => Err(io::ErrorKind::Interrupted.into()),
            Err(ReadlineError::Eof) => Ok(None),
            Err(ReadlineError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn input(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let count = io::stdin().lock().read(&mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn output(&mut self, is_error: bool, bytes: &[u8]) -> io::Result<()> {
        if is_error {
            return io::stderr().lock().write_all(bytes);
        }
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    fn obtain(&mut self, module: &str) -> io::Result<()> {
        self.importable.obtain(module)
    }

    fn exit(&mut self, status: u8) {
        self.status.store(status, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Parsed {
        parse(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn invocation(arguments: &[&str]) -> (ProgramKind, String, Vec<String>) {
        let Parsed::Run(it) = parsed(arguments) else { unreachable!("not a run: {arguments:?}") };
        (it.kind, it.what, it.argv)
    }

    #[test]
    fn arguments_are_those_of_python() {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let run = |kind, what: &str, argv: &[&str]| (kind, what.to_owned(), strings(argv));
        assert_eq!(invocation(&["a.py", "-c", "x"]), run(ProgramKind::Script, "a.py", &["a.py", "-c", "x"]));
        assert_eq!(
            invocation(&["-I", "-B", "-c", "pass", "-I"]),
            run(ProgramKind::Command, "pass", &["-c", "-I"])
        );
        assert_eq!(invocation(&["-IBcpass"]), run(ProgramKind::Command, "pass", &["-c"]));
        assert_eq!(invocation(&["-X", "dev", "-m", "m", "a"]), run(ProgramKind::Module, "m", &["-m", "a"]));
        assert_eq!(invocation(&["-", "a"]), run(ProgramKind::Input, "-", &["-", "a"]));
        assert_eq!(parsed(&["-V"]), Parsed::Version);
        assert!(parse(&["-c".into()]).is_err() && parse(&["-Z".into()]).is_err());
    }

    #[test]
    fn folders_in_others_go() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(outermost(paths(&["/a/b/c", "/a/bc", "/a/b", "/a/b"])), paths(&["/a/b", "/a/bc"]));
    }
}
