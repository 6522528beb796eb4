//! What is read, copied and overwritten next: decisions, no effects.

mod guests;

use std::collections::VecDeque;

use super::MemoryTier;

/// Reads at once that nobody has asked for: what is asked for waits for them to end.
const MOST_IDLE: usize = 3;

/// Where a pack lies, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spot {
    /// A place that it keeps: in VRAM or in pinned memory, by its home.
    Home,
    /// The place in pinned memory that a pack keeps while a cache has it in VRAM.
    Below,
    /// A slot of pinned memory, on the way from disk to the device.
    Staging(usize),
    /// A slot of VRAM, from its copy to its use.
    Slot(usize),
}

/// Something to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read a pack from disk; say [`read`](PackScheduler::read) when that is done.
    Read {
        /// The fetch.
        id: u64,
        /// Its pack.
        pack: usize,
        /// Where to.
        into: Spot,
        /// The device waits for it.
        urgent: bool,
    },
    /// Copy a pack into VRAM, when the compute timeline has passed `after`; say [`copied`](PackScheduler::copied) when
    /// that is submitted.
    Copy {
        /// The fetch.
        id: u64,
        /// Its pack.
        pack: usize,
        /// Where from.
        from: Spot,
        /// Where to.
        to: Spot,
        /// The value of the compute timeline.
        after: u64,
    },
}

/// What has to happen before there is something to do again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// A read that was begun.
    Read,
    /// A value of the copies' timeline.
    Copies(u64),
    /// A value of the compute timeline.
    Compute(u64),
    /// Work that is recorded and not submitted: the caller holds too many packs at once.
    Lease,
}

/// How far the device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The compute timeline.
    pub compute: u64,
    /// The copies' timeline.
    pub copies: u64,
}

/// A pack on its way to its next use.
#[derive(Clone, Copy, Debug)]
struct Fetch {
    id: u64,
    pack: usize,
    stage: Stage,
    /// The pinned memory that it takes up on its way.
    staging: Option<usize>,
    slot: Option<usize>,
    /// Somebody waits for it.
    urgent: bool,
    /// No use asked for it: the pack is only brought to its home.
    idle: bool,
    /// Leases that hold its slot.
    leases: u32,
    /// The compute value from which on no work reads its slot: its last user's, and then its own.
    until: u64,
}

impl Fetch {
    fn is_leased(&self) -> bool {
        self.leases > 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was done.
    Planned,
    Reading,
    /// Its bytes are in pinned memory.
    Read,
    /// They are where kernels read them when the copies have passed this.
    Arrived(u64),
}

/// Who has a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// A fetch.
    Taken,
    /// Nobody, when a timeline has passed this.
    FreeAfter(u64),
}

/// Whether a pack is in its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placed {
    No,
    /// A fetch brings it.
    Coming,
    /// It is, when the copies have passed this.
    Since(u64),
}

/// Brings packs to the device in the order in which they are going to be used, as far ahead as slots allow.
///
/// A pack whose home is VRAM is brought there once. Others pass through a ring of VRAM slots at every use: from RAM, if that is
/// their home, else from disk by way of staging slots. On unified memory disk reads go straight to home or slot.
///
/// Reads begin in the order of use, and so do copies; a slot is taken again when the work that read it is over.
#[derive(Debug)]
pub struct PackScheduler {
    homes: Vec<MemoryTier>,
    placed: Vec<Placed>,
    /// Of packs that a cache has in VRAM: the home that they go back to, and whether they are there.
    below: Vec<Option<(MemoryTier, Placed)>>,
    unified: bool,
    /// Kernels read warm packs across the link, where they are.
    in_place: bool,
    slots: Vec<Slot>,
    staging: Vec<Slot>,
    /// Uses to come that have no fetch yet.
    upcoming: VecDeque<usize>,
    /// Packs to bring to their homes while nothing else is read.
    idle: VecDeque<usize>,
    /// In order of use.
    fetches: VecDeque<Fetch>,
    next_id: u64,
}

impl PackScheduler {
    /// Of packs with these homes, none of them there, and so many slots.
    pub fn new(homes: Vec<MemoryTier>, slots: usize, staging: usize, unified: bool) -> Self {
        Self {
            placed: vec![Placed::No; homes.len()],
            below: vec![None; homes.len()],
            homes,
            unified,
            in_place: false,
            slots: vec![Slot::FreeAfter(0); slots],
            staging: vec![Slot::FreeAfter(0); staging],
            upcoming: VecDeque::new(),
            idle: VecDeque::new(),
            fetches: VecDeque::new(),
            next_id: 0,
        }
    }

