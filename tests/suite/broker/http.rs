//! The management API, for what tests do to a broker.

use reqwest::Method;
use serde_json::Value;

/// The management API as the administrator.
#[derive(Debug, Clone)]
pub struct Api {
    /// `http://USER:PASSWORD@HOST:PORT`.
    pub uri: String,
}

impl Api {
    /// Asks, and panics where the answer is no success. From any thread, in a
    /// runtime or not.
    #[expect(clippy::needless_pass_by_value, reason = "as callers write it")]
    pub fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, text) = self.try_call(method.clone(), path, body).expect("an answer of the management API");
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Asks; status and body.
    pub fn try_call(&self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, String), reqwest::Error> {
        let url = format!("{}/api/{path}", self.uri);
        let asking = move || {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let mut request = reqwest::Client::new().request(method, url);
                if let Some(body) = body {
                    request = request.json(&body);
                }
                let response = request.send().await?;
                Ok((response.status().as_u16(), response.text().await?))
            })
        };
        std::thread::spawn(asking).join().expect("no panic while asking")
    }
}
