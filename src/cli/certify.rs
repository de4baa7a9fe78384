//! `epsball certify`: one certificate for one model. Randomized smoothing unless another is named.

use toml::Value;

use super::attack::{Subject, named};
use super::output::Ended;
use super::run::{Common, run_suite};
use crate::error::Result;
use crate::work::Entry;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  epsball certify -m model.safetensors -d \
idx:t10k-images-idx3-ubyte.gz --sigma 0.25\n  epsball certify -m bundled:digits-pgd -d digits \
--certificate patchcleanser --patch 2x2,10%\n  epsball certify -m bundled:digits-pgd -d digits \
--certificate crown --norm Linf --eps 0.02,0.05")]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// The certificate; see `epsball list certificates`
    #[arg(help_heading = "Certificate", short, long, default_value = "cohen")]
    certificate: String,
    /// Noise: gaussian (L2), uniform or laplace (L1), lattice (L2, sound in floating point), ablation
    /// (L0)
    #[arg(hide_short_help = true, help_heading = "Certificate", long)]
    noise: Option<String>,
    /// How many of the N samples an image gets: cohen (all), grid (until every radius of the report is
    /// decided), radius (until the one radius is), anytime (as grid, with a bound that holds always)
    #[arg(hide_short_help = true, help_heading = "Certificate", long)]
    mode: Option<String>,
    /// Norm of the radii, if not the noise's own; for bounds, of the ball
    #[arg(help_heading = "Certificate", long)]
    norm: Option<String>,
    /// Radius of the ball, or several: `0.1`, `8/255`, `0.02,0.05`; for bounds
    #[arg(help_heading = "Certificate", long, value_delimiter = ',')]
    eps: Vec<String>,
    /// Halvings in the search for the largest radius of an image, 0 for those given by --eps only;
    /// for bounds
    #[arg(hide_short_help = true, help_heading = "Certificate", long)]
    steps: Option<u32>,
    /// Standard deviation of the noise, in pixel units of [0, 1]
    #[arg(help_heading = "Certificate", long)]
    sigma: Option<String>,
    /// N0, the samples that select the class [default: 100]
    #[arg(hide_short_help = true, help_heading = "Certificate", long, value_name = "N0")]
    n0: Option<u64>,
    /// N, the samples that bound its probability, at most [default: 100000]
    #[arg(help_heading = "Certificate", long, value_name = "N")]
    n: Option<u64>,
    /// One minus the confidence of each certificate [default: 0.001]
    #[arg(hide_short_help = true, help_heading = "Certificate", long, value_name = "ALPHA")]
    alpha: Option<f64>,
    /// Radii of the report
    #[arg(hide_short_help = true, help_heading = "Certificate", long, value_delimiter = ',')]
    radii: Vec<f64>,
    /// Size of the patch, or several: 5x5 pixels, 2%, 20%x10%
    #[arg(help_heading = "Certificate", long, value_delimiter = ',')]
    patch: Vec<String>,
    /// A parameter of the noise, the mode or the defence (k, fill, size, stride, threshold, levels, beta,
    /// correction); may be repeated
    #[arg(
        hide_short_help = true,
        help_heading = "Certificate",
        long = "set",
        value_name = "NAME=VALUE"
    )]
    parameters: Vec<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> Ended {
    let mut suite = args.subject.suite()?;
    suite.certificates.push(args.entry()?);
    run_suite(suite, &args.common)
}

impl Args {
    /// The entry of a suite with what was given. Which of it the certificate has a use for, it says itself.
    fn entry(&self) -> Result<Entry> {
        let text = |value: &String| Value::String(value.clone());
        let list = |values: Vec<Value>| (!values.is_empty()).then_some(Value::Array(values));
        let texts = |values: &[String]| list(values.iter().map(text).collect());
        let whole = |value: u64| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        let radii = self.radii.iter().copied().map(Value::Float).collect();
        let set = named(&self.parameters)?;
        let fields = [
            ("certificate", Some(text(&self.certificate))),
            ("sigma", self.sigma.as_ref().map(text)),
            ("noise", self.noise.as_ref().map(text)),
            ("mode", self.mode.as_ref().map(text)),
            ("norm", self.norm.as_ref().map(text)),
            ("eps", texts(&self.eps)),
            ("steps", self.steps.map(|steps| whole(steps.into()))),
            ("patch", texts(&self.patch)),
            ("n0", self.n0.map(whole)),
            ("n", self.n.map(whole)),
            ("alpha", self.alpha.map(Value::Float)),
            ("radii", list(radii)),
            ("parameters", (!set.is_empty()).then(|| Value::Table(set.into_iter().collect()))),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(Entry(given.collect()))
    }
}
