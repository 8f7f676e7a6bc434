//! Content types by the ends of names.

use std::path::Path;

/// What is not text.
const BINARY: &[(&str, &[&str])] = &[
    ("application/gzip", &["gz"]),
    ("application/json", &["json", "map"]),
    ("application/ld+json", &["jsonld"]),
    ("application/manifest+json", &["webmanifest"]),
    ("application/pdf", &["pdf"]),
    ("application/rss+xml", &["rss"]),
    ("application/atom+xml", &["atom"]),
    ("application/wasm", &["wasm"]),
    ("application/x-tar", &["tar"]),
    ("application/xhtml+xml", &["xhtml"]),
    ("application/xml", &["xml", "xsl"]),
    ("application/zip", &["zip", "whl"]),
    ("application/zstd", &["zst"]),
    ("audio/aac", &["aac"]),
    ("audio/flac", &["flac"]),
    ("audio/mp4", &["m4a"]),
    ("audio/mpeg", &["mp3"]),
    ("audio/ogg", &["oga", "ogg", "opus"]),
    ("audio/wav", &["wav"]),
    ("font/otf", &["otf"]),
    ("font/ttf", &["ttf"]),
    ("font/woff", &["woff"]),
    ("font/woff2", &["woff2"]),
    ("image/apng", &["apng"]),
    ("image/avif", &["avif"]),
    ("image/bmp", &["bmp"]),
    ("image/gif", &["gif"]),
    ("image/jpeg", &["jpg", "jpeg"]),
    ("image/png", &["png"]),
    ("image/svg+xml", &["svg"]),
    ("image/tiff", &["tif", "tiff"]),
    ("image/vnd.microsoft.icon", &["ico"]),
    ("image/webp", &["webp"]),
    ("model/gltf-binary", &["glb"]),
    ("model/gltf+json", &["gltf"]),
    ("video/mp4", &["mp4", "m4v"]),
    ("video/ogg", &["ogv"]),
    ("video/quicktime", &["mov"]),
    ("video/webm", &["webm"]),
];

const TEXT: &[(&str, &[&str])] = &[
    ("text/calendar; charset=utf-8", &["ics"]),
    ("text/css; charset=utf-8", &["css"]),
    ("text/csv; charset=utf-8", &["csv"]),
    ("text/html; charset=utf-8", &["html", "htm"]),
    ("text/javascript; charset=utf-8", &["js", "mjs", "cjs"]),
    ("text/markdown; charset=utf-8", &["md"]),
    ("text/plain; charset=utf-8", &["txt", "text", "log", "ini"]),
    ("text/vtt; charset=utf-8", &["vtt"]),
    ("text/x-python; charset=utf-8", &["py"]),
    ("text/yaml; charset=utf-8", &["yaml", "yml"]),
];

/// The type of a file of this name.
pub(super) fn content_type(path: &str) -> &'static str {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let known = TEXT.iter().chain(BINARY);
    let mut found = known.filter(|(_, names)| names.iter().any(|name| name.eq_ignore_ascii_case(extension)));
    found.next().map_or("application/octet-stream", |(name, _)| *name)
}
