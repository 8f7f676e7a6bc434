//! Ends guest code from another thread, without any help of that code.
//!
//! Wasmtime can have compiled code ask at every loop and every call whether it shall go on (epochs). Asking took a seventh
//! of the time of a request to FastAPI. Here nothing is asked: a thread whose guest shall end gets a signal, and the
//! signal's handler looks at what was interrupted. A function of the guest's goes on at an instruction that traps, which
//! unwinds it as every trap of the guest does. Anything else (the host, the code by which calls pass between host and guest) goes on
//! as if nothing had been, and the signal comes again a millisecond later.
//!
//! **Why any instruction of the guest will do**, also one that cannot trap by itself: Wasmtime unwinds a trap to where the host
//! has entered the guest, by what it noted then, and looks at no frame in between: backtraces, for which it would, are
//! switched off. What a register held is lost, but so is the isolate: it runs no more after that. And what Wasmtime itself must
//! finish once it has begun is not in functions of the guest's; see [`Text`].

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::{Engine, Module};

use crate::code::Code;

/// Nobody has another use for it, and who does not handle it ignores it.
const SIGNAL: c_int = libc::SIGURG;

/// What traps: `ud2`, or `udf` with the number that Cranelift gives it.
#[cfg(target_arch = "x86_64")]
const TRAP: &[u8] = &[0x0F, 0x0B];
#[cfg(target_arch = "aarch64")]
const TRAP: &[u8] = &[0x1F, 0xC1, 0, 0];

/// `(module (func unreachable))`
const TRAPPING: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0A\x05\x01\x03\0\0\x0B";

thread_local! {
    /// Whether the guest that this thread runs shall end; null when it runs none.
    static CURRENT: Cell<*const AtomicBool> = const { Cell::new(ptr::null()) };
}

/// The compiled code of one module: where it is, and where its functions are in it. The code between them are trampolines:
/// there, what Wasmtime notes of an entry is not complete.
struct Text {
    start: usize,
    length: usize,
    /// Offset and length of each function, in order.
    functions: Box<[(usize, usize)]>,
    next: *const Self,
    /// Keeps the code where it is, for as long as the process lives.
    _code: Arc<Code>,
}

/// Known to the handler, the newest first. Entries are never changed or freed, so a handler can read them at any moment. There are
/// as many as there are modules, and none before the first guest has to be ended.
static TEXTS: AtomicPtr<Text> = AtomicPtr::new(ptr::null_mut());

/// Modules that the handler does not know yet.
static NEW: Mutex<Vec<Weak<Code>>> = Mutex::new(Vec::new());

/// The address of an instruction that traps; 0 as long as the handler is not installed.
static TRAP_AT: AtomicUsize = AtomicUsize::new(0);

/// Notes that guests may run this code.
pub(crate) fn know(code: &Arc<Code>) {
    let mut new = NEW.lock();
    new.retain(|code| code.strong_count() > 0);
    new.push(Arc::downgrade(code));
}

/// A thread that runs a guest.
#[derive(Clone, Copy)]
pub(crate) struct Thread {
    id: libc::pthread_t,
    clock: libc::clockid_t,
}

impl Thread {
    pub(crate) fn current() -> Self {
        let mut clock = libc::CLOCK_THREAD_CPUTIME_ID;
        // SAFETY: these ask about the calling thread, which exists, and write one number, for which there is room. Should
        // it fail, the clock stays that of whoever asks, which spends next to nothing.
        let id = unsafe {
            let id = libc::pthread_self();
            libc::pthread_getcpuclockid(id, &raw mut clock);
            id
        };
        Self { id, clock }
    }

