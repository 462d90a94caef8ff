//! Where a credential may be: in its header on the wire to the host that it is for, and nowhere else, neither
//! in an error nor in what is traced, counted or told of a trap.
//!
//! [`check`] looks at every case of [`faults`](crate::faults) and [`hostile`](crate::hostile), too. What the
//! service itself says is left out where the contract gives it verbatim: `failure.service_error`, and the
//! outputs.

use std::error::Error;

use operations_host::{
    Access, Block, Call, CallError, Failure, Host, HostConfig, LoadedBlock, Outputs, Reason,
    failure_json,
};

use crate::traced::Captured;
use crate::{NAME, call, config, crafted, load, permanent, resolving, to};
use testing::echo::{STATUSES, bodies, echo};
use testing::names::Names;
use testing::server::{Server, json};
use testing::{CANARY, DONE};

/// How the token begins: a text that is cut may hold a piece of it.
const PIECE: &str = CANARY.split_at(10).0;

/// Checks that no piece of the token is in what a call leaves behind, but for what the service said.
#[track_caller]
pub fn check(what: &str, result: &Result<Outputs, CallError>, captured: &Captured, host: &Host) {
    if let Err(error) = result {
        let shown = shown(error);
        assert!(!shown.contains(PIECE), "{what}: {shown}");
    }
    let kept = captured.kept();
    assert!(!kept.all.is_empty(), "{what}: nothing was traced");
    let traced = kept.all.lines().find(|line| line.contains(PIECE));
    assert_eq!(traced, None, "{what}");
    let metrics = host.metrics();
    assert!(!metrics.contains(PIECE), "{what}: {metrics}");
}

/// Checks that a request has the token, once and in its place.
#[track_caller]
pub fn check_head(what: &str, head: &str) {
    let field = format!("\r\nauthorization: Bearer {CANARY}\r\n");
    assert_eq!(
        (head.matches(PIECE).count(), head.matches(&field).count()),
        (1, 1),
        "{what}: {head}"
    );
}

/// Every text of an error, without `service_error`: it is taken out of the failure itself.
fn shown(error: &CallError) -> String {
    let without = |failure: &Failure| Failure {
        service_error: None,
        ..failure.clone()
    };
    let copy = match error {
        CallError::Permanent(failure) => Some(CallError::Permanent(without(failure))),
        CallError::Transient(failure) => Some(CallError::Transient(without(failure))),
        _ => None,
    };
    let rest = copy.as_ref().unwrap_or(error);
    let mut texts = vec![error.to_string(), format!("{rest:?} {rest:#?}")];
    texts.push(failure_json(rest));
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(format!("{error} {error:?}"));
        cause = error.source();
    }
    texts.join("\n")
}

/// Who knows the credential.
#[derive(Clone, Copy, Debug)]
enum From {
    Host,
    Token,
    Key,
}

impl From {
    const ALL: [From; 3] = [From::Host, From::Token, From::Key];

    fn load(self, config: HostConfig) -> (Host, LoadedBlock) {
        let access = match self {
            From::Host => Access::token(CANARY.to_owned()).unwrap(),
            From::Token | From::Key => Access::none(),
        };
        load(HostConfig { access, ..config })
    }

