//! A service that repeats the credential of a request.

use tokio::io::AsyncWriteExt;

use crate::server::{Server, head};

/// The statuses of its answers.
pub const STATUSES: [u16; 19] = [
    200, 201, 204, 301, 307, 400, 401, 403, 404, 408, 409, 410, 429, 500, 501, 502, 503, 504, 599,
];

/// Bodies that repeat a credential, some where a message would cut it.
pub fn bodies(secret: &str) -> Vec<String> {
    let long = "x".repeat(485);
    let detail = |kind: &str, members: &str| {
        format!(
            r#"{{"error":{{"code":7,"message":"{secret}","status":"{secret}","details":[{{"@type":"type.googleapis.com/google.rpc.{kind}",{members}}}]}}}}"#
        )
    };
    vec![
        String::new(),
        secret.to_owned(),
        format!("<html><title>{secret}</title>{secret}</html>"),
        format!("<html><title>{long}{secret}</title></html>"),
        detail("ErrorInfo", &format!(r#""reason":"{secret}""#)),
        detail(
            "ErrorInfo",
            &format!(
                r#""reason":"SERVICE_DISABLED","metadata":{{"activationUrl":"https://a.example/{long}{secret}"}}"#
            ),
        ),
        detail("RetryInfo", &format!(r#""retryDelay":"{secret}""#)),
        format!(r#"{{"error":"{secret}","error_description":"{secret}"}}"#),
        format!(r#"[{{"error":{{"code":"{secret}","message":["{secret}"],"status":7}}}}]"#),
        format!(
            r#"{{"error":{{"message":"{long}{secret}","status":"{}{secret}"}}}}"#,
            &long[..85]
        ),
        format!(
            r#"{{"error":{{"message":"{long}{secret}{secret}","status":"{}"}}}}"#,
            secret.repeat(9)
        ),
        format!(r#"{{"metadata":{{"{secret}":1,"{secret}":2}}}}"#),
        format!(
            r#"{{"metadata":{{"{0}{secret}":1,"{0}{secret}":2}}}}"#,
            &long[..85]
        ),
        format!(r#"{{"name":"projects/{secret}"}}"#),
        format!(r#"{{"done":"{secret}","error":{{"code":"{secret}"}}}}"#),
        format!(r#"{{"done":true,"{secret}"#),
    ]
}

/// Repeats the credential of a request in every part of its answer; the name says which status and body.
pub async fn echo() -> Server {
    Server::raw(|mut stream| async move {
        while let Some(head) = head(&mut stream).await {
            let secret = head
                .lines()
                .find_map(|line| {
                    let bearer = line.strip_prefix("authorization: Bearer ");
                    bearer.or_else(|| line.strip_prefix("x-goog-api-key: "))
                })
                .unwrap_or("none");
            let name = head.split('?').next().unwrap().rsplit('/').next().unwrap();
            let (status, body) = name.split_once('-').unwrap();
            let body = match status {
                "204" => "",
                _ => &bodies(secret)[body.parse::<usize>().unwrap()],
            };
            let fields = [
                "server", "content-type", "date", "retry-after", "www-authenticate", "location",
                "set-cookie", "x-echo",
            ];
            let fields = fields.map(|field| format!("{field}: {secret}\r\n")).concat();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Bearer {secret}\r\n{fields}content-length: {length}\r\n\r\n{body}"
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}
