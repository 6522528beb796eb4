//! What the scheduler promises, rule by rule.

use super::super::MemoryTier::{self, DiskCold, RamWarm, VramHot};
use super::super::{Action, Blocked, PackScheduler, Passed, Spot};

const DONE: Passed = Passed { compute: 0, copies: 0 };

fn scheduler(homes: &[MemoryTier], slots: usize, staging: usize) -> PackScheduler {
    PackScheduler::new(homes.to_vec(), slots, staging, false)
}

/// Everything that can be done now, as (is it a copy, pack, where to); copies are submitted, as numbers 1, 2, ...
fn all(scheduler: &mut PackScheduler, passed: Passed, copies: &mut u64) -> Vec<(bool, usize, Spot)> {
    let mut done = Vec::new();
    while let Some(action) = scheduler.next(passed) {
        match action {
            Action::Read { pack, into, .. } => done.push((false, pack, into)),
            Action::Copy { id, pack, to, .. } => {
                *copies += 1;
                scheduler.copied(id, *copies);
                done.push((true, pack, to));
            }
        }
    }
    done
}

/// Begins the next read, which must be of this pack.
fn begin(scheduler: &mut PackScheduler, expected: usize) -> (u64, Spot, bool) {
    match scheduler.next(DONE) {
        Some(Action::Read { id, pack, into, urgent }) if pack == expected => (id, into, urgent),
        other => panic!("{other:?} instead of a read of pack {expected}"),
    }
}

/// Brings a pack from disk into a slot.
fn bring(scheduler: &mut PackScheduler, pack: usize, value: u64) {
    let (id, ..) = begin(scheduler, pack);
    scheduler.read(id);
    match scheduler.next(DONE) {
        Some(Action::Copy { id, pack: copied, .. }) if copied == pack => scheduler.copied(id, value),
        other => panic!("{other:?} instead of a copy of pack {pack}"),
    }
}

#[test]
fn reads_begin_and_copies_are_made_in_the_order_of_use() {
    let mut s = scheduler(&[DiskCold; 3], 2, 2);
    assert!(s.announce([2, 0, 1]));
    let (first, into, urgent) = begin(&mut s, 2);
    assert_eq!((into, urgent), (Spot::Staging(0), false));
    let (second, ..) = begin(&mut s, 0);
    assert_eq!(s.next(DONE), None);
    assert_eq!(s.blocked(DONE), Blocked::Read);
    s.read(second);
    // the later one is there first, and waits
    assert_eq!(s.next(DONE), None);
    s.read(first);
    let mut copies = 0;
    assert_eq!(all(&mut s, DONE, &mut copies), [(true, 2, Spot::Slot(0)), (true, 0, Spot::Slot(1))]);
    // staging is free when its copy is over
    assert_eq!(s.blocked(DONE), Blocked::Copies(1));
    let passed = Passed { compute: 0, copies: 1 };
    assert_eq!(all(&mut s, passed, &mut copies), [(false, 1, Spot::Staging(0))]);
    assert_eq!((s.arrival(2), s.arrival(1)), (Some((Spot::Slot(0), 1)), None));
}

#[test]
fn a_copy_into_a_slot_waits_for_the_work_that_reads_it() {
    let mut s = scheduler(&[RamWarm; 2], 1, 1);
    s.place(0, 0);
    s.place(1, 0);
    assert!(s.announce([0, 1]));
    let Some(Action::Copy { id, from: Spot::Home, after: 0, .. }) = s.next(DONE) else { panic!("no copy") };
    s.copied(id, 1);
    s.lease(0);
    assert_eq!((s.next(DONE), s.blocked(DONE)), (None, Blocked::Lease));
    s.used(0, 7);
    let Some(Action::Copy { id, pack: 1, after: 7, .. }) = s.next(DONE) else { panic!("no copy behind the work") };
    // the copy was never submitted, so the next one must wait too
    s.failed(id);
    s.demand(0);
    assert!(matches!(s.next(DONE), Some(Action::Copy { pack: 0, after: 7, .. })));
}

#[test]
fn a_slot_that_two_leases_hold_is_kept_until_both_end() {
    let mut s = scheduler(&[DiskCold; 2], 1, 1);
    assert!(s.announce([0]));
    bring(&mut s, 0, 1);
    s.lease(0);
    s.lease(0);
    s.used(0, 9);
    assert!(s.arrival(0).is_some());
    s.forget();
    assert!(s.arrival(0).is_some(), "what is leased is not forgotten");
    s.used(0, 3);
    assert_eq!(s.arrival(0), None);
    s.demand(1);
    let (id, ..) = begin_at(&mut s, Passed { compute: 0, copies: 1 });
    s.read(id);
    assert!(matches!(s.next(DONE), Some(Action::Copy { pack: 1, after: 9, .. })));
}

fn begin_at(scheduler: &mut PackScheduler, passed: Passed) -> (u64, usize) {
    match scheduler.next(passed) {
        Some(Action::Read { id, pack, .. }) => (id, pack),
        other => panic!("{other:?} instead of a read"),
    }
}