    fn on(self, call: Call) -> Call {
        match self {
            From::Host => call,
            From::Token => call.setting("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY),
            From::Key => call.setting("GOOGLE_API_KEY", CANARY),
        }
    }
}

#[tokio::test]
async fn a_credential_that_a_service_repeats_comes_out_nowhere() {
    let server = echo().await;
    let (captured, _guard) = Captured::ours();
    for from in From::ALL {
        let (host, get) = from.load(config());
        let (mut failures, mut cleaned) = (0, 0);
        for status in STATUSES {
            for body in 0..bodies("").len() {
                let call = Call::new(format!("operations/{status}-{body}"))
                    .setting("OPERATIONS_ENDPOINT", server.endpoint())
                    .setting("OPERATIONS_MAX_ATTEMPTS", "1");
                let result = get.call(&from.on(call)).await;
                check(
                    &format!("{from:?}, {status}, body {body}"),
                    &result,
                    &captured,
                    &host,
                );
                let failure = result.as_ref().err().and_then(CallError::failure);
                failures += usize::from(failure.is_some());
                let said = failure.and_then(|failure| failure.service_error.as_ref());
                assert!(!said.is_some_and(|said| said.error.contains(CANARY)));
                cleaned +=
                    usize::from(said.is_some_and(|said| said.error.contains("[credential]")));
            }
        }
        // Each is a failure; what is an error object is there, whatever the status.
        assert_eq!(failures, STATUSES.len() * bodies("").len(), "{from:?}");
        assert_eq!(cleaned, 17 * 8, "{from:?}");
    }
}

#[tokio::test]
async fn a_credential_in_a_name_or_setting_is_not_repeated() {
    let server = Server::always(DONE).await;
    let names = Names::all(&["127.0.0.1"]);
    let (captured, _guard) = Captured::ours();
    let here = || call(&server);
    let long = "x".repeat(85);
    for from in From::ALL {
        let (host, get) = from.load(HostConfig {
            connections: resolving(&names),
            ..config()
        });
        let named =
            |name: String| Call::new(name).setting("OPERATIONS_ENDPOINT", server.endpoint());
        let calls = [
            named(CANARY.to_owned()),
            named(format!("operations/{CANARY}")),
            named(format!("Bearer {CANARY}")),
            named(format!("{long}{CANARY}")),
            named(format!("operations/{}/{CANARY}", "x/".repeat(230))),
            named(format!("//{CANARY}.googleapis.com/operations/o")),
            Call::new(format!("//{CANARY}.googleapis.com/operations/o")),
            Call::new(format!("operations/{CANARY}")),
            here().setting("OPERATIONS_SERVICE", CANARY),
            Call::new("operations/o").setting("OPERATIONS_SERVICE", format!("{CANARY}.example")),
            Call::new(NAME).setting(
                "OPERATIONS_SERVICE",
                format!("apigateway.googleapis.com/{CANARY}"),
            ),
            to(CANARY.to_owned()),
            to(format!("https://{CANARY}@127.0.0.1/v1")),
            to(format!("https://127.0.0.1/v1?key={CANARY}")),
            to(format!("{}/{CANARY}", server.endpoint())),
            to(format!("http://{CANARY}.example/v1")),
            to(format!("https://{CANARY}.example/v1")),
            here().setting("GOOGLE_CLOUD_UNIVERSE_DOMAIN", CANARY),
            Call::new(NAME).setting("GOOGLE_CLOUD_UNIVERSE_DOMAIN", format!("{CANARY}.example")),
            here().setting("GOOGLE_CLOUD_QUOTA_PROJECT", format!("{CANARY} ")),
            here().setting("OPERATIONS_TIMEOUT_MS", CANARY),
            here().setting("OPERATIONS_MAX_ATTEMPTS", CANARY),
            here()
                .setting("GOOGLE_API_KEY", format!("{CANARY} "))
                .setting("GOOGLE_OAUTH_ACCESS_TOKEN", format!("{CANARY}\u{1}")),
        ];
        for (number, call) in calls.into_iter().enumerate() {
            let what = format!("{from:?}, call {number}");
            let result = get.call(&from.on(call)).await;
            let error = result.as_ref().expect_err(&what);
            assert!(!error.is_transient(), "{what}: {error}");
            check(&what, &result, &captured, &host);
        }
    }
    assert_eq!(server.seen().accepted, 0);
    assert_eq!(names.asked(), [""; 0]);
}

#[tokio::test]
async fn a_block_that_traps_loops_gives_up_or_runs_out_of_memory_reveals_no_credential() {
    let server = Server::start(|_, asked| async move {
        let secret = asked.all("authorization").concat();
        let body = format!(
            r#"{{"done":true,"response":{{"v":"{}"}}}}"#,
            secret.repeat(200_000)
        );
        json(200, body)
    })
    .await;
    let (captured, _guard) = Captured::ours();
    for from in [From::Host, From::Token] {
        let (host, get) = from.load(HostConfig {
            memory_limit: 4 << 20,
            ..config()
        });
        let large = get.call(&from.on(call(&server))).await;
        assert!(matches!(large, Err(CallError::Aborted(_))), "{large:?}");
        check("out of memory", &large, &captured, &host);
        for get in [crafted::TRAPS, crafted::GIVES_UP] {
            let block: Block = crafted::block(get);
            let result = host
                .load(&block)
                .unwrap()
                .call(&from.on(call(&server)))
                .await;
            assert!(matches!(result, Err(CallError::Aborted(_))), "{result:?}");
            check("a trap", &result, &captured, &host);
        }
        let loops = host.load(&crafted::block(crafted::LOOPS)).unwrap();
        let call = from.on(call(&server)).setting("OPERATIONS_TIMEOUT_MS", "1");
        let result = loops.call(&call).await;
        assert!(matches!(result, Err(CallError::Overran)), "{result:?}");
        check("a loop", &result, &captured, &host);
    }
}

#[tokio::test]
async fn no_setting_can_end_a_header_or_a_url_early() {
    let server = Server::always(DONE).await;
    let names = Names::all(&["127.0.0.1"]);
    let (_host, get) = load(HostConfig {
        connections: resolving(&names),
        ..config()
    });
    let endpoint = server.endpoint();
    let settings = [
        ("OPERATIONS_SERVICE", "apigateway.googleapis.com"),
        ("OPERATIONS_SERVICE", "apigateway.googleapis.com/v1"),
        ("OPERATIONS_ENDPOINT", &endpoint),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "token"),
        ("GOOGLE_API_KEY", "key"),
        ("GOOGLE_CLOUD_QUOTA_PROJECT", "project"),
        ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "apis.example"),
        ("OPERATIONS_TIMEOUT_MS", "1000"),
        ("OPERATIONS_MAX_ATTEMPTS", "1"),
    ];
    let manifest = get.manifest().settings.iter();
    for setting in manifest {
        assert!(
            settings
                .iter()
                .any(|(variable, _)| *variable == setting.variable),
            "{} is not tried",
            setting.variable
        );
    }
    for (variable, value) in settings {
        for breaking in [
            "\r\nx-evil: 1",
            "\n x",
            "\r",
            "\0",
            " ",
            "\t",
            "\u{b}",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "ü",
            " HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        ] {
            let (before, behind) = value.split_at(value.len() / 2);
            let values = [
                format!("{value}{breaking}"),
                format!("{breaking}{value}"),
                format!("{before}{breaking}{behind}"),
            ];
            for value in values {
                let shown = format!("{variable}={value:?}");
                let call = call(&server).setting(variable, value);
                let failure = permanent(get.call(&call).await);
                assert_eq!(failure.reason, Reason::InvalidSetting, "{shown}");
                assert!(
                    failure.message.contains(variable),
                    "{shown}: {}",
                    failure.message
                );
                assert!(
                    !failure.message.contains(char::is_control),
                    "{shown}: {}",
                    failure.message
                );
            }
        }
    }
    for token in ["a\r\nx-evil: 1", "a b", "a\0", "a\nb", "\r\n", " a", "ü"] {
        let error = Access::token(token.to_owned()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("evil"), "{error:?}");
    }
    assert_eq!(server.seen().accepted, 0);
    assert_eq!(names.asked(), [""; 0]);
}
