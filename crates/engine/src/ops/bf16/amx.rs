//! bf16 products on the tile registers of AMX: 16 rows of 32 numbers by 16 columns in one instruction. Rust
//! has no intrinsics for it, so it is written in assembly. Linux lets a process use tiles when it asks.

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux")))]
pub(super) use absent::*;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux"))]
pub(super) use present::*;

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux")))]
mod absent {
    pub(in super::super) fn is_here() -> bool {
        false
    }

    pub(in super::super) fn run<T>(_: super::super::Product<'_, T>) {
        unreachable!("bf16: no AMX here")
    }
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux"))]
#[allow(unsafe_code)]
mod present {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
    use std::sync::OnceLock;

    use super::super::{ACROSS, Line, Multiply, Product, Rows, SIDE, Stored, Sums, Tile};

    /// Bytes of a line, and of a row of a tile.
    const ROW: usize = size_of::<Line>();

    pub(in super::super) fn is_here() -> bool {
        static HERE: OnceLock<bool> = OnceLock::new();
        // The rest of `run` is compiled for AVX-512, which every processor with AMX has.
        *HERE.get_or_init(|| super::super::avx512::is_here() && has_tiles() && may_use_tiles())
    }

    /// Whether the processor has tiles and bf16 products on them (AMX-TILE, AMX-BF16), and the operating system
    /// keeps them when it changes threads.
    fn has_tiles() -> bool {
        const TILE_CONFIG_AND_DATA: u64 = 1 << 17 | 1 << 18;
        let (amx_bf16, amx_tile, os_saves) = (1 << 22, 1 << 24, 1 << 27);
        // SAFETY: every processor of this architecture has CPUID. Later compilers know that.
        #[allow(unused_unsafe)]
        let (leaves, general) = unsafe { (__cpuid(0).eax, __cpuid(1).ecx) };
        if leaves < 7 || general & os_saves == 0 {
            return false;
        }
        // SAFETY: as above, and leaf 7 is there.
        #[allow(unused_unsafe)]
        let features = unsafe { __cpuid_count(7, 0).edx };
        // SAFETY: the processor has XGETBV, as the bit above says.
        let saved = unsafe { saved_state() };
        features & amx_bf16 != 0
            && features & amx_tile != 0
            && saved & TILE_CONFIG_AND_DATA == TILE_CONFIG_AND_DATA
    }

    #[target_feature(enable = "xsave")]
    fn saved_state() -> u64 {
        // SAFETY: register 0 is there wherever XGETBV is.
        unsafe { _xgetbv(0) }
    }

    /// Asks Linux for the tiles, for all threads of this process.
    fn may_use_tiles() -> bool {
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
        const TILE_DATA: u64 = 18;
        let answer: i64;
        // SAFETY: a system call with two numbers; it touches no memory of this process.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => answer,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") TILE_DATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        answer == 0
    }

