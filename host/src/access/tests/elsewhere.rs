//! A token made elsewhere, or none.

use super::*;

#[tokio::test]
async fn no_access_adds_nothing_to_a_request() {
    let access = Access::none();
    let scopes = Scopes::default();
    assert!(access.authorization(&scopes).await.unwrap().is_none());
    let refused = HeaderValue::from_static("Bearer x");
    assert!(access.rejected(&scopes, &refused).await.is_none());
}

#[tokio::test]
async fn a_token_made_elsewhere_is_added_as_it_is() {
    let access = Access::token(format!("{CANARY}\n")).unwrap();
    let scopes = Scopes::default();
    let authorization = access.authorization(&scopes).await.unwrap().unwrap();
    assert_eq!(authorization.value(), &format!("Bearer {CANARY}"));
    assert!(authorization.value().is_sensitive());
    assert!(
        access
            .rejected(&scopes, authorization.value())
            .await
            .is_none()
    );
    let shown = format!("{access:?} {authorization:?} {:?}", authorization.value());
    assert!(!shown.contains(CANARY), "{shown}");
}

#[test]
fn text_that_is_not_a_token_is_refused() {
    let said = |secret: &str| refused(Access::token(secret.to_owned())).to_string();
    let visible = "the access token must be visible ASCII only: pass the bare token, without `Bearer` and without spaces";
    assert_eq!(said(""), "the access token is empty");
    assert_eq!(said("\n"), "the access token is empty");
    assert_eq!(said(&format!("Bearer {CANARY}")), visible);
    assert_eq!(said(&format!("{CANARY}\n\n")), visible);
    assert_eq!(said(&format!("{CANARY}é")), visible);
    assert_eq!(said(&format!("{CANARY}\r\nx: y")), visible);
}

#[test]
fn a_variable_is_named_and_its_value_is_not_shown() {
    assert_eq!(
        refused(Access::from_env("NO_SUCH_VARIABLE_HERE")).to_string(),
        "the environment variable \"NO_SUCH_VARIABLE_HERE\" for the access token is not set: set it, or name another one"
    );
    // Set by cargo, and with spaces.
    let value = std::env::var("CARGO_PKG_DESCRIPTION").unwrap();
    let error = refused(Access::from_env("CARGO_PKG_DESCRIPTION")).to_string();
    assert!(error.starts_with("the access token in the environment variable \"CARGO_PKG_DESCRIPTION\" must be visible ASCII only"), "{error}");
    assert!(!error.contains(&value), "{error}");
    assert!(Access::from_env("CARGO_PKG_NAME").is_ok());
}

#[test]
fn headers_replace_the_authorization_and_leave_a_project() {
    let mut given = HeaderMap::new();
    given.insert("authorization", HeaderValue::from_static("Bearer new"));
    given.insert("x-goog-user-project", HeaderValue::from_static("billed"));
    let authorization = Authorization::from_headers(given).unwrap();

    let mut bare = HeaderMap::new();
    authorization.apply_to(&mut bare);
    assert_eq!(bare["authorization"], "Bearer new");
    assert!(bare["authorization"].is_sensitive());
    assert_eq!(bare["x-goog-user-project"], "billed");

    let mut set = HeaderMap::new();
    set.insert("authorization", HeaderValue::from_static("Bearer old"));
    set.insert("x-goog-user-project", HeaderValue::from_static("chosen"));
    authorization.apply_to(&mut set);
    assert_eq!(set["authorization"], "Bearer new");
    assert_eq!(set["x-goog-user-project"], "chosen");
}
