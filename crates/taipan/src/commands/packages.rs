//! `taipan add`, `remove`, `sync`, `lock`, `tree` and `why`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use taipan_config::{ConfigError, WorkerConfig};
use taipan_packages::python::{Library, Lock, Manifest, PackageTree, StoredWheel, requirement_name};

use crate::console::size;
use crate::packages::{Packages, advised};
use crate::project::size::Size;
use crate::project::sources;
use crate::release;
use crate::report::{hint, hinted};
use crate::settings::ProjectSettings;

/// How many of the largest packages are named.
const LARGEST: usize = 5;

pub(super) fn add(settings: &ProjectSettings, requirements: &[String]) -> Result<ExitCode> {
    let packages = packages(settings)?;
    let mut manifest = match packages.manifest()? {
        Some(manifest) => manifest,
        None => Manifest::new(packages.folder, &name(&packages), packages.target().python_minor()),
    };
    for requirement in requirements {
        manifest.add(requirement).map_err(advised)?;
    }
    let before = previous(&packages);
    let lock = packages.resolve(&manifest, before.as_ref(), &note)?;
    // What was named without a version should not be older than what was tried.
    for requirement in requirements {
        let is_bare = !requirement.contains(['<', '>', '=', '!', '~', '@', ';']);
        let locked = requirement_name(requirement).and_then(|name| lock.package(&name));
        if let Some(locked) = locked.filter(|_| is_bare) {
            manifest.add(&format!("{}>={}", requirement.trim(), locked.version)).map_err(advised)?;
        }
    }
    apply(&packages, &manifest, lock, before.as_ref())
}

pub(super) fn remove(settings: &ProjectSettings, names: &[String]) -> Result<ExitCode> {
    let packages = packages(settings)?;
    let mut manifest = required(&packages)?;
    for name in names {
        manifest.remove(name).map_err(advised)?;
    }
    let before = previous(&packages);
    let lock = packages.resolve(&manifest, before.as_ref(), &note)?;
    apply(&packages, &manifest, lock, before.as_ref())
}

