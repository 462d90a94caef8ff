//! What a person or a program reads: outputs on standard output, failures on standard error.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use operations_host::{
    CallError, Manifest, Member, Outputs, Value, compact, failure_json, outputs_json, variables,
};

use crate::exit::ExitError;
use crate::visible::visible;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub enum Format {
    /// For people: a table of the variables; of a long value the beginning
    #[default]
    Table,
    /// For programs: one JSON object on one line
    Json,
}

/// The width of a table that goes to a file or a pipe.
const WIDTH: u16 = 100;

/// What a cell of a table shows at most: laying out a long word takes time that grows with its square.
const CELL_CHARS: usize = 4_000;
const CELL_LINES: usize = 100;

/// What a line on standard error says of a failure at most: a name can have 2,048 bytes.
const LINE_CHARS: usize = 3_000;

/// The output variables of one operation, as standard output gets them.
pub fn outputs(manifest: &Manifest, outputs: &Outputs, format: Format) -> String {
    match format {
        Format::Json => json(outputs_json(manifest, outputs), &io::stdout()),
        Format::Table => {
            let mut table = table(["variable", "value"]);
            for (variable, value) in variables(manifest, outputs) {
                table.add_row([variable.to_owned(), cell(value)]);
            }
            table.to_string()
        }
    }
}

/// Why there are no outputs for `name`, as standard error gets it.
pub fn failure(name: &str, error: &CallError, format: Format) -> String {
    match format {
        Format::Json => {
            let name = serde_json::Value::from(name);
            let failure = failure_json(error);
            json(
                format!("{{\"name\":{name},{}", &failure[1..]),
                &io::stderr(),
            )
        }
        Format::Table => {
            let what_it_means = match error {
                CallError::Permanent(_) => {
                    "permanent: asking again cannot help until the name, a setting or the access changes"
                }
                error if error.is_transient() => "transient: asking again later may help",
                CallError::Overran | CallError::Aborted(_) | CallError::InvalidResult { .. } => {
                    "the block gave no answer"
                }
                _ => "nothing was asked",
            };
            format!(
                "error: {}\n       {what_it_means}",
                visible(&error.to_string())
            )
        }
    }
}

/// That there are no outputs for `name`, on one line.
pub fn not_fetched(name: &str, error: &CallError) -> String {
    one_line(&format!("{name} could not be fetched: {error}"))
}

/// That an operation is done and has failed, on one line; nothing of any other.
pub fn operation_failed(name: &str, outputs: &Outputs) -> Option<String> {
    outputs.error.as_ref()?;
    let code = outputs.error_code.unwrap_or_default();
    let message = outputs.error_message.as_deref().unwrap_or_default();
    Some(one_line(&format!(
        "{name} failed with code {code}: {message}"
    )))
}

/// As much of a text as a line of a log carries.
fn one_line(text: &str) -> String {
    let mut rest = text.chars();
    let shown: String = rest.by_ref().take(LINE_CHARS).collect();
    let cut = if rest.next().is_some() { "…" } else { "" };
    let shown = shown.trim_end().replace(['\n', '\r', '\t'], " ");
    visible(&shown).into_owned() + cut
}

/// JSON for this stream: byte for byte, but on a terminal with escapes for what it would obey.
pub fn json(json: String, stream: &impl IsTerminal) -> String {
    match stream.is_terminal() {
        true => visible(&json).into_owned(),
        false => json,
    }
}

/// Prints a line of results. A reader that went away, such as `head`, is not a failure of ours.
pub fn line(text: &str) -> Result<(), ExitError> {
    match to_standard_output(&format!("{text}\n")) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritable(error)),
        _ => Ok(()),
    }
}

