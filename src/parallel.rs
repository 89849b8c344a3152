//! The only file that starts threads.
//!
//! Work is a fixed list of pieces, cut without regard to the number of threads; results come
//! back in the list's order. So the outcome is the same for any number of threads.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Hears how many bytes have been dealt with, from any thread.
pub trait Progress: Sync {
    /// `bytes` more are done.
    fn add(&self, bytes: u64);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn add(&self, _bytes: u64) {}
}

/// How many threads to use: `wanted`, or one a processor that this process may use.
pub fn thread_count(wanted: Option<usize>) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    wanted.unwrap_or_else(available).clamp(1, 1024)
}

/// Does pieces `0 .. count` on `threads` threads and returns their results in order.
///
/// Pieces are handed out in ascending order. `state` makes what one thread keeps between
/// pieces, such as buffers. If pieces fail, the error of the first in order is returned.
pub fn map<S, R: Send>(
    threads: usize,
    count: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let threads = threads.min(count).max(1);
    if threads == 1 {
        let mut state = state();
        return (0..count).map(|piece| work(&mut state, piece)).collect();
    }
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::limit(format!("{threads} threads cannot be started: {e}")))?;
    let done: Vec<Vec<(usize, R)>> = pool.broadcast(|_| {
        let mut state = state();
        let mut results = Vec::new();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                return results;
            }
            match work(&mut state, piece) {
                Ok(result) => results.push((piece, result)),
                Err(error) => {
                    next.store(count, Ordering::Relaxed);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    if failed.as_ref().is_none_or(|(first, _)| piece < *first) {
                        *failed = Some((piece, error));
                    }
                    return results;
                }
            }
        }
    });
    if let Some((_, error)) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut results: Vec<(usize, R)> = done.into_iter().flatten().collect();
    results.sort_unstable_by_key(|(piece, _)| *piece);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        let expected: Vec<usize> = (0..1000).map(|i| i * i).collect();
        for threads in [1, 2, 7] {
            let found = map(threads, 1000, || (), |(), i| Ok(i * i)).unwrap();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_first_failure_in_order_is_the_one_reported() {
        for threads in [1, 2, 7] {
            let work = |(): &mut (), i: usize| match i {
                300.. => Err(Error::usage(format!("piece {i}"))),
                _ => Ok(()),
            };
            let error = map(threads, 1000, || (), work).unwrap_err();
            assert_eq!(error.message(), "piece 300");
        }
    }
}
