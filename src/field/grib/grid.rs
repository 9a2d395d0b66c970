//! Section 3: where the points of a field lie, and in which order they come.

use std::{collections::HashMap, ops::Range};

use super::{Fault, gaussian, octets::Octets};

/// More points than this along a side, or in all, is not a field but a
/// broken header: 0.01° over the globe is 36,000 × 18,000, and the finest
/// global model has 4 · 10⁷ points a level.
const MAX_SIDE: usize = 100_000;
const MAX_POINTS: usize = 1 << 28;

/// A grid of whole rows and columns, its axes in the file's own directions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    /// Degrees north, in the direction in which the rows come.
    pub latitudes_deg: Vec<f64>,
    /// Degrees east, in the direction in which the columns come; increasing
    /// (or decreasing) throughout, so past 360 where the grid crosses Greenwich.
    pub longitudes_deg: Vec<f64>,
    /// What the header contradicts itself in.
    pub remarks: Vec<String>,
    order: Order,
}

/// How points follow each other in the data section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    /// Neighbours along a meridian, not along a parallel, follow each other.
    by_columns: bool,
    /// Every second line runs backwards.
    alternating: bool,
}

/// Flag table 3.4, scanning mode.
struct Scanning(u8);

impl Scanning {
    fn westward(&self) -> bool {
        self.0 & 0x80 != 0
    }

    fn northward(&self) -> bool {
        self.0 & 0x40 != 0
    }

    fn order(&self) -> Order {
        Order { by_columns: self.0 & 0x20 != 0, alternating: self.0 & 0x10 != 0 }
    }

    fn staggered(&self) -> bool {
        self.0 & 0x0f != 0
    }
}

/// Grids by the bytes that define them, as one file repeats few of them.
#[derive(Debug, Default)]
pub(super) struct GaussianLatitudes(HashMap<usize, Vec<f64>>);

impl Grid {
    /// Reads section 3.
    pub fn parse(section: Octets<'_>, gaussians: &mut GaussianLatitudes) -> Result<Self, Fault> {
        if section.u8(6)? != 0 {
            return Err(unsupported("grid that is predefined by its centre"));
        }
        let template = section.u16(13)?;
        if template != 0 && template != 40 {
            return Err(unsupported(name(template)));
        }
        let (columns, rows) = (section.u32(31)?, section.u32(35)?);
        if section.u8(11)? != 0 || columns == u32::MAX || rows == u32::MAX {
            return Err(unsupported(if template == 0 { "reduced latitude-longitude" } else { "reduced Gaussian" }));
        }
        let (columns, rows) = (columns as usize, rows as usize);
        let points = section.u32(7)? as usize;
        if columns == 0 || rows == 0 || columns.checked_mul(rows) != Some(points) {
            return Err(Fault::Corrupt(format!("grid of {columns} x {rows} points says that it has {points}")));
        }
        if columns.max(rows) > MAX_SIDE || points > MAX_POINTS {
            return Err(Fault::Corrupt(format!(
                "grid of {columns} x {rows} points, expected {MAX_SIDE} a side at most"
            )));
        }
        let scanning = Scanning(section.u8(72)?);
        if scanning.staggered() {
            return Err(unsupported("staggered latitude-longitude"));
        }
        let corners = Corners::parse(section, &scanning, template == 0)?;
        let mut remarks = Vec::new();
        let latitudes_deg = if template == 0 {
            corners.latitudes(rows, &mut remarks)?
        } else {
            corners.gaussian_latitudes(rows, section.u32(68)?, gaussians)?
        };
        let longitudes_deg = corners.longitudes(columns, &mut remarks)?;
        Ok(Self { latitudes_deg, longitudes_deg, remarks, order: scanning.order() })
    }

    /// Points in all.
    pub fn points(&self) -> usize {
        self.latitudes_deg.len() * self.longitudes_deg.len()
    }

    /// Copies the box out of `values`, which are in the file's order, into
    /// `out` as `[latitude][longitude]`.
    pub fn crop(&self, values: &[f32], latitudes: &Range<usize>, longitudes: &Range<usize>, out: &mut [f32]) {
        let (rows, columns) = (self.latitudes_deg.len(), self.longitudes_deg.len());
        let plain = self.order == Order { by_columns: false, alternating: false };
        for (row, out) in latitudes.clone().zip(out.chunks_exact_mut(longitudes.len().max(1))) {
            if plain {
                out.copy_from_slice(&values[row * columns + longitudes.start..row * columns + longitudes.end]);
                continue;
            }
            for (column, out) in longitudes.clone().zip(out) {
                let (line, place, width) =
                    if self.order.by_columns { (column, row, rows) } else { (row, column, columns) };
                let backwards = self.order.alternating && line % 2 == 1;
                *out = values[line * width + if backwards { width - 1 - place } else { place }];
            }
        }
    }
}

