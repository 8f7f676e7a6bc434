//! boto3, as it comes, against the buckets of `taipan dev`.

use std::path::Path;
use std::process::Command;

use taipan_testkit::server::{Server, ServerOptions};

#[test]
fn boto3_uses_buckets() {
    let folder = tempfile::tempdir().unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/s3");
    for name in ["wrangler.jsonc", "entry.py"] {
        fs_err::copy(tests.join("worker").join(name), folder.path().join(name)).unwrap();
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let server =
        Server::start(&ServerOptions::new(env!("CARGO_BIN_EXE_taipan"), folder.path(), &cache)).unwrap();
    let secret = fs_err::read_to_string(folder.path().join(".wrangler/state/taipan-v1/s3-secret")).unwrap();
    let endpoint = format!("http://localhost:{}/cdn-cgi/local/r2/s3", server.port());
    let output = Command::new("uv")
        .args(["run", "--no-project", "--with", "boto3[crt]==1.40.*", "python3"])
        .arg(tests.join("client.py"))
        .args([&endpoint, secret.trim()])
        .output()
        .unwrap();
    let [said, failed] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "after {said}: {failed}");
}
