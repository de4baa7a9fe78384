//! Tables made up to be right, and made wrong in one way each.

use std::io::Write as _;

use super::*;
use crate::certify::{ABSTAIN, cohen};
use crate::stats::clopper_pearson;
use crate::stats::rounding::floor_decimals;

const HEADER: &str = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n";

/// The radius of `votes` of N 100 000 as Cohen et al.'s scripts print it.
fn published(votes: u64, sigma: f64, alpha: f64) -> String {
    let radius = cohen::radius(clopper_pearson::lower(votes, 100_000, alpha), sigma);
    let decimals = (2 - radius.log10().floor() as i32) as usize;
    format!("{radius:.decimals$}")
}

/// A published log: every 20th image, label 1, with so many votes; below a half it abstains.
fn log(votes: &[u64], sigma: f64, alpha: f64) -> String {
    let mut text = HEADER.to_owned();
    for (image, votes) in votes.iter().enumerate() {
        let (predict, radius) = match votes {
            0..=50_600 => (-1, "0.0".to_owned()),
            votes => (1, published(*votes, sigma, alpha)),
        };
        let correct = u8::from(predict == 1);
        text += &format!("{}\t1\t{predict}\t{radius}\t{correct}\t15.4\n", 20 * image);
    }
    text
}

fn audited(text: &str, given: &Given) -> Audit {
    let mut file = tempfile::Builder::new().prefix("sigma_0.25-").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    audit(file.path(), given, None, &[], false).unwrap()
}

fn claimed(alpha: f64) -> Given {
    Given { alpha: Some(alpha), ..Given::default() }
}

/// The only contradiction, by its check.
fn contradiction(audit: &Audit) -> (&'static str, &str) {
    let found: Vec<_> = audit.findings.iter().filter(|finding| finding.contradicts).collect();
    assert_eq!(found.len(), 1, "{audit}");
    assert!(audit.contradicted());
    (found[0].check, &found[0].seen)
}

const VOTES: [u64; 12] =
    [100_000, 99_999, 99_998, 100_000, 99_990, 99_000, 75_000, 60_000, 51_000, 0, 80_000, 99_997];

#[test]
fn a_table_that_is_what_it_claims() {
    let audit = audited(&log(&VOTES, 0.25, 0.001), &Given::default());
    assert!(!audit.contradicted(), "{audit}");
    assert_eq!((audit.rows, audit.claim.sigma, audit.claim.n), (12, 0.25, 100_000));
    assert_eq!(audit.claim.origins.sigma, Origin::Name);
    assert_eq!(audit.images.to_string(), "images 0 to 220, every 20th");
    // 0.95286 is printed as 0.953: told, but no contradiction.
    let notes: Vec<_> = audit.findings.iter().map(|f| (f.check, f.seen.as_str())).collect();
    let [("rounding", note)] = notes[..] else { panic!("{notes:?}") };
    assert!(note.starts_with("2 radii are printed as 0.953, though at most 0.952864"), "{note}");
    let summary = &audit.summary;
    assert_eq!(summary.certified.len(), 4);
    assert!((summary.certified[0].rate - 11.0 / 12.0).abs() < 1e-15);
    assert!((summary.abstained - 1.0 / 12.0).abs() < 1e-15);
    assert!(summary.certified.iter().all(|s| s.low < s.rate && s.rate < s.high));
    let text = audit.to_string();
    assert!(
        text.contains("Nothing contradicts the claim.") && text.contains("file name"),
        "{text}"
    );
}

