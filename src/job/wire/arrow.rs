//! Flights as a stream of Arrow IPC.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::{Head, Limits, Rejection, head, json};
use crate::trajectory::{Fleet, Loaded, column_kind, column_names};

/// Metadata of the schema that hold the head of a job.
const HEAD: &str = "skydose.job";
/// Most columns: flights files have some dozens.
const MOST_COLUMNS: usize = 64;

/// Reads a job whose flights are inline.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<(Head, Option<Loaded>), Rejection> {
    let table = read(bytes, limits)?;
    let text = table.schema.metadata().get(HEAD).ok_or_else(|| {
        Rejection::new(format!("schema metadata {HEAD}"), "absent", "what is asked, as a JSON object")
    })?;
    let head = head::alone(text, HEAD)?;
    let loaded = checked(json::read(&table.batches, &head)?, limits)?;
    Ok((head, Some(loaded)))
}

/// Reads flights alone.
pub(super) fn flights(bytes: &[u8], head: &Head, limits: &Limits) -> Result<Loaded, Rejection> {
    checked(json::read(&read(bytes, limits)?.batches, head)?, limits)
}

/// Writes flights as they stand, with the head where they travel inline.
pub(super) fn encode(fleet: &Fleet, head: Option<&str>) -> Result<Vec<u8>, ArrowError> {
    let batch = batch(fleet)?;
    let metadata: HashMap<String, String> = head.map(|text| (HEAD.to_owned(), text.to_owned())).into_iter().collect();
    let schema = Schema::new(batch.schema_ref().fields().clone()).with_metadata(metadata);
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    writer.into_inner()
}

struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

/// Sizes that the stream declares are those of its own bytes, or it is broken:
/// the reader takes no more memory than it is given bytes. Rows of columns
/// without bytes are counted here.
fn read(bytes: &[u8], limits: &Limits) -> Result<Table, Rejection> {
    let broken = |what: String| {
        Rejection::new("body", format!("no stream of Arrow IPC: {what}"), "flights as a stream of Arrow IPC")
    };
    let read = || {
        let reader = StreamReader::try_new(bytes, None).map_err(|e| broken(e.to_string()))?;
        let schema = reader.schema();
        check_columns(&schema)?;
        let mut rows = 0_usize;
        let mut batches = Vec::new();
        for batch in reader {
            let batch = batch.map_err(|e| broken(e.to_string()))?;
            rows = rows.saturating_add(batch.num_rows());
            if rows > limits.waypoints {
                return Err(Rejection::new(
                    "waypoints",
                    format!("{rows} or more"),
                    format!("at most {}", limits.waypoints),
                ));
            }
            batches.push(batch);
        }
        Ok(Table { schema, batches })
    };
    // The reader has been seen to panic on what is not Arrow.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(broken("its parts contradict each other".to_owned())))
}

fn check_columns(schema: &Schema) -> Result<(), Rejection> {
    let fields = schema.fields();
    if fields.len() > MOST_COLUMNS {
        return Err(Rejection::new("columns", fields.len(), format!("at most {MOST_COLUMNS}")));
    }
    for (i, field) in fields.iter().enumerate() {
        let value = format!("{:?}", field.name());
        if column_kind(field.name()).is_none() {
            return Err(Rejection::new("column", value, format!("one of {}", column_names())));
        }
        if fields[..i].iter().any(|f| f.name() == field.name()) {
            return Err(Rejection::new("column", format!("{value} twice"), "each column once"));
        }
    }
    Ok(())
}

fn checked(loaded: Loaded, limits: &Limits) -> Result<Loaded, Rejection> {
    let flights = loaded.fleet.len() + loaded.rejects.len();
    if flights > limits.flights {
        return Err(Rejection::new("flights", flights, format!("at most {}", limits.flights)));
    }
    Ok(loaded)
}

/// The columns of a fleet, to the last bit.
fn batch(fleet: &Fleet) -> Result<RecordBatch, ArrowError> {
    let too_many = |_| ArrowError::InvalidArgumentError("more flights than 2³¹".to_owned());
    let mut codes = Vec::with_capacity(fleet.waypoints());
    for (index, flight) in fleet.iter().enumerate() {
        codes.resize(codes.len() + flight.len(), i32::try_from(index).map_err(too_many)?);
    }
    let names = StringArray::from_iter_values(fleet.iter().map(|f| f.id));
    let column = |of: for<'a> fn(&crate::trajectory::Trajectory<'a>) -> &'a [f64]| {
        let mut values = Vec::with_capacity(fleet.waypoints());
        fleet.iter().for_each(|f| values.extend_from_slice(of(&f)));
        Arc::new(Float64Array::from(values)) as ArrayRef
    };
    let on_ground: Vec<bool> = fleet.iter().flat_map(|f| f.on_ground.iter().copied()).collect();
    RecordBatch::try_from_iter([
        ("flight_id", Arc::new(DictionaryArray::try_new(Int32Array::from(codes), Arc::new(names))?) as ArrayRef),
        ("time", column(|f| f.time_s)),
        ("longitude", column(|f| f.longitude_deg)),
        ("latitude", column(|f| f.latitude_deg)),
        ("pressure_pa", column(|f| f.pressure_pa)),
        ("on_ground", Arc::new(BooleanArray::from(on_ground))),
    ])
}
