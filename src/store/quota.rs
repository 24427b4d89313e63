//! How much the store may hold: what is only kept to save time (checkpoints) is not kept beyond it.

use super::{Store, StoreError};
use crate::model::Size;

impl Store {
    /// The store with a limit to what is kept only to save time; none: no limit.
    #[must_use]
    pub fn limited(mut self, quota: Option<Size>) -> Self {
        self.quota = quota;
        self
    }

    /// The limit to what is kept only to save time: `FORGE_CACHE_QUOTA`.
    #[must_use]
    pub const fn quota(&self) -> Option<Size> {
        self.quota
    }

    /// How many bytes may be added before the store holds more than its quota; none: as many as the disk takes. Asks
    /// every object for its size.
    pub fn room(&self) -> Result<Option<Size>, StoreError> {
        let Some(quota) = self.quota else {
            return Ok(None);
        };
        let held: u64 = self.list()?.iter().map(|object| object.size).sum();
        Ok(Some(Size::from_bytes(quota.bytes().saturating_sub(held))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_what_the_objects_leave_of_the_quota() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!((store.quota(), store.room().unwrap()), (None, None));
        let quota = Size::from_bytes(10);
        let store = store.limited(Some(quota));
        let room = || store.room().unwrap().unwrap().bytes();
        assert_eq!((store.quota(), room()), (Some(quota), 10));
        store.put_bytes(b"1234").unwrap();
        assert_eq!(room(), 6);
        store.put_bytes(b"12345678").unwrap();
        assert_eq!(room(), 0);
    }
}
