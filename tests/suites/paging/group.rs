//! The system itself holds the program to its cap: a control group of version 2 with as much memory. Where this process may
//! make none, nothing is tested.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use symbiote_tests::fixtures;
use symbiote_tests::program::RUN;

use super::{MIB, at, synthetic};

/// A group that is gone when the test ends.
struct Group(PathBuf);

impl Group {
    /// A group beside this process's own, of so many bytes and no swap.
    fn new(bytes: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
        let parent = Path::new("/sys/fs/cgroup").join(own).parent()?.to_owned();
        let enabled = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
        enabled.split_whitespace().find(|name| *name == "memory")?;
        let group = Self(parent.join(format!("symbiote-test-{}", std::process::id())));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join("memory.max"), bytes.to_string()).ok()?;
        let _ = fs::write(group.0.join("memory.swap.max"), "0"); // there may be no swap
        // only who may write here can move a process there
        let procs = group.0.join("cgroup.procs");
        let moved = Command::new("sh").args(["-c", "echo $$ > \"$0\""]).arg(procs).status().ok()?;
        moved.success().then_some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0); // nothing to do about it
    }
}

#[test]
fn a_capped_run_lives_in_a_group_of_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let pak = at(&folder, "large.pak");
    // for an open device and the driver's compiler, and what the flag allows beside it: less than the weights
    let (device, cap) = (256 * MIB, 64 * MIB);
    let Some(group) = Group::new(device + cap) else {
        eprintln!("skipped: no control group of version 2 with memory can be made here");
        return;
    };
    synthetic(&pak, 1024, 6, 4 << 20);
    let cap = format!("{}MiB", cap / MIB);
    let args = ["--disk-gbps", "1", "--link-gbps", "10", "--vram-gbps", "20", "--prompt-tokens", "8", "-n", "3"];
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.0.join("cgroup.procs"));
    command.arg(fixtures::program(RUN)).arg("bench").arg(&pak).args(args);
    command.args(["--ctx", "64", "--batch", "8", "--ram", &cap]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}
