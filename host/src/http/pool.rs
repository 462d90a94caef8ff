//! The connections to one host: which are free, how many there may be, and who waits.
//!
//! `hyper-util` has a pool too (`client::legacy`). It knows no limit, opens a connection for every
//! request that finds none free (so a burst at an HTTP/2 host begins with as many handshakes, all
//! but one of them thrown away), keeps at most one HTTP/2 connection per host, and goes through all
//! its waiters when one leaves. Here a waiter costs the same however many there are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connect::{Destination, Ended, Opened, RequestBody, Watched};
use super::error::SendError;

/// Requests that one HTTP/2 connection takes before another is opened: what RFC 9113 section 6.5.2
/// asks every server to allow, and what Google's allow. A server that allows fewer lets the others
/// wait on the connection.
const STREAMS_PER_CONNECTION: usize = 100;

/// The connections to one origin.
pub(super) struct Host {
    pub destination: Destination,
    limit: usize,
    idle_timeout: Duration,
    /// Leases come back from wherever they are dropped, on a thread of the runtime or not.
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    /// HTTP/1.1 connections without a request, the one that was used last at the end: what is too
    /// much stays unused, and is closed.
    idle: Vec<Idle>,
    /// HTTP/2 connections.
    shared: Vec<Shared>,
    next_number: u64,
    /// Connections, those that are being opened among them.
    open: usize,
    opening: usize,
    /// Whether connections are opened one at a time: where HTTP/2 may come of it, one is likely
    /// enough for all that wait.
    one_at_a_time: bool,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

struct Idle {
    connection: Http1,
    since: Instant,
}

struct Shared {
    number: u64,
    sender: http2::SendRequest<RequestBody>,
    in_flight: usize,
    /// When the last request ended.
    since: Instant,
}

struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    watched: Arc<Watched>,
}

/// What a waiter gets in the end; an error where no connection can be had.
pub(super) type Turn = Result<Lease, SendError>;

/// What a request may use.
pub(super) enum Lease {
    Http1(Http1Lease),
    Http2(Http2Lease),
    /// A connection of its own, to be opened.
    Open(Opening),
}

/// The answer to a request that asks for a connection.
pub(super) enum Checkout {
    Lease(Lease),
    Wait {
        turn: oneshot::Receiver<Turn>,
        /// Whether the wait is for a connection to be opened, none being there.
        connecting: bool,
    },
}

impl Host {
    /// `limit` is at least 1.
    pub fn new(destination: Destination, limit: usize, idle_timeout: Duration) -> Arc<Host> {
        let one_at_a_time = destination.tls;
        Arc::new(Host {
            destination,
            limit,
            idle_timeout,
            runtime: Handle::current(),
            state: Mutex::new(State {
                idle: Vec::new(),
                shared: Vec::new(),
                next_number: 0,
                open: 0,
                opening: 0,
                one_at_a_time,
                waiting: VecDeque::new(),
            }),
        })
    }

    /// Nothing that holds the lock can panic half-way, so a poisoned state is a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free connection, the right to open one, or a place in the queue.
    pub fn checkout(self: &Arc<Host>) -> Checkout {
        let mut state = self.lock();
        if let Some(lease) = self.take(&mut state) {
            return Checkout::Lease(lease);
        }
        // Waiters that gave up are passed over when their turn comes. Where no turn comes, they
        // are cleared out each time the queue has doubled.
        let length = state.waiting.len();
        if length >= 64 && length.is_power_of_two() {
            state.waiting.retain(|waiter| !waiter.is_closed());
        }
        let (waiter, turn) = oneshot::channel();
        state.waiting.push_back(waiter);
        Checkout::Wait {
            turn,
            connecting: state.open == state.opening,
        }
    }

    fn take(self: &Arc<Host>, state: &mut State) -> Option<Lease> {
        while let Some(Idle { connection, since }) = state.idle.pop() {
            if connection.sender.is_ready() && since.elapsed() < self.idle_timeout {
                return Some(Lease::Http1(Http1Lease {
                    host: Arc::clone(self),
                    connection: Some(connection),
                    ended: None,
                }));
            }
        }
        state.shared.retain(|shared| !shared.sender.is_closed());
        let free = |shared: &&mut Shared| shared.in_flight < STREAMS_PER_CONNECTION;
        if let Some(shared) = state.shared.iter_mut().find(free) {
            shared.in_flight += 1;
            return Some(Lease::Http2(Http2Lease {
                sender: shared.sender.clone(),
                stream: StreamGuard {
                    host: Arc::clone(self),
                    number: shared.number,
                },
                ended: None,
            }));
        }
        if state.open < self.limit && (state.opening == 0 || !state.one_at_a_time) {
            state.open += 1;
            state.opening += 1;
            return Some(Lease::Open(Opening {
                host: Arc::clone(self),
                slot: Some(Slot(Arc::downgrade(self))),
                is_over: false,
            }));
        }
        None
    }

