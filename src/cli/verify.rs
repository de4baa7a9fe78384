//! `epsball verify`: whether runs are what they claim to be, or what adversarial images that somebody else
//! made show about a network.

use std::path::{Path, PathBuf};

use super::attack::Subject;
use super::output::{Ended, Failure, say, show, show_json};
use super::{exit, interrupt, target};
use crate::bench;
use crate::device::{Device, Precision};
use crate::error::Error;
use crate::persist;
use crate::verify::foreign::{Foreign, judge_foreign};
use crate::verify::run::{Settings, Verification, verify_run, write_manifest};

/// Images at a time, unless the user decides.
const BATCH: usize = 128;

/// What options about adversarial images of others are under.
const THEIRS: &str = "Adversarial images of somebody else";

#[derive(Debug, clap::Args)]
#[command(
    mut_arg("files", |arg| arg.required(false).requires("adversarial")),
    // `requires_all` of the file asks for what these two say; a default is no answer.
    mut_arg("data", |arg| {
        arg.required(false).default_value("").hide_default_value(true).requires("adversarial")
    }),
    mut_arg("arch", |arg| arg.requires("adversarial")),
    mut_arg("average", |arg| arg.requires("adversarial")),
    mut_arg("first", |arg| arg.requires("adversarial")),
    mut_arg("every", |arg| arg.requires("adversarial")),
    after_help = "Exit codes: 0 everything holds, 1 a run has findings or an image lies outside the \
threat model, 2 bad input.\nExamples:\n  epsball verify results/digits\n  epsball verify --adversarial \
x_adv.pt -m model.safetensors -d cifar10:cifar-10-batches-bin -n 1000 --norm Linf --eps 8/255"
)]
pub(super) struct Args {
    /// Folders of runs: their files, models, images, adversarial images and some certificates are looked
    /// at again
    #[arg(required_unless_present = "adversarial", value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Only what the files of a run say: no network is asked and no image is read
    #[arg(long, conflicts_with = "adversarial")]
    files_only: bool,
    /// Certificates, or accuracies under a corruption, of each job that are computed again
    #[arg(
        hide_short_help = true,
        long,
        value_name = "K",
        default_value_t = 3,
        conflicts_with = "adversarial"
    )]
    certificates: usize,
    /// Seed of the choice of these
    #[arg(
        hide_short_help = true,
        short,
        long,
        default_value_t = 0,
        conflicts_with = "adversarial"
    )]
    seed: u64,
    /// Judge the adversarial images of a run in f64 as well, slowly, and tell what rounding alone has broken
    #[arg(long = "f64", conflicts_with_all = ["adversarial", "files_only"])]
    in_f64: bool,
    /// Write the hashes of a run's files into its SHA256SUMS, if nothing is wrong with it
    #[arg(long, conflicts_with = "adversarial")]
    manifest: bool,
    /// Adversarial images to judge instead: .npz, .npy, .safetensors, or .pt of torch.save. Row i is about
    /// image i of the data
    #[arg(help_heading = THEIRS, long, value_name = "FILE", conflicts_with = "runs", requires_all = ["files", "data"])]
    adversarial: Option<PathBuf>,
    /// Name of the array of images, where the file leaves a choice
    #[arg(hide_short_help = true, help_heading = THEIRS, long, value_name = "NAME", requires = "adversarial")]
    key: Option<String>,
    #[command(flatten)]
    subject: Subject,
    /// Norm of the ball: Linf, L2, L1, L0 (changed values) or L0-pixels
    #[arg(help_heading = THEIRS, long, requires = "adversarial")]
    norm: Option<String>,
    /// Radius of the ball: `0.3`, `8/255`
    #[arg(help_heading = THEIRS, long, requires = "adversarial")]
    eps: Option<String>,
    /// Size of the patch: 5x5, 2%, 20%x10%, circle:5, mask:FILE.png
    #[arg(help_heading = THEIRS, long, requires = "adversarial")]
    patch: Option<String>,
    /// Table of the verdicts, a row per image
    #[arg(help_heading = THEIRS, short, long, value_name = "FILE.csv", requires = "adversarial")]
    output: Option<PathBuf>,
    /// Images per batch; results do not depend on it
    #[arg(hide_short_help = true, short, long, value_name = "N")]
    batch: Option<usize>,
    /// Where networks run: auto, cpu, cuda, cuda:1, cuda:0,1
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: Device,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Ended {
    if args.batch == Some(0) {
        return Err(Error::setting("batch", "0 images at a time", "give at least 1").into());
    }
    match &args.adversarial {
        Some(file) => adversarial(args, file),
        None => runs(args),
    }
}

