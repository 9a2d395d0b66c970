//! Boxes of a variable: gathered from its array, in whatever order that has
//! its dimensions, into `[time][level][latitude][longitude]`.

use std::ops::Range;

use super::{ArrayStore, unpack::Unpacking, unpack::each_type};
use crate::field::{FieldError, Window};

/// Where each axis of a variable lies in its array.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub(super) array: usize,
    pub(super) name: String,
    /// What each dimension of the array is, slowest first.
    pub(super) roles: Vec<Role>,
    /// For each time of the variable, the index along each dimension of time.
    pub(super) places: Vec<Vec<usize>>,
    /// Members, levels, latitudes, longitudes.
    pub(super) extents: [usize; 4],
    pub(super) unpacking: Unpacking,
}

/// What a dimension of an array is to the variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The n-th of the dimensions of time.
    Time(usize),
    Member,
    Level,
    Latitude,
    Longitude,
    /// Of length one.
    Fixed,
}

/// Times of a window that lie one after the other along one dimension.
struct Run {
    /// First and number among the window's times.
    first: usize,
    count: usize,
    /// Which dimension of time they follow.
    along: usize,
}

impl Layout {
    /// Reads a box as `FieldSource::read` does.
    pub(super) fn read(&self, store: &dyn ArrayStore, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        self.check(store, window, out.len())?;
        if window.is_empty() {
            return Ok(());
        }
        let slab = window.levels.len() * window.latitudes.len() * window.longitudes.len();
        let mut rest = out;
        for run in self.runs(window.times.clone()) {
            let (part, after) = rest.split_at_mut(run.count * slab);
            self.read_run(store, window, &run, part)?;
            rest = after;
        }
        Ok(())
    }

    fn check(&self, store: &dyn ArrayStore, window: &Window, length: usize) -> Result<(), FieldError> {
        let [members, levels, latitudes, longitudes] = self.extents;
        let inside = |range: &Range<usize>, n: usize| range.start <= range.end && range.end <= n;
        let fits = window.member < members.max(1)
            && inside(&window.times, self.places.len())
            && inside(&window.levels, levels)
            && inside(&window.latitudes, latitudes)
            && inside(&window.longitudes, longitudes)
            && window.len() == length;
        if fits {
            return Ok(());
        }
        let times = self.places.len();
        Err(FieldError::Dataset(format!(
            "{}: {}: the box {window:?} for {length} values does not fit {members} members, {times} times, \
             {levels} levels, {latitudes} latitudes, {longitudes} longitudes",
            store.path().display(),
            self.name
        )))
    }

    /// The times cut where they stop following each other in the array.
    fn runs(&self, times: Range<usize>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for at in times {
            let last = runs.last_mut().filter(|run| {
                let (previous, next) = (&self.places[at - 1], &self.places[at]);
                let step = |d: usize| usize::from(d == run.along);
                previous.iter().zip(next).enumerate().all(|(d, (p, n))| p + step(d) == *n)
            });
            match last {
                Some(run) => run.count += 1,
                None => runs.push(Run { first: at, count: 1, along: self.direction(at) }),
            }
        }
        runs
    }

    /// The dimension of time along which the time after `at` follows it.
    fn direction(&self, at: usize) -> usize {
        let Some(next) = self.places.get(at + 1) else { return 0 };
        self.places[at].iter().zip(next).position(|(p, n)| p + 1 == *n).unwrap_or(0)
    }

    fn read_run(&self, store: &dyn ArrayStore, window: &Window, run: &Run, out: &mut [f32]) -> Result<(), FieldError> {
        let ranges: Vec<Range<usize>> = self.roles.iter().map(|role| self.range(*role, window, run)).collect();
        let strides = c_strides(&ranges);
        let values = store.read_box(self.array, &ranges)?;
        let expected: usize = ranges.iter().map(Range::len).product();
        if values.len() != expected {
            let found = values.len();
            let what = format!("{}: {found} values where {expected} were asked for", self.name);
            return Err(FieldError::corrupt(store.path(), what));
        }
        let stride = |wanted: Role| self.roles.iter().position(|role| *role == wanted).map_or(0, |d| strides[d]);
        let gather = Gather {
            counts: [run.count, window.levels.len(), window.latitudes.len(), window.longitudes.len()],
            strides: [
                stride(Role::Time(run.along)),
                stride(Role::Level),
                stride(Role::Latitude),
                stride(Role::Longitude),
            ],
        };
        let (values, unpacking) = self.unpacking.settle_sign(values);
        each_type!(&values, stored => gather.unpack(stored, &unpacking, out));
        Ok(())
    }

    fn range(&self, role: Role, window: &Window, run: &Run) -> Range<usize> {
        match role {
            Role::Time(d) => {
                let start = self.places[run.first][d];
                start..start + if d == run.along { run.count } else { 1 }
            }
            Role::Member => window.member..window.member + 1,
            Role::Level => window.levels.clone(),
            Role::Latitude => window.latitudes.clone(),
            Role::Longitude => window.longitudes.clone(),
            Role::Fixed => 0..1,
        }
    }
}

/// How the four axes of a box lie in stored values.
struct Gather {
    counts: [usize; 4],
    strides: [usize; 4],
}

impl Gather {
    fn unpack<T: super::unpack::Stored>(&self, stored: &[T], unpacking: &Unpacking, out: &mut [f32]) {
        let [_, levels, latitudes, longitudes] = self.counts;
        if self.is_in_order() {
            return unpacking.apply(stored, out);
        }
        let [by_time, by_level, by_latitude, by_longitude] = self.strides;
        let mut row = vec![T::default(); longitudes];
        for (number, out) in out.chunks_exact_mut(longitudes).enumerate() {
            let (slab, latitude) = (number / latitudes, number % latitudes);
            let (time, level) = (slab / levels, slab % levels);
            let start = time * by_time + level * by_level + latitude * by_latitude;
            for (i, value) in row.iter_mut().enumerate() {
                *value = stored[start + i * by_longitude];
            }
            unpacking.apply(&row, out);
        }
    }

    /// Whether the stored order is the wanted one.
    fn is_in_order(&self) -> bool {
        let mut expected = 1;
        self.counts.iter().zip(&self.strides).rev().all(|(&count, &stride)| {
            let fits = count == 1 || stride == expected;
            expected *= count;
            fits
        })
    }
}

/// Distances between neighbours along each dimension of a box in C order.
fn c_strides(ranges: &[Range<usize>]) -> Vec<usize> {
    let mut strides = vec![1; ranges.len()];
    for d in (1..ranges.len()).rev() {
        strides[d - 1] = strides[d] * ranges[d].len();
    }
    strides
}
