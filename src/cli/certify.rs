//! `epsball certify`: one certificate for one model. Randomized smoothing unless another is named.

use super::attack::{Subject, named};
use super::run::{Common, run_suite};
use crate::bench::{CertificateEntry, Number, OneOrMany};
use crate::error::Result;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  epsball certify -m model.safetensors -d \
idx:t10k-images-idx3-ubyte.gz --sigma 0.25\n  epsball certify -m bundled:digits-pgd -d digits \
--noise uniform --sigma 0.5 --radii 0.25,0.5\n  epsball certify -m bundled:digits-pgd -d digits \
--sigma 0.25 --mode grid\n  epsball certify -m bundled:digits-pgd -d digits \
--certificate patchcleanser --patch 2x2,10%\n  epsball certify -m bundled:digits-pgd -d digits \
--certificate crown --norm Linf --eps 0.02,0.05")]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// The certificate; see `epsball list certificates`
    #[arg(short, long, default_value = "cohen")]
    certificate: String,
    /// Noise: gaussian (L2), uniform or laplace (L1), lattice (L2, sound in floating point), ablation
    /// (L0)
    #[arg(long)]
    noise: Option<String>,
    /// How many of the N samples an image gets: cohen (all), grid (until every radius of the report is
    /// decided), radius (until the one radius is), anytime (as grid, with a bound that holds always)
    #[arg(long)]
    mode: Option<String>,
    /// Norm of the radii, if not the noise's own: gaussian also certifies L1 and Linf. For bounds
    /// (ibp, crown-ibp, fast-lin, crown) the norm of the ball, Linf or L2
    #[arg(long)]
    norm: Option<String>,
    /// Radius of the ball, or several: `0.1`, `8/255`, `0.02,0.05`; for bounds
    #[arg(long, value_delimiter = ',')]
    eps: Vec<String>,
    /// Halvings in the search for the largest radius of an image, 0 for those given by --eps only;
    /// for bounds
    #[arg(long)]
    steps: Option<u32>,
    /// Standard deviation of the noise, in pixel units of [0, 1]
    #[arg(long)]
    sigma: Option<String>,
    /// N0, the samples that select the class
    #[arg(long, default_value_t = 100)]
    n0: u64,
    /// N, the samples that bound its probability; in modes that stop early the most of them
    #[arg(long, default_value_t = 100_000)]
    n: u64,
    /// One minus the confidence of each certificate
    #[arg(long, default_value_t = 0.001)]
    alpha: f64,
    /// Radii of the report
    #[arg(long, value_delimiter = ',')]
    radii: Vec<f64>,
    /// Size of the patch, or several: 5x5 pixels, 2% of the area, 20%x10% of the sides
    #[arg(long, value_delimiter = ',')]
    patch: Vec<String>,
    /// A parameter of the noise, the mode or the defence (k, fill, size, stride, threshold, levels, beta,
    /// correction); may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let mut suite = args.subject.suite();
    suite.certificates.push(CertificateEntry {
        certificate: args.certificate.clone(),
        label: None,
        sigma: args.sigma.clone().map(Number::Text),
        noise: args.noise.clone(),
        mode: args.mode.clone(),
        norm: args.norm.clone(),
        eps: OneOrMany::Many(args.eps.iter().cloned().map(Number::Text).collect()),
        steps: args.steps,
        patch: OneOrMany::Many(args.patch.iter().cloned().map(Number::Text).collect()),
        parameters: named(&args.parameters)?,
        n0: args.n0,
        n: args.n,
        alpha: args.alpha,
        radii: args.radii.clone(),
        models: Vec::new(),
    });
    run_suite(suite, &args.common)
}
