//! `skydose sample`: every waypoint with the field's values at it.

use std::{path::PathBuf, sync::Arc};

use anyhow::bail;
use clap::Args;

use super::{Ending, args, compute::now};
use crate::{
    compute::{
        Window,
        cpu::{Places, sample},
    },
    field::dataset::{ChannelRequest, Dataset, Field, FieldBox, ValueRule},
    grid::VerticalRule,
    job::outcome::{
        Metadata,
        table::{SampleWriter, Sampled},
    },
    trajectory::{AltitudeUnit, PointTable, ReadOptions, read_points},
};

/// Channels sampled in one pass.
const MOST_CHANNELS: usize = 16;

/// Arguments of `sample`.
#[derive(Debug, Args)]
pub struct Sample {
    #[command(flatten)]
    fields: args::Fields,
    #[command(flatten)]
    flights: args::FlightsFiles,
    /// Variables, by their name in the file or in the catalogue.
    #[arg(long, required = true, value_delimiter = ',', value_name = "NAME,...")]
    variable: Vec<String>,
    /// The file to write: the columns of the flights, and one a variable.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How a value between two levels is found.
    #[arg(long, value_enum, default_value_t)]
    vertical: args::VerticalArg,
    /// How the file is written [default: by the ending of --out].
    #[arg(long, value_enum)]
    format: Option<args::FormatArg>,
    #[command(flatten)]
    machine: args::Machine,
}

impl Sample {
    /// Writes the table.
    ///
    /// # Errors
    /// A fault of the call or its files.
    pub fn run(self, verbose: u8) -> anyhow::Result<Ending> {
        let started = now();
        let format = args::format_of(&self.out, self.format)?;
        let memory = self.machine.start()?;
        let [path] = self.flights.flights.as_slice() else {
            bail!("--flights names {} files, expected one: its columns are kept", self.flights.flights.len());
        };
        if !self.flights.time_shift.is_finite() {
            bail!("--time-shift is {}, expected seconds", self.flights.time_shift);
        }
        let (dataset, memory) = self.fields.open(memory)?;
        let options =
            ReadOptions { altitude_unit: self.flights.altitude_unit.map(AltitudeUnit::from), ..ReadOptions::default() };
        let mut points = read_points(path, &options)?;
        for time in &mut points.time_s {
            *time += self.flights.time_shift;
        }
        let rule = VerticalRule::from(self.vertical);
        let metadata = Metadata {
            pairs: [("skydose_version", env!("CARGO_PKG_VERSION")), ("vertical", rule.name())]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        let mut columns = Vec::new();
        for variables in self.variable.chunks(MOST_CHANNELS) {
            columns.extend(sample_variables(&dataset, variables, &points, rule, memory)?);
        }
        let headers: Vec<Sampled> =
            self.variable.iter().map(|name| Sampled { name: name.clone(), unit: unit(&dataset, name) }).collect();
        let mut writer = SampleWriter::create(&self.out, format, &points.batch.schema(), &headers, metadata)?;
        writer.write(&points.batch, &columns)?;
        writer.finish()?;
        let rows = points.time_s.len();
        let answered = (0..rows).filter(|&i| columns.iter().all(|c| !c[i].is_nan())).count();
        eprintln!("{answered} of {rows} waypoints have a value of every variable; the others are null");
        if verbose > 0 {
            eprintln!("took {:.2} s", started.elapsed().as_secs_f64());
        }
        eprintln!("samples: {}", self.out.display());
        Ok(Ending::Whole)
    }
}

/// The unit as the file writes it.
fn unit(dataset: &Dataset, name: &str) -> String {
    dataset.unit_in_file(name).unwrap_or_default().to_owned()
}

/// One column a variable, in the order of the points.
fn sample_variables(
    dataset: &Dataset,
    variables: &[String],
    points: &PointTable,
    rule: VerticalRule,
    memory: usize,
) -> anyhow::Result<Vec<Vec<f64>>> {
    let requests: Vec<ChannelRequest> = variables
        .iter()
        .map(|name| ChannelRequest {
            parts: vec![(name.clone(), 1.0)],
            log: dataset.value_rule(name) == ValueRule::Log,
        })
        .collect();
    let within = FieldBox::around(&points.longitude_deg, &points.latitude_deg, &points.pressure_pa);
    let field = dataset.field(&requests, rule, within.as_ref())?;
    let needed = field.slab_bytes().saturating_mul(2);
    if needed > memory {
        bail!(
            "two times of the field need {} MB, and --memory is {} MB; raise it or name fewer variables",
            needed / 1_000_000,
            memory / 1_000_000
        );
    }
    let mut columns = vec![vec![f64::NAN; points.time_s.len()]; variables.len()];
    let places = Places {
        time_s: &points.time_s,
        longitude_deg: &points.longitude_deg,
        latitude_deg: &points.latitude_deg,
        pressure_pa: &points.pressure_pa,
    };
    // Each pair of times is read once, with the points that lie between them.
    let mut slabs = Vec::new();
    for (first, chosen) in by_time(&field, &points.time_s) {
        let last = (first + 1).min(field.times_s.len() - 1);
        slabs.retain(|(time, _)| (first..=last).contains(time));
        for time in first..=last {
            if !slabs.iter().any(|(loaded, _)| *loaded == time) {
                slabs.push((time, Arc::new(field.load(time, 0)?)));
            }
        }
        slabs.sort_by_key(|(time, _)| *time);
        let pair: Vec<_> = slabs.iter().map(|(_, slab)| Arc::clone(slab)).collect();
        let window = Window { grid: &field.grid, times_s: &field.times_s, first, slabs: &pair };
        let values = sample(&window, variables.len(), &places, &chosen);
        for (values, &point) in values.chunks_exact(variables.len()).zip(&chosen) {
            for ((column, value), request) in columns.iter_mut().zip(values).zip(&requests) {
                column[point] = if request.log { value.exp() } else { *value };
            }
        }
    }
    Ok(columns)
}

/// The points of each pair of times that has any, in the order of time.
fn by_time(field: &Field<'_>, time_s: &[f64]) -> Vec<(usize, Vec<usize>)> {
    let times = &field.times_s;
    let last = times.len() - 1;
    let mut pairs = vec![Vec::new(); last.max(1)];
    for (point, &time) in time_s.iter().enumerate() {
        if time >= times[0] && time <= times[last] {
            let first = times.partition_point(|&t| t <= time).saturating_sub(1).min(last.saturating_sub(1));
            pairs[first].push(point);
        }
    }
    pairs.into_iter().enumerate().filter(|(_, points)| !points.is_empty()).collect()
}
