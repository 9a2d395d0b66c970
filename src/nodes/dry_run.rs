//! Any provider, saying only what it would do.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Health, NodeProvider, NodesError, Permit, Pool, Removal, Scaled};

/// Reads through, writes nothing.
#[derive(Debug)]
pub struct DryRun {
    inner: Arc<dyn NodeProvider>,
}

impl DryRun {
    /// Around `inner`, whose writes are never called.
    #[must_use]
    pub fn new(inner: Arc<dyn NodeProvider>) -> Self {
        Self { inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl NodeProvider for DryRun {
    fn name(&self) -> &'static str {
        "dry-run"
    }

    async fn pools(&self) -> Result<Vec<Pool>, NodesError> {
        self.inner.pools().await
    }

    async fn scale_to(&self, pool: &str, from: u32, to: u32, _: Permit<'_>) -> Result<Scaled, NodesError> {
        tracing::info!(pool, from, to, "dry run: would scale");
        Ok(Scaled::Said)
    }

    async fn remove(&self, pool: &str, machines: &[String], _: Permit<'_>) -> Result<Removal, NodesError> {
        tracing::info!(pool, ?machines, "dry run: would remove");
        Ok(Removal::default())
    }

    async fn unmark(&self, pool: &str, machine: &str, _: Permit<'_>) -> Result<(), NodesError> {
        tracing::info!(pool, machine, "dry run: would take the mark of a removal back");
        Ok(())
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Memory, *};

    #[tokio::test]
    async fn nothing_is_written() {
        let memory = Arc::new(Memory::with_pool("gpu", 3));
        let dry = DryRun::new(memory.clone());
        let before = memory.pools().await.unwrap();
        assert_eq!(dry.scale_to("gpu", 3, 9, Permit::always()).await, Ok(Scaled::Said));
        let machine = before[0].machines[0].id.clone();
        assert_eq!(dry.remove("gpu", std::slice::from_ref(&machine), Permit::always()).await, Ok(Removal::default()));
        dry.unmark("gpu", &machine, Permit::always()).await.unwrap();
        assert_eq!(dry.pools().await.unwrap(), before);
    }
}
