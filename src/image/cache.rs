//! Tables of a disk image, read when they are needed and kept while there is room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// At most so many tables are kept, so that memory does not grow with the disk.
#[derive(Debug)]
pub(super) struct Cache<T: ?Sized> {
    kept: Mutex<HashMap<u64, Arc<T>>>,
    limit: usize,
}

impl<T: ?Sized> Cache<T> {
    /// Keeps `limit` tables.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            kept: Mutex::new(HashMap::new()),
            limit,
        }
    }

    /// The table `key`, which `load` reads when it is not kept.
    pub(super) fn get<E>(
        &self,
        key: u64,
        load: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = kept().get(&key) {
            return Ok(Arc::clone(table));
        }
        // Not under the lock: others go on with what is there.
        let table = load()?;
        let mut kept = kept();
        // Disks are read from beginning to end: what was needed before is not needed again.
        if kept.len() >= self.limit {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&table));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_once_while_it_is_kept_and_errors_are_not_kept() {
        let cache = Cache::<u64>::new(2);
        let get = |key: u64, fresh: u64| cache.get(key, || Ok::<_, ()>(Arc::new(fresh))).unwrap();
        assert_eq!((*get(1, 10), *get(1, 11), *get(2, 20)), (10, 10, 20));
        assert!(cache.get(3, || Err("torn")).is_err());
        assert_eq!((*get(3, 30), *get(1, 12)), (30, 12));
    }
}
