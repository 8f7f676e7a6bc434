//! Large files in packages: what a Worker reads of one is what it takes.

use std::path::Path;
use std::time::Duration;

use taipan_testkit::http::{Client, Request};
use taipan_testkit::index::{Entry, Wheel};
use taipan_testkit::mirror;
use taipan_testkit::server::{Server, ServerOptions, Stream};

use crate::scene::Scene;

/// Bytes in the file.
const SIZE: usize = 200 << 20;

/// What of it may be the process's own after each case, in bytes. Of reading it whole it would be two hundred.
const GROWTH: u64 = 12 << 20;

const ENTRY: &str = r#"
import mmap
import os
import shutil
import sys
from pathlib import Path

import alpha_data
from workers import Response, WorkerEntrypoint

FILE = Path(alpha_data.__file__).parent / "large.bin"
SIZE = 200 << 20
# Both are part of the Worker's snapshot.
opened = open(FILE, "rb")
opened.seek(100 << 20)
small = mmap.mmap(opened.fileno(), 3 << 20, access=mmap.ACCESS_READ)
small[0]


def mark(at):
    return b"mark %09d" % at


def reads():
    with open(FILE, "rb") as file:
        assert file.read(14) == mark(0)
        assert file.seek(150 << 20) == 150 << 20 and file.read(14) == mark(150 << 20)
        assert file.seek(-14, os.SEEK_END) == SIZE - 14 and file.read() == b"the last bytes" and file.read() == b""
        into = bytearray(b"." * 20)
        assert file.seek(1 << 20) == 1 << 20 and file.readinto(memoryview(into)[3:17]) == 14
        assert bytes(into) == b"..." + mark(1 << 20) + b"..."
        assert file.seek(SIZE + 5) == SIZE + 5 and file.read(3) == b""
    descriptor = os.open(FILE, os.O_RDONLY)
    try:
        assert os.pread(descriptor, 14, 77 << 20) == mark(77 << 20)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
        assert os.fstat(descriptor).st_size == SIZE
    finally:
        os.close(descriptor)


def copies():
    """Through a buffer, which is all that it takes."""
    class Sink:
        total = 0
        def write(self, data):
            self.total += len(data)
    sink = Sink()
    with open(FILE, "rb") as file:
        shutil.copyfileobj(file, sink)
    assert sink.total == SIZE


def maps():
    with open(FILE, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        assert len(whole) == SIZE and whole[-14:] == b"the last bytes"
        assert whole[150 << 20 : (150 << 20) + 14] == mark(150 << 20)
        assert whole[(150 << 20) - 1] == 0
    with open(FILE, "rb") as file, mmap.mmap(file.fileno(), 40 << 20, access=mmap.ACCESS_COPY, offset=64 << 20) as part:
        assert part[:14] == mark(64 << 20)
        part[:4] = b"MARK"
        assert part[:14] == b"MARK 067108864"
    # What was written there is nowhere else, and the memory can be used for others.
    assert sum(bytearray(8 << 20)) == 0
    with open(FILE, "rb") as file:
        file.seek(64 << 20)
        assert file.read(14) == mark(64 << 20)


def kept():
    """What module scope has left open."""
    assert opened.read(14) == mark(100 << 20)
    opened.seek(100 << 20)
    for at in range(3):
        assert small[at << 20 : (at << 20) + 14] == mark(at << 20)
    assert small[(1 << 20) + 100] == 0 and len(small) == 3 << 20


def arrays():
    import numpy

    array = numpy.load(FILE.with_name("large.npy"), mmap_mode="r")
    assert array.shape == (25 << 20,) and array[5 << 20] == 7.0 and array[-1] == 0.0
    assert array[: 1 << 10].sum() == 0.0


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        globals()[request.url.rsplit("/", 1)[1]]()
        return Response("fine")
"#;

fn put(content: &mut [u8], at: usize, bytes: &[u8]) {
    content.get_mut(at..at + bytes.len()).unwrap().copy_from_slice(bytes);
}

/// Zeros, but for a mark at each MiB and the end.
fn large() -> Vec<u8> {
    let mut content = vec![0; SIZE];
    for at in (0..SIZE).step_by(1 << 20) {
        put(&mut content, at, format!("mark {at:09}").as_bytes());
    }
    put(&mut content, SIZE - 14, b"the last bytes");
    content
}

/// An array of 25 × 2²⁰ numbers, of which one is not zero.
fn array() -> Vec<u8> {
    let mut content = b"\x93NUMPY\x01\0\x76\0".to_vec();
    let head = "{'descr': '<f8', 'fortran_order': False, 'shape': (26214400,), }";
    content.extend(format!("{head:<117}\n").as_bytes());
    content.resize(content.len() + (25 << 23), 0);
    put(&mut content, 128 + (5 << 23), &7.0_f64.to_le_bytes());
    content
}

fn serve(scene: &Scene, date: &str, files: Vec<Entry>, wheels: &Path, cases: &[&str]) {
    scene.index.publish(Wheel { files, ..Wheel::pure("alpha", "1.0") });
    let config = format!(
        r#"{{ "name": "w", "main": "entry.py", "compatibility_date": "{date}", "compatibility_flags": ["python_workers"],
             "taipan": {{ "memory_mib": 512, "isolates": {{ "max": 1 }} }} }}"#
    );
    fs_err::write(scene.project.path("wrangler.jsonc"), config).unwrap();
    fs_err::write(scene.project.path("entry.py"), ENTRY).unwrap();
    let mut options =
        ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), scene.project.path(""), scene.cache.path());
    options.env.push(("UV_DEFAULT_INDEX".into(), scene.index.url()));
    options.env.push(("UV_CACHE_DIR".into(), scene.own.path().join("uv").to_string_lossy().into_owned()));
    options.env.push(("TAIPAN_PACKAGE_INDEX".into(), wheels.to_string_lossy().into_owned()));
    let mut server = Server::start(&options).unwrap();
    let mut client = Client::new(server.port(), Duration::from_secs(120));
    for case in cases {
        let mut ask = || client.send(&Request::get(&format!("/{case}"))).unwrap().text();
        // What the first time imports counts for nobody.
        assert_eq!(ask(), "fine", "{case}: {}", server.log.text(Stream::Stderr));
        let before = server.private_bytes().unwrap();
        for _ in 0..3 {
            assert_eq!(ask(), "fine", "{case}: {}", server.log.text(Stream::Stderr));
        }
        let after = server.private_bytes().unwrap();
        assert!(after < before + GROWTH, "{case}: {before} → {after}");
        println!("{case}: {} KiB more", after.saturating_sub(before) >> 10);
    }
    server.interrupt().unwrap();
    server.expect_clean_end().unwrap();
}

#[test]
fn a_large_file_takes_what_is_read_of_it() {
    let scene = Scene::new("alpha\n");
    let files = vec![Entry::new("alpha_data/__init__.py", ""), Entry::new("alpha_data/large.bin", large())];
    serve(&scene, "2026-11-01", files, scene.own.path(), &["kept", "reads", "copies", "maps", "kept"]);
}

#[test]
fn an_array_on_disk_takes_what_is_used_of_it() {
    let scene = Scene::new("alpha\nnumpy\n");
    let files = vec![
        Entry::new("alpha_data/__init__.py", ""),
        // Module scope maps the beginning of it.
        Entry::new("alpha_data/large.bin", large().drain(..110 << 20).collect::<Vec<_>>()),
        Entry::new("alpha_data/large.npy", array()),
    ];
    let wheels = mirror::wheels(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools")).unwrap();
    serve(&scene, "2025-09-28", files, &wheels, &["kept", "arrays"]);
}
