//! Packs asked for ahead of their use.

use super::super::DensePass;
use super::super::MemoryTier::{DiskCold, RamWarm, VramHot};
use super::refusals::{manager, read};

#[test]
fn a_load_arrives_while_nobody_waits() {
    let (world, mut manager) = manager(&[DiskCold, RamWarm, VramHot]);
    for pack in 0..3 {
        let load = manager.load_async(pack).unwrap();
        let mut steps = 0;
        while !manager.arrived(&load).unwrap() {
            world.borrow_mut().advance();
            steps += 1;
            assert!(steps < 1000, "pack {pack} never comes");
        }
        let reads = manager.counters().reads;
        read(&world, &mut manager, pack);
        assert_eq!(manager.counters().reads, reads, "pack {pack} was there");
        assert_eq!(reads, pack as u64 + 1);
    }
    let lease = manager.get(2).unwrap();
    manager.release(lease, 0);
}

#[test]
fn what_an_oracle_expects_is_brought() {
    let (world, mut manager) = manager(&[DiskCold; 4]);
    manager.prefetch_related(&DensePass::new(vec![0, 1, 2, 3]), 2, 2).unwrap();
    while world.borrow_mut().advance() {
        manager.pump().unwrap();
    }
    assert_eq!(manager.counters().reads, 2);
    read(&world, &mut manager, 2);
    read(&world, &mut manager, 3);
    assert_eq!(manager.counters().reads, 2);
    read(&world, &mut manager, 0);
    assert_eq!(manager.counters().reads, 3);
}
