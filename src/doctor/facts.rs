//! The machine, the program, and what is missing of either.

use std::fs;

use crate::cuda::{self, GpuFacts};
use crate::error::Result;
use crate::ops::bf16::Unit;

const GIB: f64 = (1_u64 << 30) as f64;

/// Names and values, those of the GPUs among them.
pub(super) fn of_machine(gpus: &[Result<GpuFacts>]) -> Vec<(String, String)> {
    let features: Vec<&str> = [
        ("cuda", cfg!(feature = "cuda")),
        ("candle-cuda", cfg!(feature = "candle-cuda")),
        ("hub", cfg!(feature = "hub")),
        ("parquet", cfg!(feature = "parquet")),
    ]
    .into_iter()
    .filter_map(|(name, is_on)| is_on.then_some(name))
    .collect();
    let features = if features.is_empty() { "default".to_owned() } else { features.join(", ") };
    let mut facts = vec![
        ("epsball", format!("{}, features {features}", env!("CARGO_PKG_VERSION"))),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("processor", processor()),
        ("threads", format!("{} of {} processors", rayon::current_num_threads(), processors())),
        ("vectors", vectors().to_owned()),
        ("bf16", format!("by {}", Unit::here())),
    ];
    if let Some(memory) = memory() {
        facts.push(("memory", format!("{:.1} GiB, {:.1} available", memory[0], memory[1])));
    }
    if let Some(driver) = cuda::driver() {
        facts.push(("driver", format!("CUDA {driver}")));
    }
    let mut facts: Vec<(String, String)> =
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for (number, gpu) in gpus.iter().enumerate() {
        let value = match gpu {
            Ok(facts) => of_gpu(facts),
            Err(error) => error.to_string(),
        };
        facts.push((format!("cuda:{number}"), value));
    }
    facts
}

fn of_gpu(facts: &GpuFacts) -> String {
    let cudnn = facts.cudnn.as_ref().map_or("no cuDNN".to_owned(), |v| format!("cuDNN {v}"));
    format!(
        "{}, capability {}, {:.1} of {:.1} GiB free, {cudnn}",
        facts.name,
        facts.capability,
        facts.free_memory as f64 / GIB,
        facts.memory as f64 / GIB,
    )
}

/// What is missing, and how to get it.
pub(super) fn advice(gpus: &[Result<GpuFacts>]) -> Vec<String> {
    let mut advice = Vec::new();
    match (cfg!(feature = "cuda"), gpus.is_empty()) {
        (false, _) => advice.push(
            "This program was built without CUDA. For GPUs build it with --features cuda; the compiler alone is \
             enough, which scripts/nvcc.sh fetches."
                .into(),
        ),
        (true, true) => advice.push(
            "No GPU is visible. See what `nvidia-smi -L` and CUDA_VISIBLE_DEVICES say.".into(),
        ),
        _ => {}
    }
    if gpus.iter().flatten().any(|gpu| gpu.cudnn.is_none()) {
        advice.push(
            "cuDNN 9 is not found, and convolutions run many times slower without it. It comes with PyTorch (the \
             folder nvidia/cudnn/lib of its environment) or as nvidia-cudnn-cu12 from PyPI; name its folder in \
             LD_LIBRARY_PATH."
                .into(),
        );
    }
    if Unit::here() != Unit::Amx {
        advice.push("This processor has no AMX: --precision bf16 is slower than f32 on it.".into());
    }
    advice
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn processor() -> String {
    let name = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    name.unwrap_or_else(|| "unknown".into())
}

/// Total and available memory in GiB.
fn memory() -> Option<[f64; 2]> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let read = |name: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024.0 / GIB)
    };
    Some([read("MemTotal:")?, read("MemAvailable:")?])
}

/// The widest vectors that the engine uses here.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "AVX2 and FMA";
        }
        "SSE2: slow"
    }
    #[cfg(target_arch = "aarch64")]
    {
        "NEON"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "none: slow"
    }
}
