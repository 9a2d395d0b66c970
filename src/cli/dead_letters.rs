//! `skydose dead-letters`: jobs that were given up, and what becomes of them.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Ending, say,
    worker::{Configuration, runtime},
};
use crate::queue::{DeadLetter, DeadLetters as _, JobQueue as _, amqp::Amqp};

/// The longest error in a table.
const WIDEST: usize = 80;

/// The longest body that `show` prints.
const LONGEST: usize = 10_000;

/// Arguments of `dead-letters`.
#[derive(Debug, Args)]
pub struct DeadLetters {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them, the oldest first; they stay where they are.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one with all its properties and its body.
    Show {
        /// The message's id, as listed.
        id: String,
    },
    /// Make jobs of them again, with no failed tries.
    Redrive(Which),
    /// Throw them away.
    Discard(Which),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The messages' ids, as listed.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that are there now.
    #[arg(long)]
    all: bool,
}

impl DeadLetters {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let config = self.configuration.read()?;
        runtime()?.block_on(async {
            let queue = Amqp::new(config.broker).context("broker")?;
            let result = self.what.run(&queue).await;
            queue.close().await;
            result
        })
    }
}

impl What {
    async fn run(self, queue: &Amqp) -> anyhow::Result<Ending> {
        match self {
            Self::List { limit, json } => {
                let letters = queue.list(limit).await?;
                say(&if json { as_json(&letters)? } else { table(&letters, limit) })?;
            }
            Self::Show { id } => {
                let letters = queue.get(&id).await?;
                if letters.is_empty() {
                    bail!("no dead letter {id}; `skydose dead-letters list` names them");
                }
                for letter in &letters {
                    say(&shown(letter)?)?;
                }
            }
            Self::Redrive(which) => {
                let count = queue.redrive(which.ids()).await?;
                which.told(count, "made jobs again")?;
            }
            Self::Discard(which) => {
                let count = queue.discard(which.ids()).await?;
                which.told(count, "thrown away")?;
            }
        }
        Ok(Ending::Whole)
    }
}

impl Which {
    fn ids(&self) -> Option<&[String]> {
        (!self.all).then_some(self.ids.as_slice())
    }

    fn told(&self, count: usize, what: &str) -> anyhow::Result<()> {
        if !self.all && count == 0 {
            bail!("no dead letter has such an id: {}; `skydose dead-letters list` names them", self.ids.join(", "));
        }
        say(&format!("{count} {what}\n"))
    }
}

fn record(letter: &DeadLetter) -> Value {
    let properties = &letter.message.properties;
    json!({
        "id": properties.message_id,
        "reason": letter.reason(),
        "attempts": properties.attempt,
        "crashes": properties.crashes,
        "error": letter.error(),
        "submission": properties.submission,
        "submitted_at": properties.submitted_at,
        "priority": properties.priority,
        "bytes": letter.message.body.len(),
    })
}

fn as_json(letters: &[DeadLetter]) -> anyhow::Result<String> {
    let records: Vec<Value> = letters.iter().map(record).collect();
    Ok(format!("{}\n", serde_json::to_string_pretty(&records)?))
}

fn table(letters: &[DeadLetter], limit: usize) -> String {
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let head = ["id", "reason", "attempts", "crashes", "submission", "error"].map(str::to_owned);
    let row = |letter: &DeadLetter| {
        let properties = &letter.message.properties;
        [
            properties.message_id.clone(),
            letter.reason().to_owned(),
            properties.attempt.to_string(),
            properties.crashes.to_string(),
            properties.submission.clone().unwrap_or_default(),
            one_line(letter.error()),
        ]
    };
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(letters.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().enumerate().map(|(n, cell)| format!("{cell:<width$}", width = width(n))).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    if letters.len() == limit {
        let _ = writeln!(text, "the first {limit}; --limit shows more");
    }
    text
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WIDEST { line } else { line.chars().take(WIDEST - 1).chain(['…']).collect() }
}

fn shown(letter: &DeadLetter) -> anyhow::Result<String> {
    let properties = &letter.message.properties;
    let mut record = record(letter);
    record["type"] = json!(properties.kind);
    record["version"] = json!(properties.version);
    record["deadline"] = json!(properties.deadline);
    record["content_type"] = json!(properties.content_type);
    record["content_encoding"] = json!(properties.content_encoding);
    record["reply_to"] = json!(properties.reply_to);
    record["correlation_id"] = json!(properties.correlation_id);
    record["headers"] = json!(properties.headers);
    record["body"] = match std::str::from_utf8(&letter.message.body) {
        Ok(text) if text.len() <= LONGEST => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Ok(_) => json!(format!("{} bytes of text", letter.message.body.len())),
        Err(_) => json!(format!("{} bytes", letter.message.body.len())),
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&record)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{ERROR, Message, Properties, REASON};

    fn letter(body: &'static [u8]) -> DeadLetter {
        let headers = [(REASON, "attempts"), (ERROR, "store is\nfull")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let properties =
            Properties { message_id: "j1".into(), attempt: 5, headers: headers.into(), ..Properties::default() };
        DeadLetter { message: Message { properties, body: body.into() } }
    }

    #[test]
    fn a_table_says_why_and_what_is_left_out() {
        let text = table(&[letter(b"{}")], 1);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["id", "reason", "attempts", "crashes", "submission", "error"]
        );
        assert!(lines[1].starts_with("j1  attempts  5"), "{text}");
        assert!(lines[1].ends_with("store is full"), "{text}");
        assert_eq!(lines[2], "the first 1; --limit shows more");
        assert_eq!(table(&[], 5), "no dead letters\n");
    }

    #[test]
    fn a_body_is_shown_as_it_can_be() {
        let body = |letter| serde_json::from_str::<Value>(&shown(&letter).unwrap()).unwrap()["body"].clone();
        assert_eq!(body(letter(b"{\"a\":1}")), json!({ "a": 1 }));
        assert_eq!(body(letter(b"plain")), json!("plain"));
        assert_eq!(body(letter(b"\xff\xfe")), json!("2 bytes"));
    }
}
