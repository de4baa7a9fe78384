//! Durations as Cohen et al.'s logs write them: Python's `str(timedelta)`, or in older rows bare
//! seconds.

/// `h:mm:ss.ffffff`, rounded to the nearest microsecond; 0 for a duration that is negative or NaN.
pub fn format_time(seconds: f64) -> String {
    let micros = (seconds * 1e6).round() as u64;
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{}:{:02}:{seconds:02}.{micros:06}", minutes / 60, minutes % 60)
}

/// Seconds of `0:00:13.736080`, `0:00:13`, `1 day, 2:03:04` or `13.73`; `None` for anything else.
pub fn parse_time(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once(", ") {
        Some((days, clock)) => {
            let days = days.strip_suffix(" days").or_else(|| days.strip_suffix(" day"))?;
            (days.parse::<u32>().ok()?, clock)
        }
        None => (0, text),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes, seconds] => (hours.parse::<u32>().ok()?, minutes.parse().ok()?, seconds),
        [seconds] if days == 0 => (0, 0u32, seconds),
        _ => return None,
    };
    let seconds = seconds.parse::<f64>().ok().filter(|s| *s >= 0.0 && s.is_finite())?;
    let in_range = parts.len() == 1 || (minutes < 60 && seconds < 60.0);
    let whole = (f64::from(days) * 24.0 + f64::from(hours)) * 60.0 + f64::from(minutes);
    in_range.then_some(whole * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_of_the_published_logs_are_read() {
        for (text, seconds) in [
            ("0:00:13.736080", 13.736_08),
            ("0:00:13", 13.0),
            ("1:02:03.500000", 3723.5),
            ("27:00:00", 97_200.0),
            ("1 day, 2:03:04", 93_784.0),
            ("2 days, 0:00:00.25", 172_800.25),
            ("15.4", 15.4),
            ("0", 0.0),
        ] {
            assert_eq!(parse_time(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "abc",
            "-1.0",
            "inf",
            "NaN",
            "1:2",
            "0:60:00",
            "0:00:60",
            "1 week, 0:00:01",
            "::",
            "a:0:0",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(format_time(13.736_08), "0:00:13.736080");
        assert_eq!(format_time(59.999_999_9), "0:01:00.000000");
        assert_eq!(format_time(97_200.0), "27:00:00.000000");
        assert_eq!(format_time(f64::NAN), "0:00:00.000000");
        for seconds in [0.0, 0.000_001, 13.736_08, 3599.5, 86_400.0] {
            assert_eq!(parse_time(&format_time(seconds)), Some(seconds));
        }
    }
}
