//! What caches of experts must and must not hit, on made-up routes and on excerpts of real ones. Counted after the first token;
//! caches begin empty, and no policy but Belady hears of a token before it comes.

use super::{Belady, Replay, Replayed, Trace};
use crate::residency::experts::{AgeFrequency, ExpertPolicy, ExpertShape, Lfu, OracleKind, Pin, WarmStart, policy};

fn play(trace: &Trace, slots: usize, transfers: usize, mut policy: Box<dyn ExpertPolicy>) -> Replayed {
    Replay { slots, warm_up: 1, transfers }.run(trace, policy.as_mut())
}

fn hits(trace: &Trace, slots: usize, kind: OracleKind) -> f64 {
    play(trace, slots, 0, policy(kind, trace.shape, slots, &WarmStart::default())).hit_rate()
}

fn belady(trace: &Trace, slots: usize) -> f64 {
    play(trace, slots, 0, Box::new(Belady::new(trace))).hit_rate()
}

fn excerpt(name: &str) -> Trace {
    let file = format!("{}/../tests/fixtures/routes/{name}.moetrc", env!("CARGO_MANIFEST_DIR"));
    Trace::parse(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn of_a_dense_model_what_fits_is_hit_and_lru_hits_nothing() {
    let trace = Trace::dense(12, 8, 24).unwrap();
    let all = trace.shape.count();
    for slots in [1, 8, 20, 48, 77, 95] {
        #[allow(clippy::cast_precision_loss)]
        let (bound, slot) = (slots as f64 / all as f64, 1.0 / all as f64);
        let found = hits(&trace, slots, OracleKind::NextUse);
        assert!(found >= bound - slot && found <= bound + 1e-9, "{slots} of {all}: {found}");
        assert!(belady(&trace, slots) >= found - 1e-9);
        // a layer's experts are chosen together and looked up together, so that the last layers' may still be there
        let lru = hits(&trace, slots, OracleKind::Lru);
        assert!(lru == 0.0 || slots > all - trace.shape.experts, "{slots} of {all}: {lru}");
    }
}

#[test]
fn of_routes_drawn_at_random_nobody_hits_more_than_the_share_that_fits() {
    let shape = ExpertShape { layers: 6, experts: 32, used: 4 };
    let trace = Trace::independent(shape, 2500).unwrap();
    for slots in [12, 24, 48, 96, 160] {
        #[allow(clippy::cast_precision_loss)]
        let most = slots as f64 / shape.count() as f64 + 0.01;
        for kind in [OracleKind::NextUse, OracleKind::Classic, OracleKind::Lru, OracleKind::Off] {
            let found = hits(&trace, slots, kind);
            assert!(found <= most, "{kind:?}, {slots} slots: {found} of {most}");
        }
        let others: [Box<dyn ExpertPolicy>; 2] = [Box::new(AgeFrequency::new(shape)), Box::new(Lfu::new(shape))];
        assert!(others.into_iter().all(|policy| play(&trace, slots, 0, policy).hit_rate() <= most));
        // nor does looking at the experts of the layer before help
        let warm = WarmStart::default();
        let ahead = play(&trace, slots, 1, policy(OracleKind::NextUse, shape, slots, &warm));
        assert!(ahead.hit_rate() <= most + 0.01, "{ahead:?}");
    }
}

/// The bars of real routes: below one cycle 60 % of what is possible; above, a quarter of the way from LRU to what is possible, and
/// never more than a point below LRU, or the table that a network has to beat.
#[test]
fn of_real_routes_more_is_hit() {
    println!("hit rate       slots  LRU    table  next-use  best pin  Belady");
    for name in ["qwen3-30b-a3b", "tiny-moe"] {
        let trace = excerpt(name);
        let active = trace.shape.active();
        for slots in [active / 2, active, 2 * active, 4 * active] {
            let [lru, found] = [OracleKind::Lru, OracleKind::NextUse].map(|kind| hits(&trace, slots, kind));
            let table = play(&trace, slots, 0, Box::new(AgeFrequency::new(trace.shape))).hit_rate();
            let mut pin = Box::new(Pin::new(trace.shape));
            pin.seed(&trace.heat());
            let pin = play(&trace, slots, 0, pin).hit_rate();
            let most = belady(&trace, slots);
            println!("{name:<14} {slots:>5}  {lru:.3}  {table:.3}  {found:.3}     {pin:.3}     {most:.3}");
            assert!(found <= most && found > table && found >= pin - 0.0125);
            if slots <= active {
                assert!(found >= 0.6 * most);
            } else {
                assert!(found >= lru + 0.25 * (most - lru));
            }
            assert!(slots != 2 * active || found >= lru + 0.07);
        }
    }
}

#[test]
fn a_router_run_early_saves_waits_and_the_layer_before_does_too() {
    for name in ["qwen3-30b-a3b", "tiny-moe"] {
        let trace = excerpt(name);
        let slots = 2 * trace.shape.active();
        let next_use = || policy(OracleKind::NextUse, trace.shape, slots, &WarmStart::default());
        let [alone, ahead] = [0, 1].map(|transfers| play(&trace, slots, transfers, next_use()));
        let lru = play(&trace, slots, 0, policy(OracleKind::Lru, trace.shape, slots, &WarmStart::default()));
        println!(
            "{name}: waits for {:.1} transfers a token, ahead {:.1}, LRU {:.1}",
            alone.stalls(),
            ahead.stalls(),
            lru.stalls()
        );
        assert!(ahead.stalls() < 0.9 * alone.stalls() && alone.stalls() < 0.85 * lru.stalls());
        assert!(ahead.precision() > 0.3);
    }
}

/// A policy that expects the opposite of what comes.
#[test]
fn lru_takes_over_from_a_policy_that_trails_it() {
    use crate::residency::experts::{Guarded, Lru};
    let trace = excerpt("tiny-moe");
    let slots = 2 * trace.shape.active();
    let mut wrong = Pin::new(trace.shape);
    let heat: Vec<f32> = trace.heat().iter().map(|uses| 1.0 / (1.0 + uses)).collect();
    wrong.seed(&heat);
    let alone = play(&trace, slots, 0, Box::new(wrong.clone())).hit_rate();
    let lru = play(&trace, slots, 0, Box::new(Lru::new(trace.shape))).hit_rate();
    let mut guarded = Guarded::new(Box::new(wrong), trace.shape, slots);
    let replay = Replay { slots, warm_up: 300, transfers: 0 };
    let watched = replay.run(&trace, &mut guarded).hit_rate();
    let from = replay.run(&trace, &mut Lru::new(trace.shape)).hit_rate();
    assert!(alone < lru - 0.2 && watched > from - 0.02 && guarded.has_fallen_back(), "{alone} {lru} {watched} {from}");
}