    /// The CPU time that the thread has used; zero for one that has ended.
    pub(crate) fn cpu(self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes a time, for which there is room. A clock that is not there any more is an error, and writes nothing.
        unsafe { libc::clock_gettime(self.clock, &raw mut time) };
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    /// Ends the guest that the thread runs, if that shall end and the thread is in it at this moment.
    ///
    /// # Safety
    /// The thread must exist until this returns.
    pub(crate) unsafe fn interrupt(self) -> Result<(), String> {
        prepare()?;
        // SAFETY: the caller says that the thread exists; the signal's handler is installed.
        match unsafe { libc::pthread_kill(self.id, SIGNAL) } {
            0 => Ok(()),
            error => Err(std::io::Error::from_raw_os_error(error).to_string()),
        }
    }
}

/// While it lives, a signal to this thread ends the guest if `shall_end` says so.
pub(crate) struct Interruptible {
    before: *const AtomicBool,
    _shall_end: Arc<AtomicBool>,
    /// It is this thread's.
    _not_send: PhantomData<*const ()>,
}

impl Interruptible {
    pub(crate) fn new(shall_end: Arc<AtomicBool>) -> Self {
        let before = CURRENT.replace(Arc::as_ptr(&shall_end));
        Self { before, _shall_end: shall_end, _not_send: PhantomData }
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Installs the handler, and tells it what it does not know yet.
fn prepare() -> Result<(), String> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    // Held to the end: only one thread adds to the list.
    let mut new = NEW.lock();
    for code in new.drain(..).filter_map(|code| code.upgrade()) {
        if TRAP_AT.load(Ordering::Relaxed) == 0 {
            TRAP_AT.store(trap(code.module.engine())?, Ordering::Release);
        }
        let text = code.module.text();
        let mut functions: Vec<_> = code.module.functions().map(|f| (f.offset, f.len)).collect();
        functions.sort_unstable();
        let (start, length) = (text.as_ptr().addr(), text.len());
        let next = TEXTS.load(Ordering::Relaxed);
        let text = Text { start, length, functions: functions.into(), next, _code: code };
        TEXTS.store(Box::into_raw(Box::new(text)), Ordering::Release);
    }
    INSTALLED.get_or_init(install).clone()
}

/// Makes code that does nothing but trap. Gives the address at which it does.
fn trap(engine: &Engine) -> Result<usize, String> {
    let module = Module::new(engine, TRAPPING).map_err(|e| format!("{e:#}"))?;
    let function = module.functions().next();
    let at = function.and_then(|function| {
        let code = module.text().get(function.offset..)?.get(..function.len)?;
        let place = code.windows(TRAP.len()).position(|bytes| bytes == TRAP)?;
        code.get(place..).map(|code| code.as_ptr().addr())
    });
    // It may be jumped to as long as there are guests.
    std::mem::forget(module);
    at.ok_or_else(|| "compiled code has no instruction that traps".to_owned())
}

fn install() -> Result<(), String> {
    // SAFETY: zeroes are a valid `sigaction`, of which all fields that matter are set. The handler has the type that `SA_SIGINFO` asks for and
    // does only what handlers may do.
    let installed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(SIGNAL, &raw const action, ptr::null_mut())
    };
    if installed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}

/// Reads what never changes once it is there, and changes nothing but where the interrupted thread goes on.
extern "C" fn on_signal(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let current = CURRENT.get();
    // SAFETY: not null, it is what an `Interruptible` of this thread keeps alive.
    if current.is_null() || !unsafe { &*current }.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the kernel gives handlers with `SA_SIGINFO` this context, and continues with what is in it.
    let counter = unsafe { program_counter(&mut *context.cast::<libc::ucontext_t>()) };
    let Ok(at) = usize::try_from(*counter) else { return };
    let trap = TRAP_AT.load(Ordering::Acquire);
    if trap != 0 && is_guest(at) {
        *counter = trap as _;
    }
}

#[cfg(target_arch = "x86_64")]
fn program_counter(context: &mut libc::ucontext_t) -> &mut libc::greg_t {
    const RIP: usize = libc::REG_RIP as usize;
    &mut context.uc_mcontext.gregs[RIP]
}

#[cfg(target_arch = "aarch64")]
fn program_counter(context: &mut libc::ucontext_t) -> &mut u64 {
    &mut context.uc_mcontext.pc
}

/// Whether the instruction is one of a function of a guest's.
fn is_guest(at: usize) -> bool {
    let mut text = TEXTS.load(Ordering::Acquire).cast_const();
    // SAFETY: not null, it points to an entry, which is complete before it can be found and lives as long as the process.
    while let Some(Text { start, length, functions, next, .. }) = unsafe { text.as_ref() } {
        let offset = at.wrapping_sub(*start);
        if offset < *length {
            let after = functions.partition_point(|(begin, _)| *begin <= offset);
            let function = after.checked_sub(1).and_then(|last| functions.get(last));
            return function.is_some_and(|(begin, length)| offset - begin < *length);
        }
        text = *next;
    }
    false
}
