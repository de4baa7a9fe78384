//! `epsball certify`: one certificate for one model, CERTIFY of Cohen et al. 2019 or bounds of the
//! network itself.

use super::attack::Subject;
use super::run::{Common, run_suite};
use crate::bench::{CertificateEntry, Number, OneOrMany};
use crate::error::Result;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: epsball certify --model bundled:digits-gaussian --data digits:test \
--sigma 0.25\n          epsball certify --model bundled:digits-pgd --data digits:test --bounds crown \
--norm Linf --eps 0.02,0.05"
)]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Standard deviation of the Gaussian noise, in pixel units of [0, 1]
    #[arg(long, required_unless_present = "bounds", conflicts_with = "bounds")]
    sigma: Option<String>,
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
    #[arg(long, value_delimiter = ',', conflicts_with = "bounds")]
    radii: Vec<f64>,
    /// Instead of smoothing, bounds of the network itself: ibp, crown-ibp, fast-lin or crown
    #[arg(long, value_name = "METHOD")]
    bounds: Option<String>,
    /// Norm of the ball, Linf or L2; for bounds
    #[arg(long, requires = "bounds")]
    norm: Option<String>,
    /// Radius of the ball, or several: `0.1`, `8/255`, `0.02,0.05`; for bounds
    #[arg(long, value_delimiter = ',', requires = "bounds")]
    eps: Vec<String>,
    /// Halvings in the search for the largest radius of an image, 0 for those given by --eps only
    #[arg(long, requires = "bounds")]
    steps: Option<u32>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let mut suite = args.subject.suite("certify");
    suite.certificates.push(CertificateEntry {
        certificate: args.bounds.clone().unwrap_or_else(|| "cohen".into()),
        label: None,
        sigma: args.sigma.clone().map(Number::Text),
        norm: args.norm.clone(),
        eps: OneOrMany::Many(args.eps.iter().cloned().map(Number::Text).collect()),
        steps: args.steps,
        n0: args.n0,
        n: args.n,
        alpha: args.alpha,
        radii: args.radii.clone(),
        models: Vec::new(),
    });
    run_suite(suite, &args.common)
}
