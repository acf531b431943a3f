//! Limits the bytes of response bodies that the process holds at once.
//!
//! Each body has a cap, but 64 concurrent pages of 8 MiB from each of several hosts would exceed the function's memory.
//! So all bodies share one pool. A body that gets no bytes from the pool waits for the reserve, which is as large as
//! the largest cap. The body that holds the reserve can always be read to its end, so at least one body makes progress.
//! The bytes return to the pool when the last copy of the body is dropped. A client therefore drops a large body before
//! it requests the next one.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Size of the pool in bytes: a quarter of the smallest memory of a deployed function (128 MB).
pub(super) const POOL: usize = 32 << 20;

/// Bytes that each body may hold outside the pool. Most responses are smaller and never wait.
const FREE: usize = 16 << 10;

/// The pool and the reserve.
pub(super) struct Budget {
    left: Arc<Mutex<usize>>,
    reserve: Arc<Semaphore>,
}

/// The bytes that one body took from the pool, and the reserve if the body holds it.
struct Share {
    left: Arc<Mutex<usize>>,
    taken: usize,
    reserve: Option<OwnedSemaphorePermit>,
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) += self.taken;
    }
}

impl Budget {
    /// Creates a pool of `pool` bytes, and the reserve.
    pub(super) fn new(pool: usize) -> Self {
        Self { left: Arc::new(Mutex::new(pool)), reserve: Arc::new(Semaphore::new(1)) }
    }

    /// Starts a body of at most `limit` bytes.
    pub(super) fn body(&self, limit: usize) -> Body<'_> {
        let share = Share { left: Arc::clone(&self.left), taken: 0, reserve: None };
        Body { budget: self, share, bytes: Vec::new(), limit }
    }

    #[cfg(test)]
    fn left(&self) -> usize {
        *self.left.lock().unwrap()
    }
}

/// A body that is being read.
pub(super) struct Body<'a> {
    budget: &'a Budget,
    share: Share,
    bytes: Vec<u8>,
    limit: usize,
}

/// The error of a body that exceeds its cap.
#[derive(Debug)]
pub(super) struct TooLarge;

impl Body<'_> {
    /// Reserves bytes for a body of known length.
    pub(super) async fn expect(&mut self, length: u64) -> Result<(), TooLarge> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.limit).ok_or(TooLarge)?;
        self.grow(length).await;
        Ok(())
    }

    /// Appends a chunk. Waits until the pool or the reserve has enough bytes.
    pub(super) async fn push(&mut self, chunk: &[u8]) -> Result<(), TooLarge> {
        let length = self.bytes.len() + chunk.len();
        if length > self.limit {
            return Err(TooLarge);
        }
        if length > self.bytes.capacity() {
            // doubles the capacity, so that a long body is not copied for each chunk
            self.grow(length.max(self.bytes.capacity() * 2).min(self.limit)).await;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    async fn grow(&mut self, capacity: usize) {
        let needed = capacity.saturating_sub(FREE).saturating_sub(self.share.taken);
        if needed > 0 && self.share.reserve.is_none() && !self.take(needed) {
            // nothing closes the semaphore, so this never fails
            self.share.reserve = Arc::clone(&self.budget.reserve).acquire_owned().await.ok();
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
    }

    fn take(&mut self, bytes: usize) -> bool {
        let mut left = self.share.left.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *left >= bytes;
        if enough {
            *left -= bytes;
            self.share.taken += bytes;
        }
        enough
    }

    /// Returns the whole body. Its bytes return to the pool with its last copy.
    pub(super) fn finish(self) -> Bytes {
        struct Held {
            bytes: Vec<u8>,
            _share: Share,
        }
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        if self.share.taken == 0 && self.share.reserve.is_none() {
            return self.bytes.into();
        }
        Bytes::from_owner(Held { bytes: self.bytes, _share: self.share })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_small_body_takes_nothing() {
        let budget = Budget::new(0);
        let mut body = budget.body(MIB);
        body.push(b"ab").now_or_never().unwrap().unwrap();
        body.push(b"c").now_or_never().unwrap().unwrap();
        assert_eq!(&body.finish()[..], b"abc");
    }

    #[test]
    fn bytes_go_back_with_the_last_copy() {
        let budget = Budget::new(4 * MIB);
        let mut body = budget.body(2 * MIB);
        body.expect(MIB as u64).now_or_never().unwrap().unwrap();
        assert_eq!(budget.left(), 3 * MIB + FREE);
        body.push(&vec![7; MIB]).now_or_never().unwrap().unwrap();
        let whole = body.finish();
        let part = whole.slice(10..20);
        drop(whole);
        assert_eq!(budget.left(), 3 * MIB + FREE);
        drop(part);
        assert_eq!(budget.left(), 4 * MIB);
        let mut given_up = budget.body(2 * MIB);
        given_up.push(&vec![7; MIB]).now_or_never().unwrap().unwrap();
        drop(given_up);
        assert_eq!(budget.left(), 4 * MIB);
    }

    #[test]
    fn a_body_over_its_cap_is_refused_before_it_takes_anything() {
        let budget = Budget::new(4 * MIB);
        let mut body = budget.body(MIB);
        assert!(body.expect(MIB as u64 + 1).now_or_never().unwrap().is_err());
        assert!(body.push(&vec![7; MIB + 1]).now_or_never().unwrap().is_err());
        assert_eq!(budget.left(), 4 * MIB);
        assert!(body.push(&vec![7; MIB]).now_or_never().unwrap().is_ok(), "the cap itself is allowed");
    }

    /// Each reader holds a part and wants more: without the reserve they would deadlock.
    #[tokio::test]
    async fn readers_that_each_hold_a_part_all_come_to_their_end() {
        let budget = Arc::new(Budget::new(4 * MIB));
        let most = Arc::new(Mutex::new((0, 0)));
        let readers = (0..16).map(|_| {
            let (budget, most) = (Arc::clone(&budget), Arc::clone(&most));
            tokio::spawn(async move {
                let mut body = budget.body(2 * MIB);
                let mut mine = 0;
                for _ in 0..32 {
                    body.push(&vec![7; 2 * MIB / 32]).await.unwrap();
                    {
                        let mut most = most.lock().unwrap();
                        most.0 += body.bytes.capacity() - mine;
                        mine = body.bytes.capacity();
                        most.1 = most.1.max(most.0);
                    }
                    tokio::task::yield_now().await;
                }
                let body = body.finish();
                assert_eq!(body.len(), 2 * MIB);
                most.lock().unwrap().0 -= mine;
            })
        });
        for reader in readers.collect::<Vec<_>>() {
            reader.await.unwrap();
        }
        let most = most.lock().unwrap().1;
        assert!(most <= 4 * MIB + 2 * MIB + 16 * (FREE + 2 * MIB / 32), "{most}");
        assert_eq!(budget.left(), 4 * MIB);
    }
}
