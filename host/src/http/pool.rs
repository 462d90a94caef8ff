//! The connections to one host: which are free, how many there may be, and who waits.
//!
//! hyper-util 0.1.21 has pools too, and none of them has a limit, several HTTP/2 connections to a
//! host, and one handshake for a burst:
//!
//! - `client::legacy` limits what is idle and not what is open, begins a connection for every
//!   request that finds none free (a burst at an HTTP/2 host begins with as many handshakes, all
//!   but one of them thrown away), keeps one HTTP/2 connection per host, and goes through all its
//!   waiters when one leaves.
//! - `client::pool::cache` is the same without HTTP/2. `client::pool::singleton` has the one
//!   handshake, and one connection for good. Nothing of `client::pool` counts connections.
//!
//! Nor can one of them be asked for a connection that is new, which is what a request needs that
//! met a stale one. Here a waiter costs the same however many there are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connect::Destination;
use super::connection::{Ended, Opened, RequestBody, Sender, Watched};
use super::error::SendError;

/// Requests that one HTTP/2 connection takes before another is opened: what RFC 9113 section 6.5.2
/// asks every server to allow, and what Google's allow. With a server that allows fewer the others
/// wait on the connection.
const STREAMS_PER_CONNECTION: usize = 100;

/// The connections to one origin.
pub(super) struct HostConnections {
    pub destination: Destination,
    limit: usize,
    idle_timeout: Duration,
    /// Connections come back from wherever they are dropped, on a thread of the runtime or not.
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    /// HTTP/1.1 connections without a request, the one that was used last at the end: those that
    /// are not needed stay unused, and are closed.
    free: Vec<FreeHttp1>,
    http2: Vec<OpenHttp2>,
    /// The number of the next HTTP/2 connection.
    next_number: u64,
    /// Connections, those that are being opened among them.
    open: usize,
    opening: usize,
    /// Whether connections are opened one at a time: if HTTP/2 may come of it, one is likely
    /// enough for all that wait.
    one_at_a_time: bool,
    waiting: Queue,
    /// Who waits for a new connection. They have waited before, so they come first.
    waiting_for_new: Queue,
}

struct FreeHttp1 {
    connection: Http1,
    since: Instant,
}

struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    watched: Arc<Watched>,
}

struct OpenHttp2 {
    number: u64,
    sender: http2::SendRequest<RequestBody>,
    in_flight: usize,
    /// When the last request ended.
    since: Instant,
}

/// First come, first served.
#[derive(Default)]
struct Queue(VecDeque<Waiter>);

struct Waiter {
    turn: oneshot::Sender<Turn>,
    wanted: Wanted,
}

/// Which connections a request may have.
#[derive(Clone, Copy)]
enum Wanted {
    Any,
    /// Of those that carry requests already, only HTTP/2 with at least this number.
    New(u64),
}

/// What a request gets in the end.
pub(super) enum Turn {
    /// A connection.
    Connected(Lease),
    /// The right to open one, and the place for it.
    Open(Opening, Slot),
    /// The fault of a request that tried to connect.
    Failed(SendError),
}

/// A connection, for one request.
pub(super) enum Lease {
    Http1(Http1Lease),
    Http2(Http2Lease),
}

/// The answer to a request that asks for a connection.
pub(super) enum Checkout {
    Now(Turn),
    Wait {
        turn: oneshot::Receiver<Turn>,
        /// Whether the wait is for a connection to be opened, none being there.
        connecting: bool,
    },
}

impl HostConnections {
    /// `limit` is at least 1.
    pub fn new(
        destination: Destination,
        limit: usize,
        idle_timeout: Duration,
    ) -> Arc<HostConnections> {
        let one_at_a_time = destination.origin.tls;
        Arc::new(HostConnections {
            destination,
            limit,
            idle_timeout,
            runtime: Handle::current(),
            state: Mutex::new(State {
                free: Vec::new(),
                http2: Vec::new(),
                next_number: 0,
                open: 0,
                opening: 0,
                one_at_a_time,
                waiting: Queue::default(),
                waiting_for_new: Queue::default(),
            }),
        })
    }

    /// Nothing that holds the lock can panic half-way, so a poisoned state is a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free connection, the right to open one, or a place in the queue.
    pub fn checkout(self: &Arc<Self>) -> Checkout {
        self.checkout_wanted(self.lock(), Wanted::Any)
    }

