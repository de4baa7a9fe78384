//! The Mersenne Twister of Matsumoto and Nishimura (ACM TOMACS 1998), with their seeding of 2002.

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// The generator's 624 words and the place of the next one.
#[derive(Debug, Clone)]
pub(super) struct Mt19937 {
    words: [u32; WORDS],
    next: usize,
}

impl Mt19937 {
    pub(super) fn new(seed: u32) -> Self {
        let mut words = [seed; WORDS];
        for i in 1..WORDS {
            let last = words[i - 1];
            words[i] = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { words, next: WORDS }
    }

    /// The next word.
    pub(super) fn draw(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..WORDS {
            let y = self.words[i] & 0x8000_0000 | self.words[(i + 1) % WORDS] & 0x7fff_ffff;
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[i] = self.words[(i + SHIFT) % WORDS] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Mt19937;

    /// The C++ standard names the 10,000th word of the default seed ([rand.predef]).
    #[test]
    fn known_answers() {
        let mut words = Mt19937::new(5489);
        assert_eq!(words.draw(), 3_499_211_612);
        assert_eq!((1..10_000).map(|_| words.draw()).last(), Some(4_123_659_995));
    }
}
