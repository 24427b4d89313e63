//! Work on a disk's blocks by several threads, handed out in order, with a bound on what is in flight.
//!
//! A worker needs a buffer before it may take a batch, and buffers come back only when their batch has been consumed. The
//! oldest batch always has one, so memory is bounded and nothing can block for ever.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use super::source::{BlockSource, is_zero};
use crate::sys::Cancel;

/// The unit of all work: a VMDK grain, also qcow2's usual cluster.
pub(super) const BLOCK: u64 = 64 << 10;

/// Blocks in a batch: enough to make hand-over cheap, few enough to keep all workers busy at the end.
const BATCH: u64 = 32;

/// Bytes in flight, all threads together: what is not done yet, and what waits for its turn.
const IN_FLIGHT: u64 = 32 << 20;

/// Blocks of the source that may hold data: numbers, not bytes.
pub(super) type Blocks = Range<u64>;

/// What a worker makes of a batch, in a buffer that is used again.
pub(super) trait Worker<B>: Send {
    /// Fills `buffer` (which holds something older) with the result for `blocks`.
    fn work(&mut self, blocks: Blocks, buffer: &mut B) -> io::Result<()>;
}

/// How a run ended early.
#[derive(Debug)]
pub(super) enum Stop<E> {
    /// A worker could not read or work.
    Source(io::Error),
    /// The consumer failed.
    Sink(E),
    /// Somebody asked to stop.
    Cancelled,
}

impl Stop<io::Error> {
    /// The end as the error of a format.
    pub(super) fn of<T>(
        self,
        read: impl FnOnce(io::Error) -> T,
        write: impl FnOnce(io::Error) -> T,
        cancelled: T,
    ) -> T {
        match self {
            Self::Source(error) => read(error),
            Self::Sink(error) => write(error),
            Self::Cancelled => cancelled,
        }
    }
}

struct Hand<'a, B> {
    source: &'a dyn BlockSource,
    buffers: Receiver<B>,
    batch: u64,
    index: u64,
    next: u64,
    end: u64,
}

struct Done<B> {
    index: u64,
    blocks: Blocks,
    buffer: B,
}

/// Buffers that are filled or wait, for so many workers.
const fn buffers(workers: usize) -> usize {
    workers * 2 + 1
}

/// Blocks in a batch for so many workers: fewer for many, so that memory stays bounded.
fn batch(workers: usize) -> u64 {
    // A worker may have its input beside the buffer.
    let held = (buffers(workers) + workers) as u64 * BLOCK;
    (IN_FLIGHT / held).clamp(1, BATCH)
}

/// How many threads to use when nobody says.
pub(super) fn default_threads() -> NonZero<usize> {
    thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Runs `workers` over all data of `source`; `consume` gets the results in ascending order, on this thread.
pub(super) fn run<B, W, E>(
    source: &dyn BlockSource,
    workers: Vec<W>,
    cancel: &Cancel,
    consume: &mut dyn FnMut(Blocks, &mut B) -> Result<(), E>,
) -> Result<(), Stop<E>>
where
    B: Default + Send,
    W: Worker<B>,
{
    let in_flight = buffers(workers.len());
    let (give_back, free) = channel();
    for _ in 0..in_flight {
        let _ = give_back.send(B::default());
    }
    let hand = Mutex::new(Hand {
        source,
        buffers: free,
        batch: batch(workers.len()),
        index: 0,
        next: 0,
        end: 0,
    });
    thread::scope(|scope| {
        let (results, incoming) = sync_channel(in_flight);
        for mut worker in workers {
            let (hand, results) = (&hand, results.clone());
            scope.spawn(move || {
                while let Some(taken) = take(hand, cancel) {
                    let result = taken.and_then(|mut done| {
                        worker.work(done.blocks.clone(), &mut done.buffer)?;
                        Ok(done)
                    });
                    let failed = result.is_err();
                    if results.send(result).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(results);
        let outcome = deliver(&incoming, &give_back, cancel, consume);
        // Closing both ends sends home the workers that still wait.
        drop((incoming, give_back));
        outcome
    })
}

fn take<B>(hand: &Mutex<Hand<'_, B>>, cancel: &Cancel) -> Option<io::Result<Done<B>>> {
    let mut hand = hand.lock().ok()?;
    let buffer = hand.buffers.recv().ok()?;
    if cancel.is_cancelled() {
        return None;
    }
    match hand.next_blocks() {
        Ok(None) => None,
        Ok(Some(blocks)) => {
            let index = hand.index;
            hand.index += 1;
            Some(Ok(Done {
                index,
                blocks,
                buffer,
            }))
        }
        Err(e) => Some(Err(e)),
    }
}

impl<B> Hand<'_, B> {
    fn next_blocks(&mut self) -> io::Result<Option<Blocks>> {
        if self.next >= self.end {
            let Some(from) = self.next.checked_mul(BLOCK) else {
                return Ok(None);
            };
            let Some(data) = self.source.next_data(from)? else {
                return Ok(None);
            };
            self.next = self.next.max(data.start / BLOCK);
            self.end = data.end.div_ceil(BLOCK);
            if self.next >= self.end {
                return Ok(None);
            }
        }
        let first = self.next;
        self.next = self.end.min(first + self.batch);
        Ok(Some(first..self.next))
    }
}

fn deliver<B, E>(
    incoming: &Receiver<io::Result<Done<B>>>,
    give_back: &Sender<B>,
    cancel: &Cancel,
    consume: &mut dyn FnMut(Blocks, &mut B) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for result in incoming {
        let done = result.map_err(Stop::Source)?;
        early.insert(done.index, done);
        while let Some(mut done) = early.remove(&next) {
            if cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            consume(done.blocks, &mut done.buffer).map_err(Stop::Sink)?;
            next += 1;
            let _ = give_back.send(done.buffer);
        }
    }
    if cancel.is_cancelled() {
        return Err(Stop::Cancelled);
    }
    Ok(())
}

/// Reads blocks as they are; the disk's end may cut the last one short.
pub(super) struct Loader<'a> {
    pub(super) source: &'a dyn BlockSource,
}

impl Worker<Vec<u8>> for Loader<'_> {
    fn work(&mut self, blocks: Blocks, data: &mut Vec<u8>) -> io::Result<()> {
        let start = blocks.start * BLOCK;
        let len = (blocks.end * BLOCK).min(self.source.size()) - start;
        data.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        self.source.read_at(data, start)
    }
}

impl<'a> Loader<'a> {
    /// As many as there are CPUs.
    pub(super) fn all(source: &'a dyn BlockSource) -> Vec<Self> {
        let one = |_| Self { source };
        (0..default_threads().get()).map(one).collect()
    }
}

/// The blocks of a batch that are not zeros.
#[derive(Default)]
pub(super) struct Kept {
    /// Which they are, in ascending order.
    pub(super) blocks: Vec<u64>,
    data: Vec<u8>,
}

impl Kept {
    /// Their bytes, one after the other; the disk's last block is filled up with zeros.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[..self.blocks.len() * BLOCK as usize]
    }
}

/// Reads blocks one by one and keeps those that are not zeros: each is looked at while the processor has it at hand, and lies
/// where it is written from.
pub(super) struct Keeper<'a> {
    source: &'a dyn BlockSource,
}

