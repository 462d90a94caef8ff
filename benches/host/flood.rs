//! Many calls in one process: its memory, its time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use operations_host::{Block, Instances};
use tokio::task::JoinSet;

use crate::clients::{call, load, reused};

/// So many calls at once, to a server that takes its time. Prints the seconds, the peak memory in
/// kibibytes, what of it is this process's own, and the processor time per call in microseconds.
///
/// The kernel counts a page of the block's data, which instances share until they write to it, once for
/// each of them; what is the process's own is without those.
pub async fn flood(world: &str, endpoint: &str, calls: u32, ca: Option<&Path>) {
    let block = match world {
        "sans-io" => Block::sans_io(),
        _ => Block::builtin(),
    };
    let block = Arc::new(load(&block, Instances::Fresh, calls, calls as usize, ca));
    let call = call(endpoint);
    let own = Arc::new(AtomicU64::new(0));
    let watched = tokio::spawn(watch(own.clone()));
    let processor = processor_time();
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..calls {
        let (block, call) = (block.clone(), call.clone());
        tasks.spawn(async move {
            block
                .call(&call)
                .await
                .expect("the operation is there")
                .done
        });
    }
    while let Some(done) = tasks.join_next().await {
        assert!(done.expect("no call fails"));
    }
    let took = since.elapsed().as_secs_f64();
    let processor = (processor_time() - processor) * 1e6 / f64::from(calls);
    watched.abort();
    let own = own.load(Ordering::Relaxed);
    println!("{took} {} {own} {processor}", status("VmHWM"));
}

/// Keeps the largest memory that is this process's own, in kibibytes.
async fn watch(largest: Arc<AtomicU64>) {
    loop {
        largest.fetch_max(status("RssAnon") as u64, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// So many instances that wait for a call. Prints the memory of one in kibibytes.
pub async fn idle(endpoint: &str, instances: u32) {
    let block = load(&Block::builtin(), reused(), instances, 64, None);
    let call = call(endpoint);
    // The first call pays for what all share.
    block.call(&call).await.expect("the operation is there");
    block.drop_idle();
    let before = status("VmRSS");
    let block = &block;
    // An instance is warm after a call, so all of them are made to answer one at the same time.
    let calls = (0..instances).map(|_| block.call(&call));
    for outputs in futures(calls).await {
        assert!(outputs);
    }
    println!("{}", (status("VmRSS") - before) / f64::from(instances));
}

async fn futures<F, E>(calls: impl Iterator<Item = F>) -> Vec<bool>
where
    F: Future<Output = Result<operations_host::Outputs, E>>,
    E: std::fmt::Debug,
{
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(outputs) => {
                done.push(outputs.expect("the operation is there").done);
                false
            }
        });
        match calls.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done
}

/// A line of `/proc/self/status`, in kibibytes.
fn status(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(field));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

/// What this process has used, in seconds: ticks of 1/100 s.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().expect("a number"))
        .sum::<f64>()
        / 100.0
}
