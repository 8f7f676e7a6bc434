//! What a project asks for: `[project.dependencies]` of `pyproject.toml`, or `requirements.txt`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs_err as fs;
use toml_edit::{Array, DocumentMut, Formatted, Item, Table, Value};

use super::PackageError;
use super::tags::canonical;

const PYPROJECT: &str = "pyproject.toml";
const REQUIREMENTS: &str = "requirements.txt";

/// The name of the package in a requirement, in its canonical form.
pub fn requirement_name(requirement: &str) -> Option<String> {
    let text = requirement.trim();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let ends = name.ends_with(|c: char| c.is_ascii_alphanumeric());
    let follows = rest.is_empty() || rest.starts_with(['[', '<', '>', '=', '!', '~', ';', '@', '(', ',']);
    (begins && ends && follows).then(|| canonical(name))
}

/// A project's requirements and where they are written.
#[derive(Clone, Debug)]
pub struct Manifest {
    path: PathBuf,
    form: Form,
    requirements: Vec<String>,
}

#[derive(Clone, Debug)]
enum Form {
    Pyproject(Box<DocumentMut>),
    Requirements(String),
}

impl Manifest {
    /// The requirements of the project in `folder`; `None` when it has neither of the files.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(folder: &Path) -> Result<Option<Self>, PackageError> {
        if let Some(found) = Self::read_pyproject(folder)? {
            return Ok(Some(found));
        }
        let path = folder.join(REQUIREMENTS);
        let Some(text) = read(&path)? else { return Ok(None) };
        let requirements = text.lines().filter_map(requirement_line).map(str::to_owned).collect();
        Ok(Some(Self { path, form: Form::Requirements(text), requirements }))
    }

    fn read_pyproject(folder: &Path) -> Result<Option<Self>, PackageError> {
        let path = folder.join(PYPROJECT);
        let Some(text) = read(&path)? else { return Ok(None) };
        let wrong = |reason: String| PackageError::Manifest { path: path.clone(), reason };
        let document: DocumentMut =
            text.parse().map_err(|e: toml_edit::TomlError| wrong(e.message().to_owned()))?;
        let Some(project) = document.get("project") else { return Ok(None) };
        let mut requirements = vec![];
        if let Some(list) = project.get("dependencies") {
            let list = list.as_array().ok_or_else(|| wrong("project.dependencies is not a list".into()))?;
            for item in list {
                let text = item.as_str().filter(|text| requirement_name(text).is_some());
                let text =
                    text.ok_or_else(|| wrong(format!("not a requirement: {}", item.to_string().trim())))?;
                requirements.push(text.to_owned());
            }
        }
        Ok(Some(Self { path: path.clone(), form: Form::Pyproject(Box::new(document)), requirements }))
    }

    /// A `pyproject.toml` for the project `name` in `folder`, not written yet.
    pub fn new(folder: &Path, name: &str, python: &str) -> Self {
        let mut project = Table::new();
        project.insert("name", name.into());
        project.insert("version", "0.1.0".into());
        project.insert("requires-python", format!(">={python}").into());
        project.insert("dependencies", Array::new().into());
        let mut document = DocumentMut::new();
        document.insert("project", Item::Table(project));
        let path = folder.join(PYPROJECT);
        Self { path, form: Form::Pyproject(Box::new(document)), requirements: vec![] }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The requirements, as they are written. In a `requirements.txt`, options of its are among them.
    pub fn requirements(&self) -> &[String] {
        &self.requirements
    }

    /// The names of the packages that are asked for.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.requirements.iter().filter_map(|requirement| requirement_name(requirement))
    }

    /// Adds a requirement, in place of one of the same name if there is one.
    ///
    /// # Errors
    /// When it is no requirement.
    pub fn add(&mut self, requirement: &str) -> Result<(), PackageError> {
        let wrong = || PackageError::NotARequirement { text: requirement.to_owned() };
        let name = requirement_name(requirement).ok_or_else(wrong)?;
        let place = self.names_with_places().find(|(known, _)| *known == name).map(|(_, place)| place);
        match place.and_then(|place| self.requirements.get_mut(place)) {
            Some(known) => {
                let old = std::mem::replace(known, requirement.to_owned());
                self.rewrite(Some(&old), Some(requirement));
            }
            None => {
                self.requirements.push(requirement.to_owned());
                self.rewrite(None, Some(requirement));
            }
        }
        Ok(())
    }

    /// Removes the requirement for a package.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&mut self, package: &str) -> Result<(), PackageError> {
        let name = canonical(package);
        let place = self.names_with_places().find(|(known, _)| *known == name).map(|(_, place)| place);
        let missing = || PackageError::NotDeclared { path: self.path.clone(), name: package.to_owned() };
        let old = self.requirements.remove(place.ok_or_else(missing)?);
        self.rewrite(Some(&old), None);
        Ok(())
    }

    fn names_with_places(&self) -> impl Iterator<Item = (String, usize)> + '_ {
        let requirements = self.requirements.iter().enumerate();
        requirements.filter_map(|(place, requirement)| Some((requirement_name(requirement)?, place)))
    }

    /// Replaces, removes or appends a requirement in the text, and leaves the rest as it is.
    fn rewrite(&mut self, old: Option<&str>, new: Option<&str>) {
        match &mut self.form {
            Form::Requirements(text) => {
                let mut lines: Vec<&str> = text.lines().collect();
                let place = lines.iter().position(|line| old.is_some() && requirement_line(line) == old);
                match (place, new) {
                    (Some(place), Some(new)) => lines.splice(place..=place, [new]).for_each(drop),
                    (Some(place), None) => drop(lines.remove(place)),
                    (None, Some(new)) => lines.push(new),
                    (None, None) => {}
                }
                *text = lines.join("\n") + if lines.is_empty() { "" } else { "\n" };
            }
            Form::Pyproject(document) => {
                let Some(project) = document.get_mut("project") else { return };
                let Some(table) = project.as_table_like_mut() else { return };
                let list = table.entry("dependencies").or_insert(Array::new().into());
                let Some(list) = list.as_array_mut() else { return };
                let place = list.iter().position(|item| old.is_some() && item.as_str() == old);
                match (place, new) {
                    (Some(place), Some(new)) => drop(list.replace(place, new)),
                    (Some(place), None) => drop(list.remove(place)),
                    (None, Some(new)) => list.push_formatted(Value::String(Formatted::new(new.to_owned()))),
                    (None, None) => {}
                }
                one_a_line(list);
            }
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<(), PackageError> {
        let text = match &self.form {
            Form::Pyproject(document) => document.to_string(),
            Form::Requirements(text) => text.clone(),
        };
        replace(&self.path, text.as_bytes())
    }
}

/// Each entry on a line of its own, as people keep such lists; comments between them stay.
fn one_a_line(list: &mut Array) {
    for item in list.iter_mut() {
        let keeps =
            item.decor().prefix().and_then(|raw| raw.as_str()).is_some_and(|text| text.contains('\n'));
        if !keeps {
            item.decor_mut().set_prefix("\n    ");
            item.decor_mut().set_suffix("");
        }
    }
    list.set_trailing_comma(!list.is_empty());
    list.set_trailing(if list.is_empty() { "" } else { "\n" });
}

/// What a line of a `requirements.txt` says, without its comment.
fn requirement_line(line: &str) -> Option<&str> {
    let line = line.trim();
    // A `#` within a word is part of an address.
    let end = if line.starts_with('#') { 0 } else { line.find(" #").unwrap_or(line.len()) };
    line.get(..end).map(str::trim).filter(|line| !line.is_empty())
}

fn read(path: &Path) -> Result<Option<String>, PackageError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PackageError::Io { path: path.to_owned(), source }),
    }
}

