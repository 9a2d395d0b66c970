//! Axes: evenly spaced or not.

use std::ops::Range;

/// Coordinates that differ from evenly spaced ones by less than this part of
/// the largest of them, the rounding of `float32`, are evenly spaced: files
/// store them so.
pub(super) const EVEN: f64 = f32::EPSILON as f64;
/// And by less than this part of their step.
const EVEN_STEP: f64 = 5e-4;

/// An ascending axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    values: Vec<f64>,
    /// `(first, 1 / step)` where the axis is evenly spaced; `first` is that of
    /// the axis this one was cut from, so that a cut changes no weight.
    pub(super) even: Option<(f64, f64)>,
    /// Nodes before the first that were cut off.
    offset: usize,
    /// The smallest step of the axis this one was cut from.
    finest_step: f64,
}

/// Between which nodes a coordinate lies: node `index`, and the part `weight`
/// of the way to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bracket {
    /// Of the node at or below.
    pub index: usize,
    /// 0 ≤ weight ≤ 1.
    pub weight: f64,
}

/// Why values are not an axis.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AxisError {
    /// No value.
    #[error("the {0} axis is empty")]
    Empty(&'static str),
    /// Not finite, or not ascending once sorted.
    #[error("the {axis} axis has {value} at {index}, expected {expected}")]
    Value {
        /// Name of the axis.
        axis: &'static str,
        /// Where.
        index: usize,
        /// What.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
}

impl Axis {
    /// An axis of strictly ascending values.
    ///
    /// # Errors
    /// Empty, not finite or not strictly ascending.
    pub fn new(name: &'static str, values: Vec<f64>) -> Result<Self, AxisError> {
        let (Some(&first), Some(&last)) = (values.first(), values.last()) else {
            return Err(AxisError::Empty(name));
        };
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(AxisError::Value { axis: name, index, value: values[index], expected: "a finite value" });
        }
        if let Some(index) = values.windows(2).position(|w| w[1] <= w[0]) {
            let value = values[index + 1];
            return Err(AxisError::Value {
                axis: name,
                index: index + 1,
                value,
                expected: "a value above the one before",
            });
        }
        let step = (last - first) / (values.len() as f64 - 1.0);
        let rounding = (EVEN * first.abs().max(last.abs())).min(EVEN_STEP * step);
        let is_even = values.len() > 1
            && values.iter().enumerate().all(|(i, v)| ((first + i as f64 * step) - v).abs() <= rounding);
        let finest_step = values.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
        Ok(Self { even: is_even.then(|| (first, 1.0 / step)), values, offset: 0, finest_step })
    }

    /// The coordinates.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// `(first, 1 / step)` where the axis is evenly spaced; `first` is that of
    /// the axis this one was cut from.
    #[must_use]
    pub fn even(&self) -> Option<(f64, f64)> {
        self.even
    }

    /// Nodes before the first that were cut off.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// First and last coordinate.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        (self.values[0], self.values[self.values.len() - 1])
    }

    /// The nodes `range` alone; points between them are located as before, to
    /// the last bit.
    ///
    /// # Panics
    /// When `range` is empty or reaches beyond the axis.
    #[must_use]
    pub fn cut(&self, range: Range<usize>) -> Self {
        assert!(!range.is_empty(), "an axis has a node");
        Self { values: self.values[range.clone()].to_vec(), offset: self.offset + range.start, ..self.clone() }
    }

    /// The nodes of the cells that `low..=high` touches, as a range; `None`
    /// where the axis and the interval do not meet.
    #[must_use]
    pub fn touched(&self, low: f64, high: f64) -> Option<Range<usize>> {
        let (first, last) = self.range();
        if high < first || low > last || low.is_nan() || high.is_nan() {
            return None;
        }
        // One node more on either side: a coordinate within rounding of a
        // node may be located in either cell.
        let start = self.values.partition_point(|&v| v <= low).saturating_sub(2);
        let end = (self.values.partition_point(|&v| v < high) + 2).min(self.len());
        Some(start..end)
    }

    /// The smallest distance between two nodes, those cut off included, so
    /// that a cut changes no path's samples; infinite for a single node.
    #[must_use]
    pub fn finest_step(&self) -> f64 {
        self.finest_step
    }

    /// Where `x` lies, `None` outside the axis or where `x` is not a number.
    #[must_use]
    pub fn locate(&self, x: f64) -> Option<Bracket> {
        self.locate_from(x, &mut 0)
    }

    /// As [`Axis::locate`]; looks first around `hint`, the last answer.
    #[must_use]
    #[inline(always)]
    pub fn locate_from(&self, x: f64, hint: &mut usize) -> Option<Bracket> {
        let last = self.values.len() - 1;
        if !(x >= self.values[0] && x <= self.values[last]) {
            return None;
        }
        if last == 0 {
            return Some(Bracket { index: 0, weight: 0.0 });
        }
        if let Some((first, inverse_step)) = self.even {
            let position = (x - first) * inverse_step;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "x is within the axis")]
            let index = (position as usize).clamp(self.offset, self.offset + last - 1);
            let weight = (position - index as f64).clamp(0.0, 1.0);
            return Some(Bracket { index: index - self.offset, weight });
        }
        let index = walk(&self.values, x, *hint);
        *hint = index;
        let (low, high) = (self.values[index], self.values[index + 1]);
        Some(Bracket { index, weight: (x - low) / (high - low) })
    }
}

