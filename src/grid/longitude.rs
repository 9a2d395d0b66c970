//! Longitudes: an axis around the globe, and its columns in memory.

use super::axis::{Axis, AxisError, Bracket, EVEN, Located, even_cell};

/// Longitudes, ascending and spanning less than a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct LongitudeAxis {
    axis: Axis,
    global: bool,
    /// The columns in memory: nodes `start`, `start + 1`, … around the circle.
    start: usize,
    columns: usize,
}

impl LongitudeAxis {
    /// An axis of strictly ascending longitudes, less than a turn in all.
    ///
    /// It is global when the gap that closes the circle is no wider than one
    /// and a half of the widest step between its nodes: a missing column would
    /// make it two, uneven or rounded columns do not.
    ///
    /// # Errors
    /// As [`Axis::new`], and for more than a turn.
    pub fn new(values: Vec<f64>) -> Result<Self, AxisError> {
        let axis = Axis::new("longitude", values)?;
        let (first, last) = axis.range();
        if last - first >= 360.0 - 1e-9 {
            return Err(AxisError::Value {
                axis: "longitude",
                index: axis.len() - 1,
                value: last,
                expected: "less than a turn from the first",
            });
        }
        let columns = axis.len();
        let widest = axis.values().windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
        let global = axis.len() > 1 && 360.0 - (last - first) <= widest * 1.5;
        // A single meridian stands beside itself, so that a cell has two sides.
        let repeats = global || axis.len() == 1;
        Ok(Self { axis, global, start: 0, columns: columns + usize::from(repeats) })
    }

    /// The same axis with `columns` nodes from node `start` in memory, across
    /// the seam where it is global.
    ///
    /// # Panics
    /// Where a regional axis has not that many.
    #[must_use]
    pub fn cut(&self, start: usize, columns: usize) -> Self {
        let most = self.len() + usize::from(self.global || self.len() == 1);
        assert!(columns >= 1 && columns <= most && (self.global || start + columns <= most), "columns exist");
        Self { start, columns, ..self.clone() }
    }

    /// Columns in memory. A global axis that is whole repeats its first column
    /// behind its last, so that no cell crosses the seam; so does an axis of
    /// one column, so that every cell has two.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The node in column `column`.
    #[must_use]
    pub fn node(&self, column: usize) -> usize {
        (self.start + column) % self.len()
    }

