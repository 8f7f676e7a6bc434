//! Which file a path is: `.html` and slashes at the end.

use taipan_config::HtmlHandling;

/// What a path leads to. Files are paths with `/` at the beginning, within the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// This file.
    File(String),
    /// Another path, which leads to a file.
    Redirect(String),
}

/// Finds the file of a path that has been decoded; `exists` says whether there is a file.
pub(super) fn intent(handling: HtmlHandling, path: &str, exists: &dyn Fn(&str) -> bool) -> Option<Intent> {
    let finder = Finder { handling, exists };
    finder.find(path, true)
}

struct Finder<'a> {
    handling: HtmlHandling,
    exists: &'a dyn Fn(&str) -> bool,
}

impl Finder<'_> {
    fn find(&self, path: &str, redirects: bool) -> Option<Intent> {
        let exact = || self.file(path.to_owned());
        if self.handling == HtmlHandling::None {
            return exact();
        }
        let redirect = |file: String, to: String| if redirects { self.redirect(&file, to) } else { None };
        // The page whose path this is, without whatever may follow: "/foo" of "/foo/", "/foo.html" and "/foo/index.html".
        let of_index = path.strip_suffix("/index.html").or_else(|| path.strip_suffix("/index"));
        let stem = of_index
            .or_else(|| path.strip_suffix(".html"))
            .or_else(|| path.strip_suffix('/'))
            .unwrap_or(path);
        let (page, index) = (format!("{stem}.html"), format!("{stem}/index.html"));
        let (bare, slashed) = (stem.to_owned(), format!("{stem}/"));
        let root = |text: String| if text.is_empty() { "/".to_owned() } else { text };
        let is_named = of_index.is_some() || path.ends_with(".html");
        if path.ends_with('/') {
            return match self.handling {
                HtmlHandling::AutoTrailingSlash => self.file(index).or_else(|| redirect(page, bare)),
                HtmlHandling::ForceTrailingSlash => self.file(index).or_else(|| self.file(page)),
                _ if stem.is_empty() => self.file(index),
                _ => redirect(page, bare.clone()).or_else(|| redirect(index, bare)),
            };
        }
        if is_named {
            // Files that are no pages may have such names, too.
            if !path.ends_with(".html")
                && let Some(file) = exact()
            {
                return Some(file);
            }
            let (to_page, to_index) = match self.handling {
                HtmlHandling::AutoTrailingSlash => (bare, slashed),
                HtmlHandling::ForceTrailingSlash => (slashed.clone(), slashed),
                _ => (root(bare.clone()), root(bare)),
            };
            let (first, second) = if of_index.is_some() {
                ((index, to_index), (page, to_page))
            } else {
                ((page, to_page), (index, to_index))
            };
            return redirect(first.0, first.1).or_else(exact).or_else(|| redirect(second.0, second.1));
        }
        exact().or_else(|| match self.handling {
            HtmlHandling::AutoTrailingSlash => self.file(page).or_else(|| redirect(index, slashed)),
            HtmlHandling::ForceTrailingSlash => {
                redirect(page, slashed.clone()).or_else(|| redirect(index, slashed))
            }
            _ => self.file(page).or_else(|| self.file(index)),
        })
    }

    fn file(&self, path: String) -> Option<Intent> {
        (self.exists)(&path).then_some(Intent::File(path))
    }

    /// Leads there, unless another file would be found there.
    fn redirect(&self, file: &str, to: String) -> Option<Intent> {
        let is_there = (self.exists)(file) && self.find(&to, false) == Some(Intent::File(file.to_owned()));
        is_there.then_some(Intent::Redirect(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(handling: HtmlHandling, path: &str) -> String {
        const FILES: &[&str] = &[
            "/index.html",
            "/foo.html",
            "/bar/index.html",
            "/both.html",
            "/both/index.html",
            "/a.txt",
            "/bin",
        ];
        match intent(handling, path, &|file| FILES.contains(&file)) {
            Some(Intent::File(file)) => file,
            Some(Intent::Redirect(to)) => format!("to {to}"),
            None => String::new(),
        }
    }

    #[test]
    fn pages_are_found_as_the_configuration_says() {
        use HtmlHandling::{
            AutoTrailingSlash as Auto, DropTrailingSlash as Drop, ForceTrailingSlash as Force,
        };
        for (path, auto, force, drop, none) in [
            ("/", "/index.html", "/index.html", "/index.html", ""),
            ("/index", "to /", "to /", "to /", ""),
            ("/index.html", "to /", "to /", "to /", "/index.html"),
            ("/foo", "/foo.html", "to /foo/", "/foo.html", ""),
            ("/foo/", "to /foo", "/foo.html", "to /foo", ""),
            ("/foo.html", "to /foo", "to /foo/", "to /foo", "/foo.html"),
            ("/foo/index", "to /foo", "to /foo/", "to /foo", ""),
            ("/foo/index.html", "to /foo", "to /foo/", "to /foo", ""),
            ("/bar", "to /bar/", "to /bar/", "/bar/index.html", ""),
            ("/bar/", "/bar/index.html", "/bar/index.html", "to /bar", ""),
            ("/bar.html", "to /bar/", "to /bar/", "to /bar", ""),
            ("/bar/index.html", "to /bar/", "to /bar/", "to /bar", "/bar/index.html"),
            ("/both", "/both.html", "to /both/", "/both.html", ""),
            ("/both/", "/both/index.html", "/both/index.html", "to /both", ""),
            ("/both.html", "to /both", "/both.html", "to /both", "/both.html"),
            ("/both/index.html", "to /both/", "to /both/", "/both/index.html", "/both/index.html"),
            ("/a.txt", "/a.txt", "/a.txt", "/a.txt", "/a.txt"),
            ("/bin", "/bin", "/bin", "/bin", "/bin"),
            ("/bin/", "", "", "", ""),
            ("/none", "", "", "", ""),
        ] {
            assert_eq!(found(Auto, path), auto, "auto {path}");
            assert_eq!(found(Force, path), force, "force {path}");
            assert_eq!(found(Drop, path), drop, "drop {path}");
            assert_eq!(found(HtmlHandling::None, path), none, "none {path}");
        }
    }
}
