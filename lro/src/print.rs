//! What a person or a program reads: outputs on standard output, failures on standard error.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use operations_host::{
    CallError, Manifest, Member, Outputs, Value, compact, failure_json, outputs_json, variables,
};

use crate::{EX_TEMPFAIL, Stop};

/// How to print.
#[derive(Clone, Copy, Default, PartialEq, ValueEnum)]
pub enum Format {
    /// For people: a table of the variables
    #[default]
    Table,
    /// For programs: one JSON object on one line
    Json,
}

/// The width of a table that goes to a file or a pipe.
const WIDTH: u16 = 100;

/// Prints the output variables of one operation.
pub fn outputs(manifest: &Manifest, outputs: &Outputs, format: Format) -> Result<(), Stop> {
    let text = match format {
        Format::Json => outputs_json(manifest, outputs),
        Format::Table => outputs_table(manifest, outputs).to_string(),
    };
    line(&text)
}

/// Prints a line of results. A reader that went away, such as `head`, is no failure of ours.
pub fn line(text: &str) -> Result<(), Stop> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::permanent(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// A table that fits the terminal, or [`WIDTH`] where there is none.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    table.set_header(header);
    table
}

fn outputs_table(manifest: &Manifest, outputs: &Outputs) -> Table {
    let mut table = table(["variable", "value"]);
    for (variable, value) in variables(manifest, outputs) {
        table.add_row([variable.to_owned(), cell(value)]);
    }
    table
}

fn cell(value: Value) -> String {
    let absent = || "null".to_owned();
    let shown = |text: &str| text.replace(char::is_control, " ");
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.map_or_else(absent, |value| value.to_string()),
        Value::Text(value) => value.map_or_else(absent, shown),
        Value::Json(value) => value.map_or_else(absent, |value| shown(&compact(value))),
        Value::JsonList([]) => "[]".to_owned(),
        Value::JsonList(values) => numbered(values.iter().map(|value| shown(&compact(value)))),
        Value::Members(members) => {
            members.map_or_else(absent, |members| shown_members(members, shown))
        }
        Value::MembersList([]) => "[]".to_owned(),
        Value::MembersList(list) => {
            numbered(list.iter().map(|members| shown_members(members, shown)))
        }
    }
}

fn shown_members(members: &[Member], shown: impl Fn(&str) -> String) -> String {
    if members.is_empty() {
        return "{}".to_owned();
    }
    let lines = members
        .iter()
        .map(|member| shown(&format!("{}: {}", member.key, compact(&member.value))));
    lines.collect::<Vec<_>>().join("\n")
}

fn numbered(items: impl Iterator<Item = String>) -> String {
    items
        .enumerate()
        .map(|(at, item)| format!("[{at}] {item}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Prints a line for a person, or a program's, to read. Where standard error cannot be written, the exit
/// code has to do.
pub fn error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints why there are no outputs for `name`.
pub fn failure(name: &str, error: &CallError, format: Format) {
    match format {
        Format::Json => {
            let name = serde_json::Value::from(name);
            error_line(&format!("{{\"name\":{name},{}", &failure_json(error)[1..]));
        }
        Format::Table => {
            let what_it_means = match error {
                CallError::Permanent(_) => {
                    "permanent: asking again cannot help until the name, a setting or the access changes"
                }
                CallError::Transient(_) => "transient: asking again later may help",
                CallError::Access(error) if error.is_transient() => {
                    "transient: asking again later may help"
                }
                CallError::Overran | CallError::Aborted(_) => "the block gave no answer",
                _ => "nothing was asked",
            };
            error_line(&format!("error: {error}\n       {what_it_means}"));
        }
    }
}

/// The exit code of a call that failed.
pub fn exit_code(error: &CallError) -> ExitCode {
    match error {
        error if error.is_transient() => ExitCode::from(EX_TEMPFAIL),
        _ => ExitCode::from(1),
    }
}
