//! The page for terminals.

use crate::problem::Problem;

/// The traceback as Python prints it, and the hint.
pub(crate) fn text(problem: &Problem) -> String {
    let report = &problem.report;
    let mut out = match (report.text.trim_end(), report.class.as_str()) {
        ("", "") => format!("error: {}", report.message),
        ("", class) => format!("{class}: {}", report.message),
        (text, _) => text.to_owned(),
    };
    if let Some(hint) = &report.hint {
        out.push_str("\nhint: ");
        out.push_str(hint);
    }
    out.push('\n');
    out
}
