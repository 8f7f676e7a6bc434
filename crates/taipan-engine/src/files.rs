//! Files of the host's, read into the guest's memory.
//!
//! A read copies what was asked for from the kernel's page cache, which all processes share, straight to its place. What Python maps is the
//! file's own pages, private and copied when they are written to, so that only what is touched takes memory. The kernel allows a
//! process some 65,000 mappings, which isolates live on, and small ones save nothing: few and large ones are made.

use rustix::mm::{MapFlags, ProtFlags, mmap};
use wasmtime::{AsContextMut, Caller, Linker, Result, Store};

use crate::calls::guest;
use crate::state::State;

/// The smallest mapping, in bytes.
const SMALLEST: u32 = 1 << 20;

/// How many an isolate may have at the same time.
const MOST: usize = 16;

const PAGE: u32 = 4096;

/// A range of the linear memory with pages of a file, or where such a range was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapped {
    start: u32,
    length: u32,
}

pub(crate) fn define(linker: &mut Linker<State>, module: &str) -> Result<()> {
    linker.func_wrap(module, "read_at", read_at)?;
    linker.func_wrap(module, "map_at", map_at)?;
    Ok(())
}

fn read_at(
    mut c: Caller<'_, State>,
    volume: u32,
    path: u32,
    length: u32,
    position: f64,
    to: u32,
    room: u32,
) -> Result<i64> {
    let guest = guest(&c)?;
    let path = guest.text(&c, path, length)?;
    // Checked here, since the memory and the operations are borrowed together below.
    guest.bytes(&c, to, room)?;
    let (memory, state) = guest.memory.data_and_store_mut(&mut c);
    let start = to as usize;
    let to = memory.get_mut(start..start.saturating_add(room as usize)).unwrap_or_default();
    let read = state.ops.read_file(volume, &path, position as u64, to);
    Ok(read.ok().and_then(|count| i64::try_from(count).ok()).unwrap_or(-1))
}

/// Maps whole pages; what is left of the range has to be read.
fn map_at(
    mut c: Caller<'_, State>,
    volume: u32,
    path: u32,
    length: u32,
    position: f64,
    at: u32,
    size: u32,
) -> Result<u32> {
    let guest = guest(&c)?;
    let position = position as u64;
    let end = at.checked_add(size);
    c.data_mut().mapped.retain(|old| end.is_some_and(|end| old.start >= end || old.end() <= at));
    if size < SMALLEST
        || !at.is_multiple_of(PAGE)
        || !position.is_multiple_of(u64::from(PAGE))
        || c.data().mapped.len() >= MOST
    {
        return Ok(0);
    }
    let path = guest.text(&c, path, length)?;
    let Some((file, bytes)) = c.data_mut().ops.fixed_file(volume, &path) else { return Ok(0) };
    let left = u32::try_from(bytes.saturating_sub(position)).unwrap_or(u32::MAX);
    let length = size.min(left) / PAGE * PAGE;
    if length < SMALLEST {
        return Ok(0);
    }
    let place = guest.bytes_mut(&mut c, at, length)?.as_mut_ptr();
    // SAFETY: the range was just checked to lie within the guest's memory, whose pages Wasmtime has mapped readable and writable, gives to
    // nobody else and unmaps as a whole when the store is dropped. No reference into them is alive. The mapping is private, and
    // the file has the pages and never changes (`Ops::fixed_file`).
    let done = unsafe {
        mmap(
            place.cast(),
            length as usize,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::FIXED,
            &file,
            position,
        )
    };
    if done.is_err() {
        // A failure may have unmapped what was there.
        return Err(wasmtime::Error::msg("cannot map a file"));
    }
    c.data_mut().mapped.push(Mapped { start: at, length });
    Ok(length)
}

impl Mapped {
    fn end(self) -> u32 {
        self.start.saturating_add(self.length)
    }
}

/// Makes mapped pages the memory's own, as a snapshot has those alone.
pub(crate) fn own(store: &mut Store<State>) -> Result<()> {
    let guest = guest(&*store)?;
    let mapped = std::mem::take(&mut store.data_mut().mapped);
    let memory = guest.memory.data_mut(store.as_context_mut());
    for range in mapped {
        let range = memory.get_mut(range.start as usize..range.end() as usize).unwrap_or_default();
        for page in range.chunks_mut(PAGE as usize) {
            if let Some(first) = page.first_mut() {
                // A write of what is there is one, too.
                *std::hint::black_box(&mut *first) = std::hint::black_box(*first);
            }
        }
    }
    Ok(())
}
