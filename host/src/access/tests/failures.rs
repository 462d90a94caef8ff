//! Token sources that fail.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_source_that_was_down_is_asked_again() {
    let port = refusing_port();
    let address = port.local_addr().unwrap();
    let file = authorized_user(&format!("http://{address}/token"));
    let access = paced(Access::from_credentials_json(file, None).unwrap(), QUICK);
    let scopes = Scopes::default();
    let error = refused(access.authorization(&scopes).await);
    assert_eq!(
        error.to_string(),
        format!(
            "the token server {address} could not be reached: check the network and HTTPS_PROXY; it is asked again every 10 seconds"
        )
    );
    assert!(error.is_transient());

    let server = Server::start_at(port.listen(16).unwrap(), |number, _| async move {
        token(number, 3600)
    });
    // Until the crate's next try the answer stays, without a request.
    assert!(refused(access.authorization(&scopes).await).is_transient());
    assert_eq!(server.requests().len(), 0);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(bearer(&access).await, format!("Bearer {CANARY}-1"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_source_that_fails_is_transient_and_not_hammered() {
    let server =
        Server::start(|_, request| async move { refusal(503, "unavailable", &request) }).await;
    let access = user_access(&server);
    let said = at_once(|| {
        let access = access.clone();
        async move { refused(access.authorization(&Scopes::default()).await) }
    })
    .await;
    for error in said {
        assert_eq!(
            error.to_string(),
            format!(
                "the token server {} is failing: try again later; it is asked again every 10 seconds",
                server.address
            )
        );
        assert!(error.is_transient());
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_permanent_and_the_source_is_asked_again_after_a_pause() {
    let server = Server::start(|number, request| async move {
        match number {
            1 | 2 => refusal(400, "invalid_grant", &request),
            _ => token(number, 3600),
        }
    })
    .await;
    let access = paced(
        Access::from_credentials_json(user(&server), None).unwrap(),
        Timing {
            failed: Duration::from_secs(2),
            ..QUICK
        },
    );
    for turn in 1..=2 {
        let said = at_once(|| {
            let access = access.clone();
            async move { refused(access.authorization(&Scopes::default()).await) }
        })
        .await;
        for error in said {
            assert_eq!(
                error.to_string(),
                format!(
                    "the token server {} gave no token (invalid_grant): run `gcloud auth application-default login` again, with the scopes that the services need",
                    server.address
                )
            );
            assert!(!error.is_transient());
        }
        assert_eq!(server.requests().len(), turn);
        tokio::time::sleep(Duration::from_millis(2100)).await;
    }
    assert_eq!(bearer(&access).await, format!("Bearer {CANARY}-3"));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_token_source_is_not_waited_for_forever() {
    let server = Server::script([Answer::nothing().then_silence(), token(2, 3600).into()]).await;
    let access = paced(
        Access::from_credentials_json(user(&server), None).unwrap(),
        Timing {
            answer: Duration::from_millis(700),
            ..QUICK
        },
    );
    let said = at_once(|| {
        let access = access.clone();
        async move { refused(access.authorization(&Scopes::default()).await) }
    })
    .await;
    for error in said {
        assert_eq!(
            error.to_string(),
            format!(
                "the token server {} did not answer within 700 ms: try again later",
                server.address
            )
        );
        assert!(error.is_transient());
    }
    assert_eq!(bearer(&access).await, format!("Bearer {CANARY}-2"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_without_a_token_is_refused() {
    let server = Server::start(|_, request| async move {
        answer::json(200, json!([CANARY, request.text()]).to_string())
    })
    .await;
    let error = refused(user_access(&server).authorization(&Scopes::default()).await);
    assert!(error.to_string().contains("gave no token: run"), "{error}");
}
