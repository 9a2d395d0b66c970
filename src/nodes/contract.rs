//! What every provider promises, as tests that run on each of them.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicI32, Ordering},
};

use async_trait::async_trait;

use super::{NodeProvider, NodesError, Permit, Phase, Pool, Removal, Scaled};

/// The pool that a [`World`] starts with.
pub const POOL: &str = "gpu";

/// A provider with one pool, [`POOL`], of three running machines, and what
/// else happens to it.
#[async_trait]
pub trait World: Sync {
    /// The provider under test.
    fn provider(&self) -> &dyn NodeProvider;
    /// Enough time for machines to boot and to leave.
    async fn pass(&self);
    /// Somebody else sets the number wanted.
    async fn stranger_wants(&self, wanted: u32);
    /// From now on machines that leave are never gone.
    async fn deletions_stick(&self);
    /// From now on no more machines than these come up.
    async fn quota(&self, machines: u32);
}

/// Runs every promise, each in a world of its own.
///
/// # Panics
/// Where a promise is broken.
pub async fn holds<W: World>(make: impl AsyncFn() -> W) {
    shows_what_there_is(&make().await).await;
    grows(&make().await).await;
    writes_only_over_what_was_seen(&make().await).await;
    asking_twice_is_asking_once(&make().await).await;
    lowering_takes_no_machine(&make().await).await;
    removes_the_machines_named(&make().await).await;
    removes_down_to_none(&make().await).await;
    removing_twice_lowers_once(&make().await).await;
    removes_what_is_booting(&make().await).await;
    shows_what_fails(&make().await).await;
    without_permission_nothing_is_written(&make().await).await;
    a_permission_lost_on_the_way_leaves_no_half_removal(&make).await;
    what_is_not_there_is_said(&make().await).await;
}

async fn shows_what_there_is(world: &impl World) {
    let pool = pool(world).await;
    assert_eq!((pool.wanted, pool.count()), (3, 3));
    assert!(pool.machines.iter().all(|m| m.phase == Phase::Running && m.node.is_some() && !m.marked), "{pool:?}");
    assert_eq!((pool.failure, pool.refused), (None, None));
}

async fn grows(world: &impl World) {
    let before = ids(&pool(world).await);
    assert_eq!(world.provider().scale_to(POOL, 3, 5, Permit::always()).await, Ok(Scaled::To(5)));
    assert_eq!(pool(world).await.wanted, 5);
    world.pass().await;
    let after = pool(world).await;
    assert_eq!(after.in_phase(Phase::Running), 5, "{after:?}");
    assert!(before.is_subset(&ids(&after)));
}

async fn writes_only_over_what_was_seen(world: &impl World) {
    world.stranger_wants(4).await;
    let late = world.provider().scale_to(POOL, 3, 6, Permit::always()).await;
    assert_eq!(late, Err(NodesError::Changed { pool: POOL.to_owned(), expected: 3, found: 4 }));
    assert_eq!(pool(world).await.wanted, 4);
}

async fn asking_twice_is_asking_once(world: &impl World) {
    for _ in 0..2 {
        assert_eq!(world.provider().scale_to(POOL, 3, 4, Permit::always()).await, Ok(Scaled::To(4)));
    }
    world.pass().await;
    assert_eq!(pool(world).await.in_phase(Phase::Running), 4);
}

async fn lowering_takes_no_machine(world: &impl World) {
    let before = ids(&pool(world).await);
    assert_eq!(world.provider().scale_to(POOL, 3, 1, Permit::always()).await, Ok(Scaled::To(3)));
    world.pass().await;
    let after = pool(world).await;
    assert_eq!((after.wanted, ids(&after)), (3, before));
}

async fn removes_the_machines_named(world: &impl World) {
    for at in [1, 0] {
        let before = pool(world).await;
        let victim = before.machines[at].id.clone();
        let removal = remove(world, &[&victim]).await.unwrap();
        assert_eq!(removal, Removal { gone: vec![victim.clone()], kept: vec![] });
        let left = pool(world).await;
        assert_eq!(left.wanted, before.wanted - 1);
        assert!(left.machine(&victim).is_none_or(|m| m.phase == Phase::Leaving), "{left:?}");
        world.pass().await;
        let after = pool(world).await;
        let others = before.machines.iter().map(|m| m.id.clone()).filter(|id| *id != victim).collect();
        assert_eq!((after.wanted, ids(&after)), (before.wanted - 1, others));
        assert!(after.machines.iter().all(|m| !m.marked && m.phase == Phase::Running), "{after:?}");
    }
}

async fn removes_down_to_none(world: &impl World) {
    let all: Vec<String> = ids(&pool(world).await).into_iter().collect();
    let mut removal = world.provider().remove(POOL, &all, Permit::always()).await.unwrap();
    removal.gone.sort();
    assert_eq!(removal, Removal { gone: all, kept: vec![] });
    world.pass().await;
    let after = pool(world).await;
    assert_eq!((after.wanted, after.machines.len()), (0, 0));
    assert_eq!(world.provider().scale_to(POOL, 0, 1, Permit::always()).await, Ok(Scaled::To(1)));
    world.pass().await;
    assert_eq!(pool(world).await.in_phase(Phase::Running), 1);
}

