//! Removing exactly the machines that were named.
//!
//! Mark them to be deleted first, lower the number by as many, and look: those
//! that leave are gone. For those that do not, the number is raised again and
//! the mark taken back.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{
    super::{NodesError, Permit, Removal},
    MachineObject, RancherV1,
};

/// Between looks whether a machine leaves.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a look at the machines shows.
struct Looked {
    /// Asked to leave, and leaving or gone.
    gone: Vec<String>,
    /// Asked to leave, and still there.
    there: Vec<String>,
    /// Leaving without having been asked to.
    taken: Vec<String>,
}

impl RancherV1 {
    pub(super) async fn remove_marked(
        &self,
        pool: &str,
        machines: &[String],
        permit: Permit<'_>,
    ) -> Result<Removal, NodesError> {
        let found = self.machine_pool(pool).await?;
        let all = self.machines_of(pool).await?;
        let is_there = |id: &String| all.iter().any(|m| m.name() == id && !m.is_leaving());
        let (asked, gone): (Vec<String>, Vec<String>) = machines.iter().cloned().partition(is_there);
        let mut removal = Removal { gone, kept: Vec::new() };
        if asked.is_empty() {
            return Ok(removal);
        }
        found.refuse(pool)?;
        settled(pool, found.quantity(), &all, &asked)?;
        let marked = self.mark_all(&asked, permit, &mut removal).await;
        let from = found.quantity();
        let to = from.saturating_sub(count(&marked));
        if to == from {
            return Ok(removal);
        }
        if let Err(error) = self.swap(pool, from, to, permit).await {
            self.unmark_all(&marked, permit).await;
            removal.kept.extend(marked.into_iter().map(|id| (id, error.clone())));
            return Ok(removal);
        }
        let leaving_before = all.iter().filter(|m| m.is_leaving()).map(|m| m.name().to_owned()).collect();
        let looked = self.watch(pool, marked, &leaving_before).await;
        removal.gone.extend(looked.gone);
        if !looked.there.is_empty() {
            self.undo(pool, to, &looked.there, permit).await;
            removal.kept.extend(looked.there.into_iter().map(|id| (id.clone(), self.stayed(id, &looked.taken))));
        }
        Ok(removal)
    }

    /// Machines of the pool that are not leaving.
    pub(super) async fn present(&self, pool: &str) -> Result<u32, NodesError> {
        let machines = self.machines_of(pool).await?;
        Ok(count(&machines.iter().filter(|m| !m.is_leaving()).collect::<Vec<_>>()))
    }

    async fn machines_of(&self, pool: &str) -> Result<Vec<MachineObject>, NodesError> {
        let name = self.pool_name(pool)?;
        let mut machines = self.machines().await?;
        machines.retain(|m| m.belongs_to(name));
        Ok(machines)
    }

    async fn mark_all(&self, asked: &[String], permit: Permit<'_>, removal: &mut Removal) -> Vec<String> {
        let mut marked = Vec::new();
        for id in asked {
            match self.annotate(id, true, permit).await {
                Ok(()) => marked.push(id.clone()),
                Err(error) => removal.kept.push((id.clone(), error)),
            }
        }
        marked
    }

    /// Looks until all that were marked leave, another leaves instead, or the
    /// time is up. A look that fails is tried again.
    async fn watch(&self, pool: &str, marked: Vec<String>, leaving_before: &BTreeSet<String>) -> Looked {
        let started = Instant::now();
        let mut looked = Looked { gone: Vec::new(), there: marked.clone(), taken: Vec::new() };
        loop {
            if let Ok(machines) = self.machines_of(pool).await {
                let present = |id: &String| machines.iter().any(|m| m.name() == id && !m.is_leaving());
                (looked.there, looked.gone) = marked.iter().cloned().partition(present);
                let leaving = machines.iter().filter(|m| m.is_leaving()).map(|m| m.name().to_owned());
                looked.taken = leaving.filter(|id| !leaving_before.contains(id) && !marked.contains(id)).collect();
            }
            let another = looked.taken.len() >= looked.there.len();
            if looked.there.is_empty()
                || another && !looked.taken.is_empty()
                || started.elapsed() >= self.settings.verify_within
            {
                return looked;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Raises the number again for those that stayed, and takes their marks
    /// back. What fails here is found by the next look at the pool: a mark
    /// that is left over is taken back then.
    async fn undo(&self, pool: &str, lowered: u32, stayed: &[String], permit: Permit<'_>) {
        let raised = lowered.saturating_add(count(stayed));
        if let Err(error) = self.swap(pool, lowered, raised, permit).await {
            tracing::warn!(pool, lowered, raised, %error, "failed to raise the number again after a removal that did not end");
            return;
        }
        self.unmark_all(stayed, permit).await;
    }

    async fn unmark_all(&self, machines: &[String], permit: Permit<'_>) {
        for id in machines {
            if let Err(error) = self.annotate(id, false, permit).await {
                tracing::warn!(machine = %id, %error, "failed to take back the mark of a removal; tried again later");
            }
        }
    }

    fn stayed(&self, machine: String, taken: &[String]) -> NodesError {
        if taken.is_empty() {
            NodesError::Stayed { machine, within: self.settings.verify_within }
        } else {
            NodesError::Another { machine, taken: taken.to_vec() }
        }
    }
}

/// Lowering the number takes a machine only where there are as many as
/// wanted, and takes ours only where no other is marked.
fn settled(pool: &str, wanted: u32, machines: &[MachineObject], asked: &[String]) -> Result<(), NodesError> {
    let unsettled = |what| Err(NodesError::Unsettled { pool: pool.to_owned(), what });
    let present: Vec<&MachineObject> = machines.iter().filter(|m| !m.is_leaving()).collect();
    if count(&present) != wanted {
        return unsettled(format!(
            "{} machines are there, {wanted} are wanted; nothing is removed meanwhile",
            present.len()
        ));
    }
    let other = present.iter().find(|m| m.deleted_first().is_some() && !asked.iter().any(|id| id == m.name()));
    match other {
        Some(other) => unsettled(format!("machine {} is marked to be deleted first", other.name())),
        None => Ok(()),
    }
}

fn count<T>(of: &[T]) -> u32 {
    u32::try_from(of.len()).unwrap_or(u32::MAX)
}
