//! Servers of Azure Blob and S3 on free ports of loopback, each in a folder
//! of its own; they end with their value.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use skydose::store::Settings;

/// The container and bucket that the tests use.
pub const BUCKET: &str = "skydose-tests";

/// Azurite's account, and moto's: any will do.
const ACCOUNT: &str = "testaccount";
const KEY: &str = "c2t5ZG9zZSB0ZXN0cyBhbmQgbm90aGluZyBlbHNl";

/// Makes the container: the store has no call for it.
const MAKE_CONTAINER: &str = r"
const [port, account, key, name] = process.argv.slice(1);
const date = new Date().toUTCString(), version = '2021-08-06';
const text = 'PUT' + '\n'.repeat(12) + `x-ms-date:${date}\nx-ms-version:${version}\n/${account}/${account}/${name}\nrestype:container`;
const sign = require('crypto').createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest('base64');
const headers = { 'x-ms-date': date, 'x-ms-version': version, 'content-length': 0, authorization: `SharedKey ${account}:${sign}` };
const path = `/${account}/${name}?restype=container`;
require('http').request({ host: '127.0.0.1', port, path, method: 'PUT', headers }, (r) => process.exit(r.statusCode === 201 ? 0 : 1)).end();
";

/// A server, alive.
pub struct Server {
    child: Child,
    scheme: &'static str,
    endpoint: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Azurite; none where it is not installed.
    pub async fn azurite() -> Option<Self> {
        let program = tool("azurite/node_modules/.bin/azurite")?;
        let (folder, port) = (tempfile::tempdir().ok()?, free_port());
        let child = Command::new(program)
            .args(["--silent", "--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--queuePort", "0", "--tablePort", "0", "--skipApiVersionCheck", "--disableTelemetry", "--location"])
            .arg(folder.path())
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let endpoint = format!("http://127.0.0.1:{port}/{ACCOUNT}");
        let server = Self { child, scheme: "az", endpoint, _folder: folder };
        answers(port).await;
        let made = Command::new("node").args(["-e", MAKE_CONTAINER, &port.to_string(), ACCOUNT, KEY, BUCKET]).status();
        assert!(made.is_ok_and(|status| status.success()), "Azurite made no container");
        Some(server)
    }

    /// moto; none where it is not installed.
    pub async fn moto() -> Option<Self> {
        let program = tool("python/bin/moto_server")?;
        let (folder, port) = (tempfile::tempdir().ok()?, free_port());
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let server = Self { child, scheme: "s3", endpoint: endpoint.clone(), _folder: folder };
        answers(port).await;
        let made = reqwest::Client::new().put(format!("{endpoint}/{BUCKET}")).send().await;
        assert!(made.is_ok_and(|response| response.status().is_success()), "moto made no bucket");
        Some(server)
    }

    /// A store below `prefix`.
    pub fn settings(&self, prefix: &str) -> Settings {
        Settings {
            uri: format!("{}://{BUCKET}/{prefix}", self.scheme),
            endpoint: Some(self.endpoint.clone()),
            region: Some("us-east-1".to_owned()),
            account: Some(ACCOUNT.to_owned()),
            key: Some(KEY.to_owned().into()),
            ..Settings::default()
        }
    }

    /// The account's key.
    #[expect(clippy::unused_self, reason = "of a server that runs")]
    pub fn key(&self) -> &'static str {
        KEY
    }

    /// Ends the server without a word.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tool(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(name);
    path.exists().then_some(path)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

async fn answers(port: u16) {
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing answers on port {port}");
}
