//! The clocks of the main module, which asks the host for them itself: a program looks at a clock more often than it does anything else
//! that the main module imports.
//!
//! JavaScript's `Date` and `performance` show the same clocks. The monotonic one is the isolate's: a restored isolate's goes on from
//! where its snapshot was taken.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime::{Caller, Linker, Result};

use crate::state::State;

type C<'a> = Caller<'a, State>;

/// WASI's numbers of clocks, and of its error for others.
const REALTIME: i32 = 0;
const LAST: i32 = 3;
const NO_SUCH_CLOCK: i32 = 28;

/// What the glue has under these names, done here. Says whether there is such an import.
pub(crate) fn define(linker: &mut Linker<State>, module: &str, name: &str) -> Result<bool> {
    match name {
        "emscripten_date_now" => linker.func_wrap(module, name, |_: C<'_>| milliseconds(wall()))?,
        "emscripten_get_now" => {
            linker.func_wrap(module, name, |c: C<'_>| milliseconds(monotonic(c.data())))?
        }
        "clock_time_get" => linker.func_wrap(module, name, clock_time_get)?,
        _ => return Ok(false),
    };
    Ok(true)
}

/// Since 1970. A clock before that is a machine's mistake that guests need not die of.
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Since the isolate's start, or that of the one which its snapshot was taken of.
pub(crate) fn monotonic(state: &State) -> Duration {
    state.started.elapsed()
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn clock_time_get(mut c: C<'_>, clock: i32, _precision: i64, out: u32) -> Result<i32> {
    let time = match clock {
        REALTIME => wall(),
        // The CPU's time of process and thread is not known to the guest.
        1..=LAST => monotonic(c.data()),
        _ => return Ok(NO_SUCH_CLOCK),
    };
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let memory = c.data().memory.ok_or_else(|| wasmtime::Error::msg("there is no memory yet"))?;
    memory.write(&mut c, out as usize, &nanoseconds.to_le_bytes())?;
    Ok(0)
}