/// Obtains packages first, because that may fail, and then writes the files.
fn apply(
    packages: &Packages<'_>,
    manifest: &Manifest,
    lock: Lock,
    before: Option<&Lock>,
) -> Result<ExitCode> {
    let lock = lock.for_manifest(manifest, &packages.target()).map_err(advised)?;
    packages.obtain(&lock)?;
    manifest.write().map_err(advised)?;
    lock.write(packages.folder).map_err(advised)?;
    changes(before, &lock);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sync(settings: &ProjectSettings) -> Result<ExitCode> {
    let packages = packages(settings)?;
    let manifest = required(&packages)?;
    let before = previous(&packages);
    let synced = packages.sync(&manifest, &note)?;
    if synced.is_locked_anew {
        changes(before.as_ref(), &synced.lock);
    }
    let config = config(settings)?;
    let is_excluded = |path: &str| config.as_ref().is_some_and(|config| config.files.excludes(path));
    let found = match &config {
        Some(config) if config.has_code => sources::collect(&config.root, &config.files)?,
        _ => sources::none(),
    };
    let mut wheels = synced.wheels;
    packages.add_imported(&mut wheels, &found.files, &note);
    report(&wheels);
    let tree = PackageTree::without(&wheels, is_excluded);
    if config.is_some() {
        println!("the Worker's own: {}", Size::new(&found.files, &PackageTree::default()).line());
        let warnings = found.warnings.into_iter().chain(Size::new(&found.files, &tree).warning());
        warnings.for_each(|warning| eprintln!("warning: {warning}"));
    }
    // So that the first start of `dev` does not have to.
    packages.compile(&tree)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn lock(settings: &ProjectSettings, upgrade: bool) -> Result<ExitCode> {
    let packages = packages(settings)?;
    let manifest = required(&packages)?;
    if !upgrade && packages.current_lock(&manifest)?.is_some() {
        println!("pylock.toml is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    let before = previous(&packages);
    let lock = packages.resolve(&manifest, before.as_ref().filter(|_| !upgrade), &note)?;
    lock.write(packages.folder).map_err(advised)?;
    changes(before.as_ref(), &lock);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn tree(settings: &ProjectSettings) -> Result<ExitCode> {
    let packages = packages(settings)?;
    let manifest = required(&packages)?;
    let lock = locked(&packages, &manifest)?;
    let companions = companions(settings, &packages, &lock)?;
    let mut shown = BTreeSet::new();
    for name in manifest.names() {
        branch(&lock, &companions, &name, 0, &mut shown);
    }
    for library in companions.iter().filter(|library| lock.package(library.by()).is_none()) {
        println!("{} {} (of the standard library, for {})", library.name(), library.version(), library.by());
    }
    Ok(ExitCode::SUCCESS)
}

/// What comes along with packages, and with what the Worker's files import.
fn companions(settings: &ProjectSettings, packages: &Packages<'_>, lock: &Lock) -> Result<Vec<Library>> {
    let sources = match config(settings)? {
        Some(config) if config.has_code => sources::collect(&config.root, &config.files)?.files,
        _ => vec![],
    };
    packages.companions(lock, &sources)
}

fn branch<'a>(
    lock: &'a Lock,
    companions: &[Library],
    name: &str,
    depth: usize,
    shown: &mut BTreeSet<&'a str>,
) {
    let Some(package) = lock.package(name) else { return };
    let is_new = shown.insert(&package.name);
    let mut own = companions.iter().filter(|library| library.by() == package.name).peekable();
    let is_leaf = package.dependencies.is_empty() && own.peek().is_none();
    let again = if is_new || is_leaf { "" } else { " (*)" };
    println!("{:indent$}{} {}{again}", "", package.name, package.version, indent = 2 * depth);
    if is_new {
        for dependency in &package.dependencies {
            branch(lock, companions, dependency, depth + 1, shown);
        }
        for library in own {
            let (name, version) = (library.name(), library.version());
            println!("{:indent$}{name} {version} (library)", "", indent = 2 * depth + 2);
        }
    }
}

pub(super) fn why(settings: &ProjectSettings, name: &str) -> Result<ExitCode> {
    let packages = packages(settings)?;
    let manifest = required(&packages)?;
    let lock = locked(&packages, &manifest)?;
    let Some(package) = lock.package(name) else {
        let found: Vec<_> = companions(settings, &packages, &lock)?;
        let found: Vec<_> = found.iter().filter(|library| library.name() == name).collect();
        for library in &found {
            let ways = chains(&lock, &manifest, library.by());
            let ways = if ways.is_empty() { vec![vec![library.by().to_owned()]] } else { ways };
            ways.iter().for_each(|way| println!("{} → {name}", way.join(" → ")));
        }
        if !found.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        return Err(hint(anyhow!("not a locked package: {name}"), "`taipan tree` shows what is locked"));
    };
    let chains = chains(&lock, &manifest, &package.name);
    for chain in chains {
        println!("{}", chain.join(" → "));
    }
    Ok(ExitCode::SUCCESS)
}

/// The ways from a requirement to the package that visit nothing twice; for each package that needs it directly, the shortest.
fn chains(lock: &Lock, manifest: &Manifest, name: &str) -> Vec<Vec<String>> {
    let mut found = vec![];
    let mut waiting: std::collections::VecDeque<Vec<String>> =
        manifest.names().map(|root| vec![root]).collect();
    let mut seen = BTreeSet::new();
    while let Some(chain) = waiting.pop_front() {
        let Some(package) = chain.last().and_then(|last| lock.package(last)) else { continue };
        if package.name == name {
            found.push(chain);
            continue;
        }
        if seen.insert(package.name.clone()) {
            for dependency in &package.dependencies {
                waiting.push_back([&chain[..], std::slice::from_ref(dependency)].concat());
            }
        }
    }
    found
}

/// The project that the settings name, on the Python of its Worker, or the newest when there is no Worker.
fn packages(settings: &ProjectSettings) -> Result<Packages<'_>> {
    Ok(Packages {
        folder: &settings.folder,
        settings: &settings.packages,
        release: release::of_folder(&settings.folder)?,
        releases: &settings.releases,
    })
}

/// The Worker's configuration, if there is a Worker.
fn config(settings: &ProjectSettings) -> Result<Option<WorkerConfig>> {
    let load = || WorkerConfig::load(&settings.folder, None).map_err(|e| hinted(e, ConfigError::hint));
    release::has_worker(&settings.folder).then(load).transpose()
}

fn required(packages: &Packages<'_>) -> Result<Manifest> {
    packages.manifest()?.ok_or_else(|| {
        hint(
            anyhow!(
                "the project has neither pyproject.toml nor requirements.txt: {}",
                packages.folder.display()
            ),
            "add a package: taipan add PACKAGE",
        )
    })
}

fn locked(packages: &Packages<'_>, manifest: &Manifest) -> Result<Lock> {
    packages.current_lock(manifest)?.ok_or_else(|| {
        hint(anyhow!("the requirements are not locked, or have changed since"), "lock them: taipan lock")
    })
}

/// The lock file as it is; one that cannot be used is about to be replaced.
fn previous(packages: &Packages<'_>) -> Option<Lock> {
    Lock::read(packages.folder, &packages.target()).ok().flatten()
}

/// What a project is called that does not say so.
fn name(packages: &Packages<'_>) -> String {
    let folder = std::path::absolute(packages.folder).ok();
    let name = folder.as_deref().and_then(|f| f.file_name()).map(|n| n.to_string_lossy().into_owned());
    name.as_deref().and_then(requirement_name).unwrap_or_else(|| "worker".to_owned())
}

fn note(line: &str) {
    eprintln!("note: {line}");
}

/// Prints what is different.
fn changes(before: Option<&Lock>, after: &Lock) {
    let old = before.map_or(&[][..], Lock::packages);
    for package in old.iter().filter(|package| after.package(&package.name).is_none()) {
        println!("- {} {}", package.name, package.version);
    }
    for package in after.packages() {
        match before.and_then(|before| before.package(&package.name)) {
            None => println!("+ {} {}", package.name, package.version),
            Some(known) if known.version != package.version => {
                println!("~ {} {} → {}", package.name, known.version, package.version);
            }
            Some(_) => {}
        }
    }
}

/// Prints how large packages are.
fn report(wheels: &[StoredWheel]) {
    let sum: u64 = wheels.iter().map(StoredWheel::size).sum();
    let left_out: u64 = wheels.iter().map(StoredWheel::left_out).sum();
    println!(
        "{} packages, {}; left out: {} of scripts, tests and bytecode",
        wheels.len(),
        size(sum),
        size(left_out)
    );
    let mut largest: Vec<_> = wheels.iter().collect();
    largest.sort_by_key(|wheel| std::cmp::Reverse(wheel.size()));
    for wheel in largest.into_iter().take(LARGEST) {
        println!("{:>12}  {} {}", size(wheel.size()), wheel.name(), wheel.version());
    }
}
