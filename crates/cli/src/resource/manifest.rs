//! Manifests: files, folders and standard input, with one or more objects each.

use std::path::{Path, PathBuf};

use serde_json::Value;
use stead_kernel::{Error, Result};

use super::object;
use crate::{
    json::{at, text_at},
    yaml::{self, Fault},
};

/// The largest manifest that is read, in bytes.
const LARGEST: u64 = 64 << 20;
/// How files in a folder must end to be read.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// The file's name.
    pub(crate) source: String,
    /// Which of the file's documents, from 1.
    pub(crate) index: usize,
    /// The line where it begins, from 1.
    pub(crate) line: u64,
    /// The object.
    pub(crate) value: Value,
}

impl Document {
    pub(crate) fn api_version(&self) -> &str {
        text_at(&self.value, "/apiVersion")
    }

    pub(crate) fn kind(&self) -> &str {
        text_at(&self.value, "/kind")
    }

    pub(crate) fn name(&self) -> &str {
        object::name(&self.value)
    }

    /// Where it stands: `providers.yaml, document 2 (line 14)`.
    pub(crate) fn place(&self) -> String {
        format!("{}, document {} (line {})", self.source, self.index, self.line)
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str| Error::invalid(format!("{}: {what}", self.place()));
        if !self.value.is_object() {
            return Err(
                wrong("this is no object").hint("an object begins with apiVersion, kind and metadata")
            );
        }
        for (field, text) in [("apiVersion", self.api_version()), ("kind", self.kind())] {
            if text.is_empty() {
                return Err(wrong(&format!("{field} is missing or no text")));
            }
        }
        if self.name().is_empty() {
            return Err(wrong("metadata.name is missing or no text").hint(
                "applying the same file twice must mean the same object, so generateName does not do",
            ));
        }
        if at(&self.value, "/metadata")
            .get("namespace")
            .is_some_and(|project| !project.is_string())
        {
            return Err(wrong("metadata.namespace is no text"));
        }
        Ok(())
    }
}

/// Reads the named files and the manifests of the named folders, in order of their names. Blocks.
///
/// # Errors
/// `NotFound` for what is not there; `Invalid` for what is no text, and for a folder without manifests.
pub(crate) fn collect(paths: &[String], recursive: bool) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in paths {
        if path.starts_with("http://") || path.starts_with("https://") {
            return Err(Error::unsupported(format!("{path}: manifests are not fetched"))
                .hint(format!("curl -fsSL {path} | stead apply -f -")));
        }
        let mut files = Vec::new();
        find(Path::new(path), recursive, true, &mut files)?;
        if files.is_empty() {
            return Err(
                Error::invalid(format!("{path} holds no manifest (*.yaml, *.yml, *.json)"))
                    .hint("folders below are read with --recursive"),
            );
        }
        for file in files {
            texts.push((file.display().to_string(), read(&file)?));
        }
    }
    Ok(texts)
}