/// Writes a file whole or not at all.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), PackageError> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let new = path.with_extension(format!("{}.{extension}", std::process::id()));
    fs::write(&new, content).map_err(PackageError::io(&new))?;
    fs::rename(&new, path).map_err(PackageError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_requirements() {
        for (text, name) in [
            ("Flask", Some("flask")),
            ("typing_extensions >= 4", Some("typing-extensions")),
            ("fastapi[standard]==0.1 ; python_version > '3'", Some("fastapi")),
            ("x @ file:///a", Some("x")),
            ("-r other.txt", None),
            ("--index-url x", None),
            ("", None),
            ("a b", None),
            ("https://example.invalid/a.whl", None),
        ] {
            assert_eq!(requirement_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn pyproject_is_edited_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pyproject.toml");
        let text = "# mine\n[project]\nname = \"w\" # the name\ndependencies = [\n    # web\n    \"flask\",\n]\n\n[tool.x]\ny = 1\n";
        fs::write(&path, text).unwrap();
        let mut manifest = Manifest::read(folder.path()).unwrap().unwrap();
        assert_eq!(manifest.requirements(), ["flask"]);
        manifest.add("httpx>=0.28").unwrap();
        manifest.add("Flask>=3").unwrap();
        assert!(matches!(manifest.add("not one"), Err(PackageError::NotARequirement { .. })));
        manifest.write().unwrap();
        let text = text.replace("\"flask\",\n", "\"Flask>=3\",\n    \"httpx>=0.28\",\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        manifest.remove("FLASK").unwrap();
        manifest.remove("httpx").unwrap();
        assert!(matches!(manifest.remove("httpx"), Err(PackageError::NotDeclared { .. })));
        manifest.write().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap().unwrap().requirements(), [""; 0]);
    }

    #[test]
    fn a_new_pyproject() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Manifest::read(folder.path()).unwrap().is_none());
        let mut manifest = Manifest::new(folder.path(), "w", "3.14");
        manifest.add("jinja2").unwrap();
        manifest.write().unwrap();
        let text = fs::read_to_string(folder.path().join("pyproject.toml")).unwrap();
        assert_eq!(
            text,
            "[project]\nname = \"w\"\nversion = \"0.1.0\"\nrequires-python = \">=3.14\"\ndependencies = [\n    \"jinja2\",\n]\n"
        );
    }

    #[test]
    fn requirements_are_edited_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requirements.txt");
        fs::write(&path, "# web\nflask  # it\n-r more.txt\n").unwrap();
        let mut manifest = Manifest::read(folder.path()).unwrap().unwrap();
        assert_eq!(manifest.requirements(), ["flask", "-r more.txt"]);
        assert_eq!(manifest.names().collect::<Vec<_>>(), ["flask"]);
        manifest.add("httpx").unwrap();
        manifest.add("flask>=3").unwrap();
        manifest.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# web\nflask>=3\n-r more.txt\nhttpx\n");
    }

    #[test]
    fn what_is_no_list_of_requirements_is_said() {
        let folder = tempfile::tempdir().unwrap();
        for (text, reason) in [
            ("[project]\ndependencies = 'x'\n", "not a list"),
            ("[project]\ndependencies = [1]\n", "not a requirement: 1"),
            ("[project\n", "table"),
        ] {
            fs::write(folder.path().join("pyproject.toml"), text).unwrap();
            let error = Manifest::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
