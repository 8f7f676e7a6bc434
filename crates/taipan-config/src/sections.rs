//! The parts of the configuration below its top level.

use std::net::{IpAddr, Ipv4Addr};

use crate::decode::Section;
use crate::error::ConfigError;
use crate::keys::{DEV_KEYS, LIMITS_KEYS, RULE_KEYS};
use crate::nearest::nearest;

/// `limits`: what one request may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time, in milliseconds; at least 1.
    pub cpu_ms: Option<u64>,
}

impl Limits {
    pub(crate) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        section.only(LIMITS_KEYS)?;
        Ok(Self { cpu_ms: section.integer("cpu_ms", 1, u64::MAX)? })
    }
}

/// `dev`: where the development server listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dev {
    /// The address; `localhost` and `*` are already resolved.
    pub ip: Option<IpAddr>,
    /// The port; 0 means any that is free.
    pub port: Option<u16>,
}

impl Dev {
    pub(crate) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        section.only(DEV_KEYS)?;
        let ip = match section.string("ip")? {
            None => None,
            Some(("localhost", _)) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Some(("*", _)) => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Some((text, at)) => Some(text.parse().map_err(|_| {
                let path = section.path_of("ip");
                section
                    .source
                    .error(at, format!("wrong value of `{path}`: expected an IP address, found `{text}`"))
                    .with_hint("write an address such as `127.0.0.1`, `localhost`, or `*` for all addresses")
            })?),
        };
        let port = section.integer("port", 0, u16::MAX.into())?.and_then(|port| u16::try_from(port).ok());
        Ok(Self { ip, port })
    }
}

/// One of the `rules`: files that are modules of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What the files become.
    pub module_type: ModuleType,
    /// Which files: glob patterns, relative to the main module's folder.
    pub globs: Vec<String>,
    /// Whether later rules of the same type apply too.
    pub fallthrough: bool,
}

/// What a file becomes in the Worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are wrangler's and say it")]
pub enum ModuleType {
    EsModule,
    CommonJs,
    CompiledWasm,
    Text,
    Data,
    PythonModule,
    PythonRequirement,
}

const MODULE_TYPES: [(&str, ModuleType); 7] = [
    ("ESModule", ModuleType::EsModule),
    ("CommonJS", ModuleType::CommonJs),
    ("CompiledWasm", ModuleType::CompiledWasm),
    ("Text", ModuleType::Text),
    ("Data", ModuleType::Data),
    ("PythonModule", ModuleType::PythonModule),
    ("PythonRequirement", ModuleType::PythonRequirement),
];

impl Rule {
    pub(crate) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        section.only(RULE_KEYS)?;
        let (name, at) = required(section, section.string("type")?, "type")?;
        let globs = required(section, section.strings("globs")?, "globs")?;
        let Some((_, module_type)) = MODULE_TYPES.into_iter().find(|(known, _)| *known == name) else {
            let names = MODULE_TYPES.map(|(name, _)| name);
            let suggestion = nearest(name, names).map(|name| format!("; did you mean `{name}`?"));
            let message = format!("unknown module type: `{name}`{}", suggestion.unwrap_or_default());
            return Err(section
                .source
                .error(at, message)
                .with_hint(format!("use one of: {}", names.join(", "))));
        };
        Ok(Self {
            module_type,
            globs: globs.into_iter().map(|(glob, _)| glob.to_owned()).collect(),
            fallthrough: section.boolean("fallthrough")?.unwrap_or(false),
        })
    }
}

pub(crate) fn required<T>(section: &Section<'_>, value: Option<T>, key: &str) -> Result<T, ConfigError> {
    value.ok_or_else(|| {
        let at = section.entries().first().map_or(0, |entry| entry.at);
        section.source.error(at, format!("missing key: `{}`", section.path_of(key)))
    })
}