#[test]
fn what_somebody_waits_for_takes_the_last_slot_that_no_lease_holds() {
    let mut s = scheduler(&[DiskCold; 4], 3, 4);
    assert!(s.announce([0, 1, 2]));
    for pack in 0..3 {
        bring(&mut s, pack, pack as u64 + 1);
    }
    s.lease(2);
    s.demand(3);
    let (id, _, urgent) = begin(&mut s, 3);
    assert!(urgent);
    s.read(id);
    assert!(matches!(s.next(DONE), Some(Action::Copy { pack: 3, to: Spot::Slot(1), .. })));
    assert!(s.arrival(0).is_some() && s.arrival(1).is_none() && s.arrival(2).is_some());
}

#[test]
fn what_somebody_waits_for_takes_staging_from_what_was_read_for_later() {
    let mut s = scheduler(&[DiskCold; 4], 1, 2);
    assert!(s.announce([0, 1, 2]));
    bring(&mut s, 0, 1);
    let passed = Passed { compute: 0, copies: 1 };
    let reads: Vec<u64> = (0..2).map(|_| begin_at(&mut s, passed).0).collect();
    reads.into_iter().for_each(|id| s.read(id));
    s.lease(0);
    assert_eq!(s.next(passed), None);
    s.demand(3);
    // pack 2 was read last, and is read again
    let (id, pack) = begin_at(&mut s, passed);
    assert_eq!(pack, 3);
    s.read(id);
    s.used(0, 1);
    let mut copies = 1;
    assert_eq!(all(&mut s, passed, &mut copies), [(true, 3, Spot::Slot(0))]);
}

#[test]
fn a_pack_demanded_out_of_order_goes_first() {
    let mut s = scheduler(&[DiskCold; 4], 1, 1);
    assert!(s.announce([0, 1, 2, 3]));
    s.demand(3);
    bring(&mut s, 3, 1);
    assert!(s.arrival(3).is_some());
}

#[test]
fn what_agrees_with_the_last_announcement_is_kept() {
    let mut s = scheduler(&[DiskCold; 4], 4, 4);
    assert!(s.announce([0, 1, 2]));
    for pack in 0..3 {
        bring(&mut s, pack, pack as u64 + 1);
    }
    assert!(s.announce([0, 1, 3, 2]));
    assert!(s.arrival(0).is_some() && s.arrival(1).is_some() && s.arrival(2).is_none());
    begin(&mut s, 3);
    // what is not wanted any more is not dropped while it is being read
    assert!(!s.announce([0, 1]));
}

#[test]
fn a_warm_pack_is_read_once_and_a_later_use_reads_it_if_that_fails() {
    let mut s = scheduler(&[RamWarm], 3, 1);
    assert!(s.announce([0, 0, 0]));
    let (id, into, _) = begin(&mut s, 0);
    assert_eq!((into, s.next(DONE)), (Spot::Home, None));
    s.failed(id);
    let (id, ..) = begin(&mut s, 0);
    s.read(id);
    let mut copies = 0;
    assert_eq!(all(&mut s, DONE, &mut copies), [(true, 0, Spot::Slot(0)), (true, 0, Spot::Slot(1))]);
}

#[test]
fn a_pack_that_a_lookup_brought_is_not_read_again() {
    let mut s = scheduler(&[RamWarm; 2], 2, 1);
    assert!(s.announce([0, 1]));
    let (id, ..) = begin(&mut s, 0);
    s.place(1, 0);
    assert_eq!(s.next(DONE), None);
    s.read(id);
    assert_eq!(all(&mut s, DONE, &mut 0), [(true, 0, Spot::Slot(0)), (true, 1, Spot::Slot(1))]);
}

#[test]
fn a_pack_with_a_place_in_vram_needs_no_slot_and_comes_once() {
    let mut s = scheduler(&[VramHot, DiskCold], 1, 2);
    assert!(s.announce([1, 0, 1, 0]));
    bring(&mut s, 1, 1);
    let (id, ..) = begin(&mut s, 0);
    s.read(id);
    assert_eq!(all(&mut s, DONE, &mut 1), [(true, 0, Spot::Home)]);
    assert_eq!(s.arrival(0), Some((Spot::Home, 2)));
    assert!(s.announce([0, 0]));
    assert_eq!(s.next(Passed { compute: 0, copies: 2 }), None);
}

#[test]
fn unified_memory_is_read_into_directly() {
    let mut s = PackScheduler::new(vec![VramHot, DiskCold, DiskCold], 1, 0, true);
    assert!(s.announce([0, 1, 2]));
    let (home, into, _) = begin(&mut s, 0);
    assert_eq!(into, Spot::Home);
    let (slot, into, _) = begin(&mut s, 1);
    assert_eq!(into, Spot::Slot(0));
    s.read(home);
    s.read(slot);
    assert_eq!((s.arrival(0), s.arrival(1)), (Some((Spot::Home, 0)), Some((Spot::Slot(0), 0))));
    s.lease(1);
    s.used(1, 5);
    // a read waits for the work itself: there is no timeline to put it behind
    assert_eq!((s.next(DONE), s.blocked(DONE)), (None, Blocked::Compute(5)));
    assert!(matches!(
        s.next(Passed { compute: 5, copies: 0 }),
        Some(Action::Read { pack: 2, into: Spot::Slot(0), .. })
    ));
}
