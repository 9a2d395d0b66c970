//! Great circles on a spherical Earth.

use super::wrap_longitude;

/// Mean radius of the Earth \[m\]: R₁ = (2a + b) / 3 of WGS 84
/// (Moritz 2000, Geodetic Reference System 1980, J. Geodesy 74).
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A vector in three dimensions; x through 0° E, y through 90° E, z north.
type Vector = [f64; 3];

/// The shorter arc of the great circle between two points.
///
/// Between antipodes, where every great circle is as short, the way goes over
/// the North Pole; from pole to pole, along the meridian of the first point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GreatCircle {
    from_deg: (f64, f64),
    to_deg: (f64, f64),
    /// Unit vector of the first point.
    from: Vector,
    /// Unit vector a quarter turn ahead of it; zero where the points coincide.
    ahead: Vector,
    angle_rad: f64,
}

impl GreatCircle {
    /// From one point to another; longitude and latitude in degrees.
    #[must_use]
    pub fn new(from_longitude: f64, from_latitude: f64, to_longitude: f64, to_latitude: f64) -> Self {
        let from = unit_vector(from_longitude, from_latitude);
        let to = unit_vector(to_longitude, to_latitude);
        let normal = cross(from, to);
        let sine = norm(normal);
        let cosine = dot(from, to);
        let ahead = if sine > ANTIPODAL_SINE || (cosine > 0.0 && sine > 0.0) {
            cross(normal, from)
        } else if cosine > 0.0 {
            [0.0; 3]
        } else {
            towards_pole(from, from_longitude)
        };
        // Of a quarter turn from `from`, but not yet of length one.
        let length = norm(ahead);
        let ahead = if length > 0.0 { ahead.map(|v| v / length) } else { ahead };
        Self {
            from_deg: (wrap_longitude(from_longitude), from_latitude),
            to_deg: (wrap_longitude(to_longitude), to_latitude),
            from,
            ahead,
            angle_rad: sine.atan2(cosine),
        }
    }

    /// The angle between the points as seen from the Earth's centre \[rad\].
    #[must_use]
    pub fn angle_rad(&self) -> f64 {
        self.angle_rad
    }

    /// Length of the arc \[m\].
    #[must_use]
    pub fn length_m(&self) -> f64 {
        self.angle_rad * EARTH_RADIUS_M
    }

    /// Longitude, −180 ≤ λ < 180, and latitude \[degrees\] of the point at
    /// `fraction` of the arc, which is held to 0 ..= 1.
    #[must_use]
    pub fn at(&self, fraction: f64) -> (f64, f64) {
        if fraction <= 0.0 {
            return self.from_deg;
        }
        if fraction >= 1.0 {
            return self.to_deg;
        }
        let (sine, cosine) = (fraction * self.angle_rad).sin_cos();
        let [x, y, z]: Vector = std::array::from_fn(|i| self.from[i] * cosine + self.ahead[i] * sine);
        (wrap_longitude(y.atan2(x).to_degrees()), z.atan2(x.hypot(y)).to_degrees())
    }
}

/// Below this sine of the angle between antipodes, rounding decides which way
/// is the shorter: 1e-14 of the Earth's radius is 60 nm.
const ANTIPODAL_SINE: f64 = 1e-14;

/// Great-circle distance \[m\] between two points in degrees, by the haversine
/// formula.
#[must_use]
pub fn distance_m(from_longitude: f64, from_latitude: f64, to_longitude: f64, to_latitude: f64) -> f64 {
    let (from, to) = (from_latitude.to_radians(), to_latitude.to_radians());
    let half_latitude = (0.5 * (to - from)).sin();
    let half_longitude = (0.5 * (to_longitude - from_longitude).to_radians()).sin();
    let haversine = half_latitude * half_latitude + from.cos() * to.cos() * half_longitude * half_longitude;
    2.0 * EARTH_RADIUS_M * haversine.min(1.0).sqrt().asin()
}

