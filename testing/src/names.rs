//! The addresses of names.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// What a look-up of a name comes to.
#[derive(Clone, Debug)]
pub enum Found {
    Addresses(Vec<IpAddr>),
    /// An error that says this.
    Error(&'static str),
    /// It never ends.
    Silence,
}

/// A name service that records what it is asked for. A test whose subject has a trait for name services
/// implements that by [`Names::look_up`].
pub struct Names {
    asked: Mutex<Vec<String>>,
    /// For every name that is not in `known`: one for each look-up, the last one for good.
    found: Vec<Found>,
    known: Mutex<HashMap<&'static str, Found>>,
}

impl Names {
    /// Every name has these addresses.
    pub fn all(addresses: &[&str]) -> Arc<Names> {
        Names::in_turn(&[addresses])
    }

    /// The first look-up finds the first list and so on, every later one the last list.
    pub fn in_turn(lists: &[&[&str]]) -> Arc<Names> {
        let found = lists.iter().map(|addresses| addresses_of(addresses));
        Names::finding(found.collect())
    }

    /// Every look-up comes to this.
    pub fn always(found: Found) -> Arc<Names> {
        Names::finding(vec![found])
    }

    fn finding(found: Vec<Found>) -> Arc<Names> {
        Arc::new(Names {
            asked: Mutex::default(),
            found,
            known: Mutex::default(),
        })
    }

    /// From now on this name has its own result.
    pub fn set(&self, name: &'static str, found: Found) {
        self.known.lock().unwrap().insert(name, found);
    }

    /// The names so far, in the order of the look-ups.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Looks a name up.
    pub fn look_up(
        &self,
        name: &str,
    ) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send + use<> {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(name.to_owned());
            asked.len()
        };
        let known = self.known.lock().unwrap().get(name).cloned();
        let found = known.unwrap_or_else(|| self.found[number.min(self.found.len()) - 1].clone());
        async move {
            match found {
                Found::Addresses(addresses) => Ok(addresses),
                Found::Error(text) => Err(io::Error::other(text)),
                Found::Silence => std::future::pending().await,
            }
        }
    }
}

/// These addresses.
pub fn addresses_of(addresses: &[&str]) -> Found {
    Found::Addresses(
        addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
    )
}
