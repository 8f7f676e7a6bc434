//! A small release through every path, and every way in which it can go wrong.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::mirror::Mirror;
use super::obtain::{cached, from_npm};
use super::*;

/// Hears everything, for asking afterwards.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Heard {
    fn start(&self, what: &str, total: Option<u64>) {
        self.0.lock().unwrap().push(format!("start {what} {total:?}"));
    }
    fn advance(&self, bytes: u64) {
        self.0.lock().unwrap().push(format!("advance {bytes}"));
    }
    fn finish(&self) {
        self.0.lock().unwrap().push("finish".to_owned());
    }
    fn note(&self, message: &str) {
        self.0.lock().unwrap().push(format!("note {message}"));
    }
}

fn artifact(name: &'static str, content: &[u8]) -> Artifact {
    let sha256: &'static str = format!("{:x}", Sha256::digest(content)).leak();
    Artifact { name, size: content.len() as u64, sha256 }
}

/// Something that does not compress, so that an archive is long enough to be cut.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn manifest() -> &'static [u8] {
    br#"{"name":"pyodide","version":"1.2.3"}"#
}

/// A tar archive, compressed, with these paths and contents. The paths are written as they are, right or not.
fn tarball(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in members {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// A release of two files, and its archive.
fn small_release() -> (Release, Vec<u8>) {
    let wasm = noise(100_000);
    let archive = tarball(&[
        ("package/README.md", b"not needed"),
        ("package/package.json", manifest()),
        ("package/pyodide.asm.wasm", &wasm),
    ]);
    (release_of(&archive, &wasm), archive)
}

fn release_of(archive: &[u8], wasm: &[u8]) -> Release {
    Release {
        version: "1.2.3",
        python: "3.14.2",
        platform_tag: "none",
        lacks: &[],
        tarball: artifact("pyodide-1.2.3.tgz", archive),
        files: vec![artifact("package.json", manifest()), artifact("pyodide.asm.wasm", wasm)].leak(),
    }
}

fn new_cache() -> (TempDir, Cache) {
    let folder = TempDir::new().unwrap();
    let cache = Cache::new(Some(folder.path().to_owned())).unwrap();
    (folder, cache)
}

/// A fetch that writes `archive`, as npm would.
fn writes(archive: &[u8]) -> impl FnOnce(&Path) -> Result<PathBuf, ObtainError> {
    move |partial| {
        let file = partial.join("pyodide-1.2.3.tgz");
        fs_err::write(&file, archive).unwrap();
        Ok(file)
    }
}

fn fails(_: &Path) -> Result<PathBuf, ObtainError> {
    Err(ObtainError::NpmMissing { package: "pyodide@1.2.3".to_owned() })
}

fn must_not_run(_: &Path) -> Result<PathBuf, ObtainError> {
    panic!("nothing had to be fetched")
}

/// The error's words and its hint, with the temporary folder left out.
fn words(error: &ObtainError, folder: &TempDir) -> String {
    let text = format!("{error}\n{}", error.hint().unwrap_or_default());
    text.replace(&folder.path().display().to_string(), "CACHE")
}

/// What is in a folder, at any depth.
fn files_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_in(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn only_the_needed_files_are_kept_and_fetched_once() {
    let ((release, archive), (folder, cache)) = (small_release(), new_cache());
    let files = cached(&release, &cache, &Silent, writes(&archive)).unwrap();
    assert_eq!(files, cache.release_folder(&release));
    let name = release.content_name();
    assert_eq!(
        files_in(folder.path()),
        [
            format!("pyodide/{name}.lock"),
            format!("pyodide/{name}/package.json"),
            format!("pyodide/{name}/pyodide.asm.wasm")
        ]
    );
    assert_eq!(fs_err::read(files.join("pyodide.asm.wasm")).unwrap(), noise(100_000));
    assert_eq!(cached(&release, &cache, &Silent, must_not_run).unwrap(), files);
}

#[test]
fn a_corrupted_file_is_replaced_with_a_note() {
    let ((release, archive), (_folder, cache)) = (small_release(), new_cache());
    let files = cached(&release, &cache, &Silent, writes(&archive)).unwrap();
    let wasm = files.join("pyodide.asm.wasm");
    let truncated = noise(50_000);
    let mut flipped = noise(100_000);
    flipped[77_777] ^= 1;
    for (damage, words) in [(&truncated, "it has 50000 bytes instead of 100000"), (&flipped, "SHA-256")] {
        fs_err::write(&wasm, damage).unwrap();
        let heard = Heard::default();
        cached(&release, &cache, &heard, writes(&archive)).unwrap();
        let all = heard.all();
        assert!(all.len() == 1 && all[0].starts_with("note ") && all[0].contains(words), "{all:?}");
        assert_eq!(fs_err::read(&wasm).unwrap(), noise(100_000));
    }
    fs_err::remove_file(&wasm).unwrap();
    cached(&release, &cache, &Silent, writes(&archive)).unwrap();
    assert!(wasm.is_file());
}

#[test]
fn a_corrupted_file_that_cannot_be_replaced_is_named() {
    let ((release, archive), (folder, cache)) = (small_release(), new_cache());
    let files = cached(&release, &cache, &Silent, writes(&archive)).unwrap();
    fs_err::write(files.join("pyodide.asm.wasm"), "x").unwrap();
    let error = cached(&release, &cache, &Silent, fails).unwrap_err();
    let text = words(&error, &folder).replace(&release.content_name(), "RELEASE");
    insta::assert_snapshot!(text, @r"
    a file in the cache is corrupted and cannot be replaced: CACHE/pyodide/RELEASE/pyodide.asm.wasm: it has 1 bytes instead of 100000
    install Node.js with npm, or unpack the package elsewhere and name its folder with `--pyodide FOLDER`
    ");
    insta::assert_snapshot!(std::error::Error::source(&error).unwrap(), @"pyodide@1.2.3 cannot be obtained without the npm client, and there is none");
    // When it can be had again, it is.
    cached(&release, &cache, &Silent, writes(&archive)).unwrap();
}

#[test]
fn what_an_archive_says_about_paths_has_no_effect() {
    let wasm = noise(1_000);
    let archive = tarball(&[
        ("../evil", b"x"),
        ("/tmp/taipan-evil", b"x"),
        ("package/../../package.json", b"x"),
        ("package.json", b"x"),
        ("package/nested/package.json", b"x"),
        ("package/package.json", manifest()),
        ("package/package.json", b"a second one"),
        ("package/pyodide.asm.wasm", &wasm),
    ]);
    let (release, (folder, cache)) = (release_of(&archive, &wasm), new_cache());
    cached(&release, &cache, &Silent, writes(&archive)).unwrap();
    let names = files_in(folder.path());
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(!Path::new("/tmp/taipan-evil").exists());
}

#[test]
fn an_archive_without_the_right_files_leaves_nothing_behind() {
    let wasm = noise(1_000);
    let mut bomb = wasm.clone();
    bomb.extend(vec![0; 1_000_000]);
    let cases: [(Vec<u8>, &str); 4] = [
        (tarball(&[("package/package.json", manifest())]), "the archive cannot be read"),
        (
            tarball(&[("package/package.json", manifest()), ("package/pyodide.asm.wasm", &noise(999))]),
            "it has 999 bytes instead of 1000",
        ),
        (tarball(&[("package/package.json", b"{}"), ("package/pyodide.asm.wasm", &wasm)]), "package.json"),
        (b"not an archive".to_vec(), "the archive cannot be read"),
    ];
    for (archive, expected) in cases {
        let (release, (_folder, cache)) = (release_of(&archive, &wasm), new_cache());
        let error = cached(&release, &cache, &Silent, writes(&archive)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!cache.release_folder(&release).exists());
    }
    // Of a file that is longer than it should be, no more is written than is expected.
    let archive = tarball(&[("package/package.json", manifest()), ("package/pyodide.asm.wasm", &bomb)]);
    let (release, (_folder, cache)) = (release_of(&archive, &wasm), new_cache());
    let files = cached(&release, &cache, &Silent, writes(&archive)).unwrap();
    assert_eq!(fs_err::read(files.join("pyodide.asm.wasm")).unwrap(), wasm);
}

#[test]
fn what_a_killed_process_left_is_not_used() {
    let ((release, archive), (folder, cache)) = (small_release(), new_cache());
    let partial = cache.partial_folder(&release);
    fs_err::create_dir_all(partial.join("files")).unwrap();
    fs_err::write(partial.join("files/sitecustomize.py"), "x").unwrap();
    fs_err::write(partial.join("files/package.json"), "x").unwrap();
    fs_err::write(partial.join("pyodide-1.2.3.tgz"), &archive[..1_000]).unwrap();
    fs_err::write(cache.lock_file(&release), "").unwrap();
    cached(&release, &cache, &Silent, writes(&archive)).unwrap();
    assert_eq!(files_in(folder.path()).len(), 3);
}

#[test]
fn one_obtains_and_the_others_wait() {
    let ((release, archive), (_folder, cache)) = (small_release(), new_cache());
    let fetched = AtomicUsize::new(0);
    let barrier = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                cached(&release, &cache, &Silent, |partial| {
                    fetched.fetch_add(1, Ordering::SeqCst);
                    writes(&archive)(partial)
                })
                .unwrap();
            });
        }
    });
    assert_eq!(fetched.into_inner(), 1);
}

