//! Where application default credentials are looked for.

use super::*;

/// Run by the tests below in a process of its own, since variables are the process's.
#[tokio::test]
#[ignore = "a part of the tests of application default credentials"]
async fn child_of_application_default() {
    let given = match Access::application_default(None) {
        Ok(access) => {
            let given = access.authorization(&Scopes::default()).await;
            given.map(|given| text(given.unwrap().value()))
        }
        Err(error) => Err(error),
    };
    match given {
        Ok(value) => println!("gave <{value}>"),
        Err(error) => println!("said <{error}>"),
    }
}

async fn application_default(variables: &[(&str, &str)]) -> String {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg(
            concat!(module_path!(), "::child_of_application_default")
                .split_once("::")
                .unwrap()
                .1,
        )
        .env_remove("GOOGLE_APPLICATION_CREDENTIALS")
        .env_remove("GCE_METADATA_HOST")
        .env_remove("CLOUDSDK_CONFIG")
        .env("HOME", "/nonexistent")
        .env("APPDATA", "/nonexistent")
        .envs(variables.iter().copied())
        .output();
    let output = tokio::task::spawn_blocking(|| child)
        .await
        .unwrap()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = output.split_once('<').expect(&output);
    rest.split_once('>').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn application_default_tries_the_variable_then_gclouds_file_then_the_metadata_server() {
    let server = token_server().await;
    let metadata = Server::start(|_, _| async { token(99, 3600) }).await;
    let machine = metadata.address.to_string();
    let named = File::with(&user(&server).to_string());
    let home = std::env::temp_dir().join(format!("access-test-home-{}", std::process::id()));
    let gcloud = home.join(".config/gcloud");
    fs::create_dir_all(&gcloud).unwrap();
    let written = gcloud.join("application_default_credentials.json");
    fs::write(&written, user(&server).to_string()).unwrap();

    let by_variable = application_default(&[
        ("GOOGLE_APPLICATION_CREDENTIALS", named.0.to_str().unwrap()),
        ("GCE_METADATA_HOST", &machine),
    ])
    .await;
    assert_eq!(by_variable, format!("Bearer {CANARY}-1"));

    if cfg!(unix) {
        let by_gcloud = application_default(&[
            ("HOME", home.to_str().unwrap()),
            ("GCE_METADATA_HOST", &machine),
        ])
        .await;
        assert_eq!(by_gcloud, format!("Bearer {CANARY}-2"));
    }
    // Where gcloud's folder is moved, the one at its usual place is another account's.
    let moved = tempfile::tempdir().unwrap();
    let file = moved.path().join("application_default_credentials.json");
    fs::write(&file, user(&server).to_string()).unwrap();
    let by_moved = application_default(&[
        ("HOME", "/no/such/home"),
        ("CLOUDSDK_CONFIG", moved.path().to_str().unwrap()),
        ("GCE_METADATA_HOST", &machine),
    ])
    .await;
    assert!(
        by_moved.starts_with(&format!("Bearer {CANARY}-")),
        "{by_moved}"
    );
    assert_ne!(by_moved, format!("Bearer {CANARY}-99"));
    fs::remove_dir_all(&home).unwrap();

    let by_machine = application_default(&[
        ("GOOGLE_APPLICATION_CREDENTIALS", ""),
        ("GCE_METADATA_HOST", &machine),
    ])
    .await;
    assert_eq!(by_machine, format!("Bearer {CANARY}-99"));

    let missing = application_default(&[("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")]).await;
    assert_eq!(
        missing,
        "cannot read the credentials file \"/no/such/file\" (entity not found): check the path and its permissions"
    );
}

/// The crate panics then; whoever embeds it must not.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_ca_certificates_gets_advice() {
    let said = application_default(&[
        ("GCE_METADATA_HOST", "127.0.0.1:9"),
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_DIR", "/nonexistent"),
    ])
    .await;
    assert_eq!(
        said,
        "the metadata server gave a token that had already expired, or could not be asked: check the clock of this machine, and that it has CA certificates (or that SSL_CERT_FILE names them)"
    );
}
