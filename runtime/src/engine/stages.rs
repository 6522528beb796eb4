//! A pass on its way to the device: what is recorded is submitted whenever weights have to be waited for.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::pack_table::PackTable;
use super::{EngineError, ExpertPager, LoadProgress, Packs, Profile, RouteListener, RouteScript, Routes};
use crate::gpu::{DeviceKind, Gpu, Pipeline, QueueKind, Recorder, Ticket};
use crate::residency::{Lease, MemoryTier};

/// Packs that arrive together before work that reads them is submitted: of a ring of slots, a third; one third is then being
/// computed on and one is being copied.
const SHARE_OF_SLOTS: usize = 3;

/// Commands after which the device is given what there is, so that it works while the rest is recorded: soon at first, as it has
/// nothing to do, then twice as many each time, up to so many, as it pauses between submissions.
const ENOUGH: [u32; 2] = [6, 192];

/// Records commands, and submits them as the packs that they read come.
pub struct Stages<'a> {
    gpu: &'a Gpu,
    packs: &'a mut Packs,
    /// Where products find packs.
    table: &'a mut PackTable,
    /// Where the embedding finds them: in RAM too.
    lookups: &'a mut PackTable,
    profile: Option<&'a RefCell<Profile>>,
    recorder: Recorder,
    /// Commands recorded, roughly.
    recorded: u32,
    /// How many are enough to be submitted.
    enough: u32,
    leases: Vec<Lease>,
    /// The value of the copies' timeline that the recording waits for.
    after: u64,
    /// The work that read the gather slot last.
    gathered: Option<Ticket>,
    /// Hears of what is read, of so many bytes that stay.
    progress: Option<(&'a mut LoadProgress, u64)>,
    /// Hears where tokens go.
    routes: Option<&'a mut RouteListener>,
    /// Says where they go instead.
    script: Option<&'a mut Box<dyn RouteScript>>,
    /// Decides which experts stay, where not all of them do.
    pager: Option<&'a mut ExpertPager>,
}

