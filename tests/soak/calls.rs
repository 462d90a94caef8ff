//! The calls, through two hosts.

use std::io::{BufWriter, Write};
use std::num::NonZeroU32;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use operations_host::{Block, Call, Host, HostConfig, Instances, LoadedBlock};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::answer::{self, Answer, Plan};
use crate::ledger::REPORT_BYTES;
use crate::outcome::Outcome;
use crate::samples::Samples;

/// Calls in flight in each of the two hosts.
const IN_FLIGHT: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The deadline of a call: many times what an answer takes, a place in the queue for a connection included.
const DEADLINE_MS: &str = "3000";

/// Calls that a reused instance serves.
const CALLS_OF_AN_INSTANCE: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Calls that came to something else are shown, but not all of them.
const MOST_SHOWN: u32 = 20;

/// What all tasks have.
struct Run {
    plan: Plan,
    endpoint: String,
    until: Instant,
    next: AtomicU32,
    shown: AtomicU32,
    reports: mpsc::Sender<[u8; REPORT_BYTES]>,
}

/// Calls for this time, and reports each. Gives the samples that were taken meanwhile.
pub async fn run(port: u16, plan: Plan, time: Duration, reports: ChildStdin) -> Samples {
    let mut samples = Samples::new(port, time);
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
        until: Instant::now() + time,
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
    samples.take_all(&run.next).await;
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
    while Instant::now() < run.until {
        let number = run.next.fetch_add(1, Ordering::Relaxed);
        let call = Call::new(answer::name(number))
            .setting("OPERATIONS_ENDPOINT", &run.endpoint)
            .setting("OPERATIONS_TIMEOUT_MS", DEADLINE_MS)
            .setting("OPERATIONS_MAX_ATTEMPTS", "1");
        let result = block.call(&call).await;
        let outcome = Outcome::of(number, &result);
        let answer = Answer::of(run.plan, number);
        let is_expected = outcome == answer.outcome() || outcome.is_late(answer);
        if !is_expected && run.shown.fetch_add(1, Ordering::Relaxed) < MOST_SHOWN {
            eprintln!("call {number}, {answer:?}, came to {outcome:?}: {result:?}");
        }
        let [a, b, c, d] = number.to_le_bytes();
        let report = [a, b, c, d, outcome as u8];
        run.reports.send(report).await.expect("it is written");
    }
}
