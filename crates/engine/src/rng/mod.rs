//! Randomness that belongs to the image. Every number is a pure function of (seed, purpose, restart,
//! image, draw, element), so a result never depends on batch size, order, shard, device, threads or
//! where a run was resumed. [`Torch`] stands beside it, for runs that are compared with PyTorch's.

mod mt19937;
mod philox;
mod torch;

pub use philox::philox4x32;
pub use torch::Torch;

/// Where attacks get their random numbers from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Randomness {
    /// Every image has its own numbers ([`Stream`]).
    #[default]
    PerImage,
    /// A batch draws from one sequence ([`Torch`]), seeded again for every batch of every attack, as
    /// the published AutoAttack does: results depend on the batches. Attacks whose published form
    /// does not run on this generator keep to [`Randomness::PerImage`].
    Torch,
}

impl std::str::FromStr for Randomness {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "per-image" => Ok(Self::PerImage),
            "torch" => Ok(Self::Torch),
            _ => Err("one of per-image, torch"),
        }
    }
}

impl std::fmt::Display for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::PerImage { "per-image" } else { "torch" })
    }
}

/// The random numbers of one purpose (an attack, a certificate) under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
}

impl Stream {
    /// Streams with different purposes or seeds are independent.
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a, 64 bits: any fixed well-mixed map from names to words will do.
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { key: [seed as u32, (seed >> 32) as u32] }.derive([hash as u32, (hash >> 32) as u32])
    }

    /// The independent stream of the restart (or target, or run) with this number.
    #[must_use]
    pub fn restart(self, number: u32) -> Self {
        self.derive([number, 0x7265_7374])
    }

    /// The key, as kernels on other devices read it.
    pub fn key(self) -> [u32; 2] {
        self.key
    }

    /// Draw number `draw` of the image with index `image`.
    pub fn draw(self, image: u64, draw: u32) -> Draw {
        Draw { key: self.key, image, draw }
    }

    fn derive(self, words: [u32; 2]) -> Self {
        let [a, b, ..] = philox4x32([words[0], words[1], 0x6570_7362, 0x616c_6c21], self.key);
        Self { key: [a, b] }
    }
}

/// One draw: as many numbers as are asked for, always the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    key: [u32; 2],
    image: u64,
    draw: u32,
}

impl Draw {
    /// The four words at `block`; elements 4 * block .. 4 * block + 4 of every method below.
    pub fn block(self, block: u32) -> [u32; 4] {
        philox4x32([block, self.draw, self.image as u32, (self.image >> 32) as u32], self.key)
    }

    /// What the numbers follow from, as kernels on other devices read it: draw, the low and the high
    /// word of the image, and the key.
    pub fn words(self) -> [u32; 5] {
        let [k0, k1] = self.key;
        [self.draw, self.image as u32, (self.image >> 32) as u32, k0, k1]
    }

    /// Fills `out` with uniform numbers in [0, 1), multiples of 2^-24.
    pub fn uniform(self, out: &mut [f32]) {
        for (block, four) in out.chunks_mut(4).enumerate() {
            for (o, word) in four.iter_mut().zip(self.block(block as u32)) {
                *o = (word >> 8) as f32 * (1.0 / 16_777_216.0);
            }
        }
    }

    /// Fills `out` with standard normal numbers (Box-Muller on 32-bit uniforms, so |z| < 6.7).
    pub fn normal(self, out: &mut [f32]) {
        for (block, four) in out.chunks_mut(4).enumerate() {
            let [a, b, c, d] = self.block(block as u32);
            let (z0, z1) = box_muller(a, b);
            let (z2, z3) = box_muller(c, d);
            for (o, z) in four.iter_mut().zip([z0, z1, z2, z3]) {
                *o = z as f32;
            }
        }
    }

    /// Fills `out` with `map` of uniform f64 numbers in (0, 1), 2^32 different ones.
    pub fn mapped(self, out: &mut [f32], map: impl Fn(f64) -> f32) {
        for (block, four) in out.chunks_mut(4).enumerate() {
            for (o, word) in four.iter_mut().zip(self.block(block as u32)) {
                *o = map(unit(word));
            }
        }
    }

    /// Uniform f64 number number `element` in (0, 1).
    pub fn uniform_f64(self, element: u32) -> f64 {
        unit(self.block(element / 4)[(element % 4) as usize])
    }

    /// Uniform integer in `0..n` (`n` > 0) from element `element`.
    pub fn below(self, element: u32, n: usize) -> usize {
        let word = u64::from(self.block(element / 4)[(element % 4) as usize]);
        ((word * n as u64) >> 32) as usize
    }
}

/// The centre of the word's interval in (0, 1): never 0, so its logarithm is finite.
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * (1.0 / 4_294_967_296.0)
}

fn box_muller(a: u32, b: u32) -> (f64, f64) {
    let radius = (-2.0 * libm::log(unit(a))).sqrt();
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * unit(b));
    (radius * cos, radius * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_every_part_of_its_key_and_on_nothing_else() {
        let base = Stream::new(7, "pgd").draw(3, 1).block(0);
        assert_eq!(base, Stream::new(7, "pgd").draw(3, 1).block(0));
        for other in [
            Stream::new(8, "pgd").draw(3, 1).block(0),
            Stream::new(7 << 32, "pgd").draw(3, 1).block(0),
            Stream::new(7, "fgsm").draw(3, 1).block(0),
            Stream::new(7, "pgd").restart(1).draw(3, 1).block(0),
            Stream::new(7, "pgd").draw(4, 1).block(0),
            Stream::new(7, "pgd").draw(3 << 32, 1).block(0),
            Stream::new(7, "pgd").draw(3, 2).block(0),
            Stream::new(7, "pgd").draw(3, 1).block(1),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_longer_request_begins_with_the_shorter_one() {
        let draw = Stream::new(1, "noise").draw(0, 0);
        let (mut short, mut long) = ([0.0; 5], [0.0; 9]);
        draw.normal(&mut short);
        draw.normal(&mut long);
        assert_eq!(short, long[..5]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut z = vec![0.0; 200_000];
        Stream::new(5, "moments").draw(0, 0).normal(&mut z);
        let n = z.len() as f64;
        let moment = |p: i32| z.iter().map(|v| f64::from(*v).powi(p)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.01, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.01, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.1, "fourth moment {}", moment(4));
        Stream::new(5, "moments").draw(0, 0).uniform(&mut z);
        assert!(z.iter().all(|u| (0.0..1.0).contains(u)));
        assert!((z.iter().map(|u| f64::from(*u)).sum::<f64>() / n - 0.5).abs() < 0.003);
    }
}
