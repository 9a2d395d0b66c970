//! Fields to variables: those that differ only in time, level and member
//! belong together.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    super::{Chunk, HybridLevels, Levels, Variable},
    index::{Field, Index},
    names::{level_name, names},
    product::{Quantity, Surface},
};

/// Field by member, time and level; what the file lacks is absent.
pub(super) type Slots = HashMap<(usize, usize, usize), usize>;

/// Horizontal axes of all variables together have fewer values than this:
/// a thousand variables at 0.1° have 5 · 10⁶.
const MAX_AXES: usize = 1 << 24;

/// Makes variables of `index`, in the order in which the file begins them.
/// Messages have no order of their own: times, levels and members ascend.
///
/// The error says what there is too much of.
pub(super) fn group(index: &Index, remarks: &mut Vec<String>) -> Result<Vec<(Variable, Slots)>, String> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<(&Quantity, usize), usize> = HashMap::new();
    for (i, field) in index.fields.iter().enumerate() {
        let (quantity, grid) = (&field.product.quantity, field.grid);
        let group = *known.entry((quantity, grid)).or_insert_with(|| {
            groups.push(Group { quantity, grid, fields: Vec::new() });
            groups.len() - 1
        });
        groups[group].fields.push(i);
    }
    let sides = |grid: usize| index.grids[grid].latitudes_deg.len() + index.grids[grid].longitudes_deg.len();
    if groups.iter().map(|group| sides(group.grid)).sum::<usize>() > MAX_AXES {
        return Err(format!("{} different variables on large grids", groups.len()));
    }
    let names = unique_names(&groups, remarks);
    Ok(groups.iter().zip(names).map(|(group, name)| variable(index, group, name, remarks)).collect())
}

/// The fields of one variable.
struct Group<'a> {
    quantity: &'a Quantity,
    grid: usize,
    fields: Vec<usize>,
}

impl Group<'_> {
    /// Of several groups of one name, the least keeps it, as the fullest form
    /// of the parameter: on pressure levels before model levels before one
    /// level, instantaneous before means, an ensemble before a single field.
    fn rank(&self) -> impl Ord + use<> {
        let surface = match self.quantity.surface {
            Surface::Pressure => 0,
            Surface::Hybrid => 1,
            Surface::Altitude => 2,
            Surface::Single(kind) => 3 + u16::from(kind),
            Surface::Other { .. } => u16::MAX,
        };
        (surface, self.quantity.statistic, !self.quantity.ensemble, self.grid)
    }

    /// A suffix for what makes it another variable than `first`.
    fn difference(&self, first: &Self) -> String {
        let (this, that) = (self.quantity, first.quantity);
        let mut parts = vec![String::new()];
        if this.surface != that.surface {
            parts.push(surface_name(this.surface));
        }
        if this.statistic != that.statistic {
            parts.push(this.statistic.map_or("instant", statistic_name).to_owned());
        }
        if this.ensemble != that.ensemble {
            parts.push(if this.ensemble { "ensemble" } else { "single" }.to_owned());
        }
        if let Some(centre) = this.local_to.filter(|_| this.local_to != that.local_to) {
            parts.push(format!("centre{centre}"));
        }
        if self.grid != first.grid {
            parts.push(format!("grid{}", self.grid + 1));
        }
        parts.join("_")
    }
}

/// The names of the groups, told apart where the parameter is the same.
fn unique_names(groups: &[Group], remarks: &mut Vec<String>) -> Vec<String> {
    let mut unique: Vec<String> = groups.iter().map(|group| names(group.quantity).name).collect();
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, name) in unique.iter().enumerate() {
        alike.entry(name.clone()).or_default().push(i);
    }
    let mut taken: HashSet<String> = alike.keys().cloned().collect();
    for (name, mut members) in alike {
        members.sort_by_key(|&i| groups[i].rank());
        let (first, others) = (members[0], &members[1..]);
        for &i in others {
            let stem = name.clone() + &groups[i].difference(&groups[first]);
            let mut apart = stem.clone();
            for count in 2.. {
                if taken.insert(apart.clone()) {
                    break;
                }
                apart = format!("{stem}_{count}");
            }
            remarks.push(format!("{name}: the file has it in several forms; one of them is called {apart}"));
            unique[i] = apart;
        }
    }
    unique
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

fn variable(index: &Index, group: &Group, name: String, remarks: &mut Vec<String>) -> (Variable, Slots) {
    let quantity = group.quantity;
    let fields: Vec<&Field> = group.fields.iter().map(|&i| &index.fields[i]).collect();
    let times_s = axis(fields.iter().map(|f| f.product.valid_s));
    let levels = axis(fields.iter().map(|f| f.product.level));
    let numbers = axis(fields.iter().map(|f| f.product.member.map_or(0.0, f64::from)));
    let (slots, repeated) = slots(index, &group.fields, [&numbers, &times_s, &levels]);
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
    let horizontal = &index.grids[group.grid];
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