/// Where a block of coordinates lies on an axis, in columns of one length.
pub struct Located<'a> {
    /// Of the node at or below.
    pub index: &'a mut [u32],
    /// 0 ≤ weight ≤ 1.
    pub weight: &'a mut [f32],
    /// Taken away where a coordinate lies outside.
    pub inside: &'a mut [bool],
}

impl Located<'_> {
    /// Writes the answer for coordinate `i`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "axes have fewer than 2^32 nodes; weights are f32")]
    pub(crate) fn set(&mut self, i: usize, bracket: Option<Bracket>) {
        self.inside[i] &= bracket.is_some();
        if let Some(Bracket { index, weight }) = bracket {
            (self.index[i], self.weight[i]) = (index as u32, weight as f32);
        }
    }

    /// Writes one answer for all coordinates.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "axes have fewer than 2^32 nodes; weights are f32")]
    fn fill(&mut self, bracket: Option<Bracket>) {
        match bracket {
            Some(Bracket { index, weight }) => {
                self.index.fill(index as u32);
                self.weight.fill(weight as f32);
            }
            None => self.inside.fill(false),
        }
    }
}

impl Axis {
    /// As [`Axis::locate_from`] for many coordinates, without branches where
    /// the axis is evenly spaced, so that it runs in vector registers.
    #[inline(always)]
    pub fn locate_block(&self, x: &[f64], out: &mut Located<'_>, hint: &mut usize) {
        let last = self.values.len() - 1;
        let Some((first, inverse_step)) = self.even.filter(|_| last > 0) else {
            self.locate_uneven(x, out, hint);
            return;
        };
        let (low, high) = self.range();
        let (lowest, highest) = (self.offset as f64, (self.offset + last - 1) as f64);
        #[expect(clippy::needless_bitwise_bool, reason = "without branches")]
        let is_within = |x: f64| (x >= low) & (x <= high);
        let mut all = true;
        for ((index, weight), &x) in out.index.iter_mut().zip(out.weight.iter_mut()).zip(x) {
            all &= is_within(x);
            (*index, *weight) = even_cell((x - first) * inverse_step, lowest, highest);
        }
        if !all {
            for (inside, &x) in out.inside.iter_mut().zip(x) {
                *inside &= is_within(x);
            }
        }
    }

    #[inline(always)]
    fn locate_uneven(&self, x: &[f64], out: &mut Located<'_>, hint: &mut usize) {
        let Some(&first) = x.first() else { return };
        let bits = first.to_bits();
        let differs = x.iter().fold(0, |differs, x| differs | (x.to_bits() ^ bits));
        if differs == 0 {
            // Level flight asks for the same pressure again and again.
            out.fill(self.locate_from(first, hint));
            return;
        }
        for (i, &x) in x.iter().enumerate() {
            out.set(i, self.locate_from(x, hint));
        }
    }
}

