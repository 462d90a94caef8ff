//! The file of `--out`: the result of each operation, one JSON object a line. The same command resumes from it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use operations_host::{CallError, Manifest, Outputs, failure_json, outputs_json};
use serde::Deserialize;
use serde_json::Value;

use crate::exit::ExitError;
use crate::pasted;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// It is done, without an error.
    Succeeded,
    /// It is done, with an error.
    Failed,
    /// It could not be fetched, and asking again cannot help.
    NotFetched,
}

/// The record of an operation that is done: its name as it was asked for, of whom it was, and the eleven outputs.
pub fn done(name: &str, asked_of: &str, manifest: &Manifest, outputs: &Outputs) -> String {
    record(name, asked_of, "outputs", &outputs_json(manifest, outputs))
}

/// The record of an operation that could not be fetched.
pub fn not_fetched(name: &str, asked_of: &str, error: &CallError) -> String {
    record(name, asked_of, "failure", &failure_json(error))
}

fn record(name: &str, asked_of: &str, end: &str, json: &str) -> String {
    let (name, asked_of) = (Value::from(name), Value::from(asked_of));
    format!("{{\"name\":{name},\"askedOf\":{asked_of},\"{end}\":{json}}}")
}

/// How the operations of a file ended.
#[derive(Default)]
pub struct Ended(HashMap<String, Vec<(Option<String>, End)>>);

impl Ended {
    /// How the operation of this name ended, if it was asked of the same service or endpoint. Files of before that
    /// was recorded do not say so.
    pub fn get(&self, name: &str, asked_of: &str) -> Option<End> {
        let mut records = self.0.get(name)?.iter().rev();
        let same = |of: &Option<String>| of.as_deref().is_none_or(|of| of == asked_of);
        records.find(|(of, _)| same(of)).map(|(_, end)| *end)
    }
}

/// The file, which is locked.
pub struct Journal {
    /// As it was named.
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens `--out FILE`, and reads how the operations ended that are in it already. A last line that was cut
    /// short, by a power cut for instance, is taken away: its operation is asked for again.
    pub fn open(path: &Path) -> Result<(Journal, Ended), ExitError> {
        if !path.exists() {
            // A file that is named by a token would be read by others.
            pasted::refuse("--out", path.as_os_str())?;
        }
        let is_quotable = pasted::is_quotable(path.as_os_str()) || path.exists();
        let shown = match is_quotable {
            true => format!("{} (--out)", path.display()),
            false => "the file of --out".to_owned(),
        };
        let unusable =
            |error: io::Error| ExitError::usage(format!("{shown} cannot be used: {error}"));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(unusable)?;
        // What cannot be read back cannot be resumed from; reading a pipe of one's own would never end.
        if !file.metadata().map_err(unusable)?.is_file() {
            return Err(ExitError::usage(format!(
                "{shown} is not a regular file: name one, or - for standard output"
            )));
        }
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ExitError::usage(format!(
                "{shown} is being written by another lro: wait for it, or name another file"
            )),
            TryLockError::Error(error) => unusable(error),
        })?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(unusable)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let foreign = |number: usize| {
            ExitError::usage(format!(
                "{shown} was not written by lro: line {number} is not one of its records; name another file"
            ))
        };
        let mut ended = Ended::default();
        let mut number = 0;
        for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let line = &line[..line.len() - 1];
            if line.is_empty() {
                continue;
            }
            let (name, asked_of, end) = read(line).ok_or_else(|| foreign(number))?;
            ended.0.entry(name).or_default().push((asked_of, end));
        }
        // Nothing is taken away before all of the file is known to be lro's.
        let cut = &text[whole..];
        if !cut.is_empty() {
            if !is_cut_short(cut) {
                return Err(foreign(number + 1));
            }
            file.set_len(whole as u64).map_err(unusable)?;
            file.seek(SeekFrom::End(0)).map_err(unusable)?;
        }
        let path = path.to_owned();
        Ok((Journal { path, file }, ended))
    }

    /// Writes one record, on a line of its own.
    pub fn write(&self, record: &str) -> io::Result<()> {
        (&self.file).write_all(format!("{record}\n").as_bytes())
    }

    /// Waits until what was written is on the disk.
    pub fn sync(&self) -> Result<(), ExitError> {
        self.file.sync_all().map_err(|error| self.unwritable(error))
    }

    /// Says that a record could not be written.
    pub fn unwritable(&self, error: io::Error) -> ExitError {
        ExitError::permanent(format!(
            "cannot write {} (--out): {error}",
            self.path.display()
        ))
    }
}

/// Whether this, without a line feed, can be the beginning of a record. After a power cut a file may be longer
/// than what was written of it, with zeros behind.
fn is_cut_short(line: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"name\":\"";
    let zeros = line.iter().rev().take_while(|byte| **byte == 0).count();
    let line = &line[..line.len() - zeros];
    match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
        Ok(_) => read(line).is_some(),
        // It ends in the middle. Where it breaks the grammar before that, someone else wrote it.
        Err(error) if error.is_eof() => line.starts_with(BEGINNING) || BEGINNING.starts_with(line),
        Err(_) => false,
    }
}

