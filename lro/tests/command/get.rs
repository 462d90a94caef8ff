//! `lro get`.

use std::fs;
use std::time::Duration;

use operations_emulator::{self as emulator, Emulator};
use serde_json::Value;

use crate::{ended, lro, run};
use testing::server::{Server, closed_port, json};
use testing::tls::Ca;
use testing::{CANARY, DONE, authorized_user, token_server};

#[tokio::test]
async fn the_outputs_as_a_table_and_as_json() {
    let running = Emulator::builtin_with_run_time(Duration::ZERO)
        .bind(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let endpoint = running.endpoint();
    let (_, name) = emulator::builtin_names()[1];

    let table = run(lro(&["get", name, "--endpoint", &endpoint]))
        .await
        .with_code(0);
    assert!(
        table
            .stdout
            .contains("│ error.code                      ┆ 7  "),
        "{}",
        table.stdout
    );
    assert_eq!(table.stderr, "");

    let json = run(lro(&[
        "get",
        name,
        "--endpoint",
        &endpoint,
        "--output",
        "json",
    ]))
    .await
    .with_code(0);
    assert_eq!(json.stdout.lines().count(), 1);
    let outputs: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(outputs.as_object().unwrap().len(), 11);
    assert_eq!(
        (&outputs["name"], &outputs["done"], &outputs["error.code"]),
        (&name.into(), &true.into(), &7.into())
    );
    assert_eq!(json.stderr, "");
}

#[tokio::test]
async fn a_failure_is_one_object_on_standard_error_and_the_exit_code_tells_its_kind() {
    let running = Emulator::builtin()
        .bind(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let endpoint = running.endpoint();
    for (name, code, case, reason) in [
        ("operations/error-403", 1, "permanent", "permission-denied"),
        ("operations/html-404", 1, "permanent", "wrong-address"),
        ("operations/error-503", 75, "transient", "unavailable"),
    ] {
        let arguments = [
            "get",
            name,
            "--endpoint",
            &endpoint,
            "--output",
            "json",
            "--max-attempts",
            "1",
        ];
        let ended = run(lro(&arguments)).await.with_code(code);
        assert_eq!(ended.stdout, "");
        let failure: Value = serde_json::from_str(&ended.stderr).unwrap();
        assert_eq!(
            (&failure["name"], &failure["case"], &failure["reason"]),
            (&name.into(), &case.into(), &reason.into())
        );
    }
    let nobody = format!("http://{}/v1", closed_port().await);
    let ended = run(lro(&[
        "get",
        "operations/o",
        "--endpoint",
        &nobody,
        "--max-attempts",
        "1",
    ]))
    .await
    .with_code(75);
    assert!(
        ended
            .stderr
            .contains("transient: asking again later may help"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn verbose_shows_each_request_of_an_operation_and_not_the_token() {
    let server = Server::always(DONE).await;
    for arguments in [
        [
            "-v",
            "get",
            "operations/private",
            "--endpoint",
            &server.endpoint(),
        ],
        [
            "get",
            "operations/private",
            "--endpoint",
            &server.endpoint(),
            "--verbose",
        ],
    ] {
        let mut command = lro(&arguments);
        command.env("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY);
        let ended = run(command).await.with_code(0);
        let answers = ended.stderr.lines().filter(|line| {
            line.contains("answer") && line.contains("127.0.0.1") && line.contains("200")
        });
        assert_eq!(answers.count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("call ended"), "{}", ended.stderr);
        let request = ended.stderr.lines().find(|line| line.contains(" request "));
        let request = request.expect("a line for the request");
        for shown in ["operation{name=\"operations/private\"}", "GET", "127.0.0.1"] {
            assert!(request.contains(shown), "{request}");
        }
        assert!(!ended.stderr.contains("v1/operations"), "{}", ended.stderr);
        assert!(!ended.shown().contains(CANARY));
    }
    for asked in server.asked() {
        assert_eq!(asked.all("authorization"), [format!("Bearer {CANARY}")]);
    }
}

#[tokio::test]
async fn the_token_comes_from_the_variable_that_is_named_else_from_the_usual_one() {
    let server = Server::always(DONE).await;
    let endpoint = server.endpoint();
    let mut usual = lro(&["get", "operations/o", "--endpoint", &endpoint]);
    usual.env("GOOGLE_OAUTH_ACCESS_TOKEN", "usual-token");
    run(usual).await.with_code(0);
    let named = || {
        lro(&[
            "get",
            "operations/o",
            "--endpoint",
            &endpoint,
            "--access-token-env",
            "MY_TOKEN",
        ])
    };
    let mut command = named();
    command
        .env("GOOGLE_OAUTH_ACCESS_TOKEN", "usual-token")
        .env("MY_TOKEN", "my-token\n");
    run(command).await.with_code(0);
    let asked = server.asked();
    assert_eq!(asked[0].all("authorization"), ["Bearer usual-token"]);
    assert_eq!(asked[1].all("authorization"), ["Bearer my-token"]);

    let unset = run(named()).await.with_code(2);
    assert!(unset.stderr.contains("MY_TOKEN"), "{}", unset.stderr);
    let mut unfit = named();
    unfit.env("MY_TOKEN", format!("Bearer {CANARY}"));
    let unfit = run(unfit).await.with_code(2);
    assert!(unfit.stderr.contains("MY_TOKEN"), "{}", unfit.stderr);
    assert!(!unfit.shown().contains(CANARY));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn credentials_of_a_file_are_asked_for_a_token() {
    let (server, tokens) = (Server::always(DONE).await, token_server().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    let shown = file.to_str().unwrap();
    let endpoint = server.endpoint();
    let arguments = [
        "-v",
        "get",
        "operations/o",
        "--endpoint",
        &endpoint,
        "--credentials",
        shown,
    ];

    let missing = run(lro(&arguments)).await.with_code(2);
    assert!(missing.stderr.contains(shown), "{}", missing.stderr);
    fs::write(&file, "{").unwrap();
    let torn = run(lro(&arguments)).await.with_code(2);
    assert!(
        torn.stderr.contains(shown) && torn.stderr.contains("line 1"),
        "{}",
        torn.stderr
    );
    assert_eq!(tokens.asked().len() + server.asked().len(), 0);

    fs::write(&file, authorized_user(&tokens.url("/token")).to_string()).unwrap();
    let ended = run(lro(&arguments)).await.with_code(0);
    assert_eq!(tokens.asked().len(), 1);
    assert_eq!(
        server.the_one().all("authorization"),
        [format!("Bearer {CANARY}-1")]
    );
    assert!(!ended.shown().contains(CANARY));

    let down = format!("http://{}/token", closed_port().await);
    fs::write(&file, authorized_user(&down).to_string()).unwrap();
    let ended = run(lro(&arguments)).await.with_code(75);
    assert!(
        ended.stderr.contains("could not be reached"),
        "{}",
        ended.stderr
    );
    assert!(!ended.shown().contains(CANARY));
    server.the_one();
}

#[tokio::test]
async fn two_credentials_are_a_usage_error_and_a_key_alone_is_sent() {
    let server = Server::always(DONE).await;
    let endpoint = server.endpoint();
    let command = || {
        let mut command = lro(&["get", "operations/o", "--endpoint", &endpoint]);
        command.env("GOOGLE_API_KEY", "key-canary");
        command
    };
    let mut both = command();
    both.env("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY);
    let ended = run(both).await.with_code(2);
    assert!(
        ended
            .stderr
            .contains("GOOGLE_API_KEY and GOOGLE_OAUTH_ACCESS_TOKEN are both set"),
        "{}",
        ended.stderr
    );
    assert!(!ended.shown().contains("canary"));
    assert_eq!(server.seen().accepted, 0);

    // An empty variable is unset.
    let mut alone = command();
    alone.env("GOOGLE_OAUTH_ACCESS_TOKEN", "");
    run(alone).await.with_code(0);
    let asked = server.the_one();
    assert_eq!(asked.all("x-goog-api-key"), ["key-canary"]);
    assert_eq!(asked.all("authorization"), [""; 0]);

    let arguments = [
        "get",
        "operations/o",
        "--access-token-env",
        "A",
        "--credentials",
        "adc",
    ];
    run(lro(&arguments)).await.with_code(2);
}

#[tokio::test]
async fn a_credential_that_is_typed_wins_over_those_that_are_exported() {
    let (server, tokens) = (Server::always(DONE).await, token_server().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    fs::write(&file, authorized_user(&tokens.url("/token")).to_string()).unwrap();
    let endpoint = server.endpoint();
    for (typed, sent) in [
        (
            ["--credentials", file.to_str().unwrap()],
            format!("{CANARY}-1"),
        ),
        (["--credentials", "adc"], format!("{CANARY}-2")),
        (["--access-token-env", "MY_TOKEN"], "my-token".to_owned()),
    ] {
        let arguments = ["get", "operations/o", "--endpoint", &endpoint];
        let mut command = lro(&[&arguments[..], &typed].concat());
        command
            .env("GOOGLE_API_KEY", "key-canary")
            .env("GOOGLE_OAUTH_ACCESS_TOKEN", "usual-token")
            .env("GOOGLE_APPLICATION_CREDENTIALS", &file)
            .env("MY_TOKEN", "my-token");
        run(command).await.with_code(0);
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.all("authorization"), [format!("Bearer {sent}")]);
        assert_eq!(asked.all("x-goog-api-key"), [""; 0]);
    }
}

#[tokio::test]
async fn without_a_place_for_the_cache_a_failure_as_json_is_one_object_all_the_same() {
    let get = |more: &[&str]| {
        let arguments = ["get", "no-operation", "--output", "json"];
        let mut command = lro(&[&arguments[..], more].concat());
        command
            .env_remove("XDG_CACHE_HOME")
            .env("HOME", "/dev/null/home");
        run(command)
    };
    let ended = get(&[]).await.with_code(1);
    let failure: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(failure["reason"], "invalid-name");
    let verbose = get(&["-v"]).await.with_code(1);
    assert!(
        verbose.stderr.contains("compiled blocks are not kept"),
        "{}",
        verbose.stderr
    );
    let help = run(lro(&["--help"])).await.with_code(0);
    assert!(help.stdout.contains("~/.cache/lro"), "{}", help.stdout);
}

#[tokio::test]
async fn a_setting_that_is_mistyped_is_an_error_of_usage_that_names_its_flag() {
    for (flag, value) in [
        ("--timeout-ms", "0"),
        ("--timeout-ms", "600001"),
        ("--max-attempts", "11"),
        ("--max-attempts", "two"),
        ("--endpoint", "localhost:8080"),
        ("--universe-domain", "a b"),
        ("--quota-project", "p q"),
    ] {
        for subcommand in ["get", "wait"] {
            let ended = run(lro(&[subcommand, "operations/o", flag, value]))
                .await
                .with_code(2);
            assert!(ended.stderr.contains(flag), "{}", ended.stderr);
            assert!(!ended.stderr.contains("OPERATIONS_"), "{}", ended.stderr);
        }
    }
    // The variable is named where the variable was set.
    for (variable, value, said) in [
        (
            "OPERATIONS_TIMEOUT_MS",
            "0",
            "OPERATIONS_TIMEOUT_MS is \"0\"",
        ),
        ("OPERATIONS_ENDPOINT", "foo", "OPERATIONS_ENDPOINT does not"),
        ("OPERATIONS_SERVICE", "foo", "OPERATIONS_SERVICE is \"foo\""),
    ] {
        for subcommand in ["get", "wait"] {
            let mut command = lro(&[subcommand, "operations/o"]);
            command.env(variable, value);
            let ended = run(command).await.with_code(2);
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn a_message_names_the_flag_that_was_typed_wherever_it_names_its_variable() {
    let name = "//apigateway.googleapis.com/projects/p/locations/global/operations/o";
    let typed = ["--service", "workspaceevents.googleapis.com"];
    for subcommand in ["get", "wait"] {
        let ended = run(lro(&[&[subcommand, name], &typed[..]].concat())).await;
        let ended = ended.with_code(1);
        assert_eq!(ended.stderr.matches("--service").count(), 2);
        assert!(!ended.stderr.contains("OPERATIONS_"), "{}", ended.stderr);
        let mut exported = lro(&[subcommand, name]);
        exported.env("OPERATIONS_SERVICE", typed[1]);
        let ended = run(exported).await.with_code(1);
        assert_eq!(ended.stderr.matches("OPERATIONS_SERVICE").count(), 2);
    }
}

#[tokio::test]
async fn of_a_long_value_and_of_many_members_a_table_shows_the_beginning() {
    let many: String = (0..20_000)
        .map(|number| format!(r#","k{number}":1"#))
        .collect();
    let body = format!(
        r#"{{"done":true,"response":{{"v":"{}"{many}}}}}"#,
        "x".repeat(256 * 1024)
    );
    let server = Server::start(move |_, _| {
        let body = body.clone();
        async move { json(200, body) }
    })
    .await;
    // All of it took minutes to lay out.
    let get = lro(&["get", "operations/o", "--endpoint", &server.endpoint()]);
    let table = ended({ get }.spawn().unwrap()).await.with_code(0).stdout;
    assert_eq!(table.matches("(cut: --output json shows all)").count(), 2);
    assert!((100..400).contains(&table.lines().count()), "{table}");
}

#[tokio::test]
async fn no_token_goes_in_the_clear_to_another_machine() {
    let mut command = lro(&[
        "get",
        "operations/o",
        "--endpoint",
        "http://service.example/v1",
    ]);
    command.env("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY);
    let ended = run(command).await.with_code(1);
    assert!(
        ended.stderr.contains("service.example in the clear"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_ca_of_ones_own_and_a_client_certificate() {
    let ca = Ca::new();
    let open = Server::tls(ca.server("127.0.0.1", &["h2"]), |_, _| async {
        json(200, DONE)
    })
    .await;
    let closed = Server::tls(ca.server_for_clients("127.0.0.1"), |_, _| async {
        json(200, DONE)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = ca.issue("client.example");
    let ca = file("ca.pem", &ca.pem);
    let (certificate, key) = (file("client.pem", &certificate), file("client.key", &key));
    let endpoint = |server: &Server| format!("https://{}/v1", server.address);

    let get = |server: &Server, more: &[&str]| {
        let endpoint = endpoint(server);
        run(lro(&[
            &["get", "operations/o", "--endpoint", &endpoint],
            more,
        ]
        .concat()))
    };
    let untrusted = get(&open, &[]).await.with_code(1);
    assert!(
        untrusted.stderr.contains("certificate is not trusted"),
        "{}",
        untrusted.stderr
    );
    get(&open, &["--ca", &ca]).await.with_code(0);
    assert_eq!(open.the_one().version, http::Version::HTTP_2);

    get(&closed, &["--ca", &ca]).await.with_code(1);
    assert_eq!(closed.asked().len(), 0);
    get(
        &closed,
        &[
            "--ca",
            &ca,
            "--client-cert",
            &certificate,
            "--client-key",
            &key,
        ],
    )
    .await
    .with_code(0);
    closed.the_one();

    let bad = file("bad.pem", "not PEM");
    let missing = folder
        .path()
        .join("missing.pem")
        .to_str()
        .unwrap()
        .to_owned();
    for (arguments, named) in [
        (&["--ca", &ca, "--ca", &bad][..], &bad),
        (&["--ca", &missing], &missing),
        (&["--client-cert", &certificate, "--client-key", &bad], &bad),
    ] {
        let ended = get(&open, arguments).await.with_code(2);
        assert!(ended.stderr.contains(named), "{}", ended.stderr);
    }
    get(&open, &["--client-cert", &certificate])
        .await
        .with_code(2);
    open.the_one();
}

#[tokio::test]
async fn a_proxy_is_the_environments() {
    let ca = Ca::new();
    let host = "apigateway.googleapis.com";
    let server = Server::tls(ca.server(host, &["http/1.1"]), |_, _| async {
        json(200, DONE)
    })
    .await;
    let proxy = Server::proxy(server.address).await;
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("ca.pem");
    fs::write(&pem, &ca.pem).unwrap();
    let get = |more: &[&str]| {
        let name = "projects/p/locations/global/operations/o";
        let mut command = lro(&[&["get", name, "--ca", pem.to_str().unwrap()], more].concat());
        command.env("HTTPS_PROXY", proxy.url(""));
        command
    };
    run(get(&["--service", host])).await.with_code(0);
    let tunnel = format!("CONNECT {host}:443 HTTP/1.1");
    assert_eq!(proxy.the_one().path, tunnel);
    server.the_one();

    let nobody = closed_port().await;
    let mut direct = get(&[
        "--endpoint",
        &format!("https://{nobody}/v1"),
        "--max-attempts",
        "1",
    ]);
    direct.env("NO_PROXY", "127.0.0.1");
    run(direct).await.with_code(75);
    assert_eq!(proxy.the_one().path, tunnel);
}

#[tokio::test]
async fn a_proxy_that_is_not_utf_8_fails_what_needs_it_and_nothing_else() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let server = Server::always(DONE).await;
    let get = |endpoint: &str| {
        let mut command = lro(&["get", "operations/o", "--endpoint", endpoint]);
        command.env("HTTPS_PROXY", OsStr::from_bytes(b"http://127.0.0.1:1/\xff"));
        run(command)
    };
    let needs_it = get("https://service.example/v1").await.with_code(1);
    assert!(
        needs_it.stderr.contains("HTTPS_PROXY: is not UTF-8"),
        "{}",
        needs_it.stderr
    );
    get(&server.endpoint()).await.with_code(0);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let server = Server::always(DONE).await;
    let get = ["get", "operations/o", "--endpoint", &server.endpoint()];
    for arguments in [
        &["services"][..],
        &["services", "--output", "json"],
        &["--help"],
        &["wait", "--help"],
        &["--version"],
        &get,
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = lro(arguments);
        command.stdout(writer);
        let ended = run(command).await.with_code(0);
        assert_eq!(ended.stderr, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_block_that_is_none_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("block.wasm");
    let shown = file.to_str().unwrap();
    let missing = run(lro(&["get", "operations/o", "--block", shown]))
        .await
        .with_code(2);
    assert!(missing.stderr.contains(shown), "{}", missing.stderr);
    fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
    let core = run(lro(&["get", "operations/o", "--block", shown]))
        .await
        .with_code(2);
    assert!(
        core.stderr.contains("core WebAssembly module"),
        "{}",
        core.stderr
    );
}
