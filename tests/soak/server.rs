//! The server, a process of its own: it answers, and keeps the ledger.

use std::io::{Read, Write};
use std::process::ChildStdin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use testing::answer::Answer;
use testing::process::Process;
use testing::recorded::Recorded;
use tokio::runtime::Runtime;

use crate::ledger::{Ledger, REPORT_BYTES};
use crate::plan::{self, Plan, Planned};

/// The server's process.
pub struct Server {
    process: Process,
    pub port: u16,
}

impl Server {
    /// Starts it.
    pub fn start(plan: Plan) -> Server {
        let large = if plan.has_large { "large" } else { "small" };
        let mut process = Process::start(&["serve", &plan.seed.to_string(), large]);
        let port = process.line().parse().expect("a port");
        Server { process, port }
    }

    /// Where the calls are reported to. There is one; the verdict comes once it is dropped.
    pub fn reports(&mut self) -> ChildStdin {
        self.process.input()
    }

    /// Prints what the ledger comes to, and says whether that is well.
    pub fn verdict(self) -> bool {
        let (text, is_well) = self.process.end();
        print!("\n{text}");
        is_well
    }
}

/// Serves until standard input, which the reports come by, closes. Says whether the ledger is well.
pub fn serve(runtime: &Runtime, plan: Plan) -> bool {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let in_server = ledger.clone();
    let server =
        testing::server::Server::start(move |_, request| answer(request, plan, in_server.clone()));
    let server = runtime.block_on(server).without_records();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", server.address.port()).expect("a reader");
    out.flush().expect("a reader");
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

async fn answer(request: Recorded, plan: Plan, ledger: Arc<Mutex<Ledger>>) -> Answer {
    let Some(call) = plan::call(request.line()) else {
        lock(&ledger).foreign();
        return Answer::nothing();
    };
    lock(&ledger).requested(call);
    tokio::time::sleep(plan::delay(plan, call)).await;
    lock(&ledger).answered(call);
    Planned::of(plan, call).answer(call)
}
