//! From a host name to its addresses.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// The future of [`Resolve::resolve`]: the addresses, or why there are none.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Resolves host names. The system's resolver is the default; a test or an embedder brings its own.
pub trait Resolve: Send + Sync {
    /// All addresses of `name`, in the order in which to try them (RFC 6724). `name` is never an IP
    /// address. It is called once per new connection. The text of an error is shown to people.
    fn resolve(&self, name: &str) -> Resolving;
}

/// The system's resolver (`getaddrinfo`): hosts file, search domains and caches as the machine has
/// them.
///
/// `getaddrinfo` blocks its thread and cannot be cancelled. So it runs on threads of its own, which
/// neither a runtime nor a process waits for when it ends; a name is looked up once at a time,
/// however many connections ask for it; and at most 32 names are looked up at a time, so that names
/// whose servers are silent take no more threads than that. A clone shares its look-ups.
#[derive(Clone)]
pub struct SystemResolver {
    lookups: Arc<Lookups>,
}

impl Default for SystemResolver {
    fn default() -> SystemResolver {
        SystemResolver::with(|name| {
            let found = (name, 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

impl SystemResolver {
    fn with(
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> SystemResolver {
        SystemResolver {
            lookups: Arc::new(Lookups {
                lookup: Box::new(lookup),
                state: Mutex::default(),
            }),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> Resolving {
        let answer = self.lookups.join(name);
        Box::pin(async move {
            answer
                .await
                .unwrap_or_else(|_| Err(io::Error::other("the look-up failed")))
        })
    }
}

/// Names that are looked up at a time.
const MAX_LOOKUPS: usize = 32;

type Answer = io::Result<Vec<IpAddr>>;

struct Lookups {
    lookup: Box<dyn Fn(&str) -> Answer + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who waits for each name that is being looked up or queued.
    waiting: HashMap<String, Vec<oneshot::Sender<Answer>>>,
    /// Names that no thread has taken yet.
    queue: VecDeque<String>,
    threads: usize,
}

impl Lookups {
    /// Waits for the look-up of a name, and starts it if nobody else has.
    fn join(self: &Arc<Lookups>, name: &str) -> oneshot::Receiver<Answer> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.get_mut(name) {
            waiting.retain(|waiter| !waiter.is_closed());
            waiting.push(sender);
            return answer;
        }
        state.waiting.insert(name.to_owned(), vec![sender]);
        state.queue.push_back(name.to_owned());
        if state.threads < MAX_LOOKUPS {
            state.threads += 1;
            drop(state);
            self.start_thread();
        }
        answer
    }

    fn start_thread(self: &Arc<Lookups>) {
        let lookups = Arc::clone(self);
        let started = thread::Builder::new()
            .name("name look-ups".into())
            .spawn(move || lookups.run());
        if let Err(error) = started {
            let mut state = self.lock();
            state.threads -= 1;
            // With no other thread nobody would take what is queued.
            if state.threads == 0 {
                for name in std::mem::take(&mut state.queue) {
                    state.answer(&name, &Err(io::Error::new(error.kind(), error.to_string())));
                }
            }
        }
    }

    /// Looks up what is queued until nothing is.
    fn run(&self) {
        while let Some(name) = self.next() {
            let found = (self.lookup)(&name);
            self.lock().answer(&name, &found);
        }
    }

    /// The next name that somebody still waits for. Without one, the thread that asks ends.
    fn next(&self) -> Option<String> {
        let mut state = self.lock();
        while let Some(name) = state.queue.pop_front() {
            let waiting = state.waiting.get(&name);
            if waiting.is_some_and(|waiting| waiting.iter().any(|waiter| !waiter.is_closed())) {
                return Some(name);
            }
            state.waiting.remove(&name);
        }
        state.threads -= 1;
        None
    }

    /// Nothing that holds the lock can panic half-way, so a poisoned state is a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer(&mut self, name: &str, found: &Answer) {
        for waiter in self.waiting.remove(name).unwrap_or_default() {
            // One that gave up has no use for it.
            let _ = waiter.send(match found {
                Ok(addresses) => Ok(addresses.clone()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Names that begin with "slow" are answered once they are let go, others at once.
    #[derive(Clone, Default)]
    struct Gate(Arc<GateState>);

    #[derive(Default)]
    struct GateState {
        asked: AtomicUsize,
        waiting: AtomicUsize,
        is_open: Mutex<bool>,
        opened: Condvar,
    }

    impl Gate {
        fn resolver(&self) -> SystemResolver {
            let Gate(gate) = self.clone();
            SystemResolver::with(move |name| {
                gate.asked.fetch_add(1, Ordering::SeqCst);
                if name.starts_with("slow") {
                    gate.waiting.fetch_add(1, Ordering::SeqCst);
                    let is_open = gate.is_open.lock().unwrap();
                    drop(
                        gate.opened
                            .wait_while(is_open, |is_open| !*is_open)
                            .unwrap(),
                    );
                }
                Ok(vec![IpAddr::from([127, 0, 0, 1])])
            })
        }

        async fn until_waiting(&self, count: usize) {
            let waits = async {
                while self.0.waiting.load(Ordering::SeqCst) < count {
                    tokio::task::yield_now().await;
                }
            };
            timeout(SOON, waits).await.unwrap();
        }

        fn open(&self) {
            *self.0.is_open.lock().unwrap() = true;
            self.0.opened.notify_all();
        }

        fn asked(&self) -> usize {
            self.0.asked.load(Ordering::SeqCst)
        }
    }

    fn found(answer: Answer) -> String {
        format!("{:?}", answer.unwrap())
    }

    #[tokio::test]
    async fn the_system_knows_localhost() {
        let found = SystemResolver::default()
            .resolve("localhost")
            .await
            .unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty());
    }

    #[tokio::test]
    async fn all_that_ask_for_a_name_at_once_share_one_look_up() {
        let gate = Gate::default();
        let resolver = gate.resolver();
        let mut asking = JoinSet::new();
        for _ in 0..100 {
            asking.spawn(resolver.resolve("slow.example"));
        }
        gate.until_waiting(1).await;
        gate.open();
        for answer in asking.join_all().await {
            assert_eq!(found(answer), "[127.0.0.1]");
        }
        assert_eq!(gate.asked(), 1);
        // It is looked up anew for who asks later.
        found(resolver.resolve("slow.example").await);
        assert_eq!(gate.asked(), 2);
    }

    #[tokio::test]
    async fn a_slow_name_does_not_delay_another_one() {
        let gate = Gate::default();
        let resolver = gate.resolver();
        let slow = resolver.resolve("slow.example");
        gate.until_waiting(1).await;
        let quick = timeout(SOON, resolver.resolve("quick.example"));
        assert_eq!(found(quick.await.unwrap()), "[127.0.0.1]");
        gate.open();
        assert_eq!(found(slow.await), "[127.0.0.1]");
    }

    #[tokio::test]
    async fn more_names_than_may_be_looked_up_at_a_time_wait_for_their_turn() {
        let gate = Gate::default();
        let resolver = gate.resolver();
        let all: Vec<_> = (0..MAX_LOOKUPS)
            .map(|name| resolver.resolve(&format!("slow-{name}.example")))
            .collect();
        gate.until_waiting(MAX_LOOKUPS).await;
        let given_up = resolver.resolve("nobody-waits.example");
        let last = resolver.resolve("last.example");
        drop(given_up);
        assert_eq!(gate.asked(), MAX_LOOKUPS);
        gate.open();
        assert_eq!(found(timeout(SOON, last).await.unwrap()), "[127.0.0.1]");
        for answer in all {
            found(answer.await);
        }
        // Nobody waited for one of the two any more.
        assert_eq!(gate.asked(), MAX_LOOKUPS + 1);
    }

    #[test]
    fn a_runtime_ends_while_a_name_is_looked_up() {
        let gate = Gate::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let resolver = gate.resolver();
        runtime.block_on(async {
            let asking = tokio::spawn(resolver.resolve("slow.example"));
            gate.until_waiting(1).await;
            asking.abort();
        });
        // It would wait for what runs on its own threads for blocking calls.
        drop(runtime);
        assert!(!*gate.0.is_open.lock().unwrap());
        gate.open();
    }

    #[tokio::test]
    async fn an_error_reaches_all_that_wait_for_it() {
        let resolver = SystemResolver::with(|_| Err(io::Error::other("no such name")));
        let (one, other) = tokio::join!(
            resolver.resolve("nowhere.example"),
            resolver.resolve("nowhere.example")
        );
        assert_eq!(one.unwrap_err().to_string(), "no such name");
        assert_eq!(other.unwrap_err().to_string(), "no such name");
    }
}
