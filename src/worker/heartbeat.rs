//! Heartbeats out, commands in.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{Wish, settler::Pause, state::Board};
use crate::{
    queue::{Destination, JobQueue, Message, Properties},
    telemetry::{
        events::worker as events,
        message::{Command, Heartbeat, Order, Said as _, VERSION},
    },
};

/// Content type of what is said.
const JSON: &str = "application/json";

/// Sends heartbeats, at a steady pace and at each change of the state.
pub(super) async fn send(queue: Arc<dyn JobQueue>, board: Arc<Board>, clock: super::Clock) {
    let every = board.identity.every;
    loop {
        let changed = board.changed.notified();
        // Missed ones are made up for by the next; the broker's own failures
        // are told of where jobs suffer from them.
        let _ = timeout(every, one(queue.as_ref(), &board, &clock)).await;
        tokio::select! {
            () = sleep(every) => {}
            () = changed => {}
        }
    }
}

/// Sends one heartbeat.
pub(super) async fn one(queue: &dyn JobQueue, board: &Board, clock: &super::Clock) {
    let heartbeat = board.heartbeat(clock(), Instant::now(), true);
    board.levels(queue.health());
    if let Err(error) = queue.publish(&Destination::Telemetry(heartbeat.topic()), &message(&heartbeat)).await {
        tracing::debug!(%error, "heartbeat not sent");
    }
}

/// The message of a heartbeat.
fn message(heartbeat: &Heartbeat) -> Message {
    Message {
        properties: Properties {
            kind: Heartbeat::KIND.to_owned(),
            version: VERSION,
            content_type: Some(JSON.to_owned()),
            ..Properties::default()
        },
        body: heartbeat.encode().into(),
    }
}

/// Obeys the commands to this worker.
pub(super) async fn obey(queue: Arc<dyn JobQueue>, board: Arc<Board>, wish: watch::Sender<Wish>) {
    let topic = Command::topic_of(&board.identity.worker);
    let mut pause = Pause::default();
    loop {
        match queue.listen(&topic, Duration::ZERO).await {
            Ok(mut listener) => {
                pause = Pause::default();
                while let Some((_, message)) = listener.next().await {
                    match Command::decode(&message.body) {
                        Ok(command) => heed(&command, &board, &wish),
                        Err(fault) => {
                            events::QueueFailed { call: "command", about: None, why: &fault.to_string() }.emit();
                        }
                    }
                }
            }
            Err(error) => events::QueueFailed { call: "listen", about: None, why: &error.to_string() }.emit(),
        }
        sleep(pause.next()).await;
    }
}

fn heed(command: &Command, board: &Board, wish: &watch::Sender<Wish>) {
    if command.worker != board.identity.worker || command.at < board.identity.started_at {
        return;
    }
    let (order, reason, wanted) = match &command.order {
        Order::Drain { reason } => ("drain", reason.as_str(), Wish::Drain(reason.clone())),
        Order::Resume => ("resume", "", Wish::Work),
    };
    // Said again and again until it is heard; the end of the process stays.
    let is_new = wish.send_if_modified(|wish| {
        let is_new = *wish != wanted && !matches!(wish, Wish::End(_));
        if is_new {
            *wish = wanted;
        }
        is_new
    });
    if is_new {
        events::CommandHeard { order, from: &command.from, reason }.emit();
    }
}
