use std::{fs, future};

use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const LOOPBACK: (IpAddr, u16) = (LOCALHOST, 0);

fn request_for(path: &str) -> Request<Bytes> {
    let request = Request::get(path).header("host", "localhost");
    request.body(Bytes::new()).expect("a request")
}

/// A directory of the test's own.
struct Directory(TempDir);

impl Directory {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (file, text) in files {
            fs::write(directory.path().join(file), text).expect("the file is written");
        }
        Self(directory)
    }

    fn emulator(&self) -> Result<Emulator, EmulatorError> {
        Emulator::from_dir(self.0.path())
    }

    fn error(&self) -> String {
        self.emulator()
            .expect_err("the directory is refused")
            .to_string()
    }
}

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn parse(octets: Vec<u8>) -> Self {
        let text = String::from_utf8(octets).expect("the answer is UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("the answer has a head");
        let (status_line, headers) = head.split_once("\r\n").expect("the answer has headers");
        let status = status_line.split(' ').nth(1).expect("a status");
        Self {
            status: status.parse().expect("a number"),
            headers: format!("{}\n", headers.replace("\r\n", "\n")),
            body: body.to_owned(),
        }
    }

    fn has_header(&self, line: &str) -> bool {
        self.headers.lines().any(|header| header == line)
    }

    fn json(&self) -> Value {
        assert!(self.has_header("content-type: application/json; charset=UTF-8"));
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

async fn send(running: &Running, method: &str, target: &str) -> Answer {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    exchange(running, &request).await
}

/// The answer to this text, after which the connection is to be closed.
async fn exchange(running: &Running, request: &str) -> Answer {
    let mut stream = TcpStream::connect(running.local_addr())
        .await
        .expect("connects");
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).await.expect("receives");
    Answer::parse(octets)
}

async fn get(running: &Running, target: &str) -> Answer {
    send(running, "GET", target).await
}

async fn serve(emulator: Emulator) -> Running {
    emulator.bind(LOOPBACK.into()).await.expect("binds")
}

async fn serve_ended() -> Running {
    serve(Emulator::builtin_with_run_time(Duration::ZERO)).await
}

#[tokio::test]
async fn the_endpoint_has_the_picked_port_and_a_version() {
    let running = serve(Emulator::builtin()).await;
    let port = running.local_addr().port();
    assert_ne!(port, 0);
    assert_eq!(running.endpoint(), format!("http://127.0.0.1:{port}/v1"));
}

#[tokio::test]
async fn built_in_operations_run_and_end_over_http() {
    let running = serve(Emulator::builtin_with_run_time(Duration::from_secs(3600))).await;
    let ended = serve_ended().await;
    for (service, name) in builtin_names() {
        let (_, version) = service.split_once('/').expect("a service has a version");
        let target = format!("/{version}/{name}?$.xgafv=2&prettyPrint=false&alt=json");

        let answer = get(&running, &target).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["name"], name);
        assert_ne!(answer.json()["done"], true, "{name}");

        let answer = get(&ended, &target).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["name"], name);
        assert_eq!(answer.json()["done"], true, "{name}");
    }
}

#[tokio::test]
async fn a_built_in_operation_runs_from_its_first_request() {
    let emulator = Emulator::builtin_with_run_time(Duration::from_secs(4));
    let first = Instant::now() + Duration::from_secs(3600);
    let progress_at = async |seconds: u64| {
        let path = "/v1/operations/apibatchoperation/claim-devices";
        let now = first + Duration::from_secs(seconds);
        let answer = emulator.answer(&request_for(path), LOCALHOST, now);
        let operation: Value = serde_json::from_str(&body_of(answer).await).expect("JSON");
        (
            operation["metadata"]["progress"].clone(),
            operation["done"].clone(),
        )
    };
    assert_eq!(progress_at(0).await, (0.into(), Value::Null));
    assert_eq!(progress_at(1).await, (25.into(), Value::Null));
    assert_eq!(progress_at(3).await, (75.into(), Value::Null));
    assert_eq!(progress_at(4).await, (100.into(), true.into()));
    assert_eq!(progress_at(9999).await, (100.into(), true.into()));
}

#[tokio::test]
async fn a_file_is_served_byte_for_byte_under_its_name() {
    const ODD: &str =
        "\n { \"done\":false ,\"name\"\t:\"operations\\/${env.x}: \u{e9}?#\", \"n\": 1.0e+2}\r\n\n";
    let directory = Directory::with(&[("odd.json", ODD), ("notes.txt", "no operation")]);
    let emulator = directory.emulator().expect("one operation");
    assert_eq!(
        emulator.names().collect::<Vec<_>>(),
        ["operations/${env.x}: é?#"]
    );
    let running = serve(emulator).await;
    let answer = get(&running, "/v1/operations/%24%7Benv.x%7D%3A%20%C3%A9%3F%23").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ODD));
    let answer = get(
        &running,
        "/v1/operations/$%7Benv.x%7D:%20%C3%A9%3F%23?alt=json",
    )
    .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ODD));
}