async fn removing_twice_lowers_once(world: &impl World) {
    world.deletions_stick().await;
    let victim = pool(world).await.machines[1].id.clone();
    for _ in 0..3 {
        assert_eq!(remove(world, &[&victim]).await.unwrap().gone, std::slice::from_ref(&victim));
        world.pass().await;
        let after = pool(world).await;
        assert_eq!((after.wanted, after.count()), (2, 2), "a stuck machine lowers once: {after:?}");
        assert_eq!(after.machine(&victim).map(|m| m.phase), Some(Phase::Leaving));
    }
}

async fn removes_what_is_booting(world: &impl World) {
    let before = ids(&pool(world).await);
    world.provider().scale_to(POOL, 3, 4, Permit::always()).await.unwrap();
    let booting = made_beside(world, &before).await;
    assert_eq!(remove(world, &[&booting]).await.unwrap().gone, [booting]);
    world.pass().await;
    let after = pool(world).await;
    assert_eq!((after.wanted, ids(&after)), (3, before));
}

async fn shows_what_fails(world: &impl World) {
    world.quota(3).await;
    world.provider().scale_to(POOL, 3, 4, Permit::always()).await.unwrap();
    world.pass().await;
    let seen = pool(world).await;
    assert_eq!(seen.in_phase(Phase::Running), 3, "{seen:?}");
    let said = seen.failure.is_some() || seen.machines.iter().any(|m| m.phase == Phase::Failed && m.failure.is_some());
    assert!(said, "a failure is said: {seen:?}");
    assert_eq!(seen.wanted, 4, "the provider itself goes on wanting");
}

async fn without_permission_nothing_is_written(world: &impl World) {
    let before = pool(world).await;
    let never = || false;
    let scaled = world.provider().scale_to(POOL, 3, 5, Permit::new(&never)).await;
    assert!(scaled.as_ref().is_err_and(NodesError::is_withdrawn), "{scaled:?}");
    let victim = before.machines[0].id.clone();
    let removal = world.provider().remove(POOL, &[victim], Permit::new(&never)).await;
    assert!(withdrawn(&removal), "{removal:?}");
    world.pass().await;
    assert_eq!(pool(world).await, before);
}

async fn a_permission_lost_on_the_way_leaves_no_half_removal<W: World>(make: &impl AsyncFn() -> W) {
    for writes in 0..4 {
        let world = make().await;
        let before = pool(&world).await;
        let victim = before.machines[1].id.clone();
        let left = AtomicI32::new(writes);
        let permit = || left.fetch_sub(1, Ordering::Relaxed) > 0;
        let removal = world.provider().remove(POOL, std::slice::from_ref(&victim), Permit::new(&permit)).await;
        // The next leader finds what was left and takes it back.
        for machine in pool(&world).await.present().filter(|m| m.marked) {
            world.provider().unmark(POOL, &machine.id, Permit::always()).await.unwrap();
        }
        world.pass().await;
        let after = pool(&world).await;
        if removal.as_ref().is_ok_and(|removal| removal.gone.contains(&victim)) {
            assert_eq!((after.wanted, after.count()), (2, 2), "{writes} writes: {after:?}");
            assert!(after.machine(&victim).is_none());
        } else {
            assert!(withdrawn(&removal), "{writes} writes: {removal:?}");
            assert_eq!(after, before, "{writes} writes");
        }
    }
}

async fn what_is_not_there_is_said(world: &impl World) {
    let scaled = world.provider().scale_to("no-such-pool", 0, 1, Permit::always()).await;
    assert!(scaled.as_ref().is_err_and(|error| error.to_string().contains("no-such-pool")), "{scaled:?}");
    let removal = remove(world, &["no-such-machine"]).await;
    assert!(removal.as_ref().is_ok_and(|r| r.gone == ["no-such-machine"]), "what is not there is gone: {removal:?}");
    assert_eq!(pool(world).await.wanted, 3);
}

fn withdrawn(removal: &Result<Removal, NodesError>) -> bool {
    match removal {
        Err(error) => error.is_withdrawn(),
        Ok(removal) => removal.gone.is_empty() && removal.kept.iter().all(|(_, error)| error.is_withdrawn()),
    }
}

async fn remove(world: &impl World, machines: &[&str]) -> Result<Removal, NodesError> {
    let machines: Vec<String> = machines.iter().map(ToString::to_string).collect();
    world.provider().remove(POOL, &machines, Permit::always()).await
}

async fn pool(world: &impl World) -> Pool {
    let pools = world.provider().pools().await.unwrap();
    pools.into_iter().find(|pool| pool.name == POOL).expect("the pool is there")
}

fn ids(pool: &Pool) -> BTreeSet<String> {
    pool.machines.iter().map(|machine| machine.id.clone()).collect()
}

/// The first machine that is made beside these: providers make them later.
async fn made_beside(world: &impl World, before: &BTreeSet<String>) -> String {
    for _ in 0..200 {
        if let Some(made) = pool(world).await.machines.iter().find(|m| !before.contains(&m.id)) {
            return made.id.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("no machine was made");
}
