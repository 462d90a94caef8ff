//! The calls, through two hosts.

use std::io::{BufWriter, Write};
use std::num::NonZeroU32;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use operations_host::{Block, Call, Host, HostConfig, Instances, LoadedBlock};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ledger::REPORT_BYTES;
use crate::outcome::Outcome;
use crate::plan::{self, Plan, Planned};
use crate::samples::Samples;

/// Calls in flight in each of the two hosts.
const IN_FLIGHT: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The deadline of a call that is never answered. It passes, however fast the machine is.
const SILENCE_MS: &str = "3000";

/// The deadline of the others, the longest there is. It never passes, however slow the machine is.
const DEADLINE_MS: &str = "600000";

/// Calls that a reused instance serves.
const CALLS_OF_AN_INSTANCE: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// At most so many of the calls that ended otherwise than planned are shown.
const MAX_SHOWN: u32 = 20;

/// What all tasks have.
struct Run {
    plan: Plan,
    endpoint: String,
    calls: u32,
    next: AtomicU32,
    shown: AtomicU32,
    reports: mpsc::Sender<[u8; REPORT_BYTES]>,
}

/// Makes so many calls, and reports each. Gives the samples that were taken meanwhile.
pub async fn run(port: u16, plan: Plan, calls: u32, reports: ChildStdin) -> Samples {
    let mut samples = Samples::new(port);
    let instances = [
        Instances::Fresh,
        Instances::Reused {
            calls: CALLS_OF_AN_INSTANCE,
        },
    ];
    let blocks = instances.map(|instances| Arc::new(load(instances)));
    let (sender, receiver) = mpsc::channel(1024);
    let writer = std::thread::spawn(move || write(receiver, reports));
    let run = Arc::new(Run {
        plan,
        endpoint: format!("http://127.0.0.1:{port}/v1"),
        calls,
        next: AtomicU32::new(0),
        shown: AtomicU32::new(0),
        reports: sender,
    });
    let mut tasks = JoinSet::new();
    for _ in 0..IN_FLIGHT.get() {
        for block in &blocks {
            tasks.spawn(one_after_another(block.clone(), run.clone()));
        }
    }
    samples.take_all(calls, &run.next).await;
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
    drop(run);
    writer.join().expect("the server takes the reports");
    drop(blocks);
    samples.take_last().await;
    samples
}

fn load(instances: Instances) -> LoadedBlock {
    let host = Host::with(HostConfig {
        instances,
        calls_in_flight: IN_FLIGHT,
        ..HostConfig::default()
    });
    let host = host.expect("the engine runs here");
    host.load(&Block::builtin()).expect("the block fits")
}

fn write(mut reports: mpsc::Receiver<[u8; REPORT_BYTES]>, out: ChildStdin) {
    let mut out = BufWriter::new(out);
    while let Some(report) = reports.blocking_recv() {
        out.write_all(&report).expect("the server reads");
    }
    out.flush().expect("the server reads");
}

async fn one_after_another(block: Arc<LoadedBlock>, run: Arc<Run>) {
    loop {
        let number = run.next.fetch_add(1, Ordering::Relaxed);
        if number >= run.calls {
            return;
        }
        let planned = Planned::of(run.plan, number);
        let deadline = match planned {
            Planned::Silence => SILENCE_MS,
            _ => DEADLINE_MS,
        };
        let call = Call::new(plan::name(number))
            .setting("OPERATIONS_ENDPOINT", &run.endpoint)
            .setting("OPERATIONS_TIMEOUT_MS", deadline)
            .setting("OPERATIONS_MAX_ATTEMPTS", "1");
        let result = block.call(&call).await;
        let outcome = Outcome::of(number, &result);
        if outcome != planned.outcome() && run.shown.fetch_add(1, Ordering::Relaxed) < MAX_SHOWN {
            eprintln!("call {number}, {planned:?}, ended as {outcome:?}: {result:?}");
        }
        let [a, b, c, d] = number.to_le_bytes();
        let report = [a, b, c, d, outcome as u8];
        run.reports.send(report).await.expect("it is written");
    }
}
