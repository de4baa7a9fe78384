/// The bundled suite's shape: four networks, 360 images, attacks under three threat models with their
/// controls, and smoothing. Outcomes are drawn from a made-up robust radius per network and image.
pub(super) fn digits() -> Fixture {
    let mut run = Fixture::new("digits-quick", 360)
        .model("digits-standard", "3f0c11aa", "undefended")
        .model("digits-pgd", "77ab0e21", "PGD adversarial training, eps 0.2 (Madry et al. 2018)")
        .model("digits-trades", "c09d52f4", "TRADES, beta 6 (Zhang et al. 2019)")
        .model("digits-gaussian", "1be77d03", "Gaussian noise, sigma 0.25 (Cohen et al. 2019)");
    // Median robust radius (Linf, L2), broken share under patches, clean error.
    let networks = [
        ("digits-standard", 0.06, 0.55, 0.62, 0.012),
        ("digits-pgd", 0.19, 1.05, 0.35, 0.025),
        ("digits-trades", 0.21, 1.12, 0.31, 0.036),
        ("digits-gaussian", 0.11, 0.95, 0.55, 0.019),
    ];
    for (seed, (name, linf, l2, patch, error)) in (1..).zip(networks) {
        let draw = |stream: u64, idx: u64| unit(seed * 1_000_003 + stream * 7919 + idx * 104_729);
        let images = 0..360u64;
        let row = |idx: u64, distance: Option<f64>, forwards: u64, backwards: u64| AttackRow {
            forwards,
            backwards,
            unconfirmed: None,
            seconds: 2e-4 * (forwards + backwards) as f64 + 1e-5 * draw(90, idx),
            ..attack_row(idx, draw(0, idx) > error, distance)
        };
        let spread =
            |stream, idx| (1.6 * (draw(stream, idx) - 0.5) + 0.9 * (draw(1, idx) - 0.5)).exp();
        for eps in [0.05, 0.1, 0.2] {
            let rows: Vec<_> = images
                .clone()
                .map(|idx| {
                    let broken = linf * spread(2, idx) < eps;
                    let steps = if broken { 1 + (20.0 * draw(3, idx)) as u64 } else { 100 };
                    row(idx, broken.then_some(eps), steps + 1, steps)
                })
                .collect();
            run = run.attack(name, attack(&format!("pgd-linf-{eps}"), "Linf", &[eps]), &rows);
        }
        for eps in [0.25, 0.5, 1.0] {
            let rows: Vec<_> = images
                .clone()
                .map(|idx| row(idx, (1.06 * l2 * spread(4, idx) < eps).then_some(eps), 51, 50))
                .collect();
            run = run.attack(name, attack(&format!("pgd-l2-{eps}"), "L2", &[eps]), &rows);
        }
        let cw: Vec<_> =
            images.clone().map(|idx| row(idx, Some(l2 * spread(4, idx)), 9001, 9000)).collect();
        run = run.attack(name, attack("cw-l2", "L2", &[0.25, 0.5, 1.0]), &cw);
        for (label, strength) in [("patch-pgd", 1.0), ("roa", 0.92), ("patch-rs", 0.7)] {
            let rows: Vec<_> = images
                .clone()
                .map(|idx| {
                    row(
                        idx,
                        (draw(5, idx) < patch * strength).then_some(4.0),
                        640,
                        if label == "patch-rs" { 0 } else { 600 },
                    )
                })
                .collect();
            run = run.attack(name, attack(label, "patch 2x2", &[]), &rows);
        }
        let noise: Vec<_> = images
            .clone()
            .map(|idx| row(idx, (draw(6, idx) < 0.02).then_some(0.2), 10, 0))
            .collect();
        run = run.attack(name, attack("random-noise", "Linf", &[0.2]), &noise);
        let grey: Vec<_> = images
            .clone()
            .map(|idx| row(idx, (draw(7, idx) < 0.08).then_some(4.0), 49, 0))
            .collect();
        run = run.attack(name, attack("grey-patch", "patch 2x2", &[]), &grey);
        let rows: Vec<_> = images
            .map(|idx| {
                let radius = (0.62 * l2 * spread(4, idx)).min(0.823_4);
                match draw(8, idx) {
                    x if x < 0.03 => certificate_row(idx, -1, 0.0),
                    x if x < 0.05 => certificate_row(idx, 3, 0.2),
                    _ => certificate_row(idx, 0, (radius * 1e6).floor() / 1e6),
                }
            })
            .collect();
        run = run.certificate(name, smoothing(&[0.0, 0.25, 0.5, 0.75]), &rows);
    }
    run
}

/// A number in [0, 1) that depends on `of` only (SplitMix64's output function).
fn unit(of: u64) -> f64 {
    let mut z = of.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
