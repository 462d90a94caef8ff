//! Every seed and every find, and what the generators make from some choices, checked by its oracle.

use std::fmt::Display;
use std::path::Path;
use std::{fs, io};

use operations_oracles::choices::MARK;
use operations_oracles::{Check, TARGETS};

/// Says which input an oracle disagreed on.
struct ShownOnPanic<T: Display>(T);

impl<T: Display> Drop for ShownOnPanic<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: {}", self.0);
        }
    }
}

fn replay(kind: &str, target: &str, check: Check) -> io::Result<usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz")
        .join(kind)
        .join(target);
    if !folder.exists() {
        return Ok(0);
    }
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let input = fs::read(&path)?;
        let _shown = ShownOnPanic(path.display());
        check(&input);
        count += 1;
    }
    Ok(count)
}

#[test]
fn the_oracles_agree_on_every_seed() -> io::Result<()> {
    for (target, check) in TARGETS {
        assert!(replay("seeds", target, check)? > 0, "{target} has no seeds");
    }
    Ok(())
}

#[test]
fn the_oracles_agree_on_every_find() -> io::Result<()> {
    for (target, check) in TARGETS {
        replay("finds", target, check)?;
    }
    Ok(())
}

/// Not to search, but to find a generator that panics without a fuzzer.
#[test]
fn the_oracles_agree_on_what_generators_make() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    for (target, check) in TARGETS {
        for length in 0..3000 {
            let mut input = vec![MARK];
            input.extend((0..length % 300).map(|_| byte()));
            let _shown = ShownOnPanic(format!("{target}: {input:?}"));
            check(&input);
        }
    }
}