/// 2⁵²: the lowest bits of a whole number below 2³² that is added to it are
/// that number.
const WHOLE: f64 = 4_503_599_627_370_496.0;

/// The cell of an evenly spaced axis that a position, counted in steps, lies
/// in, counted from `lowest`; and the weight of its upper node.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "weights are f32, and see WHOLE")]
pub(super) fn even_cell(position: f64, lowest: f64, highest: f64) -> (u32, f32) {
    // Comparisons instead of clamp: they are one instruction each.
    let cell = position.floor();
    let cell = if cell > lowest { cell } else { lowest };
    let cell = if cell < highest { cell } else { highest };
    let weight = position - cell;
    let weight = if weight > 0.0 { weight } else { 0.0 };
    let weight = if weight < 1.0 { weight } else { 1.0 };
    // A cast would look for what is no number, one by one.
    (((cell - lowest) + WHOLE).to_bits() as u32, weight as f32)
}

/// The cell of ascending `values` that holds `x`, from a guess near it.
#[inline(always)]
pub(crate) fn walk(values: &[f64], x: f64, hint: usize) -> usize {
    let mut index = hint.min(values.len() - 2);
    while index > 0 && x < values[index] {
        index -= 1;
    }
    while index + 2 < values.len() && x >= values[index + 1] {
        index += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_uneven_axes_locate_alike() {
        let even = Axis::new("latitude", (0..241).map(|i| -90.0 + 0.75 * f64::from(i)).collect()).unwrap();
        assert!(even.even.is_some());
        let uneven = Axis { even: None, ..even.clone() };
        for x in [-90.0, -89.999, -0.75, 0.0, 0.1, 12.3, 89.25, 89.9, 90.0] {
            let (a, b) = (even.locate(x).unwrap(), uneven.locate(x).unwrap());
            assert!((a.index as f64 + a.weight - b.index as f64 - b.weight).abs() < 1e-10, "{x}: {a:?} {b:?}");
        }
        for x in [-90.1, 90.000_1, f64::NAN, f64::INFINITY] {
            assert_eq!(even.locate(x), None);
            assert_eq!(uneven.locate(x), None);
        }
    }

    #[test]
    fn a_cut_axis_locates_to_the_last_bit() {
        let whole = Axis::new("latitude", (0..451).map(|i| -90.0 + 0.4 * f64::from(i)).collect()).unwrap();
        let cut = whole.cut(100..200);
        for i in 0..500 {
            let x = -49.9 + 0.0789 * f64::from(i);
            let (a, b) = (whole.locate(x).unwrap(), cut.locate(x).unwrap());
            assert_eq!((a.index, a.weight.to_bits()), (b.index + 100, b.weight.to_bits()));
        }
        assert_eq!(cut.locate(-50.1), None);
        assert_eq!(whole.touched(-50.0, -49.0), Some(99..105));
        assert_eq!(whole.touched(91.0, 92.0), None);
    }

    #[test]
    fn faulty_axes_are_refused_with_the_place() {
        let fault = |values| Axis::new("level", values).unwrap_err().to_string();
        assert_eq!(fault(vec![]), "the level axis is empty");
        assert_eq!(fault(vec![1.0, 1.0]), "the level axis has 1 at 1, expected a value above the one before");
        assert_eq!(fault(vec![1.0, f64::NAN]), "the level axis has NaN at 1, expected a finite value");
    }

    #[test]
    fn a_block_is_located_like_single_coordinates() {
        let latitude = Axis::new("latitude", (0..19).map(|i| -90.0 + 10.0 * f64::from(i)).collect()).unwrap().cut(3..9);
        let x = [f64::NAN, -60.1, -60.0, -33.0, -10.0, -9.9];
        let (mut index, mut weight, mut inside) = ([0; 6], [0.0; 6], [true; 6]);
        let mut out = Located { index: &mut index, weight: &mut weight, inside: &mut inside };
        latitude.locate_block(&x, &mut out, &mut 0);
        assert_eq!(inside, [false, false, true, true, true, false]);
        assert_eq!((index[2], index[3], index[4]), (0, 2, 4));
        assert!((weight[3] - 0.7).abs() < 1e-6 && (weight[4] - 1.0).abs() < 1e-6);
    }
}
