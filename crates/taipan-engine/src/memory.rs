//! The guest's memory as the host sees it. Addresses come from the guest and can be anything: every access is checked.

use wasmtime::{AsContext, AsContextMut, Caller, Result};

use crate::state::{Guest, State, count};

/// The guest named memory that it does not have. Only a broken shim does that: the isolate ends.
fn out_of_bounds() -> wasmtime::Error {
    wasmtime::Error::msg("the engine passed an address outside of its memory")
}

impl Guest {
    pub(crate) fn bytes<'a>(
        &self,
        store: &'a impl AsContext<Data = State>,
        at: u32,
        length: u32,
    ) -> Result<&'a [u8]> {
        let start = at as usize;
        self.memory
            .data(store.as_context())
            .get(start..start.saturating_add(length as usize))
            .ok_or_else(out_of_bounds)
    }

    pub(crate) fn bytes_mut<'a>(
        &self,
        store: &'a mut Caller<'_, State>,
        at: u32,
        length: u32,
    ) -> Result<&'a mut [u8]> {
        let start = at as usize;
        self.memory
            .data_mut(store)
            .get_mut(start..start.saturating_add(length as usize))
            .ok_or_else(out_of_bounds)
    }

    pub(crate) fn write(
        &self,
        mut store: impl AsContextMut<Data = State>,
        at: u32,
        bytes: &[u8],
    ) -> Result<()> {
        let start = at as usize;
        self.memory
            .data_mut(&mut store)
            .get_mut(start..start.saturating_add(bytes.len()))
            .ok_or_else(out_of_bounds)?
            .copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn read_u64(&self, store: &impl AsContext<Data = State>, at: u32) -> Result<u64> {
        let bytes = self.bytes(store, at, 8)?;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| out_of_bounds())
    }

    /// Text from the guest; what is not UTF-8 is replaced.
    pub(crate) fn text(&self, store: &impl AsContext<Data = State>, at: u32, length: u32) -> Result<String> {
        Ok(String::from_utf8_lossy(self.bytes(store, at, length)?).into_owned())
    }

    /// Copies bytes into a new block from the guest's `malloc`, followed by a zero byte; the guest frees it.
    pub(crate) fn place(&self, mut store: impl AsContextMut<Data = State>, bytes: &[u8]) -> Result<u32> {
        let length = u32::try_from(bytes.len()).map_err(|_| out_of_memory())?;
        let at = self.malloc.call(&mut store, length.saturating_add(1))?;
        if at == 0 {
            return Err(out_of_memory());
        }
        self.write(&mut store, at, bytes)?;
        self.write(&mut store, at.saturating_add(length), &[0])?;
        Ok(at)
    }

    /// As [`Self::place`], and writes address and length at `out` (the shim's `Block`).
    pub(crate) fn place_block(
        &self,
        mut store: impl AsContextMut<Data = State>,
        bytes: &[u8],
        out: u32,
    ) -> Result<()> {
        let at = self.place(&mut store, bytes)?;
        self.write(&mut store, out, &at.to_le_bytes())?;
        self.write(&mut store, out.saturating_add(4), &count(bytes.len()).to_le_bytes())
    }
}

fn out_of_memory() -> wasmtime::Error {
    crate::stop::Stop::OutOfMemory.into()
}
