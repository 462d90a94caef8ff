//! Progress on a terminal: a line for each operation, or one for all if there are many.
//!
//! The cursor waits at the beginning of the line below. So what a terminal echoes, such as `^C`, stands on a line of
//! its own, and goes with the bars.

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use crossterm::terminal;
use tokio::time::Instant;
use unicode_width::UnicodeWidthChar;

use crate::progress::Progress;
use crate::visible::visible;

/// More operations than this share one line.
const MAX_LINES: usize = 10;

/// How often the bars are drawn.
pub const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// The width of a bar, in columns.
const BAR: u64 = 20;

/// The bars of the operations that are waited for. They are drawn by writing what its functions return to standard
/// error, all of it and in that order.
pub struct Bars {
    lines: Lines,
    started: Instant,
    frames: usize,
    /// The widths of the lines that are on the screen, in columns.
    drawn: Vec<usize>,
}

enum Lines {
    /// In the order of the operations.
    Each(Vec<Line>),
    All {
        ended: u64,
        all: u64,
        counts: String,
    },
}

/// An operation's line.
struct Line {
    name: String,
    percentage: Option<u64>,
    failure: Option<String>,
    has_ended: bool,
}

impl Bars {
    /// Bars for the operations of these names, which are those of `all` that have not ended. Nothing if standard
    /// error is not a terminal that can draw them, or has the lines of `-v`, which would stand between them.
    pub fn on_terminal(all: usize, names: &[String]) -> Option<Bars> {
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        #[cfg(windows)]
        let is_dumb = is_dumb || !crossterm::ansi_support::supports_ansi();
        let has_lines = tracing::enabled!(tracing::Level::DEBUG);
        let can_draw = io::stderr().is_terminal() && !is_dumb && !has_lines;
        can_draw.then(|| Bars::new(all, names))
    }

    fn new(all: usize, names: &[String]) -> Bars {
        let line = |name: &String| Line {
            name: visible(name).into_owned(),
            percentage: None,
            failure: None,
            has_ended: false,
        };
        let lines = match names.len() {
            ..=MAX_LINES => Lines::Each(names.iter().map(line).collect()),
            _ => Lines::All {
                ended: (all - names.len()) as u64,
                all: all as u64,
                counts: String::new(),
            },
        };
        Bars {
            lines,
            started: Instant::now(),
            frames: 0,
            drawn: Vec::new(),
        }
    }

    /// Takes in what a call showed of an operation that goes on.
    pub fn goes_on(&mut self, operation: usize, progress: &Progress) {
        let Lines::Each(lines) = &mut self.lines else {
            return;
        };
        let line = &mut lines[operation];
        match progress {
            Progress::Running(percentage) => {
                line.failure = None;
                line.percentage = percentage.or(line.percentage);
            }
            Progress::Failed(call) => line.failure = Some(visible(&call.message).into_owned()),
        }
    }

    /// Takes in that an operation ended. `ended`: how many have; `counts`: what became of them.
    pub fn ended(&mut self, operation: usize, ended: usize, counts: &str) {
        match &mut self.lines {
            Lines::Each(lines) => lines[operation].has_ended = true,
            Lines::All {
                ended: number,
                counts: text,
                ..
            } => (*number, *text) = (ended as u64, format!(": {counts}")),
        }
    }

    /// Draws the bars in place of those that are on the screen. `failure`: the last one, for the line of all.
    pub fn draw(&mut self, failure: &str) -> String {
        let (columns, rows) = size();
        self.frames += 1;
        let mut text = self.erase();
        for line in self.lines(failure).into_iter().take(rows.saturating_sub(1)) {
            // The last column stays free: some terminals go to the next line once it is written.
            let (line, width) = cut(&line, columns.saturating_sub(1));
            text.push_str(&line);
            text.push_str("\r\n");
            self.drawn.push(width);
        }
        text
    }

    /// Erases what is on the screen. A terminal that was made narrower has broken its lines.
    pub fn erase(&mut self) -> String {
        let (columns, _) = size();
        let rows = self
            .drawn
            .iter()
            .map(|width| width.div_ceil(columns).max(1));
        match rows.sum() {
            0 => String::new(),
            rows => {
                self.drawn.clear();
                // Up, and all from there is cleared (ECMA-48: CUU, ED).
                let rows: usize = rows;
                format!("\r\x1b[{rows}A\x1b[J")
            }
        }
    }

