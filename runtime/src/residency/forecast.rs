//! How fast a plan can be at best.

use std::fmt;

use super::plan::{Need, PackTraffic, Plan};
use super::tier::MemoryTier;
use crate::memory::ByteSize;

/// What bytes move over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// From disk into RAM, or into the one memory of a unified device.
    Disk,
    /// From RAM into VRAM.
    Link,
    /// From VRAM into kernels.
    Vram,
}

impl Wire {
    /// Every wire, from the slowest to the fastest, as a rule.
    pub const ALL: [Self; 3] = [Self::Disk, Self::Link, Self::Vram];
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disk => "disk",
            Self::Link => "link",
            Self::Vram => "VRAM",
        })
    }
}

/// Bytes a second over each wire, all above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wires {
    /// Reads of whole packs.
    pub disk: f64,
    /// Copies from RAM to VRAM; of no meaning where they are one.
    pub link: f64,
    /// Packs read by kernels, decoding included.
    pub vram: f64,
}

impl Wires {
    /// Bytes a second over one of them.
    pub fn rate(&self, wire: Wire) -> f64 {
        match wire {
            Wire::Disk => self.disk,
            Wire::Link => self.link,
            Wire::Vram => self.vram,
        }
    }
}

/// What one wire carries in a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WireLoad {
    /// Bytes.
    pub bytes: u64,
    /// Seconds that the wire needs for them.
    pub seconds: f64,
}

impl WireLoad {
    fn new(bytes: u64, rate: f64) -> Self {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        Self { bytes, seconds: bytes as f64 / rate }
    }
}

/// How fast a plan can be at best: what each wire carries in a pass of one token, all of them at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Packs whose home is the disk, gathered ones too.
    pub disk: WireLoad,
    /// The part of `disk` that is read for the row of a token: one pack, by its chance to hold it. Kernels wait for it, as
    /// it is known only when the token is.
    pub gather: WireLoad,
    /// Seconds of that wait in which the link rests, as the ring is full.
    pub stall: f64,
    /// Packs whose home is not VRAM, where RAM and VRAM are two. Rows read across the link are too few to count.
    pub link: WireLoad,
    /// Every pack but those looked up.
    pub vram: WireLoad,
}

impl Forecast {
    pub(super) fn of(plan: &Plan, packs: &[PackTraffic], wires: Wires) -> Self {
        let (mut disk, mut link, mut vram) = (0, 0, 0);
        // A row is as likely in one byte of the table as in another, and costs the pack that it is in.
        let (mut table, mut gathered): (u128, u128) = (0, 0);
        let experts = packs.iter().filter(|pack| pack.is_expert()).count();
        for (pack, home) in packs.iter().zip(&plan.homes) {
            let cold = *home == MemoryTier::DiskCold;
            if let Need::Expert { used, count } = pack.need {
                let [bytes, missed, read] = plan.expert_traffic(pack.len, *home, (used, count), experts);
                vram += bytes;
                link += if plan.unified { 0 } else { missed };
                disk += read;
                continue;
            }
            if pack.need != Need::Lookup {
                vram += pack.len;
                disk += if cold { pack.len } else { 0 };
                link += if *home == MemoryTier::VramHot || plan.unified { 0 } else { pack.len };
            }
            if pack.need.is_looked_up() {
                table += u128::from(pack.len);
                gathered += if cold { u128::from(pack.len).pow(2) } else { 0 };
            }
        }
        let gather = u64::try_from(gathered.checked_div(table).unwrap_or(0)).unwrap_or(u64::MAX);
        let gather = WireLoad::new(gather, wires.disk);
        let ring = WireLoad::new(u64::from(plan.slots) * plan.slot_bytes, wires.link);
        Self {
            disk: WireLoad::new(disk + gather.bytes, wires.disk),
            gather,
            stall: if link > 0 { (gather.seconds - ring.seconds).max(0.0) } else { 0.0 },
            link: WireLoad::new(link, wires.link),
            vram: WireLoad::new(vram, wires.vram),
        }
    }

    /// Seconds until disk, link and kernels are each done with a pass.
    fn done(&self) -> [f64; 3] {
        [self.disk.seconds, self.stall + self.link.seconds, self.gather.seconds + self.vram.seconds]
    }

    /// The wire that a pass waits for most. That is the disk, too, where kernels wait longer for a row than they run.
    pub fn binding(&self) -> Wire {
        let [disk, link, kernels] = self.done();
        if kernels >= link.max(disk) && self.vram.seconds >= self.gather.seconds {
            Wire::Vram
        } else if link >= kernels.max(disk) {
            Wire::Link
        } else {
            Wire::Disk
        }
    }

    /// What a wire carries.
    pub fn load(&self, wire: Wire) -> WireLoad {
        match wire {
            Wire::Disk => self.disk,
            Wire::Link => self.link,
            Wire::Vram => self.vram,
        }
    }

    /// Seconds a pass takes at least: all wires work at the same time, but for the wait for a row.
    pub fn seconds(&self) -> f64 {
        self.done().into_iter().fold(0.0, f64::max)
    }

    /// Tokens a second at most; infinite where nothing is carried.
    pub fn tokens_per_second(&self) -> f64 {
        self.seconds().recip()
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {:.1} tokens/s, bound by the {} (a pass:", self.tokens_per_second(), self.binding())?;
        for (comma, wire) in [(" ", Wire::Disk), (", ", Wire::Link), (", ", Wire::Vram)] {
            let WireLoad { bytes, seconds } = self.load(wire);
            write!(f, "{comma}{wire} {} in {:.1} ms", ByteSize(bytes), seconds * 1e3)?;
        }
        f.write_str(")")
    }
}