    /// The same for a request that met a connection which the server had closed: it gets one that
    /// is opened from now on. The free ones are closed, since the server has most likely closed
    /// them all: it was restarted, or it closes each one after its answer.
    pub fn checkout_new(self: &Arc<Self>) -> Checkout {
        let state = self.lock();
        let wanted = Wanted::New(state.next_number);
        self.checkout_wanted(state, wanted)
    }

    fn checkout_wanted(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        wanted: Wanted,
    ) -> Checkout {
        if let Some(turn) = self.take(&mut state, wanted) {
            return Checkout::Now(turn);
        }
        let (sender, turn) = oneshot::channel();
        let connecting = state.open == state.opening;
        state.queue(wanted).push(Waiter {
            turn: sender,
            wanted,
        });
        Checkout::Wait { turn, connecting }
    }

    fn take(self: &Arc<Self>, state: &mut State, wanted: Wanted) -> Option<Turn> {
        let since = match wanted {
            Wanted::Any => 0,
            Wanted::New(number) => {
                // They give their places up, which come back once they are closed.
                state.free.clear();
                number
            }
        };
        while let Some(FreeHttp1 { connection, since }) = state.free.pop() {
            if connection.sender.is_ready() && since.elapsed() < self.idle_timeout {
                return Some(Turn::Connected(Lease::Http1(Http1Lease {
                    host: Arc::clone(self),
                    connection: Some(connection),
                    ended: None,
                })));
            }
        }
        state.http2.retain(|open| !open.sender.is_closed());
        let open = state
            .http2
            .iter_mut()
            .find(|open| open.in_flight < STREAMS_PER_CONNECTION && open.number >= since);
        if let Some(open) = open {
            open.in_flight += 1;
            return Some(Turn::Connected(Lease::Http2(Http2Lease {
                sender: open.sender.clone(),
                stream: StreamGuard {
                    host: Arc::clone(self),
                    number: open.number,
                },
                ended: None,
            })));
        }
        if state.open < self.limit && (state.opening == 0 || !state.one_at_a_time) {
            state.open += 1;
            state.opening += 1;
            let opening = Opening(Arc::clone(self));
            return Some(Turn::Open(opening, Slot(Arc::downgrade(self))));
        }
        None
    }

    /// Gives what is free to those who wait.
    fn serve(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let mut unwanted = Vec::new();
        for queue in [Wanted::New(0), Wanted::Any] {
            while let Some(waiter) = state.queue(queue).next() {
                match self.take(&mut state, waiter.wanted) {
                    Some(turn) => unwanted.extend(waiter.turn.send(turn).err()),
                    None => {
                        state.queue(queue).0.push_front(waiter);
                        break;
                    }
                }
            }
        }
        // A turn whose waiter left just now goes back by itself, which takes the lock.
        drop(state);
        drop(unwanted);
    }

    /// Whether there is an open connection.
    pub fn is_connected(&self) -> bool {
        let state = self.lock();
        state.open > state.opening
    }

    /// Closes what was not used for the idle timeout. Says whether nothing is left.
    pub fn sweep(&self) -> bool {
        let mut state = self.lock();
        let is_young = |since: Instant| since.elapsed() < self.idle_timeout;
        state
            .free
            .retain(|free| free.connection.sender.is_ready() && is_young(free.since));
        state
            .http2
            .retain(|open| open.in_flight > 0 || is_young(open.since));
        state.open == 0 && state.waiting.0.is_empty() && state.waiting_for_new.0.is_empty()
    }

    /// Takes an HTTP/1.1 connection back: at once, or when the rest of its response was read.
    fn give_back(self: &Arc<Self>, mut connection: Http1) {
        if connection.sender.is_closed() {
            return;
        }
        if connection.sender.is_ready() {
            let mut state = self.lock();
            state.free.push(FreeHttp1 {
                connection,
                since: Instant::now(),
            });
            return self.serve(state);
        }
        let host = Arc::downgrade(self);
        self.runtime.spawn(async move {
            if connection.sender.ready().await.is_ok()
                && let Some(host) = host.upgrade()
            {
                host.give_back(connection);
            }
        });
    }
}

impl State {
    fn queue(&mut self, wanted: Wanted) -> &mut Queue {
        match wanted {
            Wanted::Any => &mut self.waiting,
            Wanted::New(_) => &mut self.waiting_for_new,
        }
    }
}

