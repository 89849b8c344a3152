//! Any bytes are a pickle or an error; every object that a pickle builds can be looked at.
#![no_main]

use ckpt::io::Source;
use ckpt::pickle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source::from_bytes("input", data);
    let Ok(pickle) = pickle::read(&source, 0) else {
        return;
    };
    let graph = &pickle.graph;
    for global in graph.globals() {
        let _ = global.to_string();
    }
    for call in graph.calls() {
        for &item in graph.args(call).iter().chain(graph.appended(call)) {
            let _ = (graph.view(item), graph.text(item), graph.int(item));
        }
        for &(key, value) in graph.pairs(call) {
            let _ = (graph.view(key), graph.view(value));
        }
    }
});