    /// Whether kernels read warm packs across the link, where they are, from the next [`announce`](Self::announce) on; else
    /// they are copied.
    pub fn read_in_place(&mut self, in_place: bool) {
        self.in_place = in_place;
    }

    /// The packs that are going to be used, in order. What was announced before and is not used yet is replaced; what of it
    /// agrees is not fetched anew.
    ///
    /// Answers `false`, with nothing changed, while packs that are no longer wanted are being read.
    pub fn announce(&mut self, uses: impl IntoIterator<Item = usize>) -> bool {
        let mut uses: VecDeque<usize> = uses.into_iter().filter(|&pack| self.comes(pack)).collect();
        // a fetch for a home is good whenever it comes
        let home = |fetch: &Fetch| self.homes[fetch.pack] == MemoryTier::VramHot || fetch.idle;
        let streams = |fetch: &Fetch| fetch.slot.is_some() || !home(fetch);
        let agree = self.fetches.iter().filter(|f| streams(f) && !f.is_leased());
        let agree = agree.zip(uses.iter().filter(|&&pack| self.homes[pack] != MemoryTier::VramHot));
        let kept = agree.take_while(|(fetch, pack)| fetch.pack == **pack).count();
        let unwanted = |at: usize, f: &Fetch| at >= kept && streams(f) && !f.is_leased();
        let mut at = 0;
        let mut beyond = Vec::new();
        for (i, fetch) in self.fetches.iter().enumerate() {
            if unwanted(at, fetch) {
                beyond.push(i);
            }
            at += usize::from(streams(fetch) && !fetch.is_leased());
        }
        if beyond.iter().any(|&i| self.fetches[i].stage == Stage::Reading) {
            return false;
        }
        for i in beyond.into_iter().rev() {
            self.abandon(i);
        }
        let comes = |f: &&Fetch| !f.is_leased() && (!f.idle || self.homes[f.pack] == MemoryTier::VramHot);
        let coming: Vec<usize> = self.fetches.iter().filter(comes).map(|f| f.pack).collect();
        for pack in coming {
            if let Some(at) = uses.iter().position(|&use_| use_ == pack) {
                uses.remove(at);
            }
        }
        self.upcoming = uses;
        true
    }

    /// Asks for a pack before all others.
    pub fn demand(&mut self, pack: usize) {
        if self.homes[pack] == MemoryTier::VramHot && self.is_placed(pack) || self.is_read_in_place(pack) {
            return;
        }
        // on its way behind others, it would wait for slots that they keep
        let on_its_way = self.fetches.iter().position(|f| f.pack == pack && !f.is_leased());
        let fetch = match on_its_way.and_then(|at| self.fetches.remove(at)) {
            Some(fetch) => Fetch { urgent: true, idle: false, ..fetch },
            None => {
                if let Some(at) = self.upcoming.iter().position(|&p| p == pack) {
                    self.upcoming.remove(at);
                }
                self.fetch(pack, true)
            }
        };
        let at = self.fetches.iter().position(|f| !f.is_leased()).unwrap_or(self.fetches.len());
        self.fetches.insert(at, fetch);
    }

    /// Something that can be done now. It is taken for begun.
    pub fn next(&mut self, passed: Passed) -> Option<Action> {
        self.look_ahead();
        self.next_copy(passed).or_else(|| self.next_read(passed)).or_else(|| self.next_idle(passed))
    }

    /// A read is done.
    pub fn read(&mut self, id: u64) {
        let Some(at) = self.fetches.iter().position(|f| f.id == id) else { return };
        self.fetches[at].stage = Stage::Read;
        let pack = self.fetches[at].pack;
        if self.homes[pack] == MemoryTier::RamWarm {
            self.placed[pack] = Placed::Since(0);
        }
        if let Some((MemoryTier::RamWarm, below)) = &mut self.below[pack] {
            *below = Placed::Since(0);
        }
        if self.fetches[at].idle && self.homes[pack] == MemoryTier::RamWarm {
            self.fetches.remove(at);
            return;
        }
        if self.unified {
            self.arrive(at, 0);
        }
    }