#[test]
fn a_ceiling_that_needs_another_alpha_is_called_out() {
    // Cohen et al.'s own log of sigma 0.25: what its largest radii are, in the digits it has.
    for (votes, radius) in [(100_000, "0.978"), (99_999, "0.955"), (99_998, "0.941")] {
        assert_eq!(published(votes, 0.25, 0.01), radius);
    }
    let audit = audited(&log(&VOTES, 0.25, 0.01), &claimed(0.001));
    assert!(audit.contradicted());
    let of = |check| audit.findings.iter().find(|finding| finding.check == check).unwrap();
    let seen = &of("ceiling").seen;
    for part in [
        "0.978 (3.912 sigma)",
        "which allow 0.952864 (3.811 sigma)",
        "3 of 11 radii are too large",
        "What would fit: alpha 0.01 (0.00991 to ",
        "; 11 of 11 radii are whole numbers of votes under it)",
        "or N 14",
    ] {
        assert!(seen.contains(part), "{part} in\n{seen}");
    }
    // With the alpha that fits, nothing is left to say but how it rounds.
    let right = audited(&log(&VOTES, 0.25, 0.01), &claimed(0.01));
    assert!(!right.contradicted(), "{right}");
}

#[test]
fn radii_that_no_number_of_votes_gives() {
    let text = log(&VOTES, 0.25, 0.001).replace("\t0.935\t", "\t0.944\t");
    let audit = audited(&text, &Given::default());
    let (check, seen) = contradiction(&audit);
    assert_eq!(check, "votes");
    assert_eq!(seen, "on 1 row no whole number of votes gives the radius (image 20)");
}

#[test]
fn damage_of_every_kind() {
    let good = log(&VOTES, 0.25, 0.001);
    let abstention = "180\t1\t-1\t0.0\t0";
    for (from, to, check, seen) in [
        (
            abstention,
            "180\t1\t-1\t0.5\t0",
            "abstentions",
            "1 abstentions have a radius (image 180)",
        ),
        (abstention, "180\t1\t-2\t0.0\t0", "abstentions", "neither a class nor -1 (image 180)"),
        ("\n80\t1\t1", "\n80\t1\t2", "correct", "on 1 rows (image 80)"),
        ("\n80\t", "\n60\t", "images", "1 image comes more than once (image 60)"),
        ("\n80\t", "\n83\t", "images", "1 image is not of the pattern (image 83)"),
    ] {
        assert!(good.contains(from));
        let audit = audited(&good.replace(from, to), &Given::default());
        let all: Vec<_> = audit.findings.iter().filter(|f| f.contradicts).collect();
        let found = all.iter().any(|f| f.check == check && f.seen.contains(seen));
        assert!(found, "{seen} in\n{audit}");
    }
    let lines: Vec<&str> = good.lines().collect();
    let missing = [&lines[..5], &lines[7..]].concat().join("\n") + "\n";
    let audit = audited(&missing, &Given::default());
    let expected = ("images", "2 images are missing from the pattern, every 20th (images 80, 100)");
    assert_eq!(contradiction(&audit), expected);
    let torn = good.trim_end().rsplit_once("\t1\t").unwrap().0;
    let audit = audited(torn, &Given::default());
    assert_eq!(audit.rows, 11);
    assert!(audit.findings.iter().any(|f| f.seen.contains("ends in the middle")), "{audit}");
}

#[test]
fn a_log_without_the_column_time() {
    let bare: String = log(&VOTES, 0.25, 0.001)
        .lines()
        .map(|line| line.rsplit_once('\t').unwrap().0.to_owned() + "\n")
        .collect();
    assert!(bare.starts_with("idx\tlabel\tpredict\tradius\tcorrect\n0\t"));
    let timed = audited(&log(&VOTES, 0.25, 0.001), &Given::default());
    let audit = audited(&bare, &Given::default());
    assert!(timed.summary.seconds.is_some_and(|seconds| (seconds - 15.4).abs() < 1e-9));
    assert_eq!(audit.summary.seconds, None);
    // Everything else is the same.
    let expected = Summary { seconds: None, ..timed.summary.clone() };
    assert_eq!((&audit.summary, &audit.findings), (&expected, &timed.findings));
    let (text, json) = (audit.to_string(), serde_json::to_string(&audit).unwrap());
    assert!(!text.contains("s per image") && !json.contains("seconds"), "{text}\n{json}");
    assert!(timed.to_string().contains(", 15.400 s per image"), "{timed}");
    // Damage is found as in other logs.
    let audit = audited(&bare.replace("\t0.935\t", "\t0.944\t"), &Given::default());
    assert_eq!(contradiction(&audit).0, "votes");
    let torn = audited(bare.trim_end().strip_suffix("\t1").unwrap(), &Given::default());
    assert!(torn.findings.iter().any(|f| f.seen.contains("ends in the middle")), "{torn}");
}

