//! `.dev.vars` and `.env`: secrets of a Worker for development, one `KEY=VALUE` a line.
//!
//! The dialect is dotenv's, as wrangler reads it: `#` begins a comment, `export ` before a key is allowed, values may be quoted with `"`,
//! `'` or `` ` `` and then span lines, and only `"` knows the escapes `\n` and `\r`. Unlike dotenv, which skips what it does not
//! understand, a line that is none of this is an error: a secret that silently is not there costs an hour. Only in `.env` and its variants
//! names of others stand for their values (`expand.rs`).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::error::ConfigError;
use crate::expand::expand;
use crate::secret::Secret;
use crate::source::Source;

/// What a file of secrets holds.
#[derive(Debug, Default)]
pub(crate) struct DevVars {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) warnings: Vec<String>,
}

/// Reads `.dev.vars.ENV` in `folder` where an environment is named and the file is there, else `.dev.vars`: one of them, never
/// both, as in wrangler. Where there is neither, `.env`, `.env.local`, `.env.ENV` and `.env.ENV.local` count together, the later ones
/// over the earlier. With `files`, which must be there, those do and no others.
pub(crate) fn load(folder: &Path, env: Option<&str>, files: &[PathBuf]) -> Result<DevVars, ConfigError> {
    if !files.is_empty() {
        let source = |file: &PathBuf| {
            let file = folder.join(file);
            Source::read(&file)?.ok_or_else(|| {
                ConfigError::new(&file, "there is no such file").with_hint("name a file of `KEY=VALUE` lines")
            })
        };
        return together(files.iter().map(source));
    }
    let named = env.map(|env| Source::read(&folder.join(format!(".dev.vars.{env}")))).transpose()?.flatten();
    let source = match named {
        Some(source) => Some(source),
        None => Source::read(&folder.join(".dev.vars"))?,
    };
    let mut names = vec![".env".to_owned(), ".env.local".to_owned()];
    names.extend(env.iter().flat_map(|env| [format!(".env.{env}"), format!(".env.{env}.local")]));
    if let Some(source) = source {
        let (pairs, warnings) = parse(&source)?;
        let secrets = pairs.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
        let mut found = DevVars { secrets, warnings };
        if let Some(name) = names.iter().find(|name| folder.join(name).is_file()) {
            let used = source.file.display();
            found
                .warnings
                .push(format!("{}: not read, because there is {used}", folder.join(name).display()));
        }
        return Ok(found);
    }
    together(names.iter().filter_map(|name| Source::read(&folder.join(name)).transpose()))
}

/// What several files hold, the later ones over the earlier.
fn together(sources: impl Iterator<Item = Result<Source, ConfigError>>) -> Result<DevVars, ConfigError> {
    // In the order in which keys come first, each with its last value and the file that has it.
    let mut all: Vec<(String, String, PathBuf)> = Vec::new();
    let mut found = DevVars::default();
    for source in sources {
        let source = source?;
        let (pairs, warnings) = parse(&source)?;
        found.warnings.extend(warnings);
        for (key, value) in pairs {
            match all.iter_mut().find(|(known, ..)| *known == key) {
                Some((_, before, file)) => (*before, *file) = (value, source.file.clone()),
                None => all.push((key, value, source.file.clone())),
            }
        }
    }
    let mut known = HashMap::new();
    for (key, value, file) in all {
        let Some((value, missing)) = expand(&value, &known) else {
            let message = format!("the value of `{key}` becomes too long, or stands for itself");
            return Err(ConfigError::new(&file, message).with_hint("write \\$ where a dollar sign is meant"));
        };
        for name in missing {
            found.warnings.push(format!(
                "{}: `${name}` in the value of `{key}` stands for nothing, because no line before sets it; write `\\$` for a dollar sign",
                file.display()
            ));
        }
        known.insert(key.clone(), value.clone());
        found.secrets.insert(key, Secret::new(value));
    }
    Ok(found)
}

/// Keys with their values, in order, and warnings.
type Parsed = (Vec<(String, String)>, Vec<String>);

fn parse(source: &Source) -> Result<Parsed, ConfigError> {
    let (mut found, mut warnings) = (Vec::new(), Vec::new());
    let text = source.text.as_str();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let line = rest.lines().next().unwrap_or_default();
        let indent = line.len() - line.trim_start().len();
        let assignment = line.trim_start();
        if assignment.is_empty() || assignment.starts_with('#') {
            at += line_length(rest);
            continue;
        }
        let (key, value_at) = key(source, at + indent, assignment)?;
        let value_text = text.get(value_at..).unwrap_or_default();
        let quote = value_text.chars().next().filter(|first| matches!(first, '"' | '\'' | '`'));
        let value = match quote {
            Some(quote) => {
                let inside = value_text.get(1..).unwrap_or_default();
                let Some(length) = closing(inside, quote) else {
                    return Err(source
                        .error(value_at, format!("the value of `{key}` has no closing {quote}"))
                        .with_hint(format!("end the value with {quote}")));
                };
                let after = value_at + length + 2;
                let tail = text.get(after..).unwrap_or_default();
                let beside = tail.lines().next().unwrap_or_default().trim();
                if !(beside.is_empty() || beside.starts_with('#')) {
                    return Err(source
                        .error(after, format!("there is text after the quoted value of `{key}`"))
                        .with_hint("put all of the value inside the quotation marks"));
                }
                at = after + line_length(tail);
                let inside = inside.get(..length).unwrap_or_default().replace("\r\n", "\n");
                if quote == '"' { inside.replace("\\n", "\n").replace("\\r", "\r") } else { inside }
            }
            None => {
                at += line_length(rest);
                let line = value_text.lines().next().unwrap_or_default();
                let (value, comment) =
                    line.split_once('#').map_or((line, None), |(value, c)| (value, Some(c)));
                if comment.is_some() && value.ends_with(|last: char| !last.is_whitespace()) {
                    warnings.push(format!(
                        "{}: the value of `{key}` ends before `#`; quote the value if `#` belongs to it",
                        source.link(value_at + value.len())
                    ));
                }
                value.trim().to_owned()
            }
        };
        found.push((key.to_owned(), value));
    }
    Ok((found, warnings))
}