/// The first and the last point \[degrees\] and the way between them.
struct Corners {
    first: (f64, f64),
    last: (f64, f64),
    /// Increments of latitude and longitude, where the file gives them.
    steps: (Option<f64>, Option<f64>),
    westward: bool,
    northward: bool,
}

impl Corners {
    fn parse(section: Octets<'_>, scanning: &Scanning, has_rows_step: bool) -> Result<Self, Fault> {
        let unit = match (section.u32(39)?, section.u32(43)?) {
            (0 | u32::MAX, _) => None,
            (_, 0 | u32::MAX) => return Err(Fault::Corrupt("basic angle without subdivisions".into())),
            (basic, parts) => Some(f64::from(basic) / f64::from(parts)),
        };
        // Micro-degrees are divided, not multiplied: 51,400,000 is 51.4 then.
        let angle = |units: f64| unit.map_or(units / 1e6, |unit| units * unit);
        let degrees = |octet| section.i32(octet).map(|units| angle(f64::from(units)));
        let flags = section.u8(55)?;
        let step = |octet, flag| {
            let step = section.u32(octet)?;
            Ok::<_, Fault>((flags & flag != 0 && step != u32::MAX && step != 0).then(|| angle(f64::from(step))))
        };
        Ok(Self {
            first: (degrees(47)?, degrees(51)?),
            last: (degrees(56)?, degrees(60)?),
            steps: (if has_rows_step { step(68, 0x10)? } else { None }, step(64, 0x20)?),
            westward: scanning.westward(),
            northward: scanning.northward(),
        })
    }

    /// Evenly spaced from the first to the last latitude.
    fn latitudes(&self, rows: usize, remarks: &mut Vec<String>) -> Result<Vec<f64>, Fault> {
        self.check_latitudes(rows)?;
        let latitudes = spaced("latitudes", self.first.0, self.last.0, rows, self.steps.0, remarks)?;
        match latitudes.last() {
            Some(last) if last.abs() > 90.0 + 1e-6 => Err(Fault::Corrupt(format!("latitudes up to {last}"))),
            _ => Ok(latitudes),
        }
    }

    fn check_latitudes(&self, rows: usize) -> Result<(), Fault> {
        let (first, last) = (self.first.0, self.last.0);
        if first.abs().max(last.abs()) > 90.0 + 1e-6 {
            return Err(Fault::Corrupt(format!("latitudes {first} to {last}, expected -90 to 90")));
        }
        let right_way = if self.northward { first < last } else { first > last };
        if rows > 1 && !right_way {
            let way = if self.northward { "north" } else { "south" };
            return Err(Fault::Corrupt(format!("latitudes {first} to {last} with a scanning mode that goes {way}")));
        }
        Ok(())
    }

    /// The `rows` of the grid of `parallels` that the first and last name.
    fn gaussian_latitudes(
        &self,
        rows: usize,
        parallels: u32,
        known: &mut GaussianLatitudes,
    ) -> Result<Vec<f64>, Fault> {
        self.check_latitudes(rows)?;
        let parallels = parallels as usize;
        if parallels == 0 || parallels > gaussian::MAX_PARALLELS || rows > 2 * parallels {
            return Err(Fault::Corrupt(format!(
                "Gaussian grid with {rows} rows and {parallels} parallels to the pole"
            )));
        }
        let all = known.0.entry(parallels).or_insert_with(|| gaussian::latitudes_deg(parallels));
        let north = self.first.0.max(self.last.0);
        let nearest = all.partition_point(|latitude| *latitude > north);
        let start = (nearest.saturating_sub(1)..=nearest)
            .min_by(|&a, &b| distance(all, a, north).total_cmp(&distance(all, b, north)))
            .unwrap_or(0);
        let mut found = all.get(start..start + rows).unwrap_or(&[]).to_vec();
        if self.northward {
            found.reverse();
        }
        // GRIB 1 kept millidegrees, and files converted from it still do.
        let tolerance = 0.2 * 90.0 / parallels as f64;
        match (found.first(), found.last()) {
            (Some(first), Some(last))
                if (first - self.first.0).abs() < tolerance && (last - self.last.0).abs() < tolerance =>
            {
                Ok(found)
            }
            _ => Err(Fault::Corrupt(format!(
                "{rows} rows from latitude {} to {} are not rows of the Gaussian grid N{parallels}",
                self.first.0, self.last.0
            ))),
        }
    }

