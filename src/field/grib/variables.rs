//! Fields to variables: those that differ only in time, level and member
//! belong together.

use std::collections::{HashMap, HashSet};

use super::{
    super::{Chunk, HybridLevels, Levels, Variable},
    index::{Field, Index},
    names::{level_name, names},
    product::{Quantity, Surface},
};

/// Field by member, time and level; what the file lacks is absent.
pub(super) type Slots = HashMap<(usize, usize, usize), usize>;

/// Makes variables of `index`, in the order in which the file begins them.
/// Messages have no order of their own: times, levels and members ascend.
pub(super) fn group(index: &Index, remarks: &mut Vec<String>) -> Vec<(Variable, Slots)> {
    let mut groups: Vec<(&Quantity, usize, Vec<usize>)> = Vec::new();
    let mut known: HashMap<(&Quantity, usize), usize> = HashMap::new();
    for (i, field) in index.fields.iter().enumerate() {
        let key = (&field.product.quantity, field.grid);
        let group = *known.entry(key).or_insert_with(|| {
            groups.push((key.0, key.1, Vec::new()));
            groups.len() - 1
        });
        groups[group].2.push(i);
    }
    let names = unique_names(&groups, remarks);
    groups
        .iter()
        .zip(names)
        .map(|((quantity, grid, members), name)| variable(index, quantity, *grid, members, name, remarks))
        .collect()
}

/// The names of the groups, told apart where the parameter is the same.
fn unique_names(groups: &[(&Quantity, usize, Vec<usize>)], remarks: &mut Vec<String>) -> Vec<String> {
    let plain: Vec<String> = groups.iter().map(|(quantity, ..)| names(quantity).name).collect();
    // The plain name goes to the fullest form of the parameter: on pressure
    // levels before model levels before one level, instantaneous before means.
    let rank = |i: usize| {
        let quantity = groups[i].0;
        let surface = match quantity.surface {
            Surface::Pressure => 0,
            Surface::Hybrid => 1,
            Surface::Altitude => 2,
            Surface::Single(kind) => 3 + usize::from(kind),
            Surface::Other { .. } => 1000,
        };
        (surface, quantity.statistic.map_or(0, |s| 1 + usize::from(s)), usize::from(!quantity.ensemble), groups[i].1, i)
    };
    let mut unique = plain.clone();
    let mut taken: HashSet<String> = plain.iter().cloned().collect();
    for (i, name) in plain.iter().enumerate() {
        let first = (0..groups.len()).filter(|&j| plain[j] == *name).min_by_key(|&j| rank(j)).unwrap_or(i);
        if first == i {
            continue;
        }
        let mut apart = name.clone() + &difference(&groups[i], &groups[first]);
        let stem = apart.clone();
        for count in 2.. {
            if taken.insert(apart.clone()) {
                break;
            }
            apart = format!("{stem}_{count}");
        }
        remarks.push(format!("{name}: several forms in one file; {} is called {apart}", words(&groups[i])));
        unique[i] = apart;
    }
    unique
}

/// A suffix for what makes `of` another variable than `first`.
fn difference(of: &(&Quantity, usize, Vec<usize>), first: &(&Quantity, usize, Vec<usize>)) -> String {
    let mut parts = vec![String::new()];
    if of.0.surface != first.0.surface {
        parts.push(surface_name(of.0.surface));
    }
    if of.0.statistic != first.0.statistic {
        parts.push(of.0.statistic.map_or("instant", statistic_name).to_owned());
    }
    if of.0.ensemble != first.0.ensemble {
        parts.push(if of.0.ensemble { "ensemble" } else { "single" }.to_owned());
    }
    if of.1 != first.1 {
        parts.push(format!("grid{}", of.1 + 1));
    }
    parts.join("_")
}

fn words(group: &(&Quantity, usize, Vec<usize>)) -> String {
    let statistic = group.0.statistic.map_or("instantaneous", statistic_name);
    format!("the {statistic} one of level type {} on grid {}", surface_name(group.0.surface), group.1 + 1)
}

