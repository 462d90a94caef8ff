//! One token request, however many calls: at first, after expiry, after a 401.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_are_one_token_request() {
    let server = token_server().await;
    let access = user_access(&server);
    let given = at_once(|| {
        let access = access.clone();
        async move { bearer(&access).await }
    })
    .await;
    assert!(
        given
            .iter()
            .all(|given| *given == format!("Bearer {CANARY}-1"))
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_after_expiry_are_one_more_request() {
    let server = Server::script([token(1, 2).into(), token(2, 3600).into()]).await;
    let access = user_access(&server);
    assert_eq!(bearer(&access).await, format!("Bearer {CANARY}-1"));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let given = at_once(|| {
        let access = access.clone();
        async move { bearer(&access).await }
    })
    .await;
    assert!(
        given
            .iter()
            .all(|given| *given == format!("Bearer {CANARY}-2"))
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_401s_with_one_token_are_one_rebuild() {
    let server = token_server().await;
    let access = user_access(&server);
    bearer(&access).await;
    let first = HeaderValue::from_str(&format!("Bearer {CANARY}-1")).unwrap();
    let again = at_once(|| {
        let (access, first) = (access.clone(), first.clone());
        async move { access.rejected(&Scopes::default(), &first).await }
    })
    .await;
    for again in again {
        assert_eq!(again.unwrap().value(), &format!("Bearer {CANARY}-2"));
    }
    assert_eq!(server.requests().len(), 2);

    // One that was refused with the old token meanwhile: the new one, at once.
    let late = access.rejected(&Scopes::default(), &first).await.unwrap();
    assert_eq!(late.value(), &format!("Bearer {CANARY}-2"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_always_says_401_does_not_cost_a_token_per_call() {
    let server = token_server().await;
    let access = user_access(&server);
    let scopes = Scopes::default();
    for _ in 0..50 {
        let sent = access.authorization(&scopes).await.unwrap().unwrap();
        if let Some(again) = access.rejected(&scopes, sent.value()).await {
            assert!(access.rejected(&scopes, again.value()).await.is_none());
        }
    }
    assert_eq!(server.requests().len(), 2);
    tokio::time::sleep(QUICK.rejected).await;
    let sent = access.authorization(&scopes).await.unwrap().unwrap();
    assert!(access.rejected(&scopes, sent.value()).await.is_some());
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_rebuild_that_gives_the_same_token_does_not_repeat_the_request() {
    let server = Server::start(|_, _| async { token(7, 3600) }).await;
    let access = machine(&server);
    let scopes = Scopes::default();
    let sent = access.authorization(&scopes).await.unwrap().unwrap();
    assert!(access.rejected(&scopes, sent.value()).await.is_none());
    assert!(access.rejected(&scopes, sent.value()).await.is_none());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_rebuild_that_fails_leaves_the_credential() {
    let server = Server::start(|number, request| async move {
        match number {
            1 => token(number, 3600),
            _ => refusal(503, "unavailable", &request),
        }
    })
    .await;
    let access = user_access(&server);
    let scopes = Scopes::default();
    let sent = access.authorization(&scopes).await.unwrap().unwrap();
    assert!(access.rejected(&scopes, sent.value()).await.is_none());
    assert_eq!(bearer(&access).await, format!("Bearer {CANARY}-1"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_rebuild_goes_on_when_the_call_that_began_it_is_cancelled() {
    let server = token_server().await;
    let access = user_access(&server);
    let scopes = Scopes::default();
    let sent = access.authorization(&scopes).await.unwrap().unwrap();
    let cancelled = access.rejected(&scopes, sent.value());
    assert!(
        tokio::time::timeout(Duration::ZERO, cancelled)
            .await
            .is_err()
    );
    let again = access.rejected(&scopes, sent.value()).await.unwrap();
    assert_eq!(again.value(), &format!("Bearer {CANARY}-2"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_rebuild_reads_the_file_again() {
    let server = token_server().await;
    let file = File::with(&user(&server).to_string());
    let access = paced(Access::from_credentials_file(&file.0, None).unwrap(), QUICK);
    let scopes = Scopes::default();
    let sent = access.authorization(&scopes).await.unwrap().unwrap();
    let mut replaced = user(&server);
    replaced["refresh_token"] = json!("the-next");
    fs::write(&file.0, replaced.to_string()).unwrap();
    access.rejected(&scopes, sent.value()).await.unwrap();
    assert!(server.requests()[1].text().contains("the-next"));
}

#[tokio::test]
async fn credentials_are_kept_for_a_bounded_number_of_scope_sets() {
    let server = token_server().await;
    let access = machine(&server);
    for number in 0..40 {
        let scopes = Scopes::for_service([format!("scope-{number}")]);
        access.authorization(&scopes).await.unwrap();
    }
    // Recent ones are there still.
    for number in 20..40 {
        let scopes = Scopes::for_service([format!("scope-{number}")]);
        access.authorization(&scopes).await.unwrap();
    }
    assert_eq!(server.requests().len(), 40);
    let AccessSource::Credentials(credentials) = &access.0 else {
        unreachable!()
    };
    assert_eq!(credentials.by_scopes().len(), MAX_SCOPE_SETS.get());
}