    /// A read has failed, or brought what is not wanted: whether somebody did ask for it.
    pub fn failed(&mut self, id: u64) -> bool {
        let Some(at) = self.fetches.iter().position(|f| f.id == id) else { return true };
        let asked = !self.fetches[at].idle;
        self.abandon(at);
        asked
    }

    /// A copy is submitted; it is done when the copies' timeline has passed `value`.
    pub fn copied(&mut self, id: u64, value: u64) {
        let Some(at) = self.fetches.iter().position(|f| f.id == id) else { return };
        if let Some(staging) = self.fetches[at].staging.take() {
            self.staging[staging] = Slot::FreeAfter(value);
        }
        self.arrive(at, value);
    }

    /// Where kernels find the pack at its next use, and the value of the copies' timeline from which on; `None` until that
    /// is known.
    pub fn arrival(&self, pack: usize) -> Option<(Spot, u64)> {
        if let (MemoryTier::VramHot, Placed::Since(value)) = (self.homes[pack], self.placed[pack]) {
            return Some((Spot::Home, value));
        }
        if self.is_read_in_place(pack) {
            return Some((Spot::Home, 0));
        }
        let fetch = self.fetches.iter().find(|f| f.pack == pack && !f.idle)?;
        match (fetch.stage, fetch.slot) {
            (Stage::Arrived(value), Some(slot)) => Some((Spot::Slot(slot), value)),
            _ => None,
        }
    }

    /// The pack is going to be read by work that is being recorded. Its slot is kept until [`used`](Self::used).
    pub fn lease(&mut self, pack: usize) {
        if let Some(fetch) = self.fetches.iter_mut().find(|f| f.pack == pack && f.slot.is_some()) {
            fetch.leases += 1;
        }
    }

    /// The work of one lease is submitted, and over when the compute timeline has passed `value`.
    pub fn used(&mut self, pack: usize, value: u64) {
        let Some(at) = self.fetches.iter().position(|f| f.pack == pack && f.is_leased()) else { return };
        let fetch = &mut self.fetches[at];
        fetch.leases -= 1;
        fetch.until = fetch.until.max(value);
        if fetch.is_leased() {
            return;
        }
        let until = fetch.until;
        if let Some(slot) = self.fetches.remove(at).and_then(|f| f.slot) {
            self.slots[slot] = Slot::FreeAfter(until);
        }
    }

    /// What has to happen before the pack can come nearer. Asked when [`next`](Self::next) has nothing to do.
    pub fn blocked(&self, passed: Passed) -> Blocked {
        if self.fetches.iter().any(|f| f.stage == Stage::Reading) {
            return Blocked::Read;
        }
        let first = |slots: &[Slot], passed| {
            let free = slots.iter().filter_map(|slot| match slot {
                Slot::FreeAfter(value) if *value > passed => Some(*value),
                _ => None,
            });
            free.min()
        };
        let staging = first(&self.staging, passed.copies).map(Blocked::Copies);
        staging.or(first(&self.slots, passed.compute).map(Blocked::Compute)).unwrap_or(Blocked::Lease)
    }

    /// A pack is in its home, by other ways.
    pub fn place(&mut self, pack: usize, value: u64) {
        self.placed[pack] = Placed::Since(value);
        // what a fetch was going to read is there
        let planned = |f: &&mut Fetch| f.pack == pack && f.stage == Stage::Planned;
        self.fetches.iter_mut().filter(planned).for_each(|f| f.stage = Stage::Read);
    }

    /// True while nobody has to wait for the pack: it is in VRAM for good.
    pub fn stays(&self, pack: usize) -> bool {
        self.homes[pack] == MemoryTier::VramHot && self.placed[pack] != Placed::No
    }

    /// True for a pack that a use has to bring.
    fn comes(&self, pack: usize) -> bool {
        self.homes[pack] != MemoryTier::Hibernating && !self.stays(pack) && !self.is_read_in_place(pack)
    }

    fn is_read_in_place(&self, pack: usize) -> bool {
        self.in_place && self.homes[pack] == MemoryTier::RamWarm && self.is_placed(pack)
    }

    /// True where the pack's home holds its bytes, or will when a copy under way is done.
    pub fn is_placed(&self, pack: usize) -> bool {
        matches!(self.placed[pack], Placed::Since(_))
    }

    /// True while a read for the pack's home is under way.
    pub fn is_coming(&self, pack: usize) -> bool {
        self.fetches.iter().any(|f| f.pack == pack && f.stage == Stage::Reading)
    }

