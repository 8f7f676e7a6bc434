//! Environment markers: on which platforms a package is needed.
//!
//! Lock files for all platforms carry them. Of those, what our platform needs and has no build for must not be passed over.

use super::Target;

/// Whether a marker is true for the target. One that cannot be understood is not.
pub(super) fn applies(marker: &str, target: &Target) -> bool {
    let mut parser = Parser { rest: marker, target };
    parser.any().is_some_and(|value| value && parser.rest.trim().is_empty())
}

struct Parser<'a> {
    rest: &'a str,
    target: &'a Target,
}

/// A side of a comparison.
enum Operand {
    Text(String),
    Version(String),
    /// A variable of no known value.
    Unknown,
}

/// The longer ones first where one begins with another.
const OPERATORS: &[&str] = &["===", "==", "!=", "<=", ">=", "~=", "<", ">", "not in", "in"];

impl Parser<'_> {
    fn any(&mut self) -> Option<bool> {
        let mut value = self.all()?;
        while self.takes_word("or") {
            // Both sides are read, whatever the first says.
            value |= self.all()?;
        }
        Some(value)
    }

    fn all(&mut self) -> Option<bool> {
        let mut value = self.one()?;
        while self.takes_word("and") {
            value &= self.one()?;
        }
        Some(value)
    }

    fn one(&mut self) -> Option<bool> {
        if self.takes("(") {
            let value = self.any()?;
            return self.takes(")").then_some(value);
        }
        let left = self.operand()?;
        let operator = OPERATORS.iter().find(|operator| self.takes(operator))?;
        let right = self.operand()?;
        Some(compare(&left, operator, &right))
    }

    fn operand(&mut self) -> Option<Operand> {
        let rest = self.rest.trim_start();
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let (text, rest) = rest.get(1..)?.split_once(quote)?;
            self.rest = rest;
            return Some(Operand::Text(text.to_owned()));
        }
        let end =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| self.variable(name))
    }

    fn variable(&self, name: &str) -> Operand {
        let text = match name {
            "python_version" => return Operand::Version(self.target.python_minor().to_owned()),
            "python_full_version" | "implementation_version" => {
                return Operand::Version(self.target.python.clone());
            }
            "sys_platform" => "emscripten",
            "platform_system" => "Emscripten",
            "platform_machine" => "wasm32",
            "os_name" => "posix",
            "implementation_name" => "cpython",
            "platform_python_implementation" => "CPython",
            "extra" => "",
            _ => return Operand::Unknown,
        };
        Operand::Text(text.to_owned())
    }

    fn takes(&mut self, text: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A word that ends there.
    fn takes_word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(word);
        let rest = rest.filter(|rest| rest.starts_with([' ', '(', '\t']));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn compare(left: &Operand, operator: &str, right: &Operand) -> bool {
    let (Operand::Text(a) | Operand::Version(a), Operand::Text(b) | Operand::Version(b)) = (left, right)
    else {
        return false;
    };
    let are_versions = matches!((left, right), (Operand::Version(_), _) | (_, Operand::Version(_)));
    match operator {
        "in" => b.contains(a.as_str()),
        "not in" => !b.contains(a.as_str()),
        "==" if are_versions && b.ends_with(".*") => is_series(a, b),
        "!=" if are_versions && b.ends_with(".*") => !is_series(a, b),
        "===" => a == b,
        "~=" => numbers(a) >= numbers(b) && is_series(a, b.rsplit_once('.').map_or(b, |(series, _)| series)),
        _ => {
            let order = if are_versions { numbers(a).cmp(&numbers(b)) } else { a.cmp(b) };
            match operator {
                "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }
        }
    }
}

fn is_series(version: &str, series: &str) -> bool {
    numbers(version).starts_with(&numbers(series.trim_end_matches(".*")))
}

/// The numbers of a release, without zeros at its end.
fn numbers(version: &str) -> Vec<u64> {
    let number = |part: &str| part.trim().parse::<u64>().unwrap_or(0);
    let mut all: Vec<u64> = version.split('.').map(number).collect();
    while all.last() == Some(&0) {
        all.pop();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_say_what_our_platform_needs() {
        let target = Target { python: "3.14.2".into(), platform: "pyemscripten_2026_0_wasm32".into() };
        for marker in [
            "platform_python_implementation != 'PyPy'",
            "sys_platform == \"emscripten\"",
            "python_version >= '3.9' and python_full_version < '3.15'",
            "sys_platform == 'win32' or (python_version > '3.10' and os_name != 'nt')",
            "python_version == '3.*'",
            "python_full_version ~= '3.14.1'",
            "'wasm' in platform_machine",
            "sys_platform not in 'win32 darwin'",
        ] {
            assert!(applies(marker, &target), "{marker}");
        }
        for marker in [
            "sys_platform != 'emscripten'",
            "python_version < '3.14'",
            "python_full_version < '3.14.2'",
            "extra == 'speedups'",
            "platform_release == '5'",
            "sys_platform == 'win32' and (os_name == 'nt'",
            "os_name == 'posix' nonsense",
            "python_version",
            "",
            "((((",
        ] {
            assert!(!applies(marker, &target), "{marker}");
        }
    }
}
