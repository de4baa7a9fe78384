//! Curves of certified radii, and the wall time of certificates.

/// A curve has at most this many steps; more would not be seen.
const STEPS: f64 = 400.0;

/// Seconds of a `h:mm:ss.ffffff`; 0 if it is something else.
pub(crate) fn seconds(time: &str) -> f64 {
    time.split(':')
        .try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
        .unwrap_or(0.0)
}

/// Share of `n` images against the radius: where it falls, as (radius, share) from radius 0 on, given the
/// `radii` of those that are classified correctly. Radii are rounded down to 400 steps if there are more.
pub(crate) fn falls(mut radii: Vec<f64>, n: f64) -> Vec<(f64, f64)> {
    radii.sort_by(f64::total_cmp);
    if radii.len() as f64 > STEPS {
        let step = radii.last().copied().unwrap_or(0.0) / STEPS;
        if step > 0.0 {
            radii.iter_mut().for_each(|r| *r = (*r / step).floor() * step);
        }
    }
    let mut curve = vec![(0.0, radii.len() as f64 / n.max(1.0))];
    for (lost, radius) in radii.iter().enumerate() {
        let left = (radii.len() - lost - 1) as f64 / n;
        match curve.last_mut() {
            Some(last) if last.0 == *radius => last.1 = left,
            _ => curve.push((*radius, left)),
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(seconds("0:00:01.500000"), 1.5);
        assert_eq!(seconds("1:02:03"), 3723.0);
        assert_eq!(seconds("soon"), 0.0);
    }
}
