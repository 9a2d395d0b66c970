use super::*;

fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.to_owned(),
        token_file: None,
        ca_file: None,
        insecure_tls: false,
        metadata_service: false,
        timeout: Duration::from_secs(1),
        retry: Retry::default(),
    }
}

#[test]
fn an_address_is_checked_before_it_is_used() {
    for (url, said) in [
        ("rancher.example.org", "no address"),
        ("ftp://rancher.example.org", "the scheme is not https or http"),
        ("https://admin:hunter2@rancher.example.org", "credentials in an address"),
    ] {
        let error = Client::new(endpoint(url)).unwrap_err().to_string();
        assert!(error.contains(said), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert_eq!(Client::new(endpoint("https://rancher.example.org/")).unwrap().host(), "https://rancher.example.org");
}

#[test]
fn certificate_authorities_are_checked_before_they_are_used() {
    let with = |ca: &Path| Endpoint { ca_file: Some(ca.to_owned()), ..endpoint("https://rancher.example.org") };
    let missing = Client::new(with(Path::new("/nowhere/ca.pem"))).unwrap_err().to_string();
    assert!(missing.contains("/nowhere/ca.pem") && missing.contains("No such file"), "{missing}");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let none = Client::new(with(&manifest)).unwrap_err().to_string();
    assert!(none.contains("no certificate in it"), "{none}");
}

#[test]
fn errors_are_read_as_each_api_writes_them() {
    for (status, body, said) in [
        (
            401,
            r#"{"type":"error","status":"401","message":"Unauthorized 401: must authenticate"}"#,
            "401: Unauthorized 401: must authenticate",
        ),
        (409, r#"{"type":"error","status":409,"code":"Conflict","message":"modified"}"#, "409 Conflict: modified"),
        (
            422,
            r#"{"status":422,"code":"MinLimitExceeded","fieldName":"deleteNotReadyAfterSecs","message":""}"#,
            "422 MinLimitExceeded: deleteNotReadyAfterSecs: ",
        ),
        (409, r#"{"kind":"Status","code":409,"reason":"Conflict","message":"modified"}"#, "409 Conflict: modified"),
        (502, "<html>Bad Gateway</html>", "502"),
    ] {
        assert_eq!(HttpFault::refusal(status, false, body.as_bytes()).to_string(), said);
    }
}

#[test]
fn what_passes_is_told_from_what_stays() {
    let status =
        |status| HttpFault::Status { status, code: String::new(), message: String::new(), later: status == 429 };
    for passing in [HttpFault::Timeout, HttpFault::Unreachable(String::new()), status(500), status(503), status(429)] {
        assert!(passing.is_passing(), "{passing}");
    }
    for staying in [status(400), status(401), status(404), status(409), HttpFault::Withdrawn] {
        assert!(!staying.is_passing(), "{staying}");
    }
}

#[test]
fn a_next_page_is_asked_of_the_same_host() {
    let next = path_of("https://elsewhere.example.org/v3/nodes?limit=2&marker=c-abcde%3Am-2");
    assert_eq!(next.as_deref(), Some("/v3/nodes?limit=2&marker=c-abcde%3Am-2"));
    assert_eq!(path_of("no address"), None);
}
