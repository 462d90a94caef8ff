//! A server on loopback that records what it receives, and answers as a test says.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::answer::{Answer, Reply};
use crate::connection::{Connection, http1, http2};
use crate::recorded::Recorded;
use crate::{DONE, PATIENCE};

pub use crate::answer::{error, json};
pub use crate::recorded::head;

/// What a server has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections so far, those open now, and the most at a time.
    pub accepted: usize,
    pub open: usize,
    pub peak_open: usize,
    /// Requests without an answer so far, and the most at a time.
    pub in_flight: usize,
    pub peak_in_flight: usize,
    /// The requests, and as the head of one more what came on a connection and was no whole request.
    pub asked: Vec<Recorded>,
}

/// A server that lives as long as this value.
pub struct Server {
    pub address: SocketAddr,
    record: Arc<Record>,
    accepting: JoinSet<()>,
}

#[derive(Default)]
struct Record {
    seen: watch::Sender<Seen>,
    requests: AtomicUsize,
    only_counts: AtomicBool,
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;
type Serve = Box<dyn Fn(TcpStream, Arc<Record>) -> Serving + Send>;

impl Server {
    /// An HTTP/1.1 server. `answer` gets the number of the request, from 1, and the request.
    pub async fn start<F>(
        answer: impl Fn(usize, Recorded) -> F + Clone + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output: Into<Answer>> + Send + 'static,
    {
        Server::start_at(loopback().await, answer)
    }

    /// The same at a port that is taken already.
    pub fn start_at<F>(
        listener: TcpListener,
        answer: impl Fn(usize, Recorded) -> F + Clone + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output: Into<Answer>> + Send + 'static,
    {
        let serve = move |stream, record: Arc<Record>| {
            let answer = answer.clone();
            Box::pin(async move { record.http1(stream, answer).await }) as Serving
        };
        Server::serve(listener, Box::new(serve))
    }

    /// A server over TLS, which offers the protocols of these settings.
    pub async fn tls<F>(
        config: ServerConfig,
        answer: impl Fn(usize, Recorded) -> F + Clone + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serve = move |stream, record: Arc<Record>| {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            Box::pin(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => {
                        http2(stream, move |request| record.answer(request, &answer)).await;
                    }
                    _ => record.http1(stream, answer).await,
                }
            }) as Serving
        };
        Server::serve(loopback().await, Box::new(serve))
    }

    /// Gives every request this answer.
    pub async fn always(answer: impl Into<Answer>) -> Server {
        Server::script([answer.into()]).await
    }

    /// Gives the first request the first answer and so on, and every request that is left the last one.
    pub async fn script(answers: impl IntoIterator<Item = Answer>) -> Server {
        let answers: Arc<[Answer]> = answers.into_iter().collect();
        Server::start(move |number, _| {
            let answer = answers[number.min(answers.len()) - 1].clone();
            std::future::ready(answer)
        })
        .await
    }

