//! The pages of a snapshot, layer upon layer, and how they become an isolate's memory.
//!
//! A layer stores the pages that differ from the layer below; the lowest one stores those that are not zero. Long runs of
//! pages are mapped from their file, copy-on-write, and shared by all isolates until they are written to. Each mapping
//! costs the kernel an object of which it allows a process some 65,000, and a layer above changes a word here and there in
//! hundreds of places: short runs are therefore copied.
//!
//! The working set ([`super::working_set`]), once it is known, is there before it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::{Arc, OnceLock};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap};
use wasmtime::{Memory, Result, Store};

use super::Frozen;
use super::working_set::{self, WorkingSet};
use crate::state::{State, count};
use crate::view::View;

pub(super) const PAGE: usize = 4096;

/// Runs of the lowest layer are joined over up to so many zero pages: three mappings are left of nine.
const JOIN: u32 = 64;

/// Runs of an upper layer that are at least this long are mapped.
const MAP_AT: u32 = 16;

/// What identifies a layer and all that is below it.
pub(crate) type Digest = [u8; 32];

static ZEROS: [u8; PAGE] = [0; PAGE];

/// A run of pages that a layer stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) memory_page: u32,
    pub(super) file_page: u32,
    pub(super) pages: u32,
}

/// A run of pages of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) pages: u32,
}

impl Run {
    /// Runs of ascending page numbers.
    pub(super) fn collect(pages: impl Iterator<Item = u32>) -> Vec<Self> {
        let mut runs: Vec<Self> = vec![];
        for page in pages {
            match runs.last_mut() {
                Some(run) if run.first + run.pages == page => run.pages += 1,
                _ => runs.push(Self { first: page, pages: 1 }),
            }
        }
        runs
    }
}

/// One file's pages.
pub(super) struct Layer {
    pub(super) file: File,
    pub(super) view: View,
    pub(super) extents: Vec<Extent>,
}

impl Layer {
    fn page(&self, file_page: u32) -> Option<&[u8]> {
        self.view.bytes().get(file_page as usize * PAGE..)?.get(..PAGE)
    }

    /// Where it stores a page of memory.
    fn find(&self, page: u32) -> Option<u32> {
        let after = self.extents.partition_point(|extent| extent.memory_page <= page);
        let extent = self.extents.get(after.checked_sub(1)?)?;
        let within = page - extent.memory_page;
        (within < extent.pages).then(|| extent.file_page.saturating_add(within))
    }
}

struct Mapping {
    layer: usize,
    extent: Extent,
}

struct Copied {
    layer: usize,
    file_page: u32,
}

/// All layers of a snapshot.
pub(crate) struct Image {
    pub(crate) digest: Digest,
    /// What is not in memory.
    pub(crate) frozen: Arc<Frozen>,
    /// The lowest first.
    layers: Vec<Arc<Layer>>,
    /// In this order: a later one replaces what it overlaps.
    mappings: Vec<Mapping>,
    /// By page of memory, over the mappings.
    copies: BTreeMap<u32, Copied>,
    working_set: OnceLock<WorkingSet>,
    below: Option<Arc<Image>>,
}

impl Image {
    pub(super) fn new(below: Option<Arc<Image>>, top: Layer, digest: Digest, frozen: Frozen) -> Self {
        let mut layers = below.as_ref().map_or_else(Vec::new, |b| b.layers.clone());
        layers.push(Arc::new(top));
        let mut mappings = vec![];
        let mut copies = BTreeMap::new();
        for (number, layer) in layers.iter().enumerate() {
            for extent in &layer.extents {
                let pages = extent.memory_page..extent.memory_page.saturating_add(extent.pages);
                if number == 0 || extent.pages >= MAP_AT {
                    for page in copies.range(pages).map(|(page, _)| *page).collect::<Vec<_>>() {
                        copies.remove(&page);
                    }
                    mappings.push(Mapping { layer: number, extent: *extent });
                } else {
                    for (page, file_page) in pages.zip(extent.file_page..) {
                        copies.insert(page, Copied { layer: number, file_page });
                    }
                }
            }
        }
        let frozen = Arc::new(frozen);
        Self { digest, frozen, layers, mappings, copies, working_set: OnceLock::new(), below }
    }

    /// A page as it is.
    fn page(&self, page: u32) -> &[u8] {
        let stored = self.layers.iter().rev().find_map(|layer| layer.page(layer.find(page)?));
        stored.unwrap_or(&ZEROS)
    }

    /// What a layer with this memory has to store, which is that of an isolate of the layer below; without one, what is not
    /// zero.
    pub(super) fn changes(below: Option<&Self>, memory: &[u8]) -> Vec<Run> {
        let differs = |before: &[u8], page: u32| {
            let start = page as usize * PAGE;
            let bytes = memory.get(start..memory.len().min(start + PAGE)).unwrap_or_default();
            before.get(..bytes.len()).is_none_or(|before| before != bytes)
        };
        let Some(below) = below else {
            let pages = 0..count(memory.len().div_ceil(PAGE));
            return join(&Run::collect(pages.filter(|page| differs(&ZEROS, *page))));
        };
        let pages = working_set::touched(memory).into_iter();
        Run::collect(pages.filter(|page| differs(below.page(*page), *page)))
    }