    fn lines(&self, failure: &str) -> Vec<String> {
        const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
        let spinner = SPINNER[self.frames % SPINNER.len()];
        let time = Duration::from_secs(self.started.elapsed().as_secs());
        let begin = format!(
            "{spinner} {:>4} ",
            humantime::format_duration(time).to_string()
        );
        match &self.lines {
            Lines::All { ended, all, counts } => {
                let bar = bar(*ended, *all);
                vec![format!(
                    "{begin}{bar} {ended} of {all} ended{counts}{failure}"
                )]
            }
            Lines::Each(lines) => lines
                .iter()
                .filter(|line| !line.has_ended)
                .map(|line| {
                    let bar = match line.percentage {
                        Some(percentage) => format!("{} {percentage:>3} % ", bar(percentage, 100)),
                        None => String::new(),
                    };
                    let failure = match &line.failure {
                        Some(failure) => format!(": {failure}"),
                        None => String::new(),
                    };
                    format!("{begin}{bar}{}{failure}", line.name)
                })
                .collect(),
        }
    }
}

fn bar(part: u64, whole: u64) -> String {
    let full = (part * BAR / whole.max(1)).min(BAR) as usize;
    "█".repeat(full) + &"░".repeat(BAR as usize - full)
}

/// As much of a line as fits into so many columns, and the columns that it takes.
fn cut(line: &str, columns: usize) -> (String, usize) {
    let mut width = 0;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= columns
    };
    let line: String = line.chars().take_while(fits).collect();
    let width = line.chars().filter_map(char::width).sum();
    (line, width)
}

/// The terminal's columns and rows.
fn size() -> (usize, usize) {
    match terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::FailedCall;

    fn names(count: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("operations/{number}"))
            .collect()
    }

    #[test]
    fn each_of_a_few_operations_has_a_line_until_it_ends() {
        let mut bars = Bars::new(3, &names(3));
        bars.goes_on(1, &Progress::Running(Some(50)));
        let failed = FailedCall {
            message: "no\u{1b}[31m".to_owned(),
            failure: None,
        };
        bars.goes_on(2, &Progress::Failed(Box::new(failed)));
        bars.ended(0, 1, "");
        let lines = bars.lines("");
        assert_eq!(
            lines,
            [
                "⠋   0s ██████████░░░░░░░░░░  50 % operations/1",
                "⠋   0s operations/2: no\\u001b[31m",
            ]
        );
        // A later call without a percentage leaves the last one.
        bars.goes_on(1, &Progress::Running(None));
        bars.goes_on(2, &Progress::Running(None));
        let lines = bars.lines("");
        assert!(lines[0].contains(" 50 % "), "{lines:?}");
        assert!(lines[1].ends_with("operations/2"), "{lines:?}");
    }

    #[test]
    fn many_operations_share_a_line() {
        let mut bars = Bars::new(20, &names(15));
        assert_eq!(
            bars.lines(""),
            ["⠋   0s █████░░░░░░░░░░░░░░░ 5 of 20 ended"]
        );
        bars.goes_on(14, &Progress::Running(Some(1)));
        bars.ended(14, 6, "6 succeeded");
        assert_eq!(
            bars.lines("; last failure: no"),
            ["⠋   0s ██████░░░░░░░░░░░░░░ 6 of 20 ended: 6 succeeded; last failure: no"]
        );
    }

    #[test]
    fn what_was_drawn_is_erased_once() {
        let mut bars = Bars::new(2, &names(2));
        assert_eq!(bars.erase(), "");
        let first = bars.draw("");
        assert_eq!(first.matches("\r\n").count(), 2, "{first:?}");
        assert!(!first.contains('\x1b'), "{first:?}");
        assert!(bars.draw("").starts_with("\r\x1b[2A\x1b[J"));
        assert_eq!(bars.erase(), "\r\x1b[2A\x1b[J");
        assert_eq!(bars.erase(), "");
    }

    #[test]
    fn a_line_is_cut_to_the_columns_that_there_are() {
        assert_eq!(cut("abc", 3), ("abc".to_owned(), 3));
        assert_eq!(cut("abc", 2), ("ab".to_owned(), 2));
        assert_eq!(cut("a進b", 2), ("a".to_owned(), 1));
    }
}