    /// The homes.
    pub fn homes(&self) -> &[MemoryTier] {
        &self.homes
    }

    /// Gives a pack another home, where it is not yet. No read of it is under way, and no lease holds it.
    pub fn move_home(&mut self, pack: usize, home: MemoryTier) {
        self.upcoming.retain(|&p| p != pack);
        while let Some(at) = self.fetches.iter().position(|f| f.pack == pack) {
            self.abandon(at);
        }
        self.homes[pack] = home;
        self.placed[pack] = Placed::No;
        self.below[pack] = None;
    }

    /// Gives the rings other lengths, all of their slots free. Nothing is on its way, and no lease holds anything.
    pub fn resize(&mut self, slots: usize, staging: usize) {
        self.slots = vec![Slot::FreeAfter(0); slots];
        self.staging = vec![Slot::FreeAfter(0); staging];
    }

    /// Forgets what is on its way, after an error; reads that were begun must be over. What leases hold stays.
    pub fn forget(&mut self) {
        for at in (0..self.fetches.len()).rev().filter(|&at| !self.fetches[at].is_leased()).collect::<Vec<_>>() {
            self.abandon(at);
        }
        self.upcoming.clear();
    }

    fn fetch(&mut self, pack: usize, urgent: bool) -> Fetch {
        self.next_id += 1;
        let warm = match (self.homes[pack], self.below[pack]) {
            (_, Some((home, placed))) => home == MemoryTier::RamWarm && placed != Placed::No,
            (home, None) => home == MemoryTier::RamWarm && self.placed[pack] != Placed::No,
        };
        if self.placed[pack] == Placed::No && self.homes[pack] != MemoryTier::DiskCold {
            self.placed[pack] = Placed::Coming;
        }
        let stage = if warm { Stage::Read } else { Stage::Planned };
        Fetch { id: self.next_id, pack, stage, staging: None, slot: None, urgent, idle: false, leases: 0, until: 0 }
    }

    fn look_ahead(&mut self) {
        let most = self.slots.len() + self.staging.len() + 4;
        while self.fetches.len() < most {
            let Some(pack) = self.upcoming.pop_front() else { return };
            if self.comes(pack) {
                let fetch = self.fetch(pack, false);
                self.fetches.push_back(fetch);
            }
        }
    }

    fn next_copy(&mut self, passed: Passed) -> Option<Action> {
        if self.unified {
            return None;
        }
        // slots are taken in order, or what comes late would wait for what is used after it
        let waits =
            |f: &Fetch| !matches!(f.stage, Stage::Arrived(_)) && self.homes[f.pack] != MemoryTier::VramHot && !f.idle;
        let arrives = |f: &Fetch| f.stage == Stage::Read && self.homes[f.pack] == MemoryTier::VramHot;
        let at = self.fetches.iter().position(arrives).or_else(|| self.fetches.iter().position(waits))?;
        let Fetch { id, pack, stage, staging, .. } = self.fetches[at];
        let from = match (staging, self.is_promoted(pack)) {
            (Some(staging), _) => Spot::Staging(staging),
            (None, true) => Spot::Below,
            (None, false) => Spot::Home,
        };
        // a warm pack that is being read for an earlier use is not there yet
        if stage != Stage::Read || (from == Spot::Home && !self.is_placed(pack)) {
            return None;
        }
        let (to, after) = if self.homes[pack] == MemoryTier::VramHot {
            (Spot::Home, 0)
        } else {
            let (slot, after) = self.take_slot(at, passed.compute, true)?;
            (Spot::Slot(slot), after)
        };
        Some(Action::Copy { id, pack, from, to, after })
    }

    fn next_read(&mut self, passed: Passed) -> Option<Action> {
        let at = self.fetches.iter().position(|f| f.stage == Stage::Planned)?;
        let Fetch { id, pack, urgent, .. } = self.fetches[at];
        let into = match self.homes[pack] {
            MemoryTier::RamWarm => Spot::Home,
            MemoryTier::VramHot if self.unified => Spot::Home,
            _ if matches!(self.below[pack], Some((MemoryTier::RamWarm, _))) => Spot::Below,
            _ if self.unified => Spot::Slot(self.take_slot(at, passed.compute, false)?.0),
            _ => {
                let staging = self.take_staging(at, passed.copies)?;
                self.fetches[at].staging = Some(staging);
                Spot::Staging(staging)
            }
        };
        self.fetches[at].stage = Stage::Reading;
        Some(Action::Read { id, pack, into, urgent })
    }

