//! The engine against the emulator.

use std::time::Duration;

use embed::{Branch, Connection, Engine};
use operations_emulator::{self as emulator, Emulator, Running};
use operations_host::{Access, Reason};

async fn emulator(run_time: Duration) -> Running {
    let emulator = Emulator::builtin_with_run_time(run_time);
    emulator.bind(([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// One step for each of the emulator's operations.
async fn steps(engine: &Engine, running: &Running) -> Vec<Branch> {
    let mut branches = Vec::new();
    for (service, name) in emulator::builtin_names() {
        let connection = Connection {
            service: service.to_owned(),
            endpoint: Some(running.endpoint()),
        };
        branches.push(engine.step(&connection, name).await);
    }
    branches
}

#[tokio::test]
async fn a_flow_takes_the_branch_that_the_operation_says() {
    let engine = Engine::start(Access::none(), None).unwrap();
    let hour = emulator(Duration::from_secs(3600)).await;
    let begun = steps(&engine, &hour).await;
    assert_eq!(begun[0], Branch::Running { progress: None });
    assert_eq!(begun[1], Branch::Running { progress: None });
    assert_eq!(
        begun[2],
        Branch::Running {
            progress: Some("0".to_owned())
        }
    );

    let at_once = emulator(Duration::ZERO).await;
    let ended = steps(&engine, &at_once).await;
    let succeeded = |branch: &Branch| matches!(branch, Branch::Succeeded { response: Some(_) });
    assert!(succeeded(&ended[0]), "{:?}", ended[0]);
    assert!(
        matches!(&ended[1], Branch::Failed { code: 7, message } if message.starts_with("Permission")),
        "{:?}",
        ended[1]
    );
    assert!(succeeded(&ended[2]), "{:?}", ended[2]);
    assert_eq!(engine.variables().len(), 11);

    let metrics = engine.metrics();
    for line in [
        r#"operations_calls_total{outcome="running",reason=""} 3"#,
        r#"operations_calls_total{outcome="succeeded",reason=""} 2"#,
        r#"operations_calls_total{outcome="failed",reason=""} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_flow_runs_a_step_again_where_that_helps_and_asks_a_person_where_it_does_not() {
    let engine = Engine::start(Access::none(), None).unwrap();
    let running = emulator(Duration::ZERO).await;
    let connection = Connection {
        service: "apigateway.googleapis.com".to_owned(),
        endpoint: Some(running.endpoint()),
    };
    let busy = engine.step(&connection, "operations/error-503").await;
    let second = Duration::from_secs(1);
    assert!(
        matches!(busy, Branch::Again { after } if after >= second),
        "{busy:?}"
    );
    for (name, expected) in [
        ("operations/none-such", Reason::NotFound),
        ("operations/error-401", Reason::Unauthenticated),
        ("no operation", Reason::InvalidName),
    ] {
        let branch = engine.step(&connection, name).await;
        let Branch::ForAPerson { reason, message } = branch else {
            panic!("{branch:?}");
        };
        assert_eq!(reason, Some(expected));
        assert!(!message.is_empty());
    }

    engine.stop().await;
    let stopped = engine.step(&connection, "operations/o").await;
    assert_eq!(
        stopped,
        Branch::ForAPerson {
            reason: None,
            message: "the host is stopping, and takes no more calls".to_owned()
        }
    );
}
