//! Private nodes of RabbitMQ: own ports, own folder, and an end with the
//! process that started them, whatever ends it.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread::sleep,
    time::Duration,
};

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::{Api, Place};

/// Starts a command, says its process id and ends it when standard input
/// closes: when whoever started it is gone. Removes `$FOLDER`, if there is one
/// to be removed, once nobody writes there any more.
const KEEPER: &str = r#""$@" >"$LOG" 2>&1 & pid=$!; echo $pid; read -r _; kill -KILL $pid 2>/dev/null; wait
[ -z "$FOLDER" ] || for _ in 1 2 3 4 5; do rm -rf "$FOLDER" && sleep 0.2 && [ ! -e "$FOLDER" ] && break; done"#;

/// Where the scripts are that need no systemd and no particular user.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// For a cold start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

/// One node.
pub struct Broker {
    node: Node,
    running: Mutex<Kept>,
    /// Ends after the node, and removes its folder.
    _epmd: Kept,
}

/// Three nodes that are one broker.
pub struct Cluster {
    /// The nodes.
    pub brokers: Vec<Broker>,
}

/// Names and ports of a node.
#[derive(Debug, Clone)]
struct Node {
    root: PathBuf,
    /// As the node sees it, below its root.
    folder: PathBuf,
    name: String,
    amqp: u16,
    management: u16,
    distribution: u16,
    epmd: u16,
}

/// A process that ends with this one.
struct Kept {
    keeper: Child,
    pid: u32,
}

impl Kept {
    /// Starts a command; its end removes `folder`, if one is given.
    fn start(log: &Path, folder: Option<&Path>, command: &mut Command) -> Self {
        let mut keeper = Command::new("bash");
        keeper.args(["-c", KEEPER, "keeper"]).arg(command.get_program()).args(command.get_args());
        keeper.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("LOG", log);
        keeper.env("FOLDER", folder.unwrap_or(Path::new("")));
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let pid = line.trim().parse().expect("a process id");
        Self { keeper, pid }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.pid.to_string()]).status().expect("kill");
        assert!(sent.success(), "signal {signal} to {}", self.pid);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It has killed and waited.
        let _ = self.keeper.wait();
    }
}

impl Node {
    fn new(name: &str, epmd: u16) -> Self {
        let root = PathBuf::from(std::env::var("SKYDOSE_TEST_RABBITMQ_ROOT").unwrap_or_else(|_| "/".into()));
        assert!(
            below(&root, Path::new(SERVER)).exists(),
            "{} is missing: tests/run installs RabbitMQ, or `apt-get install rabbitmq-server` does",
            below(&root, Path::new(SERVER)).display()
        );
        let folder = PathBuf::from(format!("/tmp/skydose-rabbitmq-{}-{name}-{}", std::process::id(), free_port()));
        let node = Self {
            root,
            folder,
            name: format!("{name}@localhost"),
            amqp: free_port(),
            management: free_port(),
            distribution: free_port(),
            epmd,
        };
        node.write("");
        node
    }

    fn foreign(&self) -> bool {
        self.root != Path::new("/")
    }

    /// The folder as this process sees it.
    fn outside(&self) -> PathBuf {
        below(&self.root, &self.folder)
    }

