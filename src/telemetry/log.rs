//! The log: one line an event, as text or JSON, on standard error.
//!
//! What other crates say is let through from `info` upwards at most, whatever
//! the filter asks for: below that, clients of brokers and stores write whole
//! frames, and credentials with them. The client of the broker is heard with
//! its errors alone: its warnings hold the bodies of messages that came back.

use std::io;

use serde::{Deserialize, Serialize};
use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterExt as _, filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _,
    registry::LookupSpan, util::SubscriberInitExt as _,
};

use super::{TelemetryError, trace};

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `text` or `json`.
    pub format: Format,
    /// The least level, also by module: `info`, `skydose::worker=debug,warn`.
    pub filter: String,
}

/// What must live as long as the log is written; dropped, it sends off the
/// traces that still wait.
#[must_use = "dropped, it ends the export of traces"]
pub struct Guard {
    _traces: Option<trace::Exporter>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Text, filter: "info".into() }
    }
}

impl Settings {
    /// Whether the filter can be read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<EnvFilter, TelemetryError> {
        EnvFilter::builder()
            .parse(&self.filter)
            .map_err(|source| TelemetryError::Filter { filter: self.filter.clone(), what: source.to_string() })
    }
}

/// Starts the log on standard error, and the export of traces where an
/// endpoint is set. `service` is how traces name this process.
///
/// # Errors
/// A filter that cannot be read, an endpoint that is none, a second start.
pub fn start(log: &Settings, traces: &trace::Settings, service: &str) -> Result<Guard, TelemetryError> {
    let exporter = trace::Exporter::start(traces, service)?;
    let layer = exporter.as_ref().map(trace::Exporter::layer);
    let registry = tracing_subscriber::registry().with(layer).with(lines(log, io::stderr)?);
    registry.try_init().map_err(|source| TelemetryError::Started(source.to_string()))?;
    Ok(Guard { _traces: exporter })
}

/// The layer that writes lines.
fn lines<S, W>(settings: &Settings, writer: W) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = settings.filter()?.and(ceiling());
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    Ok(match settings.format {
        Format::Text => layer.with_filter(filter).boxed(),
        Format::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    })
}

/// What no filter can go beyond. Spans are the traces' alone: each line has
/// its own ids.
fn ceiling() -> Targets {
    Targets::new()
        .with_default(Level::INFO)
        .with_target("skydose", Level::TRACE)
        .with_target("lapin", Level::ERROR)
        .with_target(trace::TARGET, LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(settings: &Settings, say: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let layer = lines(settings, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_an_event_with_its_fields() {
        let say = || tracing::info!(job = "j1", submission = "s1", "answered\nit");
        let text = logged(&Settings::default(), say);
        assert!(text.contains("job=\"j1\" submission=\"s1\""), "{text}");
        let json = logged(&Settings { format: Format::Json, ..Settings::default() }, say);
        assert_eq!(json.lines().count(), 1, "{json}");
        let line: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&line["job"], &line["level"], &line["message"]),
            (&"j1".into(), &"INFO".into(), &"answered\nit".into())
        );
    }

    #[test]
    fn no_filter_lets_other_crates_say_more_than_info_and_lapin_more_than_errors() {
        for filter in ["trace", "lapin=trace", "lapin::frames[x]=trace,skydose=trace", "off,lapin=trace"] {
            let settings = Settings { filter: filter.into(), ..Settings::default() };
            let text = logged(&settings, || {
                tracing::trace!(target: "lapin::frames", "canary");
                tracing::debug!(target: "hyper", "canary");
                tracing::warn!(target: "lapin::returned_messages", "canary");
                tracing::error!(target: "lapin", "heard");
            });
            assert!(!text.contains("canary"), "{filter}: {text}");
            assert!(text.contains("heard") || filter.contains('['), "{filter}: {text}");
        }
        let own = logged(&Settings { filter: "trace".into(), ..Settings::default() }, || tracing::trace!("heard"));
        assert!(own.contains("heard"));
    }

    #[test]
    fn a_filter_that_is_none_is_refused_with_its_text() {
        let fault = Settings { filter: "worker=loud".into(), ..Settings::default() }.check().unwrap_err();
        assert!(fault.to_string().contains("\"worker=loud\""), "{fault}");
    }
}