impl<'a> Stages<'a> {
    /// Nothing recorded yet.
    pub fn new(
        gpu: &'a Gpu,
        packs: &'a mut Packs,
        [table, lookups]: [&'a mut PackTable; 2],
        profile: Option<&'a RefCell<Profile>>,
    ) -> Result<Self, EngineError> {
        let recorder = start(gpu, profile)?;
        let (recorded, enough, leases, after, gathered) = (0, ENOUGH[0], Vec::new(), 0, None);
        Ok(Self {
            gpu,
            packs,
            table,
            lookups,
            profile,
            recorder,
            recorded,
            enough,
            leases,
            after,
            gathered,
            progress: None,
            routes: None,
            script: None,
            pager: None,
        })
    }

    /// Tells `routes`, if it is there, where tokens go, and asks `script` where they go instead.
    pub fn tell_routes(&mut self, routes: Option<&'a mut RouteListener>, script: Option<&'a mut Box<dyn RouteScript>>) {
        self.routes = routes;
        self.script = script;
    }

    /// Lets `pager`, if it is there, decide which experts stay.
    pub fn page_experts(&mut self, pager: Option<&'a mut ExpertPager>) {
        self.pager = pager;
    }

    /// Tokens go through `chosen` experts of a layer `[tokens][used]`, which begin to come.
    pub fn expect_experts(&mut self, layer: u32, tokens: u32, chosen: &[u32]) -> Result<(), EngineError> {
        let Some(pager) = &mut self.pager else { return Ok(()) };
        match tokens {
            1 => pager.decode(self.packs, layer as usize, chosen),
            // a script is not about prompts
            _ => pager.prefill(self.packs, layer as usize, chosen, self.script.is_none()),
        }
    }

    /// Whether it is worth to run a router early.
    pub fn looks_ahead(&self) -> bool {
        self.pager.as_ref().is_some_and(|pager| pager.looks_ahead())
    }

    /// The router of a layer, run early, ranks these experts first.
    pub fn look_ahead(&mut self, layer: u32, ranked: &[u32]) -> Result<(), EngineError> {
        let ranks = u32::try_from(ranked.len()).unwrap_or(u32::MAX);
        let scripted = self.script.as_mut().and_then(|script| script.early(layer, ranks));
        let ranked = scripted.as_deref().unwrap_or(ranked);
        self.pager.as_mut().map_or(Ok(()), |pager| pager.look_ahead(self.packs, layer as usize, ranked))
    }

    /// Where a token goes instead of where the router sends it.
    pub fn scripted(&mut self, layer: u32, used: u32) -> Option<Vec<u32>> {
        self.script.as_mut().and_then(|script| script.chosen(layer, used))
    }

    /// Somebody wants to know where tokens go.
    pub fn watches_routes(&self) -> bool {
        self.routes.is_some() || self.script.is_some()
    }

    /// Where the tokens of a layer went.
    pub fn routed(&mut self, routes: &Routes<'_>) {
        if let Some(listener) = &mut self.routes {
            listener(routes);
        }
    }

    /// True where all of `packs` are in VRAM for good.
    pub fn stay(&self, packs: &[usize]) -> bool {
        packs.iter().all(|&pack| self.packs.is_settled(pack))
    }

    /// Runs of groups whose experts' packs can be there at the same time, those first that are there already; `experts` are those
    /// of the groups, groups of one side by side.
    pub fn expert_groups(&self, experts: &[u32], packs: &[usize]) -> Vec<Range<u32>> {
        let there = |expert: &u32| self.packs.stays(packs[*expert as usize]);
        let most = if experts.iter().all(there) { experts.len() } else { self.most_at_once() };
        runs(experts, there, most)
    }

    /// Tells `progress`, where there is one, of the bytes read, out of `all`.
    pub fn tell(&mut self, progress: Option<&'a mut LoadProgress>, all: u64) {
        self.progress = progress.map(|progress| (progress, all));
    }

    /// For the next commands, whose weights were [needed](Self::need) before.
    pub fn recorder(&mut self) -> &mut Recorder {
        self.recorded += 1;
        &mut self.recorder
    }

    /// A dispatch whose results the next one reads.
    pub fn dispatch(&mut self, kernel: &Arc<Pipeline>, args: &[u8], groups: [u32; 3]) {
        self.recorder().dispatch(kernel, args, groups).barrier();
        self.mark(|| kernel.name().to_owned());
    }

    /// Ends a time that the profile counts under `name`.
    pub fn mark(&mut self, name: impl FnOnce() -> String) {
        if let Some(profile) = self.profile {
            profile.borrow_mut().mark(&mut self.recorder, name());
        }
    }

    /// The packs of an operation, in groups that are there at the same time. All of them, where all are in VRAM.
    pub fn groups<'p>(&self, packs: &'p [usize]) -> std::slice::Chunks<'p, usize> {
        let stay = packs.iter().all(|&pack| self.packs.stays(pack));
        let most = if stay { packs.len() } else { self.most_at_once() };
        packs.chunks(most.max(1))
    }

    /// Packs that the ring holds beside those that are computed on and those that are copied.
    fn most_at_once(&self) -> usize {
        (self.packs.residence().slots.0 / SHARE_OF_SLOTS).max(1)
    }

    /// What is recorded next reads `packs`: it is going to start when they are there.
    pub fn need(&mut self, packs: &[usize]) -> Result<(), EngineError> {
        let waits = self.recorded > 0 && !packs.iter().all(|&pack| self.packs.stays(pack));
        if waits || self.recorded >= self.enough {
            self.submit()?;
        }
        let lease = self.packs.lease(packs)?;
        self.take(lease, false);
        Ok(())
    }

    /// As [`need`](Self::need), for many packs that [stay](Self::stay): nothing moves them before the pass is over, so that they
    /// are leased when they are first read, and not again until packs have moved.
    pub fn need_settled(&mut self, packs: &[usize]) -> Result<(), EngineError> {
        match packs.iter().all(|&pack| self.table.knows(pack)) {
            true => Ok(()),
            false => self.need(packs),
        }
    }

    /// What is recorded next reads rows of `pack`, by the lookups' table.
    pub fn look_up(&mut self, pack: usize) -> Result<(), EngineError> {
        if self.packs.residence().homes[pack] == MemoryTier::DiskCold {
            if self.recorded > 0 {
                self.gathered = Some(self.submit()?);
            }
            // the slot that it is read into is free when that is over
            self.gathered.take().map_or(Ok(()), |ticket| self.gpu.wait(ticket))?;
        }
        let lease = self.packs.look_up(pack)?;
        self.take(lease, true);
        Ok(())
    }

    fn take(&mut self, lease: Lease, lookup: bool) {
        self.after = self.after.max(lease.after);
        let table = if lookup { &mut *self.lookups } else { &mut *self.table };
        table.set(&lease);
        table.flush(&mut self.recorder);
        self.leases.push(lease);
    }

    /// Address of the table that products use, and of the embedding's.
    pub fn tables(&self) -> [u64; 2] {
        [self.table.address(), self.lookups.address()]
    }

    /// Submits what is recorded, and starts anew.
    pub fn submit(&mut self) -> Result<Ticket, EngineError> {
        let recorder = std::mem::replace(&mut self.recorder, start(self.gpu, None)?);
        let copied = self.gpu.ticket(QueueKind::Transfer, self.after);
        let ticket = self.gpu.submit_after(&recorder.finish()?, &[self.gpu.uploaded(), copied])?;
        self.leases.drain(..).for_each(|lease| self.packs.release(lease, ticket.value()));
        self.recorded = 0;
        self.enough = (2 * self.enough).min(ENOUGH[1]);
        if let Some(profile) = self.profile {
            self.gpu.wait(ticket)?;
            profile.borrow_mut().collect()?;
            profile.borrow_mut().start(&mut self.recorder);
        }
        // slots that are free when this is over can be copied to behind it
        self.packs.pump()?;
        if let Some((progress, all)) = &mut self.progress {
            progress(self.packs.counters().read_bytes.min(*all), *all);
        }
        Ok(ticket)
    }

    /// Waking up takes longer than many a wait, but the CPU that a device is must not be kept busy.
    fn spins(&self) -> bool {
        self.gpu.info().kind != DeviceKind::Cpu
    }

    /// Waits for submitted work, while packs keep coming.
    pub fn wait(&mut self, ticket: Ticket) -> Result<(), EngineError> {
        const PATIENCE: std::time::Duration = std::time::Duration::from_micros(500);
        if self.spins() {
            let start = std::time::Instant::now();
            while start.elapsed() < PATIENCE {
                if self.gpu.passed(QueueKind::Compute)? >= ticket.value() {
                    return Ok(self.gpu.wait(ticket)?);
                }
                std::hint::spin_loop();
            }
        }
        while !self.gpu.wait_for(ticket, PATIENCE)? {
            self.packs.pump()?;
        }
        Ok(())
    }
}

