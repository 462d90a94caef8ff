//! Connections that the server closes, over HTTP/1.1.

use http::Method;

use super::*;

/// Answers so many requests per connection, then reads one more and closes.
async fn closing_after(answers: usize) -> Server {
    Server::raw(move |mut stream| async move {
        for _ in 0..answers {
            head(&mut stream).await;
            stream.write_all(HELLO).await.unwrap();
        }
        head(&mut stream).await;
    })
    .await
}

/// Closes each connection after its answer without saying so.
pub async fn closing() -> Server {
    Server::raw(|mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(HELLO).await;
    })
    .await
}

async fn send(client: &Client, method: Method, url: &str) -> Result<String, SendError> {
    let request = Request::builder().method(method).uri(url);
    let request = request.body(Bytes::from("ping")).unwrap();
    read(client.send(request, PATIENT).await?).await
}

#[tokio::test]
async fn a_read_that_met_a_closing_connection_is_sent_once_more() {
    for method in [Method::GET, Method::POST] {
        let server = closing_after(1).await;
        let client = client(config());
        for sent in 1..=3 {
            let answer = send(&client, method.clone(), &server.url("/")).await;
            assert_eq!(answer.unwrap(), "hello");
            assert_eq!(server.seen().accepted, sent);
        }
    }
}

#[tokio::test]
async fn what_may_change_something_is_not_sent_twice() {
    let server = closing_after(1).await;
    let client = client(config());
    get(&client, &server.url("/")).await.unwrap();
    let answer = send(&client, Method::DELETE, &server.url("/")).await;
    assert_eq!(answer, Err(SendError::ConnectionTerminated));
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used() {
    let server = Server::always(Answer::raw(HELLO)).await;
    let client = client(config());
    for sent in 1..=3 {
        assert_eq!(get(&client, &server.url("/")).await.unwrap(), "hello");
        assert_eq!(server.seen().accepted, sent);
        server.until(|seen| seen.open == 0).await;
    }
}

#[tokio::test]
async fn a_new_connection_that_is_closed_is_an_error() {
    let server = closing_after(0).await;
    let answer = get(&client(config()), &server.url("/")).await;
    assert_eq!(answer, Err(SendError::ConnectionTerminated));
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test]
async fn a_response_that_has_begun_is_not_asked_for_again() {
    let server = Server::raw(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(HELLO).await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 O").await.unwrap();
    })
    .await;
    let client = client(config());
    get(&client, &server.url("/")).await.unwrap();
    let answer = get(&client, &server.url("/")).await;
    assert_eq!(answer, Err(SendError::ResponseIncomplete));
    assert_eq!(server.seen().accepted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_closes_each_connection_after_its_answer_loses_no_request() {
    let server = closing().await;
    for limit in [64, 3] {
        let client = limited(limit, config());
        let url = server.url("/");
        let mut workers = JoinSet::new();
        for _ in 0..100 {
            let (client, url) = (client.clone(), url.clone());
            workers.spawn(async move {
                for _ in 0..10 {
                    assert_eq!(get(&client, &url).await.unwrap(), "hello");
                }
            });
        }
        workers.join_all().await;
    }
}