    /// The coordinates.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        self.axis.values()
    }

    /// Number of nodes, the seam's repeated one not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.axis.len()
    }

    /// Never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.axis.is_empty()
    }

    /// Whether the axis goes all the way round.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.global
    }

    /// Whether the nodes are evenly spaced all the way round.
    #[must_use]
    #[inline(always)]
    pub fn is_even_globe(&self) -> bool {
        let closes = |(_, inverse_step): (f64, f64)| (360.0 * inverse_step - self.len() as f64).abs() < EVEN;
        self.global && self.axis.even.is_some_and(closes)
    }

    /// All nodes, from west to east.
    #[must_use]
    pub fn axis(&self) -> &Axis {
        &self.axis
    }

    /// As [`Axis::finest_step`].
    #[must_use]
    pub fn finest_step(&self) -> f64 {
        self.axis.finest_step()
    }

    /// The largest step, that across the seam of a global axis included; 0
    /// for a single node.
    #[must_use]
    pub fn widest_step(&self) -> f64 {
        let (first, last) = self.axis.range();
        let seam = if self.global { first + 360.0 - last } else { 0.0 };
        self.values().windows(2).map(|w| w[1] - w[0]).fold(seam, f64::max)
    }

    /// Between which nodes a longitude lies, any turn of the circle; index
    /// `len() − 1` on a global axis is the cell across the seam.
    #[must_use]
    #[inline(always)]
    pub fn locate_from(&self, longitude_deg: f64, hint: &mut usize) -> Option<Bracket> {
        let (first, last) = self.axis.range();
        let mut x = longitude_deg - first;
        if !(0.0..360.0).contains(&x) {
            x = x.rem_euclid(360.0);
        }
        x += first;
        if x > last {
            if self.global {
                let seam = first + 360.0 - last;
                return Some(Bracket { index: self.len() - 1, weight: ((x - last) / seam).min(1.0) });
            }
            if x - 360.0 >= first - 1e-9 {
                // A hair below the first node turned into a full circle above.
                x = first;
            }
        }
        self.axis.locate_from(x, hint)
    }

    /// As [`LongitudeAxis::locate_from`], with the index of the column in
    /// memory; `None` where it is not in memory.
    #[must_use]
    #[inline(always)]
    pub fn column_from(&self, longitude_deg: f64, hint: &mut usize) -> Option<Bracket> {
        let Bracket { index, weight } = self.locate_from(longitude_deg, hint)?;
        let column = if index >= self.start { index - self.start } else { index + self.len() - self.start };
        (column + 1 < self.columns).then_some(Bracket { index: column, weight })
    }

    /// As [`LongitudeAxis::column_from`] for many longitudes in
    /// −180 ≤ λ ≤ 180, without branches on an evenly spaced globe.
    #[inline(always)]
    pub fn columns_block(&self, longitude_deg: &[f64], out: &mut Located<'_>, hint: &mut usize) {
        let nodes = self.len();
        let Some((first, inverse_step)) = self.axis.even.filter(|_| self.is_even_globe()) else {
            for (i, &x) in longitude_deg.iter().enumerate() {
                out.set(i, self.column_from(x, hint));
            }
            return;
        };
        let highest = (nodes - 1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "axes have fewer than 2^31 nodes"
        )]
        let (start, nodes, columns) = (self.start as i32, nodes as i32, self.columns as i32);
        let locate = |longitude: f64| {
            let x = longitude - first;
            let x = if x < 0.0 { x + 360.0 } else { x };
            let x = if x >= 360.0 { x - 360.0 } else { x };
            let (cell, of_next) = even_cell(x * inverse_step, 0.0, highest);
            let column = cell.cast_signed() - start;
            let column = if column < 0 { column + nodes } else { column };
            #[expect(clippy::needless_bitwise_bool, reason = "without branches")]
            let is_inside = (x >= 0.0) & (column + 1 < columns);
            (is_inside, column.cast_unsigned(), of_next)
        };
        let mut all = true;
        for ((index, weight), &longitude) in out.index.iter_mut().zip(out.weight.iter_mut()).zip(longitude_deg) {
            let is_inside;
            (is_inside, *index, *weight) = locate(longitude);
            all &= is_inside;
        }
        if !all {
            for (inside, &longitude) in out.inside.iter_mut().zip(longitude_deg) {
                *inside &= locate(longitude).0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_global_axis_closes_at_the_seam_and_a_regional_one_does_not() {
        let global = LongitudeAxis::new((0..480).map(|i| 0.75 * f64::from(i)).collect()).unwrap();
        assert!(global.is_global());
        let b = global.locate_from(-0.375, &mut 0).unwrap();
        assert_eq!((b.index, b.weight), (479, 0.5));
        assert_eq!(global.locate_from(359.625, &mut 0), Some(b));
        assert_eq!(global.locate_from(-180.0, &mut 0).unwrap().index, 240);
        let region = LongitudeAxis::new(vec![-20.0, -10.0, 0.0, 10.0, 20.0]).unwrap();
        assert!(!region.is_global());
        assert_eq!(region.locate_from(355.0, &mut 0).unwrap(), Bracket { index: 1, weight: 0.5 });
        assert_eq!(region.locate_from(21.0, &mut 0), None);
        assert_eq!(region.locate_from(-20.0, &mut 0).unwrap().index, 0);
    }

    #[test]
    fn blocks_are_located_like_single_coordinates() {
        let globe = LongitudeAxis::new((0..36).map(|i| -180.0 + 10.0 * f64::from(i)).collect()).unwrap();
        let uneven = LongitudeAxis::new(vec![-180.0, -90.0, -10.0, 0.0, 15.0, 100.0]).unwrap();
        let region = LongitudeAxis::new(vec![350.0, 360.0, 370.0]).unwrap();
        let x: Vec<f64> = (0..=720).map(|i| -180.0 + 0.5 * f64::from(i)).collect();
        for axis in [globe.clone(), globe.cut(30, 12), uneven, region] {
            let (mut index, mut weight, mut inside) = ([9; 721], [9.0; 721], [true; 721]);
            let mut out = Located { index: &mut index, weight: &mut weight, inside: &mut inside };
            axis.columns_block(&x, &mut out, &mut 0);
            for (i, &x) in x.iter().enumerate() {
                let single = axis.column_from(x, &mut 0).map(|b| b.index as f64 + b.weight);
                let block = inside[i].then(|| f64::from(index[i]) + f64::from(weight[i]));
                assert_eq!(single.is_some(), block.is_some(), "{x}");
                assert!((single.unwrap_or(0.0) - block.unwrap_or(0.0)).abs() < 1e-6, "{x}: {single:?} {block:?}");
            }
        }
    }

    #[test]
    fn columns_may_lie_across_the_seam() {
        let whole = LongitudeAxis::new((0..36).map(|i| -180.0 + 10.0 * f64::from(i)).collect()).unwrap();
        assert_eq!(whole.columns(), 37);
        let cut = whole.cut(34, 4);
        assert_eq!((0..4).map(|c| cut.node(c)).collect::<Vec<_>>(), [34, 35, 0, 1]);
        let find = |x| cut.column_from(x, &mut 0).map(|b| b.index as f64 + b.weight);
        assert_eq!(find(165.0), Some(0.5));
        assert_eq!(find(-180.0), Some(2.0));
        assert_eq!(find(-172.5), Some(2.75));
        assert_eq!(find(-165.0), None);
        assert_eq!(find(155.0), None);
    }

    #[test]
    fn more_than_a_turn_is_refused() {
        assert!(LongitudeAxis::new(vec![0.0, 180.0, 360.0]).is_err());
    }
}
