//! ONNX files: the wire, constants, a file of external data beside them, branches, functions; then the graph as a
//! program.
#![no_main]

use epsball::onnx;
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

fuzz_target!(|bytes: &[u8]| {
    let beside = shared::file("onnx/w.bin", &[0x3f; 64]);
    // The file itself is not looked for.
    if let Ok(graph) = onnx::read(&beside.with_file_name("net.onnx"), bytes) {
        let _ = graph.network(&onnx::OnnxForm::default());
    }
});
