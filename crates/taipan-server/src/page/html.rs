//! The page for browsers: one self-contained document without scripts.

use std::fmt::{self, Write as _};

use taipan_engine::Source;

use crate::problem::{Frame, Problem, Report};
use crate::service::Target;

/// Lines of source shown above and below the one that failed.
const CONTEXT: usize = 3;

/// Longer messages are cut on the page; the log has them whole.
const LONGEST: usize = 20_000;

/// Exceptions of a cause chain that are shown.
const CAUSES: usize = 16;

/// Text that is safe in an element and in a quoted attribute.
struct Safe<'a>(&'a str);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

pub(crate) fn html(problem: &Problem, target: &Target, sources: &[Source]) -> String {
    let mut out = String::new();
    match page(&mut out, problem, target, sources) {
        // Writing to a string cannot fail.
        Ok(()) | Err(fmt::Error) => out,
    }
}

fn page(out: &mut String, problem: &Problem, target: &Target, sources: &[Source]) -> fmt::Result {
    let report = &problem.report;
    let short = report.message.lines().next().unwrap_or_default();
    let separator = if report.class.is_empty() || short.is_empty() { "" } else { ": " };
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}{separator}{}</title>\n\
         <style>{}</style>\n</head>\n<body>\n<main>\n<header>\n<p class=\"title\">{}</p>\n",
        Safe(&report.class),
        Safe(short),
        include_str!("style.css"),
        Safe(problem.title),
    )?;
    headline(out, report, "h1")?;
    write!(
        out,
        "<p class=\"request\"><b>{}</b> {}</p>\n</header>\n",
        Safe(target.method.as_str()),
        Safe(target.url.as_str()),
    )?;
    if let Some(hint) = &report.hint {
        writeln!(out, "<p class=\"hint\"><b>Hint</b> {}</p>", Safe(hint))?;
    }
    frames(out, &report.frames, sources)?;
    let mut cause = report.cause.as_deref();
    for _ in 0..CAUSES {
        let Some(report) = cause else { break };
        out.push_str("<section>\n<p class=\"title\">Caused by</p>\n");
        headline(out, report, "h2")?;
        frames(out, &report.frames, sources)?;
        out.push_str("</section>\n");
        cause = report.cause.as_deref();
    }
    if !report.text.is_empty() {
        writeln!(
            out,
            "<details class=\"raw\"><summary>Traceback as text</summary><pre>{}</pre></details>",
            Safe(clip(report.text.trim_end())),
        )?;
    }
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

fn headline(out: &mut String, report: &Report, tag: &str) -> fmt::Result {
    write!(out, "<{tag}>")?;
    if !report.class.is_empty() {
        write!(out, "<span class=\"class\">{}</span> ", Safe(&report.class))?;
    }
    writeln!(out, "<span class=\"message\">{}</span></{tag}>", Safe(clip(&report.message)))?;
    for note in &report.notes {
        writeln!(out, "<p class=\"note\">{}</p>", Safe(clip(note)))?;
    }
    Ok(())
}

