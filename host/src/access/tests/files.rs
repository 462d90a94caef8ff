//! Files that are no credentials.

use super::*;

#[test]
fn an_invalid_credentials_file_is_refused_by_name() {
    let said = |content: &str| {
        let file = File::with(content);
        let error = refused(Access::from_credentials_file(&file.0, None));
        assert!(!error.is_transient());
        error.to_string().replace(&format!("{:?}", file.0), "FILE")
    };
    assert_eq!(
        said(&format!("{{\"private_key\": \"{CANARY}\", oh")),
        "the credentials file FILE is not JSON (line 1, column 44): create it again with `gcloud auth application-default login` or download the key again"
    );
    for untyped in [json!([CANARY]), json!({"type": 3, "private_key": CANARY})] {
        assert_eq!(
            said(&untyped.to_string()),
            "the credentials file FILE has no \"type\": it is not a Google credentials file"
        );
    }
    assert_eq!(
        said(r#"{"type": "gdch_service_account"}"#),
        "the credentials file FILE has an unsupported type (gdch_service_account): use authorized_user, service_account, external_account or impersonated_service_account"
    );
    assert_eq!(
        said(&json!({"type": format!("{CANARY}!")}).to_string()),
        "the credentials file FILE has an unsupported type: use authorized_user, service_account, external_account or impersonated_service_account"
    );
    assert_eq!(
        said(&json!({"type": "service_account", "client_email": "a@b", "private_key_id": CANARY, "private_key": [CANARY]}).to_string()),
        "the credentials file FILE lacks \"private_key\", or it is not a string: a service account key needs it; create the file again"
    );
    assert_eq!(
        said(&json!({"type": "external_account", "audience": "a", "subject_token_type": "t", "token_url": "https://sts.googleapis.com/v1/token", "credential_source": CANARY}).to_string()),
        "the credentials file FILE lacks \"credential_source\", or it is not an object: an external account needs it; create the file again"
    );
}

#[tokio::test]
async fn a_refusal_of_the_crate_is_reported_without_its_words() {
    let server = token_server().await;
    let mut file = external_account(&server, json!({"nothing": CANARY}));
    file["scopes"] = json!(CANARY);
    let access = Access::from_credentials_json(file, None).unwrap();
    let error = refused(access.authorization(&Scopes::default()).await);
    assert_eq!(
        error.to_string(),
        "the credentials JSON is not valid for an external account: create it again"
    );
}

#[test]
fn secrets_are_not_sent_in_the_clear() {
    let user = |url: &str| json!({"type": "authorized_user", "client_id": "i", "client_secret": CANARY, "refresh_token": CANARY, "token_uri": url});
    let taken = |json: Value| Access::from_credentials_json(json, None);
    for url in [
        "https://oauth2.googleapis.com/token",
        "http://127.0.0.1:1/token",
        "http://[::1]:1/token",
        "http://localhost/token",
    ] {
        assert!(taken(user(url)).is_ok(), "{url}");
    }
    for url in [
        "http://oauth2.googleapis.com/token",
        "http://10.0.0.1/",
        "http://127.0.0.1.example/",
        "https://",
        "token",
        "",
        "ftp://localhost/",
    ] {
        assert_eq!(
            refused(taken(user(url))).to_string(),
            "\"token_uri\" in the credentials JSON must be an https URL, or http to this machine: otherwise a secret would go in the clear"
        );
        let nested = json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken",
            "source_credentials": user(url),
        });
        assert!(taken(nested).is_err(), "{url}");
    }
}

#[test]
fn a_quota_project_that_does_not_fit_a_header_is_refused() {
    assert_eq!(
        refused(Access::metadata_server(Some("a\nb"))).to_string(),
        "the quota project must be visible ASCII only: give the ID of a project"
    );
}

#[test]
fn without_credentials_the_error_says_what_to_do() {
    assert_eq!(
        AccessError::new(AccessErrorKind::NoCredentials).to_string(),
        "no credentials were found: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file (gcloud has none, and no metadata server answers)"
    );
}