impl Queue {
    fn push(&mut self, waiter: Waiter) {
        // Waiters that gave up are skipped when their turn comes. If no turn comes, they are
        // cleared out each time the queue has doubled.
        let length = self.0.len();
        if length >= 64 && length.is_power_of_two() {
            self.0.retain(|waiter| !waiter.turn.is_closed());
        }
        self.0.push_back(waiter);
    }

    /// The next one that has not given up.
    fn next(&mut self) -> Option<Waiter> {
        std::iter::from_fn(|| self.0.pop_front()).find(|waiter| !waiter.turn.is_closed())
    }
}

/// The place of one connection among those that the host may have, from before it is opened until
/// after it is closed. It is weak: a free connection must not keep its own pool alive.
pub(super) struct Slot(Weak<HostConnections>);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(host) = self.0.upgrade() {
            let mut state = host.lock();
            state.open -= 1;
            host.serve(state);
        }
    }
}

/// The right to open a connection. It ends when this is dropped, with a connection or without.
pub(super) struct Opening(Arc<HostConnections>);

impl Opening {
    /// The connection is open: this request has it, or the first stream on it.
    pub fn succeeded(self, opened: Opened) -> Lease {
        let Opened {
            sender,
            watched,
            ended,
        } = opened;
        let Opening(host) = &self;
        let mut state = host.lock();
        state.one_at_a_time = matches!(sender, Sender::Http2(_));
        match sender {
            Sender::Http1(sender) => Lease::Http1(Http1Lease {
                host: Arc::clone(host),
                connection: Some(Http1 { sender, watched }),
                ended: Some(ended),
            }),
            Sender::Http2(sender) => {
                let number = state.next_number;
                state.next_number += 1;
                state.http2.push(OpenHttp2 {
                    number,
                    sender: sender.clone(),
                    in_flight: 1,
                    since: Instant::now(),
                });
                Lease::Http2(Http2Lease {
                    sender,
                    stream: StreamGuard {
                        host: Arc::clone(host),
                        number,
                    },
                    ended: Some(ended),
                })
            }
        }
    }

    /// The connection could not be opened, and its slot is free. If the host has no other, those
    /// who wait for one get the same fault: they would fare no better one after the other. A
    /// timeout is this request's own, and the next one may have more time.
    pub fn failed(self, fault: &SendError) {
        let Opening(host) = &self;
        let mut state = host.lock();
        if state.open == 0 && !fault.is_connect_timeout() {
            for queue in [Wanted::New(0), Wanted::Any] {
                while let Some(waiter) = state.queue(queue).next() {
                    // One that left just now has no use for it.
                    let _ = waiter.turn.send(Turn::Failed(fault.clone()));
                }
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.opening -= 1;
        self.0.serve(state);
    }
}

/// An HTTP/1.1 connection, for one request at a time. Dropped, it goes back to the pool as soon as
/// its response was read; if that was cut short, hyper closes it.
pub(super) struct Http1Lease {
    host: Arc<HostConnections>,
    connection: Option<Http1>,
    /// Of a new connection. One that has served a request before may be stale.
    pub ended: Option<Ended>,
}

impl Http1Lease {
    /// The way into the connection. `None` is never seen: it is there until the lease is dropped.
    pub fn sender(&mut self) -> Option<&mut http1::SendRequest<RequestBody>> {
        Some(&mut self.connection.as_mut()?.sender)
    }

    /// Bytes that came from the server so far.
    pub fn received(&self) -> u64 {
        match &self.connection {
            Some(connection) => connection.watched.received(),
            None => 0,
        }
    }
}

impl Drop for Http1Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.host.give_back(connection);
        }
    }
}

/// A stream of an HTTP/2 connection.
pub(super) struct Http2Lease {
    pub sender: http2::SendRequest<RequestBody>,
    pub stream: StreamGuard,
    /// Of a new connection. One that has served a request before may be stale.
    pub ended: Option<Ended>,
}

/// Counts a stream, until its response was read or dropped.
pub(super) struct StreamGuard {
    host: Arc<HostConnections>,
    number: u64,
}

impl StreamGuard {
    /// The connection takes no further request. What it has goes on; it closes after that.
    pub fn retire_connection(&self) {
        let mut state = self.host.lock();
        state.http2.retain(|open| open.number != self.number);
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let mut state = self.host.lock();
        let mut connections = state.http2.iter_mut();
        if let Some(open) = connections.find(|open| open.number == self.number) {
            open.in_flight -= 1;
            open.since = Instant::now();
        }
        self.host.serve(state);
    }
}
