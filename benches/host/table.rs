//! Runs everything and prints the table.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use operations_host::{Block, Instances};
use tokio::runtime::Runtime;

use crate::clients::{Bare, Client, call, load, reused};
use crate::measure::{latency, median, throughput};
use crate::server::Server;

const FLOOD: u32 = 10_000;
const IN_FLIGHT: usize = 64;

/// Prints each figure as soon as it is there, with what it is held against. Without sections, all of them.
pub fn print(runtime: &Runtime, sections: &[&str]) {
    let server = Server::start();
    let plain = format!("http://{}/v1", server.plain);
    let tls = format!("https://{}/v1", server.tls);
    let wanted = |section: &str| sections.is_empty() || sections.contains(&section);
    // One alone, to be looked at by a profiler.
    let (wasi, sans_io) = (Block::builtin(), Block::sans_io());
    for (section, block, instances, in_flight) in [
        ("reused", &wasi, reused(), IN_FLIGHT),
        ("fresh", &wasi, Instances::Fresh, IN_FLIGHT),
        ("reused-one", &wasi, reused(), 1),
        ("fresh-one", &wasi, Instances::Fresh, 1),
        ("sans-io-reused", &sans_io, reused(), IN_FLIGHT),
        ("sans-io-fresh", &sans_io, Instances::Fresh, IN_FLIGHT),
        ("sans-io-reused-one", &sans_io, reused(), 1),
        ("sans-io-fresh-one", &sans_io, Instances::Fresh, 1),
    ] {
        if sections.contains(&section) {
            let client = Arc::new(Client::block(block, instances, &plain, None));
            let rates = runtime.block_on(throughput(&[client], in_flight));
            println!("{section}: {:.0}/s", rates[0]);
            return;
        }
    }
    row("", "median", "ratio", "at most/least");
    if wanted("call") {
        one_at_a_time(runtime, in_the_clear(&server, &plain));
    }
    if wanted("flight") {
        in_flight(runtime, &in_the_clear(&server, &plain));
    }
    if wanted("tls") {
        over_tls(runtime, &server, &tls);
    }
    if wanted("instance") {
        instantiation(runtime, &plain);
        let idle = child(&["idle", &plain, "1000"]);
        row(
            "an idle warm instance",
            &format!("{:.0} KiB", idle[0]),
            "",
            "",
        );
    }
    if wanted("start") {
        start_from_cache();
    }
    if wanted("flood") {
        flood(&server);
    }
}

fn in_the_clear(server: &Server, endpoint: &str) -> Vec<Arc<Client>> {
    let clients = [
        Client::Hyper(server.plain.clone()),
        Client::block(&Block::builtin(), reused(), endpoint, None),
        Client::block(&Block::builtin(), Instances::Fresh, endpoint, None),
        Client::block(&Block::sans_io(), reused(), endpoint, None),
        Client::block(&Block::sans_io(), Instances::Fresh, endpoint, None),
        Client::Wasmtime(Arc::new(Bare::new(endpoint, None))),
    ];
    clients.map(Arc::new).into()
}

fn one_at_a_time(runtime: &Runtime, clients: Vec<Arc<Client>>) {
    let times = on_a_thread_of(runtime, async move { latency(&clients).await });
    let of = |at: usize| micros(times[at]);
    let ratio = |at: usize| format!("{:.2}", times[at].as_secs_f64() / times[0].as_secs_f64());
    row("call: hyper, connection kept", &of(0), "1", "");
    row("call: block, reused instance", &of(1), &ratio(1), "<= 1.5");
    row("call: block, fresh instance", &of(2), &ratio(2), "<= 2.5");
    row(
        "call: sans-I/O, reused instance",
        &of(3),
        &ratio(3),
        "<= 1.8",
    );
    row(
        "call: sans-I/O, fresh instance",
        &of(4),
        &ratio(4),
        "<= 2.5",
    );
    row("call: block on wasmtime as it comes", &of(5), &ratio(5), "");
}

fn in_flight(runtime: &Runtime, clients: &[Arc<Client>]) {
    let rates = runtime.block_on(throughput(clients, IN_FLIGHT));
    let of = |at: usize| format!("{:.0}/s", rates[at]);
    let ratio = |at: usize| format!("{:.2}", rates[at] / rates[0]);
    row("64 in flight: hyper", &of(0), "1", "");
    row("64 in flight: block, reused", &of(1), &ratio(1), ">= 0.5");
    row("64 in flight: block, fresh", &of(2), &ratio(2), ">= 0.3");
    row(
        "64 in flight: sans-I/O, reused",
        &of(3),
        &ratio(3),
        ">= 0.55",
    );
    row("64 in flight: sans-I/O, fresh", &of(4), &ratio(4), ">= 0.4");
    row("64 in flight: wasmtime as it comes", &of(5), &ratio(5), "");
}

