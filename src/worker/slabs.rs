//! Slabs of fields in memory, bounded in bytes: each is read once however
//! many ask for it, and the one unused for longest makes room.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::field::{FieldError, slab::Slab};

/// Which slab: of a field, a time, a member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The data set's name.
    pub dataset: Arc<str>,
    /// Its version and the channels.
    pub field: Arc<str>,
    pub time: usize,
    pub member: usize,
}

/// Slabs in memory.
pub(super) struct Shelf {
    shelf: Mutex<Inner>,
    /// Some slab was read, or could not be.
    read: Condvar,
}

#[derive(Default)]
struct Inner {
    slabs: HashMap<Key, Kept>,
    bytes: usize,
    most_bytes: usize,
    /// Counts the uses.
    clock: u64,
}

enum Kept {
    /// Someone reads it.
    Coming,
    Here {
        slab: Arc<Slab>,
        bytes: usize,
        used: u64,
    },
}

/// Takes the mark off again, where a read comes to nothing.
struct Coming<'a> {
    shelf: &'a Shelf,
    key: &'a Key,
    bytes: usize,
    is_here: bool,
}

impl Shelf {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { shelf: Mutex::new(Inner { most_bytes, ..Inner::default() }), read: Condvar::new() }
    }

    /// Holds no more than `most_bytes` from now on.
    pub(super) fn limit(&self, most_bytes: usize) {
        let mut inner = self.lock();
        inner.most_bytes = most_bytes;
        inner.make_room();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that may panic runs under it.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slab, if it is here.
    pub(super) fn held(&self, key: &Key) -> Option<Arc<Slab>> {
        self.lock().take(key)
    }

    /// The slab, read by `read` where it is not here; `bytes` is what it
    /// takes. Who asks while it is read waits; where the reading fails, the
    /// next one reads.
    pub(super) fn get(
        &self,
        key: &Key,
        bytes: usize,
        read: impl FnOnce() -> Result<Slab, FieldError>,
    ) -> Result<Arc<Slab>, FieldError> {
        let mut inner = self.lock();
        loop {
            if let Some(slab) = inner.take(key) {
                return Ok(slab);
            }
            if !inner.slabs.contains_key(key) {
                break;
            }
            inner = self.read.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.slabs.insert(key.clone(), Kept::Coming);
        // Before it is read: the budget holds while it comes, too.
        inner.bytes += bytes;
        inner.make_room();
        drop(inner);
        let mut coming = Coming { shelf: self, key, bytes, is_here: false };
        let slab = Arc::new(read()?);
        coming.is_here = true;
        let mut inner = self.lock();
        inner.clock += 1;
        let used = inner.clock;
        inner.slabs.insert(key.clone(), Kept::Here { slab: slab.clone(), bytes, used });
        drop(inner);
        self.read.notify_all();
        Ok(slab)
    }

    /// Bytes of the slabs here and those being read.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The data sets of which there are slabs.
    pub(super) fn datasets(&self) -> BTreeSet<String> {
        let inner = self.lock();
        let here = inner.slabs.iter().filter(|(_, kept)| matches!(kept, Kept::Here { .. }));
        here.map(|(key, _)| key.dataset.to_string()).collect()
    }
}

impl Inner {
    fn take(&mut self, key: &Key) -> Option<Arc<Slab>> {
        let Some(Kept::Here { slab, used, .. }) = self.slabs.get_mut(key) else { return None };
        self.clock += 1;
        *used = self.clock;
        Some(slab.clone())
    }

    /// Lets go of slabs that nobody holds, the one unused for longest first.
    fn make_room(&mut self) {
        while self.bytes > self.most_bytes {
            let oldest = self
                .slabs
                .iter()
                .filter_map(|(key, kept)| match kept {
                    Kept::Here { slab, bytes, used } if Arc::strong_count(slab) == 1 => {
                        Some((*used, *bytes, key.clone()))
                    }
                    _ => None,
                })
                .min_by_key(|(used, ..)| *used);
            let Some((_, bytes, key)) = oldest else { return };
            self.slabs.remove(&key);
            self.bytes -= bytes;
        }
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        if !self.is_here {
            let mut inner = self.shelf.lock();
            inner.slabs.remove(self.key);
            inner.bytes -= self.bytes;
            drop(inner);
            self.shelf.read.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    fn key(time: usize) -> Key {
        Key { dataset: "cams".into(), field: "1".into(), time, member: 0 }
    }

    fn slab() -> Result<Slab, FieldError> {
        Slab::zeroed(4, 1)
    }

    #[test]
    fn a_slab_is_read_once_however_many_ask() {
        let (shelf, reads) = (Shelf::new(1_000), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    shelf.get(&key(0), 100, || {
                        reads.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(20));
                        slab()
                    })
                });
            }
        });
        assert_eq!((reads.into_inner(), shelf.bytes()), (1, 100));
        assert_eq!(shelf.datasets().into_iter().collect::<Vec<_>>(), ["cams"]);
    }

    #[test]
    fn the_one_unused_for_longest_makes_room_unless_it_is_held() {
        let shelf = Shelf::new(300);
        let held = shelf.get(&key(0), 100, slab).unwrap();
        for time in 1..3 {
            drop(shelf.get(&key(time), 100, slab).unwrap());
        }
        assert!(shelf.held(&key(1)).is_some(), "used again");
        drop(shelf.get(&key(3), 100, slab).unwrap());
        let here: Vec<usize> = (0..4).filter(|&time| shelf.held(&key(time)).is_some()).collect();
        assert_eq!((here, shelf.bytes()), (vec![0, 1, 3], 300));
        shelf.limit(100);
        assert!(shelf.bytes() == 100 && shelf.held(&key(0)).is_some(), "less room, and one that is held");
        drop(held);
    }

    #[test]
    fn what_could_not_be_read_is_read_by_the_next() {
        let shelf = Shelf::new(300);
        assert!(shelf.get(&key(0), 100, || Err(FieldError::Dataset("no".into()))).is_err());
        let panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shelf.get(&key(0), 100, || panic!("no"))));
        assert!(panicked.is_err());
        assert_eq!(shelf.bytes(), 0);
        assert!(shelf.get(&key(0), 100, slab).is_ok());
    }
}
