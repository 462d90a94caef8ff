//! The kinds of credentials, each as far as its token.

use super::*;

#[tokio::test]
async fn an_authorized_user_sends_the_refresh_token_to_token_uri() {
    let server = token_server().await;
    let mut file = user(&server);
    file["quota_project_id"] = json!("of-the-file");
    let access = Access::from_credentials_json(file.clone(), None).unwrap();
    let authorization = access
        .authorization(&Scopes::default())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(authorization.value(), &format!("Bearer {CANARY}-1"));
    assert!(authorization.value().is_sensitive());
    assert_eq!(authorization.quota_project().unwrap(), "of-the-file");
    let sent: Value = serde_json::from_str(server.requests()[0].text()).unwrap();
    assert_eq!(sent["grant_type"], "refresh_token");
    assert_eq!(sent["refresh_token"], format!("{CANARY}-refresh"));

    // No scopes are sent, so one token does for all.
    assert_eq!(sent["scopes"], Value::Null);
    let other = Scopes::for_service(["https://www.googleapis.com/auth/drive"]);
    access.authorization(&other).await.unwrap();
    assert_eq!(server.requests().len(), 1);

    let access = Access::from_credentials_json(file, Some("chosen")).unwrap();
    let authorization = access.authorization(&other).await.unwrap().unwrap();
    assert_eq!(authorization.quota_project().unwrap(), "chosen");
    assert!(!format!("{access:?}").contains(CANARY));
    assert_eq!(
        format!("{access:?}"),
        "Access(an authorized user in the credentials JSON)"
    );
}

