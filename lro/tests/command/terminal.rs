//! What a person at a terminal sees: `script` gives the command one, and a screen reads what it writes there.

use std::io::{Read, Write};
use std::process::{ChildStdin, Command, Stdio};

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

use crate::lro;
use testing::PATIENCE;
use testing::server::{Server, error, json};

/// The lines of a terminal, as far as the command may act on it: anything else is a failure of the test.
#[derive(Default)]
struct Screen {
    lines: Vec<String>,
    row: usize,
    /// What a sequence has so far.
    escape: Option<String>,
    column: usize,
}

impl Screen {
    fn write(&mut self, text: &str) {
        for c in text.chars() {
            self.take(c);
        }
    }

    fn take(&mut self, c: char) {
        while self.lines.len() <= self.row {
            self.lines.push(String::new());
        }
        if let Some(mut escape) = self.escape.take() {
            escape.push(c);
            match c {
                'A' => {
                    let rows: usize = escape[1..escape.len() - 1].parse().unwrap();
                    self.row = self.row.checked_sub(rows).expect("it goes above the top");
                }
                'J' => {
                    self.lines.truncate(self.row);
                    self.lines.push(String::new());
                }
                '[' | '0'..='9' => self.escape = Some(escape),
                _ => panic!("it writes ESC {escape:?}"),
            }
            return;
        }
        match c {
            '\x1b' => self.escape = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            c if c.is_control() || HOSTILE.contains(c) => panic!("it writes {c:?}"),
            c => {
                let line = &mut self.lines[self.row];
                let before: String = line.chars().take(self.column).collect();
                let behind: String = line.chars().skip(self.column + 1).collect();
                *line = format!("{before}{c}{behind}");
                self.column += 1;
            }
        }
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The operations that have a bar.
    fn bars(&self) -> Vec<&str> {
        let bars = self
            .lines
            .iter()
            .filter(|line| line.starts_with(|c: char| ('\u{2800}'..='\u{28ff}').contains(&c)));
        bars.map(|line| line.rsplit(' ').next().unwrap()).collect()
    }
}

/// The command at a terminal of 100 columns.
struct AtTerminal {
    keyboard: ChildStdin,
    written: UnboundedReceiver<String>,
    screen: Screen,
}

impl AtTerminal {
    fn start(arguments: &[&str]) -> AtTerminal {
        let lro = lro(&[]);
        let mut line = format!(
            "stty rows 40 cols 100; exec {}",
            lro.get_program().to_str().unwrap()
        );
        for argument in arguments {
            line.push_str(&format!(" '{argument}'"));
        }
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_clear()
            .envs(
                lro.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm");
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keyboard, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, written) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            read(stdout, |text| sender.send(text).unwrap_or(()));
            child.wait().unwrap();
        });
        AtTerminal {
            keyboard,
            written,
            screen: Screen::default(),
        }
    }

    /// Waits until the screen shows this.
    async fn until(&mut self, mut shows: impl FnMut(&Screen) -> bool) {
        while !shows(&self.screen) {
            let next = timeout(PATIENCE, self.written.recv()).await;
            let Ok(Some(text)) = next else {
                panic!("it did not come:\n{}", self.screen.text());
            };
            self.screen.write(&text);
        }
    }

    /// What is left on the screen once the command has ended.
    async fn end(mut self) -> Screen {
        while let Some(text) = timeout(PATIENCE, self.written.recv()).await.unwrap() {
            self.screen.write(&text);
        }
        self.screen
    }
}

/// Reads text to its end; a character may come in two pieces.
fn read(mut from: impl Read, mut each: impl FnMut(String)) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
        let whole = match std::str::from_utf8(&bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        each(String::from_utf8(bytes.drain(..whole).collect()).unwrap());
    }
}

