//! The manager on a device that is played: seeded passes by the million, and each rule by hand.

mod ahead;
mod device;
mod driver;
mod model;
mod refusals;
mod rules;

use driver::Simulation;

/// Lives that a test run plays, and passes of each.
const SEEDS: u64 = if cfg!(debug_assertions) { 500 } else { 12_000 };
const PASSES: usize = 12;

#[test]
fn passes_by_the_million_read_what_they_should() {
    let replay = std::env::var("SYMBIOTE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = replay.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let (mut steps, mut events, mut squeezed) = (0, 0, 0);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            simulation.play(PASSES);
            let events = simulation.world.borrow().events;
            (simulation.steps, events, simulation.squeezed)
        });
        let Ok(run) = run else { panic!("SYMBIOTE_SEED={seed} plays what failed; its own message is above") };
        steps += run.0;
        events += run.1;
        squeezed += run.2;
    }
    println!("{steps} steps, {events} events of the device and the disk, {squeezed} times blocks given back");
    assert!(replay.is_some() || squeezed > SEEDS / 4);
}
