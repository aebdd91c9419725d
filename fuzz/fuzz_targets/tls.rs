#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mqttdump_fuzz::tls(data));
