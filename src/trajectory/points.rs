//! Tables of points that keep all their columns and their order.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use super::{
    dialect::Mapping,
    error::FlightsError,
    format::{Columns, Format},
    read::ReadOptions,
    rows::{Chunk, is_position},
    source::Source,
    wrap_longitude,
};
use crate::{atmosphere::isa_pressure, units::Altitude};

/// A table as the file has it, and where and when its rows are. Nothing is
/// repaired, sorted or left out.
#[derive(Debug, Clone)]
pub struct PointTable {
    /// All columns of the file, rows in its order.
    pub batch: RecordBatch,
    /// Seconds since 1970-01-01T00:00:00 UTC; NaN where the row has none.
    pub time_s: Vec<f64>,
    /// Degrees east, −180 ≤ λ < 180; NaN where the row has none.
    pub longitude_deg: Vec<f64>,
    /// Degrees north, −90 ≤ φ ≤ 90; NaN where the row has none.
    pub latitude_deg: Vec<f64>,
    /// Air pressure \[Pa\], from altitude by the ISA where the file has
    /// altitudes; NaN where the row has none.
    pub pressure_pa: Vec<f64>,
}

/// Reads the points of a file.
///
/// # Errors
/// [`FlightsError`] names the file, and the column or row.
pub fn read_points(path: &Path, options: &ReadOptions) -> Result<PointTable, FlightsError> {
    let source = Source::open(path)?;
    let table = (Format::of(&source)?.open)(&source, Columns::All)?;
    let mapping = Mapping::of(path, &table.names, options.altitude_unit)?;
    let batches = table.batches.collect::<Result<Vec<_>, _>>()?;
    let batch = match batches.first() {
        None => RecordBatch::new_empty(Schema::empty().into()),
        Some(first) => arrow_select::concat::concat_batches(&first.schema(), &batches)
            .map_err(|e| FlightsError::corrupt(path, format_args!("does not fit in one table: {e}")))?,
    };
    drop(batches);
    if batch.num_columns() == 0 {
        let none = Vec::new;
        return Ok(PointTable {
            batch,
            time_s: none(),
            longitude_deg: none(),
            latitude_deg: none(),
            pressure_pa: none(),
        });
    }
    let mut chunk = Chunk::read(path, &mapping, &batch, 0)?;
    for (lon, lat) in chunk.longitude_deg.iter_mut().zip(&mut chunk.latitude_deg) {
        if is_position(*lon, *lat) {
            *lon = wrap_longitude(*lon);
        } else {
            (*lon, *lat) = (f64::NAN, f64::NAN);
        }
    }
    let pressure_pa = chunk.pressure_pa.iter().zip(&chunk.altitude_m).map(|(&p, &h)| pressure_of(p, h)).collect();
    Ok(PointTable {
        batch,
        time_s: chunk.time_s,
        longitude_deg: chunk.longitude_deg,
        latitude_deg: chunk.latitude_deg,
        pressure_pa,
    })
}

/// The given pressure, else that of the altitude; NaN where that is none.
fn pressure_of(pressure_pa: f64, altitude_m: f64) -> f64 {
    let p = if pressure_pa.is_nan() { isa_pressure(Altitude::from_metres(altitude_m)).pascal() } else { pressure_pa };
    if p > 0.0 && p.is_finite() { p } else { f64::NAN }
}