/// The point of a unit sphere at a longitude and latitude in degrees.
#[must_use]
pub fn unit_vector(longitude: f64, latitude: f64) -> [f64; 3] {
    let (sin_lon, cos_lon) = longitude.to_radians().sin_cos();
    let (sin_lat, cos_lat) = latitude.to_radians().sin_cos();
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

/// The horizontal direction to the North Pole along the meridian of
/// `longitude`; at the North Pole itself, down that meridian.
fn towards_pole(from: Vector, longitude: f64) -> Vector {
    let (sin_lon, cos_lon) = longitude.to_radians().sin_cos();
    let cos_lat = from[0].hypot(from[1]);
    let south = if cos_lat < ANTIPODAL_SINE { 1.0 } else { -from[2] };
    [south * cos_lon, south * sin_lon, cos_lat]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn norm(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} ± {tolerance}");
    }

    #[track_caller]
    fn at(circle: &GreatCircle, fraction: f64, longitude: f64, latitude: f64) {
        let (lon, lat) = circle.at(fraction);
        close(lon, longitude, 1e-9);
        close(lat, latitude, 1e-9);
    }

    #[test]
    fn distances_of_closed_forms() {
        let quarter = EARTH_RADIUS_M * std::f64::consts::FRAC_PI_2;
        close(distance_m(0.0, 0.0, 90.0, 0.0), quarter, 1e-6);
        close(distance_m(12.0, 0.0, 12.0, 90.0), quarter, 1e-6);
        close(distance_m(10.0, 40.0, -170.0, -40.0), 2.0 * quarter, 1.0);
        close(distance_m(179.5, 0.0, -179.5, 0.0), quarter / 90.0, 1e-6);
        close(distance_m(7.0, 51.0, 7.0, 51.0), 0.0, 0.0);
        // A metre north.
        close(distance_m(7.0, 51.0, 7.0, 51.0 + (1.0 / EARTH_RADIUS_M).to_degrees()), 1.0, 1e-8);
    }

    /// Python: pyproj 3.7.2, `Geod(a=6371008.8, b=6371008.8)`, `inv` and
    /// `fwd` to a quarter of the way.
    #[test]
    fn agrees_with_geographiclib_on_a_sphere() {
        for &(from, to, length_m, quarter) in PYPROJ {
            let circle = GreatCircle::new(from.0, from.1, to.0, to.1);
            close(circle.length_m(), length_m, 1e-6);
            close(distance_m(from.0, from.1, to.0, to.1), length_m, 1e-4);
            at(&circle, 0.25, quarter.0, quarter.1);
        }
    }

    #[test]
    fn follows_equator_meridian_and_crosses_seam_and_pole() {
        at(&GreatCircle::new(10.0, 0.0, 50.0, 0.0), 0.25, 20.0, 0.0);
        at(&GreatCircle::new(10.0, -20.0, 10.0, 40.0), 0.5, 10.0, 10.0);
        at(&GreatCircle::new(170.0, 0.0, -170.0, 0.0), 0.75, -175.0, 0.0);
        at(&GreatCircle::new(170.0, 0.0, 190.0, 0.0), 0.75, -175.0, 0.0);
        let over_pole = GreatCircle::new(30.0, 80.0, -150.0, 70.0);
        close(over_pole.angle_rad(), 30f64.to_radians(), 1e-12);
        at(&over_pole, 1.0 / 6.0, 30.0, 85.0);
        at(&over_pole, 0.5, -150.0, 85.0);
        at(&GreatCircle::new(77.0, 90.0, 20.0, 0.0), 0.5, 20.0, 45.0);
    }

    #[test]
    fn points_that_coincide_or_nearly_so() {
        let point = GreatCircle::new(7.25, 51.5, 7.25, 51.5);
        close(point.length_m(), 0.0, 0.0);
        at(&point, 0.5, 7.25, 51.5);
        for step in [1e-15, 1e-13, 1e-10, 1e-6] {
            let (lon, lat) = GreatCircle::new(7.25, 51.5, 7.25 + step, 51.5 + step).at(0.5);
            close(lon, 7.25 + 0.5 * step, 5e-14);
            close(lat, 51.5 + 0.5 * step, 5e-14);
        }
        at(&GreatCircle::new(20.0, 90.0, 50.0, 90.0), 0.5, GreatCircle::new(20.0, 90.0, 50.0, 90.0).at(0.5).0, 90.0);
    }

    #[test]
    fn antipodes_go_over_the_north_pole() {
        let circle = GreatCircle::new(10.0, 40.0, -170.0, -40.0);
        close(circle.angle_rad(), std::f64::consts::PI, 1e-12);
        at(&circle, 0.25, 10.0, 85.0);
        at(&circle, 0.75, -170.0, 5.0);
        at(&GreatCircle::new(15.0, 90.0, 70.0, -90.0), 0.5, 15.0, 0.0);
        at(&GreatCircle::new(15.0, -90.0, 70.0, 90.0), 0.5, 15.0, 0.0);
        at(&GreatCircle::new(0.0, 0.0, 180.0, 0.0), 0.25, 0.0, 45.0);
    }

    #[test]
    fn ends_are_given_back_to_the_bit() {
        let circle = GreatCircle::new(-0.461_389, 51.4775, 286.221_111, 40.639_751);
        assert_eq!(circle.at(0.0), (-0.461_389, 51.4775));
        assert_eq!(circle.at(-3.0), (-0.461_389, 51.4775));
        close(circle.at(1.0).0, -73.778_889, 1e-12);
        close(circle.at(2.0).1, 40.639_751, 0.0);
    }

    type Case = ((f64, f64), (f64, f64), f64, (f64, f64));
    const PYPROJ: &[Case] = &[
        (
            (-0.461_389, 51.4775),
            (-73.778_889, 40.639_751),
            5_539_454.575_631_174,
            (-20.710_149_333_429_3, 53.639_972_008_404_7),
        ),
        (
            (174.791_667, -37.008_056),
            (-70.785_833, -33.392_778),
            9_653_012.162_322_527,
            (-159.982_612_799_285_2, -48.651_056_238_435_4),
        ),
        (
            (139.781_111, 35.552_222),
            (-122.375, 37.618_889),
            8_285_814.093_430_225,
            (161.197_456_289_304, 44.576_335_361_966_3),
        ),
        (
            (151.177_222, -33.946_111),
            (-58.535_833, -34.822_222),
            11_766_553.187_377_09,
            (171.190_292_096_802_8, -56.597_728_562_962_4),
        ),
        ((2.5, 49.0), (2.5001, 49.0002), 23.404_944_534_233_4, (2.500_024_999_924_7, 49.000_050_000_008_1)),
        ((25.0, 10.0), (-155.3, -9.8), 19_975_434.850_111_287, (67.928_142_593_307_5, 30.823_706_548_801_4)),
    ];
}