/// The name of a line's operation, of whom it was asked, and how it ended.
fn read(line: &[u8]) -> Option<(String, Option<String>, End)> {
    #[derive(Deserialize)]
    struct Record {
        name: String,
        #[serde(rename = "askedOf")]
        asked_of: Option<String>,
        outputs: Option<Outputs>,
        failure: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Outputs {
        error: Option<serde::de::IgnoredAny>,
    }
    let record: Record = serde_json::from_slice(line).ok()?;
    let end = match (record.outputs, record.failure) {
        (Some(outputs), None) if outputs.error.is_some() => End::Failed,
        (Some(_), None) => End::Succeeded,
        (None, Some(_)) => End::NotFetched,
        _ => return None,
    };
    Some((record.name, record.asked_of, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;

    const DONE: &str = "{\"name\":\"operations/a\",\"outputs\":{\"error\":null}}\n";
    const FAILED: &str = "{\"name\":\"operations/b\",\"outputs\":{\"error\":{\"code\":7}}}\n";
    const NOT_FETCHED: &str = "{\"name\":\"operations/c\",\"failure\":{\"case\":\"permanent\"}}\n";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn the_operations_in_the_file_have_ended() {
        let (_folder, path) = file(&[DONE, FAILED, NOT_FETCHED].concat());
        let (_, ended) = Journal::open(&path).unwrap();
        let of = |name| ended.get(name, "a.example");
        assert_eq!(of("operations/a"), Some(End::Succeeded));
        assert_eq!(of("operations/b"), Some(End::Failed));
        assert_eq!(of("operations/c"), Some(End::NotFetched));
        assert_eq!(of("operations/d"), None);
    }

    #[test]
    fn the_next_line_replaces_one_that_was_cut_short() {
        let (_folder, path) = file(&format!("{DONE}{}", &FAILED[..20]));
        let (journal, ended) = Journal::open(&path).unwrap();
        assert_eq!(ended.0.into_keys().collect::<Vec<_>>(), ["operations/a"]);
        journal.write(FAILED.trim_end()).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{DONE}{FAILED}")
        );
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        for other in [
            "name,done\n",
            "{\"name\":\"operations/a\"}\n",
            "[]\n",
            "name,done\noperations/a,true",
            "operations/a",
            "{\"name\":\"a-package\",\"version\":\"1.0.0\"}",
        ] {
            let (_folder, path) = file(&format!("{DONE}{other}"));
            let error = Journal::open(&path).err().unwrap();
            assert_eq!(error.code, ExitCode::Usage);
            assert!(error.message.contains("line 2"), "{}", error.message);
            assert_eq!(
                std::fs::read_to_string(&path).unwrap(),
                format!("{DONE}{other}")
            );
        }
    }

    #[test]
    fn a_line_may_be_cut_short_anywhere() {
        let ends = (1..FAILED.len()).map(|at| FAILED[..at].to_owned());
        // A file that a power cut left longer than what had been written of it.
        for cut in ends.chain(["\0\0\0".to_owned(), format!("{}\0\0", &FAILED[..20])]) {
            let (_folder, path) = file(&format!("{DONE}{cut}"));
            assert_eq!(Journal::open(&path).unwrap().1.0.len(), 1, "{cut:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), DONE);
        }
    }

    #[test]
    fn the_same_name_of_another_service_has_not_ended() {
        let outputs = |error| format!("\"outputs\":{{\"error\":{error}}}}}\n");
        let text = [
            format!(
                "{{\"name\":\"operations/a\",\"askedOf\":\"a.example\",{}",
                outputs("null")
            ),
            format!(
                "{{\"name\":\"operations/a\",\"askedOf\":\"b.example\",{}",
                outputs("{}")
            ),
        ];
        let (_folder, path) = file(&text.concat());
        let (_, ended) = Journal::open(&path).unwrap();
        let of = |service| ended.get("operations/a", service);
        assert_eq!(of("a.example"), Some(End::Succeeded));
        assert_eq!(of("b.example"), Some(End::Failed));
        assert_eq!(of("c.example"), None);
    }

    #[test]
    fn a_secret_in_place_of_the_file_is_neither_made_nor_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ya29.made-up-secret");
        let error = Journal::open(&path).err().unwrap();
        assert!(!error.message.contains("made-up"), "{}", error.message);
        assert!(!path.exists());
        let error = Journal::open(Path::new("no folder/a made-up secret")).err();
        let message = error.unwrap().message;
        assert!(message.starts_with("the file of --out cannot"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn only_a_regular_file_can_be_resumed_from() {
        let error = Journal::open(Path::new("/dev/null")).err().unwrap();
        assert_eq!(error.code, ExitCode::Usage);
        assert!(error.message.contains("/dev/null"), "{}", error.message);
    }

    #[test]
    fn two_commands_do_not_write_one_file() {
        let (_folder, path) = file("");
        let _first = Journal::open(&path).unwrap();
        let error = Journal::open(&path).err().unwrap();
        assert!(error.message.contains("another lro"), "{}", error.message);
    }
}
