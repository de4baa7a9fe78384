//! `epsball certify`: CERTIFY of Cohen et al. 2019 for one model.

use super::attack::Subject;
use super::run::{Common, run_suite};
use crate::bench::{CertificateEntry, Number};
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Standard deviation of the Gaussian noise, in pixel units of [0, 1]
    #[arg(long)]
    sigma: String,
    /// N0, the samples that select the class
    #[arg(long, default_value_t = 100)]
    n0: u64,
    /// N, the samples that bound its probability
    #[arg(long, default_value_t = 100_000)]
    n: u64,
    /// One minus the confidence of each certificate
    #[arg(long, default_value_t = 0.001)]
    alpha: f64,
    /// Radii of the report
    #[arg(long, value_delimiter = ',')]
    radii: Vec<f64>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let mut suite = args.subject.suite("certify");
    suite.certificates.push(CertificateEntry {
        certificate: "cohen".into(),
        label: None,
        sigma: Number::Text(args.sigma.clone()),
        n0: args.n0,
        n: args.n,
        alpha: args.alpha,
        radii: args.radii.clone(),
        models: Vec::new(),
    });
    run_suite(suite, &args.common)
}
