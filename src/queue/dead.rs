//! Dead letters: jobs that were given up, with the reason, kept until someone
//! decides.

use async_trait::async_trait;

use super::{Message, QueueError};

/// Header of a dead letter: why it was given up, in a word or two.
pub const REASON: &str = "skydose-reason";

/// Header of a dead letter: what went wrong, in words.
pub const ERROR: &str = "skydose-error";

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// As it lies there. Its `message_id` names it.
    pub message: Message,
}

/// The dead letters of a queue.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// The first `limit` of them, the oldest first. They stay where they are.
    ///
    /// # Errors
    /// [`QueueError`] where they cannot be read.
    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError>;

    /// Those with this id; more than one where a job was given up twice.
    ///
    /// # Errors
    /// [`QueueError`] where they cannot be read.
    async fn get(&self, message_id: &str) -> Result<Vec<DeadLetter>, QueueError>;

    /// Makes jobs of them again, with no failed tries: those with these ids,
    /// or all that lie there now. Each is safe among the jobs before it
    /// leaves the dead letters. How many it were.
    ///
    /// # Errors
    /// [`QueueError`] where some may still lie there; none is lost.
    async fn redrive(&self, message_ids: Option<&[String]>) -> Result<usize, QueueError>;

    /// Throws them away: those with these ids, or all that lie there now. How
    /// many it were.
    ///
    /// # Errors
    /// [`QueueError`] where some may still lie there.
    async fn discard(&self, message_ids: Option<&[String]>) -> Result<usize, QueueError>;
}

impl DeadLetter {
    /// Why it was given up: `invalid`, `attempts`, …, or the broker's word
    /// for it, such as `delivery_limit`.
    #[must_use]
    pub fn reason(&self) -> &str {
        let headers = &self.message.properties.headers;
        headers.get(REASON).map_or("not said", String::as_str)
    }

    /// What went wrong, in words; empty where nothing was said.
    #[must_use]
    pub fn error(&self) -> &str {
        self.message.properties.headers.get(ERROR).map_or("", String::as_str)
    }

    /// The job as it was first submitted: no failed tries, no word of why it
    /// was given up.
    #[must_use]
    pub fn job(&self) -> Message {
        let mut message = self.message.clone();
        let properties = &mut message.properties;
        properties.attempt = 0;
        properties.crashes = 0;
        properties.headers.remove(REASON);
        properties.headers.remove(ERROR);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Properties;

    #[test]
    fn a_job_starts_again_without_its_past() {
        let headers = [(REASON, "attempts"), (ERROR, "store is full"), ("traceparent", "00-1")];
        let letter = DeadLetter {
            message: Message {
                properties: Properties {
                    message_id: "j1".into(),
                    attempt: 5,
                    crashes: 2,
                    headers: headers.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
                    ..Properties::default()
                },
                body: "{}".into(),
            },
        };
        assert_eq!((letter.reason(), letter.error()), ("attempts", "store is full"));
        let job = letter.job();
        assert_eq!((job.properties.attempt, job.properties.crashes), (0, 0));
        assert_eq!(job.properties.headers.keys().collect::<Vec<_>>(), ["traceparent"]);
        assert_eq!(job.body, letter.message.body);
    }
}