/// Looks at every run.
fn runs(args: &Args) -> Ended {
    let settings = Settings {
        files_only: args.files_only,
        certificates: args.certificates,
        seed: args.seed,
        batch: args.batch.unwrap_or(BATCH),
        device: args.device.clone(),
        in_f64: args.in_f64,
    };
    interrupt::listen();
    let mut all = Vec::new();
    for folder in &args.runs {
        let found = verify_run(folder, &settings, &interrupt::requested);
        let found = found.map_err(|error| match all.is_empty() {
            true => Failure::Input(error),
            false => Failure::Late(error),
        })?;
        if args.manifest && found.findings.is_empty() {
            let manifest = write_manifest(folder).map_err(Failure::Late)?;
            say(format_args!("wrote {}", manifest.display()));
        } else if args.manifest {
            say(format_args!("{}: no SHA256SUMS is written of what is wrong", folder.display()));
        }
        if !args.json {
            show(text(&found, args.in_f64))?;
        }
        all.push(found);
    }
    if args.json {
        show_json(&all)?;
    }
    let holds = all.iter().all(|found| found.findings.is_empty());
    Ok(if holds { exit::OK } else { exit::CONTRADICTED })
}

/// What was looked at, and what is wrong.
fn text(found: &Verification, in_f64: bool) -> String {
    let findings = match found.findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    };
    let mut text = format!("{}: {findings}", found.folder.display());
    for (count, what) in [
        (found.jobs, "jobs"),
        (found.rows, "rows"),
        (found.models, "models"),
        (found.images, "images"),
        (found.clean, "clean predictions"),
        (found.adversarial, "adversarial images"),
        (found.certificates, "certificates computed again"),
        (found.corruptions, "accuracies under corruptions computed again"),
    ] {
        text += &format!("\n  {count:>6} {what}");
    }
    if in_f64 {
        let (judged, by_rounding) = (found.in_f64, found.by_rounding.len());
        text += &format!(
            "\n  {judged:>6} broken images judged in f64, {by_rounding} of them broken by rounding"
        );
    }
    for finding in found.findings.iter().chain(&found.by_rounding) {
        text += &format!("\n  {}: {}", finding.place, finding.problem);
    }
    text
}

/// Judges the adversarial images of `file`.
fn adversarial(args: &Args, file: &Path) -> Ended {
    let subject = &args.subject;
    if let Some(output) = &args.output {
        target::check(output, &[file])?;
    }
    let (norm, eps, patch) = (args.norm.as_deref(), args.eps.as_deref(), args.patch.as_deref());
    let data = subject.images()?;
    let threat = bench::threat(norm, eps, patch, data.info().shape)?;
    let network = bench::network(&subject.model()?, &args.device, Precision::F32)?;
    let foreign = Foreign { path: file.into(), key: args.key.clone() };
    interrupt::listen();
    let (batch, stop) = (args.batch.unwrap_or(BATCH), &interrupt::requested);
    let judgement = judge_foreign(&foreign, &network, data.as_ref(), &threat, batch, stop)?;
    for note in &judgement.notes {
        say(format_args!("{}: {note}", file.display()));
    }
    if let Some(path) = &args.output {
        judgement.csv().and_then(|table| persist::replace(path, &table)).map_err(Failure::Late)?;
        say(format_args!("wrote {}", path.display()));
    }
    if args.json {
        show_json(&judgement)?;
    } else {
        show(&judgement)?;
    }
    Ok(if judgement.not_allowed == 0 { exit::OK } else { exit::CONTRADICTED })
}