    /// The lowest layer alone.
    pub(crate) fn lowest(self: &Arc<Self>) -> Arc<Self> {
        self.below.as_ref().map_or_else(|| self.clone(), Self::lowest)
    }

    /// Maps the lowest layer, which this is, into a memory that nobody has written to. `ahead`: nobody waits for it, so
    /// that what will be read can be entered in the page table now.
    pub(super) fn map_lowest(&self, store: &mut Store<State>, memory: Memory, ahead: bool) -> Result<()> {
        self.map(store, memory, |mapping| mapping.layer == 0)?;
        let Some(working_set) = self.working_set.get() else { return Ok(()) };
        advise(store, memory, &working_set.written, Advice::LinuxPopulateWrite);
        if ahead {
            advise(store, memory, &working_set.read, Advice::LinuxPopulateRead);
        }
        Ok(())
    }

    /// Completes a memory that has the lowest layer.
    pub(super) fn map_rest(self: &Arc<Self>, store: &mut Store<State>, memory: Memory) -> Result<()> {
        self.map(store, memory, |mapping| mapping.layer > 0)?;
        let mut pages: BTreeSet<u32> = self.written().chain(self.copies.keys().copied()).collect();
        for done in self.lowest().written() {
            pages.remove(&done);
        }
        advise(store, memory, &Run::collect(pages.into_iter()), Advice::LinuxPopulateWrite);
        let bytes = memory.data_mut(&mut *store);
        for (page, Copied { layer, file_page }) in &self.copies {
            let source = self.layers.get(*layer).and_then(|l| l.page(*file_page)).ok_or_else(lost)?;
            let start = *page as usize * PAGE;
            bytes.get_mut(start..start + PAGE).ok_or_else(lost)?.copy_from_slice(source);
        }
        Ok(())
    }

    /// The pages of the working set that are written to.
    fn written(&self) -> impl Iterator<Item = u32> + use<'_> {
        let runs = self.working_set.get().into_iter().flat_map(|set| &set.written);
        runs.flat_map(|run| run.first..run.first.saturating_add(run.pages))
    }

    fn map(&self, store: &mut Store<State>, memory: Memory, wanted: impl Fn(&Mapping) -> bool) -> Result<()> {
        let size = memory.data_size(&*store);
        let base = memory.data_ptr(&*store);
        for Mapping { layer, extent } in self.mappings.iter().filter(|m| wanted(m)) {
            let layer = self.layers.get(*layer).ok_or_else(lost)?;
            let start = extent.memory_page as usize * PAGE;
            let length = extent.pages as usize * PAGE;
            if start.checked_add(length).is_none_or(|end| end > size) {
                return Err(lost());
            }
            // SAFETY: the range was just checked to lie within this memory, whose pages Wasmtime has mapped readable and
            // writable, gives to nobody else and unmaps as a whole when the store is dropped. No reference into them is
            // alive: the store is borrowed mutably. The file is never changed in place (snapshots are replaced by
            // renaming), and the mapping is private.
            unsafe {
                mmap(
                    base.add(start).cast(),
                    length,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE | MapFlags::FIXED,
                    &layer.file,
                    u64::from(extent.file_page) * PAGE as u64,
                )
            }
            .map_err(|e| wasmtime::Error::msg(format!("cannot map the snapshot's image: {e}")))?;
        }
        Ok(())
    }

    pub(super) fn has_learned(&self) -> bool {
        self.working_set.get().is_some()
    }

    /// Takes the working set of an isolate as that of all layers that have none.
    pub(super) fn learn(&self, working_set: &WorkingSet) {
        // The first that comes is as good as any.
        let _ = self.working_set.set(working_set.clone());
        if let Some(below) = &self.below {
            below.learn(working_set);
        }
    }
}

fn lost() -> wasmtime::Error {
    wasmtime::Error::msg("the snapshot does not fit the runtime: image")
}

/// Advises the kernel to do now what it would do page by page. Kernels older than 5.14 do not know how.
fn advise(store: &mut Store<State>, memory: Memory, runs: &[Run], advice: Advice) {
    let size = memory.data_size(&*store);
    let base = memory.data_ptr(&*store);
    for run in runs {
        let start = run.first as usize * PAGE;
        let length = run.pages as usize * PAGE;
        if start.checked_add(length).is_none_or(|end| end > size) {
            continue;
        }
        // SAFETY: the range lies within this memory, which Wasmtime has mapped and unmaps when the store is dropped. The
        // advice is one of those that change no content.
        let _ = unsafe { madvise(base.add(start).cast(), length, advice) };
    }
}

fn join(runs: &[Run]) -> Vec<Run> {
    let mut joined: Vec<Run> = vec![];
    for run in runs {
        match joined.last_mut() {
            Some(last) if run.first <= last.first + last.pages + JOIN => {
                last.pages = run.first + run.pages - last.first;
            }
            _ => joined.push(*run),
        }
    }
    joined
}

/// Gives runs their places in a file whose next free page is `next`.
pub(super) fn place(runs: &[Run], mut next: u32) -> Vec<Extent> {
    let mut extents = Vec::with_capacity(runs.len());
    for run in runs {
        extents.push(Extent { memory_page: run.first, file_page: next, pages: run.pages });
        next = next.saturating_add(run.pages);
    }
    extents
}
