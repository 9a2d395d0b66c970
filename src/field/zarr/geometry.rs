//! Boxes on a regular chunk grid: which cells a box meets, and which runs of
//! elements it shares with each.

use std::ops::Range;

/// One stretch of elements that is contiguous in both places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// First element in the source.
    pub(super) from: usize,
    /// First element in the destination.
    pub(super) to: usize,
    /// Elements.
    pub(super) len: usize,
}

/// A cell of a chunk grid and the part of a box that lies in it, in
/// coordinates of the array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) index: Vec<u64>,
    pub(super) part: Vec<Range<u64>>,
}

impl Cell {
    /// First element of the cell in coordinates of the array.
    pub(super) fn origin(&self, chunk: &[u64]) -> Vec<u64> {
        self.index.iter().zip(chunk).map(|(i, n)| i * n).collect()
    }
}

/// The cells of `chunk`-sized pieces that a non-empty `window` meets, in C
/// order. A grid without dimensions has one cell.
pub(super) fn cells<'a>(window: &'a [Range<u64>], chunk: &'a [u64]) -> impl Iterator<Item = Cell> + 'a {
    let first: Vec<u64> = window.iter().zip(chunk).map(|(w, n)| w.start / n).collect();
    let counts: Vec<u64> = window
        .iter()
        .zip(chunk)
        .zip(&first)
        .map(|((w, n), f)| if w.is_empty() { 0 } else { (w.end - 1) / n - f + 1 })
        .collect();
    let total: u64 = counts.iter().product();
    (0..total).map(move |mut number| {
        let mut index = first.clone();
        for (i, n) in index.iter_mut().zip(&counts).rev() {
            *i += number % n;
            number /= n;
        }
        let part = index
            .iter()
            .zip(chunk)
            .zip(window)
            .map(|((&i, &n), w)| w.start.max(i * n)..w.end.min(i.saturating_add(1).saturating_mul(n)))
            .collect();
        Cell { index, part }
    })
}

/// A C-ordered block of elements: where it begins in the array, and its shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) origin: &'a [u64],
    pub(super) shape: &'a [u64],
}

/// The runs of `part` from one block to another, the longest that there are,
/// in the order of both. `part` lies in both blocks, whose elements fit memory.
pub(super) fn runs<'a>(
    part: &'a [Range<u64>],
    source: Block<'a>,
    destination: Block<'a>,
) -> impl Iterator<Item = Run> + 'a {
    let extent: Vec<u64> = part.iter().map(|r| r.end.saturating_sub(r.start)).collect();
    // Trailing dimensions that both blocks hold whole are one run with the
    // dimension before them.
    let mut inner = extent.len();
    while inner > 0 {
        inner -= 1;
        if extent[inner] != source.shape[inner] || extent[inner] != destination.shape[inner] {
            break;
        }
    }
    let len = to_usize(extent[inner..].iter().product());
    let outer: u64 = if len == 0 { 0 } else { extent[..inner].iter().product() };
    let (from, from_strides) = offset_and_strides(part, source);
    let (to, to_strides) = offset_and_strides(part, destination);
    (0..outer).map(move |mut number| {
        let (mut f, mut t) = (from, to);
        for d in (0..inner).rev() {
            let i = number % extent[d];
            number /= extent[d];
            f += i * from_strides[d];
            t += i * to_strides[d];
        }
        Run { from: to_usize(f), to: to_usize(t), len }
    })
}

fn offset_and_strides(part: &[Range<u64>], block: Block) -> (u64, Vec<u64>) {
    let mut strides = vec![1; block.shape.len()];
    for d in (1..strides.len()).rev() {
        strides[d - 1] = strides[d] * block.shape[d];
    }
    let offset = part.iter().zip(block.origin).zip(&strides).map(|((r, o), s)| (r.start - o) * s).sum();
    (offset, strides)
}

/// Counts of elements in memory fit `usize`.
fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_a_window_once() {
        let found: Vec<Cell> = cells(&[1..5, 2..4], &[2, 3]).collect();
        let expected = [
            ([0, 0], [1..2, 2..3]),
            ([0, 1], [1..2, 3..4]),
            ([1, 0], [2..4, 2..3]),
            ([1, 1], [2..4, 3..4]),
            ([2, 0], [4..5, 2..3]),
            ([2, 1], [4..5, 3..4]),
        ];
        let expected: Vec<Cell> =
            expected.into_iter().map(|(i, p)| Cell { index: i.to_vec(), part: p.to_vec() }).collect();
        assert_eq!(found, expected);
        assert_eq!(cells(&[3..3, 0..4], &[2, 3]).count(), 0);
        assert_eq!(cells(&[], &[]).count(), 1);
    }

    #[test]
    fn runs_are_as_long_as_both_sides_allow() {
        let part = [1..3, 0..2, 0..4];
        let source = Block { origin: &[0, 0, 0], shape: &[4, 2, 4] };
        let whole: Vec<Run> = runs(&part, source, Block { origin: &[1, 0, 0], shape: &[2, 2, 4] }).collect();
        assert_eq!(whole, [Run { from: 8, to: 0, len: 16 }]);
        let rows: Vec<Run> = runs(&part, source, Block { origin: &[1, 0, 0], shape: &[2, 2, 5] }).collect();
        assert_eq!(
            rows,
            [
                Run { from: 8, to: 0, len: 4 },
                Run { from: 12, to: 5, len: 4 },
                Run { from: 16, to: 10, len: 4 },
                Run { from: 20, to: 15, len: 4 },
            ]
        );
        let none: Vec<Run> = runs(&[], Block { origin: &[], shape: &[] }, Block { origin: &[], shape: &[] }).collect();
        assert_eq!(none, [Run { from: 0, to: 0, len: 1 }]);
    }
}
