#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| operations_oracles::settings::check(input));
