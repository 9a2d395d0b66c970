//! From arrays to gridded variables.

use super::{
    ArrayStore, Interpreted, Layout, RawArray,
    axes::Axis,
    catalogue::Catalogue,
    fault::Fault,
    instants::{Instants, instants},
    layout::Role,
    levels::levels,
    unpack::Unpacking,
};
use crate::field::{Chunk, FieldError, Levels, Variable};

const REGRID: &str =
    "regrid it to latitudes and longitudes first, for example with `cdo remapbil,r720x361 in.nc out.nc`";
const NAME_AXES: &str = "give its dimensions coordinates with CF names and units";
/// More members than any ensemble has.
const MAX_MEMBERS: usize = 10_000;
/// How far beyond a pole or a full circle rounding may lead.
const SLACK_DEG: f64 = 1e-3;

/// What an array turned out to be.
enum Outcome {
    Variable(Box<(Variable, Layout)>),
    /// Gridded in some way, but not a variable; worth telling.
    Skip(String),
    /// A coordinate, a scalar, a table.
    Ignore,
}

/// A dimension of a variable: what it is along and the array that says so.
type Dimension = (Option<Axis>, Option<usize>);

/// Recognises axes and variables.
pub(super) fn interpret(store: &dyn ArrayStore) -> Result<Interpreted, FieldError> {
    let catalogue = Catalogue::new(store);
    let mut found = Interpreted { variables: Vec::new(), layouts: Vec::new(), remarks: Vec::new() };
    let mut refusal = None;
    for (index, array) in store.arrays().iter().enumerate() {
        if catalogue.is_serving(index) {
            continue;
        }
        match examine(&catalogue, index, &mut found.remarks) {
            Ok(Outcome::Variable(pair)) => {
                found.variables.push(pair.0);
                found.layouts.push(pair.1);
            }
            Ok(Outcome::Skip(why)) => found.remarks.push(format!("{}: skipped: {why}", array.name)),
            Ok(Outcome::Ignore) => {}
            Err(Fault::Refuse { what, remedy }) => {
                found.remarks.push(format!("{}: skipped: {what}; {remedy}", array.name));
                refusal.get_or_insert((format!("{}: {what}", array.name), remedy));
            }
            Err(Fault::Broken(error)) => return Err(error),
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.remarks.retain(|remark| seen.insert(remark.clone()));
    match refusal {
        _ if !found.variables.is_empty() => Ok(found),
        Some((what, remedy)) => Err(FieldError::unsupported(store.path(), what, remedy)),
        None => {
            let mut what = "no variable with time, latitude and longitude".to_owned();
            if let Some(remark) = found.remarks.first() {
                what = format!("{what} ({remark})");
            }
            Err(FieldError::unsupported(store.path(), what, NAME_AXES))
        }
    }
}

fn examine(catalogue: &Catalogue<'_>, index: usize, remarks: &mut Vec<String>) -> Result<Outcome, Fault> {
    let array = catalogue.array(index);
    let dims: Vec<Dimension> = array
        .dims
        .iter()
        .map(|dim| catalogue.dimension(dim).map_or((None, None), |(axis, coordinate)| (Some(axis), coordinate)))
        .collect();
    refuse_other_grids(catalogue, array, &dims)?;
    let has = |axis| dims.iter().any(|(a, _)| *a == Some(axis));
    if !has(Axis::Latitude) || !has(Axis::Longitude) {
        let long = array.shape.iter().filter(|n| **n > 1).count();
        if array.numeric && long > 1 {
            let dims = array.dims.join(", ");
            return Ok(Outcome::Skip(format!("its dimensions ({dims}) have no latitude and longitude")));
        }
        return Ok(Outcome::Ignore);
    }
    if !array.numeric {
        return Ok(Outcome::Skip("its values are not numbers".to_owned()));
    }
    if let Some(d) = array.shape.iter().position(|n| *n == 0) {
        return Ok(Outcome::Skip(format!("the dimension `{}` has length 0", array.dims[d])));
    }
    variable(catalogue, index, &dims, remarks)
}

/// Curvilinear, projected, unstructured and reduced grids.
fn refuse_other_grids(catalogue: &Catalogue<'_>, array: &RawArray, dims: &[Dimension]) -> Result<(), Fault> {
    if !array.numeric {
        return Ok(());
    }
    let mapping = array.text("grid_mapping").and_then(|names| names.split([':', ' ']).next());
    let mapping = mapping.and_then(|name| catalogue.find(name)).map(|i| catalogue.array(i));
    if let Some(name) = mapping.and_then(|m| m.text("grid_mapping_name")).filter(|n| *n != "latitude_longitude") {
        return Err(Fault::refuse(format!("on the projected grid `{name}`"), REGRID));
    }
    if let Some(d) = dims.iter().position(|(axis, _)| *axis == Some(Axis::Projected)) {
        return Err(Fault::refuse(format!("on a projected grid along `{}`", array.dims[d]), REGRID));
    }
    for latitude in catalogue.along(Axis::Latitude, &array.dims) {
        let latitude = catalogue.array(latitude);
        let own = |axis| dims.iter().any(|(a, i)| *a == Some(axis) && i.is_some());
        if latitude.dims.len() > 1 && !(own(Axis::Latitude) && own(Axis::Longitude)) {
            return Err(Fault::refuse(
                format!("on a curvilinear grid: `{}` has two dimensions", latitude.name),
                REGRID,
            ));
        }
        let shared = latitude.dims.len() == 1
            && latitude.shape[0] > 1
            && catalogue.along(Axis::Longitude, &array.dims).any(|i| catalogue.array(i).dims == latitude.dims);
        if shared {
            let what = format!("on a reduced or unstructured grid of points along `{}`", latitude.dims[0]);
            return Err(Fault::refuse(what, REGRID));
        }
    }
    Ok(())
}

fn variable(
    catalogue: &Catalogue<'_>,
    index: usize,
    dims: &[Dimension],
    remarks: &mut Vec<String>,
) -> Result<Outcome, Fault> {
    let array = catalogue.array(index);
    let roles = roles(array, dims)?;
    let of = |wanted: Role| roles.iter().position(|role| *role == wanted);
    let time_dims: Vec<usize> = (0..roles.len()).filter(|&d| matches!(roles[d], Role::Time(_))).collect();
    let Instants { times_s, places } = instants(catalogue, array, &time_dims, remarks)?;
    let coordinate = |d: usize| {
        dims[d]
            .1
            .ok_or_else(|| Fault::refuse(format!("the dimension `{}` has no coordinate", array.dims[d]), NAME_AXES))
    };
    let (latitude, longitude) = match (of(Role::Latitude), of(Role::Longitude)) {
        (Some(latitude), Some(longitude)) => (coordinate(latitude)?, coordinate(longitude)?),
        _ => return Ok(Outcome::Ignore),
    };
    let levels = match of(Role::Level) {
        Some(d) => {
            let coordinate = coordinate(d)?;
            catalogue.monotonic(coordinate)?;
            levels(catalogue, coordinate, remarks)?
        }
        None => scalar_level(catalogue, array, remarks)?,
    };
    let members = match of(Role::Member) {
        Some(d) => members(catalogue, array, d, dims[d].1)?,
        None => Vec::new(),
    };
    let variable = Variable {
        name: array.name.clone(),
        standard_name: array.text("standard_name").filter(|name| *name != "unknown").map(str::to_owned),
        long_name: array.text("long_name").map(str::to_owned),
        units: array.text("units").map(str::to_owned),
        chunk: chunk(array, &roles),
        latitudes_deg: latitudes(catalogue, latitude)?,
        longitudes_deg: longitudes(catalogue, longitude)?,
        times_s,
        members,
        levels,
    };
    let layout = Layout {
        array: index,
        name: array.name.clone(),
        places,
        extents: [
            variable.members.len(),
            variable.levels.len(),
            variable.latitudes_deg.len(),
            variable.longitudes_deg.len(),
        ],
        unpacking: Unpacking::of(array),
        roles,
    };
    Ok(Outcome::Variable(Box::new((variable, layout))))
}

fn roles(array: &RawArray, dims: &[Dimension]) -> Result<Vec<Role>, Fault> {
    let mut times = 0;
    let mut roles = Vec::with_capacity(dims.len());
    for (d, (axis, _)) in dims.iter().enumerate() {
        let role = match axis {
            Some(Axis::Time | Axis::Reference | Axis::Period) => {
                times += 1;
                Role::Time(times - 1)
            }
            Some(Axis::Latitude) => Role::Latitude,
            Some(Axis::Longitude) => Role::Longitude,
            Some(Axis::Level) if array.shape[d] == 1 && array.is_surface_pressure() => Role::Fixed,
            Some(Axis::Level) => Role::Level,
            Some(Axis::Member) if array.shape[d] > 1 => Role::Member,
            _ if array.shape[d] == 1 => Role::Fixed,
            _ => {
                let what = format!("what the dimension `{}` is along is not known", array.dims[d]);
                return Err(Fault::refuse(what, NAME_AXES));
            }
        };
        if role != Role::Fixed && roles.contains(&role) {
            return Err(Fault::refuse(format!("a second axis of the same kind, `{}`", array.dims[d]), NAME_AXES));
        }
        roles.push(role);
    }
    Ok(roles)
}

/// The level of a field that has one as a scalar among its `coordinates`.
fn scalar_level(catalogue: &Catalogue<'_>, array: &RawArray, remarks: &mut Vec<String>) -> Result<Levels, Fault> {
    let names = array.text("coordinates").unwrap_or("");
    let scalar = names
        .split_whitespace()
        .filter_map(|name| catalogue.find(name))
        .find(|&i| catalogue.axis(i) == Some(Axis::Level) && catalogue.array(i).len() == 1);
    match scalar {
        Some(index) if !array.is_surface_pressure() => levels(catalogue, index, remarks),
        _ => Ok(Levels::Surface),
    }
}

fn members(
    catalogue: &Catalogue<'_>,
    array: &RawArray,
    d: usize,
    coordinate: Option<usize>,
) -> Result<Vec<String>, Fault> {
    let count = array.shape[d];
    if count > MAX_MEMBERS {
        return Err(Fault::refuse(format!("{count} members; at most {MAX_MEMBERS} were expected"), NAME_AXES));
    }
    Ok(match coordinate {
        Some(index) => catalogue.values(index)?.iter().map(f64::to_string).collect(),
        None => (0..count).map(|i| i.to_string()).collect(),
    })
}

fn latitudes(catalogue: &Catalogue<'_>, index: usize) -> Result<Vec<f64>, FieldError> {
    let values = catalogue.monotonic(index)?;
    match values.iter().find(|v| v.abs() > 90.0 + SLACK_DEG) {
        Some(bad) => Err(catalogue.corrupt(index, format!("a latitude of {bad}; expected -90 to 90"))),
        None => Ok(values.to_vec()),
    }
}

/// Longitudes as written; where they pass the seam (359, 0, 1) the rest goes
/// on beyond it, so that they rise or fall throughout.
fn longitudes(catalogue: &Catalogue<'_>, index: usize) -> Result<Vec<f64>, FieldError> {
    let written = catalogue.values(index)?;
    if let Some(bad) = written.iter().find(|v| v.abs() > 720.0) {
        return Err(catalogue.corrupt(index, format!("a longitude of {bad}; expected -180 to 360")));
    }
    let mut values = written.to_vec();
    let wraps = |w: &[f64]| (w[1] - w[0]).abs() > 180.0;
    if catalogue.check_monotonic(index, &written).is_err()
        && let Some(seam) = written.windows(2).position(wraps)
    {
        let turn = if written[seam] > written[seam + 1] { 360.0 } else { -360.0 };
        values[seam + 1..].iter_mut().for_each(|v| *v += turn);
    }
    catalogue.check_monotonic(index, &values)?;
    let span = (values[values.len() - 1] - values[0]).abs();
    if span > 360.0 + SLACK_DEG {
        return Err(catalogue.corrupt(index, format!("longitudes that span {span} degrees; expected at most 360")));
    }
    Ok(values)
}

fn chunk(array: &RawArray, roles: &[Role]) -> Chunk {
    let of = |wanted: fn(&Role) -> bool| {
        let mut lengths = roles.iter().enumerate().filter(|(_, role)| wanted(role)).filter_map(|(d, _)| {
            let chunk = *array.chunk_shape.as_ref()?.get(d)?;
            // With two dimensions of time the long one is what windows run along.
            (array.shape[d] > 1).then_some(chunk.clamp(1, array.shape[d]))
        });
        lengths.next_back().unwrap_or(1)
    };
    Chunk { times: of(|role| matches!(role, Role::Time(_))), levels: of(|role| *role == Role::Level) }
}
