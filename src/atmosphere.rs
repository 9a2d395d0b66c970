//! Constants of air and pure relations between its quantities.

use crate::units::{Altitude, MolarMass, Pressure, Temperature};

/// Specific gas constant of dry air \[J kg⁻¹ K⁻¹\], as in SCIENCE: ρ = p / (R T (1 + 0.609 q)).
pub const DRY_AIR_GAS_CONSTANT: f64 = 287.06;
/// Weight of humidity in the virtual temperature: `R_v` / `R_d` − 1.
pub const VIRTUAL_TEMPERATURE_FACTOR: f64 = 0.609;
/// Molar mass of dry air \[g mol⁻¹\] (ICAO standard atmosphere, Doc 7488).
pub const DRY_AIR_MOLAR_MASS: MolarMass = MolarMass::from_grams_per_mole(28.9644);

/// ICAO standard atmosphere (Doc 7488; the same as ISO 2533 below 32 km).
mod isa {
    /// Gravity over the gas constant \[K m⁻¹\]: g₀ M₀ / R* of Doc 7488
    /// (9.80665 m s⁻², 28.964420 g mol⁻¹, 8314.32 J kmol⁻¹ K⁻¹).
    pub const GMR: f64 = 9.806_65 * 28.964_420 / 8_314.32;
    pub const T0: f64 = 288.15;
    pub const P0: f64 = 101_325.0;
    pub const LAPSE: f64 = 0.006_5;
    pub const TROPOPAUSE_M: f64 = 11_000.0;
    pub const TROPOPAUSE_T: f64 = 216.65;
    pub const UPPER_M: f64 = 20_000.0;
    pub const UPPER_LAPSE: f64 = 0.001;
    /// Pressures at 11 km and 20 km \[Pa\], by the formulas below.
    pub const P11: f64 = 22632.040548385397;
    pub const P20: f64 = 5474.877637796048;
}

/// Pressure at a pressure altitude in the ICAO standard atmosphere
/// (Doc 7488), to 32 km.
#[must_use]
pub fn isa_pressure(altitude: Altitude) -> Pressure {
    let h = altitude.metres();
    Pressure::from_pascal(if h <= isa::TROPOPAUSE_M {
        isa::P0 * ((isa::T0 - isa::LAPSE * h) / isa::T0).powf(isa::GMR / isa::LAPSE)
    } else if h <= isa::UPPER_M {
        isa::P11 * (-isa::GMR * (h - isa::TROPOPAUSE_M) / isa::TROPOPAUSE_T).exp()
    } else {
        let t = isa::TROPOPAUSE_T + isa::UPPER_LAPSE * (h - isa::UPPER_M);
        isa::P20 * (t / isa::TROPOPAUSE_T).powf(-isa::GMR / isa::UPPER_LAPSE)
    })
}

/// Pressure altitude of a pressure: the inverse of [`isa_pressure`].
#[must_use]
pub fn isa_altitude(pressure: Pressure) -> Altitude {
    let p = pressure.pascal();
    Altitude::from_metres(if p >= isa::P11 {
        isa::T0 / isa::LAPSE * (1.0 - (p / isa::P0).powf(isa::LAPSE / isa::GMR))
    } else if p >= isa::P20 {
        isa::TROPOPAUSE_M - isa::TROPOPAUSE_T / isa::GMR * (p / isa::P11).ln()
    } else {
        let t = isa::TROPOPAUSE_T * (p / isa::P20).powf(-isa::UPPER_LAPSE / isa::GMR);
        isa::UPPER_M + (t - isa::TROPOPAUSE_T) / isa::UPPER_LAPSE
    })
}

/// Temperature of the ICAO standard atmosphere at a pressure.
#[must_use]
pub fn isa_temperature(pressure: Pressure) -> Temperature {
    let h = isa_altitude(pressure).metres();
    Temperature::from_kelvin(if h <= isa::TROPOPAUSE_M {
        isa::T0 - isa::LAPSE * h
    } else {
        isa::TROPOPAUSE_T + isa::UPPER_LAPSE * (h - isa::UPPER_M).max(0.0)
    })
}

/// Density of moist air \[kg m⁻³\]: ρ = p / (`R_d` T (1 + 0.609 q)), with `q` the
/// specific humidity \[kg kg⁻¹\].
#[must_use]
#[inline(always)]
pub fn density(pressure: Pressure, temperature: Temperature, specific_humidity: f64) -> f64 {
    pressure.pascal()
        / (DRY_AIR_GAS_CONSTANT * temperature.kelvin() * (1.0 + VIRTUAL_TEMPERATURE_FACTOR * specific_humidity))
}

/// Volume mixing ratio \[mol mol⁻¹\] of a mass mixing ratio \[kg kg⁻¹\].
#[must_use]
pub fn volume_mixing_ratio(mass_mixing_ratio: f64, molar_mass: MolarMass) -> f64 {
    mass_mixing_ratio * (DRY_AIR_MOLAR_MASS.grams_per_mole() / molar_mass.grams_per_mole())
}

/// Pressure of a full hybrid level: the mean of its two half levels,
/// p½ = a + b `p_s`, with `a` in Pa (ECMWF, IFS documentation part III, 2.2).
#[must_use]
pub fn hybrid_pressure(above: (f64, f64), below: (f64, f64), surface: Pressure) -> Pressure {
    let half = |(a, b): (f64, f64)| a + b * surface.pascal();
    Pressure::from_pascal(0.5 * (half(above) + half(below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
    }

    /// Doc 7488, table of pressure [hPa] and temperature [K] by geopotential altitude.
    const TABLE: &[(f64, f64, f64)] = &[
        (0.0, 1013.25, 288.15),
        (1_000.0, 898.746, 281.65),
        (5_000.0, 540.199, 255.65),
        (10_000.0, 264.363, 223.15),
        (11_000.0, 226.321, 216.65),
        (15_000.0, 120.446, 216.65),
        (20_000.0, 54.7489, 216.65),
        (25_000.0, 25.1102, 221.65),
    ];

    #[test]
    fn standard_atmosphere_agrees_with_its_table() {
        for &(h, hpa, kelvin) in TABLE {
            let p = isa_pressure(Altitude::from_metres(h));
            close(p.hectopascal(), hpa, hpa * 5e-6);
            close(isa_temperature(p).kelvin(), kelvin, 1e-6);
            close(isa_altitude(p).metres(), h, 1e-6);
        }
    }

    #[test]
    fn layers_meet() {
        let below = isa::P0 * (isa::TROPOPAUSE_T / isa::T0).powf(isa::GMR / isa::LAPSE);
        close(isa::P11, below, 1e-9 * below);
        let below = isa::P11 * (-isa::GMR * (isa::UPPER_M - isa::TROPOPAUSE_M) / isa::TROPOPAUSE_T).exp();
        close(isa::P20, below, 1e-9 * below);
    }

    #[test]
    fn density_and_mixing_ratio_of_a_cams_column() {
        // EAC4 2020-07-01 00Z, 22.75 N 27.75 E, level 30: C = χ ρ and ppbv.
        let chi = 1.473_84e-7;
        close(0.313_67 * chi * 1e9, 46.229, 2e-3);
        close(volume_mixing_ratio(chi, MolarMass::from_grams_per_mole(47.997)) * 1e9, 88.94, 5e-3);
        let rho = density(Pressure::from_hectopascal(200.783), Temperature::from_kelvin(222.983), 0.0);
        close(rho, 0.313_67, 2e-5);
    }
}
