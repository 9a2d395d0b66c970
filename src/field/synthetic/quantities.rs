//! What the synthetic field holds, in closed form.

use super::Point;

/// A broken line: knots `(x, y)` with `x` rising; level outside them.
pub(super) type BrokenLine = &'static [(f64, f64)];

/// Amplitude × time × vertical × horizontal.
pub(super) struct Term {
    pub(super) amplitude: f64,
    /// Over hours since the first time.
    pub(super) time: BrokenLine,
    /// Over hPa.
    pub(super) vertical: BrokenLine,
    pub(super) horizontal: Horizontal,
}

pub(super) enum Horizontal {
    Uniform,
    /// The square of the cosine of latitude.
    Zonal,
    /// A bell around a point, by degrees of longitude and latitude.
    Bell {
        longitude: f64,
        latitude: f64,
        sigma_longitude: f64,
        sigma_latitude: f64,
    },
    /// A broken line over degrees east of the meridian `from`, times one over
    /// degrees north.
    Tent {
        from: f64,
        east: BrokenLine,
        north: BrokenLine,
    },
}

pub(super) struct Quantity {
    pub(super) name: &'static str,
    pub(super) standard_name: &'static str,
    pub(super) long_name: &'static str,
    pub(super) units: &'static str,
    pub(super) terms: &'static [Term],
}

const ALWAYS: BrokenLine = &[(0.0, 1.0)];

/// Dust: lofted over the Sahara, thickest at 600 hPa at noon.
const DUST_TIME: BrokenLine = &[(0.0, 0.5), (6.0, 0.6), (12.0, 1.0), (18.0, 0.8), (24.0, 0.5)];
const DUST_VERTICAL: BrokenLine = &[(150.0, 0.0), (300.0, 0.15), (600.0, 1.0), (850.0, 0.7), (1000.0, 0.5)];
const DUST_PLUME: Horizontal =
    Horizontal::Bell { longitude: 5.0, latitude: 20.0, sigma_longitude: 24.0, sigma_latitude: 16.0 };
/// Mass mixing ratio of the dust plume, all bins \[kg kg⁻¹\].
const DUST_PEAK: f64 = 6e-7;

const fn dust(part: f64) -> [Term; 2] {
    let plume = Term { amplitude: part * DUST_PEAK, time: DUST_TIME, vertical: DUST_VERTICAL, horizontal: DUST_PLUME };
    let haze = Term {
        amplitude: part * DUST_PEAK * 0.02,
        time: DUST_TIME,
        vertical: DUST_VERTICAL,
        horizontal: Horizontal::Uniform,
    };
    [plume, haze]
}

const DUST_FINE: [Term; 2] = dust(0.05);
const DUST_MIDDLE: [Term; 2] = dust(0.15);
const DUST_COARSE: [Term; 2] = dust(0.80);

/// Ash: from Iceland over the North Sea, across the meridian of Greenwich, at
/// the levels of cruise.
const ASH_TIME: BrokenLine = &[(0.0, 0.0), (6.0, 1.0), (18.0, 1.0), (24.0, 0.5)];
const ASH_VERTICAL: BrokenLine = &[(150.0, 0.0), (200.0, 0.6), (250.0, 1.0), (300.0, 1.0), (500.0, 0.0)];
const ASH_PLUME: Horizontal = Horizontal::Tent {
    from: -30.0,
    east: &[(0.0, 0.0), (12.0, 1.0), (24.0, 1.0), (45.0, 0.0)],
    north: &[(45.0, 0.0), (54.0, 1.0), (60.0, 1.0), (69.0, 0.0)],
};
/// Concentration of ash at its thickest \[kg m⁻³\]: 4 mg m⁻³.
const ASH_PEAK: f64 = 4e-6;

const T_POLES: BrokenLine = &[
    (1.0, 262.0),
    (10.0, 222.0),
    (100.0, 215.0),
    (250.0, 217.0),
    (400.0, 232.0),
    (600.0, 249.0),
    (850.0, 262.0),
    (1000.0, 266.0),
];
const T_TROPICS: BrokenLine = &[
    (1.0, 4.0),
    (10.0, 10.0),
    (50.0, -6.0),
    (100.0, -20.0),
    (250.0, 12.0),
    (400.0, 25.0),
    (600.0, 27.0),
    (1000.0, 33.0),
];
const Q_TROPICS: BrokenLine = &[
    (1.0, 4e-6),
    (100.0, 3e-6),
    (200.0, 3e-5),
    (300.0, 2.5e-4),
    (500.0, 1.8e-3),
    (700.0, 5.5e-3),
    (850.0, 1.1e-2),
    (1000.0, 1.6e-2),
];
const OZONE: BrokenLine = &[
    (1.0, 4.5e-6),
    (5.0, 1.2e-5),
    (10.0, 1.5e-5),
    (30.0, 9e-6),
    (50.0, 5e-6),
    (100.0, 1.2e-6),
    (200.0, 3e-7),
    (300.0, 1.2e-7),
    (500.0, 8e-8),
    (1000.0, 5e-8),
];
const SO2_HAZE: BrokenLine = &[(300.0, 0.02), (700.0, 0.2), (1000.0, 1.0)];

