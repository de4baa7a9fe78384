//! The suites of published networks, against the published tables.

use std::collections::BTreeSet;
use std::path::Path;

use super::Suite;
use crate::published::{self, Entry};
use crate::work::Number;

const SUITES: [(&str, &str); 4] = [
    ("cifar10-linf", include_str!("../../benchmarks/suites/cifar10-linf.toml")),
    ("cifar10-l2", include_str!("../../benchmarks/suites/cifar10-l2.toml")),
    ("cifar100-linf", include_str!("../../benchmarks/suites/cifar100-linf.toml")),
    ("imagenet-linf", include_str!("../../benchmarks/suites/imagenet-linf.toml")),
];

#[test]
fn they_list_every_entry_with_weights_at_its_radius() {
    for (name, text) in SUITES {
        let suite = Suite::parse(text, Path::new(name)).unwrap();
        let table = published::table(name).unwrap();
        assert_eq!(suite.name, name);
        let [attack] = &suite.attacks[..] else { panic!("{name}: one attack expected") };
        assert_eq!(attack.text("attack"), Some("autoattack"));
        let eps: Number = attack.0["eps"].clone().try_into().unwrap();
        let data: BTreeSet<_> = suite.data.iter().filter_map(|d| d.name.clone()).collect();

        let mut listed = BTreeSet::new();
        for model in &suite.models {
            let reference = model.published.as_deref().unwrap();
            let (of, entry) = published::find(reference).unwrap();
            assert_eq!(of.name, name, "{reference}");
            assert!(listed.insert(entry.name.clone()), "{reference} twice");
            let own = model.eps.as_ref().unwrap_or(&eps).positive("eps").unwrap();
            assert_eq!(Some(own), entry.radius(), "{reference}");
            let stem = Path::new(&model.path).file_stem().unwrap().to_str().unwrap();
            // A dot in a name would end the stem early.
            assert_eq!(stem, entry.name, "{reference}");
            if let Some(only) = &model.data {
                assert!(data.contains(only), "{reference}");
                assert!(only.ends_with(&entry.preprocessing), "{reference}");
            }
        }
        let offered = table.entries.iter().filter(|entry| entry.weights == "yes");
        assert_eq!(listed, offered.map(|entry: &Entry| entry.name.clone()).collect());
    }
}

#[test]
fn models_without_a_file_are_left_out_if_the_suite_says_so() {
    let text = "name = 'a'\nskip_missing = true\n[[data]]\nspec = 'digits'\n\
                [[model]]\npath = 'no-such-file'\n[[model]]\npath = 'bundled:digits-pgd'\n";
    let suite = Suite::parse(text, Path::new("a.toml")).unwrap();
    let present = suite.present().unwrap();
    assert_eq!(present.models.len(), 1);
    assert_eq!(present.models[0].path, "bundled:digits-pgd");
    let kept = Suite { skip_missing: false, ..suite.clone() };
    assert_eq!(kept.present().unwrap().models.len(), 2);
    let none = Suite { models: suite.models[..1].to_vec(), ..suite };
    let error = none.present().unwrap_err();
    assert!(error.to_string().starts_with("no-such-file: model: neither"), "{error}");
}

#[test]
fn a_model_has_its_own_radius_entry_and_data() {
    let suite = |model: &str, rest: &str| {
        let text = format!(
            "name = 'a'\n[[data]]\nspec = 'digits'\nname = 'one'\nimages = {{ first = 2 }}\n\
             [[data]]\nspec = 'digits'\nname = 'two'\nimages = {{ first = 3 }}\n\
             [[model]]\npath = 'bundled:digits-pgd'\n\
             [[model]]\npath = 'bundled:digits-trades'\n{model}\n\
             [[attack]]\nattack = 'fgsm'\nnorm = 'Linf'\neps = 0.1\n{rest}"
        );
        super::Plan::new(&Suite::parse(&text, Path::new("a.toml")).unwrap())
    };
    let plan = suite("eps = 0.05\ndata = 'two'\npublished = 'cifar10-linf/Standard'", "").unwrap();
    let ids: Vec<&str> = plan.record.jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "digits-pgd--fgsm-linf-0.1--one",
            "digits-pgd--fgsm-linf-0.1--two",
            "digits-trades--fgsm-linf-0.05--two"
        ]
    );
    assert_eq!(plan.record.models[0].published, None);
    assert_eq!(plan.record.models[1].published.as_deref(), Some("cifar10-linf/Standard"));
    for (model, rest, problem) in [
        ("data = 'three'", "", "unknown data set of a model `three`"),
        ("published = 'cifar10-linf/Standart'", "", "unknown published entry `Standart`"),
        ("eps = 0.1", "[[attack]]\nattack = 'fgsm'\nnorm = 'L2'\neps = 1", "in several norms"),
    ] {
        let error = suite(model, rest).err().expect(problem);
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.hint().is_some());
    }
}
