//! Which wheels a Python can load, and which of several it should.

/// The name of a package in its canonical form: lower case, with single dashes.
pub(super) fn canonical(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !out.is_empty() {
            out.push('-');
        }
        out.push_str(&part.to_lowercase());
    }
    out
}

/// How well a wheel fits, by its file's name: the smaller the better; `None` when it does not. `python` is such as `3.14`.
pub(super) fn rank(file: &str, python: &str, platform: &str) -> Option<u32> {
    let mut parts = file.strip_suffix(".whl")?.rsplit('-');
    let (platforms, abis, pythons) = (parts.next()?, parts.next()?, parts.next()?);
    // Name and version.
    parts.next().and(parts.next())?;
    let minor: u32 = python.strip_prefix("3.")?.parse().ok()?;
    let own = format!("cp3{minor}");
    let platform_rank = platforms.split('.').find_map(|tag| match tag {
        "any" => Some(1),
        tag => (tag == platform).then_some(0),
    });
    let platform_rank =
        if platforms.split('.').any(|tag| tag == platform) { Some(0) } else { platform_rank }?;
    let python_rank = |tag: &str, abi: &str| -> Option<u32> {
        let older = |prefix: &str| tag.strip_prefix(prefix)?.parse::<u32>().ok().filter(|m| *m <= minor);
        match abi {
            _ if abi == own && tag == own => Some(0),
            "abi3" => older("cp3").map(|m| 1 + minor - m),
            "none" if tag == own => Some(100),
            "none" if tag == "py3" => Some(200),
            "none" => older("py3").map(|m| 101 + minor - m),
            _ => None,
        }
    };
    let fits =
        pythons.split('.').flat_map(|tag| abis.split('.').filter_map(move |abi| python_rank(tag, abi)));
    Some(platform_rank * 1000 + fits.min()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(canonical("Pydantic_Core"), "pydantic-core");
        assert_eq!(canonical("a.-_b"), "a-b");
    }

    #[test]
    fn the_most_specific_wheel_is_the_best() {
        let rank = |file: &str| rank(file, "3.14", "pyemscripten_2026_0_wasm32");
        let order = [
            "a-1-cp314-cp314-pyemscripten_2026_0_wasm32.whl",
            "a-1-cp314-abi3-pyemscripten_2026_0_wasm32.whl",
            "a-1-1build-cp39-abi3-pyemscripten_2026_0_wasm32.whl",
            "a-1-py3-none-pyemscripten_2026_0_wasm32.whl",
            "a-1-cp314-none-any.whl",
            "a-1-py312-none-any.whl",
            "a-1-py2.py3-none-any.whl",
        ];
        let ranks: Vec<_> = order.iter().map(|file| rank(file).unwrap()).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        for file in [
            "a-1-cp313-cp313-pyemscripten_2026_0_wasm32.whl",
            "a-1-cp314-cp314t-pyemscripten_2026_0_wasm32.whl",
            "a-1-cp315-abi3-pyemscripten_2026_0_wasm32.whl",
            "a-1-cp314-cp314-pyemscripten_2025_0_wasm32.whl",
            "a-1-cp314-cp314-manylinux_2_17_x86_64.whl",
            "a-1-py2-none-any.whl",
            "a-1-py315-none-any.whl",
            "py3-none-any.whl",
            "a-1.tar.gz",
        ] {
            assert_eq!(rank(file), None, "{file}");
        }
    }
}
