//! The boundary to JavaScript: conversions and nothing else, in the order and with the names of `ts/native/native.ts`.
//!
//! Hot calls are free functions on a numeric handle: a class method costs ten times as much. Nothing asynchronous crosses;
//! an operation's answer is a record of a later drain.

#![expect(
    clippy::needless_pass_by_value,
    reason = "a JavaScript string arrives as a String; napi knows no borrowed one"
)]

mod calls;
mod drain;
mod json;
mod logs;
mod shared;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use napi::{
    Env, JsString,
    bindgen_prelude::{BufferSlice, Either, External, Function, Uint8ArraySlice, Uint32ArraySlice},
    threadsafe_function::ThreadsafeFunctionCallMode,
};
use napi_derive::napi;

use crate::{
    Config, Error,
    engine::{Engine, large::Large},
    model::frame::{Kind, MAX_CHUNK},
    util::{sync::lock, ulids::next_ulid},
};

type Result<T> = napi::Result<T>;

/// An engine, its records that are ready to be drained, and the bytes and large chunks of the last drain.
struct OpenEngine {
    engine: Engine,
    ready: Mutex<drain::Ready>,
    left: Mutex<drain::Left>,
}

/// The engines of all JavaScript threads of the process.
static ENGINES: Mutex<Option<HashMap<u32, Arc<OpenEngine>>>> = Mutex::new(None);

fn engine(handle: u32) -> Result<Arc<OpenEngine>> {
    let found = lock(&ENGINES)
        .as_ref()
        .and_then(|engines| engines.get(&handle).cloned());
    found.ok_or_else(|| Error::Closed.into())
}

impl From<Error> for napi::Error {
    fn from(error: Error) -> Self {
        Self::from_reason(json::error(&error, None).to_string())
    }
}

/// Makes an engine and returns its handle. Errors of this and all functions below carry a `NativeError` JSON as their message.
#[napi(catch_unwind)]
pub fn open(env: Env, config: String, wake: Function<'_, (), ()>) -> Result<u32> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let config: Config =
        serde_json::from_str(&config).map_err(|error| Error::invalid("options", error.to_string()))?;
    // Weak: a waiting engine must not keep the process. One in the queue is enough: it drains everything.
    let wake = wake
        .build_threadsafe_function::<()>()
        .weak::<true>()
        .callee_handled::<false>()
        .max_queue_size::<1>()
        .build()?;
    let woken = Arc::new(OnceLock::<Weak<OpenEngine>>::new());
    let wakes = woken.clone();
    let wake = move || {
        if let Some(open) = wakes.get().and_then(Weak::upgrade) {
            lock(&open.ready).gather(&open.engine);
        }
        wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    };
    let engine = Engine::open(config, Box::new(wake))?;
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    let open = Arc::new(OpenEngine {
        engine,
        ready: Mutex::new(drain::Ready::new()),
        left: Mutex::default(),
    });
    // Nothing else sets it.
    let _ = woken.set(Arc::downgrade(&open));
    lock(&ENGINES).get_or_insert_default().insert(handle, open);
    // A worker that is terminated, or a process that exits, never calls `dispose`.
    env.add_env_cleanup_hook(handle, dispose)?;
    Ok(handle)
}

/// Starts an operation by its name; the answer is a record with this request number.
#[napi(catch_unwind)]
pub fn call(engine_handle: u32, request: u32, operation: String, args: String) -> Result<()> {
    let open = engine(engine_handle)?;
    Ok(calls::start(&open.engine, request, &operation, &args)?)
}

/// Queues the chunks of one turn of the event loop.
#[napi(catch_unwind)]
pub fn write(
    engine_handle: u32,
    mut words: Uint32ArraySlice<'_>,
    chunks: u32,
    arena: Uint8ArraySlice<'_>,
) -> Result<()> {
    let open = engine(engine_handle)?;
    // SAFETY: JavaScript is suspended in this call, and nothing else refers to the array's memory.
    let words = unsafe { words.as_mut() };
    let mut at = 0;
    for pair in words.chunks_exact_mut(2).take(chunks as usize) {
        let [producer, tag] = pair else { break };
        let length = (*tag >> 2) as usize;
        let data = arena.get(at..at + length);
        let data = data.ok_or_else(|| Error::internal("a write beyond its arena"))?;
        at += length;
        let kind = Kind::of(*tag & 2 != 0, data);
        let queued = open.engine.write(*producer, kind, data, *tag & 1 != 0);
        *producer = u32::try_from(queued.depth).unwrap_or(u32::MAX);
        *tag = u32::from(queued.may_wait);
    }
    open.engine.written(chunks as usize);
    Ok(())
}

/// Begins the appends to logs, and the pages, of one turn of the event loop.
#[napi(catch_unwind)]
pub fn begin(
    engine_handle: u32,
    words: Uint32ArraySlice<'_>,
    args: String,
    arena: Uint8ArraySlice<'_>,
) -> Result<()> {
    let open = engine(engine_handle)?;
    Ok(calls::begin(&open.engine, &words, &args, &arena)?)
}

/// The cost of a producer's queue.
#[napi(catch_unwind)]
pub fn depth(engine_handle: u32, producer: u32) -> Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a queue is smaller than 2^53 bytes")]
    Ok(engine(engine_handle)?.engine.depth(producer) as f64)
}

