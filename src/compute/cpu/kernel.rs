//! Flights through one window: fill, locate, gather, reduce, block by block.

use pulp::NullaryFnOnce;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::{
    block::{Block, Share, Supply},
    gather::{Cells, Slabs},
    path::Steps,
    reduce::Samples,
    unpacked::Unpacked,
    vector::{Portable, Vectors},
    walker::Walker,
};
use crate::{
    compute::{Window, state::Cursor},
    exposure::program::Program,
};

/// What all flights of a window share.
pub(super) struct Shared<'a> {
    pub instructions: Instructions,
    pub window: &'a Window<'a>,
    pub slabs: Slabs<'a>,
    pub steps: Steps,
    /// Whether any value in the window is missing.
    pub has_missing: bool,
}

/// The instruction set to run on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    Portable,
}

impl Instructions {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(v4) = V4::try_new() {
                return Self::Avx512(v4);
            }
            if let Some(v3) = V3::try_new() {
                return Self::Avx2(v3);
            }
        }
        Self::Portable
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            Self::Portable => "portable",
        }
    }
}

/// What one thread works with, share after share.
pub(super) struct Scratch<'a, const S: usize> {
    unpacked: Unpacked<'a, S>,
    samples: Samples<S>,
    /// The block whose turn comes next.
    ahead: Box<Block>,
    due: Vec<(usize, Cursor)>,
}

impl<'a, const S: usize> Scratch<'a, S> {
    pub(super) fn new(program: &'a Program) -> Self {
        let with_dose = program.engine_flow.is_some();
        Self {
            unpacked: Unpacked::new(program),
            samples: Samples::new(with_dose),
            ahead: Box::new(Block::new()),
            due: Vec::new(),
        }
    }
}

/// Takes the samples of some flights that lie in the window.
pub(super) fn run<'a, const S: usize>(shared: &Shared<'a>, scratch: &mut Scratch<'a, S>, share: Share<'_>) {
    match shared.instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(v4) if S >= 8 => {
            v4.vectorize(Walk::<S, 8, V4> { vectors: v4, shared, scratch, share });
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(v4) => {
            v4.vectorize(Walk::<S, S, Portable> { vectors: Portable, shared, scratch, share });
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) if S >= 8 => {
            v3.vectorize(Walk::<S, 8, V3> { vectors: v3, shared, scratch, share });
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) => {
            v3.vectorize(Walk::<S, S, Portable> { vectors: Portable, shared, scratch, share });
        }
        Instructions::Portable => Walk::<S, S, Portable> { vectors: Portable, shared, scratch, share }.call(),
    }
}

/// All channels at the cells of a block; NaN where one is not in memory.
pub(super) fn sample_block<const S: usize>(
    instructions: Instructions,
    slabs: &Slabs<'_>,
    cells: &Cells,
    values: &mut [[f32; S]],
) {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(v4) => v4.vectorize(Gather::<S> { slabs, cells, values }),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) => v3.vectorize(Gather::<S> { slabs, cells, values }),
        Instructions::Portable => Gather::<S> { slabs, cells, values }.call(),
    }
}

struct Gather<'a, const S: usize> {
    slabs: &'a Slabs<'a>,
    cells: &'a Cells,
    values: &'a mut [[f32; S]],
}

impl<const S: usize> NullaryFnOnce for Gather<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.slabs.ask::<S>(self.cells);
        self.slabs.gather::<S, S, _>(Portable, self.cells, self.values, None);
    }
}

/// The walk as a value: a closure would not be compiled for the instruction
/// set that it is dispatched to.
struct Walk<'a, 'b, const S: usize, const N: usize, V> {
    vectors: V,
    shared: &'a Shared<'b>,
    scratch: &'a mut Scratch<'b, S>,
    share: Share<'a>,
}

impl<const S: usize, const N: usize, V: Vectors<N>> NullaryFnOnce for Walk<'_, '_, S, N, V> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { vectors, shared, scratch: Scratch { unpacked, samples, ahead, due }, share } = self;
        let mut supply = Supply::new(shared, &share, due);
        let mut next = supply.next(ahead);
        if next.is_some() {
            shared.slabs.ask::<S>(&ahead.cells);
        }
        while let Some(flight) = next {
            std::mem::swap(&mut samples.block, ahead);
            let mut walker = Walker::<S>::resume(unpacked, samples, &mut share.states[flight]);
            loop {
                // Memory is asked for the next block, of the next flight too,
                // while this one is computed.
                next = supply.next(ahead);
                walker.take::<N, V>(vectors, shared, next.map(|_| &ahead.cells));
                if next != Some(flight) {
                    break;
                }
                walker.turn_to_block(ahead);
            }
            walker.suspend(supply.waypoints(flight));
        }
    }
}
