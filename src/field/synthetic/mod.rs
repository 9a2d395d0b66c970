//! A field like CAMS' whose values are known everywhere: what the demo flies
//! through and what tests integrate exactly.
//!
//! Every quantity is a sum of terms (`quantities.rs`), each a product of a function of time,
//! one of pressure and one of place. Those of time and pressure are broken
//! lines with their knots on the grid, and so is the ash plume's in longitude
//! and latitude: interpolation, linear in each of the four, gives them back
//! without an error. The others are so wide that its error is below 0.1 %.

mod quantities;

use crate::{
    atmosphere::density,
    units::{Pressure, Temperature},
};

use self::quantities::QUANTITIES;
use super::{
    Chunk, FieldError, FieldSource, Levels, Variable, Window,
    analytic::{check, for_each_plane},
};

/// Pressure levels of CAMS \[hPa\].
pub const LEVELS_HPA: [f64; 25] = [
    1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 600.0,
    700.0, 800.0, 850.0, 900.0, 925.0, 950.0, 1000.0,
];
/// Number of latitudes, from 90° N to 90° S.
pub const LATITUDES: usize = 241;
/// Number of longitudes, from 0° eastwards.
pub const LONGITUDES: usize = 480;
/// Number of times.
pub const TIMES: usize = 9;
/// Seconds from one time to the next.
pub const TIME_STEP_S: f64 = 10_800.0;
/// Degrees from one latitude or longitude to the next.
pub const STEP_DEG: f64 = 0.75;

/// Where and when a [`Synthetic`] field is asked for its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Seconds since 1970.
    pub time_s: f64,
    /// Static air pressure.
    pub pressure: Pressure,
    /// Degrees north.
    pub latitude_deg: f64,
    /// Degrees east; any turn of the circle.
    pub longitude_deg: f64,
}

/// The field: 0.75°, 25 pressure levels, nine times three hours apart;
/// variables `aermr04`–`06`, `so2`, `go3`, `t`, `q` \[kg kg⁻¹, K\] and `ash`
/// \[kg m⁻³\].
///
/// Nothing is held in memory: [`read`](FieldSource::read) evaluates, on all
/// threads.
pub struct Synthetic {
    start_s: f64,
    variables: Vec<Variable>,
}

impl Synthetic {
    /// The field whose first time is `start_s` \[s since 1970\].
    #[must_use]
    pub fn new(start_s: f64) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let variables = QUANTITIES.iter().map(|quantity| Variable {
            name: quantity.name.to_owned(),
            standard_name: some(quantity.standard_name),
            long_name: some(quantity.long_name),
            units: some(quantity.units),
            times_s: (0..TIMES).map(|i| start_s + TIME_STEP_S * i as f64).collect(),
            members: Vec::new(),
            levels: Levels::Pressure(LEVELS_HPA.map(|hpa| hpa * 100.0).to_vec()),
            latitudes_deg: (0..LATITUDES).map(|i| 90.0 - STEP_DEG * i as f64).collect(),
            longitudes_deg: (0..LONGITUDES).map(|i| STEP_DEG * i as f64).collect(),
            chunk: Chunk { times: 1, levels: 1 },
        });
        Self { start_s, variables: variables.collect() }
    }

    /// Exact value of a variable, in its own unit. `None` for a variable that
    /// the field does not have, and outside its times and levels.
    #[must_use]
    pub fn value(&self, variable: &str, point: &Point) -> Option<f64> {
        let quantity = QUANTITIES.iter().find(|q| q.name == variable)?;
        let hours = (point.time_s - self.start_s) / 3600.0;
        let hpa = point.pressure.hectopascal();
        let end = TIME_STEP_S / 3600.0 * (TIMES - 1) as f64;
        if !(0.0..=end).contains(&hours) || !(LEVELS_HPA[0]..=LEVELS_HPA[24]).contains(&hpa) {
            return None;
        }
        Some(quantity.terms.iter().map(|term| term.value(hours, hpa, point)).sum())
    }

    /// Exact concentration \[kg m⁻³\] of a contaminant by its name in the
    /// catalogue (`dust`, `dust_1`–`3`, `so2`, `ozone`, `ash`): mixing ratio ×
    /// density of moist air at the field's own temperature and humidity.
    /// `None` as in [`value`](Self::value).
    #[must_use]
    pub fn concentration(&self, contaminant: &str, point: &Point) -> Option<f64> {
        let parts: &[&str] = match contaminant {
            "ash" => return self.value("ash", point),
            "dust" => &["aermr04", "aermr05", "aermr06"],
            "dust_1" => &["aermr04"],
            "dust_2" => &["aermr05"],
            "dust_3" => &["aermr06"],
            "so2" => &["so2"],
            "ozone" => &["go3"],
            _ => return None,
        };
        let mixing_ratio: f64 = parts.iter().map(|part| self.value(part, point)).sum::<Option<_>>()?;
        let temperature = Temperature::from_kelvin(self.value("t", point)?);
        Some(mixing_ratio * density(point.pressure, temperature, self.value("q", point)?))
    }
}

impl FieldSource for Synthetic {
    fn format(&self) -> String {
        "synthetic".to_owned()
    }

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn remarks(&self) -> &[String] {
        &[]
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        let described = check(&self.variables, variable, window, out.len())?;
        let terms = QUANTITIES[variable].terms;
        let latitudes = &described.latitudes_deg[window.latitudes.clone()];
        let longitudes = &described.longitudes_deg[window.longitudes.clone()];
        // A term's shape is the same in every plane.
        let shapes: Vec<Vec<f64>> = terms.iter().map(|term| term.horizontal.plane(latitudes, longitudes)).collect();
        for_each_plane(window, out, |time, level, plane| {
            let hours = TIME_STEP_S / 3600.0 * time as f64;
            let weights: Vec<f64> = terms.iter().map(|term| term.weight(hours, LEVELS_HPA[level])).collect();
            for (i, value) in plane.iter_mut().enumerate() {
                let sum: f64 = weights.iter().zip(&shapes).map(|(weight, shape)| weight * shape[i]).sum();
                #[expect(clippy::cast_possible_truncation, reason = "fields are float32")]
                let narrow = sum as f32;
                *value = narrow;
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
