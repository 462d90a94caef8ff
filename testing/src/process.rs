//! This program again, as a process of its own: a server that is measured must not share the threads of its client.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process. It ends with this, and its standard input closes when this process ends.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program with these arguments.
    pub fn start(arguments: &[&str]) -> Process {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        Process {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        }
    }

    /// Its next line on standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    /// Its standard input, once.
    pub fn input(&mut self) -> ChildStdin {
        self.input.take().expect("it is taken once")
    }

    /// What is left of its standard output, and whether it succeeded.
    pub fn end(mut self) -> (String, bool) {
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("text");
        let ended = self.child.wait().expect("it is our child");
        (text, ended.success())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
