//! What the engine does in place of the releases' JavaScript was written by reading that: here is what was read.

use taipan_guest::NATIVES;
use taipan_guest::glue::glue;
use taipan_packages::pyodide::{self, Cache, RELEASES, Silent};

use crate::guest::shared_cache;

/// For each native and release, the digest of the JavaScript that was compared with `natives.c`.
const READ: &str = include_str!("glue/read.txt");

/// The text of a function of the glue, which does without braces in strings there.
fn function<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let start = text.find(&format!("function {name}("))?;
    let mut depth = 0;
    for (at, character) in text[start..].char_indices() {
        depth += match character {
            '{' => 1,
            '}' => -1,
            _ => continue,
        };
        if depth == 0 {
            return Some(&text[start..=start + at]);
        }
    }
    None
}

#[test]
fn natives_stand_for_what_was_read() {
    let cache = Cache::new(Some(shared_cache())).unwrap();
    let mut now = String::new();
    for release in RELEASES {
        let glue = glue(release.version).unwrap();
        let folder = pyodide::obtain(release, &cache, &pyodide::Source::Npm, &Silent).unwrap();
        let text = fs_err::read_to_string(folder.join(glue.file)).unwrap();
        // C code says "failed" by this value, or by null.
        assert_eq!(glue.mark.is_some(), text.contains("return Module.error"), "{}", release.version);
        if let Some(mark) = &glue.mark {
            let code = fs_err::read(folder.join("pyodide.asm.wasm")).unwrap();
            for name in [mark.give, mark.check] {
                let import = [
                    &[u8::try_from(mark.module.len()).unwrap()],
                    mark.module.as_bytes(),
                    &[u8::try_from(name.len()).unwrap()],
                    name.as_bytes(),
                ]
                .concat();
                assert!(
                    code.windows(import.len()).any(|bytes| bytes == import),
                    "{}: {name}",
                    release.version
                );
            }
        }
        for name in NATIVES.iter().filter(|name| !glue.left_to_javascript.contains(name)) {
            let digest =
                function(&text, name).map(|text| blake3::hash(text.as_bytes()).to_hex()[..16].to_owned());
            now += &format!("{} {name} {}\n", release.version, digest.as_deref().unwrap_or("absent"));
        }
    }
    let changed: Vec<_> = now.lines().filter(|line| !READ.lines().any(|read| read == *line)).collect();
    assert!(
        changed.is_empty(),
        "compare with natives.c, then write into glue/read.txt:\n{}",
        changed.join("\n")
    );
}
