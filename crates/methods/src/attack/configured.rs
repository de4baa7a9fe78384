//! From hyper-parameters to an attack that can run: by name, with what a suite or a command line gives as text
//! ([`configure`]), or by type, as a struct whose fields they are ([`Configured::of`]). Either way they go through
//! [`HyperParameters::build`], which is where they are named, checked and written down.

use std::collections::BTreeMap;

use super::{ALL, Attack, Entry, Threats};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::threat::Threat;

/// The hyper-parameters of an attack under its threat model. Such a struct has a constructor that takes the threat
/// and sets the defaults, so that a program names what it wants otherwise:
///
/// ```
/// # use epsball_methods::attack::Pgd;
/// # use epsball_methods::threat::Norm;
/// let pgd = Pgd { steps: 20, ..Pgd::new(Norm::Linf, 8.0 / 255.0) };
/// ```
///
/// It is implemented by the attacks of [`ALL`]; a search of your own goes by [`Configured::new`].
pub trait HyperParameters: Sized {
    /// The attack that they are of.
    fn entry(&self) -> &'static Entry;

    /// The threat model.
    fn threat(&self) -> Threat;

    /// The search. What is given by name takes the place of the fields; all of them are checked and written down.
    ///
    /// # Errors
    /// If a value cannot be used.
    fn build(self, parameters: &mut Parameters) -> Result<Box<dyn Attack>>;
}

/// An attack with all its parameters decided.
#[non_exhaustive]
pub struct Configured {
    /// Its name. The random numbers of a run belong to it too: two attacks of one name draw the same.
    pub name: &'static str,
    /// See [`Entry::is_control`].
    pub is_control: bool,
    /// The threat model it works under.
    pub threat: Threat,
    /// Every parameter by its name, as it will be printed.
    pub parameters: BTreeMap<String, String>,
    /// The search.
    pub search: Box<dyn Attack>,
}

impl Configured {
    /// The attack with these hyper-parameters.
    ///
    /// # Errors
    /// If one of them cannot be used, the attack does not work under the threat model, or that is none.
    pub fn of(attack: impl HyperParameters) -> Result<Self> {
        let (entry, threat) = (attack.entry(), attack.threat());
        Self::build(entry, threat, &BTreeMap::new(), |parameters| attack.build(parameters))
    }

    /// A search that is not in [`ALL`], without parameters to print.
    ///
    /// # Errors
    /// If the threat model is none.
    pub fn new(name: &'static str, threat: Threat, search: impl Attack + 'static) -> Result<Self> {
        let search = Box::new(search);
        check(&threat)?;
        Ok(Self { name, is_control: false, threat, parameters: BTreeMap::new(), search })
    }

    fn build(
        entry: &Entry,
        threat: Threat,
        given: &BTreeMap<String, String>,
        build: impl FnOnce(&mut Parameters) -> Result<Box<dyn Attack>>,
    ) -> Result<Self> {
        fits(entry, &threat)?;
        check(&threat)?;
        let mut parameters = Parameters::new(entry.name, given);
        let search = build(&mut parameters)?;
        let parameters = parameters.finish()?;
        Ok(Self { name: entry.name, is_control: entry.is_control, threat, parameters, search })
    }
}

/// The attack `name`, in upper or lower case, with the parameters `given` and defaults for the others.
///
/// # Errors
/// If the name or a parameter is unknown, a value cannot be used, or the attack does not work under
/// this threat model.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use epsball_engine::model::file::{Declared, load};
/// use epsball_methods::attack::{Request, attack, configure};
/// use epsball_methods::data;
/// use epsball_methods::threat::{Norm, Threat};
/// # std::env::set_current_dir("../..")?;
///
/// let model = load("benchmarks/models/digits-trades.safetensors".as_ref(), &Declared::default())?.0;
/// let batch = data::open("digits:test")?.read(&[0, 1])?;
///
/// let threat = Threat::ball(Norm::Linf, 0.1);
/// let autoattack = configure("autoattack", &threat, &BTreeMap::new())?;
/// assert_eq!(autoattack.parameters["version"], "standard");
/// for outcome in attack(&autoattack, &model, &batch, &Request::default())? {
///     println!("image {}: broken by {:?} after {} passes", outcome.id, outcome.by, outcome.forwards);
/// }
///
/// // What cannot be used is refused by name, with what could have been meant.
/// let error = configure("autoatack", &threat, &BTreeMap::new()).err().unwrap();
/// assert!(error.hint().unwrap().contains("autoattack"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn configure(
    name: &str,
    threat: &Threat,
    given: &BTreeMap<String, String>,
) -> Result<Configured> {
    let entry = ALL
        .iter()
        .find(|e| e.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| Error::unknown("attack", name, ALL.iter().map(|e| e.name)))?;
    Configured::build(entry, *threat, given, |parameters| (entry.build)(parameters, threat))
}

/// Refuses a threat model that the attack does not work under.
fn fits(entry: &Entry, threat: &Threat) -> Result<()> {
    let works = match (entry.threats, threat) {
        (Threats::Balls(norms), Threat::Ball { norm, .. }) if norms.contains(norm) => return Ok(()),
        (Threats::Patch, Threat::Patch(_)) => return Ok(()),
        (Threats::Balls(norms), _) => {
            norms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        (Threats::Patch, _) => "a patch".into(),
    };
    Err(Error::setting(
        format!("attack {}", entry.name),
        format!("does not work under the threat model {threat}"),
        format!("it works under: {works}"),
    ))
}

/// Refuses what is no threat model.
fn check(threat: &Threat) -> Result<()> {
    match threat {
        Threat::Ball { eps, .. } if eps.is_nan() || *eps < 0.0 => {
            Err(Error::setting("eps", format!("{eps} is not a radius"), "give a number above 0"))
        }
        Threat::Ball { norm, eps } => norm.refuse_fraction(f64::from(*eps)),
        Threat::Patch(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
