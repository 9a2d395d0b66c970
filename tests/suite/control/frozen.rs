//! Two leaders' processes, one frozen and woken late: they never both act.

use std::time::Duration;

use skydose::queue::{Destination, JobQueue as _};
use tokio::time::sleep;

use super::home::Home;
use crate::{
    broker::{Broker, job},
    leader::lease_api::LeaseApi,
    nodes::{
        cloud::{Behaviour, Order},
        rancher::{Rancher, TOKEN, now},
    },
};

const SCALING: &str = r#"
[scaling]
policy = "backlog"
interval = "200ms"
backlog = { jobs_per_node = 1.0 }
guards = { step_out = 1 }
[[scaling.pools]]
name = "gpu"
minimum = 1
maximum = 1000
boot = "1h"
"#;

const ONE: &str = "token-one:secret";
const TWO: &str = "token-two:secret";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_wakes_late_writes_nothing() {
    let place = Broker::shared().place("frozen").await;
    let queue = place.queue();
    // Machines that take for ever to boot: every round asks for one more.
    let behaviour = Behaviour { boot: Duration::from_hours(1), ..Behaviour::default() };
    let rancher = Rancher::with(Order::OldestMachine, behaviour, 1).await;
    rancher.server().tokens = [ONE, TWO, TOKEN].map(|token| (token.to_owned(), None)).into();
    let api = LeaseApi::start().await;
    let home = Home::new(&place, &api, &rancher, SCALING);
    let start = |token: &str, name: &str| {
        home.write(name, token);
        let file = home.path(name).display().to_string();
        let setting = format!("nodes.provider.rancher-v1.token_file={file}");
        home.start(&["control", "--set", &setting], &[], &format!("{name}.log"))
    };
    let holder = || api.leases().holders.last().cloned().unwrap_or_default();
    let writes = |token: &str| rancher.server().writes.iter().filter(|write| write.token == token).count();
    let logs = ["one.log", "two.log"];

    // More than both can ask for before the test ends, however slow it is.
    for n in 0..1000 {
        queue.publish(&Destination::Jobs, &job(&format!("j{n}"))).await.expect("published");
    }
    let one = start(ONE, "one");
    home.until("one leads", &logs, || !holder().is_empty()).await;
    let first = holder();
    let _two = start(TWO, "two");
    home.until("one writes", &logs, || writes(ONE) > 2).await;
    // Somewhere between looking, deciding and writing.
    sleep(Duration::from_millis(fastrand::u64(0..250))).await;
    one.signal("-STOP");
    home.until("two leads", &logs, || holder() != first).await;
    let taken = now();
    home.until("two writes", &logs, || writes(TWO) > 2).await;
    one.signal("-CONT");
    let (before, seen) = (writes(TWO), now());
    home.until("two goes on", &logs, || writes(TWO) > before + 5).await;

    let late: Vec<_> =
        rancher.server().writes.iter().filter(|write| write.token == ONE && write.at > taken).cloned().collect();
    assert!(late.is_empty(), "written after another led, woken {:?} later: {late:?}", seen - taken);
    assert_ne!(holder(), first, "who woke late follows");
    let quantity = rancher.server().cloud.pools["gpu"].quantity as usize;
    assert_eq!(quantity, 1 + writes(ONE) + writes(TWO), "each step was taken once");
    queue.close().await;
}
