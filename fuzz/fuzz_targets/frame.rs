//! `cargo +nightly fuzz run frame`: whatever is stored under an entry, decoding it ends, in bounds.
#![no_main]

mod check;

libfuzzer_sys::fuzz_target!(|input: (u64, Vec<u8>)| check::decode(input.0, input.1));
