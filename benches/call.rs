//! A call through the block next to a plain hyper client, against one server on loopback with one
//! body, in one run: `cargo bench`. The ratio is the figure; absolute times are the machine's.

use std::hint::black_box;
use std::net::SocketAddr;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use operations_get::flatten::flatten;
use operations_get::operation::Operation;
use operations_host::emulator::{Emulator, Running};
use operations_host::{Block, Call, Host};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const NAME: &str = "projects/demo/locations/global/operations/operation-create-api";

fn served(runtime: &Runtime) -> Running {
    let emulator = Emulator::builtin_with_run_time(Duration::ZERO);
    runtime
        .block_on(emulator.bind(([127, 0, 0, 1], 0).into()))
        .expect("loopback has a free port")
}

fn calls(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let running = served(&runtime);
    let mut group = criterion.benchmark_group("call");

    let address = running.local_addr();
    group.bench_function("hyper, new connection", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async move { plain(connect(address).await).await });
    });

    let host = Host::new().expect("the engine runs here");
    let block = host.load(&Block::builtin()).expect("the block fits");
    let call = Call::new(NAME).setting("OPERATIONS_ENDPOINT", running.endpoint());
    group.bench_function("block", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            assert!(
                block
                    .call(&call)
                    .await
                    .expect("the operation is there")
                    .done
            )
        });
    });
    group.finish();
}

async fn connect(address: SocketAddr) -> http1::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server accepts");
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("it speaks HTTP");
    tokio::spawn(connection);
    sender
}

/// What a client without the block does: one request, the body parsed.
async fn plain(mut sender: http1::SendRequest<Empty<Bytes>>) {
    let request = Request::get(format!("/v1/{NAME}"))
        .header("host", "localhost")
        .body(Empty::new());
    let response = sender
        .send_request(request.expect("a valid request"))
        .await
        .expect("an answer");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    let operation: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(operation["done"], true);
}

/// Flattening alone, next to serde_json's own values, for an answer with 200 KB of response.
fn flattening(criterion: &mut Criterion) {
    let members: Vec<String> = (0..2000)
        .map(|n| format!(r#""member{n}":{{"a":[1,2,3],"b":"text of some length, {n}"}}"#))
        .collect();
    let body = format!(
        r#"{{"name":"operations/o","done":true,"response":{{{}}}}}"#,
        members.join(",")
    );
    let mut group = criterion.benchmark_group("flatten");
    group.bench_function("serde_json::Value", |bencher| {
        bencher.iter(|| serde_json::from_str::<serde_json::Value>(black_box(&body)).expect("JSON"));
    });
    group.bench_function("block's own, natively", |bencher| {
        bencher.iter(|| {
            let operation = Operation::parse(black_box(body.as_bytes())).expect("an operation");
            flatten(operation, "operations/o")
        });
    });
    group.finish();
}

criterion_group!(benches, calls, flattening);
criterion_main!(benches);