fn surface_name(surface: Surface) -> String {
    match surface {
        Surface::Pressure => level_name(100),
        Surface::Hybrid => level_name(105),
        Surface::Altitude => level_name(102),
        Surface::Single(kind) | Surface::Other { first: (kind, _), .. } => level_name(kind),
    }
}

/// Code table 4.10.
fn statistic_name(statistic: u8) -> &'static str {
    match statistic {
        0 => "average",
        1 => "accumulation",
        2 => "maximum",
        3 => "minimum",
        4 => "difference",
        5 => "root_mean_square",
        6 => "standard_deviation",
        _ => "statistic",
    }
}

fn variable(
    index: &Index,
    quantity: &Quantity,
    grid: usize,
    members: &[usize],
    name: String,
    remarks: &mut Vec<String>,
) -> (Variable, Slots) {
    let fields: Vec<&Field> = members.iter().map(|&i| &index.fields[i]).collect();
    let times_s = axis(fields.iter().map(|f| f.product.valid_s));
    let levels = axis(fields.iter().map(|f| f.product.level));
    let numbers = axis(fields.iter().map(|f| f.product.member.map_or(0.0, f64::from)));
    let (slots, repeated) = slots(index, members, [&numbers, &times_s, &levels]);
    if repeated > 0 {
        remarks.push(format!(
            "{name}: {repeated} fields for a time, level and member that another has; the shortest lead time is used"
        ));
    }
    let all = numbers.len().saturating_mul(times_s.len()).saturating_mul(levels.len());
    if slots.len() < all {
        remarks.push(format!(
            "{name}: {} of {all} combinations of time, level and member are not in the file and read as missing",
            all - slots.len()
        ));
    }
    if let Some(statistic) = quantity.statistic {
        remarks.push(format!(
            "{name}: values over an interval ({}); their time is the interval's end",
            statistic_name(statistic).replace('_', " ")
        ));
    }
    let described = names(quantity);
    let horizontal = &index.grids[grid];
    let variable = Variable {
        standard_name: described.standard_name.filter(|_| described.name == name),
        long_name: Some(described.long_name),
        units: described.units,
        times_s,
        members: if quantity.ensemble { numbers.iter().map(f64::to_string).collect() } else { Vec::new() },
        levels: vertical(&name, quantity.surface, levels, &fields, remarks),
        latitudes_deg: horizontal.latitudes_deg.clone(),
        longitudes_deg: horizontal.longitudes_deg.clone(),
        chunk: Chunk { times: 1, levels: 1 },
        name,
    };
    (variable, slots)
}

/// The distinct values, ascending.
fn axis(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// Puts each field in its place, and counts those that find it taken.
fn slots(index: &Index, members: &[usize], axes: [&[f64]; 3]) -> (Slots, usize) {
    let place = |axis: &[f64], value: f64| axis.partition_point(|&v| v < value);
    let mut slots = Slots::new();
    let mut repeated = 0;
    for &i in members {
        let product = &index.fields[i].product;
        let member = product.member.map_or(0.0, f64::from);
        let slot = (place(axes[0], member), place(axes[1], product.valid_s), place(axes[2], product.level));
        let held = slots.entry(slot).or_insert(i);
        if *held != i {
            repeated += 1;
            if product.lead_s < index.fields[*held].product.lead_s {
                *held = i;
            }
        }
    }
    (slots, repeated)
}

fn vertical(name: &str, surface: Surface, levels: Vec<f64>, fields: &[&Field], remarks: &mut Vec<String>) -> Levels {
    match surface {
        Surface::Pressure => Levels::Pressure(levels),
        Surface::Altitude => Levels::Altitude(levels),
        Surface::Single(_) | Surface::Other { .. } => Levels::Surface,
        Surface::Hybrid => {
            let half_levels = fields.iter().find_map(|f| f.half_levels.clone());
            if fields.iter().any(|f| f.half_levels.is_some() && f.half_levels != half_levels) {
                remarks.push(format!("{name}: the coefficients of the model levels differ; the first are used"));
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 65535, checked when read"
            )]
            let numbers = levels.iter().map(|&level| level as u32).collect();
            Levels::Hybrid(HybridLevels { numbers, half_levels: half_levels.map(|h| (*h).clone()) })
        }
    }
}
