//! Every error by hand, and that the next pass works after it.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::MemoryTier::{self, DiskCold, Hibernating, RamWarm, VramHot};
use super::super::{NomadPackManager, Residence, ResidencyError};
use super::device::{Device, Disk, Judge, World, bytes_of};
use super::driver::Manager;
use crate::memory::{Budget, NODE};

pub(super) type Shared = Rc<RefCell<World>>;

/// Packs of a node each.
fn residence(homes: &[MemoryTier]) -> Residence {
    let (slots, staging) = ((2, NODE), (2, NODE));
    Residence {
        homes: homes.to_vec(),
        slots,
        staging,
        gather: NODE,
        cache: (0, 0),
        warm_cache: (0, 0),
        unified: false,
        verify: true,
    }
}

/// A manager of packs of so many nodes, with budgets of so many.
fn made(nodes: &[u64], residence: Residence, [vram, ram]: [u64; 2]) -> (Shared, Result<Manager, ResidencyError>) {
    let lengths: Vec<u64> = nodes.iter().map(|nodes| nodes * NODE).collect();
    let packs: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(i, &len)| bytes_of(i, len)).collect();
    let world = World::new(0, packs.clone());
    let effects = (Device::new(&world), Disk(Rc::clone(&world)), Box::new(Judge(packs)) as Box<_>);
    let budgets = (Budget::new(vram * NODE), Budget::new(ram * NODE));
    let manager = NomadPackManager::new(lengths, residence, effects, budgets, 1 << 20);
    (world, manager)
}

pub(super) fn manager(homes: &[MemoryTier]) -> (Shared, Manager) {
    let (world, manager) = made(&vec![1; homes.len()], residence(homes), [40, 40]);
    (world, manager.unwrap())
}

/// One pack is leased, read by work and released.
pub(super) fn read(world: &Shared, manager: &mut Manager, pack: usize) {
    let lease = manager.lease(&[pack]).unwrap();
    let value = world.borrow_mut().submit(lease.packs().collect(), lease.after);
    manager.release(lease, value);
    while world.borrow_mut().advance() {}
    manager.pump().unwrap();
}

#[test]
fn packs_that_there_are_not() {
    let (_, mut manager) = manager(&[DiskCold; 3]);
    let none = |error: ResidencyError| matches!(error, ResidencyError::NoSuchPack { pack: 3, packs: 3 });
    assert!(none(manager.lease(&[0, 3]).unwrap_err()) && none(manager.look_up(3).unwrap_err()));
    assert!(none(manager.announce(&[3]).unwrap_err()) && none(manager.tier(3).unwrap_err()));
    assert!(none(manager.unload(3, Hibernating).unwrap_err()) && none(manager.is_pinned(3).unwrap_err()));
}

#[test]
fn budgets_too_small() {
    let of = |vram, ram| made(&[1; 3], residence(&[VramHot, RamWarm, DiskCold]), [vram, ram]).1;
    assert!(of(3, 4).is_ok());
    assert!(matches!(of(2, 4), Err(ResidencyError::Budget(_))));
    assert!(matches!(of(3, 3), Err(ResidencyError::Budget(_))));
}

#[test]
fn ram_that_is_short_and_ram_in_pieces() {
    let (_, manager) = made(&[1, 1, 1, 2], residence(&[RamWarm, RamWarm, RamWarm, VramHot]), [4, 6]);
    let mut manager = manager.unwrap();
    assert!(matches!(manager.unload(3, RamWarm), Err(ResidencyError::Budget(_))));
    manager.unload(0, DiskCold).unwrap();
    manager.unload(2, DiskCold).unwrap();
    assert!(matches!(manager.unload(3, RamWarm), Err(ResidencyError::Room(_))));
    manager.unload(1, DiskCold).unwrap();
    manager.unload(3, RamWarm).unwrap();
}

#[test]
fn a_pack_longer_than_a_slot_comes_no_more_when_it_has_left_vram() {
    let (world, manager) = made(&[1, 2], residence(&[DiskCold, VramHot]), [4, 6]);
    let mut manager = manager.unwrap();
    read(&world, &mut manager, 1);
    assert_eq!(manager.tier(1).unwrap(), VramHot);
    manager.unload(1, DiskCold).unwrap();
    manager.announce(&[1, 0]).unwrap();
    assert!(matches!(manager.lease(&[1]), Err(ResidencyError::NotHot { pack: 1, tier: DiskCold })));
    assert!(matches!(manager.look_up(1), Err(ResidencyError::NotHot { .. })));
    read(&world, &mut manager, 0);
}

#[test]
fn a_pack_that_work_reads_is_not_unloaded_nor_moved_up() {
    let (world, mut manager) = manager(&[VramHot, VramHot]);
    let lease = manager.lease(&[0]).unwrap();
    assert!(matches!(manager.unload(0, DiskCold), Err(ResidencyError::Pinned { pack: 0, pins: 1 })));
    let value = world.borrow_mut().submit(lease.packs().collect(), lease.after);
    manager.release(lease, value);
    while world.borrow_mut().advance() {}
    manager.pump().unwrap();
    assert!(matches!(manager.unload(0, VramHot), Err(ResidencyError::NotColder { .. })));
    manager.unload(0, RamWarm).unwrap();
    assert!(matches!(manager.unload(0, RamWarm), Err(ResidencyError::NotColder { .. })));
    read(&world, &mut manager, 0);
    assert_eq!(manager.tier(0).unwrap(), RamWarm);
}