fn clip(text: &str) -> &str {
    text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

fn frames(out: &mut String, frames: &[Frame], sources: &[Source]) -> fmt::Result {
    if frames.is_empty() {
        return Ok(());
    }
    let order = if frames.len() > 1 { "Most recent call first" } else { "" };
    write!(out, "<p class=\"order\">{order}</p>\n<ol>\n")?;
    for frame in frames.iter().rev() {
        let open = if frame.user { " open" } else { "" };
        let class = if frame.user { "user" } else { "library" };
        write!(
            out,
            "<li class=\"{class}\"><details{open}><summary><code>{}",
            Safe(display_path(&frame.file))
        )?;
        if let Some(line) = frame.line {
            write!(out, ":{line}")?;
        }
        out.push_str("</code>");
        if !frame.function.is_empty() {
            write!(out, " <span class=\"in\">in</span> <code>{}</code>", Safe(&frame.function))?;
        }
        out.push_str("</summary>\n");
        source(out, frame, sources)?;
        out.push_str("</details></li>\n");
    }
    out.push_str("</ol>\n");
    Ok(())
}

/// Where the sandbox mounts the Worker's files.
const MOUNT: &str = "/session/metadata/";

fn display_path(file: &str) -> &str {
    file.strip_prefix(MOUNT).unwrap_or(file)
}

fn source(out: &mut String, frame: &Frame, sources: &[Source]) -> fmt::Result {
    let path = display_path(&frame.file);
    let content = sources.iter().find(|s| s.path == path).and_then(|s| str::from_utf8(&s.content).ok());
    let at = frame.line.and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
    let Some(at) = at else { return Ok(()) };
    let lines: Vec<&str> = content.map(|c| c.lines().collect()).unwrap_or_default();
    out.push_str("<pre><code class=\"source\">");
    if lines.get(at).is_some() {
        let first = at.saturating_sub(CONTEXT);
        for (i, line) in lines.iter().enumerate().skip(first).take(at - first + CONTEXT + 1) {
            source_line(out, i, line, (i == at).then_some(frame))?;
        }
    } else if let Some(line) = &frame.source {
        source_line(out, at, line, Some(frame))?;
    }
    out.push_str("</code></pre>\n");
    Ok(())
}

/// One numbered line; `failed` marks it and the columns that its frame names.
fn source_line(out: &mut String, index: usize, line: &str, failed: Option<&Frame>) -> fmt::Result {
    let class = if failed.is_some() { "line failed" } else { "line" };
    write!(out, "<span class=\"{class}\"><i>{:>4}</i> ", index + 1)?;
    match failed.and_then(|frame| columns(line, frame)) {
        Some((before, marked, after)) => {
            write!(out, "{}<mark>{}</mark>{}", Safe(before), Safe(marked), Safe(after))?;
        }
        None => write!(out, "{}", Safe(line))?,
    }
    // The lines are blocks; a line break between them would be another line.
    out.push_str("</span>");
    Ok(())
}

/// The line before, in and behind the frame's columns; none when they do not lie in it.
fn columns<'a>(line: &'a str, frame: &Frame) -> Option<(&'a str, &'a str, &'a str)> {
    let byte = |column: u32| {
        line.char_indices().map(|(i, _)| i).chain([line.len()]).nth(usize::try_from(column).ok()?)
    };
    let start = byte(frame.column?)?;
    // An expression that ends on a later line is marked to the end of this one.
    let end = frame.end_column.and_then(byte).filter(|end| *end > start).unwrap_or(line.len());
    let (head, after) = line.split_at_checked(end)?;
    let (before, marked) = head.split_at_checked(start)?;
    (!marked.is_empty()).then_some((before, marked, after))
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use url::Url;

    use super::*;

    fn target() -> Target {
        Target { method: Method::GET, url: Url::parse("http://localhost/?q=<b>'\"").unwrap() }
    }

    fn render(report: Report, sources: &[Source]) -> String {
        let problem = Problem { title: "The handler failed", report, starting: false, stopping: false };
        html(&problem, &target(), sources)
    }

    fn sources() -> Vec<Source> {
        let text = "a = 1\nb = 2\nc = 3\nd = 4\nx = \"é\" + 1/0\nf = 6\ng = 7\nh = 8\ni = 9\n";
        vec![Source { path: "entry.py".into(), content: text.as_bytes().into() }]
    }

    fn frame() -> Frame {
        Frame {
            file: "/session/metadata/entry.py".into(),
            line: Some(5),
            column: Some(10),
            end_column: Some(13),
            function: "<module>".into(),
            user: true,
            ..Frame::default()
        }
    }

    #[test]
    fn everything_hostile_is_escaped() {
        let evil = "</title></pre><script>alert(1)</script><img src=x onerror='a' \"b\">&amp;";
        let frame = Frame {
            file: evil.into(),
            function: evil.into(),
            line: Some(1),
            column: Some(3),
            end_column: Some(9),
            source: Some(evil.into()),
            ..Frame::default()
        };
        let cause = Report { class: evil.into(), message: evil.into(), ..Report::default() };
        let page = render(
            Report {
                kind: evil.into(),
                class: evil.into(),
                message: evil.into(),
                text: evil.into(),
                notes: vec![evil.into()],
                hint: Some(evil.into()),
                frames: vec![frame],
                cause: Some(Box::new(cause)),
            },
            &[],
        );
        let without_ours = page.replace("</title>", "").replace("</pre>", "");
        assert!(!without_ours.contains("<script"), "{page}");
        assert!(!without_ours.contains("<img"), "{page}");
        assert_eq!(page.matches("</title>").count(), 1);
        assert!(page.contains("&amp;amp;"));
        assert!(page.contains("q=%3Cb%3E&#39;%22") || page.contains("q=%3Cb%3E%27%22"), "{page}");
    }

    #[test]
    fn the_failing_columns_are_marked_in_their_surroundings() {
        let page = render(Report { frames: vec![frame()], ..Report::default() }, &sources());
        assert!(page.contains("x = &quot;é&quot; + <mark>1/0</mark>"), "{page}");
        assert!(page.contains("entry.py:5"));
        assert!(page.contains("b = 2") && page.contains("h = 8"));
        assert!(!page.contains("a = 1") && !page.contains("i = 9"));
    }

    #[test]
    fn columns_that_are_not_there_mark_nothing() {
        for (column, end) in
            [(Some(99), Some(100)), (None, Some(3)), (Some(15), Some(15)), (Some(u32::MAX), None)]
        {
            let frame = Frame { column, end_column: end, line: Some(6), ..frame() };
            let page = render(Report { frames: vec![frame], ..Report::default() }, &sources());
            assert!(!page.contains("<mark>"), "{column:?}");
            assert!(page.contains("f = 6"));
        }
        for line in [None, Some(0), Some(77), Some(u32::MAX)] {
            let frame = Frame { line, ..frame() };
            assert!(
                !render(Report { frames: vec![frame], ..Report::default() }, &sources()).contains("<mark>")
            );
        }
    }

    #[test]
    fn own_frames_are_open_and_others_closed() {
        let library =
            Frame { file: "/lib/python3.14/json/__init__.py".into(), line: Some(3), ..Frame::default() };
        let page = render(Report { frames: vec![frame(), library], ..Report::default() }, &sources());
        assert_eq!(page.matches("<details open>").count(), 1);
        let (library, own) = (page.find("json/__init__").unwrap(), page.find("entry.py").unwrap());
        assert!(library < own, "most recent call first");
    }

    #[test]
    fn a_report_with_nothing_in_it() {
        let report: Report =
            serde_json::from_str(r#"{"type":null,"frames":null,"cause":null,"notes":null}"#).unwrap();
        assert!(render(report, &[]).contains("The handler failed"));
    }
}