#[test]
fn a_zero_has_no_minus_sign() {
    let given = Given { sigma: Some(0.25), n: Some(1000), ..claimed(0.001) };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let rows = "0\t1\t-1\t-0.0\t0\t-0.0\n1\t1\t-1\t0.0\t0\t0:00:00\n";
    file.write_all(format!("{HEADER}{rows}").as_bytes()).unwrap();
    let audit = audit(file.path(), &given, None, &[-0.0, 0.0], false).unwrap();
    assert_eq!(audit.summary.certified.len(), 1, "{audit}");
    let text = audit.to_string();
    for part in ["average certified radius 0.0000, 0.000 s", "of the table is 0\n", "  r 0 "] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let summary = serde_json::to_string(&audit.summary).unwrap();
    assert!(!summary.contains("-0") && audit.largest.is_sign_positive(), "{summary}");
    assert_eq!((short(-0.0), short(-1e-13)), ("0".to_owned(), "-1e-13".to_owned()));
}

#[test]
fn settings_under_which_nothing_is_certified() {
    let given = Given { n: Some(9), ..Given::default() };
    let audit = audited(&log(&[60_000], 0.25, 0.001), &given);
    let first = &audit.findings[0];
    assert_eq!(first.check, "ceiling");
    assert!(first.seen.starts_with("N 9 and alpha 0.001 certify nothing"), "{}", first.seen);
}

/// What a row of ours says that can be wrong.
struct Ours {
    predict: i64,
    radius: f64,
    sigma: f64,
    alpha: f64,
    n_a: u64,
    selected: u32,
    p_low: f64,
    level: f64,
}

/// Our table of six images, label 1, with these votes of 1000; `change` is made to image 3.
fn ours(change: impl Fn(&mut Ours)) -> Audit {
    let mut text =
        HEADER.trim_end().to_owned() + "\tsigma\tn0\tn\talpha\tnA\tselected\tp_low\tlevel\n";
    for (idx, votes) in [(0, 1000), (1, 999), (2, 400), (3, 700), (4, 551), (5, 990)] {
        let p_low = clopper_pearson::lower(votes, 1000, 0.001);
        let certified = p_low >= 0.5;
        let mut row = Ours {
            predict: if certified { 1 } else { ABSTAIN },
            radius: if certified { cohen::radius(p_low, 0.5) } else { 0.0 },
            sigma: 0.5,
            alpha: 0.001,
            n_a: votes,
            selected: 1,
            p_low,
            level: 0.001,
        };
        if idx == 3 {
            change(&mut row);
        }
        let (predict, radius) = (row.predict, floor_decimals(row.radius, 6));
        text += &format!("{idx}\t1\t{predict}\t{radius}\t{}\t1.0\t", u8::from(predict == 1));
        let Ours { sigma, alpha, n_a, selected, p_low, level, .. } = row;
        text += &format!("{sigma}\t100\t1000\t{alpha}\t{n_a}\t{selected}\t{p_low}\t{level}\n");
    }
    let mut file = tempfile::Builder::new().suffix(".tsv").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    audit(file.path(), &Given::default(), None, &[0.0, 1.0], false).unwrap()
}

