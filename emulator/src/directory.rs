//! Operations from the files of a directory.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;

use crate::collection;

/// The operations of a directory by their names, as text.
pub(crate) fn read(dir: &Path) -> Result<BTreeMap<String, Bytes>, EmulatorError> {
    let mut operations = BTreeMap::new();
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in json_files(dir)? {
        let body = match std::fs::read(&file) {
            Ok(body) => body,
            Err(source) => return Err(EmulatorError::Read { path: file, source }),
        };
        let name = match recorded_name(&body) {
            Ok(name) => name,
            Err(reason) => return Err(EmulatorError::NotAnOperation { file, reason }),
        };
        if let Some(first) = files.insert(name.clone(), file.clone()) {
            return Err(EmulatorError::DuplicateName {
                name,
                first,
                second: file,
            });
        }
        operations.insert(name, Bytes::from(body));
    }
    match operations.is_empty() {
        true => Err(EmulatorError::Empty {
            dir: dir.to_owned(),
        }),
        false => Ok(operations),
    }
}

fn json_files(dir: &Path) -> Result<Vec<PathBuf>, EmulatorError> {
    let unreadable = |source| EmulatorError::Read {
        path: dir.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && !path.is_dir()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The name of a recorded operation, or why it has none.
fn recorded_name(body: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }

    let text = std::str::from_utf8(body).map_err(|error| format!("not UTF-8: {error}"))?;
    // serde would also take an array, with the name as its first element.
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return Err("not a JSON object".to_owned());
    }
    let Named { name } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let has_its_collection = name.split('/').any(|segment| segment == "operations")
        || collection::without_operations(&name).is_some();
    match name.contains('/') {
        _ if has_its_collection => Ok(name),
        // Some services, such as speech v1, say the id alone.
        false if !name.is_empty() => Ok(format!("operations/{name}")),
        _ => Err(format!("the name {name:?} has no segment \"operations\"")),
    }
}

/// Why a directory cannot be served. The text says what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The directory or a file in it cannot be read.
    Read {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory has no `*.json` file.
    Empty {
        /// The directory.
        dir: PathBuf,
    },
    /// A file is not a JSON object with a string `name` that is one of an operation.
    NotAnOperation {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two files have the same `name`.
    DuplicateName {
        /// The name.
        name: String,
        /// The file that sorts first.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
}

impl fmt::Display for EmulatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(
                f,
                "cannot read {}: {source}. Give a directory of *.json files that you may read.",
                path.display()
            ),
            Self::Empty { dir } => write!(
                f,
                "{} has no *.json file. Put one file per operation there, each with a JSON object such as \
                 {{\"name\": \"operations/x\", \"done\": true, \"response\": {{}}}}.",
                dir.display()
            ),
            Self::NotAnOperation { file, reason } => write!(
                f,
                "{} is not an operation: {reason}. Make it one JSON object with a string member \"name\" such as \
                 \"operations/x\", or move it out of the directory.",
                file.display()
            ),
            Self::DuplicateName {
                name,
                first,
                second,
            } => write!(
                f,
                "{} and {} both have the name {name:?}. Change the name in one of them, or move it out of the \
                 directory.",
                first.display(),
                second.display()
            ),
        }
    }
}

impl std::error::Error for EmulatorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Empty { .. } | Self::NotAnOperation { .. } | Self::DuplicateName { .. } => None,
        }
    }
}