    fn write(&self, more: &str) {
        let folder = self.outside();
        fs::create_dir_all(&folder).expect("a folder");
        let (amqp, management) = (self.amqp, self.management);
        // Counts are wanted sooner than once in five seconds; jobs that a death
        // of a node caught between two queues, sooner than after three minutes.
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
             loopback_users.guest = false\ncollect_statistics_interval = 1000\n\
             disk_free_limit.absolute = 50MB\nlog.file.level = warning\n{more}"
        );
        let advanced =
            "[{rabbit, [{quorum_tick_interval, 1000}, {dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n";
        for (file, text) in
            [("rabbitmq.conf", config.as_str()), ("advanced.config", advanced), ("plugins", "[rabbitmq_management].\n")]
        {
            fs::write(folder.join(file), text).expect("a file");
        }
        let cookie = folder.join(".erlang.cookie");
        if !cookie.exists() {
            fs::write(&cookie, "skydosetests").expect("a cookie");
            fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)).expect("a cookie for one");
        }
        if self.foreign() {
            let owner =
                Command::new("chroot").arg(&self.root).args(["chown", "-R", "rabbitmq"]).arg(&self.folder).status();
            assert!(owner.expect("chroot").success(), "a folder of the user rabbitmq");
        }
    }

    /// A command in the node's system, with the node's environment.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let variables = [
            ("HOME", self.folder.display().to_string()),
            ("ERL_EPMD_PORT", self.epmd.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODENAME", self.name.clone()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", self.amqp.to_string()),
            ("RABBITMQ_DIST_PORT", self.distribution.to_string()),
            ("RABBITMQ_MNESIA_BASE", file("data")),
            ("RABBITMQ_LOG_BASE", file("log")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            ("RABBITMQ_CONF_ENV_FILE", file("none")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", file("generated")),
            ("RABBITMQ_PID_FILE", file("pid")),
            ("RABBITMQ_FEATURE_FLAGS_FILE", file("feature_flags")),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none".into(),
            ),
            // The script then becomes the node, so that a signal meets it.
            ("RUNNING_UNDER_SYSTEMD", "yes".into()),
        ];
        let mut command = if self.foreign() {
            let mut command = Command::new("chroot");
            command.arg("--userspec=rabbitmq:rabbitmq").arg(&self.root).arg("/usr/bin/env");
            command.args(variables.map(|(name, value)| format!("{name}={value}"))).arg(program);
            command
        } else {
            let mut command = Command::new(program);
            command.envs(variables);
            command
        };
        command.args(arguments);
        command
    }

    fn log(&self) -> PathBuf {
        self.outside().join("output")
    }

    fn start(&self) -> Kept {
        Kept::start(&self.log(), None, &mut self.command(SERVER, &[]))
    }

    fn wait(&self) {
        let start = Instant::now();
        loop {
            let output = fs::read_to_string(self.log()).unwrap_or_default();
            if output.contains("completed with") {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "RabbitMQ did not start in {PATIENCE:?}:\n{output}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Broker {
    /// The broker of all tests that do it no harm.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The broker that is killed and frozen, by one test at a time; each finds
    /// it running.
    pub fn victim() -> MutexGuard<'static, Self> {
        static VICTIM: OnceLock<Mutex<Broker>> = OnceLock::new();
        let victim = VICTIM.get_or_init(|| Mutex::new(Self::start())).lock().unwrap_or_else(PoisonError::into_inner);
        if victim.api().try_call(Method::GET, "overview", None).is_err() {
            // The test before ended early.
            victim.restart();
        }
        victim
    }

    /// A node of its own.
    pub fn start() -> Self {
        Self::of(Node::new("rabbit", free_port()))
    }

    /// A node that speaks TLS, too, and asks clients for certificates; with
    /// its port for that. `ca.pem`, `server.pem` and `server.key` are in
    /// `certificates`.
    pub fn with_tls(certificates: &Path) -> (Self, u16) {
        let node = Node::new("rabbit", free_port());
        let port = free_port();
        let mut more = format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.verify = verify_peer\n\
             ssl_options.fail_if_no_peer_cert = true\n"
        );
        for (option, file) in [("cacertfile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key")] {
            fs::copy(certificates.join(file), node.outside().join(file)).expect("a certificate");
            let _ = writeln!(more, "ssl_options.{option} = {}", node.folder.join(file).display());
        }
        node.write(&more);
        (Self::of(node), port)
    }

    fn of(node: Node) -> Self {
        let epmd = node_epmd(&node);
        let running = Mutex::new(node.start());
        node.wait();
        Self { node, running, _epmd: epmd }
    }

    /// `amqp://…`, as the administrator, to the virtual host `/`.
    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.node.amqp)
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.node.amqp)
    }

    /// `http://…`, as the administrator.
    pub fn management_uri(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}", self.node.management)
    }

    /// The management API.
    pub fn api(&self) -> Api {
        Api { uri: self.management_uri() }
    }

    /// An empty virtual host.
    pub fn vhost(&self, name: &str) -> Place {
        let api = self.api();
        let _ = api.try_call(Method::DELETE, &format!("vhosts/{name}"), None);
        api.call(Method::PUT, &format!("vhosts/{name}"), Some(json!({})));
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        api.call(Method::PUT, &format!("permissions/{name}/guest"), Some(all));
        let address = self.address();
        Place {
            uri: format!("amqp://guest:guest@{address}/{name}"),
            management_uri: self.management_uri(),
            vhost: name.to_owned(),
            address,
        }
    }

    /// A virtual host with the topology declared.
    pub async fn place(&self, name: &str) -> Place {
        super::logs();
        let place = self.vhost(name);
        place.apply().await;
        place
    }

    fn process(&self) -> MutexGuard<'_, Kept> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// kill -9.
    pub fn kill(&self) {
        let mut process = self.process();
        process.signal("KILL");
        let _ = process.keeper.stdin.take();
        let _ = process.keeper.wait();
    }

    /// Freezes the node: its kernel still accepts connections.
    pub fn freeze(&self) {
        self.process().signal("STOP");
    }

    /// Goes on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.process().signal("CONT");
    }

    /// Starts again with the same data, after [`kill`](Self::kill) or without.
    pub fn restart(&self) {
        let mut process = self.process();
        if process.keeper.stdin.is_some() {
            process.signal("KILL");
            let _ = process.keeper.stdin.take();
            let _ = process.keeper.wait();
        }
        *process = self.node.start();
        self.node.wait();
    }

    /// rabbitmqctl.
    pub fn control(&self, arguments: &[&str]) {
        let output = self.node.command(CONTROL, arguments).output().expect("rabbitmqctl");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Below what part of the memory publishers are read from.
    pub fn memory_watermark(&self, part: &str) {
        self.control(&["set_vm_memory_high_watermark", part]);
    }

    /// The broker's version, `3.10.8`.
    pub fn version(&self) -> String {
        let overview = self.api().call(Method::GET, "overview", None);
        overview["rabbitmq_version"].as_str().expect("a version").to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill_quietly();
    }
}

