//! What the process holds, from call to call.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Samples of a run, of which each twentieth is printed. They are as many calls apart, and not as many seconds: on a
/// slow machine what a run needs at its beginning would otherwise take longer than its first quarter.
const SAMPLES: u32 = 400;
const SAMPLES_OF_A_LINE: u32 = 20;

/// How often it is looked whether the next sample is due.
const LOOK: Duration = Duration::from_millis(5);

/// The median of the last quarter may be over that of the second by this part of it, and by as much again as
/// [`Held::SLACK`] says: what a few calls more in flight hold.
const MOST_OVER: f64 = 0.05;

/// What the process holds at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Held {
    /// Memory that is its own, in MiB.
    memory: f64,
    descriptors: f64,
    /// Connections to the server that are not closed on this side.
    connections: f64,
}

/// The samples of a run.
pub struct Samples {
    port: u16,
    before: Held,
    taken: Vec<Held>,
    after: Held,
}

impl Samples {
    /// None yet.
    pub fn new(port: u16) -> Samples {
        Samples {
            port,
            before: Held::now(port),
            taken: Vec::with_capacity(SAMPLES as usize),
            after: Held::default(),
        }
    }

    /// Takes them while a run of so many calls lasts, and prints a line now and then. `begun` counts the calls.
    pub async fn take_all(&mut self, calls: u32, begun: &AtomicU32) {
        println!(
            "{:>8} {:>10} {:>8} {:>11} {:>12} {:>12}",
            "seconds", "calls", "calls/s", "memory MiB", "descriptors", "connections"
        );
        let since = Instant::now();
        let mut line_before = (0.0, 0);
        for sample in 1..=SAMPLES {
            let due = u64::from(calls) * u64::from(sample) / u64::from(SAMPLES);
            while u64::from(begun.load(Ordering::Relaxed)) < due {
                sleep(LOOK).await;
            }
            let held = Held::now(self.port);
            self.taken.push(held);
            if sample % SAMPLES_OF_A_LINE == 0 {
                let seconds = since.elapsed().as_secs_f64();
                let begun = begun.load(Ordering::Relaxed).min(calls);
                let rate = f64::from(begun - line_before.1) / (seconds - line_before.0);
                line_before = (seconds, begun);
                println!(
                    "{seconds:>8.0} {begun:>10} {rate:>8.0} {:>11.1} {:>12} {:>12}",
                    held.memory, held.descriptors, held.connections
                );
            }
        }
    }

    /// Takes one more, once all is dropped that made calls. Closing the connections takes this process a few of its
    /// own turns, of which it gets 600, however long they take on this machine.
    pub async fn take_last(&mut self) {
        for _ in 0..600 {
            self.after = Held::now(self.port);
            if self.after.connections == 0.0 {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Prints the quarters that are compared, and says whether nothing grew.
    pub fn verdict(&self) -> bool {
        let quarter = self.taken.len() / 4;
        let second = Held::median(&self.taken[quarter..2 * quarter]);
        let last = Held::median(&self.taken[3 * quarter..]);
        println!(
            "{:12} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "start", "second ¼", "last ¼", "limit", "dropped"
        );
        let mut is_flat = true;
        for (what, of, slack) in Held::SLACK {
            let limit = of(&second) * (1.0 + MOST_OVER) + slack;
            let is_over = of(&last) > limit;
            is_flat &= !is_over;
            println!(
                "{what:12} {:>9.1} {:>9.1} {:>9.1} {limit:>9.1} {:>9.1} {}",
                of(&self.before),
                of(&second),
                of(&last),
                of(&self.after),
                if is_over { "GREW" } else { "flat" }
            );
        }
        let is_closed = self.after.connections == 0.0;
        if !is_closed {
            println!("connections are LEFT after their hosts were dropped");
        }
        is_flat && is_closed
    }
}

/// One number of a sample.
type Of = fn(&Held) -> f64;

impl Held {
    /// What is held, its number in a sample, and its slack.
    const SLACK: [(&str, Of, f64); 3] = [
        ("memory MiB", |held| held.memory, 8.0),
        ("descriptors", |held| held.descriptors, 8.0),
        ("connections", |held| held.connections, 8.0),
    ];

    fn now(port: u16) -> Held {
        Held {
            memory: memory(&read("/proc/self/status")),
            descriptors: fs::read_dir("/proc/self/fd").expect("Linux").count() as f64,
            connections: connections(&read("/proc/self/net/tcp"), port) as f64,
        }
    }

    /// The median of each.
    fn median(samples: &[Held]) -> Held {
        let middle = |of: Of| {
            let mut values: Vec<f64> = samples.iter().map(of).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let [memory, descriptors, connections] = Held::SLACK.map(|(_, of, _)| middle(of));
        Held {
            memory,
            descriptors,
            connections,
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).expect("Linux")
}

/// `RssAnon` in MiB.
fn memory(status: &str) -> f64 {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    let kibibytes: f64 = kibibytes.expect("a number of kB");
    kibibytes / 1024.0
}

/// The sockets whose peer is this port of loopback, in a state in which this side still holds them:
/// `ESTABLISHED`, and `CLOSE_WAIT`, which is one that the server has closed.
fn connections(table: &str, port: u16) -> usize {
    let peer = format!("0100007F:{port:04X}");
    let holds = |line: &&str| {
        let mut words = line.split_whitespace().skip(2);
        words.next() == Some(&peer) && matches!(words.next(), Some("01" | "08"))
    };
    table.lines().filter(holds).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(memory: f64) -> Held {
        Held {
            memory,
            descriptors: 100.0,
            connections: 64.0,
        }
    }

    fn samples(taken: Vec<Held>) -> Samples {
        Samples {
            taken,
            ..Samples::new(1)
        }
    }

    #[test]
    fn steady_growth_is_noticed() {
        let of = |growth: f64| {
            let taken = (0..SAMPLES).map(|n| held(100.0 + growth * f64::from(n) / 400.0));
            samples(taken.collect())
        };
        assert!(of(0.0).verdict());
        // From the middle of the second quarter to that of the last, it is half of the growth.
        assert!(of(26.0).verdict());
        assert!(!of(28.0).verdict());
    }

    #[test]
    fn a_peak_is_not_growth() {
        let mut taken = vec![held(100.0); 400];
        taken[350] = held(900.0);
        assert!(samples(taken).verdict());
    }

    #[test]
    fn descriptors_and_connections_may_not_grow_either() {
        for more in [
            Held {
                descriptors: 114.0,
                ..held(100.0)
            },
            Held {
                connections: 76.0,
                ..held(100.0)
            },
        ] {
            let mut taken = vec![held(100.0); 400];
            taken[300..].fill(more);
            assert!(!samples(taken).verdict());
        }
    }

    #[test]
    fn a_connection_left_open_is_noticed() {
        let mut samples = samples(vec![held(100.0); 400]);
        assert!(samples.verdict());
        samples.after.connections = 1.0;
        assert!(!samples.verdict());
    }

    #[test]
    fn memory_and_connections_are_read_from_the_kernel() {
        assert_eq!(memory("VmRSS:\t 9 kB\nRssAnon:\t    2048 kB\n"), 2.0);
        let table = "  sl  local_address rem_address   st tx_queue\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000\n\
            1: 0100007F:A1B2 0100007F:1F90 01 00000000\n\
            2: 0100007F:A1B3 0100007F:1F90 08 00000000\n\
            3: 0100007F:A1B4 0100007F:1F90 06 00000000\n\
            4: 0100007F:1F90 0100007F:A1B2 01 00000000\n";
        assert_eq!(connections(table, 8080), 2);
    }
}
