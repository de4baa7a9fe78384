//! Attacks by type beside the same attacks by name.

use super::*;
use crate::attack::tests::{random_network, run};
use crate::attack::{
    Alma, Apgd, AutoAttack, Bandits, Bim, Boundary, BrendelBethge, CarliniWagner, Ddn, DeepFool,
    Ead, Ensemble, Fab, Fast, Fgsm, Fmn, Grey, HopSkipJump, MinNorm, Nes, PatchPgd, PatchRs,
    PatchSearch, Pdgd, Pdpgd, Pgd, PgdSweep, RandomNoise, Rays, Request, Roa, SigmaZero, SignOpt,
    Simba, SparseRs, Spsa, Square, SuperDeepFool, TrustRegion, Vfga, attack,
};
use crate::threat::{Norm, Patch};

/// What an attack says of itself, but for the search.
fn spelled(attack: &Configured) -> (&'static str, bool, Threat, BTreeMap<String, String>) {
    (attack.name, attack.is_control, attack.threat, attack.parameters.clone())
}

/// Every attack of the list that `threat` is for, by type and with its defaults.
fn by_type(threat: Threat) -> Vec<Configured> {
    let all = match threat {
        Threat::Patch(patch) => vec![
            Configured::of(PatchPgd::new(patch)),
            Configured::of(Roa::new(patch)),
            Configured::of(PatchRs::new(patch)),
            Configured::of(PatchSearch::new(patch)),
            Configured::of(RandomNoise::new(patch)),
            Configured::of(Grey::new(patch)),
        ],
        Threat::Ball { norm: Norm::L0, eps } => vec![Configured::of(SparseRs::new(eps))],
        Threat::Ball { norm, eps } => vec![
            Configured::of(Fgsm::new(norm, eps)),
            Configured::of(Bim::new(norm, eps)),
            Configured::of(Pgd::new(norm, eps)),
            Configured::of(Apgd::ce(norm, eps)),
            Configured::of(Apgd::dlr(norm, eps)),
            Configured::of(Apgd::targeted(norm, eps)),
            Configured::of(Fab::new(norm, eps)),
            Configured::of(Fab::targeted(norm, eps)),
            Configured::of(Square::new(norm, eps)),
            Configured::of(Nes::new(norm, eps)),
            Configured::of(AutoAttack::new(norm, eps)),
            Configured::of(Fast::new(norm, eps)),
            Configured::of(Ensemble::new(norm, eps)),
        ],
    };
    let of_its_norm = match threat {
        Threat::Ball { norm: Norm::Linf, eps } => vec![
            Configured::of(Rays::new(eps)),
            Configured::of(Spsa::new(eps)),
            Configured::of(Bandits::new(Norm::Linf, eps)),
        ],
        Threat::Ball { norm: Norm::L2, eps } => {
            vec![Configured::of(Simba::new(eps)), Configured::of(Bandits::new(Norm::L2, eps))]
        }
        _ => vec![],
    };
    all.into_iter().chain(of_its_norm).collect::<Result<_>>().unwrap()
}

/// Every attack of the list that looks for the smallest perturbation in `norm`, by type and with its defaults.
fn without_radius(norm: Norm) -> Vec<Configured> {
    let mut all = vec![Configured::of(Fmn::new(norm)), Configured::of(MinNorm::new(norm))];
    if norm != Norm::L0Pixels {
        all.push(Configured::of(BrendelBethge::new(norm)));
    }
    if norm.counts() {
        all.push(Configured::of(SigmaZero::new(norm)));
        all.push(Configured::of(Vfga::new(norm)));
        return all.into_iter().collect::<Result<_>>().unwrap();
    }
    all.push(Configured::of(Pdpgd::new(norm)));
    all.push(Configured::of(PgdSweep::new(norm)));
    if norm != Norm::L1 {
        all.push(Configured::of(DeepFool::new(norm)));
        all.push(Configured::of(TrustRegion::new(norm)));
        all.push(Configured::of(HopSkipJump::new(norm)));
    }
    if norm != Norm::Linf {
        all.push(Configured::of(Alma::new(norm)));
    }
    if norm == Norm::L1 {
        all.push(Configured::of(Ead::new()));
    }
    if norm == Norm::L2 {
        all.push(Configured::of(Boundary::new()));
        all.push(Configured::of(CarliniWagner::new()));
        all.push(Configured::of(Ddn::new()));
        all.push(Configured::of(Pdgd::new()));
        all.push(Configured::of(SignOpt::new()));
        all.push(Configured::of(SuperDeepFool::new()));
    }
    all.into_iter().collect::<Result<_>>().unwrap()
}

#[test]
fn an_attack_by_type_is_the_attack_by_name() {
    let balls = [Norm::Linf, Norm::L2, Norm::L1].map(|norm| Threat::ball(norm, 8.0 / 255.0));
    let patch = Threat::Patch(Patch::rectangle(2, 3));
    let mut names = vec![];
    for threat in balls.into_iter().chain([Threat::ball(Norm::L0, 4.0), patch]) {
        for typed in by_type(threat) {
            let named = configure(typed.name, &threat, &BTreeMap::new()).unwrap();
            assert_eq!(spelled(&typed), spelled(&named));
            let parts = |attack: &Configured| -> Vec<_> {
                attack.search.parts().iter().map(spelled).collect()
            };
            assert_eq!(parts(&typed), parts(&named));
            names.push(typed.name);
        }
    }
    for norm in [Norm::Linf, Norm::L2, Norm::L1, Norm::L0, Norm::L0Pixels] {
        for typed in without_radius(norm) {
            let ball = Threat::ball(norm, 1.0);
            let named = configure(typed.name, &ball, &BTreeMap::new()).unwrap();
            assert_eq!(typed.threat, Threat::ball(norm, f32::INFINITY));
            assert_eq!(spelled(&Configured { threat: ball, ..typed }), spelled(&named));
            names.push(named.name);
        }
    }
    let missing: Vec<_> = ALL.iter().filter(|entry| !names.contains(&entry.name)).collect();
    assert!(missing.is_empty(), "{:?}", missing.iter().map(|e| e.name).collect::<Vec<_>>());
}

