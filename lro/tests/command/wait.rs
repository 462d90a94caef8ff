//! `lro wait`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::{crafted, ended, lro, run, signal};
use testing::server::{Server, closed_port, error, json};
use testing::{CANARY, PATIENCE, authorized_user};

/// What a service answers, by the beginning of the operation's id. One that comes `later` is done when it
/// is asked for the second time, after a pause of the command's.
async fn service() -> Server {
    let asked_before = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    Server::start(move |_, asked| {
        let id = asked.id().to_owned();
        let first = asked_before.lock().unwrap().insert(id.clone());
        async move {
            let name = format!("operations/{id}");
            let done = || {
                json(
                    200,
                    format!(r#"{{"name":"{name}","done":true,"response":{{"id":"{id}"}}}}"#),
                )
            };
            match id.split('-').next().unwrap() {
                "failed" => json(
                    200,
                    format!(
                        r#"{{"name":"{name}","done":true,"error":{{"code":7,"message":"no"}}}}"#
                    ),
                ),
                "missing" => error(404, "NOT_FOUND", "no such operation"),
                "moved" => {
                    let mut reply = json(302, "");
                    reply
                        .headers_mut()
                        .insert("location", "/elsewhere".parse().unwrap());
                    reply
                }
                "secret" => error(401, "UNAUTHENTICATED", "who are you"),
                "running" => json(200, format!(r#"{{"name":"{name}"}}"#)),
                "later" if first => json(200, format!(r#"{{"name":"{name}"}}"#)),
                "busy" if first => error(503, "UNAVAILABLE", "later"),
                _ => done(),
            }
        }
    })
    .await
}

/// A folder with a file of names, and a place for the results.
struct Files {
    folder: TempDir,
}

impl Files {
    fn with(names: &str) -> Files {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("names"), names).unwrap();
        Files { folder }
    }

    fn of(ids: &[String]) -> Files {
        Files::with(
            &ids.iter()
                .map(|id| format!("operations/{id}\n"))
                .collect::<String>(),
        )
    }

    fn names(&self) -> PathBuf {
        self.folder.path().join("names")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out.jsonl")
    }

    fn written(&self) -> String {
        fs::read_to_string(self.out()).unwrap()
    }

    /// Printed.
    fn wait(&self, server: &Server, more: &[&str]) -> Command {
        let (names, endpoint) = (self.names(), server.endpoint());
        let arguments = [
            "wait",
            "--names",
            names.to_str().unwrap(),
            "--endpoint",
            &endpoint,
        ];
        lro(&[&arguments[..], more].concat())
    }

    /// Recorded in the file.
    fn wait_out(&self, server: &Server, more: &[&str]) -> Command {
        let mut command = self.wait(server, more);
        command.arg("--out").arg(self.out());
        command
    }

    /// Recorded on standard output.
    fn wait_records(&self, server: &Server, more: &[&str]) -> Command {
        self.wait(server, &[&["--out", "-"], more].concat())
    }
}

/// The records in it, each on a whole line; their names, sorted.
#[track_caller]
fn names_in(jsonl: &str) -> Vec<String> {
    let mut names: Vec<String> = records(jsonl)
        .iter()
        .map(|record| record["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn records(jsonl: &str) -> Vec<Value> {
    assert!(jsonl.is_empty() || jsonl.ends_with('\n'), "{jsonl}");
    jsonl
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("done-{number:02}")).collect()
}

fn as_names(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| format!("operations/{id}")).collect()
}

/// Waits until a file has so many lines.
async fn until_lines(file: &Path, lines: usize) {
    let come = timeout(PATIENCE, async {
        while fs::read_to_string(file).unwrap_or_default().lines().count() < lines {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(come.await.is_ok(), "{:?}", fs::read_to_string(file));
}

#[tokio::test]
async fn every_operation_is_a_record_and_asked_for_once() {
    let server = service().await;
    let files = Files::with(
        "# these\noperations/done-a\n\n  operations/done-b \noperations/done-a\r\noperations/later-c",
    );
    let ended = run(files.wait_records(&server, &[])).await.with_code(0);
    assert_eq!(
        names_in(&ended.stdout),
        [
            "operations/done-a",
            "operations/done-b",
            "operations/later-c"
        ]
    );
    for record in records(&ended.stdout) {
        let record = record.as_object().unwrap();
        let keys: Vec<&String> = record.keys().collect();
        assert_eq!(keys, ["askedOf", "name", "outputs"]);
        assert_eq!(record["askedOf"], server.endpoint());
        let outputs = record["outputs"].as_object().unwrap();
        assert_eq!(
            (outputs.len(), &outputs["done"], &outputs["error"]),
            (11, &Value::Bool(true), &Value::Null)
        );
        assert_eq!(outputs["name"], record["name"]);
    }
    // The last one twice.
    assert_eq!(server.asked().len(), 4);
    assert_eq!(
        ended.stderr,
        "3 of 3 ended: 3 succeeded, 0 failed, 0 could not be fetched\n"
    );
}

#[tokio::test]
async fn names_come_from_standard_input_too() {
    let server = service().await;
    let mut command = lro(&[
        "wait",
        "--names",
        "-",
        "--out",
        "-",
        "--endpoint",
        &server.endpoint(),
    ]);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"operations/done-1\noperations/done-2\n")
        .unwrap();
    let ended = ended(child).await.with_code(0);
    assert_eq!(
        names_in(&ended.stdout),
        ["operations/done-1", "operations/done-2"]
    );
}

#[tokio::test]
async fn names_that_cannot_be_read_are_a_usage_error() {
    let server = service().await;
    let files = Files::with("");
    fs::write(files.names(), b"operations/a\noperations/\xff\n").unwrap();
    let ended = run(files.wait_records(&server, &[])).await.with_code(2);
    assert!(
        ended.stderr.contains("not UTF-8 in line 2"),
        "{}",
        ended.stderr
    );
    fs::remove_file(files.names()).unwrap();
    let ended = run(files.wait_records(&server, &[])).await.with_code(2);
    assert!(
        ended.stderr.contains(files.names().to_str().unwrap()),
        "{}",
        ended.stderr
    );
    run(files.wait_records(&server, &["--jobs", "0"]))
        .await
        .with_code(2);
}

#[tokio::test]
async fn a_file_without_a_name_is_done_at_once_and_says_so() {
    let server = service().await;
    for text in ["", "\n", " \r\n# a comment\n  # another\n"] {
        let files = Files::with(text);
        let ended = run(files.wait(&server, &[])).await.with_code(0);
        let shown = files.names().display().to_string();
        let said = format!("no names in {shown} (--names)\n");
        assert_eq!((&*ended.stdout, ended.stderr), ("", said.clone()));
        let json = run(files.wait_out(&server, &["--output", "json"])).await;
        let json = json.with_code(0);
        assert_eq!(records(&json.stderr)[0]["message"], said.trim_end());
    }
    let piped = run(lro(&["wait", "--names", "-"])).await.with_code(0);
    assert_eq!(piped.stderr, "no names in standard input (--names)\n");
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn an_empty_name_that_was_typed_is_a_usage_error() {
    for (typed, said) in [
        (&[""][..], "no names"),
        (&[" "], "no names"),
        (&["operations/a", ""], "a NAME is empty"),
    ] {
        let ended = run(lro(&[&["wait"], typed].concat())).await.with_code(2);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn what_is_in_the_file_is_not_asked_again() {
    let server = service().await;
    let files = Files::with("operations/done-1\noperations/failed-2\noperations/done-3\n");
    let first = run(files.wait_out(&server, &[])).await.with_code(3);
    assert_eq!(
        (&*first.stdout, &*first.stderr),
        (
            "",
            "operations/failed-2 failed with code 7: no\n\
             3 of 3 ended: 2 succeeded, 1 failed, 0 could not be fetched\n"
        )
    );
    assert_eq!(server.asked().len(), 3);
    let written = files.written();
    assert_eq!(records(&written).len(), 3);

    let second = run(files.wait_out(&server, &[])).await.with_code(3);
    assert_eq!(
        second.stderr,
        "3 of 3 ended: 2 succeeded, 1 failed, 0 could not be fetched\n"
    );
    assert_eq!(server.asked().len(), 3);
    assert_eq!(files.written(), written);

    // Names that were added are, and they alone.
    fs::write(files.names(), "operations/done-4\noperations/done-1\n").unwrap();
    run(files.wait_out(&server, &[])).await.with_code(0);
    assert_eq!(
        server.asked()[3..]
            .iter()
            .map(|asked| asked.id())
            .collect::<Vec<_>>(),
        ["done-4"]
    );
    assert!(files.written().starts_with(&written));
    assert_eq!(records(&files.written()).len(), 4);
}

#[tokio::test]
async fn a_last_line_that_was_cut_short_is_asked_for_again() {
    let server = service().await;
    let files = Files::of(&ids(0..3));
    run(files.wait_out(&server, &["--jobs", "1"]))
        .await
        .with_code(0);
    let whole = files.written();
    let lost = records(&whole)[2]["name"].as_str().unwrap().to_owned();
    for cut in [1, 10, 60] {
        let before = server.asked().len();
        fs::write(files.out(), &whole[..whole.len() - cut]).unwrap();
        run(files.wait_out(&server, &[])).await.with_code(0);
        let asked = server.asked();
        assert_eq!(asked.len(), before + 1, "cut by {cut}");
        assert!(lost.ends_with(asked[before].id()));
        assert_eq!(files.written(), whole, "cut by {cut}");
    }
}

#[tokio::test]
async fn after_ctrl_c_every_line_is_whole_and_the_same_command_resumes() {
    let gate = Arc::new(Semaphore::new(8));
    let server = {
        let gate = gate.clone();
        Server::start(move |_, asked| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                json(
                    200,
                    format!(r#"{{"name":"operations/{}","done":true}}"#, asked.id()),
                )
            }
        })
        .await
    };
    let all = ids(0..20);
    let files = Files::of(&all);
    let child = files.wait_out(&server, &["--jobs", "4"]).spawn().unwrap();
    until_lines(&files.out(), 8).await;
    server.until(|seen| seen.in_flight == 4).await;
    signal(&child, "INT");
    let first = ended(child).await.with_code(130);
    assert!(first.stderr.contains("8 of 20 ended"), "{}", first.stderr);
    assert!(
        first
            .stderr
            .contains("interrupted with 12 left: rerun with the same --out to resume"),
        "{}",
        first.stderr
    );
    let done = names_in(&files.written());
    assert_eq!(done.len(), 8);

    let before = server.asked().len();
    assert_eq!(before, 12, "8, and 4 that were given up");
    gate.add_permits(20);
    run(files.wait_out(&server, &["--jobs", "4"]))
        .await
        .with_code(0);
    let asked = server.asked();
    let again: BTreeSet<String> = asked[before..]
        .iter()
        .map(|asked| format!("operations/{}", asked.id()))
        .collect();
    let rest: BTreeSet<String> = as_names(&all)
        .into_iter()
        .filter(|name| !done.contains(name))
        .collect();
    assert_eq!((asked.len() - before, again), (12, rest));
    assert_eq!(names_in(&files.written()), as_names(&all));
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_jobs() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let files = Files::of(&ids(0..12));
    let child = files
        .wait_records(&server, &["--jobs", "3"])
        .spawn()
        .unwrap();
    server.until(|seen| seen.in_flight == 3).await;
    gate.add_permits(12);
    let ended = ended(child).await.with_code(0);
    assert_eq!(records(&ended.stdout).len(), 12);
    let seen = server.seen();
    assert_eq!((seen.asked.len(), seen.peak_in_flight), (12, 3));
}

#[tokio::test]
async fn an_operation_that_could_not_be_fetched_is_a_record_and_exit_code_1() {
    let server = service().await;
    let files =
        Files::with("operations/missing-1\noperations/failed-2\noperations/done-3\nno-operation\n");
    let ended = run(files.wait_records(&server, &["--jobs", "1"]))
        .await
        .with_code(1);
    let records = records(&ended.stdout);
    assert_eq!(records.len(), 4);
    assert_eq!(records[0]["name"], "operations/missing-1");
    let failure = &records[0]["failure"];
    assert_eq!(
        (&failure["case"], &failure["reason"], &failure["httpStatus"]),
        (&"permanent".into(), &"not-found".into(), &404.into())
    );
    assert_eq!(records[1]["outputs"]["error.code"], 7);
    assert_eq!(records[3]["failure"]["reason"], "invalid-name");
    // Each failure has a line besides.
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ended.stderr);
    let begins = "operations/missing-1 could not be fetched: GET http://127.0.0.1:";
    assert!(lines[0].starts_with(begins), "{}", lines[0]);
    assert_eq!(lines[1], "operations/failed-2 failed with code 7: no");
    let begins = "no-operation could not be fetched: ";
    assert!(lines[2].starts_with(begins), "{}", lines[2]);
    assert_eq!(
        lines[3],
        "4 of 4 ended: 1 succeeded, 1 failed, 2 could not be fetched"
    );
}

#[tokio::test]
async fn the_same_name_of_another_endpoint_is_another_operation() {
    let (first, second) = (service().await, service().await);
    let files = Files::of(&ids(0..2));
    run(files.wait_out(&first, &[])).await.with_code(0);
    run(files.wait_out(&second, &[])).await.with_code(0);
    assert_eq!((first.asked().len(), second.asked().len()), (2, 2));
    for server in [&first, &second] {
        let again = run(files.wait_out(server, &[])).await.with_code(0);
        assert!(again.stderr.starts_with("2 of 2 ended"), "{}", again.stderr);
    }
    assert_eq!((first.asked().len(), second.asked().len()), (2, 2));
    assert_eq!(records(&files.written()).len(), 4);

    // Records of before say nothing of it: they count as they did.
    let files = Files::of(&ids(0..2));
    let old = r#"{"name":"operations/done-00","outputs":{"error":null}}"#;
    fs::write(files.out(), format!("{old}\n")).unwrap();
    run(files.wait_out(&first, &[])).await.with_code(0);
    assert_eq!(first.asked()[2..].len(), 1);
    assert_eq!(first.asked()[2].id(), "done-01");
}

#[tokio::test]
async fn a_call_that_the_block_does_not_end_is_the_failure_of_its_operation() {
    // It traps for the longer name; for the others, the operation is done.
    let get = format!(
        "(if (i32.eq (local.get 1) (i32.const {})) (then (unreachable)))
        (i32.store8 (i32.const 12) (i32.const 1))
        (i32.const 0)",
        "operations/done-trapped".len()
    );
    let folder = tempfile::tempdir().unwrap();
    let block = folder.path().join("block.wasm");
    fs::write(&block, crafted::block(&get).component()).unwrap();
    let names = "operations/done-trapped\noperations/done-a\noperations/done-b\n";
    let files = Files::with(names);
    let server = service().await;
    let arguments = ["--jobs", "1", "--block", block.to_str().unwrap()];
    let ended = run(files.wait_out(&server, &arguments)).await.with_code(1);
    let written = records(&files.written());
    assert_eq!(written.len(), 3);
    assert_eq!(written[0]["failure"]["case"], "aborted");
    assert!(
        ended
            .stderr
            .starts_with("operations/done-trapped could not be fetched: the block did not finish"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .ends_with("3 of 3 ended: 2 succeeded, 0 failed, 1 could not be fetched\n"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn as_json_each_operation_that_had_not_ended_at_a_signal_is_an_object() {
    let server = service().await;
    let endpoint = server.endpoint();
    let names = [
        "operations/running-a",
        "operations/done-b",
        "operations/busy-c",
    ];
    // One attempt of the busy one, after which the next call is made a second later.
    let arguments = ["--output", "json", "--max-attempts", "1", "--jobs", "1"];
    let endpoint = ["--endpoint", &endpoint];
    let child = lro(&[&["wait"], &names[..], &arguments, &endpoint].concat())
        .spawn()
        .unwrap();
    server
        .until(|seen| seen.asked.iter().any(|asked| asked.id() == "busy-c") && seen.in_flight == 0)
        .await;
    signal(&child, "TERM");
    let ended = ended(child).await.with_code(130);
    let failures = records(&ended.stderr);
    assert_eq!(failures[0]["name"], "operations/running-a");
    assert_eq!(
        failures[0]["message"],
        "operations/running-a did not finish before lro was interrupted; it was still running"
    );
    for failure in &failures {
        assert_eq!(failure["case"], "transient");
        assert_ne!(failure["name"], "operations/done-b");
    }

    // Of what was never asked for, too.
    let gate = Arc::new(Semaphore::new(0));
    let silent = Server::gated(&gate).await;
    let endpoint = ["--endpoint", &silent.endpoint()];
    let child = lro(&[&["wait"], &names[..], &arguments, &endpoint].concat())
        .spawn()
        .unwrap();
    silent.until(|seen| seen.in_flight == 1).await;
    signal(&child, "INT");
    let ended = crate::ended(child).await.with_code(130);
    let failures = records(&ended.stderr);
    assert_eq!(names_in(&ended.stderr).len(), 3);
    let message = failures[2]["message"].as_str().unwrap();
    assert!(message.ends_with("; it was not asked for"), "{message}");
}

#[tokio::test]
async fn a_transient_failure_is_waited_out() {
    let server = service().await;
    let files = Files::with("operations/busy-1\n");
    let ended = run(files.wait_records(&server, &["--max-attempts", "1"]))
        .await
        .with_code(0);
    assert_eq!(names_in(&ended.stdout), ["operations/busy-1"]);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn the_deadline_leaves_what_is_running_for_the_next_time() {
    let server = service().await;
    // The deadline counts from the start of the command, which compiles the block where no cache has it.
    run(Files::of(&ids(0..1)).wait(&server, &[]))
        .await
        .with_code(0);
    let files = Files::with("operations/running-1\noperations/done-2\noperations/failed-3\n");
    let ended = run(files.wait_out(&server, &["--deadline", "3s"]))
        .await
        .with_code(75);
    assert_eq!(
        names_in(&files.written()),
        ["operations/done-2", "operations/failed-3"]
    );
    assert!(ended.stderr.contains("2 of 3 ended"), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("1 did not finish by --deadline: rerun with the same --out to resume"),
        "{}",
        ended.stderr
    );
    let running = server
        .asked()
        .iter()
        .filter(|asked| asked.id() == "running-1")
        .count();
    assert!(running >= 2, "at once and after a second: {running}");
}

#[tokio::test]
async fn a_credential_that_is_refused_stops_the_command_and_nothing_is_recorded() {
    let server = service().await;
    let all: Vec<String> = (0..20).map(|number| format!("secret-{number}")).collect();
    let files = Files::of(&all);
    let mut command = files.wait_out(&server, &["--jobs", "2"]);
    command.env("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY);
    let ended = run(command).await.with_code(1);
    assert!(ended.stderr.contains("401"), "{}", ended.stderr);
    assert!(!ended.shown().contains(CANARY));
    assert_eq!(files.written(), "");
    assert!(
        (1..=2).contains(&server.asked().len()),
        "{}",
        server.asked().len()
    );
}

#[tokio::test]
async fn a_name_that_stops_the_command_does_not_act_on_the_terminal() {
    let server = service().await;
    let files = Files::of(&["secret-\u{202e}31m".to_owned()]);
    let ended = run(files.wait_out(&server, &[])).await.with_code(1);
    assert!(
        ended.stderr.contains("operations/secret-%E2%80%AE31m"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains('\u{202e}'), "{:?}", ended.stderr);
}

#[tokio::test]
async fn a_name_that_holds_the_token_stops_the_command_and_is_not_shown() {
    let server = service().await;
    let files = Files::of(&[CANARY.to_owned()]);
    let mut command = files.wait_out(&server, &[]);
    command.env("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY);
    let ended = run(command).await.with_code(1);
    assert!(
        ended.stderr.contains("line 1 of ") && ended.stderr.contains("looks like a credential"),
        "{}",
        ended.stderr
    );
    assert_eq!(server.seen().accepted, 0);
    assert!(!ended.shown().contains(CANARY), "{}", ended.stderr);
}

#[tokio::test]
async fn a_token_source_that_is_down_is_said_before_anything_is_asked() {
    let server = service().await;
    let files = Files::of(&ids(0..3));
    let credentials = files.folder.path().join("credentials.json");
    let down = format!("http://{}/token", closed_port().await);
    fs::write(&credentials, authorized_user(&down).to_string()).unwrap();
    let command = files.wait_out(&server, &["--credentials", credentials.to_str().unwrap()]);
    let ended = run(command).await.with_code(75);
    assert!(
        ended.stderr.contains("could not be reached"),
        "{}",
        ended.stderr
    );
    assert!(!ended.shown().contains(CANARY));
    assert_eq!((server.seen().accepted, files.written().as_str()), (0, ""));
}

#[tokio::test]
async fn a_service_that_is_mistyped_stops_the_command_and_nothing_is_recorded() {
    let files = Files::with("operations/a\noperations/b\n");
    let (names, out) = (files.names(), files.out());
    let wait = |more: &[&str]| {
        let names = ["wait", "--names", names.to_str().unwrap()];
        let out = ["--out", out.to_str().unwrap()];
        lro(&[&names[..], &out, more].concat())
    };
    let ended = run(wait(&["--service", "apigatewy.googleapis.com"])).await;
    let ended = ended.with_code(1);
    assert!(ended.stderr.contains("apigatewy"), "{}", ended.stderr);
    assert_eq!(files.written(), "");

    // In a name it is that name's own.
    let files = Files::with("//apigatewy.googleapis.com/operations/a\n");
    let mut command = lro(&["wait", "--names", files.names().to_str().unwrap()]);
    command.arg("--out").arg(files.out());
    run(command).await.with_code(1);
    assert!(
        files.written().contains("unknown-service"),
        "{}",
        files.written()
    );
}

#[tokio::test]
async fn two_commands_do_not_write_one_file() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::gated(&gate).await;
    let files = Files::of(&ids(0..2));
    let first = files.wait_out(&server, &[]).spawn().unwrap();
    server.until(|seen| seen.in_flight == 2).await;
    let second = run(files.wait_out(&server, &[])).await.with_code(2);
    let shown = files.out().display().to_string();
    assert!(
        second.stderr.contains(&shown) && second.stderr.contains("another lro"),
        "{}",
        second.stderr
    );
    assert_eq!(server.asked().len(), 2);
    gate.add_permits(2);
    ended(first).await.with_code(0);
    assert_eq!(names_in(&files.written()), as_names(&ids(0..2)));
}

#[tokio::test]
async fn a_file_of_another_kind_is_not_written_to() {
    let server = service().await;
    let files = Files::of(&ids(0..2));
    fs::write(files.out(), "name,done\noperations/done-00,true\n").unwrap();
    let ended = run(files.wait_out(&server, &[])).await.with_code(2);
    assert!(ended.stderr.contains("line 1"), "{}", ended.stderr);
    assert_eq!(files.written(), "name,done\noperations/done-00,true\n");
    assert_eq!(server.seen().accepted, 0);
}

#[tokio::test]
async fn a_line_that_no_power_cut_can_leave_is_not_cut_off() {
    let server = service().await;
    for text in [
        r#"{"name":"precious", not json at all, kept by hand"#,
        r#"{"name":"x","outputs":{}} # my notes"#,
    ] {
        let files = Files::of(&ids(0..2));
        fs::write(files.out(), text).unwrap();
        let ended = run(files.wait_out(&server, &[])).await.with_code(2);
        assert!(ended.stderr.contains("line 1"), "{}", ended.stderr);
        assert_eq!(files.written(), text);
    }
}

#[tokio::test]
async fn a_recorded_failure_does_not_say_that_the_address_is_right() {
    let service = service().await;
    let endpoint = format!("http://{}/v1", service.address);
    let files = Files::with("operations/moved\n");
    let invalid = r#"{"name":"operations/a/../b","failure":{"reason":"invalid-name"}}"#;
    fs::write(files.out(), format!("{invalid}\n")).unwrap();
    let mut command = lro(&["wait", "--endpoint", &endpoint]);
    command.arg("--names").arg(files.names());
    command.arg("--out").arg(files.out());
    run(command).await.with_code(1);
    assert_eq!(files.written(), format!("{invalid}\n"));
}

#[tokio::test]
async fn an_address_that_is_wrong_stops_the_command_unless_another_was_right() {
    let service = service().await;
    let endpoint = format!("http://{}/v1", service.address);
    let wait = |files: &Files| {
        let mut command = lro(&["wait", "--jobs", "1", "--endpoint", &endpoint]);
        command.arg("--names").arg(files.names());
        command.arg("--out").arg(files.out());
        run(command)
    };

    let first = Files::with("operations/moved\noperations/a\n");
    wait(&first).await.with_code(1);
    assert_eq!(fs::read_to_string(first.out()).unwrap(), "");

    let later = Files::with("operations/a\noperations/moved\noperations/b\n");
    wait(&later).await.with_code(1);
    let lines = fs::read_to_string(later.out()).unwrap();
    let ends: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["failure"]["reason"].clone())
        .collect();
    assert_eq!(ends, [Value::Null, "redirected".into(), Value::Null]);
}

#[tokio::test]
async fn more_jobs_than_there_is_room_for_are_a_usage_error() {
    let ended = run(lro(&["wait", "--names", "-", "--jobs", "20001"])).await;
    let ended = ended.with_code(2);
    assert!(ended.stderr.contains("from 1 to 20000"), "{}", ended.stderr);
}

#[tokio::test]
async fn poll_is_an_error_of_usage_that_names_wait() {
    let ended = run(lro(&["poll", "--names", "-"])).await.with_code(2);
    assert!(ended.stderr.contains("'poll'"), "{}", ended.stderr);
    assert!(ended.stderr.contains("'wait'"), "{}", ended.stderr);
    let ended = run(lro(&["wait"])).await.with_code(2);
    assert!(ended.stderr.contains("NAME"), "{}", ended.stderr);
}

#[tokio::test]
async fn names_are_typed_and_read_and_each_is_printed_as_it_ends() {
    let server = service().await;
    let files = Files::with("operations/done-b\noperations/failed-c\n");
    let typed = ["operations/done-a", "operations/done-b"];
    let table = run(files.wait(&server, &typed)).await.with_code(3);
    assert_eq!(server.asked().len(), 3);
    assert_eq!(table.stdout.matches("variable ").count(), 3);
    for row in ["┆ operations/done-a ", "┆ operations/done-b ", "┆ 7 "] {
        assert!(table.stdout.contains(row), "{}", table.stdout);
    }
    assert_eq!(
        table.stderr,
        "3 of 3 ended: 2 succeeded, 1 failed, 0 could not be fetched\n"
    );
}

#[tokio::test]
async fn one_name_has_no_summary() {
    let server = service().await;
    let endpoint = server.endpoint();
    let wait = |more: &[&str]| {
        let name = "operations/later-a";
        run(lro(
            &[&["wait", name, "--endpoint", &endpoint], more].concat()
        ))
    };
    let table = wait(&[]).await.with_code(0);
    assert_eq!(table.stderr, "");
    assert_eq!(server.asked().len(), 2, "after a pause");
    let json = wait(&["--output", "json"]).await.with_code(0);
    let outputs: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(outputs.as_object().unwrap().len(), 11);
    assert_eq!(json.stderr, "");
}

#[tokio::test]
async fn as_json_each_failure_is_an_object_on_standard_error() {
    let server = service().await;
    let endpoint = server.endpoint();
    let ended = run(lro(&[
        "wait",
        "operations/missing-a",
        "operations/done-b",
        "operations/running-c",
        "--deadline",
        "2s",
        "--output",
        "json",
        "--endpoint",
        &endpoint,
    ]))
    .await
    .with_code(1);
    assert_eq!(names_in(&ended.stdout), ["operations/done-b"]);
    let failures = records(&ended.stderr);
    assert_eq!(failures.len(), 2, "{}", ended.stderr);
    assert_eq!(
        (&failures[0]["name"], &failures[0]["reason"]),
        (&"operations/missing-a".into(), &"not-found".into())
    );
    let late = &failures[1];
    assert_eq!(
        (&late["case"], &late["reason"]),
        (&"transient".into(), &"timeout".into())
    );
    assert_eq!(
        late["message"],
        "operations/running-c did not finish within 2s (--deadline); it was still running"
    );
}

#[tokio::test]
async fn results_are_recorded_and_printed_too_if_both_are_asked_for() {
    let server = service().await;
    let files = Files::of(&ids(0..2));
    let ended = run(files.wait_out(&server, &["--output", "json"]))
        .await
        .with_code(0);
    assert_eq!(names_in(&ended.stdout), as_names(&ids(0..2)));
    assert_eq!(names_in(&files.written()), as_names(&ids(0..2)));
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn a_deadline_of_nothing_asks_once() {
    let server = service().await;
    let endpoint = server.endpoint();
    let wait = |name| {
        let arguments = ["wait", name, "--deadline", "0s", "--endpoint", &endpoint];
        run(lro(&arguments))
    };
    wait("operations/done-a").await.with_code(0);
    let late = wait("operations/running-b").await.with_code(75);
    assert!(
        late.stderr
            .contains("did not finish within 0s (--deadline)"),
        "{}",
        late.stderr
    );
}

#[tokio::test]
async fn a_failure_that_concerns_all_is_shown_once_and_stops_the_command() {
    let server = service().await;
    let endpoint = server.endpoint();
    let names = ["operations/secret-a", "operations/running-b"];
    let arguments = ["--jobs", "1", "--output", "json", "--endpoint", &endpoint];
    let ended = run(lro(&[&["wait"], &names[..], &arguments].concat()))
        .await
        .with_code(1);
    assert_eq!(ended.stdout, "");
    let failure: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(
        (&failure["name"], &failure["reason"]),
        (&"operations/secret-a".into(), &"unauthenticated".into())
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_command_quietly() {
    let gate = Arc::new(Semaphore::new(1));
    let server = Server::gated(&gate).await;
    let files = Files::of(&ids(0..9));
    let mut child = files.wait(&server, &["--output", "json"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    // As `head -1` reads it.
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    });
    assert_eq!(names_in(&first.await.unwrap()), ["operations/o"]);
    gate.add_permits(1);
    let ended = ended(child).await.with_code(141);
    assert_eq!(ended.stderr, "");
}

/// What is said when nobody looks on: it takes the pause before the first line.
#[tokio::test]
async fn without_a_terminal_a_line_says_now_and_then_how_many_are_left_and_what_failed() {
    let nobody = format!("http://{}/v1", closed_port().await);
    let wait = |format| {
        let arguments = [
            "wait",
            "operations/a",
            "operations/b",
            "--max-attempts",
            "1",
        ];
        let limits = ["--deadline", "6s", "--endpoint", &nobody];
        let output = ["--output", format];
        run(lro(&[&arguments[..], &limits, &output].concat()))
    };
    let (table, json) = tokio::join!(wait("table"), wait("json"));
    let (table, json) = (table.with_code(75), json.with_code(75));
    let line = table.stderr.lines().next().unwrap();
    assert!(
        line.starts_with("waiting: 2 of 2 left after 5s; last failure: GET http://127.0.0.1:"),
        "{line}"
    );
    assert!(line.contains("refused the connection"), "{line}");

    let lines = records(&json.stderr);
    assert_eq!((&lines[0]["left"], &lines[0]["of"]), (&2.into(), &2.into()));
    let failure = lines[0]["lastFailure"].as_str().unwrap();
    assert!(failure.contains("refused the connection"), "{failure}");
    assert_eq!(lines.len(), 3, "and a failure for each: {}", json.stderr);
}

#[tokio::test]
async fn what_concerns_the_caller_stops_the_command_and_writes_no_operation_off() {
    let info = |reason: &str| {
        format!(
            r#"{{"error":{{"message":"no","details":[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}"}}]}}}}"#
        )
    };
    let of_the_caller = [
        (403, info("SERVICE_DISABLED")),
        (403, info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
        (403, info("USER_PROJECT_DENIED")),
        (403, info("SECURITY_POLICY_VIOLATED")),
        (403, info("BILLING_DISABLED")),
        (400, info("API_KEY_INVALID")),
        (401, info("CREDENTIALS_MISSING")),
        (
            403,
            r#"{"error":{"message":"Method doesn't allow unregistered callers."}}"#.to_owned(),
        ),
        (403, "<html>blocked</html>".to_owned()),
        (200, "<html>please log in</html>".to_owned()),
        (501, String::new()),
    ];
    for (status, body) in of_the_caller {
        let is_mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let server = Server::start({
            let (is_mended, body) = (is_mended.clone(), body.clone());
            move |_, _| {
                let answer = match is_mended.load(std::sync::atomic::Ordering::SeqCst) {
                    true => json(200, r#"{"done":true}"#),
                    false => json(status, body.clone()),
                };
                async move { answer }
            }
        })
        .await;
        let files = Files::of(&["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        let stopped = run(files.wait_out(&server, &[])).await.with_code(1);
        assert_eq!(files.written(), "", "{status} {body}: {}", stopped.stderr);
        is_mended.store(true, std::sync::atomic::Ordering::SeqCst);
        let before = server.asked().len();
        run(files.wait_out(&server, &[])).await.with_code(0);
        assert_eq!(server.asked().len() - before, 3, "{status} {body}");
        assert_eq!(files.written().lines().count(), 3, "{status} {body}");
    }
}

#[tokio::test]
async fn names_without_a_service_stop_the_command_and_are_not_written_off() {
    let files = Files::with("projects/p/locations/l/operations/o\n");
    let names = files.folder.path().join("names");
    let out = files.folder.path().join("out");
    let command = lro(&[
        "wait",
        "--names",
        names.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    let ended = run(command).await.with_code(1);
    assert!(
        ended.stderr.contains("Which service is the operation"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read_to_string(&out).unwrap_or_default(), "");
}