const fn steady(amplitude: f64, vertical: BrokenLine, horizontal: Horizontal) -> Term {
    Term { amplitude, time: ALWAYS, vertical, horizontal }
}

/// What the field holds.
pub(super) const QUANTITIES: &[Quantity] = &[
    Quantity {
        name: "aermr04",
        standard_name: "",
        long_name: "Dust Aerosol (0.03 - 0.55 um) Mixing Ratio",
        units: "kg kg**-1",
        terms: &DUST_FINE,
    },
    Quantity {
        name: "aermr05",
        standard_name: "",
        long_name: "Dust Aerosol (0.55 - 0.9 um) Mixing Ratio",
        units: "kg kg**-1",
        terms: &DUST_MIDDLE,
    },
    Quantity {
        name: "aermr06",
        standard_name: "",
        long_name: "Dust Aerosol (0.9 - 20 um) Mixing Ratio",
        units: "kg kg**-1",
        terms: &DUST_COARSE,
    },
    Quantity {
        name: "so2",
        standard_name: "mass_fraction_of_sulfur_dioxide_in_air",
        long_name: "Sulphur dioxide mass mixing ratio",
        units: "kg kg**-1",
        terms: &[
            steady(2e-9, SO2_HAZE, Horizontal::Zonal),
            Term { amplitude: 2e-6, time: ASH_TIME, vertical: ASH_VERTICAL, horizontal: ASH_PLUME },
        ],
    },
    Quantity {
        name: "go3",
        standard_name: "mass_fraction_of_ozone_in_air",
        long_name: "Ozone mass mixing ratio",
        units: "kg kg**-1",
        terms: &[steady(1.0, OZONE, Horizontal::Uniform), steady(-0.4, OZONE, Horizontal::Zonal)],
    },
    Quantity {
        name: "t",
        standard_name: "air_temperature",
        long_name: "Temperature",
        units: "K",
        terms: &[steady(1.0, T_POLES, Horizontal::Uniform), steady(1.0, T_TROPICS, Horizontal::Zonal)],
    },
    Quantity {
        name: "q",
        standard_name: "specific_humidity",
        long_name: "Specific humidity",
        units: "kg kg**-1",
        terms: &[steady(0.1, Q_TROPICS, Horizontal::Uniform), steady(0.9, Q_TROPICS, Horizontal::Zonal)],
    },
    Quantity {
        name: "ash",
        standard_name: "mass_concentration_of_volcanic_ash_in_air",
        long_name: "Volcanic ash concentration",
        units: "kg m**-3",
        terms: &[Term { amplitude: ASH_PEAK, time: ASH_TIME, vertical: ASH_VERTICAL, horizontal: ASH_PLUME }],
    },
];

impl Term {
    pub(super) fn value(&self, hours: f64, hpa: f64, point: &Point) -> f64 {
        self.weight(hours, hpa) * self.horizontal.value(point.latitude_deg, point.longitude_deg)
    }

    /// All but the horizontal.
    pub(super) fn weight(&self, hours: f64, hpa: f64) -> f64 {
        self.amplitude * on(self.time, hours) * on(self.vertical, hpa)
    }
}

impl Horizontal {
    pub(super) fn value(&self, latitude_deg: f64, longitude_deg: f64) -> f64 {
        match *self {
            Self::Uniform => 1.0,
            Self::Zonal => latitude_deg.to_radians().cos().powi(2),
            Self::Bell { longitude, latitude, sigma_longitude, sigma_latitude } => {
                let east = (longitude_deg - longitude + 180.0).rem_euclid(360.0) - 180.0;
                let x = east / sigma_longitude;
                let y = (latitude_deg - latitude) / sigma_latitude;
                (-0.5 * (x * x + y * y)).exp()
            }
            Self::Tent { from, east, north } => {
                on(east, (longitude_deg - from).rem_euclid(360.0)) * on(north, latitude_deg)
            }
        }
    }

    pub(super) fn plane(&self, latitudes: &[f64], longitudes: &[f64]) -> Vec<f64> {
        latitudes.iter().flat_map(|&lat| longitudes.iter().map(move |&lon| self.value(lat, lon))).collect()
    }
}

/// The broken line at `x`.
fn on(line: BrokenLine, x: f64) -> f64 {
    let after = line.partition_point(|knot| knot.0 <= x);
    match (after.checked_sub(1).map(|i| line[i]), line.get(after)) {
        (Some((x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * ((x - x0) / (x1 - x0)),
        (Some((_, y)), None) | (None, Some(&(_, y))) => y,
        (None, None) => 0.0,
    }
}