#[tokio::test]
async fn an_encoded_slash_stays_encoded() {
    const ENCODED: &str = r#"{"name": "operations/a%2Fb"}"#;
    const PLAIN: &str = r#"{"name": "operations/a/b"}"#;
    let directory = Directory::with(&[("encoded.json", ENCODED), ("plain.json", PLAIN)]);
    let running = serve(directory.emulator().expect("two operations")).await;
    assert_eq!(get(&running, "/v1/operations/a%252Fb").await.body, ENCODED);
    assert_eq!(get(&running, "/v1/operations/a%2Fb").await.body, ENCODED);
    assert_eq!(get(&running, "/v1/operations/a/b").await.body, PLAIN);
    assert_eq!(get(&running, "/v1/operations/a%2fb").await.status, 404);
}

#[tokio::test]
async fn a_file_may_take_the_name_of_a_failure() {
    const FILE: &str = r#"{"name": "operations/error-503", "done": true}"#;
    let directory = Directory::with(&[("x.json", FILE)]);
    let running = serve(directory.emulator().expect("one operation")).await;
    assert_eq!(get(&running, "/v1/operations/error-503").await.body, FILE);
    assert_eq!(get(&running, "/v1/operations/error-500").await.status, 500);
}

#[test]
fn a_directory_that_cannot_be_served_is_named() {
    let missing = std::env::temp_dir().join("emulator-no-such-directory");
    let error = Emulator::from_dir(&missing).expect_err("it is missing");
    assert!(matches!(&error, EmulatorError::Read { path, .. } if *path == missing));
    assert!(error.to_string().contains("emulator-no-such-directory"));

    let empty = Directory::with(&[("notes.txt", "{}")]);
    fs::create_dir(empty.0.path().join("inner.json")).expect("the directory is new");
    assert!(matches!(empty.emulator(), Err(EmulatorError::Empty { dir }) if dir == empty.0.path()));
    assert!(empty.error().contains("Put one file per operation there"));
}

