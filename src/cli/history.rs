//! The leader's last rounds, as the broker keeps its reports.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use tokio::time::timeout;

use crate::{
    app,
    control::{Report, TOPICS},
    queue::JobQueue as _,
    telemetry::message::Said as _,
};

/// How far back reports are asked for.
const PAST: Duration = Duration::from_hours(24);
/// Who led so long ago may still lead.
const LATELY: Duration = Duration::from_secs(45);
/// Rounds that are shown.
const ROUNDS: usize = 720;
/// Nothing for so long means no more.
const QUIET: Duration = Duration::from_millis(700);

/// Who leads, where a leader has said so lately.
pub(super) async fn leader(broker: &app::Broker) -> anyhow::Result<Option<String>> {
    Ok(rounds_since(broker, LATELY, QUIET).await?.pop_back().map(|report| report.leader))
}

/// The last rounds, the oldest first.
pub(super) async fn rounds(broker: &app::Broker, listen: Duration) -> anyhow::Result<VecDeque<Report>> {
    rounds_since(broker, PAST, listen).await
}

async fn rounds_since(broker: &app::Broker, past: Duration, listen: Duration) -> anyhow::Result<VecDeque<Report>> {
    let mut listener = broker.queue.listen(TOPICS, past).await?;
    let mut rounds = VecDeque::new();
    loop {
        let wait = if rounds.is_empty() { listen } else { QUIET };
        let Ok(Some((topic, message))) = timeout(wait, listener.next()).await else { return Ok(rounds) };
        if topic == Report::TOPIC
            && let Ok(report) = Report::decode(&message.body)
        {
            rounds.push_back(report);
            if rounds.len() > ROUNDS {
                rounds.pop_front();
            }
        }
    }
}

/// A line a round, and one for each thing done or not done.
pub(super) fn table(rounds: &VecDeque<Report>) -> String {
    if rounds.is_empty() {
        return "no round of a leader has been heard\n".to_owned();
    }
    let mut text = String::from("AT                    READY  UNACKED  WANTED  GOAL  RUNNING  OUTCOME    REASON\n");
    for report in rounds {
        let sum = |figure: fn(&crate::scaling::Queue) -> u64| report.queues.iter().map(figure).sum::<u64>();
        let decision = &report.decision;
        let _ = writeln!(
            text,
            "{:<20.0} {:>6} {:>8} {:>7} {:>5} {:>8}  {:<10} {}",
            report.at,
            sum(|queue| queue.ready),
            sum(|queue| queue.unacked),
            report.pools.iter().map(|pool| pool.wanted).sum::<u32>(),
            decision.goal(),
            report.pools.iter().map(|pool| pool.running).sum::<u32>(),
            outcome(report),
            decision.reason,
        );
        for act in &report.acts {
            let fault = act.fault.as_ref().map(|fault| format!(", not done: {fault}")).unwrap_or_default();
            let _ = writeln!(text, "  {}: {}{fault}", act.pool, act.what);
        }
        for fault in &report.faults {
            let _ = writeln!(text, "  not seen: {fault}");
        }
    }
    text
}

/// As messages write it.
fn outcome(report: &Report) -> String {
    let word = serde_json::to_value(report.decision.outcome).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
