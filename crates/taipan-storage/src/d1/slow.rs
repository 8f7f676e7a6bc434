//! Statements that have taken long on the spot, where they are not tried for a while.
//!
//! Most of them SQLite stops in time, and they have only cost it in vain. But it does not look at the clock within a step of its
//! machine, which full-text search can make a long one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Statement;
use crate::sqlite::LONGEST_NEAR;

/// A statement may be slow because the machine was busy, or fast the next time.
const MEMORY: Duration = Duration::from_secs(1);

/// So many are remembered at most, and no longer ones.
const MOST: usize = 64;
const LONGEST_SQL: usize = 4096;

/// SQL, and until when it is not tried.
#[derive(Default)]
pub(super) struct Slow(Mutex<HashMap<String, Instant>>);

impl Slow {
    /// Whether one of them is not tried now.
    pub(super) fn has(&self, statements: &[Statement], now: Instant) -> bool {
        let known = self.0.lock();
        !known.is_empty() && statements.iter().any(|s| known.get(&s.sql).is_some_and(|until| now < *until))
    }

    /// Notes those that took from `begun` to `ended`, if that was long.
    pub(super) fn note(&self, statements: &[Statement], begun: Instant, ended: Instant) {
        if ended.saturating_duration_since(begun) < LONGEST_NEAR {
            return;
        }
        let mut known = self.0.lock();
        for statement in statements.iter().filter(|statement| statement.sql.len() <= LONGEST_SQL) {
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(statement.sql.clone(), ended + MEMORY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_not_tried_for_a_while() {
        let slow = Slow::default();
        let begun = Instant::now();
        let [short, long] = ["short", "long"].map(|sql| [Statement { sql: sql.into(), params: vec![] }]);
        slow.note(&short, begun, begun + LONGEST_NEAR / 2);
        let ended = begun + LONGEST_NEAR;
        slow.note(&long, begun, ended);
        assert!(!slow.has(&short, ended) && slow.has(&long, ended));
        assert!(!slow.has(&long, ended + MEMORY));
        for i in 0..10_000 {
            slow.note(&[Statement { sql: i.to_string(), params: vec![] }], begun, ended);
        }
        assert!(slow.0.lock().len() <= MOST);
    }
}
