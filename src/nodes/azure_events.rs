//! Azure's scheduled events: the notice that this machine will go away.
//!
//! The metadata service of the machine says so 30 s before a preemption and
//! 5 to 15 minutes before a termination. The worker on it drains at once.

use std::{collections::BTreeSet, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use serde::{Deserialize, Serialize};

use super::NodesError;
use crate::http::{Client, Endpoint, Retry};

/// Scheduled events, from where and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The metadata service.
    pub url: String,
    /// Between looks. A preemption gives 30 s.
    #[serde(with = "crate::time::duration")]
    pub every: Duration,
    /// This machine's name in Azure; asked of the metadata service where it is
    /// absent.
    pub vm_name: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: "http://169.254.169.254".to_owned(), every: Duration::from_secs(2), vm_name: None }
    }
}

/// The first answer may take two minutes: Azure starts the service on the
/// first question.
const TIMEOUT: Duration = Duration::from_secs(130);
const EVENTS: &str = "/metadata/scheduledevents?api-version=2020-07-01";
const COMPUTE: &str = "/metadata/instance/compute?api-version=2021-02-01";

/// That this machine will go away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Azure's id of the event.
    pub id: String,
    /// `Preempt`, `Terminate`, `Redeploy` or `Reboot`.
    pub kind: String,
    /// Not earlier than this; `None` where it is happening already.
    pub not_before: Option<Timestamp>,
}

/// Watches for notices of this machine.
#[derive(Debug)]
pub struct AzureEvents {
    client: Client,
    settings: Settings,
    /// Events that were told already.
    told: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    event_id: String,
    event_type: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    not_before: String,
}

impl AzureEvents {
    /// A watcher; nothing is sent yet.
    ///
    /// # Errors
    /// An unusable address.
    pub fn new(settings: Settings) -> Result<Self, NodesError> {
        let endpoint = Endpoint {
            url: settings.url.trim_end_matches('/').to_owned(),
            token_file: None,
            ca_file: None,
            insecure_tls: false,
            metadata_service: true,
            timeout: TIMEOUT,
            retry: Retry { attempts: 1, ..Retry::default() },
        };
        Ok(Self { client: Client::new(endpoint)?, settings, told: BTreeSet::new() })
    }

    /// Waits for the next notice. A metadata service that does not answer is
    /// asked again, and said once.
    pub async fn next(&mut self) -> Notice {
        let mut said = false;
        loop {
            match self.look().await {
                Ok(Some(notice)) => return notice,
                Ok(None) => said = false,
                Err(error) if said => tracing::debug!(%error, "scheduled events"),
                Err(error) => {
                    said = true;
                    tracing::warn!(%error, "failed to read Azure's scheduled events; asking on");
                }
            }
            tokio::time::sleep(self.settings.every).await;
        }
    }

    async fn look(&mut self) -> Result<Option<Notice>, NodesError> {
        let name = self.name().await?;
        let mut answer = self.client.get(EVENTS).await?;
        let events: Vec<Event> = serde_json::from_value(answer["Events"].take())
            .map_err(|error| self.answer(&format!("Events: {error}"), "a list of events"))?;
        let mut ours = events.into_iter().filter(|event| event.takes(&name) && !self.told.contains(&event.event_id));
        let Some(event) = ours.next() else { return Ok(None) };
        self.told.insert(event.event_id.clone());
        Ok(Some(event.notice()))
    }

    async fn name(&mut self) -> Result<String, NodesError> {
        if let Some(name) = &self.settings.vm_name {
            return Ok(name.clone());
        }
        let compute = self.client.get(COMPUTE).await?;
        let Some(name) = compute["name"].as_str().filter(|name| !name.is_empty()) else {
            return Err(self.answer("no name of this machine", "the field name"));
        };
        self.settings.vm_name = Some(name.to_owned());
        Ok(name.to_owned())
    }

    fn answer(&self, what: &str, expected: &str) -> NodesError {
        NodesError::Answer { from: self.client.host().to_owned(), what: what.to_owned(), expected: expected.to_owned() }
    }
}

impl Event {
    /// Whether the machine of this name goes away by it. A freeze lasts
    /// seconds and takes nothing.
    fn takes(&self, name: &str) -> bool {
        let goes = matches!(self.event_type.as_str(), "Preempt" | "Terminate" | "Redeploy" | "Reboot");
        goes && self.resources.iter().any(|resource| resource == name)
    }

    fn notice(self) -> Notice {
        // Azure's own examples have a weekday that does not fit the date.
        let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
        let not_before = parser.parse_timestamp(&self.not_before).ok();
        Notice { id: self.event_id, kind: self.event_type, not_before }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn notices(answer: &Value, name: &str) -> Vec<Notice> {
        let events: Vec<Event> = serde_json::from_value(answer["Events"].clone()).unwrap();
        events.into_iter().filter(|event| event.takes(name)).map(Event::notice).collect()
    }

    #[test]
    fn only_what_takes_this_machine_counts() {
        let event = |kind: &str, resource: &str| {
            json!({"Events": [{"EventId": "602d9444", "EventType": kind, "Resources": [resource],
                "NotBefore": "Mon, 11 Apr 2026 22:27:28 GMT"}]})
        };
        let told = notices(&event("Preempt", "gpu-worker-1"), "gpu-worker-1");
        let not_before = "2026-04-11T22:27:28Z".parse().ok();
        assert_eq!(told, [Notice { id: "602d9444".into(), kind: "Preempt".into(), not_before }]);
        assert_eq!(notices(&event("Terminate", "gpu-worker-1"), "gpu-worker-1").len(), 1);
        assert!(notices(&event("Preempt", "gpu-worker-2"), "gpu-worker-1").is_empty());
        assert!(notices(&event("Freeze", "gpu-worker-1"), "gpu-worker-1").is_empty());
    }
}
