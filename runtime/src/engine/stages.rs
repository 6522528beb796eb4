//! A pass on its way to the device: what is recorded is submitted whenever weights have to be waited for.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::pack_table::PackTable;
use super::{EngineError, LoadProgress, Packs, Profile, RouteListener, RouteReplay, Routes};
use crate::gpu::{Gpu, Pipeline, QueueKind, Recorder, Ticket};
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
    replay: Option<&'a mut RouteReplay>,
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
            replay: None,
        })
    }

    /// Tells `routes`, if it is there, where tokens go, and asks `replay` where they go instead.
    pub fn tell_routes(&mut self, routes: Option<&'a mut RouteListener>, replay: Option<&'a mut RouteReplay>) {
        self.routes = routes;
        self.replay = replay;
    }

    /// Where a token goes instead of where the router sends it.
    pub fn replayed(&mut self, layer: u32, used: u32) -> Option<Vec<u32>> {
        self.replay.as_mut().and_then(|replay| replay(layer, used))
    }

    /// Somebody wants to know where tokens go.
    pub fn watches_routes(&self) -> bool {
        self.routes.is_some() || self.replay.is_some()
    }

    /// Where the tokens of a layer went.
    pub fn routed(&mut self, routes: &Routes<'_>) {
        if let Some(listener) = &mut self.routes {
            listener(routes);
        }
    }

    /// True where all of `packs` are in VRAM for good.
    pub fn stay(&self, packs: &[usize]) -> bool {
        packs.iter().all(|&pack| self.packs.stays(pack))
    }

    /// Runs of groups whose experts' packs can be there at the same time; `experts` are those of the groups, groups of one side by
    /// side.
    pub fn expert_groups(&self, experts: &[u32], packs: &[usize]) -> Vec<Range<u32>> {
        let mut distinct = experts.to_vec();
        distinct.dedup();
        let packs: Vec<usize> = distinct.iter().map(|&expert| packs[expert as usize]).collect();
        let mut runs = Vec::new();
        let (mut start, mut end) = (0, 0);
        let mut experts = experts.iter().peekable();
        for some in self.groups(&packs) {
            for _ in some {
                let Some(first) = experts.next() else { break };
                end += 1;
                while experts.next_if_eq(&first).is_some() {
                    end += 1;
                }
            }
            runs.push(start..end);
            start = end;
        }
        runs
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
        let most = if stay { packs.len() } else { self.packs.residence().slots.0 / SHARE_OF_SLOTS };
        packs.chunks(most.max(1))
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

    /// Waits for submitted work, while packs keep coming.
    pub fn wait(&mut self, ticket: Ticket) -> Result<(), EngineError> {
        const PATIENCE: std::time::Duration = std::time::Duration::from_micros(500);
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
