//! Assets over real sockets: what is too large to be held, and what must not get out.

use std::fmt::Write as _;

use taipan_config::{HtmlHandling, NotFoundHandling, RunWorkerFirst};
use taipan_server::Assets;

use crate::fake::Server;

#[tokio::test]
async fn a_large_file_is_streamed_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for line in 0..100_000 {
        writeln!(text, "line {line} of a file that is read in pieces").unwrap();
    }
    fs_err::write(folder.path().join("large.txt"), &text).unwrap();
    let server = serve(folder.path()).await;
    let answer = server.get("/large.txt", "").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", text.len())) && body == text, "{head}");
    let answer = server.get("/large.txt", "Range: bytes=100000-2000000\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 206 ") && body == &text[100_000..=2_000_000], "{head}");
    let answer = server.raw("HEAD /large.txt HTTP/1.1\r\nHost: t.test\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.contains(&format!("content-length: {}", text.len())) && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn links_do_not_lead_out_of_the_folder() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("public");
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(around.path().join("secret"), "secret").unwrap();
    fs_err::write(folder.join("a"), "inside").unwrap();
    for (to, name) in [("../secret", "out"), ("..", "up"), ("a", "in")] {
        fs_err::os::unix::fs::symlink(to, folder.join(name)).unwrap();
    }
    let server = serve(&folder).await;
    assert!(server.get("/in", "").await.ends_with("inside"));
    for path in ["/out", "/up/secret", "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/a/../../secret"] {
        assert!(server.get(path, "").await.starts_with("HTTP/1.1 404 "), "{path}");
    }
}

async fn serve(folder: &std::path::Path) -> Server {
    let server = Server::start().await;
    let config = taipan_config::Assets {
        directory: folder.to_owned(),
        binding: None,
        html_handling: HtmlHandling::default(),
        not_found_handling: NotFoundHandling::default(),
        // The Worker is never asked.
        run_worker_first: RunWorkerFirst::Matching(vec!["/none".to_owned()], vec!["/*".to_owned()]),
        navigation_prefers_assets: true,
    };
    server.slot.serve(Some(Assets::new(config, server.seen.clone(), tokio::runtime::Handle::current())));
    server
}
