//! `epsball show`: adversarial images of a run, to look at.

use std::path::PathBuf;

use super::output::{Ended, Failure, say, show};
use super::{exit, interrupt, target};
use crate::device::Device;
use crate::error::Error;
use crate::gallery::{Exhibit, Gallery, Settings, Wall};
use crate::persist;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  epsball show results/digits\n  epsball show results/digits --job trades--pgd \
--each 5 --png pictures"
)]
pub(super) struct Args {
    /// Folder of a run that saved its adversarial images (--save-adversarial)
    run: PathBuf,
    /// Only jobs whose names contain this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    job: Option<String>,
    /// Images of each kind: closest, around the median, hardest
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    each: u16,
    /// The page [default: gallery.html in the folder of the run]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
    /// Write every picture into this folder too, as PNG
    #[arg(long, value_name = "FOLDER")]
    png: Option<PathBuf>,
    /// Where networks run: auto, cpu, cuda, cuda:1
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: Device,
}

pub(super) fn run(args: &Args) -> Ended {
    let output = args.output.clone().unwrap_or_else(|| args.run.join("gallery.html"));
    // A folder that is not there is not made.
    if args.output.is_some() || args.run.is_dir() {
        target::check(&output, &[])?;
    }
    let (job, each) = (args.job.clone(), usize::from(args.each));
    let settings = Settings { job, each, device: args.device.clone() };
    interrupt::listen();
    let gallery = Gallery::of(&args.run, &settings, &interrupt::requested)?;
    let written = || -> Result<(), Error> {
        persist::replace(&output, gallery.page()?.as_bytes())?;
        say(format_args!("wrote {}", output.display()));
        args.png.as_ref().map_or(Ok(()), |folder| pictures(&gallery, folder))
    };
    written().map_err(Failure::Late)?;
    for wall in &gallery.jobs {
        let Wall { job, threat, unsaved, .. } = wall;
        show(format_args!("{job}: {threat}, {}", wall.outcome()))?;
        if *unsaved > 0 {
            say(format_args!(
                "{job}: the adversarial images of its last {unsaved} images were not saved"
            ));
        }
        for Exhibit { rank, idx, clean, adversarial, distance, .. } in &wall.exhibits {
            show(format_args!(
                "  {rank:<8} image {idx:<6} {clean} -> {adversarial}, distance {distance}"
            ))?;
        }
    }
    for job in &gallery.without {
        say(format_args!("{job} has saved no adversarial images"));
    }
    Ok(exit::OK)
}

/// Writes `FOLDER/MODEL--LABEL/closest-17-clean.png` and its fellows.
fn pictures(gallery: &Gallery, folder: &std::path::Path) -> Result<(), Error> {
    let mut count = 0;
    for wall in &gallery.jobs {
        // Names of jobs may hold slashes.
        let own = folder.join(wall.job.replace(['/', '\\'], "_"));
        std::fs::create_dir_all(&own).map_err(Error::io("create", &own))?;
        for exhibit in &wall.exhibits {
            let names = ["clean", "adversarial", "change"];
            for (name, picture) in names.iter().zip(&exhibit.pictures) {
                let file = own.join(format!("{}-{}-{name}.png", exhibit.rank, exhibit.idx));
                persist::replace(&file, picture)?;
                count += 1;
            }
        }
    }
    say(format_args!("wrote {count} pictures into {}", folder.display()));
    Ok(())
}
