//! What became of operations, one JSON object a line, and the file that a poll goes on from.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use operations_host::{CallError, Manifest, Outputs, failure_json, outputs_json};
use serde::Deserialize;

use crate::Stop;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// It is done, without an error.
    Succeeded,
    /// It is done, with an error.
    Failed,
    /// Asking for it failed, and asking again cannot help.
    NotThere,
}

/// The line of an operation that is done: its name as it was asked for, and the eleven outputs.
pub fn done(name: &str, manifest: &Manifest, outputs: &Outputs) -> String {
    let name = serde_json::Value::from(name);
    let outputs = outputs_json(manifest, outputs);
    format!("{{\"name\":{name},\"outputs\":{outputs}}}\n")
}

/// The line of an operation that cannot be had.
pub fn failed(name: &str, error: &CallError) -> String {
    let name = serde_json::Value::from(name);
    format!("{{\"name\":{name},\"failure\":{}}}\n", failure_json(error))
}

/// Where the lines go.
pub enum Out {
    /// Standard output.
    Standard,
    /// The file of `--out`, which is locked.
    File(PathBuf, File),
}

impl Out {
    /// Opens `--out FILE`, and reads what is in it already. A last line that was cut short, by a power cut
    /// for instance, is taken away: its operation is asked for again.
    pub fn file(path: &Path) -> Result<(Out, HashMap<String, End>), Stop> {
        let shown = path.display();
        let unusable =
            |error: io::Error| Stop::usage(format!("{shown} (--out) cannot be used: {error}"));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(unusable)?;
        // What cannot be read back cannot be gone on from; reading a pipe of one's own would never end.
        if !file.metadata().map_err(unusable)?.is_file() {
            return Err(Stop::usage(format!(
                "{shown} (--out) is no ordinary file: name one, or leave --out away for standard output"
            )));
        }
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Stop::usage(format!(
                "{shown} (--out) is written by another lro: wait for it, or name another file"
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
            Stop::usage(format!(
                "{shown} (--out) is not of lro's making: line {number} is none of its records; name another file"
            ))
        };
        let mut ended = HashMap::new();
        let mut number = 0;
        for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let line = &line[..line.len() - 1];
            if line.is_empty() {
                continue;
            }
            let (name, end) = read(line).ok_or_else(|| foreign(number))?;
            ended.insert(name, end);
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
        Ok((Out::File(path.to_owned(), file), ended))
    }

    /// Writes one line, whole.
    pub fn write(&mut self, line: &str) -> Result<(), Stop> {
        let (what, written) = match self {
            Out::Standard => ("standard output".to_owned(), {
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes()).and_then(|()| out.flush())
            }),
            Out::File(path, file) => (
                format!("{} (--out)", path.display()),
                file.write_all(line.as_bytes()),
            ),
        };
        written.map_err(|error| Stop::permanent(format!("{what} cannot be written: {error}")))
    }

    /// Waits until what was written is on the disk.
    pub fn sync(&self) -> Result<(), Stop> {
        match self {
            Out::Standard => Ok(()),
            Out::File(path, file) => file.sync_all().map_err(|error| {
                Stop::permanent(format!(
                    "{} (--out) cannot be written: {error}",
                    path.display()
                ))
            }),
        }
    }
}

/// Whether this, without a line feed, can be the beginning of a record. After a power cut a file may be longer
/// than what was written of it, with zeros behind.
fn is_cut_short(line: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"name\":\"";
    let zeros = line.iter().rev().take_while(|byte| **byte == 0).count();
    let line = &line[..line.len() - zeros];
    let is_object = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    match is_object {
        true => read(line).is_some(),
        false => line.starts_with(BEGINNING) || BEGINNING.starts_with(line),
    }
}

/// The name of a line's operation, and how it ended.
fn read(line: &[u8]) -> Option<(String, End)> {
    #[derive(Deserialize)]
    struct Record {
        name: String,
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
        (None, Some(_)) => End::NotThere,
        _ => return None,
    };
    Some((record.name, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = "{\"name\":\"operations/a\",\"outputs\":{\"error\":null}}\n";
    const FAILED: &str = "{\"name\":\"operations/b\",\"outputs\":{\"error\":{\"code\":7}}}\n";
    const NOT_THERE: &str = "{\"name\":\"operations/c\",\"failure\":{\"case\":\"permanent\"}}\n";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn what_is_in_the_file_has_ended() {
        let (_folder, path) = file(&[DONE, FAILED, NOT_THERE].concat());
        let (_, ended) = Out::file(&path).ok().unwrap();
        assert_eq!(ended.len(), 3);
        assert_eq!(ended["operations/a"], End::Succeeded);
        assert_eq!(ended["operations/b"], End::Failed);
        assert_eq!(ended["operations/c"], End::NotThere);
    }

    #[test]
    fn a_line_that_was_cut_short_is_taken_away_and_the_next_one_follows_the_last_whole_one() {
        let (_folder, path) = file(&format!("{DONE}{}", &FAILED[..20]));
        let (mut out, ended) = Out::file(&path).ok().unwrap();
        assert_eq!(ended.into_keys().collect::<Vec<_>>(), ["operations/a"]);
        out.write(FAILED).ok().unwrap();
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
            let stop = Out::file(&path).err().unwrap();
            assert_eq!(stop.code, 2);
            assert!(stop.message.contains("line 2"), "{}", stop.message);
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
            assert_eq!(Out::file(&path).ok().unwrap().1.len(), 1, "{cut:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), DONE);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_cannot_be_gone_on_from() {
        let stop = Out::file(Path::new("/dev/null")).err().unwrap();
        assert_eq!(stop.code, 2);
        assert!(stop.message.contains("/dev/null"), "{}", stop.message);
    }

    #[test]
    fn two_commands_do_not_write_one_file() {
        let (_folder, path) = file("");
        let _first = Out::file(&path).ok().unwrap();
        let stop = Out::file(&path).err().unwrap();
        assert!(stop.message.contains("another lro"), "{}", stop.message);
    }
}