#[test]
fn our_tables_are_checked_by_their_own_columns() {
    let audit = ours(|_| ());
    assert!(audit.findings.is_empty(), "{audit}");
    assert_eq!((audit.claim.sigma, audit.claim.n), (0.5, 1000));
    let from = audit.claim.origins;
    assert!([from.sigma, from.n0, from.n, from.alpha].iter().all(|o| *o == Origin::Columns));
    let rates: Vec<f64> = audit.summary.certified.iter().map(|s| s.rate).collect();
    assert_eq!(rates, [5.0 / 6.0, 2.0 / 6.0]);
    for (change, check, what) in [
        (
            (|row| row.radius += 1e-5) as fn(&mut Ours),
            "votes",
            "the radius is larger than p_low proves",
        ),
        (|row| row.p_low += 1e-4, "votes", "p_low is more than nA of N prove"),
        (|row| row.n_a = 699, "votes", "p_low is more than nA of N prove"),
        (|row| row.n_a = 1001, "votes", "nA is more than N"),
        (|row| row.selected = 0, "votes", "the predicted class is not the selected one"),
        (
            |row| row.sigma = 0.25,
            "columns",
            "sigma is 0.25 on 1 of 6 rows (image 3), 0.5 is claimed",
        ),
        (|row| row.alpha = 0.01, "columns", "alpha is 0.01 on 1 of 6 rows"),
        (|row| row.level = 0.01, "columns", "the level is 0.01 on 1 of 6 rows"),
        (|row| row.level = 1e-4, "votes", "p_low is more than nA of N prove"),
    ] {
        let audit = ours(change);
        let found = audit.findings.iter().find(|f| f.check == check && f.seen.contains(what));
        assert!(found.is_some_and(|finding| finding.contradicts), "{what}\n{audit}");
    }
    // Less than was proven is sound.
    let modest = ours(|row| row.radius -= 1e-3);
    assert!(!modest.contradicted() && modest.findings.len() == 1, "{modest}");
}

#[test]
fn labels_are_compared_with_the_data_set() {
    let data = crate::data::open("digits").unwrap();
    let batch = data.read(&[0, 1, 2]).unwrap();
    let line =
        |image: usize, label: u32| format!("{}\t{label}\t{label}\t0.3\t1\t1.0\n", batch.ids[image]);
    let read = |text: String| {
        let mut file = tempfile::Builder::new().prefix("sigma_0.25-").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        audit(file.path(), &Given::default(), Some(&*data), &[], false).unwrap()
    };
    let right: String = (0..3).map(|image| line(image, batch.labels[image])).collect();
    let audit = read(format!("{HEADER}{right}"));
    assert!(!audit.contradicted(), "{audit}");
    assert!(audit.findings.iter().any(|f| f.seen.contains("goes on to")), "{audit}");
    let other = (batch.labels[0] + 1) % 10;
    let wrong = line(0, other) + &line(1, batch.labels[1]) + "99999\t1\t11\t0.3\t0\t1.0\n";
    let audit = read(format!("{HEADER}{wrong}"));
    let seen: Vec<&str> =
        audit.findings.iter().filter(|f| f.check == "labels").map(|f| f.seen.as_str()).collect();
    assert_eq!(seen.len(), 3, "{audit}");
    assert!(seen[0].contains("1 of 3 images are not in digits (image 99999)"), "{audit}");
    assert!(seen[1].contains("1 of 3 labels are not those of digits"), "{audit}");
    assert!(seen[2].contains("none of the 10 classes"), "{audit}");
}