/// Opens a subscription and returns its handle.
#[napi(catch_unwind)]
pub fn subscribe(engine_handle: u32, args: String) -> Result<u32> {
    let open = engine(engine_handle)?;
    Ok(calls::subscribe(&open.engine, &args)?)
}

/// Allows a subscription to deliver more.
#[napi(catch_unwind)]
pub fn credit(engine_handle: u32, subscription: u32, cost: u32) -> Result<()> {
    engine(engine_handle)?
        .engine
        .credit(subscription, u64::from(cost));
    Ok(())
}

/// Makes room in a subscription's window.
#[napi(catch_unwind)]
pub fn acknowledge(engine_handle: u32, subscription: u32, seq: i64) -> Result<()> {
    engine(engine_handle)?
        .engine
        .acknowledge(subscription, u64::try_from(seq).unwrap_or_default());
    Ok(())
}

/// Ends a subscription.
#[napi(catch_unwind)]
pub fn cancel(engine_handle: u32, subscription: u32) -> Result<()> {
    engine(engine_handle)?.engine.cancel(subscription);
    Ok(())
}

/// Joins a group and returns the consumer's handle.
#[napi(catch_unwind)]
pub fn consume(engine_handle: u32, args: String) -> Result<u32> {
    let open = engine(engine_handle)?;
    Ok(calls::consume(&open.engine, &args)?)
}

/// Fills the words with the records that are ready, and returns their text.
#[napi(catch_unwind)]
pub fn drain<'env>(
    env: &'env Env,
    engine_handle: u32,
    mut words: Uint32ArraySlice<'_>,
) -> Result<JsString<'env>> {
    let open = engine(engine_handle)?;
    // SAFETY: JavaScript is suspended in this call, and nothing else refers to the array's memory.
    let words = unsafe { words.as_mut() };
    let mut ready = lock(&open.ready);
    ready.drain(&open.engine, words, &mut lock(&open.left), |text| {
        env.create_string(text)
    })?
}

/// The byte chunks of the last drain.
#[napi(catch_unwind)]
pub fn take_bytes(env: Env, engine_handle: u32) -> Result<BufferSlice<'static>> {
    let open = engine(engine_handle)?;
    let left = lock(&open.left);
    BufferSlice::copy_from(&env, &left.bytes)
}

/// Fills `piece` with so many parts of the last drain, from the one with this number on.
#[napi(catch_unwind)]
pub fn take_piece(engine_handle: u32, first: u32, count: u32, mut piece: Uint8ArraySlice<'_>) -> Result<()> {
    let open = engine(engine_handle)?;
    // SAFETY: JavaScript is suspended in this call, and nothing else refers to the array's memory.
    let piece = unsafe { piece.as_mut() };
    if lock(&open.left).copy(first, count, piece) {
        return Ok(());
    }
    Err(Error::internal("a piece that is not as long as its parts").into())
}

/// A large chunk on its way to its reader: JavaScript holds it, and copies it once, when the reader asks for it.
pub struct Parcel(Mutex<Option<Arc<Large>>>);

/// The large chunks of the last drain.
#[napi(catch_unwind)]
pub fn take_larges(engine_handle: u32) -> Result<Vec<External<Parcel>>> {
    let larges = std::mem::take(&mut lock(&engine(engine_handle)?.left).larges);
    let parcels = larges.into_iter().map(|large| {
        let length = large.data.len();
        External::new_with_size_hint(Parcel(Mutex::new(Some(large))), length)
    });
    Ok(parcels.collect())
}

/// A large chunk's text or bytes.
#[napi(catch_unwind)]
pub fn unpack<'env>(
    env: &'env Env,
    parcel: &External<Parcel>,
) -> Result<Either<JsString<'env>, BufferSlice<'env>>> {
    let large = lock(&parcel.0).take();
    let large = large.ok_or_else(|| Error::internal("a large chunk that was unpacked twice"))?;
    match large.reference.kind.text(&large.data) {
        Some(text) => env.create_string(text).map(Either::A),
        None => BufferSlice::copy_from(env, &large.data).map(Either::B),
    }
}

/// The largest chunk, in bytes.
#[napi(catch_unwind)]
pub fn max_chunk_bytes() -> u32 {
    u32::try_from(MAX_CHUNK).unwrap_or(u32::MAX)
}

/// The engine's counters, as JSON.
#[napi(catch_unwind)]
pub fn metrics(engine_handle: u32) -> Result<String> {
    let snapshot = engine(engine_handle)?.engine.metrics();
    Ok(serde_json::to_string(&snapshot).map_err(|error| Error::internal(error.to_string()))?)
}

/// Drops an engine at once, without flushing.
#[napi(catch_unwind)]
pub fn dispose(engine_handle: u32) {
    let open = lock(&ENGINES)
        .as_mut()
        .and_then(|engines| engines.remove(&engine_handle));
    if let Some(open) = open {
        open.engine.dispose();
    }
}

/// A ULID, greater than all that this process has made before.
#[napi(catch_unwind)]
pub fn ulid() -> String {
    next_ulid().to_string()
}

/// The version of the native library.
#[napi(catch_unwind)]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// All error codes, in the order of their variants.
#[napi(catch_unwind)]
pub fn error_codes() -> Vec<&'static str> {
    Error::CODES.to_vec()
}

/// The numbers that both sides know.
#[napi(catch_unwind)]
pub fn constants() -> HashMap<String, u32> {
    shared::ALL
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}