impl Broker {
    fn kill_quietly(&self) {
        let mut process = self.process();
        drop(process.keeper.stdin.take());
        let _ = process.keeper.wait();
    }
}

impl Cluster {
    /// Three nodes that have found each other.
    pub fn start() -> Self {
        let port = free_port();
        let nodes: Vec<Node> = (1..=3).map(|n| Node::new(&format!("rabbit{n}"), port)).collect();
        let mut more = "cluster_formation.peer_discovery_backend = classic_config\n".to_owned();
        for (n, node) in (1..).zip(&nodes) {
            let _ = writeln!(more, "cluster_formation.classic_config.nodes.{n} = {}", node.name);
        }
        let mut epmd = Some(node_epmd(&nodes[0]));
        for node in &nodes {
            node.write(&more);
        }
        let running: Vec<Kept> = nodes.iter().map(Node::start).collect();
        let brokers = nodes.into_iter().zip(running).map(|(node, process)| {
            node.wait();
            // One for all three; the others keep something that ends at once.
            let epmd = epmd.take().unwrap_or_else(|| keeping(&node, &mut Command::new("true")));
            Broker { node, running: Mutex::new(process), _epmd: epmd }
        });
        let cluster = Self { brokers: brokers.collect() };
        cluster.wait_for(3);
        cluster
    }

    fn wait_for(&self, nodes: usize) {
        let start = Instant::now();
        loop {
            let there = self.brokers[0].api().call(Method::GET, "nodes", None);
            let running = |list: &Vec<serde_json::Value>| list.iter().filter(|n| n["running"] == json!(true)).count();
            if there.as_array().map(running) == Some(nodes) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the nodes found each other not in {PATIENCE:?}: {there}");
            sleep(Duration::from_millis(200));
        }
    }

    /// A virtual host with the topology, reached through all nodes.
    pub async fn place(&self, name: &str) -> Place {
        let mut place = self.brokers[0].place(name).await;
        let uris = self.brokers.iter().map(|b| format!("amqp://guest:guest@127.0.0.1:{}/{name}", b.node.amqp));
        place.uri = uris.collect::<Vec<_>>().join(",");
        place
    }

    /// The node that leads a queue, once one does.
    pub fn leader_of(&self, place: &Place, queue: &str) -> &Broker {
        let path = format!("queues/{}/{queue}", place.vhost);
        let start = Instant::now();
        loop {
            let answer =
                self.brokers[0].api().try_call(Method::GET, &path, None).map_or_else(|e| e.to_string(), |a| a.1);
            let seen: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
            let leader = self.brokers.iter().find(|broker| seen["leader"] == broker.node.name.as_str());
            if let Some(leader) = leader {
                return leader;
            }
            assert!(start.elapsed() < PATIENCE, "{queue} has no leader after {PATIENCE:?}: {answer}");
            sleep(Duration::from_millis(200));
        }
    }
}

/// The port mapper of Erlang, for this node alone.
fn node_epmd(node: &Node) -> Kept {
    let port = node.epmd.to_string();
    let arguments = ["-port", port.as_str(), "-address", "127.0.0.1"];
    keeping(node, &mut node.command("/usr/bin/epmd", &arguments))
}

/// A command that lives as long as a node's folder.
fn keeping(node: &Node, command: &mut Command) -> Kept {
    Kept::start(Path::new("/dev/null"), Some(&node.outside()), command)
}

/// A port that nobody uses at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").expect("an absolute path"))
}
