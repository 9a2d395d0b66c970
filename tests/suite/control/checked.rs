//! `skydose check` of a configuration that scales.

use skydose::queue::JobQueue as _;

use super::home::Home;
use crate::{
    broker::Broker,
    leader::lease_api::LeaseApi,
    nodes::{
        cloud::{Behaviour, Order},
        rancher::{Rancher, TOKEN},
    },
};

const SCALING: &str = r#"
[[scaling.pools]]
name = "gpu"
minimum = 1
maximum = 4
"#;

fn check(home: &Home, more: &[&str]) -> (Option<i32>, String) {
    let output = home.run(&[&["check"], more].concat());
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_scaling_needs_is_tried() {
    let place = Broker::shared().place("checked").await;
    let queue = place.queue();
    let rancher = Rancher::with(Order::OldestMachine, Behaviour::default(), 1).await;
    let api = LeaseApi::start().await;
    let home = Home::new(&place, &api, &rancher, SCALING);

    home.write("rancher-token", TOKEN);
    let (code, told) = check(&home, &[]);
    assert_eq!(code, Some(0), "{told}");
    for line in
        ["management: ok, 0 jobs wait", "nodes: ok, rancher-v1", "leader: ok, a Lease of Kubernetes, held by nobody"]
    {
        assert!(told.contains(line), "{line}\n{told}");
    }
    assert!(told.contains("gpu of 1"), "{told}");

    // A token that Rancher does not know.
    home.write("rancher-token", "token-other:secret");
    let (code, told) = check(&home, &[]);
    assert_eq!(code, Some(2), "{told}");
    let line = told.lines().find(|line| line.starts_with("nodes: FAULT")).expect("a fault of the nodes");
    assert!(line.contains("401") && !line.contains("secret"), "{line}");

    // Scaling would go on with what the broker alone tells; that is not well.
    home.write("rancher-token", TOKEN);
    let (code, told) = check(&home, &["--set", "management.uri=http://guest:guest@127.0.0.1:9"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("management: FAULT") && told.contains("nodes: ok"), "{told}");
    queue.close().await;
}
