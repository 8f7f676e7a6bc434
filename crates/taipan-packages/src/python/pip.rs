//! What pip was told about indexes, for uv, which does not read it: who can install with pip should not have to say everything again.
//!
//! uv's own settings come first: as soon as its environment names an index, or it has a configuration file, pip's are left alone.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// pip's settings, and the variables by which uv is told the same.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("index-url", "UV_DEFAULT_INDEX", " "),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("cert", "SSL_CERT_FILE", " "),
];

/// Variables by which uv is told where packages come from.
const OWN: &[&str] = &[
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_URL",
];

/// Variables for uv.
pub(super) fn variables() -> Vec<(&'static str, String)> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
    let settings = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    let system = Path::new("/etc");
    if OWN.iter().any(|name| variable(name).is_some())
        || [settings.join("uv/uv.toml"), system.join("uv/uv.toml")].iter().any(|file| file.exists())
    {
        return vec![];
    }
    // The later ones win.
    let files = [system.join("pip.conf"), home.join(".pip/pip.conf"), settings.join("pip/pip.conf")];
    let files = files.into_iter().chain(variable("PIP_CONFIG_FILE").map(PathBuf::from));
    let texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    translated(&texts, variable)
}

fn translated(files: &[String], variable: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let mut settings = BTreeMap::new();
    for text in files {
        settings.extend(read(text));
    }
    let mut found = vec![];
    for (name, own, separator) in SETTINGS {
        let from_environment = variable(&format!("PIP_{}", name.replace('-', "_").to_uppercase()));
        if let Some(value) = from_environment.or_else(|| settings.get(*name).cloned())
            && variable(own).is_none()
        {
            found.push((*own, value.split_whitespace().collect::<Vec<_>>().join(separator)));
        }
    }
    found
}

/// The settings of a `pip.conf` that are about all commands, or about installing. A value goes on in lines that are indented.
fn read(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut applies = false;
    let mut last = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            applies = matches!(section.trim(), "global" | "install");
            last = None;
        } else if !applies {
            continue;
        } else if let (true, Some(name)) = (line.starts_with([' ', '\t']), &last) {
            let value = found.entry(String::clone(name)).or_default();
            value.push(' ');
            value.push_str(trimmed);
        } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            let name = name.trim().replace('_', "-").to_lowercase();
            found.insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_pip_become_those_of_uv() {
        let system = "[global]\nindex-url = https://a.invalid/simple\ntimeout = 5\n[list]\nfind-links = /x\n";
        let user = "# mine\n[global]\nextra_index_url =\n    https://b.invalid/simple\n    https://c.invalid/simple\n\n[install]\nfind-links: /wheels /more\n";
        let files = [system.to_owned(), user.to_owned()];
        let pair = |name: &'static str, value: &str| (name, value.to_owned());
        let expected = [
            pair("UV_DEFAULT_INDEX", "https://a.invalid/simple"),
            pair("UV_INDEX", "https://b.invalid/simple https://c.invalid/simple"),
            pair("UV_FIND_LINKS", "/wheels,/more"),
        ];
        assert_eq!(translated(&files, |_| None), expected);
        let environment = |name: &str| match name {
            "PIP_INDEX_URL" => Some("https://d.invalid".to_owned()),
            "SSL_CERT_FILE" | "PIP_CERT" => Some("/own.pem".to_owned()),
            _ => None,
        };
        let found = translated(&files, environment);
        assert_eq!(found.first(), Some(&pair("UV_DEFAULT_INDEX", "https://d.invalid")));
        assert!(!found.iter().any(|(name, _)| *name == "SSL_CERT_FILE"));
    }
}
