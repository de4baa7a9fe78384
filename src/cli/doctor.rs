//! `epsball doctor`: what this machine can do, and whether it does it right.

use super::exit;
use super::output::{Ended, Failure, show, show_json};
use crate::device::Device;
use crate::doctor::{Diagnosis, examine};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Try this device only: cpu, cuda, cuda:1 [default: the CPU and every GPU]
    #[arg(long)]
    device: Option<Device>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Ended {
    let diagnosis = examine(args.device.as_ref())?;
    if args.json {
        show_json(&diagnosis)?;
    } else {
        print(&diagnosis)?;
    }
    Ok(if diagnosis.is_well() { exit::OK } else { exit::CONTRADICTED })
}

fn print(diagnosis: &Diagnosis) -> Result<(), Failure> {
    for (name, value) in &diagnosis.facts {
        show(format_args!("{name:<10} {value}"))?;
    }
    show(format_args!(
        "\nA bundled network (logits beside candle, gradients beside the CPU in f32), and the rate of a 3x3 convolution of 256 channels:"
    ))?;
    show(format_args!("device   precision  logits apart  gradients apart   GFLOP/s"))?;
    for trial in &diagnosis.trials {
        let apart = trial.apart.map(|apart| apart.map(|number| format!("{number:.1e}")));
        let [logits, gradients] = apart.unwrap_or_else(|| ["-".into(), "-".into()]);
        show(format_args!(
            "{:<8} {:<9}  {logits:>12}  {gradients:>15}  {:>8}  {}",
            trial.device,
            trial.precision.to_string(),
            trial.gflops.map_or("-".into(), |rate| format!("{rate:.0}")),
            if trial.passed() { "ok" } else { &trial.problem },
        ))?;
    }
    for line in &diagnosis.advice {
        show(format_args!("\n{line}"))?;
    }
    Ok(())
}
