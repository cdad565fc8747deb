//! What a process has cost so far, as the kernel tells it.

use std::fs;

/// `getconf CLK_TCK` on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process in seconds (proc(5), fields 14 and 15 of stat).
pub fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, after_name) = stat.rsplit_once(')').expect("a name in brackets");
    let field = |n: usize| after_name.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok());
    (field(11).expect("utime") + field(12).expect("stime")) / TICKS_PER_SECOND
}

/// A line of /proc/PID/status (`VmHWM`, `VmRSS`) in MB.
pub fn megabytes(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).expect("the line");
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).expect("kB") / 1024.0
}
