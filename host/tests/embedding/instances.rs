//! How long an instance lives, and what is kept of a compiled block.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use operations_host::{
    Block, CallError, Host, HostConfig, Instances, LoadError, LoadedBlock, MAX_REUSED_MEMORY,
    Reason,
};
use tokio::sync::Semaphore;

use crate::{call, config, instances_got, load, reused};
use testing::DONE;
use testing::server::{Server, json};

fn reusing(calls: u32) -> (Host, LoadedBlock) {
    load(HostConfig {
        instances: reused(calls),
        ..config()
    })
}

/// How many instances were new and how many had served others, after three calls of which the second did not end by
/// itself: without imports, an instance is held only while it computes, and there was nothing to drop.
fn after_an_unfinished_call() -> (u64, u64) {
    match crate::block().component() == Block::sans_io().component() {
        true => (1, 2),
        false => (2, 1),
    }
}

/// An operation with a response of so many bytes.
fn large(bytes: usize) -> String {
    let text = "x".repeat(bytes);
    format!(r#"{{"name":"operations/o","done":true,"response":{{"text":"{text}"}}}}"#)
}

#[tokio::test]
async fn a_fresh_instance_serves_one_call() {
    let server = Server::always(DONE).await;
    let (host, get) = load(HostConfig {
        instances: Instances::Fresh,
        ..config()
    });
    for _ in 0..3 {
        get.call(&call(&server)).await.unwrap();
    }
    assert_eq!(instances_got(&host), (3, 0));
}

#[tokio::test]
async fn a_reused_instance_serves_its_number_of_calls_and_no_more() {
    let server = Server::always(DONE).await;
    let (host, get) = reusing(3);
    for _ in 0..7 {
        get.call(&call(&server)).await.unwrap();
    }
    // 1 2 3, 4 5 6, 7.
    assert_eq!(instances_got(&host), (3, 4));
}

#[tokio::test]
async fn calls_with_different_settings_never_share_an_instance() {
    let server = Server::start(|_, asked| async move {
        // What a call of other settings would bring along.
        let project = asked.all("x-goog-user-project").join(",");
        json(
            200,
            format!(r#"{{"name":"operations/o","done":true,"response":{{"p":"{project}"}}}}"#),
        )
    })
    .await;
    let (host, get) = reusing(100);
    let of = |project: &str| call(&server).setting("GOOGLE_CLOUD_QUOTA_PROJECT", project);
    for project in ["a", "b", "a", "b", "b", "a"] {
        let outputs = get.call(&of(project)).await.unwrap();
        let expected = format!(r#"{{"p":"{project}"}}"#);
        assert_eq!(outputs.response.as_deref(), Some(expected.as_str()));
    }
    assert_eq!(instances_got(&host), (2, 4));
    get.call(&call(&server)).await.unwrap();
    assert_eq!(instances_got(&host), (3, 4));
}

#[tokio::test]
async fn an_instance_whose_call_failed_is_kept() {
    let server = Server::start(|number, _| async move {
        let status = if number == 1 { 404 } else { 200 };
        json(status, DONE)
    })
    .await;
    let (host, get) = reusing(100);
    assert!(get.call(&call(&server)).await.is_err());
    assert!(get.call(&call(&server)).await.unwrap().done);
    assert_eq!(instances_got(&host), (1, 1));
}

#[tokio::test]
async fn an_instance_is_dropped_after_a_call_that_ended_at_its_deadline() {
    let gate = Arc::new(Semaphore::new(1));
    let server = Server::gated(&gate).await;
    let (host, get) = reusing(100);
    let late = || call(&server).setting("OPERATIONS_TIMEOUT_MS", "500");
    get.call(&late()).await.unwrap();
    let error = get.call(&late()).await.unwrap_err();
    let CallError::Transient(failure) = error else {
        panic!("{error:?}");
    };
    assert_eq!(failure.reason, Reason::Timeout);
    assert_eq!(instances_got(&host), (1, 1));
    // The request went with the call.
    server.until(|seen| seen.in_flight == 0).await;
    gate.add_permits(1);
    assert!(get.call(&late()).await.unwrap().done);
    assert_eq!(instances_got(&host), after_an_unfinished_call());
}

#[tokio::test]
async fn an_instance_is_dropped_after_a_cancelled_call() {
    let gate = Arc::new(Semaphore::new(1));
    let server = Server::gated(&gate).await;
    let (host, get) = reusing(100);
    get.call(&call(&server)).await.unwrap();
    {
        let call = call(&server);
        let mut cancelled = std::pin::pin!(get.call(&call));
        tokio::select! {
            _ = &mut cancelled => panic!("the gate is closed"),
            () = server.until(|seen| seen.in_flight == 1) => {}
        }
    }
    assert_eq!(instances_got(&host), (1, 1));
    // The request went with the call.
    server.until(|seen| seen.in_flight == 0).await;
    gate.add_permits(1);
    assert!(get.call(&call(&server)).await.unwrap().done);
    assert_eq!(instances_got(&host), after_an_unfinished_call());
}

#[tokio::test]
async fn an_instance_is_dropped_after_an_answer_that_does_not_fit_in_its_memory() {
    let server = Server::start(|number, _| async move {
        let body = if number == 2 {
            large(10 << 20)
        } else {
            DONE.to_owned()
        };
        json(200, body)
    })
    .await;
    let (host, get) = load(HostConfig {
        instances: reused(100),
        memory_limit: 8 << 20,
        ..config()
    });
    get.call(&call(&server)).await.unwrap();
    let error = get.call(&call(&server)).await.unwrap_err();
    assert!(matches!(error, CallError::Aborted(_)), "{error:?}");
    assert!(!error.is_transient());
    assert_eq!(
        error.to_string(),
        "the block did not finish: it trapped or ran over a limit of the host"
    );
    assert!(get.call(&call(&server)).await.unwrap().done);
    assert_eq!(instances_got(&host), (2, 1));
}

#[tokio::test]
async fn an_instance_is_dropped_after_a_large_answer_and_kept_after_a_smaller_one() {
    let sizes = [MAX_REUSED_MEMORY, 100_000, 1000];
    let server =
        Server::start(move |number, _| async move { json(200, large(sizes[(number - 1).min(2)])) })
            .await;
    let (host, get) = reusing(100);
    let outputs = get.call(&call(&server)).await.unwrap();
    assert_eq!(
        outputs.response.unwrap().len(),
        MAX_REUSED_MEMORY + r#"{"text":""}"#.len()
    );
    get.call(&call(&server)).await.unwrap();
    assert_eq!(instances_got(&host), (2, 0));
    get.call(&call(&server)).await.unwrap();
    assert_eq!(instances_got(&host), (2, 1));
}

#[tokio::test]
async fn idle_instances_can_be_dropped() {
    let server = Server::always(DONE).await;
    let (host, get) = reusing(100);
    get.call(&call(&server)).await.unwrap();
    get.drop_idle();
    get.call(&call(&server)).await.unwrap();
    assert_eq!(instances_got(&host), (2, 0));
}

/// The compiled blocks in a cache, with when they were written. What wasmtime notes of their use beside
/// them (`.stats`) is left out.
fn compiled(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(compiled(&path));
        } else if path.extension().is_none() {
            let written = path.metadata().unwrap().modified().unwrap();
            let content = fs::read(&path).unwrap();
            files.insert(path, (written, content));
        }
    }
    files
}

fn cached(folder: &Path) -> HostConfig {
    HostConfig {
        cache: Some(folder.to_owned()),
        ..HostConfig::default()
    }
}

#[tokio::test]
async fn a_compiled_block_is_taken_from_the_cache_and_a_damaged_one_is_compiled_again() {
    let server = Server::always(DONE).await;
    let folder = tempfile::tempdir().unwrap();
    // It is made where it is missing.
    let folder = folder.path().join("compiled/blocks");
    load(cached(&folder));
    let first = compiled(&folder);
    assert_eq!(first.len(), 1, "{:?}", first.keys());
    load(cached(&folder));
    assert!(compiled(&folder) == first, "it was compiled again");

    let (path, (_, content)) = first.iter().next().unwrap();
    for damaged in [&b"not code"[..], &[], &content[..content.len() / 2]] {
        fs::write(path, damaged).unwrap();
        let (_host, get) = load(cached(&folder));
        assert!(get.call(&call(&server)).await.unwrap().done);
    }
}

#[test]
fn a_cache_folder_that_is_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocks");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = Host::with(cached(&path)).err().unwrap();
        let LoadError::Cache { folder, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*folder, path);
        let shown = format!("cannot use the cache folder {}", path.display());
        assert_eq!(error.to_string(), shown);
    }
}

