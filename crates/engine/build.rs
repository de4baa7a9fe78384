//! With the feature `cuda`: compiles `kernels/` with nvcc into one image that the program carries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// GPUs whose own code is in the image, and the oldest for which the driver can translate the rest.
/// `EPSBALL_CUDA_ARCHITECTURES="86"` builds for these alone.
const ARCHITECTURES: &str = "80 90";
const OLDEST: &str = "75";

/// The sources, from the folder of this crate.
const KERNELS: &str = "../../kernels";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed={KERNELS}");
    for name in ["NVCC", "CUDA_HOME", "CUDA_PATH", "EPSBALL_CUDA_ARCHITECTURES"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(problem) = compile() {
        println!("cargo::error={problem}");
    }
}

fn compile() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let here = env::current_dir().map_err(|e| e.to_string())?;
    let kernels = here.join(KERNELS);
    let included = |folder: &str| -> Result<String, String> {
        let sources = sources(&kernels.join(folder))?;
        Ok(sources.iter().map(|path| format!("#include \"{}\"\n", path.display())).collect())
    };
    // Layers twice, with activations in f32 and in bf16; what works on images and logits in f32 alone.
    let layers = included("")?;
    let rest = included("attack")? + &included("certify")?;
    let bf16 = kernels.join("bf16.cuh");
    let lines =
        format!("{rest}{layers}#include \"{}\"\nnamespace bf16 {{\n{layers}}}\n", bf16.display());
    let all = out.join("kernels.cu");
    fs::write(&all, lines).map_err(|e| format!("cannot write {}: {e}", all.display()))?;

    let chosen = env::var("EPSBALL_CUDA_ARCHITECTURES");
    let mut codes: Vec<String> = chosen
        .as_deref()
        .unwrap_or(ARCHITECTURES)
        .split_whitespace()
        .map(|number| format!("arch=compute_{number},code=sm_{number}"))
        .collect();
    if chosen.is_err() {
        codes.push(format!("arch=compute_{OLDEST},code=compute_{OLDEST}"));
    }
    let nvcc = nvcc();
    let mut command = Command::new(&nvcc);
    // Multiplications and additions are fused only where a kernel says so, as on the CPU.
    command.args(["-fatbin", "-O3", "-fmad=false", "-Werror", "all-warnings", "--threads=0"]);
    for code in &codes {
        command.args(["-gencode", code]);
    }
    let output = command.arg("-o").arg(out.join("kernels.fatbin")).arg(&all).output().map_err(|e| {
        format!(
            "the feature cuda needs nvcc, and {} does not start ({e}): install the CUDA toolkit, or set \
             CUDA_HOME or NVCC; without a toolkit `scripts/nvcc.sh` fetches the compiler alone",
            nvcc.display()
        )
    })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "nvcc: {}",
            String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ")
        )),
    }
}

/// The CUDA sources in a folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut sources: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|e| format!("cannot read {}: {e}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "cu"))
        .collect();
    sources.sort();
    Ok(sources)
}

fn nvcc() -> PathBuf {
    if let Some(path) = env::var_os("NVCC") {
        return path.into();
    }
    ["CUDA_HOME", "CUDA_PATH"]
        .iter()
        .filter_map(env::var_os)
        .map(|home| Path::new(&home).join("bin/nvcc"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| "nvcc".into())
}
