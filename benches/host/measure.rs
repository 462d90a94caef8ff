//! How long a call takes, and how many there are in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clients::Client;

/// Rounds in which the clients take turns.
pub const ROUNDS: usize = 9;
const CALLS_A_ROUND: usize = 400;
const TIME_A_ROUND: Duration = Duration::from_millis(1500);

/// The median time of a call of each client, one call at a time.
pub async fn latency(clients: &[Arc<Client>]) -> Vec<Duration> {
    let mut turns = Vec::new();
    for client in clients {
        let mut turn = client.turn().await;
        for _ in 0..CALLS_A_ROUND / 4 {
            turn.ask().await;
        }
        turns.push(turn);
    }
    let mut times = vec![Vec::new(); clients.len()];
    for _ in 0..ROUNDS {
        for (turn, times) in turns.iter_mut().zip(&mut times) {
            for _ in 0..CALLS_A_ROUND {
                let since = Instant::now();
                turn.ask().await;
                times.push(since.elapsed());
            }
        }
    }
    times.into_iter().map(median).collect()
}

/// The median, over rounds, of the calls a second of each client with so many in flight.
pub async fn throughput(clients: &[Arc<Client>], in_flight: usize) -> Vec<f64> {
    let mut rates = vec![Vec::new(); clients.len()];
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (client, rates) in clients.iter().zip(&mut rates) {
            let rate = rate(client, in_flight).await;
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    rates.into_iter().map(median_of).collect()
}

async fn rate(client: &Arc<Client>, in_flight: usize) -> f64 {
    let calls = Arc::new(AtomicU64::new(0));
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (client, calls) = (client.clone(), calls.clone());
        tasks.spawn(async move {
            let mut turn = client.turn().await;
            while since.elapsed() < TIME_A_ROUND {
                turn.ask().await;
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no call fails");
    }
    calls.load(Ordering::Relaxed) as f64 / since.elapsed().as_secs_f64()
}

/// The middle one.
pub fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
