//! Metrics and spans: what calls came to, and nothing of what they held.

use std::collections::BTreeMap;
use std::sync::Arc;

use operations_host::{Access, Call, HostConfig};

use crate::traced::Captured;
use crate::{call, config, load, reused, to};
use testing::CANARY;
use testing::server::{Server, closed_port, error, json};

/// Answers by the name that is asked for.
async fn service() -> Server {
    Server::start(|_, asked| async move {
        match asked.id() {
            "running" => json(200, r#"{"name":"operations/running","metadata":{"private":"body-text"}}"#),
            "succeeded" => json(200, r#"{"name":"operations/succeeded","done":true,"response":{"private":"body-text"}}"#),
            "failed" => json(200, r#"{"name":"operations/failed","done":true,"error":{"code":7,"message":"body-text"}}"#),
            "quota" => error(429, "RESOURCE_EXHAUSTED", "body-text"),
            _ => error(404, "NOT_FOUND", "body-text"),
        }
    })
    .await
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let server = service().await;
    let (host, get) = load(HostConfig {
        instances: reused(100),
        ..config()
    });
    for id in [
        "running",
        "running",
        "succeeded",
        "failed",
        "quota",
        "missing",
    ] {
        let call =
            Call::new(format!("operations/{id}")).setting("OPERATIONS_ENDPOINT", server.endpoint());
        let _ = get.call(&call).await;
    }
    let closed = closed_port().await;
    let nobody = to(format!("http://{closed}/v1")).setting("OPERATIONS_MAX_ATTEMPTS", "1");
    assert!(get.call(&nobody).await.unwrap_err().is_transient());
    let unknown = get.call(&call(&server).setting("PATH", "x")).await;
    assert!(unknown.is_err());

    let text = host
        .metrics()
        .replace(&server.address.to_string(), "service")
        .replace(&closed.to_string(), "closed");
    // What is counted, without the times.
    let mut counted: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("_bucket{") && !line.contains("_sum{"))
        .filter(|line| !line.starts_with('#'))
        .collect();
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            r#"operations_call_duration_seconds_count{outcome="failed"} 1"#,
            r#"operations_call_duration_seconds_count{outcome="permanent"} 1"#,
            r#"operations_call_duration_seconds_count{outcome="refused"} 1"#,
            r#"operations_call_duration_seconds_count{outcome="running"} 2"#,
            r#"operations_call_duration_seconds_count{outcome="succeeded"} 1"#,
            r#"operations_call_duration_seconds_count{outcome="transient"} 2"#,
            "operations_calls_in_flight 0",
            r#"operations_calls_total{outcome="failed",reason=""} 1"#,
            r#"operations_calls_total{outcome="permanent",reason="not-found"} 1"#,
            r#"operations_calls_total{outcome="refused",reason=""} 1"#,
            r#"operations_calls_total{outcome="running",reason=""} 2"#,
            r#"operations_calls_total{outcome="succeeded",reason=""} 1"#,
            r#"operations_calls_total{outcome="transient",reason="quota-exceeded"} 1"#,
            r#"operations_calls_total{outcome="transient",reason="unreachable"} 1"#,
            "operations_calls_waiting 0",
            r#"operations_instances_total{kind="fresh"} 2"#,
            r#"operations_instances_total{kind="reused"} 5"#,
            r#"operations_requests_total{host="closed",status="none"} 1"#,
            r#"operations_requests_total{host="service",status="200"} 4"#,
            r#"operations_requests_total{host="service",status="404"} 1"#,
            r#"operations_requests_total{host="service",status="429"} 1"#,
        ]
    );
    is_open_metrics(&text);
}