#[test]
fn what_keeps_its_home_and_what_goes_to_ram_is_not_read_again() {
    let before = [VramHot, VramHot, VramHot, VramHot, RamWarm, RamWarm, DiskCold];
    let after = [VramHot, RamWarm, VramHot, DiskCold, RamWarm, DiskCold, DiskCold];
    let (world, manager) = made(&[1; 7], residence(&before), [6, 5]);
    let mut manager = manager.unwrap();
    (0..7).for_each(|pack| read(&world, &mut manager, pack));
    let budgets = || (Budget::new(4 * NODE), Budget::new(5 * NODE));
    manager.replan(residence(&after), budgets()).unwrap();
    assert!((0..7).all(|pack| manager.tier(pack).unwrap() == after[pack]));
    (0..7).for_each(|pack| read(&world, &mut manager, pack));
    let begun = |pack| world.borrow().begun.iter().filter(|&&read| read == pack).count();
    assert_eq!((0..7).map(begun).collect::<Vec<_>>(), [1, 1, 1, 2, 1, 2, 2]);
    assert_eq!(world.borrow().held()[0], 4 * NODE);
}

#[test]
fn a_plan_is_not_changed_under_a_lease() {
    let (world, mut manager) = manager(&[VramHot, DiskCold]);
    let lease = manager.lease(&[0]).unwrap();
    let budgets = || (Budget::new(40 * NODE), Budget::new(40 * NODE));
    let next = || residence(&[DiskCold, DiskCold]);
    assert!(matches!(manager.replan(next(), budgets()), Err(ResidencyError::Pinned { pack: 0, pins: 1 })));
    let value = world.borrow_mut().submit(lease.packs().collect(), lease.after);
    manager.release(lease, value);
    // it waits for work that was submitted
    manager.replan(next(), budgets()).unwrap();
    read(&world, &mut manager, 0);
    let small = manager.replan(residence(&[VramHot, VramHot]), (Budget::new(3 * NODE), Budget::new(40 * NODE)));
    assert!(matches!(small, Err(ResidencyError::Budget(_))));
}

#[test]
fn more_packs_at_once_than_slots() {
    let (world, mut manager) = manager(&[DiskCold; 3]);
    assert!(matches!(manager.lease(&[0, 1, 2]), Err(ResidencyError::NoSlot { pack: 2, slots: 2 })));
    assert!((0..3).all(|pack| !manager.is_pinned(pack).unwrap()));
    (0..3).for_each(|pack| read(&world, &mut manager, pack));
}

#[test]
fn packs_that_are_not_on_this_machine() {
    let (world, mut manager) = manager(&[DiskCold, DiskCold]);
    manager.unload(0, Hibernating).unwrap();
    manager.announce(&[0, 1]).unwrap();
    assert!(matches!(manager.lease(&[0]), Err(ResidencyError::Hibernating { pack: 0 })));
    assert!(matches!(manager.look_up(0), Err(ResidencyError::Hibernating { pack: 0 })));
    read(&world, &mut manager, 1);
    assert_eq!(world.borrow().begun, [1]);
}

#[test]
fn a_wait_that_is_cancelled() {
    let (world, mut manager) = manager(&[DiskCold; 40]);
    manager.cancel_on(Box::new(|| true));
    // a pack that is quick needs no wait
    let outcomes = (0..40).map(|pack| manager.lease(&[pack]).map(|lease| manager.release(lease, 0)));
    let errors: Vec<_> = outcomes.filter_map(Result::err).collect();
    assert!(!errors.is_empty() && errors.iter().all(|error| matches!(error, ResidencyError::Cancelled)));
    manager.forget();
    manager.cancel_on(Box::new(|| false));
    read(&world, &mut manager, 0);
}

#[test]
fn a_disk_and_a_device_that_fail() {
    for (kind, homes) in [(0, RamWarm), (1, RamWarm), (2, RamWarm), (0, DiskCold), (1, DiskCold), (2, VramHot)] {
        let (world, mut manager) = manager(&[homes, DiskCold]);
        world.borrow_mut().failing[kind] = 1000;
        for _ in 0..3 {
            // the announcement may fail already, and is not followed by `forget`
            match manager.announce(&[0, 0, 0]).and_then(|()| manager.lease(&[0])) {
                Err(ResidencyError::Source { pack: 0, .. }) => assert_eq!(kind, 0),
                Err(ResidencyError::Store { .. }) => assert_ne!(kind, 0),
                other => panic!("{other:?}"),
            }
        }
        world.borrow_mut().failing = [0; 3];
        manager.forget();
        read(&world, &mut manager, 0);
    }
}

#[test]
fn right_announcements_read_and_copy_nothing_twice() {
    let homes = [VramHot, RamWarm, DiskCold, RamWarm, DiskCold, DiskCold];
    let (world, mut manager) = manager(&homes);
    let uses: Vec<usize> = (0..6).collect();
    let mut before = manager.counters();
    for pass in 0..5 {
        manager.announce(&uses.repeat(2)).unwrap();
        uses.iter().for_each(|&pack| read(&world, &mut manager, pack));
        let since = manager.counters().since(&before);
        assert_eq!((since.uses, since.used_bytes), (6, [NODE, 2 * NODE, 3 * NODE]));
        before = manager.counters();
        let begun = |pack| world.borrow().begun.iter().filter(|&&read| read == pack).count();
        assert!([0, 1, 3].into_iter().all(|pack| begun(pack) == 1));
        // as many as were used, and those that are ahead
        assert!((pass + 1..=pass + 2).contains(&begun(2)) && (pass + 1..=pass + 2).contains(&begun(5)));
    }
}