fn find(path: &Path, recursive: bool, named: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !metadata.is_dir() {
        let ending = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        if named || ENDINGS.contains(&ending) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    if !named && !recursive {
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, error))?;
    let mut inside = Vec::new();
    for entry in entries {
        inside.push(entry.map_err(|error| unreadable(path, error))?.path());
    }
    inside.sort();
    for entry in inside {
        // A link may lead back up; what is meant can be named.
        if !entry.is_symlink() || entry.is_file() {
            find(&entry, recursive, false, files)?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    let opened = std::fs::File::open(file).map_err(|error| unreadable(file, error))?;
    let mut bytes = Vec::new();
    let mut limited = std::io::Read::take(opened, LARGEST + 1);
    std::io::Read::read_to_end(&mut limited, &mut bytes).map_err(|error| unreadable(file, error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::too_large(format!(
            "{} is larger than {} MiB",
            file.display(),
            LARGEST >> 20
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error
            .as_bytes()
            .iter()
            .take(error.utf8_error().valid_up_to())
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        Error::invalid(format!("{}:{line}: this is no UTF-8 text", file.display()))
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let text = format!("{} cannot be read", path.display());
    let known = match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(text),
        std::io::ErrorKind::PermissionDenied => Error::forbidden(text),
        _ => Error::invalid(text),
    };
    known.because(error)
}

/// The objects of one manifest; the items of lists count as objects of their own.
///
/// # Errors
/// `Invalid` with file, line and column of what is no YAML or JSON, or no object.
pub(crate) fn expand(source: &str, text: &str) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for (line, chunk) in split(text) {
        let index = documents.len() + 1;
        let value = yaml::parse(&chunk).map_err(|fault| malformed(source, line, &fault))?;
        if !value.is_null() {
            documents.push(Document {
                source: source.to_owned(),
                index,
                line,
                value,
            });
        }
    }
    let mut objects = Vec::new();
    for document in documents {
        unfold(document, &mut objects)?;
    }
    Ok(objects)
}

fn malformed(source: &str, first: u64, fault: &Fault) -> Error {
    let error = Error::invalid(format!(
        "{source}:{}:{}: {}",
        first + fault.line - 1,
        fault.column,
        fault.message
    ));
    if fault.message.contains("tab") {
        return error.hint("YAML is indented with spaces");
    }
    error
}

/// A list stands for its items.
fn unfold(document: Document, objects: &mut Vec<Document>) -> Result<()> {
    let is_list = document.kind().is_empty() || document.kind().ends_with("List");
    let Some(items) = document
        .value
        .get("items")
        .and_then(Value::as_array)
        .filter(|_| is_list)
    else {
        document.check()?;
        objects.push(document);
        return Ok(());
    };
    for item in items {
        let item = Document {
            value: item.clone(),
            ..document.clone()
        };
        item.check()?;
        objects.push(item);
    }
    Ok(())
}

/// Cuts a stream of YAML documents at its markers, which stand at the beginning of a line and nowhere else
/// (YAML 1.2.2, section 9.1): each with the line where it begins. Documents without content are left out.
fn split(text: &str) -> Vec<(u64, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks: Vec<(u64, String)> = vec![(1, String::new())];
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let marker = ["---", "..."].into_iter().find(|marker| is_marker(line, marker));
        if let Some(marker) = marker {
            // Spaces instead of the marker keep the columns of what follows it.
            chunks.push((number, line.replacen(marker, "   ", 1)));
        } else if let Some((_, chunk)) = chunks.last_mut() {
            chunk.push_str(line);
        }
    }
    chunks.retain(|(_, chunk)| chunk.lines().any(has_content));
    chunks
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['#', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: stead.dev/v1alpha1\nkind: Model\nmetadata: {name: a}\n";

    fn error(text: &str) -> String {
        expand("m.yaml", text).unwrap_err().full_message()
    }

    #[test]
    fn documents_keep_their_place() {
        let text = format!("# none here\n---\n{HEAD}---\n# empty\n---\n{HEAD}...\n--- # last\n{HEAD}");
        let documents = expand("m.yaml", &text).unwrap();
        let places: Vec<_> = documents
            .iter()
            .map(|document| (document.index, document.line))
            .collect();
        assert_eq!(places, [(1, 2), (2, 8), (3, 13)]);
        assert_eq!(documents[2].place(), "m.yaml, document 3 (line 13)");
    }

    #[test]
    fn a_marker_inside_a_text_block_is_text_unless_it_begins_the_line() {
        let text = format!("{HEAD}data:\n  script: |\n    ---\n    ...\n    end\n");
        let documents = expand("m.yaml", &text).unwrap();
        assert_eq!(documents[0].value["data"]["script"], "---\n...\nend\n");
    }

    #[test]
    fn bad_yaml_is_refused_with_line_and_column() {
        let cases = [
            ("a: b: c\n", "m.yaml:1:5: "),
            ("a: 1\na: 2\n", "m.yaml:2:1: "),
            ("---\na: 1\n---\nb: [1, 2\nc: 3\n", "m.yaml:5:"),
            ("a:\n\t- b\n", "m.yaml:2:2: "),
            ("a: \"open\n", "m.yaml:2:1: "),
            ("a: *nowhere\n", "m.yaml:1:4: "),
            ("}{", "m.yaml:1:1: "),
        ];
        for (text, place) in cases {
            let message = error(text);
            assert!(message.starts_with(place), "{text:?} gave {message:?}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        assert_eq!(
            error("just text"),
            "m.yaml, document 1 (line 1): this is no object"
        );
        assert_eq!(
            error("kind: Model\n"),
            "m.yaml, document 1 (line 1): apiVersion is missing or no text"
        );
        assert_eq!(
            error("---\napiVersion: v1\nkind: Secret\nmetadata: {}\n"),
            "m.yaml, document 1 (line 1): metadata.name is missing or no text"
        );
        assert_eq!(
            error("apiVersion: v1\nkind: Secret\nmetadata: {name: 7}\n"),
            "m.yaml, document 1 (line 1): metadata.name is missing or no text"
        );
    }

    #[test]
    fn what_get_prints_can_be_applied_again() {
        let list = r#"{"items": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]}"#;
        assert_eq!(expand("m.json", list).unwrap()[0].name(), "a");
        let list = format!(
            "apiVersion: v1\nkind: List\nitems:\n- {}",
            HEAD.replace('\n', "\n  ")
        );
        assert_eq!(expand("m.yaml", &list).unwrap().len(), 1);
        // A kind of its own may have items.
        let own = format!("{HEAD}items: [1]\n");
        assert_eq!(expand("m.yaml", &own).unwrap()[0].value["items"][0], 1);
    }

    #[test]
    fn folders_are_read_in_order_and_depth_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        for name in ["b.yaml", "a.json", "notes.txt", "deep/c.yml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let path = folder.path().display().to_string();
        let texts = |recursive| -> Vec<String> {
            collect(std::slice::from_ref(&path), recursive)
                .unwrap()
                .into_iter()
                .map(|(_, text)| text)
                .collect()
        };
        assert_eq!(texts(false), ["a.json", "b.yaml"]);
        assert_eq!(texts(true), ["a.json", "b.yaml", "deep/c.yml"]);
        std::fs::write(folder.path().join("b.yaml"), b"a: b\nc: \xff\n").unwrap();
        let error = collect(&[format!("{path}/b.yaml")], false).unwrap_err();
        assert!(
            error.message().ends_with("b.yaml:2: this is no UTF-8 text"),
            "{error}"
        );
        let gone = collect(&[format!("{path}/gone")], false).unwrap_err();
        assert_eq!(gone.reason(), stead_kernel::Reason::NotFound);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([-.]{3}|[a-z:\\[\\]{}|&*!%#'\"\n\t -]|\\PC){0,60}") {
            let _ = expand("m.yaml", &text);
        }

        #[test]
        fn objects_survive_printing_and_reading(text in "\\PC{0,20}", lines in "[a-z \n:#'\"-]{0,30}") {
            let value = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
                "data": {"text": text.as_str(), "lines": lines.as_str(), text: [lines]}});
            let printed = yaml::print(&value).unwrap();
            let read = expand("m.yaml", &printed).unwrap();
            assert_eq!(read[0].value, value, "{printed}");
        }
    }
}
