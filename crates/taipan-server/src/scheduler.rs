//! What all Workers of a process share: the threads that isolates run on, the clock that wakes them, and how many isolates
//! there may be.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::egress::{Egress, Policy, TlsClient};
use crate::executor::{self, Executor};
use crate::pool::Pool;
use crate::web_socket::Dialer;

/// An isolate's mappings: its memory, guard regions and the runs of pages of its snapshot. A small Worker has 23.
const MAPPINGS_PER_ISOLATE: usize = 40;

/// Mappings that the process needs for itself.
const OTHER_MAPPINGS: usize = 2048;

/// Physical memory that an idle isolate of a small Worker takes, in bytes, with room for those that are not idle.
const MEMORY_PER_ISOLATE: usize = 4 << 20;

/// How often it is said that isolates are missing.
const REPEAT: Duration = Duration::from_secs(60);

/// How many isolates a process may have at the same time, and why not more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsolateCap {
    /// The number; at least 1.
    pub isolates: usize,
    /// What it comes from.
    pub reason: CapReason,
}

/// Where an [`IsolateCap`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapReason {
    /// Somebody said so.
    Chosen,
    /// The kernel's limit of mappings for a process (`vm.max_map_count`).
    Mappings {
        /// The limit.
        limit: usize,
    },
    /// The machine's physical memory.
    Memory,
}

impl IsolateCap {
    /// A number that somebody chose.
    pub fn chosen(isolates: usize) -> Self {
        Self { isolates: isolates.max(1), reason: CapReason::Chosen }
    }

    /// What this machine can hold. Generous where it does not say.
    pub fn of_machine() -> Self {
        let number = |path: &str, find: fn(&str) -> Option<&str>| {
            let text = fs_err::read_to_string(path).ok()?;
            find(&text)?.trim().parse::<usize>().ok()
        };
        let mappings = number("/proc/sys/vm/max_map_count", |text| Some(text));
        let memory_kib = number("/proc/meminfo", |text| {
            text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.strip_suffix("kB")
        });
        Self::of(mappings, memory_kib.map(|kib| kib << 10))
    }

    /// From a limit of mappings, and physical memory in bytes.
    fn of(mappings: Option<usize>, memory: Option<usize>) -> Self {
        const WITHOUT_LIMIT: usize = 1000;
        let by_mappings = mappings.map(|limit| Self {
            isolates: limit.saturating_sub(OTHER_MAPPINGS) / MAPPINGS_PER_ISOLATE,
            reason: CapReason::Mappings { limit },
        });
        let by_memory =
            memory.map(|bytes| Self { isolates: bytes / 2 / MEMORY_PER_ISOLATE, reason: CapReason::Memory });
        let cap = by_mappings.into_iter().chain(by_memory).min_by_key(|cap| cap.isolates);
        let cap = cap.unwrap_or(Self { isolates: WITHOUT_LIMIT, reason: CapReason::Memory });
        Self { isolates: cap.isolates.max(1), ..cap }
    }

    /// What to do when it is too low.
    pub fn advice(&self) -> String {
        match self.reason {
            CapReason::Chosen => "allow more with --max-isolates".to_owned(),
            CapReason::Mappings { limit } => {
                format!(
                    "let the kernel give a process more mappings: sysctl -w vm.max_map_count={}",
                    limit * 4
                )
            }
            CapReason::Memory => {
                "they are limited by the machine's memory: allow more with --max-isolates if it has room"
                    .to_owned()
            }
        }
    }
}

/// Runs the isolates of all Workers.
pub struct Scheduler {
    pub(crate) executor: Arc<Executor>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) cores: usize,
    /// For the WebSockets that Workers open; none when there is no executor.
    pub(crate) dialer: Option<Arc<Dialer>>,
    /// For the requests that they make; none when there is no executor.
    pub(crate) egress: Option<Arc<Egress>>,
    cap: IsolateCap,
    isolates: AtomicUsize,
    pools: Mutex<Vec<Weak<Pool>>>,
    missed: Mutex<Option<Instant>>,
}

impl Scheduler {
    /// A scheduler without threads yet but the clock's; fails when the system has none for that. Its isolates may connect to what
    /// the policy allows.
    pub fn new(cap: IsolateCap, policy: Policy) -> io::Result<Arc<Self>> {
        let tls = Arc::new(TlsClient::default());
        let cores = executor::cores();
        let clock = Arc::new(Clock::start()?);
        let executor = Executor::new(cores, clock.clone());
        Ok(Arc::new(Self {
            executor,
            clock,
            cores,
            dialer: Dialer::new(policy, tls.clone()),
            egress: Egress::new(policy, tls),
            cap,
            isolates: AtomicUsize::new(0),
            pools: Mutex::default(),
            missed: Mutex::default(),
        }))
    }

    /// How many isolates there are, those included that are being started.
    pub fn isolates(&self) -> usize {
        self.isolates.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|other| other.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Takes the place of one isolate, if there is one left.
    pub(crate) fn acquire(&self) -> bool {
        let more = |n| (n < self.cap.isolates).then_some(n + 1);
        self.isolates.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn release(&self) {
        self.isolates.fetch_sub(1, Ordering::Relaxed);
    }

    /// Somebody found no place: the isolate that has been idle for longest makes room. What to tell the operator, now
    /// and then.
    pub(crate) fn make_room(self: &Arc<Self>) -> Option<String> {
        let scheduler = self.clone();
        // Not here: the caller holds its pool's lock, and every pool is looked at.
        self.executor.run(move || scheduler.drop_longest_idle());
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.is_some_and(|at| at.elapsed() < REPEAT) {
            return None;
        }
        *missed = Some(Instant::now());
        Some(format!(
            "all {} isolates that this process may have are in use, so requests may have to wait; {}",
            self.cap.isolates,
            self.cap.advice()
        ))
    }

    fn drop_longest_idle(&self) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pools: Vec<_> = pools.iter().filter_map(Weak::upgrade).collect();
        let idle = pools.iter().filter_map(|pool| Some((pool.idle_since()?, pool)));
        if let Some((_, pool)) = idle.min_by_key(|(since, _)| *since) {
            pool.drop_longest_idle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_resource_limits() {
        let cap = IsolateCap::of(Some(65530), Some(24 << 30));
        assert_eq!(cap, IsolateCap { isolates: 1587, reason: CapReason::Mappings { limit: 65530 } });
        assert!(cap.advice().contains("sysctl -w vm.max_map_count=262120"), "{}", cap.advice());
        let cap = IsolateCap::of(Some(1 << 20), Some(1 << 30));
        assert_eq!(cap, IsolateCap { isolates: 128, reason: CapReason::Memory });
        assert_eq!(IsolateCap::of(Some(100), None).isolates, 1);
        assert!(IsolateCap::of_machine().isolates >= 1);
    }
}
