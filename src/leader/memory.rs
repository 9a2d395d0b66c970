//! A lease in memory, shared by the candidates of one process.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use serde_json::json;

use super::{Found, LeaseStore, Record, StoreError};

/// A candidate's access to a lease in memory; clones share the lease.
#[derive(Debug, Clone, Default)]
pub struct MemoryLease {
    record: Arc<Mutex<Option<(Record, u64)>>>,
    cut: Arc<AtomicBool>,
}

impl MemoryLease {
    /// Another candidate's access to the same lease.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { record: Arc::clone(&self.record), cut: Arc::default() }
    }

    /// Cuts this candidate off, or lets it through again.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<(Record, u64)>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.cut.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("cut off".to_owned()));
        }
        work(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl LeaseStore for MemoryLease {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn read(&self) -> Result<Option<Found>, StoreError> {
        self.with(|held| {
            Ok(held.as_ref().map(|(record, version)| Found { record: record.clone(), object: json!(version) }))
        })
    }

    async fn create(&self, record: &Record) -> Result<(), StoreError> {
        self.with(|held| {
            if held.is_some() {
                return Err(StoreError::Conflict);
            }
            *held = Some((record.clone(), 1));
            Ok(())
        })
    }

    async fn update(&self, record: &Record, over: &Found) -> Result<(), StoreError> {
        self.with(|held| match held {
            Some((held, version)) if over.object == *version => {
                (*held, *version) = (record.clone(), *version + 1);
                Ok(())
            }
            _ => Err(StoreError::Conflict),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{Elector, Leadership, Terms, contract},
        *,
    };

    #[derive(Default)]
    struct World {
        lease: MemoryLease,
        accesses: Mutex<Vec<MemoryLease>>,
    }

    #[async_trait]
    impl contract::World for World {
        async fn stand(&self, name: &str) -> Arc<dyn Leadership> {
            let access = self.lease.beside();
            self.accesses.lock().unwrap().push(access.clone());
            let millis = Duration::from_millis;
            let terms = Terms { lease: millis(1500), renew_deadline: millis(1000), retry: millis(150) };
            Arc::new(Elector::stand(name, terms, access).unwrap())
        }

        async fn cut(&self, candidate: usize, cut: bool) {
            self.accesses.lock().unwrap()[candidate].cut(cut);
        }

        fn failover(&self) -> Duration {
            Duration::from_secs(3)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract() {
        contract::holds(async || World::default()).await;
    }
}