#[test]
fn a_file_that_is_not_an_operation_is_named_with_the_reason() {
    for (text, reason) in [
        ("", "not a JSON object"),
        (r#"["operations/x"]"#, "not a JSON object"),
        (r#"{"name": "operations/x""#, "EOF while parsing"),
        (r#"{"name": "operations/x"} {}"#, "trailing characters"),
        (r#"{"done": true}"#, "missing field `name`"),
        (
            r#"{"name": 7}"#,
            "invalid type: integer `7`, expected a string",
        ),
        (
            r#"{"name": "projects/p"}"#,
            r#"the name "projects/p" has no segment "operations""#,
        ),
        (r#"{"name": "myoperations/x"}"#, "has no segment"),
    ] {
        let good = r#"{"name": "operations/good"}"#;
        let error = Directory::with(&[("a.json", good), ("bad.json", text)]).error();
        assert!(error.contains("bad.json is not an operation"), "{error}");
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("or move it out of the directory"), "{error}");
    }
}

#[test]
fn two_files_with_one_name_are_both_named() {
    let first = r#"{"name": "operations/x"}"#;
    let second = r#"{"done": true, "name": "operations\/x"}"#;
    let error = Directory::with(&[("b.json", second), ("a.json", first)]).error();
    let (a, b) = (error.find("a.json"), error.find("b.json"));
    assert!(a.is_some() && a < b, "{error}");
    assert!(
        error.contains(r#"both have the name "operations/x""#),
        "{error}"
    );
}

#[tokio::test]
async fn an_unknown_operation_is_a_json_404_that_escapes_the_name() {
    let running = serve_ended().await;
    let answer = get(&running, "/v1/operations/%22%0A%3Cb%3E%5C").await;
    assert_eq!(answer.status, 404);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], 404);
    assert_eq!(error["status"], "NOT_FOUND");
    assert_eq!(
        error["message"],
        "Operation \"operations/\"\n<b>\\\" not found."
    );
    assert_eq!(
        error["details"][0]["@type"],
        "type.googleapis.com/google.rpc.ErrorInfo"
    );
    assert_eq!(
        error["details"][0]["metadata"]["resource"],
        "operations/\"\n<b>\\"
    );
}

#[tokio::test]
async fn a_path_without_a_version_is_an_html_404_that_escapes_the_path() {
    let running = serve_ended().await;
    for target in ["/", "/operations/x", "/v1", "/v1/"] {
        let answer = get(&running, target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.has_header("content-type: text/html; charset=UTF-8"));
        assert!(
            answer.body.contains(&format!("<code>{target}</code>")),
            "{}",
            answer.body
        );
    }
    let page = body_of(failure::page_not_found("/<script>&\"")).await;
    assert!(
        page.contains("<code>/&lt;script&gt;&amp;&quot;</code>"),
        "{page}"
    );
}

async fn body_of(answer: Response<Full<Bytes>>) -> String {
    let body = answer.into_body().collect().await.expect("a whole body");
    String::from_utf8(body.to_bytes().to_vec()).expect("the body is UTF-8")
}

#[tokio::test]
async fn a_bad_percent_escape_is_a_json_400() {
    let running = serve_ended().await;
    for target in [
        "/v1/operations/%zz",
        "/v1/operations/%",
        "/v1/operations/%FF",
    ] {
        let answer = get(&running, target).await;
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.json()["error"]["status"], "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn every_method_but_get_is_refused() {
    let running = serve_ended().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = send(&running, method, "/v1/operations/space-subscription").await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.has_header("allow: GET"));
        assert_eq!(answer.json()["error"]["code"], 405);
        assert_eq!(answer.json()["error"]["status"], "UNIMPLEMENTED");
    }
    let answer = send(&running, "HEAD", "/v1/operations/space-subscription").await;
    assert_eq!((answer.status, answer.body.as_str()), (405, ""));
}

#[tokio::test]
async fn special_names_ask_for_failures() {
    let running = serve_ended().await;
    for (status, code) in [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (409, "ABORTED"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (501, "UNIMPLEMENTED"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ] {
        for parent in ["operations", "projects/p/locations/global/operations"] {
            let answer = get(&running, &format!("/v1/{parent}/error-{status}")).await;
            assert_eq!(answer.status, status);
            let body = answer.json();
            let error = &body["error"];
            assert_eq!(error["code"], status);
            assert_eq!(error["status"], code);
            let info = &error["details"][0];
            assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
            assert!(info["reason"].is_string());

            let retryable = status == 429 || status == 503;
            assert_eq!(answer.has_header("retry-after: 1"), retryable, "{status}");
            if retryable {
                let retry_info = &error["details"][1];
                assert_eq!(
                    retry_info["@type"],
                    "type.googleapis.com/google.rpc.RetryInfo"
                );
                assert_eq!(retry_info["retryDelay"], "1s");
            }
            if status == 401 {
                assert!(answer.headers.contains("www-authenticate: Bearer "));
            }
            if status == 403 {
                assert_eq!(info["reason"], "SERVICE_DISABLED");
                let url = info["metadata"]["activationUrl"].as_str().expect("a URL");
                assert!(url.starts_with("https://console.developers.google.com/apis/api/"));
            }
        }
    }
    for unknown in [
        "operations/error-418",
        "operations/error-",
        "errors/error-503",
    ] {
        let answer = get(&running, &format!("/v1/{unknown}")).await;
        assert_eq!(answer.status, 404, "{unknown}");
        assert_eq!(
            answer.json()["error"]["message"],
            format!("Operation \"{unknown}\" not found.")
        );
    }
    let answer = get(&running, "/v1/operations/html-404").await;
    assert_eq!(answer.status, 404);
    assert!(answer.has_header("content-type: text/html; charset=UTF-8"));
    assert!(answer.body.starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn one_connection_serves_several_requests() {
    let running = serve_ended().await;
    let mut stream = TcpStream::connect(running.local_addr())
        .await
        .expect("connects");
    let request = "GET /v1/operations/error-500 HTTP/1.1\r\nHost: localhost\r\n";
    stream
        .write_all(format!("{request}\r\n").as_bytes())
        .await
        .expect("sends");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("receives");
    assert_eq!(&first, b"HTTP/1.1 500");

    stream
        .write_all(format!("{request}Connection: close\r\n\r\n").as_bytes())
        .await
        .expect("sends again");
    let mut rest = String::new();
    stream
        .read_to_string(&mut rest)
        .await
        .expect("receives again");
    assert_eq!(rest.matches("HTTP/1.1 500").count(), 1);
}

#[tokio::test]
async fn dropping_stops_the_server_and_its_connections() {
    let running = serve_ended().await;
    let addr = running.local_addr();
    let mut stream = TcpStream::connect(addr).await.expect("connects");
    let request = "GET /v1/operations/error-500 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("receives");

    running.serve_until(future::ready(())).await;

    // The connection that was kept alive ends. Its end or a reset: both are.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(TcpStream::connect(addr).await.is_err());
}

/// An operation of this name.
fn named(name: &str) -> String {
    format!(r#"{{"name": "{name}", "done": true}}"#)
}

#[tokio::test]
async fn an_operation_is_had_in_the_way_that_its_service_is_asked() {
    let of_bucket = named("projects/_/buckets/B/operations/a/b");
    let of_drive = named("operations/a/b");
    let bare = named("7612202767953098924");
    let of_model = named("projects/p/locations/l/publishers/google/models/m/operations/o");
    let batch = named("batches/7h9wmadeup");
    let transfer = named("transferOperations/transferJobs-1-2");
    let files = [&of_bucket, &of_drive, &bare, &of_model, &batch, &transfer];
    let named: Vec<String> = (0..files.len()).map(|at| format!("{at}.json")).collect();
    let files: Vec<(&str, &str)> = { named.iter().map(String::as_str) }
        .zip(files.into_iter().map(String::as_str))
        .collect();
    let running = serve(Directory::with(&files).emulator().expect("operations")).await;
    for (target, body) in [
        ("/v1/b/B/operations/a%2Fb?prettyPrint=false", &of_bucket),
        ("/v1/projects/_/buckets/B/operations/a/b", &of_bucket),
        ("/v1/operations/a%2Fb", &of_drive),
        ("/v1/operations/7612202767953098924", &bare),
        ("/v1beta/batches/7h9wmadeup", &batch),
        ("/v1/transferOperations/transferJobs-1-2", &transfer),
    ] {
        let answer = get(&running, target).await;
        assert_eq!((answer.status, &answer.body), (200, body), "{target}");
    }
    for target in [
        "/v1/b/C/operations/a%2Fb",
        "/v1/b/B/operations/c",
        "/v1/7612202767953098924",
        "/v1/batches/x",
    ] {
        assert_eq!(get(&running, target).await.status, 404, "{target}");
    }

    let model = "/v1/projects/p/locations/l/publishers/google/models/m";
    let page = get(&running, &format!("{model}/operations/o")).await;
    assert_eq!(page.status, 404);
    assert!(page.has_header("content-type: text/html; charset=UTF-8"));
    let fetch = async |target: String, name: &str| {
        let body = format!(r#"{{"operationName":"{name}"}}"#);
        let length = body.len();
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}");
        exchange(&running, &format!("{head}\r\n\r\n{body}")).await
    };
    let name = "projects/p/locations/l/publishers/google/models/m/operations/o";
    for colon in [":", "%3A"] {
        let answer = fetch(format!("{model}{colon}fetchPredictOperation"), name).await;
        assert_eq!((answer.status, &answer.body), (200, &of_model));
    }
    let fetch = async |name| {
        fetch(format!("{model}:fetchPredictOperation"), name)
            .await
            .status
    };
    assert_eq!(
        fetch("projects/p/locations/l/publishers/google/models/m/operations/p").await,
        404
    );
    assert_eq!(
        fetch("projects/p/locations/l/publishers/google/models/m/operations/error-429").await,
        429
    );
    assert_eq!(fetch("operations/a/b").await, 400);
}

#[test]
fn a_name_that_is_none_of_an_operation_is_refused() {
    for name in [
        "",
        "batches/",
        "transferOperations//x",
        "projects/p/batches/x",
    ] {
        let error = Directory::with(&[("bad.json", &named(name))]).error();
        assert!(
            error.contains("bad.json is not an operation"),
            "{name}: {error}"
        );
    }
    let twice = [("a.json", named("7")), ("b.json", named("operations/7"))];
    let twice = twice.each_ref().map(|(file, text)| (*file, text.as_str()));
    let error = Directory::with(&twice).error();
    assert!(
        error.contains(r#"both have the name "operations/7""#),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_for_another_host_is_misdirected() {
    let running = serve_ended().await;
    let path = "/v1/operations/space-subscription";
    let port = running.local_addr().port();
    let status = async |target: &str, host: &str| {
        exchange(
            &running,
            &format!("GET {target} HTTP/1.1\r\n{host}\r\n\r\n"),
        )
        .await
    };
    for host in [
        format!("Host: evil.example:{port}"),
        "host: EVIL.EXAMPLE.".to_owned(),
        format!("Host: 127.0.0.1.evil.example:{port}"),
    ] {
        let answer = status(path, &host).await;
        assert_eq!(answer.status, 421, "{host}");
        assert_eq!(answer.json()["error"]["code"], 421);
    }
    let whole = format!("http://evil.example:{port}{path}");
    assert_eq!(
        status(&whole, &format!("Host: 127.0.0.1:{port}"))
            .await
            .status,
        421
    );
    for (target, host) in [
        (path.to_owned(), format!("Host: LOCALHOST:{port}")),
        (path.to_owned(), "Host: localhost.:1".to_owned()),
        (
            format!("http://127.0.0.1:{port}{path}"),
            format!("Host: 127.0.0.1:{port}"),
        ),
    ] {
        assert_eq!(status(&target, &host).await.status, 200, "{target} {host}");
    }
    assert_eq!(status(path, "Accept: */*").await.status, 400);
    assert_eq!(
        status(path, "Host: localhost\r\nHost: localhost")
            .await
            .status,
        400
    );
}