fn over_tls(runtime: &Runtime, server: &Server, endpoint: &str) {
    let clients = [
        Client::Wasmtime(Arc::new(Bare::new(endpoint, Some(&server.ca)))),
        Client::block(&Block::builtin(), reused(), endpoint, Some(&server.ca)),
        Client::block(
            &Block::builtin(),
            Instances::Fresh,
            endpoint,
            Some(&server.ca),
        ),
    ]
    .map(Arc::new);
    let rates = runtime.block_on(throughput(&clients, IN_FLIGHT));
    let of = |at: usize| format!("{:.0}/s", rates[at]);
    let ratio = |at: usize| format!("{:.1}", rates[at] / rates[0]);
    row("64 over TLS: wasmtime as it comes", &of(0), "1", "");
    row("64 over TLS: block, reused", &of(1), &ratio(1), ">= 5");
    row("64 over TLS: block, fresh", &of(2), &ratio(2), ">= 5");
}

/// Runs it on one of the two threads, and not on this one, which would be a third.
fn on_a_thread_of<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let work = runtime.spawn(work);
    runtime.block_on(work).expect("no call fails")
}

fn instantiation(runtime: &Runtime, endpoint: &str) {
    let block = load(&Block::builtin(), Instances::Fresh, 100, 64, None);
    let call = call(endpoint);
    let times = on_a_thread_of(runtime, async move {
        let mut times = Vec::new();
        for _ in 0..2000 {
            let since = Instant::now();
            block.prepare(&call).await.expect("room");
            times.push(since.elapsed());
        }
        times
    });
    row(
        "an instance made and dropped",
        &micros(median(times)),
        "",
        "<= 15 µs",
    );
}

fn start_from_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || {
        let since = Instant::now();
        let host = operations_host::Host::with(operations_host::HostConfig {
            cache: Some(folder.path().to_owned()),
            ..operations_host::HostConfig::default()
        });
        let host = host.expect("the engine runs here");
        let block = host.load(&Block::builtin());
        let took = since.elapsed();
        block.expect("the block fits");
        took
    };
    let first = start();
    row(
        "start: compiled",
        &format!("{:.0} ms", first.as_secs_f64() * 1e3),
        "",
        "",
    );
    let times = (0..21).map(|_| start()).collect();
    let cached = median::<Duration>(times);
    row(
        "start: from the cache",
        &format!("{:.1} ms", cached.as_secs_f64() * 1e3),
        "",
        "< 20 ms",
    );
}

/// Calls of 3 s, from one at a time to ten thousand, each number in a process of its own.
fn flood(server: &Server) {
    let needed = FLOOD + 100;
    let open_files = open_file_limit();
    if open_files < needed {
        println!(
            "the open-file limit is {open_files}; {FLOOD} connections need {needed}: `ulimit -n {needed}` first"
        );
        return;
    }
    let plain = format!("http://{}/slow/v1", server.plain);
    let tls = format!("https://{}/slow/v1", server.tls);
    let ca = server.ca.to_str().expect("a path in UTF-8");
    for calls in [1, 10, 100, 1000, FLOOD] {
        slow_calls("HTTP/1.1", calls, &["block", &plain, &calls.to_string()]);
    }
    let calls = FLOOD.to_string();
    slow_calls("HTTP/2", FLOOD, &["block", &tls, &calls, ca]);
    slow_calls("HTTP/1.1, sans-I/O", FLOOD, &["sans-io", &plain, &calls]);
    slow_calls("HTTP/2, sans-I/O", FLOOD, &["sans-io", &tls, &calls, ca]);
}

fn slow_calls(protocol: &str, calls: u32, arguments: &[&str]) {
    let arguments = [&["flood"], arguments].concat();
    let [took, memory, own, processor] = child(&arguments)[..] else {
        panic!("four numbers were expected");
    };
    let (memory, own) = (memory / 1024.0, own / 1024.0);
    row(
        &format!("{calls} calls of 3 s, {protocol}"),
        &format!("{took:.2} s"),
        &format!("{memory:.0} MiB ({own:.0} own), {processor:.0} µs/call"),
        if calls == FLOOD { "<= 6 s, < 1 GB" } else { "" },
    );
}

/// The numbers that this program prints with these arguments, in a process of its own.
fn child(arguments: &[&str]) -> Vec<f64> {
    let this = std::env::current_exe().expect("this program");
    let output = Command::new(this)
        .args(arguments)
        .output()
        .expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect()
}

fn open_file_limit() -> u32 {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(u32::MAX)
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

fn row(what: &str, figure: &str, ratio: &str, held_against: &str) {
    println!("{what:<37} {figure:>12} {ratio:>20}  {held_against}");
}