#[tokio::test]
async fn a_service_account_key_signs_its_token_and_asks_nobody() {
    use rsa::pkcs1v15::{Signature, VerifyingKey};
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    use rsa::signature::Verifier;

    let server = token_server().await;
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let mut file = json!({
        "type": "service_account",
        "client_email": "robot@demo.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": *key.to_pkcs8_pem(LineEnding::LF).unwrap(),
        "project_id": "demo",
        "token_uri": server.url("/token"),
    });
    let access = Access::from_credentials_json(file.clone(), None).unwrap();
    let scopes = Scopes::for_service(["https://www.googleapis.com/auth/drive"]);
    let value = text(
        access
            .authorization(&scopes)
            .await
            .unwrap()
            .unwrap()
            .value(),
    );
    let jwt = value.strip_prefix("Bearer ").unwrap();
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    VerifyingKey::<rsa::sha2::Sha256>::new(key.to_public_key())
        .verify(
            signed.as_bytes(),
            &Signature::try_from(signature.as_slice()).unwrap(),
        )
        .unwrap();
    let claims = signed.split_once('.').unwrap().1;
    let claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/drive");
    assert_eq!(claims["iss"], "robot@demo.iam.gserviceaccount.com");
    // What rules out acting for a user.
    assert_eq!(claims["sub"], claims["iss"]);
    assert_eq!(server.requests().len(), 0);

    // A rebuild signs another, a second later.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let refused = HeaderValue::from_str(&value).unwrap();
    let again = access.rejected(&scopes, &refused).await.unwrap();
    assert_ne!(again.value(), &refused);

    file["private_key"] = json!(format!("-----BEGIN PRIVATE KEY-----\n{CANARY}"));
    let access = Access::from_credentials_json(file, None).unwrap();
    let error = self::refused(access.authorization(&scopes).await);
    assert_eq!(
        error.to_string(),
        "\"private_key\" in the credentials JSON cannot sign: it must be an RSA key in PKCS#8 PEM format; download the key again"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn workload_identity_exchanges_the_token_in_a_file() {
    let server = token_server().await;
    let subject = File::with(&format!("{CANARY}-subject"));
    let file = external_account(&server, json!({"file": subject.0}));
    let access = Access::from_credentials_json(file, None).unwrap();
    let drive = Scopes::for_service(["https://www.googleapis.com/auth/drive"]);
    let authorization = access.authorization(&drive).await.unwrap().unwrap();
    assert_eq!(authorization.value(), &format!("Bearer {CANARY}-1"));
    assert_eq!(authorization.quota_project().unwrap(), "of-the-file");
    let sent = server.requests()[0].text().to_owned();
    assert!(
        sent.contains(&format!("subject_token={CANARY}-subject")),
        "{sent}"
    );
    assert!(sent.contains("auth%2Fdrive"), "{sent}");

    // Another scope set is another token, and each is kept.
    assert_eq!(bearer(&access).await, format!("Bearer {CANARY}-2"));
    access.authorization(&drive).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_missing_or_invalid_subject_token_is_not_quoted() {
    let server =
        Server::start(|_, request| async move { refusal(400, "invalid_grant", &request) }).await;
    let access = |source| {
        let file = external_account(&server, source);
        Access::from_credentials_json(file, None).unwrap()
    };
    let scopes = Scopes::default();

    let missing = access(json!({"file": "/no/such/file"}));
    let error = refused(missing.authorization(&scopes).await);
    assert_eq!(
        error.to_string(),
        "cannot read the subject token that \"credential_source\" in the credentials JSON names (entity not found): check that it exists"
    );
    assert!(!error.is_transient());

    // The crate's own error quotes the whole file here.
    let subject = File::with(&json!({"jwt": format!("{CANARY}-subject")}).to_string());
    let format = json!({"type": "json", "subject_token_field_name": "token"});
    let unfit = access(json!({"file": subject.0, "format": format}));
    let error = refused(unfit.authorization(&scopes).await);
    assert!(
        error
            .to_string()
            .contains("gave no token: check the subject token"),
        "{error}"
    );

    let echoed = access(json!({"file": subject.0}));
    let error = refused(echoed.authorization(&scopes).await);
    assert!(
        error
            .to_string()
            .contains("gave no token (invalid_grant): check"),
        "{error}"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn workload_identity_can_impersonate_a_service_account() {
    let tokens = token_server().await;
    let iam = Server::start(|_, _| async { impersonated("2999-01-01T00:00:00Z") }).await;
    let subject = File::with("subject");
    let mut file = external_account(&tokens, json!({"file": subject.0}));
    file["service_account_impersonation_url"] = json!(iam.url(IMPERSONATE));
    let access = Access::from_credentials_json(file, None).unwrap();
    assert_eq!(
        bearer(&access).await,
        format!("Bearer {CANARY}-impersonated")
    );
    let request = &iam.requests()[0];
    assert!(
        request.head.contains(&format!("Bearer {CANARY}-1")),
        "{}",
        request.head
    );
    assert!(
        request.text().contains("auth/cloud-platform"),
        "{request:?}"
    );
}

#[tokio::test]
async fn impersonation_asks_with_the_token_of_its_source() {
    let tokens = token_server().await;
    let iam = Server::start(|_, _| async { impersonated("2999-01-01T00:00:00Z") }).await;
    let access = Access::from_credentials_json(impersonation(&tokens, &iam), Some("p")).unwrap();
    let drive = Scopes::for_service(["https://www.googleapis.com/auth/drive"]);
    let authorization = access.authorization(&drive).await.unwrap().unwrap();
    assert_eq!(
        authorization.value(),
        &format!("Bearer {CANARY}-impersonated")
    );
    assert_eq!(authorization.quota_project().unwrap(), "p");
    assert_eq!((tokens.requests().len(), iam.requests().len()), (1, 1));
    let sent: Value = serde_json::from_str(iam.requests()[0].text()).unwrap();
    assert_eq!(
        sent["scope"],
        json!(["https://www.googleapis.com/auth/drive"])
    );
}

#[tokio::test]
async fn an_impersonated_token_that_has_expired_is_an_error_not_a_panic() {
    let tokens = token_server().await;
    let iam = Server::script(
        ["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"]
            .map(impersonated)
            .map(Answer::from),
    )
    .await;
    let file = impersonation(&tokens, &iam);
    let access = paced(Access::from_credentials_json(file, None).unwrap(), QUICK);
    let error = refused(access.authorization(&Scopes::default()).await);
    assert_eq!(
        error.to_string(),
        format!(
            "the token server {} gave a token that had already expired, or could not be asked: check the clock of this machine, and that it has CA certificates (or that SSL_CERT_FILE names them)",
            iam.address
        )
    );
    // The next one is taken.
    tokio::time::sleep(QUICK.failed).await;
    assert_eq!(
        bearer(&access).await,
        format!("Bearer {CANARY}-impersonated")
    );
}

#[tokio::test]
async fn a_refused_impersonation_names_the_role_that_it_needs() {
    let tokens = token_server().await;
    let iam = Server::start(|_, request| async move {
        let said = format!("{CANARY} {}", request.head);
        let body = json!({"error": {"status": "PERMISSION_DENIED", "message": said}});
        answer::json(403, body.to_string())
    })
    .await;
    let access = Access::from_credentials_json(impersonation(&tokens, &iam), None).unwrap();
    let error = refused(access.authorization(&Scopes::default()).await);
    assert_eq!(
        error.to_string(),
        format!(
            "the token server {} gave no token (PERMISSION_DENIED): check the source credentials, and that they have the role Service Account Token Creator on the service account",
            iam.address
        )
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn the_metadata_server_gives_the_machines_token() {
    let server = token_server().await;
    let access = machine(&server);
    let authorization = access
        .authorization(&Scopes::default())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(authorization.value(), &format!("Bearer {CANARY}-1"));
    assert_eq!(authorization.quota_project().unwrap(), "billed");
    let head = server.requests()[0].head.to_ascii_lowercase();
    assert!(head.contains("/computemetadata/v1/instance/service-accounts/default/token"));
    assert!(head.contains("cloud-platform"), "{head}");
    assert!(head.contains("metadata-flavor: google"), "{head}");
    assert_eq!(format!("{access:?}"), "Access(the metadata server)");
}

#[tokio::test]
async fn a_machine_without_a_service_account_gets_advice() {
    let server =
        Server::start(|_, request| async move { refusal(404, "not found", &request) }).await;
    let error = refused(machine(&server).authorization(&Scopes::default()).await);
    assert_eq!(
        error.to_string(),
        "the metadata server gave no token: check that the machine has a service account, and its access scopes"
    );
}
