//! Flattening alone, natively: `cargo bench --bench flatten`. The host has its own figures
//! (`cargo bench --bench host`).

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use operations_get::flatten::flatten;
use operations_get::operation::Operation;

/// Next to serde_json's own values, for an answer with 200 KB of response.
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

criterion_group!(benches, flattening);
criterion_main!(benches);