/// Writes all of this to standard output.
pub fn to_standard_output(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Says that standard output could not be written.
pub fn unwritable(error: io::Error) -> ExitError {
    ExitError::permanent(format!("cannot write standard output: {error}"))
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

fn cell(value: Value) -> String {
    let absent = || "null".to_owned();
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.map_or_else(absent, |value| value.to_string()),
        Value::Text(value) => value.map_or_else(absent, |value| lines([value.to_owned()])),
        Value::Json(value) => value.map_or_else(absent, |value| lines([compact(value)])),
        Value::JsonList([]) | Value::MembersList([]) => "[]".to_owned(),
        Value::JsonList(values) => {
            let values = values.iter().enumerate();
            lines(values.map(|(at, value)| format!("[{at}] {}", compact(value))))
        }
        Value::Members(None) => absent(),
        Value::Members(Some([])) => "{}".to_owned(),
        Value::Members(Some(members)) => lines(members.iter().map(member)),
        Value::MembersList(list) => {
            let items = list.iter().enumerate().flat_map(|(at, members)| {
                let first = match members.is_empty() {
                    true => Some(format!("[{at}] {{}}")),
                    false => None,
                };
                let members = members.iter().enumerate();
                first
                    .into_iter()
                    .chain(members.map(move |(number, each)| match number {
                        0 => format!("[{at}] {}", member(each)),
                        _ => member(each),
                    }))
            });
            lines(items)
        }
    }
}

fn member(member: &Member) -> String {
    format!("{}: {}", member.key, compact(&member.value))
}

/// The lines of a cell, as many and as much of them as a table shows.
fn lines(items: impl IntoIterator<Item = String>) -> String {
    let mut cell = String::new();
    let mut chars = CELL_CHARS;
    let mut items = items.into_iter();
    for item in items.by_ref().take(CELL_LINES) {
        if !cell.is_empty() {
            cell.push('\n');
        }
        let mut rest = item.chars();
        let shown: String = rest.by_ref().take(chars).collect();
        let shown = visible(&shown.replace(['\n', '\r', '\t'], " ")).into_owned();
        // An escape is longer than what it stands for.
        let length = shown.chars().count().min(chars);
        chars -= length;
        cell.extend(shown.chars().take(length));
        if rest.next().is_some() || chars == 0 {
            return cell + CUT;
        }
    }
    match items.next() {
        Some(_) => cell + CUT,
        None => cell,
    }
}

/// Where a cell shows only the beginning.
const CUT: &str = " …\n(cut: --output json shows all)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_the_beginning_of_a_long_value_and_the_first_of_many_members() {
        let long = lines(["x".repeat(CELL_CHARS + 1)]);
        assert_eq!(long, format!("{}{CUT}", "x".repeat(CELL_CHARS)));
        let whole = "é".repeat(CELL_CHARS - 1);
        assert_eq!(lines([whole.clone()]), whole);

        let escapes = lines(["\u{202e}".repeat(CELL_CHARS)]);
        assert_eq!(escapes.chars().count(), CELL_CHARS + CUT.chars().count());

        let many = lines((0..20_000).map(|number| number.to_string()));
        assert_eq!(many.lines().count(), CELL_LINES + 1);
        assert!(many.ends_with(&format!("\n99{CUT}")), "{many}");
        let all = lines((0..CELL_LINES).map(|number| number.to_string()));
        assert!(all.ends_with("\n99"), "{all}");
    }

    #[test]
    fn a_cell_does_not_act_on_the_terminal() {
        let cell = lines(["a\u{1b}[31m\u{202e}b\nc".to_owned()]);
        assert_eq!(cell, r"a\u001b[31m\u202eb c");
    }

    #[test]
    fn a_failed_operation_has_a_line() {
        let mut outputs = Outputs {
            name: String::new(),
            done: true,
            error: Some("{}".to_owned()),
            error_code: Some(7),
            error_message: Some("no\nway\u{202e}".to_owned()),
            error_details: Vec::new(),
            error_details_custom_key_value: Vec::new(),
            metadata: None,
            metadata_custom_key_value: Vec::new(),
            response: None,
            response_custom_key_value: Vec::new(),
        };
        assert_eq!(
            operation_failed("operations/a", &outputs).unwrap(),
            r"operations/a failed with code 7: no way\u202e"
        );
        outputs.error_message = Some("é".repeat(LINE_CHARS));
        let cut = operation_failed("operations/a", &outputs).unwrap();
        assert_eq!(cut.chars().count(), LINE_CHARS + 1);
        outputs.error = None;
        assert_eq!(operation_failed("operations/a", &outputs), None);
    }

    #[test]
    fn each_object_of_a_list_begins_with_its_number() {
        let member = |key: &str| Member {
            key: key.into(),
            value: "1".into(),
        };
        let list = [vec![member("a"), member("b")], vec![], vec![member("c")]];
        assert_eq!(
            cell(Value::MembersList(&list)),
            "[0] a: 1\nb: 1\n[1] {}\n[2] c: 1"
        );
    }
}