impl<'a> Keeper<'a> {
    /// As many as there are CPUs.
    pub(super) fn all(source: &'a dyn BlockSource) -> Vec<Self> {
        let one = |_| Self { source };
        (0..default_threads().get()).map(one).collect()
    }
}

impl Worker<Kept> for Keeper<'_> {
    fn work(&mut self, blocks: Blocks, kept: &mut Kept) -> io::Result<()> {
        const SIZE: usize = BLOCK as usize;
        kept.blocks.clear();
        let count = usize::try_from(blocks.end - blocks.start).map_err(io::Error::other)?;
        kept.data.resize(kept.data.len().max(count * SIZE), 0);
        for block in blocks {
            let start = kept.blocks.len() * SIZE;
            let place = &mut kept.data[start..start + SIZE];
            // What lies beyond its end is zeros.
            self.source.read_at(place, block * BLOCK)?;
            if !is_zero(place) {
                kept.blocks.push(block);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_stays_bounded_whatever_the_threads() {
        for workers in [1, 2, 8, 24, 64, 128] {
            let held = (buffers(workers) + workers) as u64 * batch(workers) * BLOCK;
            assert!(held <= IN_FLIGHT, "{workers} workers hold {held} bytes");
        }
        assert_eq!((batch(2), batch(1000)), (BATCH, 1));
    }

    struct Fake;
    impl BlockSource for Fake {
        fn size(&self) -> u64 {
            1000 * BLOCK
        }
        fn next_data(&self, from: u64) -> io::Result<Option<Range<u64>>> {
            let block = from / BLOCK;
            Ok(match block {
                0..100 => Some(from..100 * BLOCK - 5),
                100..500 => Some(500 * BLOCK + 7..501 * BLOCK + 1),
                _ => None,
            })
        }
        fn read_at(&self, _: &mut [u8], offset: u64) -> io::Result<()> {
            if offset == 64 * BLOCK {
                return Err(io::Error::other("bad sector"));
            }
            Ok(())
        }
    }

    struct Number;
    impl Worker<u64> for Number {
        fn work(&mut self, blocks: Blocks, buffer: &mut u64) -> io::Result<()> {
            *buffer = blocks.start;
            Ok(())
        }
    }

    struct Reads;
    impl Worker<u64> for Reads {
        fn work(&mut self, blocks: Blocks, _: &mut u64) -> io::Result<()> {
            Fake.read_at(&mut [], blocks.start * BLOCK)
        }
    }

    #[test]
    fn results_come_in_order_and_cover_the_data() {
        let mut seen = Vec::new();
        run::<u64, _, ()>(
            &Fake,
            vec![Number, Number, Number],
            &Cancel::new(),
            &mut |blocks, first| {
                assert_eq!(blocks.start, *first);
                seen.extend(blocks);
                Ok(())
            },
        )
        .unwrap();
        let expected: Vec<u64> = (0..100).chain(500..502).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_error_on_either_side_and_a_cancel_end_the_run() {
        let cancel = Cancel::new();
        let failed = run(&Fake, vec![Reads, Reads], &cancel, &mut |_, _| {
            Ok::<_, ()>(())
        });
        assert!(matches!(failed, Err(Stop::Source(e)) if e.to_string() == "bad sector"));
        let failed = run(&Fake, vec![Number, Number], &cancel, &mut |_, _| {
            Err("full")
        });
        assert!(matches!(failed, Err(Stop::Sink("full"))));
        cancel.cancel(crate::sys::CancelKind::Graceful);
        let stopped = run(&Fake, vec![Number], &cancel, &mut |_, _| Ok::<_, ()>(()));
        assert!(matches!(stopped, Err(Stop::Cancelled)));
    }
}