    /// Reads a pack for its home while nobody asks for another.
    fn next_idle(&mut self, passed: Passed) -> Option<Action> {
        let asked = |f: &Fetch| !f.idle && matches!(f.stage, Stage::Planned | Stage::Reading);
        let idle = self.fetches.iter().filter(|f| f.idle).count();
        if self.idle.is_empty()
            || idle >= MOST_IDLE
            || self.fetches.iter().any(|f| asked(f) || f.stage == Stage::Planned)
        {
            return None;
        }
        while let Some(pack) = self.idle.pop_front() {
            let stays = matches!(self.homes[pack], MemoryTier::VramHot | MemoryTier::RamWarm);
            if stays && self.placed[pack] == Placed::No && !self.has_fetch(pack) {
                let fetch = Fetch { idle: true, ..self.fetch(pack, false) };
                self.fetches.push_back(fetch);
                return self.next_read(passed);
            }
        }
        None
    }

    /// Takes pinned memory for fetch number `at`.
    fn take_staging(&mut self, at: usize, passed: u64) -> Option<usize> {
        let free = |slot: &Slot| matches!(slot, Slot::FreeAfter(value) if *value <= passed);
        let found = self.staging.iter().position(free).or_else(|| {
            // what somebody waits for goes before what was read for later
            let last = self.fetches.iter().rposition(|f| f.stage == Stage::Read && f.staging.is_some())?;
            if !self.fetches[at].urgent || last < at || self.staging.iter().any(|slot| *slot != Slot::Taken) {
                return None;
            }
            self.fetches[last].stage = Stage::Planned;
            self.fetches[last].staging.take()
        })?;
        self.staging[found] = Slot::Taken;
        Some(found)
    }

    /// Takes a slot for fetch number `at`: the one that is free first. `ahead` allows one whose last use is not over yet.
    fn take_slot(&mut self, at: usize, passed: u64, ahead: bool) -> Option<(usize, u64)> {
        let free = |slots: &[Slot]| {
            let free = slots.iter().enumerate().filter_map(|(i, slot)| match slot {
                Slot::FreeAfter(value) if ahead || *value <= passed => Some((i, *value)),
                _ => None,
            });
            free.min_by_key(|&(_, value)| value)
        };
        let found = free(&self.slots).or_else(|| {
            // what somebody waits for goes before what may be wanted later
            let gives_way = |f: &Fetch| matches!(f.stage, Stage::Arrived(_)) && f.slot.is_some() && !f.is_leased();
            let last = self.fetches.iter().rposition(gives_way)?;
            if !self.fetches[at].urgent || last < at || self.slots.iter().any(|slot| *slot != Slot::Taken) {
                return None;
            }
            let slot = self.fetches[last].slot.take()?;
            self.fetches[last].stage = match self.homes[self.fetches[last].pack] {
                MemoryTier::RamWarm => Stage::Read,
                _ => Stage::Planned,
            };
            Some((slot, self.fetches[last].until))
        })?;
        self.slots[found.0] = Slot::Taken;
        self.fetches[at].slot = Some(found.0);
        self.fetches[at].until = found.1;
        Some(found)
    }

    fn arrive(&mut self, at: usize, value: u64) {
        self.fetches[at].stage = Stage::Arrived(value);
        let pack = self.fetches[at].pack;
        if self.homes[pack] == MemoryTier::VramHot {
            self.placed[pack] = Placed::Since(value);
            self.fetches.remove(at);
        }
    }

    /// Drops a fetch that is not being read, or not any more.
    fn abandon(&mut self, at: usize) {
        let Some(fetch) = self.fetches.remove(at) else { return };
        // copies run in order, so the next one into a slot waits for this one, if it was submitted
        fetch.slot.into_iter().for_each(|slot| self.slots[slot] = Slot::FreeAfter(fetch.until));
        fetch.staging.into_iter().for_each(|staging| self.staging[staging] = Slot::FreeAfter(0));
        let brings = fetch.stage != Stage::Read || fetch.staging.is_some() || self.is_promoted(fetch.pack);
        if self.placed[fetch.pack] != Placed::Coming || !brings {
            return;
        }
        // a later use counted on it
        match self.fetches.iter_mut().find(|f| f.pack == fetch.pack) {
            Some(next) => next.stage = Stage::Planned,
            None => self.placed[fetch.pack] = Placed::No,
        }
    }
}
