//! `epsball audit`: whether tables of certificates, published ones or ours, can be what they claim to be.

use std::path::PathBuf;

use serde_json::json;

use super::exit;
use super::output::{Ended, show, show_json};
use crate::certify::analysis::{EnvelopePoint, envelope};
use crate::certify::audit::{AUDIT_VERSION, Audit, Given, audit};
use crate::certify::log::Log;
use crate::data;
use crate::error::{Error, Result};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing contradicts the claims, 1 something does, 2 bad input.\n\
Examples:\n  epsball audit sigma_0.25 --n 100000 --alpha 0.001\n  epsball audit run/jobs/*/smoothing-*.tsv \
--data digits --json"
)]
pub(super) struct Args {
    /// Tables of certificates: Cohen et al.'s (idx label predict radius correct, with or without
    /// time) or ours
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Standard deviation of the noise, where no run, column or file name says it
    #[arg(long)]
    sigma: Option<f64>,
    /// N0, the samples that select the class [claimed if nothing says it: 100]
    #[arg(long)]
    n0: Option<u64>,
    /// N, the samples that bound its probability [claimed if nothing says it: 100000]
    #[arg(long)]
    n: Option<u64>,
    /// One minus the confidence of each certificate [claimed if nothing says it: 0.001]
    #[arg(long)]
    alpha: Option<f64>,
    /// Data set whose labels the tables should have, as FORMAT:PATH
    #[arg(short, long)]
    data: Option<String>,
    /// Radii of the summary
    #[arg(long, value_delimiter = ',')]
    radii: Vec<f64>,
    /// Also the certified accuracy of which every certificate holds with confidence 1 - alpha, all
    /// images together (Holm, Bonferroni)
    #[arg(long)]
    simultaneous: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Ended {
    if let Some(folder) = args.logs.iter().find(|log| log.is_dir()) {
        return Err(Error::file(
            folder,
            "table",
            "it is a folder, and an audit reads tables of randomized smoothing",
            "name tables, as in RUN/jobs/MODEL/smoothing-0.25.tsv; `epsball verify RUN` looks at a whole run",
        )
        .into());
    }
    let given = Given { sigma: args.sigma, n0: args.n0, n: args.n, alpha: args.alpha };
    let data = args.data.as_deref().map(data::open).transpose()?;
    let audits: Vec<Audit> = args
        .logs
        .iter()
        .map(|log| audit(log, &given, data.as_deref(), &args.radii, args.simultaneous))
        .collect::<Result<_>>()?;
    let best = if audits.len() > 1 { best(args, &audits) } else { vec![] };
    let contradicted = audits.iter().any(Audit::contradicted);
    if args.json {
        let all = json!({ "format_version": AUDIT_VERSION, "audits": audits, "envelope": best });
        show_json(&all)?;
    } else {
        audits.iter().try_for_each(show)?;
        if !best.is_empty() {
            show(format_args!(
                "Best of the {} tables, which are about the same images:",
                audits.len()
            ))?;
        }
        for point in best {
            let percent = 100.0 * point.accuracy;
            show(format_args!(
                "  r {:<6} certified {percent:>6.2} %  {}",
                point.radius, point.log
            ))?;
        }
    }
    Ok(if contradicted { exit::CONTRADICTED } else { exit::OK })
}

/// The best of several tables at every radius of their summaries; none if their radii are in different
/// norms, they are about different images, or they are damaged, which their audits say.
fn best(args: &Args, audits: &[Audit]) -> Vec<EnvelopePoint> {
    if audits.iter().any(|audit| audit.claim.norm != audits[0].claim.norm) {
        return vec![];
    }
    let logs: Result<Vec<Log>> = args.logs.iter().map(|log| Log::read(log)).collect();
    let mut radii: Vec<f64> = audits
        .iter()
        .flat_map(|audit| &audit.summary.certified)
        .map(|share| share.radius)
        .collect();
    radii.sort_by(f64::total_cmp);
    radii.dedup();
    logs.and_then(|logs| envelope(&logs, &radii)).unwrap_or_default()
}
