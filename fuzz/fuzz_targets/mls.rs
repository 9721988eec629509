#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| spacepanda_fuzz::run("mls", bytes));
