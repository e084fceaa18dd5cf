//! How a subscription delivers what does not pass chunk by chunk: events that were framed for all, and large chunks, which are fetched when it comes
//! to one, and sent to event streams in parts.

use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{
    framed::is_shared,
    loading::{Load, Loaded, Tail, Wanted},
    page::LogPage,
    state::State,
    subscription::{Action, Subscription},
};
use crate::{
    Cursor, Error,
    engine::{context::Context, load, sink::Sink},
    model::{
        ending::End,
        frame::{Frame, Reference},
    },
    sse::Framing,
    util::{backoff::Backoff, sync::lock},
};

/// How much of a large chunk's body is delivered at once.
const PART: usize = 64 * 1024;

impl Subscription {
    /// Delivers chunks of a frame as events that are framed for all. `Break` is the next step, as of a frame that was delivered; `Continue`: what
    /// follows has to be delivered one by one.
    pub(super) fn deliver_framed(
        &self,
        state: &mut State,
        frame: &Frame,
        sink: &mut dyn Sink,
    ) -> ControlFlow<Option<Action>> {
        let one_by_one = ControlFlow::Continue(());
        let Some(context) = self.context.upgrade().filter(|_| is_shared(frame)) else {
            return one_by_one;
        };
        loop {
            let (Some(at), Some(framing)) = (state.cursor, &state.framing) else {
                return one_by_one;
            };
            if state.window.is_some() {
                return one_by_one;
            }
            if at.seq >= frame.last() {
                return ControlFlow::Break(None);
            }
            if !state.has_room() {
                // What it holds back has to be written.
                return one_by_one;
            }
            if sink.is_full() {
                return ControlFlow::Break(Some(Action::Continue));
            }
            let credit = usize::try_from(state.credit).unwrap_or_default();
            let Some(part) = context.framed().part(framing, at, frame, credit) else {
                return one_by_one;
            };
            if let Some(framing) = &mut state.framing {
                framing.give(&part);
            }
            let seq = part.last;
            let cost = sink.shared(self.handle, (part.chunks, part.data), part.bytes);
            state.pay(cost);
            state.cursor = Some(Cursor { seq, ..at });
        }
    }

    /// Delivers a large chunk, or its beginning, once it has been fetched; returns its cost.
    pub(crate) fn deliver_large(
        self: &Arc<Self>,
        state: &mut State,
        at: Cursor,
        data: &[u8],
        sink: &mut dyn Sink,
    ) -> Option<u64> {
        // Every frame is checked when it is decoded.
        let of = Reference::decode(data)?;
        let body = match self.take_loaded(state, at, of)? {
            Loaded::Whole(large) => return Some(sink.large(self.handle, at.seq, large)),
            Loaded::Body(body) => body,
        };
        let framing = state.framing.as_mut()?;
        let length = (!framing.has_seen(at)).then_some(of.length);
        let tail = &mut state.tail;
        Some(sink.piece(self.handle, length, &mut |out| {
            if framing.large(out, at, &body) {
                let rest = body.bytes.clone();
                *tail = Some(Tail {
                    of,
                    at,
                    sent: 0,
                    rest,
                });
            }
        }))
    }

    /// Delivers more of the large chunk that was begun.
    pub(crate) fn deliver_tail(self: &Arc<Self>, state: &mut State, sink: &mut dyn Sink) -> Action {
        if state.credit <= 0 {
            self.stalled.store(true, Ordering::Release);
            return Action::Wait;
        }
        let Some(mut tail) = state.tail.take() else {
            return Action::Continue;
        };
        if tail.is_dropped() {
            let Some(loaded) = self.take_loaded(state, tail.at, tail.of) else {
                state.tail = Some(tail);
                return Action::Wait;
            };
            if let Loaded::Body(body) = loaded {
                tail.rest = body.bytes.slice(tail.sent.min(body.bytes.len())..);
            }
        }
        let part = tail.rest.split_to(tail.rest.len().min(PART));
        tail.sent += part.len();
        state.tail = (!tail.is_dropped()).then_some(tail);
        // The chunk was counted when it was begun.
        let cost = sink.shared(self.handle, (0, 0), part);
        state.pay(cost);
        state.pace.moves();
        Action::Continue
    }

    /// A large chunk, once it is here.
    fn take_loaded(self: &Arc<Self>, state: &mut State, at: Cursor, of: Reference) -> Option<Loaded> {
        if state.load.as_ref().is_none_or(|load| load.of != of) {
            self.load(state, at, of);
        }
        let loaded = state.load.as_mut()?.loaded.take()?;
        state.load = None;
        Some(loaded)
    }

    /// Begins to fetch a large chunk.
    fn load(self: &Arc<Self>, state: &mut State, at: Cursor, of: Reference) {
        let Some(context) = self.context.upgrade() else {
            return;
        };
        state.drop_load();
        let framing = state.framing.as_ref();
        let wanted = Wanted {
            of,
            at,
            format: framing.map(Framing::format),
            is_seen: framing.is_some_and(|framing| framing.has_seen(at)),
        };
        let task = context.spawn(load(Arc::clone(self), context.clone(), wanted));
        state.load = Some(Load {
            of,
            task: task.abort_handle(),
            loaded: None,
        });
    }

    /// The large chunk is here, or will never be.
    fn loaded(&self, of: Reference, loaded: Result<Loaded, Error>) {
        let mut state = lock(&self.state);
        let Some(load) = state.load.as_mut().filter(|load| load.of == of) else {
            return;
        };
        match loaded {
            Ok(loaded) => load.loaded = Some(loaded),
            Err(error) => {
                state.load = None;
                state.page = LogPage::default();
                // In the middle of an event no error can be sent. A client that reconnects for the chunk gets it.
                if state.tail.take().is_some() {
                    state.framing = None;
                }
                state.end.get_or_insert(End::Error(error));
            }
        }
        drop(state);
        self.queue();
    }
}

impl State {
    pub(crate) fn drop_load(&mut self) {
        if let Some(load) = self.load.take() {
            load.task.abort();
        }
    }

    /// The rest of a large chunk has to be fetched again.
    pub(crate) fn drop_tail(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.rest = Bytes::new();
        }
    }
}

async fn load(subscription: Arc<Subscription>, context: Arc<Context>, wanted: Wanted) {
    let stream = subscription.hub.stream();
    let Wanted {
        of,
        at,
        format,
        is_seen,
    } = wanted;
    let mut backoff = Backoff::default();
    let outcome = loop {
        let loaded = match format {
            None => load::whole(&context, stream, of, at.seq)
                .await
                .map(|large| large.map(Loaded::Whole)),
            Some(format) => load::body(&context, stream, of, at.seq, format)
                .await
                .map(|body| body.map(Loaded::Body)),
        };
        match loaded {
            Ok(Some(loaded)) => break Ok(loaded),
            // Whoever has got it already need not know that it is gone.
            Ok(None) if is_seen => break Ok(Loaded::Body(Arc::default())),
            Ok(None) => {
                break Err(Error::Gap {
                    stream: stream.to_string(),
                    reason: format!("pieces of chunk {} are gone", at.seq),
                    resume: at.to_string(),
                });
            }
            Err(error) if error.is_retryable() => tokio::time::sleep(backoff.next_delay()).await,
            Err(error) => break Err(error),
        }
    };
    subscription.loaded(of, outcome);
}
