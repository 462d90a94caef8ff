//! The engine against the emulator.

use std::time::Duration;

use embed::{Branch, Connection, Engine};
use operations_emulator::{self as emulator, Emulator, Running};
use operations_host::{Access, Reason};

const LONG: Duration = Duration::from_secs(60);

async fn emulator(run_time: Duration) -> Running {
    let emulator = Emulator::builtin_with_run_time(run_time);
    emulator.bind(([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// A step for each of the emulator's operations: its branch, and the progress that it saw.
async fn steps(
    engine: &Engine,
    running: &Running,
    patience: Duration,
) -> Vec<(Branch, Vec<String>)> {
    let mut branches = Vec::new();
    for (service, name) in emulator::builtin_names() {
        let connection = Connection {
            service: service.to_owned(),
            endpoint: Some(running.endpoint()),
        };
        let mut seen = Vec::new();
        let on_progress = |progress: &str| seen.push(progress.to_owned());
        let branch = engine.step(&connection, name, patience, on_progress).await;
        branches.push((branch, seen));
    }
    branches
}

#[tokio::test]
async fn a_flow_waits_until_an_operation_is_done_and_takes_the_branch_of_its_result() {
    let engine = Engine::start(Access::none(), None).unwrap();
    let running = emulator(Duration::from_secs(1)).await;
    let ended = steps(&engine, &running, LONG).await;
    let succeeded = |branch: &Branch| matches!(branch, Branch::Succeeded { response: Some(_) });
    assert!(succeeded(&ended[0].0), "{:?}", ended[0]);
    assert!(
        matches!(&ended[1].0, Branch::Failed { code: 7, message } if message.starts_with("Permission")),
        "{:?}",
        ended[1]
    );
    assert!(succeeded(&ended[2].0), "{:?}", ended[2]);
    assert_eq!(engine.variables().len(), 11);

    let metrics = engine.metrics();
    for line in [
        r#"operations_calls_total{outcome="succeeded",reason=""} 2"#,
        r#"operations_calls_total{outcome="failed",reason=""} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn an_operation_that_is_not_done_in_time_is_late_and_its_progress_is_shown() {
    let engine = Engine::start(Access::none(), None).unwrap();
    let hour = emulator(Duration::from_secs(3600)).await;
    let late = steps(&engine, &hour, Duration::from_millis(100)).await;
    let running = Branch::Late { last_failure: None };
    assert!(
        late.iter().all(|(branch, _)| *branch == running),
        "{late:?}"
    );
    let seen: Vec<_> = late.iter().map(|(_, seen)| seen.first()).collect();
    assert_eq!(seen, [None, None, Some(&"0".to_owned())]);
}

#[tokio::test]
async fn a_flow_waits_out_what_may_pass_and_asks_a_person_about_the_rest() {
    let engine = Engine::start(Access::none(), None).unwrap();
    let running = emulator(Duration::ZERO).await;
    let connection = Connection {
        service: "apigateway.googleapis.com".to_owned(),
        endpoint: Some(running.endpoint()),
    };
    let step = |name, patience| engine.step(&connection, name, patience, |_| {});
    let busy = step("operations/error-503", Duration::from_millis(100)).await;
    let Branch::Late {
        last_failure: Some(message),
    } = busy
    else {
        panic!("{busy:?}");
    };
    assert!(message.contains("503"), "{message}");
    for (name, expected) in [
        ("operations/none-such", Reason::NotFound),
        ("operations/error-401", Reason::Unauthenticated),
        ("no operation", Reason::InvalidName),
    ] {
        let branch = step(name, LONG).await;
        let Branch::ForAPerson { reason, message } = branch else {
            panic!("{branch:?}");
        };
        assert_eq!(reason, Some(expected));
        assert!(!message.is_empty());
    }

    engine.stop().await;
    assert_eq!(
        step("operations/o", LONG).await,
        Branch::ForAPerson {
            reason: None,
            message: "the host is stopping and accepts no more calls".to_owned()
        }
    );
}
