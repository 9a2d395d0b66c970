//! No election: this process is the only one.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Leadership, Standing, Term};

/// Leads from the start until it resigns.
#[derive(Debug)]
pub struct Alone {
    standing: watch::Sender<Standing>,
}

impl Alone {
    /// The only candidate, by name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let standing = Standing { term: Some(Term(1)), leader: Some(name.to_owned()), fault: None };
        Self { standing: watch::Sender::new(standing) }
    }
}

#[async_trait]
impl Leadership for Alone {
    fn name(&self) -> &'static str {
        "none"
    }

    fn leads(&self) -> Option<Term> {
        self.standing.borrow().term
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    async fn resign(&self) {
        self.standing.send_replace(Standing::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leads_until_it_resigns() {
        let alone = Alone::new("w1");
        assert_eq!(alone.leads(), Some(Term(1)));
        assert_eq!(alone.standing().borrow().leader.as_deref(), Some("w1"));
        alone.resign().await;
        assert_eq!(alone.leads(), None);
    }
}
