//! How large a bundle is, and what the Worker reaches: in the words that wrangler has for it.

use std::io::Write as _;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use taipan_config::Bindings;
use taipan_server::ContentFile;

use super::bundle::{Bundle, Place};

/// So many of the largest parts are shown.
const LARGEST: usize = 12;

/// The name of the part that is the Worker's own.
const OWN: &str = "the Worker's own files";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    name: String,
    files: usize,
    size: u64,
    gzip: u64,
}

/// The sizes in lines: each package, the largest first, and all together.
pub(crate) fn sizes(bundle: &Bundle) -> Result<Vec<String>> {
    let part = |name: &str, files: &[ContentFile]| -> Result<Part> {
        let mut part = Part { name: name.to_owned(), files: files.len(), size: 0, gzip: 0 };
        for file in files {
            part.size += file.size;
            part.gzip += match bundle.contents.get(&file.sha256) {
                Some(Place::Memory(bytes)) => compressed(bytes)?,
                Some(Place::File(path)) => compressed(&fs::read(path)?)?,
                _ => 0,
            };
        }
        Ok(part)
    };
    let manifest = &bundle.manifest;
    let mut parts = vec![part(OWN, &manifest.sources)?];
    if let Some(assets) = &manifest.assets {
        parts.push(part("its assets", &assets.files)?);
    }
    for package in &manifest.packages {
        parts.push(part(&package.name, &package.files)?);
    }
    Ok(lines(parts))
}

fn lines(mut parts: Vec<Part>) -> Vec<String> {
    let (size, gzip) = (parts.iter().map(|p| p.size).sum(), parts.iter().map(|p| p.gzip).sum());
    let mut lines = Vec::new();
    if parts.len() > 1 {
        parts.sort_by_key(|part| std::cmp::Reverse(part.size));
        let others = parts.split_off(parts.len().min(LARGEST));
        if let Some(first) = others.first() {
            let rest = Part {
                name: format!("{} others", others.len()),
                files: others.iter().map(|p| p.files).sum(),
                size: others.iter().map(|p| p.size).sum(),
                gzip: others.iter().map(|p| p.gzip).sum(),
            };
            parts.push(if others.len() == 1 { first.clone() } else { rest });
        }
        let width = parts.iter().map(|part| part.name.chars().count()).max().unwrap_or_default();
        for Part { name, files, size, gzip } in &parts {
            lines.push(format!(
                "  {name:width$}  {files:>5} {}  {:>13} / gzip: {:>12}",
                if *files == 1 { "file " } else { "files" },
                kib(*size),
                kib(*gzip)
            ));
        }
    }
    lines.push(format!("Total Upload: {} / gzip: {}", kib(size), kib(gzip)));
    lines
}

/// As wrangler writes it.
fn kib(bytes: u64) -> String {
    format!("{:.2} KiB", bytes as f64 / 1024.0)
}

fn compressed(bytes: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Counted(0), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.0)
}

/// Counts what is written.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the Worker reaches, in lines; none when that is nothing.
pub(crate) fn bindings(bundle: &Bundle) -> Vec<String> {
    let manifest = &bundle.manifest;
    let Bindings {
        kv_namespaces,
        d1_databases,
        r2_buckets,
        services,
        datasets,
        rate_limits,
        version,
        queue_producers,
        queue_consumers: _,
        assets,
    } = &manifest.bindings;
    let mut rows: Vec<(String, &str)> = Vec::new();
    let row = |binding: &str, what: &str| format!("env.{binding} ({what})");
    rows.extend(kv_namespaces.iter().map(|kv| (row(&kv.binding, &kv.id), "KV Namespace")));
    rows.extend(
        d1_databases.iter().map(|d1| (row(&d1.binding, d1.name.as_ref().unwrap_or(&d1.id)), "D1 Database")),
    );
    rows.extend(r2_buckets.iter().map(|r2| (row(&r2.binding, &r2.name), "R2 Bucket")));
    rows.extend(queue_producers.iter().map(|queue| (row(&queue.binding, &queue.queue), "Queue")));
    rows.extend(services.iter().map(|service| (row(&service.binding, &service.service), "Worker")));
    rows.extend(
        datasets.iter().map(|(binding, dataset)| (row(binding, dataset), "Analytics Engine Dataset")),
    );
    rows.extend(rate_limits.iter().map(|limit| {
        (row(&limit.name, &format!("{} requests/{}s", limit.limit, limit.period)), "Rate Limit")
    }));
    rows.extend(assets.iter().map(|binding| (format!("env.{binding}"), "Assets")));
    rows.extend(version.iter().map(|binding| (format!("env.{binding}"), "Worker Version Metadata")));
    // The version's is the server's to say.
    let vars = manifest.vars.keys().filter(|name| version.as_ref() != Some(name));
    rows.extend(vars.map(|name| (format!("env.{name}"), "Environment Variable")));
    if rows.is_empty() {
        return vec![];
    }
    let width = rows.iter().map(|(binding, _)| binding.chars().count()).max().unwrap_or_default();
    let mut lines = vec!["Your Worker has access to the following bindings:".to_owned()];
    lines.push(format!("  {:width$}  Resource", "Binding"));
    lines.extend(rows.iter().map(|(binding, resource)| format!("  {binding:width$}  {resource}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_the_rest_together() {
        let part = |name: &str, size| Part { name: name.to_owned(), files: 1, size, gzip: size / 2 };
        assert_eq!(lines(vec![part(OWN, 2048)]), ["Total Upload: 2.00 KiB / gzip: 1.00 KiB"]);
        let mut parts = vec![part(OWN, 10)];
        parts.extend((0..20).map(|n| part(&format!("p{n}"), 1024 * n)));
        let lines = lines(parts);
        assert_eq!(lines.len(), LARGEST + 2);
        assert!(
            lines[0].starts_with("  p19") && lines[0].ends_with("19.00 KiB / gzip:     9.50 KiB"),
            "{}",
            lines[0]
        );
        assert!(lines[LARGEST].starts_with("  9 others"), "{}", lines[LARGEST]);
        assert_eq!(lines[LARGEST + 1], "Total Upload: 190.01 KiB / gzip: 95.00 KiB");
    }
}