#[test]
fn what_is_no_table_of_smoothing_is_refused() {
    let bounds = "idx\tlabel\tpredict\tradius\tcorrect\ttime\tmargin\n0\t1\t1\t0.1\t1\t1.0\t2.0\n";
    for (text, problem) in [
        (HEADER.to_owned(), "table: it holds no certificate"),
        (format!("{HEADER}0\t1\t1\t-0.1\t1\t1.0\n"), "line 2, radius: -0.1 is not a radius"),
        (format!("{HEADER}0\t1\t1\n0\t1\t1\t0.1\t1\t1.0\n"), "line 2: it has 3 columns"),
        (bounds.to_owned(), "table: it holds deterministic bounds"),
        (format!("{HEADER}0\t1\t1\t0.1\t1\t1.0\n"), "sigma: the table does not say it"),
        (
            format!("{}\tn\n0\t1\t1\t0.1\t1\t1.0\t{}\n", HEADER.trim_end(), u64::MAX),
            "line 2, n: 18446744073709551615 samples cannot have been drawn",
        ),
    ] {
        let mut file = tempfile::Builder::new().prefix("log").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let error =
            audit(file.path(), &Given::default(), None, &[], false).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log(&VOTES, 0.25, 0.001).as_bytes()).unwrap();
    for given in [
        Given { sigma: Some(-1.0), ..Given::default() },
        Given { sigma: Some(0.25), alpha: Some(1.0), ..Given::default() },
        Given { sigma: Some(0.25), n: Some(0), ..Given::default() },
    ] {
        let error = audit(file.path(), &given, None, &[], false).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn published_logs_fit_their_claim_and_give_the_published_table() {
    let oracle = std::env::var("EPSBALL_ORACLE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle").into());
    let folder = Path::new(&oracle).join("smoothing-logs");
    let radii: Vec<f64> = (0..10).map(|k| f64::from(k) * 0.25).collect();
    let mut best = vec![0.0f64; radii.len()];
    for (sigma, rounded_up) in [("0.12", 0), ("0.25", 1036), ("0.50", 151), ("1.00", 0)] {
        let path = folder.join(format!("cohen_resnet110_sigma_{sigma}.tsv"));
        let audit = audit(&path, &Given::default(), None, &radii, false).unwrap();
        assert_eq!((audit.rows, audit.contradicted()), (10_000, false));
        assert_eq!(audit.images.to_string(), "images 0 to 9999");
        let note = audit.findings.iter().find(|finding| finding.check == "rounding");
        assert_eq!(note.is_some(), rounded_up > 0);
        if let Some(note) = note {
            assert!(note.seen.starts_with(&format!("{rounded_up} radii are")), "{}", note.seen);
        }
        for (best, share) in best.iter_mut().zip(&audit.summary.certified) {
            *best = best.max(share.rate);
        }
    }
    let published =
        [0.8317, 0.6116, 0.4279, 0.3245, 0.2213, 0.1722, 0.1328, 0.0967, 0.0663, 0.0431];
    for (best, published) in best.iter().zip(published) {
        assert!((best - published).abs() < 1e-12, "{best}, published {published}");
    }
}

#[test]
#[ignore = "needs the oracle files"]
fn a_published_log_under_a_smaller_alpha_is_called_out() {
    let oracle = std::env::var("EPSBALL_ORACLE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle").into());
    let path = Path::new(&oracle).join("smoothing-logs/cohen_resnet110_sigma_0.25.tsv");
    let audit = audit(&path, &claimed(1e-4), None, &[], false).unwrap();
    let ceiling = audit.findings.iter().find(|finding| finding.check == "ceiling").unwrap();
    assert!(ceiling.contradicts && ceiling.seen.contains("alpha 0.001 ("), "{}", ceiling.seen);
}

#[test]
fn holm_counts_what_bonferroni_cannot() {
    // 50 601 of 100 000 votes are no chance at level 7.4e-5: enough for the last image left, not for half
    // of alpha.
    let text = log(&[100_000, 50_601], 0.25, 1e-4);
    let joint = jointly(&text, 1e-4, &[0.0, 0.5]);
    assert_eq!(joint, [(1.0, 1.0, 0.5), (0.5, 0.5, 0.5)]);
}

#[test]
fn one_image_alone_is_certified_at_its_own_level() {
    for votes in VOTES {
        let text = log(&[votes], 0.25, 0.001);
        for (rate, holm, bonferroni) in jointly(&text, 0.001, &[0.0, 0.1, 0.25, 0.5, 0.75, 0.94]) {
            assert_eq!((rate, rate), (holm, bonferroni), "{votes}");
        }
    }
}

/// Certified accuracy at each of `radii`: per image, by Holm, by Bonferroni.
fn jointly(text: &str, alpha: f64, radii: &[f64]) -> Vec<(f64, f64, f64)> {
    let mut file = tempfile::Builder::new().prefix("sigma_0.25-").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let audit = audit(file.path(), &claimed(alpha), None, radii, true).unwrap();
    assert!(audit.to_string().contains("for all images at once"), "{audit}");
    let share = |share: &CertifiedShare| {
        let joint = share.simultaneous.unwrap();
        (share.rate, joint.holm, joint.bonferroni)
    };
    audit.summary.certified.iter().map(share).collect()
}
