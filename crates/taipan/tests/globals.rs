//! What the global scope of a Worker has, beside workerd's. See `tests/globals/known-missing.txt`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use taipan_testkit::http::{Client, Request};
use taipan_testkit::server::{Server, ServerOptions};

fn names(port: u16) -> Result<BTreeSet<String>> {
    let response = Client::new(port, Duration::from_secs(60)).send(&Request::get("/"))?;
    ensure!(response.status == 200, "answered {}: {}", response.status, response.text());
    Ok(serde_json::from_slice(&response.body)?)
}

/// The names in workerd, by the npm package of that name.
fn theirs(folder: &Path, target: &Path) -> Result<BTreeSet<String>> {
    let program = target.join("../bench/workerd/node_modules/.bin/workerd");
    ensure!(program.exists(), "workerd is not there: run ./x test once");
    // It tells nobody else which port it has found.
    let mut workerd = Command::new(program)
        .args(["serve", "--control-fd=1", "workerd.capnp"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(workerd.stdout.take().context("it has no output")?).lines();
    let asked = lines
        .map_while(Result::ok)
        .find_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok()?.get("port")?.as_u64())
        .context("workerd does not say that it listens")
        .and_then(|port| names(u16::try_from(port)?));
    workerd.kill()?;
    workerd.wait()?;
    asked
}

fn ours(folder: &Path, target: &Path) -> Result<BTreeSet<String>> {
    let options = ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder, &target.join("cache"));
    let mut server = Server::start(&options)?;
    let names = names(server.port());
    server.interrupt()?;
    server.expect_clean_end()?;
    names
}

#[test]
fn the_global_scope_has_what_workers_have() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/globals");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let theirs = theirs(&folder, target).unwrap();
    let ours = ours(&folder, target).unwrap();
    assert!(theirs.len() > 1000 && ours.len() > 1000, "{} and {} names", theirs.len(), ours.len());

    let known = fs_err::read_to_string(folder.join("known-missing.txt")).unwrap();
    let known: Vec<&str> = known.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let is = |entry: &str, name: &str| match entry.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => entry == name,
    };
    let wrong: Vec<String> = theirs
        .difference(&ours)
        .filter(|name| !known.iter().any(|entry| is(entry, name)))
        .map(|name| format!("missing: {name}"))
        .chain(known.iter().flat_map(|entry| {
            let found: Vec<_> = theirs.iter().filter(|name| is(entry, name)).collect();
            let unknown = found.is_empty().then(|| format!("workerd does not have it: {entry}"));
            let there = found.into_iter().filter(|name| ours.contains(*name));
            unknown
                .into_iter()
                .chain(there.map(move |name| format!("{entry} is there: {name}")))
                .collect::<Vec<_>>()
        }))
        .collect();
    assert!(wrong.is_empty(), "see tests/globals/known-missing.txt:\n{}", wrong.join("\n"));
}