#[tokio::test]
async fn each_operation_has_one_bar_and_none_is_left_after_ctrl_c() {
    let server = Server::start(|_, asked| async move {
        let id = asked.id().to_owned();
        let done = id.starts_with("done");
        let body = format!(r#"{{"name":"{id}","done":{done},"metadata":{{"progress":0.4444}}}}"#);
        json(200, body)
    })
    .await;
    let endpoint = server.endpoint();
    let names = [
        "operations/running-a",
        "operations/running-b",
        "operations/done-c",
    ];
    let arguments = ["--output", "json", "--endpoint", &endpoint];
    let mut lro = AtTerminal::start(&[&["wait"], &names[..], &arguments].concat());
    let result = |line: &&String| line.starts_with("{\"name\":\"done-c\"");
    lro.until(|screen| {
        let bars = screen.bars();
        for name in names {
            let count = bars.iter().filter(|bar| **bar == name).count();
            assert!(count <= 1, "{}", screen.text());
        }
        screen.lines.iter().filter(result).count() == 1 && bars.len() == 2
    })
    .await;
    lro.until(|screen| {
        screen
            .text()
            .contains(" ████████░░░░░░░░░░░░  44 % operations/running-a")
    })
    .await;
    lro.keyboard.write_all(b"\x03").unwrap();
    let screen = lro.end().await;
    assert_eq!(screen.bars(), [""; 0], "{}", screen.text());
    assert_eq!(screen.lines.iter().filter(result).count(), 1);
    // As JSON there is no summary, but an object for each that did not finish.
    let lines = screen.text();
    let unfinished = lines.matches("did not finish before lro was interrupted");
    assert_eq!(unfinished.count(), 2, "{lines}");
    assert!(!lines.contains("3 ended"), "{lines}");
}

/// What a terminal obeys, and what hides or turns round other text.
const HOSTILE: &str = "\u{1b}\u{7}\u{9b}\u{202e}\u{2066}\u{200b}\u{200d}\u{200f}\u{61c}\u{feff}";

#[tokio::test]
async fn nothing_that_others_wrote_acts_on_the_terminal() {
    let server = Server::start(|_, asked| async move {
        // As JSON has it.
        let text = r"\u001b\u0007".to_owned() + &HOSTILE[2..];
        match asked.id().split('-').next().unwrap() {
            "done" => json(
                200,
                format!(
                    r#"{{"name":"operations/{text}","done":true,"error":{{"message":"{text}"}},"metadata":{{"{text}":"{text}"}}}}"#
                ),
            ),
            _ => error(503, "UNAVAILABLE", &text),
        }
    })
    .await;
    let endpoint = server.endpoint();
    let name = format!("operations/a{HOSTILE}");
    for output in ["table", "json"] {
        let arguments = [
            "--output",
            output,
            "--endpoint",
            &endpoint,
            "--max-attempts",
            "1",
        ];
        let get = |name: &str| AtTerminal::start(&[&["get", name], &arguments[..]].concat()).end();
        let done = get("operations/done-a").await;
        let shown = r"\u001b\u0007\u009b\u202e\u2066\u200b\u200d\u200f\u061c\ufeff";
        assert!(done.text().contains(shown), "{}", done.text());
        get("operations/failing-b").await;
        get(&name).await;

        let limits = ["--deadline", "2s"];
        let names = ["operations/done-a", "operations/failing-b", &name];
        let wait = [&["wait"], &names[..], &arguments, &limits].concat();
        AtTerminal::start(&wait).end().await;
        let records = ["--out", "-"];
        let wait = [&["wait"], &names[..], &arguments, &limits, &records].concat();
        AtTerminal::start(&wait).end().await;
    }
    let file = format!("./{HOSTILE}.txt");
    for (arguments, said) in [
        (&["get", "a", &name][..], "unexpected argument"),
        (&["get", "a", "\u{202e}b"], r"'\u202eb'"),
        (&["get", "a", "--output", "\u{202e}"], r"'\u202e'"),
        (&["wait", "--names", &file], r"./\u001b\u0007"),
        (&["get", "a", "--ca", &file], r"./\u001b\u0007"),
        (&["emulate", "--from", &file], r"./\u001b\u0007"),
        (
            &["wait", "a", "--out", &format!("/{HOSTILE}/out")],
            r"/\u001b\u0007",
        ),
    ] {
        let usage = AtTerminal::start(arguments).end().await;
        assert!(
            usage.text().contains(said),
            "{arguments:?}: {}",
            usage.text()
        );
    }
    let verbose = ["-v", "get", &name, "--endpoint", &endpoint];
    let verbose = AtTerminal::start(&verbose).end().await;
    assert!(verbose.text().contains("call ended"), "{}", verbose.text());
}
