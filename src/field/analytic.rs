//! A field that is a function: for tests, benches and the demo.

use rayon::prelude::*;

use super::{FieldError, FieldSource, Levels, Variable, Window};

/// One point of a grid, as the function of an [`AnalyticField`] sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Number of the variable, as in [`FieldSource::variables`].
    pub variable: usize,
    /// Number of the ensemble's member.
    pub member: usize,
    /// Seconds since 1970.
    pub time_s: f64,
    /// The level in the axis' own unit: Pa, m, hundreds of feet or the number
    /// of a hybrid level; 0 at the surface.
    pub level: f64,
    /// Degrees north.
    pub latitude_deg: f64,
    /// Degrees east, as the axis has it.
    pub longitude_deg: f64,
}

/// Variables on any axes, with the value of a function at every node.
///
/// Nothing is held in memory: [`read`](FieldSource::read) evaluates the
/// function, on all threads.
pub struct AnalyticField<F> {
    variables: Vec<Variable>,
    value: F,
}

impl<F: Fn(&Node) -> f32 + Send + Sync> AnalyticField<F> {
    /// The variables, and their values.
    #[must_use]
    pub fn new(variables: Vec<Variable>, value: F) -> Self {
        Self { variables, value }
    }
}

impl<F: Fn(&Node) -> f32 + Send + Sync> FieldSource for AnalyticField<F> {
    fn format(&self) -> String {
        "analytic".to_owned()
    }

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn remarks(&self) -> &[String] {
        &[]
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        let described = check(&self.variables, variable, window, out.len())?;
        let levels = level_values(&described.levels);
        for_each_plane(window, out, |time, level, plane| {
            let mut node = Node {
                variable,
                member: window.member,
                time_s: described.times_s[time],
                level: levels[level],
                latitude_deg: 0.0,
                longitude_deg: 0.0,
            };
            let rows = plane.chunks_exact_mut(window.longitudes.len());
            for (row, &latitude_deg) in rows.zip(&described.latitudes_deg[window.latitudes.clone()]) {
                node.latitude_deg = latitude_deg;
                for (value, &longitude_deg) in row.iter_mut().zip(&described.longitudes_deg[window.longitudes.clone()])
                {
                    node.longitude_deg = longitude_deg;
                    *value = (self.value)(&node);
                }
            }
        });
        Ok(())
    }
}

/// The variable, if there is one and the window is on its grid and as long as
/// the output.
pub(super) fn check<'a>(
    variables: &'a [Variable],
    variable: usize,
    window: &Window,
    out: usize,
) -> Result<&'a Variable, FieldError> {
    let fault = |what: String| Err(FieldError::Dataset(what));
    let Some(described) = variables.get(variable) else {
        return fault(format!("variable {variable} of {}", variables.len()));
    };
    let name = &described.name;
    let axes = [
        ("times", &window.times, described.times_s.len()),
        ("levels", &window.levels, described.levels.len()),
        ("latitudes", &window.latitudes, described.latitudes_deg.len()),
        ("longitudes", &window.longitudes, described.longitudes_deg.len()),
    ];
    for (axis, range, len) in axes {
        if range.end > len {
            return fault(format!("{name}: {axis} {range:?} asked for, expected within 0..{len}"));
        }
    }
    if window.member >= described.members.len().max(1) {
        return fault(format!("{name}: member {} of {}", window.member, described.members.len()));
    }
    if window.len() != out {
        return fault(format!("{name}: {out} values of output for a window of {}", window.len()));
    }
    Ok(described)
}

/// Calls `fill(time, level, plane)` for every horizontal plane of a window,
/// on all threads; `time` and `level` count along the axes.
pub(super) fn for_each_plane(window: &Window, out: &mut [f32], fill: impl Fn(usize, usize, &mut [f32]) + Sync) {
    if out.is_empty() {
        return;
    }
    let levels = window.levels.len();
    out.par_chunks_exact_mut(window.latitudes.len() * window.longitudes.len()).enumerate().for_each(|(i, plane)| {
        fill(window.times.start + i / levels, window.levels.start + i % levels, plane);
    });
}

fn level_values(levels: &Levels) -> Vec<f64> {
    match levels {
        Levels::Surface => vec![0.0],
        Levels::Pressure(v) | Levels::Altitude(v) | Levels::FlightLevel(v) => v.clone(),
        Levels::Hybrid(h) => h.numbers.iter().map(|&n| f64::from(n)).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "small whole numbers")]

    use super::*;
    use crate::field::Chunk;

    fn field() -> AnalyticField<impl Fn(&Node) -> f32 + Send + Sync> {
        let variable = |name: &str, members: &[&str], levels| Variable {
            name: name.to_owned(),
            standard_name: None,
            long_name: None,
            units: None,
            times_s: vec![0.0, 10_000.0],
            members: members.iter().map(|&m| m.to_owned()).collect(),
            levels,
            latitudes_deg: vec![100.0, 200.0, 300.0],
            longitudes_deg: vec![1.0, 2.0, 3.0, 4.0],
            chunk: Chunk { times: 1, levels: 1 },
        };
        let variables =
            vec![variable("a", &[], Levels::Pressure(vec![10.0, 20.0])), variable("b", &["0", "1"], Levels::Surface)];
        #[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
        AnalyticField::new(variables, |n| {
            let place = n.time_s + n.level + n.latitude_deg + n.longitude_deg;
            (place + 1e6 * n.variable as f64 + 1e5 * n.member as f64) as f32
        })
    }

    #[test]
    fn fills_a_window_in_the_order_of_the_axes() {
        let window = Window { member: 0, times: 0..2, levels: 1..2, latitudes: 1..3, longitudes: 2..4 };
        let mut out = [0.0; 8];
        field().read(0, &window, &mut out).unwrap();
        assert_eq!(out, [223.0, 224.0, 323.0, 324.0, 10_223.0, 10_224.0, 10_323.0, 10_324.0]);
        let window = Window { member: 1, times: 1..2, levels: 0..1, latitudes: 0..1, longitudes: 0..1 };
        field().read(1, &window, &mut out[..1]).unwrap();
        assert_eq!(out[0], 1_110_101.0);
    }

    #[test]
    fn a_window_off_the_grid_is_refused() {
        let fault = |change: fn(&mut Window), variable: usize, len: usize| {
            let field = field();
            let mut window = field.variables()[0].whole(0);
            change(&mut window);
            field.read(variable, &window, &mut vec![0.0; len]).unwrap_err().to_string()
        };
        assert!(fault(|w| w.levels = 1..3, 0, 48).contains("levels 1..3 asked for, expected within 0..2"));
        assert!(fault(|w| w.member = 1, 0, 48).contains("member 1 of 0"));
        assert!(fault(|_| (), 0, 47).contains("47 values of output for a window of 48"));
        assert!(fault(|_| (), 2, 48).contains("variable 2 of 2"));
        let mut none = field().variables()[0].whole(0);
        none.times = 1..1;
        field().read(0, &none, &mut []).unwrap();
    }
}