/// The key at the beginning of `assignment`, which begins at `at`, and where its value begins.
fn key<'a>(source: &Source, at: usize, assignment: &'a str) -> Result<(&'a str, usize), ConfigError> {
    let refused = |place: usize, message: &str| {
        source.error(place, message).with_hint("write `KEY=VALUE`, or begin the line with `#` for a comment")
    };
    let Some(equals) = assignment.find('=') else {
        return Err(refused(at, "expected `KEY=VALUE`, found no `=`"));
    };
    let (left, right) = assignment.split_at(equals);
    let key = left.strip_prefix("export ").unwrap_or(left).trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if key.is_empty() || !key.chars().all(allowed) {
        // The text left of the sign is not shown: it may be the tail of a secret whose quotation mark is missing.
        return Err(refused(at, "expected a name of letters, digits, `_`, `.` and `-` before `=`"));
    }
    let value = right.get(1..).unwrap_or_default();
    let indent = value.len() - value.trim_start().len();
    Ok((key, at + equals + 1 + indent))
}

/// The length of the text before the closing quote, which a backslash escapes.
fn closing(inside: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    inside.char_indices().find_map(|(index, c)| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(index)
    })
}

/// The length of the first line with its end.
fn line_length(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |newline| newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { file: ".dev.vars".into(), text: text.to_owned() }
    }

    fn values(text: &str) -> Vec<(String, String)> {
        let (pairs, _) = parse(&source(text)).unwrap();
        pairs.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    fn value(text: &str) -> String {
        let all = values(text);
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].1.clone()
    }

    fn refused(text: &str) -> String {
        let error = parse(&source(text)).unwrap_err();
        format!("{error} | {}", error.hint().unwrap())
    }

    #[test]
    fn values_are_read_as_dotenv_reads_them() {
        assert_eq!(value("A=b"), "b");
        assert_eq!(value("A="), "");
        assert_eq!(value("A=\nB=c".split('\n').next().unwrap()), "");
        assert_eq!(value("  export A = some text  # why\r\n"), "some text");
        assert_eq!(value("A=\"b # c\" # d"), "b # c");
        assert_eq!(value("A='b \\n \"c\"'"), "b \\n \"c\"");
        assert_eq!(value("A=`it's \"so\"`"), "it's \"so\"");
        assert_eq!(value("A=\"one\\ntwo\""), "one\ntwo");
        assert_eq!(
            value("KEY=\"-----BEGIN-----\r\nabc=\r\n-----END-----\"\r\n"),
            "-----BEGIN-----\nabc=\n-----END-----"
        );
        assert_eq!(value("URL=postgres://user:p=w@host/db"), "postgres://user:p=w@host/db");
        assert_eq!(value("A=1\nA=2"), "2");
    }

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let all = values("\n# one\nA=1\n\n   # two\nB=\nC=\"x\n# not a comment\"\n");
        let expected = [("A", "1"), ("B", ""), ("C", "x\n# not a comment")];
        assert_eq!(all, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_value_cut_by_a_comment_is_pointed_out() {
        let (pairs, warnings) = parse(&source("A=1\nPASSWORD=abc#def")).unwrap();
        assert_eq!(pairs[1].1, "abc");
        insta::assert_snapshot!(warnings.join("\n"), @".dev.vars:2:13: the value of `PASSWORD` ends before `#`; quote the value if `#` belongs to it");
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_shows_no_value() {
        insta::assert_snapshot!(refused("A=1\nnonsense"), @".dev.vars:2:1: expected `KEY=VALUE`, found no `=` | write `KEY=VALUE`, or begin the line with `#` for a comment");
        insta::assert_snapshot!(refused("A B=secret"), @".dev.vars:1:1: expected a name of letters, digits, `_`, `.` and `-` before `=` | write `KEY=VALUE`, or begin the line with `#` for a comment");
        insta::assert_snapshot!(refused("A=\"secret"), @r#".dev.vars:1:3: the value of `A` has no closing " | end the value with ""#);
        insta::assert_snapshot!(refused("A=\"secret\" more"), @r#".dev.vars:1:11: there is text after the quoted value of `A` | put all of the value inside the quotation marks"#);
    }
}
