//! The queue's contract on RabbitMQ, and the figures without its management
//! API.

use std::{sync::Arc, time::Duration};

use skydose::queue::{
    Destination, Gauge as _, JobQueue as _, Priority,
    contract::{self, Parts},
    management::RabbitGauge,
};

use super::{Broker, job};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_keeps_the_contract() {
    let place = Broker::shared().place("contract").await;
    let (mine, other) = (place.queue(), place.queue());
    for (name, check) in contract::CHECKS {
        let parts = Parts {
            mine: mine.clone(),
            other: other.clone(),
            dead: mine.clone(),
            gauge: Arc::new(RabbitGauge::new(mine.clone(), Some(place.management()))),
            mine_stands: mine.clone(),
            other_stands: other.clone(),
        };
        let start = tokio::time::Instant::now();
        check(parts).await;
        eprintln!("{name}: {:.1} s", start.elapsed().as_secs_f64());
    }
    mine.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_without_the_management_api_are_partial() {
    let place = Broker::shared().place("figures").await;
    let queue = place.queue();
    for n in 0..3 {
        queue.publish(&Destination::Jobs, &job(&format!("j{n}"))).await.unwrap();
    }
    let gauge = RabbitGauge::new(queue.clone(), None);
    let mut figures = gauge.figures().await.unwrap();
    for _ in 0..20 {
        if figures.priorities[&Priority::Normal].ready == Some(3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        figures = gauge.figures().await.unwrap();
    }
    assert_eq!(figures.priorities[&Priority::Normal].ready, Some(3));
    assert_eq!(figures.priorities[&Priority::High].ready, Some(0));
    assert_eq!((figures.dead_letters, figures.delayed), (Some(0), Some(0)));
    assert!(figures.unknown().contains(&"normal.unacked".to_owned()), "{:?}", figures.unknown());
    queue.close().await;
}
