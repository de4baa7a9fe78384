//! A share of every job, for a process that does not do all of it: which images belong to it follows from what
//! they show, and from neither their order nor their number.

use std::fmt::{self, Display};
use std::str::FromStr;

use crate::error::Error;

/// One of so many shares of a suite, `3/16`. The shares of one number have no image in common, and together all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0 on.
    number: u64,
    of: u64,
}

impl Shard {
    /// It has the image, or the job that cannot be cut, of this digest in hex.
    pub(super) fn has(self, digest: &str) -> bool {
        let digits: String = digest.chars().take(16).collect();
        // What is no digest is nowhere else.
        u64::from_str_radix(&digits, 16).unwrap_or_default() % self.of == self.number
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |problem: &str| {
            let remedy = "write K/N, for example 3/16: share 3 of 16, counted from 1";
            Error::setting("--shard", format!("`{text}` {problem}"), remedy)
        };
        let read = |part: &str| part.parse::<u64>().ok();
        match text.split_once('/').map(|(number, of)| (read(number), read(of))) {
            Some((Some(_), Some(0))) => Err(bad("is a share of none")),
            Some((Some(0), Some(_))) => Err(bad("is none: shares are counted from 1")),
            Some((Some(number), Some(of))) if number > of => Err(bad("is behind the last share")),
            Some((Some(number), Some(of))) => Ok(Self { number: number - 1, of }),
            _ => Err(bad("is not K/N")),
        }
    }
}

impl Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number + 1, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;

    #[test]
    fn shares_are_disjoint_whole_and_of_about_one_size() {
        let images: Vec<String> = (0..1600).map(|n: u32| sha256(&n.to_le_bytes())).collect();
        let shards: Vec<Shard> = (1..=16).map(|k| format!("{k}/16").parse().unwrap()).collect();
        for image in &images {
            assert_eq!(shards.iter().filter(|shard| shard.has(image)).count(), 1);
        }
        for shard in shards {
            let own = images.iter().filter(|image| shard.has(image)).count();
            assert!((60..=140).contains(&own), "{shard}: {own} of 100 expected");
        }
        let all: Shard = "1/1".parse().unwrap();
        assert!(images.iter().all(|image| all.has(image)));
    }

    #[test]
    fn what_is_no_share_is_refused_with_a_remedy() {
        for (text, problem) in [
            ("0/4", "`0/4` is none: shares are counted from 1"),
            ("5/4", "`5/4` is behind the last share"),
            ("1/0", "`1/0` is a share of none"),
            ("x", "`x` is not K/N"),
            ("1/", "`1/` is not K/N"),
            ("-1/4", "`-1/4` is not K/N"),
            ("1/4/2", "`1/4/2` is not K/N"),
            ("", "`` is not K/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert_eq!(error.to_string(), format!("--shard: {problem}"));
            assert!(error.hint().unwrap().contains("3/16"));
        }
        assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
    }
}
