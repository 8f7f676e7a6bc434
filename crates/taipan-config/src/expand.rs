//! `$NAME` and `${NAME}` in the values of `.env` files, as dotenv-expand has them, which wrangler uses.
//!
//! A name stands for a value that came before it. `${NAME:-text}` and `${NAME-text}` are the text where there is none, `${NAME:+text}` and
//! `${NAME+text}` where there is one; the text may have names in it. `\$` is a dollar sign. It does not matter how a value was quoted.

use std::collections::HashMap;

/// A value is no longer than this: names that double each other grow fast.
const LONGEST: usize = 64 << 10;

/// What is put in for names is looked through again, so often at most.
const MOST_STEPS: usize = 1000;

/// A value without names in it, and those names that stand for nothing. None: it would become too long.
pub(crate) fn expand(value: &str, known: &HashMap<String, String>) -> Option<(String, Vec<String>)> {
    let (mut text, mut missing) = (value.to_owned(), Vec::new());
    // A value that leads back to itself ends with nothing.
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..MOST_STEPS {
        let Some(found) = find(&text) else { return Some((text.replace("\\$", "$"), missing)) };
        let (name, default, is_alternative) = split(found.expression);
        let value = known.get(name).filter(|value| !value.is_empty());
        let put = match (value, default) {
            (Some(_), Some(text)) if is_alternative => text.to_owned(),
            (None, Some(_)) if is_alternative => String::new(),
            (Some(value), _) if !seen.contains(value) && *value != text => value.clone(),
            (_, Some(text)) => text.to_owned(),
            (_, None) => {
                missing.push(name.to_owned());
                String::new()
            }
        };
        let next = format!("{}{put}{}", found.before, found.after);
        if next.len() > LONGEST {
            return None;
        }
        seen.push(std::mem::replace(&mut text, next));
    }
    None
}

/// A name in a text.
struct Found<'a> {
    before: &'a str,
    /// What is between the braces, or the name.
    expression: &'a str,
    after: &'a str,
}

/// The first name that has no other one in it.
fn find(text: &str) -> Option<Found<'_>> {
    for (at, _) in text.match_indices('$') {
        let (before, rest) = (text.get(..at)?, text.get(at + 1..)?);
        if before.ends_with('\\') {
            continue;
        }
        if let Some(inside) = rest.strip_prefix('{') {
            let end = inside.find(['{', '}']).filter(|end| *end > 0);
            let end = end.filter(|end| inside.get(*end..).is_some_and(|end| end.starts_with('}')));
            if let Some(end) = end {
                return Some(Found { before, expression: inside.get(..end)?, after: inside.get(end + 1..)? });
            }
            continue;
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !allowed(c)).unwrap_or(rest.len());
        if end > 0 && !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(Found { before, expression: rest.get(..end)?, after: rest.get(end..)? });
        }
    }
    None
}

/// The name, the text beside it, and whether that is for when there is a value.
fn split(expression: &str) -> (&str, Option<&str>, bool) {
    let Some(at) = expression.find(['-', '+']) else { return (expression, None, false) };
    let (name, rest) = expression.split_at(at);
    let is_alternative = rest.starts_with('+');
    (name.strip_suffix(':').unwrap_or(name), rest.get(1..), is_alternative)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(value: &str) -> String {
        let known = [("A", "one"), ("B_2", "two"), ("EMPTY", ""), ("SELF", "$SELF x"), ("DOLLAR", "$A")];
        let known = known.map(|(name, value)| (name.to_owned(), value.to_owned()));
        expand(value, &known.into()).map_or_else(|| "too long".to_owned(), |(text, _)| text)
    }

    #[test]
    fn names_stand_for_what_came_before() {
        for (value, expected) in [
            ("plain", "plain"),
            ("$A", "one"),
            ("${A}", "one"),
            ("<$A-$B_2>", "<one-two>"),
            ("$Ax ${A}x", " onex"),
            ("\\$A and \\${A}", "$A and ${A}"),
            ("$NO|${NO}", "|"),
            ("${NO:-text} ${NO-other}", "text other"),
            ("${A:-text} ${EMPTY:-text}", "one text"),
            ("${NO:-${A}}", "one"),
            ("${NO:-${NEITHER:-last}}", "last"),
            ("${A:+there} ${NO:+there}", "there "),
            ("${A+there}|${NO+there}", "there|"),
            // As dotenv-expand does it: what was put in is looked through, too.
            ("$DOLLAR", "one"),
            ("$1 $ ${} ${A", "$1 $ ${} ${A"),
            ("${NO:-http://localhost:80/?a-b}", "http://localhost:80/?a-b"),
        ] {
            assert_eq!(expanded(value), expected, "{value}");
        }
    }

    #[test]
    fn what_leads_to_itself_or_grows_ends() {
        assert_eq!(expanded("$SELF"), " x");
        let long = HashMap::from([("L".to_owned(), "x".repeat(40_000))]);
        assert!(expand("$L", &long).is_some() && expand("$L$L", &long).is_none());
        assert_eq!(expand("$NO ${A:-}", &HashMap::new()), Some((" ".to_owned(), vec!["NO".to_owned()])));
    }
}