impl Drop for Stages<'_> {
    fn drop(&mut self) {
        // what was never submitted reads nothing
        self.leases.drain(..).for_each(|lease| self.packs.release(lease, 0));
    }
}

fn start(gpu: &Gpu, profile: Option<&RefCell<Profile>>) -> Result<Recorder, EngineError> {
    let mut recorder = gpu.recorder("pass")?;
    if let Some(profile) = profile {
        profile.borrow_mut().start(&mut recorder);
    }
    Ok(recorder)
}

/// Runs of groups by their `experts`, groups of one side by side: first those whose expert is `there`, then others of at most `most`
/// experts.
fn runs(experts: &[u32], there: impl Fn(&u32) -> bool, most: usize) -> Vec<Range<u32>> {
    let (mut first, mut later): (Vec<Range<u32>>, Vec<Range<u32>>) = (Vec::new(), Vec::new());
    let mut start = 0u32;
    for side in experts.chunk_by(|a, b| there(a) == there(b)) {
        let mut group = start;
        let mut ends = Vec::new();
        for one in side.chunk_by(|a, b| a == b) {
            group += u32::try_from(one.len()).unwrap_or(u32::MAX);
            ends.push(group);
        }
        if there(&side[0]) {
            first.push(start..group);
        } else {
            for ends in ends.chunks(most.max(1)) {
                let end = ends.last().copied().unwrap_or(start);
                later.push(start..end);
                start = end;
            }
        }
        start = group;
    }
    first.extend(later);
    first
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn experts_that_are_there_go_first() {
        let there = |e: &u32| e.is_multiple_of(2);
        assert_eq!(runs(&[2, 3, 4, 4, 5, 7, 7, 9, 6], there, 2), [0..1, 2..4, 8..9, 1..2, 4..7, 7..8]);
        assert_eq!(runs(&[2, 4, 4], there, 3), vec![0..3]);
        assert_eq!(runs(&[1, 1, 3], there, 1), [0..2, 2..3]);
        assert_eq!(runs(&[], there, 1), []);
    }
}
