//! TLS to the broker: an authority of our own, certificates of both sides, and
//! what is said where they do not fit.

use std::{fs, path::Path, process::Command, time::Duration};

use skydose::queue::{
    Destination, JobQueue as _, QueueError,
    amqp::{Amqp, Settings},
};

use super::{Broker, job, publishing::drain};

/// Runs openssl in a folder; `false` where there is none.
fn openssl(folder: &Path, arguments: &str) -> bool {
    let words = arguments.split_whitespace();
    let Ok(output) = Command::new("openssl").args(words).current_dir(folder).output() else { return false };
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// An authority `<name>.pem`.
fn authority(folder: &Path, name: &str) -> bool {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
             -keyout {name}.key -out {name}.pem -addext basicConstraints=critical,CA:TRUE \
             -addext keyUsage=critical,keyCertSign,cRLSign"
        ),
    )
}

/// A certificate `<name>.pem` from an authority, for `localhost` alone.
fn certificate(folder: &Path, name: &str, by: &str) {
    let extensions =
        "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n";
    fs::write(folder.join("extensions"), extensions).expect("a file");
    let request = format!(
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
    );
    openssl(folder, &request);
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 2 \
             -extfile extensions -out {name}.pem"
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_both_sides_are_checked_and_faults_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    if !authority(folder.path(), "ca") {
        eprintln!("skipped: no openssl to make certificates with");
        return;
    }
    authority(folder.path(), "other");
    certificate(folder.path(), "server", "ca");
    certificate(folder.path(), "client", "ca");
    certificate(folder.path(), "stranger", "other");
    let (broker, port) = tokio::task::block_in_place(|| Broker::with_tls(folder.path()));
    let place = broker.place("tls").await;
    let file = |name: &str| Some(folder.path().join(name));
    let settings = |host: &str, authority: Option<&str>, certificate: Option<&str>| Settings {
        uri: Some(format!("amqps://guest:guest@{host}:{port}/tls").into()),
        ca_file: authority.and_then(|name| file(&format!("{name}.pem"))),
        certificate_file: certificate.and_then(|name| file(&format!("{name}.pem"))),
        key_file: certificate.and_then(|name| file(&format!("{name}.key"))),
        ..place.settings()
    };

    let queue = Amqp::new(settings("localhost", Some("ca"), Some("client"))).expect("settings");
    for n in 0..20 {
        let mut message = job(&format!("j{n:02}"));
        // More than a record of TLS.
        message.body = vec![b'x'; 40_000].into();
        queue.publish(&Destination::Jobs, &message).await.expect("confirmed over TLS");
    }
    assert_eq!(drain(&queue).await.len(), 20);
    queue.close().await;

    for (settings, expected) in [
        (settings("localhost", Some("other"), Some("client")), "UnknownIssuer"),
        (settings("localhost", None, Some("client")), "UnknownIssuer"),
        // The certificate is not of this name.
        (settings("127.0.0.1", Some("ca"), Some("client")), "not valid for name"),
        // What the broker makes of the client's: it ends the connection.
        (settings("localhost", Some("ca"), None), ""),
        (settings("localhost", Some("ca"), Some("stranger")), ""),
    ] {
        match tokio::time::timeout(Duration::from_secs(30), Amqp::probe(&settings)).await.expect("in bounded time") {
            Err(QueueError::Connection { broker, what }) => {
                eprintln!("{broker}: {what}");
                assert!(broker.ends_with(&format!(":{port}/tls")) && what.contains(expected), "{broker}: {what}");
                assert!(!what.contains("guest:guest"), "{what}");
            }
            other => panic!("{settings:?}: {other:?}"),
        }
    }
}