    /// Gives what is free to those who wait, first come, first served.
    fn serve(self: &Arc<Host>, mut state: MutexGuard<'_, State>) {
        let mut unwanted = Vec::new();
        while let Some(waiter) = state.waiting.pop_front() {
            if waiter.is_closed() {
                continue;
            }
            match self.take(&mut state) {
                Some(lease) => unwanted.extend(waiter.send(Ok(lease)).err()),
                None => {
                    state.waiting.push_front(waiter);
                    break;
                }
            }
        }
        // A lease whose waiter left just now goes back by itself, which takes the lock.
        drop(state);
        drop(unwanted);
    }

    /// Forgets the free HTTP/1.1 connections. A server that closed one has most likely closed them
    /// all: it was restarted, or has had enough of waiting.
    pub fn forget_idle(&self) {
        self.lock().idle.clear();
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
            .idle
            .retain(|idle| idle.connection.sender.is_ready() && is_young(idle.since));
        state
            .shared
            .retain(|shared| shared.in_flight > 0 || is_young(shared.since));
        state.open == 0 && state.waiting.is_empty()
    }

    /// Takes an HTTP/1.1 connection back: at once, or when the rest of its response was read.
    fn give_back(self: &Arc<Host>, mut connection: Http1) {
        if connection.sender.is_closed() {
            return;
        }
        if connection.sender.is_ready() {
            let mut state = self.lock();
            state.idle.push(Idle {
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

/// The place of one connection among those that the host may have, from before it is opened until
/// after it is closed. It is weak: an idle connection must not keep its own pool alive.
pub(super) struct Slot(Weak<Host>);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(host) = self.0.upgrade() {
            let mut state = host.lock();
            state.open -= 1;
            host.serve(state);
        }
    }
}

/// The right to open a connection. Dropped, it goes to the next one who waits.
pub(super) struct Opening {
    host: Arc<Host>,
    slot: Option<Slot>,
    is_over: bool,
}

impl Opening {
    /// What the connection has to hold while it lives. There is one.
    pub fn slot(&mut self) -> Option<Slot> {
        self.slot.take()
    }

    /// The connection is open: this request has it, or the first stream on it.
    pub fn succeeded(mut self, opened: Opened) -> Lease {
        self.is_over = true;
        let host = Arc::clone(&self.host);
        let mut state = host.lock();
        state.opening -= 1;
        state.one_at_a_time = matches!(opened, Opened::Http2 { .. });
        let lease = match opened {
            Opened::Http1 {
                sender,
                watched,
                ended,
            } => Lease::Http1(Http1Lease {
                host: Arc::clone(&host),
                connection: Some(Http1 { sender, watched }),
                ended: Some(ended),
            }),
            Opened::Http2 { sender, ended } => {
                let number = state.next_number;
                state.next_number += 1;
                state.shared.push(Shared {
                    number,
                    sender: sender.clone(),
                    in_flight: 1,
                    since: Instant::now(),
                });
                Lease::Http2(Http2Lease {
                    sender,
                    stream: StreamGuard {
                        host: Arc::clone(&host),
                        number,
                    },
                    ended: Some(ended),
                })
            }
        };
        host.serve(state);
        lease
    }

    /// The connection could not be opened. Where the host has no other, those who wait for one
    /// are told the same: they would fare no better one after the other. A timeout is this
    /// request's own, and the next one may have more time.
    pub fn failed(mut self, error: &SendError) {
        self.is_over = true;
        // Gone already if the connection got as far as to hold it.
        drop(self.slot.take());
        let mut state = self.host.lock();
        state.opening -= 1;
        let is_timeout = matches!(error, SendError::ConnectionTimeout | SendError::DnsTimeout);
        if state.open == 0 && !is_timeout {
            for waiter in std::mem::take(&mut state.waiting) {
                // One that is not there any more has no use for it.
                let _ = waiter.send(Err(error.clone()));
            }
        }
        self.host.serve(state);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.is_over {
            self.host.lock().opening -= 1;
            // The slot may have been dropped with the connection, before `opening` said so.
            drop(self.slot.take());
            self.host.serve(self.host.lock());
        }
    }
}

/// An HTTP/1.1 connection, for one request at a time. Dropped, it goes back to the pool as soon as
/// its response was read; if that was cut short, hyper closes it.
pub(super) struct Http1Lease {
    host: Arc<Host>,
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
    host: Arc<Host>,
    number: u64,
}

impl StreamGuard {
    /// The connection takes no further request. What it has goes on; it closes after that.
    pub fn retire_connection(&self) {
        let mut state = self.host.lock();
        state.shared.retain(|shared| shared.number != self.number);
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let mut state = self.host.lock();
        let mut connections = state.shared.iter_mut();
        if let Some(shared) = connections.find(|shared| shared.number == self.number) {
            shared.in_flight -= 1;
            shared.since = Instant::now();
        }
        self.host.serve(state);
    }
}
