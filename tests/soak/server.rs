//! The server, a process of its own: it answers, and keeps the ledger.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::answer::{self, Answer, Plan};
use crate::ledger::{Ledger, REPORT_BYTES};

/// The server's process. It ends with this, and when this process does.
pub struct Server {
    child: Child,
    reports: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    pub port: u16,
}

impl Server {
    /// Starts it.
    pub fn start(plan: Plan) -> Server {
        let large = if plan.has_large { "large" } else { "small" };
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["serve", &plan.seed.to_string(), large])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut port = String::new();
        out.read_line(&mut port).expect("a line");
        Server {
            port: port.trim().parse().expect("a port"),
            reports: child.stdin.take(),
            child,
            out,
        }
    }

    /// Where the calls are reported to. There is one; the verdict comes once it is dropped.
    pub fn reports(&mut self) -> ChildStdin {
        self.reports.take().expect("it is asked for once")
    }

    /// Prints what the ledger comes to, and says whether that is well.
    pub fn verdict(mut self) -> bool {
        let mut text = String::new();
        self.out.read_to_string(&mut text).expect("text");
        print!("\n{text}");
        let ended = self.child.wait();
        ended.expect("it is our child").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input, which the reports come by, closes. Says whether the ledger is well.
pub fn serve(runtime: &Runtime, plan: Plan) -> bool {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{port}").expect("a reader");
    out.flush().expect("a reader");
    let accepting = ledger.clone();
    runtime.spawn(async move {
        loop {
            // A client that went away before its turn is no fault of the server's.
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, plan, accepting.clone()));
            }
        }
    });
    let mut reports = std::io::stdin().lock();
    let mut report = [0; REPORT_BYTES];
    while reports.read_exact(&mut report).is_ok() {
        lock(&ledger).reported(report);
    }
    let verdict = lock(&ledger).verdict(plan);
    writeln!(out, "{verdict}").expect("a reader");
    verdict.is_well()
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The requests of a connection, one after another. None has a body.
async fn connection(mut stream: TcpStream, plan: Plan, ledger: Arc<Mutex<Ledger>>) {
    stream.set_nodelay(true).expect("a socket");
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let head = String::from_utf8_lossy(&head);
        let Some(call) = answer::call(&head) else {
            lock(&ledger).foreign();
            return;
        };
        lock(&ledger).requested(call);
        tokio::time::sleep(answer::delay(plan, call)).await;
        let answer = Answer::of(plan, call);
        let (bytes, is_kept) = answer.bytes(call);
        match answer {
            Answer::Silence => {
                // The client says no more: it goes away.
                let _ = stream.read_u8().await;
                return;
            }
            Answer::Reset => stream.set_zero_linger().expect("a socket"),
            _ => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
        lock(&ledger).answered(call);
        if !is_kept {
            return;
        }
    }
}
