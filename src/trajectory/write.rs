//! Flights to files that read back, and that pycontrails reads.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};

use ::parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, TimestampMicrosecondArray, builder::StringDictionaryBuilder,
    types::Int32Type,
};

use super::{Fleet, Trajectory, error::FlightsError};
use crate::{atmosphere::isa_altitude, time::UnixTime, units::Pressure};

/// Waypoints a row group, reached but not split by its last flight.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Writes a fleet as Parquet, with the columns of pycontrails: `flight_id`,
/// `time` (µs, UTC), `longitude`, `latitude`, `altitude` \[m\] by the ISA,
/// `level` \[hPa\], and `on_ground`. Row groups end where flights do.
///
/// # Errors
/// [`FlightsError::Io`] where the file cannot be written.
pub fn write_parquet(path: &Path, fleet: &Fleet) -> Result<(), FlightsError> {
    let fail = |e: ::parquet::errors::ParquetError| FlightsError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(e),
    };
    let file = File::create(path).map_err(|source| FlightsError::Io { path: path.to_owned(), source })?;
    let level = ZstdLevel::try_new(1).map_err(fail)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        // Row groups are ended here, at flights.
        .set_max_row_group_row_count(None)
        .build();
    let schema = batch(&[])?.schema();
    let mut writer = ArrowWriter::try_new(BufWriter::new(file), schema, Some(properties)).map_err(fail)?;
    let mut group: Vec<Trajectory<'_>> = Vec::new();
    let mut rows = 0;
    for flight in fleet.iter() {
        rows += flight.len();
        group.push(flight);
        if rows >= ROW_GROUP_ROWS {
            writer.write(&batch(&group)?).map_err(fail)?;
            writer.flush().map_err(fail)?;
            group.clear();
            rows = 0;
        }
    }
    writer.write(&batch(&group)?).map_err(fail)?;
    let mut file = writer.into_inner().map_err(fail)?;
    file.flush().map_err(|source| FlightsError::Io { path: path.to_owned(), source })
}

/// Writes a fleet as CSV, with the columns of [`write_parquet`], times as RFC 3339.
///
/// # Errors
/// [`FlightsError::Io`] where the file cannot be written.
pub fn write_csv(path: &Path, fleet: &Fleet) -> Result<(), FlightsError> {
    let io = |source| FlightsError::Io { path: path.to_owned(), source };
    let fail = |e: ::csv::Error| io(std::io::Error::other(e));
    let file = BufWriter::new(File::create(path).map_err(io)?);
    let mut writer = ::csv::Writer::from_writer(file);
    writer
        .write_record(["flight_id", "time", "longitude", "latitude", "altitude", "level", "on_ground"])
        .map_err(fail)?;
    for flight in fleet.iter() {
        for i in 0..flight.len() {
            let pressure = Pressure::from_pascal(flight.pressure_pa[i]);
            let cells = [
                UnixTime(flight.time_s[i]).to_rfc3339(),
                flight.longitude_deg[i].to_string(),
                flight.latitude_deg[i].to_string(),
                isa_altitude(pressure).metres().to_string(),
                pressure.hectopascal().to_string(),
                flight.on_ground[i].to_string(),
            ];
            writer.write_field(flight.id).map_err(fail)?;
            writer.write_record(&cells).map_err(fail)?;
        }
    }
    writer.flush().map_err(io)
}

/// Some flights as one batch.
fn batch(flights: &[Trajectory<'_>]) -> Result<RecordBatch, FlightsError> {
    let mut ids = StringDictionaryBuilder::<Int32Type>::new();
    for flight in flights {
        ids.append_n(flight.id, flight.len()).map_err(|_| too_many(flights))?;
    }
    let column = |of: fn(&Trajectory<'_>) -> Vec<f64>| {
        Arc::new(Float64Array::from_iter_values(flights.iter().flat_map(of))) as ArrayRef
    };
    #[expect(clippy::cast_possible_truncation, reason = "microseconds since 1970 fit for 290,000 years")]
    let micros = |t: &f64| (t * 1e6).round() as i64;
    let times: TimestampMicrosecondArray = flights.iter().flat_map(|f| f.time_s.iter().map(micros)).map(Some).collect();
    let on_ground: BooleanArray = flights.iter().flat_map(|f| f.on_ground.iter().copied()).map(Some).collect();
    let altitude =
        |f: &Trajectory<'_>| f.pressure_pa.iter().map(|&p| isa_altitude(Pressure::from_pascal(p)).metres()).collect();
    let columns: [(&str, ArrayRef); 7] = [
        ("flight_id", Arc::new(ids.finish())),
        ("time", Arc::new(times.with_timezone("UTC"))),
        ("longitude", column(|f| f.longitude_deg.to_vec())),
        ("latitude", column(|f| f.latitude_deg.to_vec())),
        ("altitude", column(altitude)),
        ("level", column(|f| f.pressure_pa.iter().map(|p| p / 100.0).collect())),
        ("on_ground", Arc::new(on_ground)),
    ];
    RecordBatch::try_from_iter(columns).map_err(|_| too_many(flights))
}

fn too_many(flights: &[Trajectory<'_>]) -> FlightsError {
    FlightsError::TooMany { rows: flights.iter().map(|f| f.len() as u64).sum(), limit: i32::MAX as u64 }
}
