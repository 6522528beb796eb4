//! Jobs on several threads, their results in order on one. What is on its way is bounded by tickets.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Threads for jobs that take `bytes_each` of `memory`; `most` is the caller's own bound.
pub(crate) fn threads(memory: u64, bytes_each: u64, most: Option<usize>) -> usize {
    let there = thread::available_parallelism().map_or(1, usize::from);
    let fit = usize::try_from(memory / bytes_each.max(1)).unwrap_or(usize::MAX);
    there.min(fit).min(most.unwrap_or(usize::MAX)).max(1)
}

/// Does jobs 0 to `count` on `threads` threads, each with a `worker` of its own, and hands the results to `done` in order,
/// on this thread. A job takes a ticket, such as a buffer, and `done` gives it back, so that there are never more results
/// than tickets. Ends with the first error, in the order of the jobs.
pub(crate) fn in_order<T: Send, R: Send, E: Send, W: FnMut(usize, T) -> Result<R, E>>(
    count: usize,
    threads: usize,
    tickets: Vec<T>,
    worker: impl Fn() -> W + Sync,
    mut done: impl FnMut(usize, R) -> Result<T, E>,
) -> Result<(), E> {
    let (give_back, free) = channel();
    tickets.into_iter().for_each(|ticket| drop(give_back.send(ticket)));
    let (next, stop, free) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(free));
    let (send, finished) = channel();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (next, stop, free, worker, send) = (&next, &stop, &free, &worker, send.clone());
            scope.spawn(move || {
                let mut work = worker();
                // The ticket comes before the number, so the lowest number on its way has one: nobody waits in a circle.
                while let Some(ticket) = take(free) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| work(number, ticket)));
                    if send.send((number, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut early = BTreeMap::new();
        let mut result = Ok(());
        for number in 0..count {
            let arrived = loop {
                if let Some(arrived) = early.remove(&number) {
                    break arrived;
                }
                // a worker leaves only when told to, or when no number is left
                let Ok((number, arrived)) = finished.recv() else { unreachable!("job {number} is on its way") };
                early.insert(number, arrived);
            };
            // a panic there is a bug: let it be seen as one
            let taken = arrived.unwrap_or_else(|panic| {
                stop.store(true, Ordering::Relaxed);
                resume_unwind(panic)
            });
            match taken.and_then(|value| done(number, value)) {
                Ok(ticket) => drop(give_back.send(ticket)), // the workers may be through
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        drop(give_back); // wakes the workers that wait for a ticket
        result
    })
}

fn take<T>(free: &Mutex<Receiver<T>>) -> Option<T> {
    free.lock().ok()?.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_never_more_than_there_are_tickets() {
        for threads in [1, 3, 8] {
            let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |number: usize, _: ()| {
                most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if number.is_multiple_of(7) {
                    thread::sleep(std::time::Duration::from_millis(2));
                }
                Ok::<_, ()>(number * number)
            };
            let mut seen = Vec::new();
            let done = |number, square| {
                alive.fetch_sub(1, Ordering::SeqCst);
                seen.push((number, square));
                Ok(())
            };
            in_order(100, threads, vec![(); 4], || work, done).unwrap();
            assert!(seen.iter().copied().eq((0..100).map(|n| (n, n * n))));
            assert!(most.load(Ordering::SeqCst) <= 4);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let work = |number, _: ()| if number % 10 == 9 { Err(number) } else { Ok(number) };
        assert_eq!(in_order(1000, 4, vec![(); 6], || work, |_, _| Ok(())), Err(9));
        assert_eq!(in_order(1000, 4, vec![(); 6], || work, |n, _| if n == 5 { Err(5) } else { Ok(()) }), Err(5));
        assert_eq!(in_order(0, 4, vec![(); 6], || work, |_, _| Ok(())), Ok(()));
    }

    #[test]
    #[should_panic(expected = "job 3")]
    fn a_panic_is_passed_on_and_nobody_waits_for_it() {
        let work = |number, _: ()| if number == 3 { panic!("job 3") } else { Ok::<_, ()>(()) };
        let _ = in_order(100, 2, vec![(); 3], || work, |_, ()| Ok(()));
    }
}