/// The folder, its mode, and whether blocks are kept in it.
#[cfg(unix)]
mod folders {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;
    use crate::traced::Captured;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Whether a host with this cache folder keeps what it compiles; if not, it warns.
    fn is_used(folder: &Path) -> bool {
        let before = compiled(folder).len();
        let (captured, _guard) = Captured::ours();
        load(cached(folder));
        let kept = captured.kept();
        let warnings = kept.events.iter();
        let warned = warnings.filter(|event| event.starts_with("compiled blocks are not kept"));
        let is_used = compiled(folder).len() > before;
        assert_eq!(warned.count(), usize::from(!is_used), "{:?}", kept.events);
        is_used
    }

    #[test]
    fn a_missing_cache_folder_is_created_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("compiled/blocks");
        load(cached(&folder));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(folder.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_cache_folder_that_others_may_write_to_is_not_used_and_a_warning_says_so() {
        for (mode, expected) in [(0o755, true), (0o775, false), (0o757, false), (0o700, true)] {
            let folder = tempfile::tempdir().unwrap();
            set_mode(folder.path(), mode);
            assert_eq!(is_used(folder.path()), expected, "{mode:o}");
        }
        // What is in it counts if others can enter it.
        for (mode, expected) in [(0o755, false), (0o700, true)] {
            let folder = tempfile::tempdir().unwrap();
            let below = folder.path().join("modules");
            fs::create_dir(&below).unwrap();
            set_mode(&below, 0o777);
            set_mode(folder.path(), mode);
            assert_eq!(is_used(folder.path()), expected, "{mode:o}");
        }
    }

    #[test]
    fn a_cache_folder_of_another_user_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        // Only root can give a folder away.
        if chown(folder.path(), Some(1), None).is_ok() {
            assert!(!is_used(folder.path()));
        }
    }
}