#[test]
fn waiting_for_another_process_is_shown() {
    let ((release, archive), (_folder, cache)) = (small_release(), new_cache());
    let (heard, started) = (Heard::default(), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            cached(&release, &cache, &Silent, |partial| {
                started.wait();
                while heard.all().is_empty() {
                    std::thread::yield_now();
                }
                writes(&archive)(partial)
            })
        });
        started.wait();
        cached(&release, &cache, &heard, must_not_run).unwrap();
    });
    assert_eq!(heard.all(), ["start waiting for another process that obtains pyodide@1.2.3 None", "finish"]);
}

#[test]
fn a_folder_is_used_where_it_is() {
    let (release, _) = small_release();
    let (_cache_folder, cache) = new_cache();
    let folder = TempDir::new().unwrap();
    let source = Source::Folder(folder.path().to_owned());
    let run = || obtain(&release, &cache, &source, &Silent);
    let refused = || words(&run().unwrap_err(), &folder);

    insta::assert_snapshot!(refused(), @r"
    not the file of Pyodide 1.2.3: CACHE/package.json: it is missing
    unpack the npm package again, or name another folder
    ");
    fs_err::write(folder.path().join("package.json"), br#"{"version":"1.2.2"}"#).unwrap();
    insta::assert_snapshot!(refused(), @r"
    Pyodide 1.2.3 is needed, and this folder holds 1.2.2: CACHE
    name a folder that holds the unpacked npm package pyodide@1.2.3
    ");
    fs_err::write(folder.path().join("package.json"), manifest()).unwrap();
    fs_err::write(folder.path().join("pyodide.asm.wasm"), noise(1)).unwrap();
    insta::assert_snapshot!(refused(), @r"
    not the file of Pyodide 1.2.3: CACHE/pyodide.asm.wasm: it has 1 bytes instead of 100000
    unpack the npm package again, or name another folder
    ");
    fs_err::write(folder.path().join("pyodide.asm.wasm"), noise(100_000)).unwrap();
    assert_eq!(run().unwrap(), folder.path());
    assert!(!cache.folder().join("pyodide").exists());

    let missing = Source::Folder("not/there".into());
    insta::assert_snapshot!(words(&obtain(&release, &cache, &missing, &Silent).unwrap_err(), &folder), @r"
    there is no such folder: not/there
    name a folder that holds the unpacked npm package
    ");
}

#[test]
fn a_mirror_delivers() {
    let ((release, archive), (_folder, cache)) = (small_release(), new_cache());
    let mirror = Mirror::start(archive);
    let heard = Heard::default();
    let source = Source::Url(format!("{}/files?token=x", mirror.url));
    let files = obtain(&release, &cache, &source, &heard).unwrap();
    assert_eq!(fs_err::read(files.join("pyodide.asm.wasm")).unwrap(), noise(100_000));
    assert_eq!(mirror.requests(), ["/files/pyodide-1.2.3.tgz?token=x"]);
    let all = heard.all();
    let advanced: u64 = all
        .iter()
        .filter_map(|line| line.strip_prefix("advance "))
        .map(|bytes| bytes.parse::<u64>().unwrap())
        .sum();
    assert_eq!(all[0], format!("start pyodide-1.2.3.tgz Some({})", release.tarball.size));
    assert_eq!((advanced, all.last().unwrap().as_str()), (release.tarball.size, "finish"));
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let ((release, archive), (folder, cache)) = (small_release(), new_cache());
    let mirror = Mirror::start(archive);
    let source = Source::Url(format!("{}/pyodide-1.2.3.tgz", mirror.url));

    // Every answer brings something: one call is enough.
    mirror.cut_after(&[40_000, 30_000]);
    obtain(&release, &cache, &source, &Silent).unwrap();
    assert_eq!(
        mirror.requests(),
        ["/pyodide-1.2.3.tgz", "/pyodide-1.2.3.tgz bytes=40000-", "/pyodide-1.2.3.tgz bytes=70000-"]
    );

    // The mirror goes away: the call fails, and the next one goes on.
    fs_err::remove_dir_all(cache.release_folder(&release)).unwrap();
    mirror.cut_after(&[50_000, 0]);
    let error = obtain(&release, &cache, &source, &Silent).unwrap_err();
    insta::assert_snapshot!(words(&error, &folder).replace(&mirror.url, "MIRROR"), @r"
    the download failed: MIRROR/pyodide-1.2.3.tgz
    check the network and the address, then try again: what has arrived is kept; or name a folder with `--pyodide FOLDER`
    ");
    assert!(!cache.release_folder(&release).exists());
    mirror.requests();
    obtain(&release, &cache, &source, &Silent).unwrap();
    assert_eq!(mirror.requests(), ["/pyodide-1.2.3.tgz bytes=50000-"]);
}

#[test]
fn a_mirror_without_ranges_begins_again() {
    let ((release, archive), (_folder, cache)) = (small_release(), new_cache());
    let mirror = Mirror::start(archive);
    mirror.ignore_ranges();
    mirror.cut_after(&[50_000]);
    let source = Source::Url(mirror.url.clone());
    obtain(&release, &cache, &source, &Silent).unwrap();
    assert_eq!(mirror.requests().len(), 2);
}

#[test]
fn what_is_left_of_another_file_does_not_spoil_the_download() {
    let ((release, archive), (_folder, cache)) = (small_release(), new_cache());
    let mirror = Mirror::start(archive);
    let source = Source::Url(mirror.url.clone());
    let partial = cache.partial_folder(&release);
    for left in [30_000, release.tarball.size as usize, 300_000] {
        fs_err::create_dir_all(&partial).unwrap();
        fs_err::write(partial.join("pyodide-1.2.3.tgz.part"), vec![7; left]).unwrap();
        obtain(&release, &cache, &source, &Silent).unwrap();
        fs_err::remove_dir_all(cache.release_folder(&release)).unwrap();
    }
}

#[test]
fn a_mirror_with_another_file_is_refused() {
    let ((release, mut archive), (folder, cache)) = (small_release(), new_cache());
    archive[50_000] ^= 1;
    let mirror = Mirror::start(archive.clone());
    let source = Source::Url(format!("{}/a", mirror.url.replace("http://", "http://user:secret@")));
    let error = obtain(&release, &cache, &source, &Silent).unwrap_err();
    let text = words(&error, &folder).replace(&mirror.url, "MIRROR");
    assert!(
        text.starts_with(
            "MIRROR/a/pyodide-1.2.3.tgz delivered something else than pyodide-1.2.3.tgz: its SHA-256"
        ),
        "{text}"
    );
    assert!(!cache.partial_folder(&release).join("pyodide-1.2.3.tgz.part").exists());

    // Shorter than the published one: a range beyond its end does not lock the mirror out.
    let short = Mirror::start(archive[..20_000].to_vec());
    let source = Source::Url(short.url.clone());
    for _ in 0..2 {
        obtain(&release, &cache, &source, &Silent).unwrap_err();
    }
    let error =
        obtain(&release, &cache, &Source::Url(format!("{}/missing", mirror.url)), &Silent).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    insta::assert_snapshot!(cause, @"the server answered with status 404");
}

#[test]
fn an_unreachable_mirror_is_named() {
    let ((release, _), (folder, cache)) = (small_release(), new_cache());
    let nobody = {
        // A port that was just free, with nothing listening any more.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let error = obtain(&release, &cache, &Source::Url(nobody.clone()), &Silent).unwrap_err();
    let text = words(&error, &folder);
    assert!(text.starts_with(&format!("the download failed: {nobody}/pyodide-1.2.3.tgz\n")), "{text}");
    for wrong in ["mirror", "ftp://mirror/", "file:///tmp"] {
        let error = obtain(&release, &cache, &Source::Url(wrong.to_owned()), &Silent).unwrap_err();
        assert!(error.to_string().starts_with("not the address of a mirror: "), "{error}");
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let (release, archive) = small_release();
    let folder = TempDir::new().unwrap();
    fs_err::write(folder.path().join("file"), "").unwrap();
    let cache = Cache::new(Some(folder.path().join("file"))).unwrap();
    let error = cached(&release, &cache, &Silent, writes(&archive)).unwrap_err();
    insta::assert_snapshot!(words(&error, &folder), @r"
    the cache cannot be used: CACHE/file/pyodide
    make it writable and make sure that the disk has space, or set TAIPAN_CACHE_DIR to another folder
    ");
}

/// Held while a test starts processes: one that is forked while another test writes its script holds the script open, and then
/// that is too busy to be run.
static STARTS_PROCESSES: Mutex<()> = Mutex::new(());

#[test]
fn npm_that_is_not_there() {
    let _guard = STARTS_PROCESSES.lock();
    let ((release, _), (folder, _)) = (small_release(), new_cache());
    let error = from_npm(&release, Path::new("npm-that-is-not-there"), folder.path(), &Silent).unwrap_err();
    insta::assert_snapshot!(words(&error, &folder), @r"
    pyodide@1.2.3 cannot be obtained without the npm client, and there is none
    install Node.js with npm, or unpack the package elsewhere and name its folder with `--pyodide FOLDER`
    ");
}

/// Runs `test` with an npm client whose whole doing is `script`.
#[cfg(unix)]
fn with_npm_like<T>(folder: &TempDir, script: &str, test: impl FnOnce(&Path) -> T) -> T {
    use std::os::unix::fs::PermissionsExt;
    let _guard = STARTS_PROCESSES.lock();
    let program = folder.path().join("npm");
    let mut file = fs_err::File::create(&program).unwrap();
    write!(file, "#!/bin/sh\n{script}\n").unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(file);
    test(&program)
}

#[cfg(unix)]
#[test]
fn npm_that_fails_is_quoted() {
    let ((release, _), (folder, _)) = (small_release(), new_cache());
    let run = |script: &str| {
        let error = with_npm_like(&folder, script, |npm| from_npm(&release, npm, folder.path(), &Silent));
        words(&error.unwrap_err(), &folder)
    };
    insta::assert_snapshot!(run(r#"printf %s '{ "error": { "code": "ENOTFOUND", "summary": "request failed, reason: no network\nmore" } }'; echo 'npm error long' >&2; exit 1"#), @r"
    npm could not obtain pyodide@1.2.3: request failed, reason: no network
    check the network and npm's settings (`npm config list`), or name a folder that holds the unpacked package with `--pyodide FOLDER`
    ");
    insta::assert_snapshot!(run("echo 'node: not found' >&2; exit 127").lines().next().unwrap(), @"npm could not obtain pyodide@1.2.3: node: not found");
    insta::assert_snapshot!(run("exit 3").lines().next().unwrap(), @"npm could not obtain pyodide@1.2.3: npm ended with exit status: 3");
}

#[cfg(unix)]
#[test]
fn what_npm_delivers_is_compared_too() {
    let ((release, mut archive), (folder, cache)) = (small_release(), new_cache());
    let prepared = folder.path().join("prepared.tgz");
    let script = format!("for last; do :; done; cp {} \"$last/pyodide-1.2.3.tgz\"", prepared.display());
    let run = || {
        with_npm_like(&folder, &script, |npm| {
            cached(&release, &cache, &Silent, |partial| from_npm(&release, npm, partial, &Silent))
        })
    };
    archive.truncate(90_000);
    fs_err::write(&prepared, &archive).unwrap();
    let error = run().unwrap_err();
    let expected = format!(
        "npm delivered something else than pyodide-1.2.3.tgz: it has 90000 bytes instead of {}",
        release.tarball.size
    );
    assert_eq!(error.to_string(), expected);
    assert!(!cache.release_folder(&release).exists());

    fs_err::write(&prepared, small_release().1).unwrap();
    run().unwrap();
}
