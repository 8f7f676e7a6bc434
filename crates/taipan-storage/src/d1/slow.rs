//! Statements that have taken long on the spot, where they are not tried for a while.
//!
//! Most of them SQLite stops in time, and they have only cost it in vain. But it does not look at the clock within a step of its
//! machine, which full-text search can make a long one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Statement;
use crate::sqlite::LONGEST_NEAR;

/// So often in a row a statement has to be slow: once may be because the machine was busy, or pages were in no cache.
const TIMES: u32 = 3;

/// It may be fast the next time.
const MEMORY: Duration = Duration::from_secs(1);

/// So many are remembered at most, and no longer ones.
const MOST: usize = 64;
const LONGEST_SQL: usize = 4096;

/// SQL, how often it was slow, and until when it is not tried if that was often enough.
#[derive(Default)]
pub(super) struct Slow(Mutex<HashMap<String, (u32, Instant)>>);

impl Slow {
    /// Whether one of them is not tried now.
    pub(super) fn has(&self, statements: &[Statement], now: Instant) -> bool {
        let known = self.0.lock();
        let is_slow = |(times, until): &(u32, Instant)| *times >= TIMES && now < *until;
        !known.is_empty() && statements.iter().any(|s| known.get(&s.sql).is_some_and(is_slow))
    }

    /// Notes how long they took, from `begun` to `ended`.
    pub(super) fn note(&self, statements: &[Statement], begun: Instant, ended: Instant) {
        let is_slow = ended.saturating_duration_since(begun) >= LONGEST_NEAR;
        let mut known = self.0.lock();
        if !is_slow && known.is_empty() {
            return;
        }
        for statement in statements.iter().filter(|statement| statement.sql.len() <= LONGEST_SQL) {
            if !is_slow {
                known.remove(&statement.sql);
                continue;
            }
            if known.len() >= MOST {
                known.clear();
            }
            let (times, until) = known.entry(statement.sql.clone()).or_insert((0, ended));
            *times = times.saturating_add(1);
            *until = ended + MEMORY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_again_and_again_is_not_tried_for_a_while() {
        let slow = Slow::default();
        let begun = Instant::now();
        let ended = begun + LONGEST_NEAR;
        let [short, long] = ["short", "long"].map(|sql| [Statement { sql: sql.into(), params: vec![] }]);
        slow.note(&short, begun, begun + LONGEST_NEAR / 2);
        for _ in 0..2 {
            // Once fast, it counts from the beginning.
            slow.note(&long, begun, begun);
            for _ in 0..TIMES {
                assert!(!slow.has(&long, ended));
                slow.note(&long, begun, ended);
            }
            assert!(!slow.has(&short, ended) && slow.has(&long, ended));
            assert!(!slow.has(&long, ended + MEMORY));
        }
        for i in 0..10_000 {
            slow.note(&[Statement { sql: i.to_string(), params: vec![] }], begun, ended);
        }
        assert!(slow.0.lock().len() <= MOST);
    }
}