    /// Answers with [`DONE`], each request once the gate lets it.
    pub async fn gated(gate: &Arc<Semaphore>) -> Server {
        let gate = gate.clone();
        Server::start(move |_, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                DONE
            }
        })
        .await
    }

    /// Serves each connection as the test says; no request is recorded.
    pub async fn raw<F>(each: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Server::raw_at(loopback().await, each)
    }

    /// The same at a port that is taken already.
    pub fn raw_at<F>(
        listener: TcpListener,
        each: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Server::serve(listener, Box::new(move |stream, _| Box::pin(each(stream))))
    }

    /// A proxy that answers every `CONNECT` with this status.
    pub async fn refusing_proxy(status: u16) -> Server {
        let refusal = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
        Server::always(Answer::raw(refusal)).await
    }

    /// A proxy whose tunnels all lead to this address. Of each `CONNECT`, the first line is recorded as the path.
    pub async fn proxy(to: SocketAddr) -> Server {
        let serve = move |mut stream, record: Arc<Record>| {
            Box::pin(async move {
                let Some(head) = head(&mut stream).await else {
                    return;
                };
                let mut request = Recorded::with_head(head);
                request.path = request.line().to_owned();
                record.seen.send_modify(|seen| seen.asked.push(request));
                let mut there = TcpStream::connect(to).await.unwrap();
                let ok = b"HTTP/1.1 200 OK\r\n\r\n";
                tokio::io::AsyncWriteExt::write_all(&mut stream, ok)
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
            }) as Serving
        };
        Server::serve(loopback().await, Box::new(serve))
    }

    fn serve(listener: TcpListener, serve: Serve) -> Server {
        let address = listener.local_addr().unwrap();
        let record = Arc::new(Record::default());
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let record = record.clone();
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    record.seen.send_modify(|seen| {
                        seen.accepted += 1;
                        seen.open += 1;
                        seen.peak_open = seen.peak_open.max(seen.open);
                    });
                    let (served, record) = (serve(stream, record.clone()), record.clone());
                    connections.spawn(async move {
                        served.await;
                        record.seen.send_modify(|seen| seen.open -= 1);
                    });
                    while connections.try_join_next().is_some() {}
                }
            }
        });
        Server {
            address,
            record,
            accepting,
        }
    }

    /// Keeps no request and no count of those in flight from now on: for so many that they would fill the memory.
    pub fn without_records(self) -> Server {
        self.record.only_counts.store(true, Ordering::Relaxed);
        self
    }

    /// Stops. From then on its port refuses connections.
    pub async fn stop(mut self) {
        self.accepting.shutdown().await;
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub fn endpoint(&self) -> String {
        self.url("/v1")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Seen {
        self.record.seen.borrow().clone()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.seen().asked
    }

    /// The one request that came.
    #[track_caller]
    pub fn request(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub fn asked(&self) -> Vec<Recorded> {
        self.requests()
    }

    #[track_caller]
    pub fn the_one(&self) -> Recorded {
        self.request()
    }

    /// Waits until the server has seen this.
    pub async fn until(&self, what: impl FnMut(&Seen) -> bool) {
        let mut seen = self.record.seen.subscribe();
        let waited = timeout(PATIENCE, seen.wait_for(what))
            .await
            .map(|seen| drop(seen.unwrap()));
        assert!(waited.is_ok(), "it did not come: {:?}", self.seen());
    }
}

impl Record {
    async fn http1<F>(
        self: &Arc<Self>,
        stream: impl Connection,
        answer: impl Fn(usize, Recorded) -> F,
    ) where
        F: Future<Output: Into<Answer>>,
    {
        let rest = http1(stream, |request| {
            let answer = self.answer(request, &answer);
            async move { answer.await.into() }
        })
        .await;
        if !rest.is_empty() && !self.only_counts.load(Ordering::Relaxed) {
            let rest = Recorded::with_head(String::from_utf8_lossy(&rest).into());
            self.seen.send_modify(|seen| seen.asked.push(rest));
        }
    }

    /// Records a request, and its end, be it an answer or a client that went away.
    fn answer<A, F>(
        self: &Arc<Self>,
        request: Recorded,
        answer: &A,
    ) -> impl Future<Output = F::Output> + use<A, F>
    where
        A: Fn(usize, Recorded) -> F,
        F: Future,
    {
        struct InFlight(Option<Arc<Record>>);
        impl Drop for InFlight {
            fn drop(&mut self) {
                if let Some(record) = &self.0 {
                    record.seen.send_modify(|seen| seen.in_flight -= 1);
                }
            }
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let is_recorded = !self.only_counts.load(Ordering::Relaxed);
        if is_recorded {
            self.seen.send_modify(|seen| {
                seen.asked.push(request.clone());
                seen.in_flight += 1;
                seen.peak_in_flight = seen.peak_in_flight.max(seen.in_flight);
            });
        }
        let in_flight = InFlight(is_recorded.then(|| self.clone()));
        let answer = answer(number, request);
        async move {
            let answer = answer.await;
            drop(in_flight);
            answer
        }
    }
}

/// A port on loopback.
pub async fn loopback() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

/// A port on loopback that is taken, and refuses connections until it listens.
pub fn refusing_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket
}

/// An address at which nothing listens.
pub async fn closed_port() -> SocketAddr {
    loopback().await.local_addr().unwrap()
}