    pub(in super::super) fn run<T: Stored>(product: Product<'_, T>) {
        // SAFETY: `product_into` has asserted `is_here`.
        unsafe { with_features(product) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn with_features<T: Stored>(product: Product<'_, T>) {
        let configured = Configured::new();
        product.run(Amx(&configured));
    }

    /// The thread's tiles, all of 16 rows of 64 bytes, until it is dropped.
    struct Configured;

    impl Configured {
        fn new() -> Self {
            #[repr(C, align(64))]
            struct Shapes([u8; 64]);
            let mut shapes = Shapes([0; 64]);
            // The palette; bytes per row (16 bits for each tile); rows.
            shapes.0[0] = 1;
            for tile in 0..8 {
                shapes.0[16 + 2 * tile] = ROW as u8;
                shapes.0[48 + tile] = SIDE as u8;
            }
            // SAFETY: only `run` comes here, where there are tiles; the 64 bytes are a valid configuration. The
            // compiler does not use tiles, so nothing that it keeps in them is lost.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, readonly));
            }
            Self
        }
    }

    impl Drop for Configured {
        fn drop(&mut self) {
            // SAFETY: as above. Without tiles in use, a change of threads need not save them.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
    }

    #[derive(Clone, Copy)]
    struct Amx<'a>(&'a Configured);

    impl Multiply for Amx<'_> {
        #[inline(always)]
        fn multiply(
            self,
            rows: &Rows<'_>,
            tiles: &[Tile],
            panel: &[Line],
            across: usize,
            sums: &mut Sums,
        ) {
            let Self(Configured) = self;
            if rows.offsets.is_empty() || rows.run == 0 {
                return sums.0 = [[[[0.0; SIDE]; SIDE]; ACROSS]; 2];
            }
            // SAFETY: the tiles are configured. `Rows::check` has asserted that 16 rows of a tile, from each
            // offset on for `run` lines, lie inside `values`; the panel has `across` tiles of 16 lines for each
            // of their `offsets.len() * run` steps; `sums` has room for four tiles.
            unsafe {
                // One tile of rows alone is multiplied twice: the time is that of the instructions.
                let tiles = [&tiles[0], &tiles[tiles.len() - 1]];
                let first = rows.values.as_ptr().add(tiles[0].start);
                let second = rows.values.as_ptr().add(tiles[1].start);
                let pitches = tiles.map(|tile| tile.pitch * ROW);
                let offsets = rows.offsets.as_ptr_range();
                // Two of the four sums are of the second tile of weights, which may not be there.
                macro_rules! sum {
                    (zero $($zero:literal)*, add $($add:literal)*, store $($store:literal)*, step $step:literal) => {
                        asm!(
                            "tilezero tmm0",
                            "tilezero tmm2",
                            $($zero,)*
                            "2:",
                            "mov {b}, [{offset}]",
                            "add {offset}, 8",
                            "shl {b}, 6",
                            "lea {a}, [{first} + {b}]",
                            "add {b}, {second}",
                            "mov {left:e}, {run:e}",
                            "3:",
                            "tileloadd tmm4, [{a} + {first_pitch}]",
                            "tileloadd tmm6, [{weights} + {row}]",
                            "tileloadd tmm5, [{b} + {second_pitch}]",
                            "tdpbf16ps tmm0, tmm4, tmm6",
                            "tdpbf16ps tmm2, tmm5, tmm6",
                            $($add,)*
                            "add {a}, 64",
                            "add {b}, 64",
                            $step,
                            "dec {left:e}",
                            "jnz 3b",
                            "cmp {offset}, {end}",
                            "jne 2b",
                            "tilestored [{sums} + {row}], tmm0",
                            "tilestored [{sums} + {row} + 2048], tmm2",
                            $($store,)*
                            a = out(reg) _,
                            b = out(reg) _,
                            left = out(reg) _,
                            offset = inout(reg) offsets.start => _,
                            end = in(reg) offsets.end,
                            first = in(reg) first,
                            second = in(reg) second,
                            first_pitch = in(reg) pitches[0],
                            second_pitch = in(reg) pitches[1],
                            run = in(reg) rows.run,
                            weights = inout(reg) panel.as_ptr() => _,
                            row = in(reg) ROW,
                            sums = in(reg) &raw mut *sums,
                            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                            options(nostack),
                        )
                    };
                }
                if across == ACROSS {
                    sum!(
                        zero "tilezero tmm1" "tilezero tmm3",
                        add "tileloadd tmm7, [{weights} + {row} + 1024]"
                            "tdpbf16ps tmm1, tmm4, tmm7"
                            "tdpbf16ps tmm3, tmm5, tmm7",
                        store "tilestored [{sums} + {row} + 1024], tmm1"
                            "tilestored [{sums} + {row} + 3072], tmm3",
                        step "add {weights}, 2048"
                    );
                } else {
                    sum!(zero, add, store, step "add {weights}, 1024");
                }
            }
        }
    }
}
