//! placeholder until merged
/// gc
pub struct GreatCircle {
    a: [f64; 3],
    b: [f64; 3],
    omega: f64,
}
fn unit(lon: f64, lat: f64) -> [f64; 3] {
    let (l, p) = (lon.to_radians(), lat.to_radians());
    [p.cos() * l.cos(), p.cos() * l.sin(), p.sin()]
}
impl GreatCircle {
    /// new
    pub fn new(lon0: f64, lat0: f64, lon1: f64, lat1: f64) -> Self {
        let a = unit(lon0, lat0);
        let b = unit(lon1, lat1);
        let d: f64 = (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
        Self { a, b, omega: 2.0 * (d / 2.0).min(1.0).asin() }
    }
    /// at
    pub fn at(&self, f: f64) -> (f64, f64) {
        let s = self.omega.sin();
        let (u, w) =
            if s < 1e-12 { (1.0 - f, f) } else { (((1.0 - f) * self.omega).sin() / s, (f * self.omega).sin() / s) };
        let v: Vec<f64> = (0..3).map(|i| u * self.a[i] + w * self.b[i]).collect();
        (v[1].atan2(v[0]).to_degrees(), v[2].atan2(v[0].hypot(v[1])).to_degrees())
    }
}