    /// Evenly spaced from the first longitude to the last, around the globe
    /// where need be.
    fn longitudes(&self, columns: usize, remarks: &mut Vec<String>) -> Result<Vec<f64>, Fault> {
        let (first, last) = (self.first.1, self.last.1);
        if first.abs().max(last.abs()) > 720.0 {
            return Err(Fault::Corrupt(format!("longitudes {first} to {last}, expected -360 to 360")));
        }
        let ahead = if self.westward { first - last } else { last - first };
        // A grid that ends where it begins goes once around.
        let turn = if ahead > 0.0 && ahead <= 360.0 { ahead } else { ahead.rem_euclid(360.0) };
        let turn = if turn == 0.0 { 360.0 } else { turn };
        let last = if self.westward { first - turn } else { first + turn };
        spaced("longitudes", first, last, columns, self.steps.1, remarks)
    }
}

/// `n` values from `first` to `last`, both exact. Increments are not added up:
/// thirds of a degree are rounded in the file (to millidegrees, where it was
/// GRIB 1 before), and the error would grow.
///
/// Tools that cut a region out of a grid may write a last point that lies
/// whole steps off; the increment is right then.
fn spaced(
    what: &str,
    first: f64,
    last: f64,
    n: usize,
    given: Option<f64>,
    remarks: &mut Vec<String>,
) -> Result<Vec<f64>, Fault> {
    if n == 1 {
        return Ok(vec![first]);
    }
    let parts = (n - 1) as f64;
    let even = || (0..n).map(|i| if i + 1 == n { last } else { first + i as f64 * (last - first) / parts }).collect();
    let step = (last - first).abs() / parts;
    let Some(given) = given else { return Ok(even()) };
    let steps_off = (step - given).abs() * parts / given;
    if steps_off < 0.5 {
        return Ok(even());
    }
    if (steps_off - steps_off.round()).abs() < 0.02 && steps_off < 0.1 * parts.max(20.0) {
        remarks.push(format!(
            "{n} {what} from {first} to {last} are not {given} degrees apart, as the file says; they are taken to begin \
             at {first}, {given} degrees apart"
        ));
        let given = given.copysign(last - first);
        return Ok((0..n).map(|i| first + i as f64 * given).collect());
    }
    if (given - step).abs() <= 5e-4 {
        return Ok(even());
    }
    Err(Fault::Corrupt(format!(
        "{n} {what} from {first} to {last} are {step} degrees apart, but the increment is {given}"
    )))
}

fn distance(latitudes: &[f64], row: usize, latitude: f64) -> f64 {
    latitudes.get(row).map_or(f64::INFINITY, |l| (l - latitude).abs())
}

/// Code table 3.1, for messages.
fn name(template: u16) -> String {
    let name = match template {
        1 => "rotated latitude-longitude",
        2 => "stretched latitude-longitude",
        3 => "stretched and rotated latitude-longitude",
        4 => "variable-resolution latitude-longitude",
        5 => "variable-resolution rotated latitude-longitude",
        10 => "Mercator",
        12 => "transverse Mercator",
        20 => "polar stereographic",
        30 => "Lambert conformal",
        31 => "Albers equal area",
        41 => "rotated Gaussian",
        42 => "stretched Gaussian",
        43 => "stretched and rotated Gaussian",
        50..=53 => "spherical harmonics (spectral)",
        90 => "space view",
        100 => "triangular (icosahedral)",
        101 => "unstructured",
        140 => "Lambert azimuthal equal area",
        150 => "HEALPix",
        204 => "curvilinear",
        other => return format!("grid template 3.{other}"),
    };
    format!("{name} grid (template 3.{template})")
}

fn unsupported(what: impl Into<String>) -> Fault {
    let what = what.into();
    let what = if what.contains("grid") { what } else { format!("{what} grid") };
    let remedy = if what.contains("spectral") {
        "transform it to a regular grid (`cdo sp2gpl in out`), or request a latitude-longitude grid"
    } else if what.starts_with("reduced") {
        "make it regular (`cdo -setgridtype,regular in out`), or request a latitude-longitude grid"
    } else {
        "interpolate it to latitudes and longitudes (`cdo remapbil,global_0.5 in out`), or request such a grid"
    };
    Fault::Unsupported { what, remedy: remedy.into() }
}
