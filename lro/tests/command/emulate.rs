//! `lro emulate`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};

use crate::limits::until_it_listens;
use crate::{ended, lro, run, signal};

/// The emulator with these arguments, what it goes on to write, and its endpoint.
async fn emulate(arguments: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = lro(arguments).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        (stdout, line)
    });
    let (stdout, line) = first.await.unwrap();
    let endpoint = line.split_once(" at ").unwrap().1;
    let endpoint = endpoint.split_once(';').unwrap().0.to_owned();
    until_it_listens(&child).await;
    (child, stdout, endpoint)
}

#[tokio::test]
async fn it_ends_by_a_signal() {
    let (child, stdout, _) = emulate(&["emulate"]).await;
    signal(&child, "INT");
    let ended = ended(child).await.with_code(0);
    assert_eq!(ended.stderr, "");
    assert!(
        stdout
            .lines()
            .any(|line| line.unwrap().starts_with("lro get "))
    );
}

#[tokio::test]
async fn verbose_shows_each_request_with_its_answer() {
    let (child, _stdout, endpoint) = emulate(&["emulate", "-v"]).await;
    for (name, code) in [
        ("operations/space-subscription", 0),
        ("operations/error-404", 1),
        ("operations/error-502", 75),
    ] {
        run(lro(&["get", name, "--endpoint", &endpoint]))
            .await
            .with_code(code);
    }
    signal(&child, "TERM");
    let ended = ended(child).await.with_code(0);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stderr);
    for (line, shown) in lines.iter().zip([
        ["GET", "\"/v1/operations/space-subscription\"", "status=200"],
        ["GET", "\"/v1/operations/error-404\"", "status=404"],
        ["GET", "\"/v1/operations/error-502\"", "status=502"],
    ]) {
        for shown in shown {
            assert!(line.contains(shown), "{line}");
        }
    }
    assert!(!ended.stderr.contains("xgafv"), "{}", ended.stderr);
}

#[tokio::test]
async fn it_says_how_to_ask_for_each_operation_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in [
        ("a.json", "projects/_/buckets/b/operations/o"),
        ("b.json", "7612202767953098924"),
        ("c.json", "batches/7h9wmadeup"),
    ] {
        let text = format!(r#"{{"name":"{name}","done":true}}"#);
        fs::write(folder.path().join(file), text).unwrap();
    }
    let from = folder.path().to_str().unwrap();
    let (child, stdout, endpoint) = emulate(&["emulate", "--from", from]).await;
    let of_bucket = [
        "projects/_/buckets/b/operations/o",
        "--service",
        "storage.googleapis.com",
    ];
    let bare = ["operations/7612202767953098924"];
    for asked in [&of_bucket[..], &bare] {
        let endpoint = ["--endpoint", &endpoint];
        run(lro(&[&["get"], asked, &endpoint].concat()))
            .await
            .with_code(0);
    }
    signal(&child, "INT");
    ended(child).await.with_code(0);
    let said: Vec<String> = stdout.lines().map(Result::unwrap).collect();
    for asked in [
        of_bucket.join(" "),
        bare.join(" "),
        "batches/7h9wmadeup --service generativelanguage.googleapis.com".to_owned(),
    ] {
        let line = format!("lro get {asked} --endpoint {endpoint}");
        assert!(said.contains(&line), "{line}: {said:?}");
    }
}