#[test]
fn fields_and_text_of_one_value_give_one_run() {
    let (model, batch) = random_network(12, false);
    let (norm, eps) = (Norm::Linf, 0.05);
    let threat = Threat::ball(norm, eps);
    let typed = [
        Configured::of(Pgd { steps: 7, alpha: 0.0125, restarts: 2, ..Pgd::new(norm, eps) }),
        Configured::of(Apgd { n_iter: 9, rho: 0.6, ..Apgd::ce(norm, eps) }),
        Configured::of(Square { n_queries: 30, p_init: 0.3, ..Square::new(norm, eps) }),
    ];
    let named = [
        ("pgd", vec![("steps", "7"), ("alpha", "0.0125"), ("restarts", "2")]),
        ("apgd-ce", vec![("n_iter", "9"), ("rho", "0.6")]),
        ("square", vec![("n_queries", "30"), ("p_init", "0.3")]),
    ];
    for (typed, (name, given)) in typed.into_iter().zip(named) {
        let typed = typed.unwrap();
        let text: BTreeMap<String, String> =
            given.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        assert_eq!(spelled(&typed), spelled(&configure(name, &threat, &text).unwrap()));
        let request = Request { seed: 11, ..Request::default() };
        let outcomes = attack(&typed, &model, &batch, &request).unwrap();
        assert_eq!(outcomes, run(name, &given, threat, &model, &batch), "{name}");
        assert!(outcomes.iter().any(|outcome| outcome.found), "{name}");
    }
}

#[test]
fn fields_that_cannot_be_used_are_refused_as_text_is() {
    let (norm, eps, patch) = (Norm::L2, 0.5, Patch::rectangle(2, 2));
    let ball = Threat::ball(norm, eps);
    let cases = [
        (Configured::of(Pgd { steps: 0, ..Pgd::new(norm, eps) }), ball, ("steps", "0")),
        (Configured::of(Pgd { alpha: 0.0, ..Pgd::new(norm, eps) }), ball, ("alpha", "0")),
        (Configured::of(Pgd { alpha: f32::NAN, ..Pgd::new(norm, eps) }), ball, ("alpha", "NaN")),
        (Configured::of(Bim { alpha: -1.0, ..Bim::new(norm, eps) }), ball, ("alpha", "-1")),
        (Configured::of(Apgd { rho: -0.1, ..Apgd::ce(norm, eps) }), ball, ("rho", "-0.1")),
        (Configured::of(Fab { beta: 0.0, ..Fab::new(norm, eps) }), ball, ("beta", "0")),
        (
            Configured::of(CarliniWagner { confidence: -1.0, ..CarliniWagner::new() }),
            ball,
            ("confidence", "-1"),
        ),
        (
            Configured::of(Roa { stride: 0, ..Roa::new(patch) }),
            Threat::Patch(patch),
            ("stride", "0"),
        ),
    ];
    for (typed, threat, (key, value)) in cases {
        let name = match key {
            "rho" => "apgd-ce",
            "beta" => "fab",
            "confidence" => "cw-l2",
            "stride" => "roa",
            _ if value == "-1" => "bim",
            _ => "pgd",
        };
        let given = BTreeMap::from([(key.to_string(), value.to_string())]);
        let named = configure(name, &threat, &given).err().unwrap();
        let typed = typed.err().unwrap();
        assert_eq!((typed.to_string(), typed.hint()), (named.to_string(), named.hint()));
        assert!(typed.to_string().starts_with(&format!("{name}: {key}: `{value}`")), "{typed}");
    }
    for eps in [f32::NAN, -0.1] {
        let typed = Configured::of(Fgsm::new(norm, eps)).err().unwrap();
        let named = configure("fgsm", &Threat::ball(norm, eps), &BTreeMap::new()).err().unwrap();
        assert_eq!(typed.to_string(), format!("eps: {eps} is not a radius"));
        assert_eq!(named.to_string(), typed.to_string());
    }
    // Every step in a ball of radius 0 leads back to the image.
    assert!(Configured::of(Pgd::new(norm, 0.0)).is_ok());
}

#[test]
fn an_attack_by_type_is_refused_where_it_is_refused_by_name() {
    let none = BTreeMap::new();
    let by_name = configure("pgd", &Threat::ball(Norm::L0, 8.0), &none).err().unwrap();
    let by_type = Configured::of(Pgd::new(Norm::L0, 8.0)).err().unwrap();
    assert_eq!(by_type.to_string(), by_name.to_string());
    assert_eq!(by_name.to_string(), "attack pgd: does not work under the threat model L0");
    assert_eq!(by_name.hint().unwrap(), "it works under: Linf, L2, L1");
    let error = configure("fmn", &Threat::ball(Norm::L0, 0.5), &none).err().unwrap();
    assert!(error.to_string().starts_with("eps: 0.5 is not a whole number"), "{error}");
}