/// The form that the text has to have (OpenMetrics 1.0, "Text format"), as far as it is used.
fn is_open_metrics(text: &str) {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut types = BTreeMap::new();
    let mut buckets: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.strip_suffix("# EOF\n").unwrap().lines() {
        if let Some(described) = line.strip_prefix("# ") {
            let mut words = described.splitn(3, ' ');
            let (what, family, rest) = (words.next(), words.next().unwrap(), words.next().unwrap());
            match what.unwrap() {
                "TYPE" => assert_eq!(types.insert(family, rest), None, "{family} twice"),
                "HELP" => assert!(rest.ends_with('.'), "{line}"),
                "UNIT" => assert!(family.ends_with(&format!("_{rest}")), "{line}"),
                other => panic!("{other}"),
            }
            continue;
        }
        let (metric, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once('=').unwrap();
            assert!(key.bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
            assert!(
                value.len() >= 2 && value.starts_with('"') && value.ends_with('"'),
                "{line}"
            );
        }
        let family = types.keys().find(|family| match types[**family] {
            "gauge" => name == **family,
            "counter" => name == format!("{family}_total"),
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| name == format!("{family}{end}")),
            other => panic!("{other}"),
        });
        assert!(family.is_some(), "{line} is of no family");
        if name.ends_with("_bucket") {
            let of = labels
                .split(',')
                .find(|label| label.starts_with("outcome"))
                .unwrap();
            let before = buckets.insert(of.to_owned(), value as u64).unwrap_or(0);
            assert!(before <= value as u64, "{line}");
        }
    }
    assert_eq!(types.len(), 6);
}

#[tokio::test]
async fn the_span_of_a_call_says_how_it_went_and_nothing_of_its_content() {
    let server = service().await;
    let (captured, _guard) = Captured::everything();
    let (_host, get) = load(HostConfig {
        access: Access::token(CANARY.to_owned()).unwrap(),
        ..config()
    });
    let nobody = closed_port().await;
    let unreachable = format!("http://{nobody}/v1");
    let endpoint = server.endpoint();
    for (id, endpoint) in [
        ("succeeded", &endpoint),
        ("quota", &endpoint),
        ("private-name", &endpoint),
        ("private-name", &unreachable),
    ] {
        let call = Call::new(format!("projects/private-project/operations/{id}"))
            .setting("OPERATIONS_ENDPOINT", endpoint)
            .setting("GOOGLE_CLOUD_QUOTA_PROJECT", "private-quota")
            .setting("OPERATIONS_MAX_ATTEMPTS", "2");
        let _ = get.call(&call).await;
    }
    let refused = get
        .call(&Call::new("operations/o").setting("SECRET", CANARY))
        .await;
    assert!(refused.is_err());

    let kept = captured.kept();
    let calls: Vec<_> = kept
        .closed
        .iter()
        .filter(|(name, _)| *name == "call")
        .map(|(_, fields)| {
            let of = |field| fields.0.get(field).map_or("unset", String::as_str);
            (of("service"), of("attempts"), of("outcome"), of("reason"))
        })
        .collect();
    let service = server.address.to_string();
    let closed = nobody.to_string();
    assert_eq!(
        calls,
        [
            (service.as_str(), "1", "succeeded", "unset"),
            (service.as_str(), "1", "transient", "quota-exceeded"),
            (service.as_str(), "1", "permanent", "not-found"),
            (closed.as_str(), "2", "transient", "unreachable"),
            ("unset", "0", "refused", "unset"),
        ]
    );
    // At the lowest level, too.
    for held in [
        "private-name",
        "private-project",
        "private-quota",
        "body-text",
        "operations/",
    ] {
        let line = kept.ours.lines().find(|line| line.contains(held));
        assert_eq!(line, None, "{held}");
    }
    // The crates below trace paths and bodies, and not the credential.
    assert!(!kept.all.contains(CANARY));
    assert_eq!(
        kept.events
            .iter()
            .filter(|event| *event == "answer")
            .count(),
        3
    );
    assert_eq!(
        kept.events
            .iter()
            .filter(|event| *event == "no answer")
            .count(),
        2
    );
    assert_eq!(
        kept.events
            .iter()
            .filter(|event| *event == "call ended")
            .count(),
        5
    );
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_span() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let (captured, _guard) = Captured::everything();
    let (_host, get) = load(config());
    let call = call(&server);
    tokio::select! {
        _ = get.call(&call) => panic!("the gate is closed"),
        () = server.until(|seen| seen.in_flight == 1) => {}
    }
    let kept = captured.kept();
    assert_eq!(
        kept.closed
            .iter()
            .filter(|(name, _)| *name == "call")
            .count(),
        1
    );
}
