//! What both backends are asked: every metric, rule and awkward grid.

use skydose::{
    exposure::{flow::EngineFlow, program::Integration, request::Request},
    field::{
        Levels,
        dataset::{Dataset, DatasetFile, ValueRule, VariableRule},
    },
    grid::VerticalRule,
    trajectory::{Fleet, Waypoint, phase::Phase, synthetic},
};

use crate::science::{
    fleet,
    judged::{Case as Random, Shape},
    memory::{Axes, Memory, dataset, naming, steps},
    request, waypoint,
};

/// A question.
pub struct Case {
    pub name: String,
    pub data: Dataset,
    pub request: Request,
    pub rule: VerticalRule,
    pub fleet: Fleet,
    pub phases: Vec<Vec<Phase>>,
}

/// Random fields and flights of a shape, several for each.
const SEEDS: u64 = 4;

const FLOW: &str = "engines = 2\n[core_mass_flow]\nground = 1\n\
                    climb = { altitude_ft = [0, 20000, 36000], kg_s = [60, 40, 20] }\ncruise = 20\ndescent = 10\n";

fn shape() -> Shape {
    Shape {
        is_global: false,
        is_uneven: false,
        is_hybrid: false,
        has_blobs: false,
        has_temperature: true,
        has_humidity: true,
        nodes: (3, 5, 7, 12),
        contaminants: 2,
        members: 0,
        rule: VerticalRule::LinearP,
        seed: 0,
    }
}

/// All questions.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let base = shape();
    let shapes = [
        ("a globe, to the poles and across the seam", Shape { is_global: true, ..base.clone() }),
        ("a region that flights leave", base.clone()),
        ("uneven axes with values missing", Shape { is_uneven: true, has_blobs: true, ..base.clone() }),
        ("an uneven globe", Shape { is_uneven: true, is_global: true, has_blobs: true, ..base.clone() }),
        ("linear in ln p", Shape { rule: VerticalRule::LogP, has_blobs: true, ..base.clone() }),
        ("layers", Shape { rule: VerticalRule::LayerMean, has_blobs: true, ..base.clone() }),
        ("hybrid levels", Shape { is_hybrid: true, has_blobs: true, ..base.clone() }),
        ("hybrid levels, ln p", Shape { is_hybrid: true, has_blobs: true, rule: VerticalRule::LogP, ..base.clone() }),
        ("hybrid layers", Shape { is_hybrid: true, has_blobs: true, rule: VerticalRule::LayerMean, ..base.clone() }),
        ("no temperature", Shape { has_temperature: false, has_humidity: false, has_blobs: true, ..base.clone() }),
        ("one level", Shape { nodes: (3, 2, 2, 5), is_global: true, has_blobs: true, ..base.clone() }),
        ("an ensemble", Shape { members: 3, has_blobs: true, ..base.clone() }),
        ("twenty contaminants in several passes", Shape { contaminants: 20, has_blobs: true, ..base }),
    ];
    for (name, shape) in shapes {
        for seed in 0..SEEDS {
            for integration in [Integration::Path, Integration::Waypoints] {
                // Waypoints alone: once a rule is enough, for they share all but
                // the path.
                if integration == Integration::Path || seed == 0 {
                    cases.push(random(name, &Shape { seed: 1 + seed, ..shape.clone() }, integration));
                }
            }
        }
    }
    cases.extend([rolling(), logarithms(), dose(), plain(1), plain(2), one_time(), ends_of_what_is_possible()]);
    cases
}

/// Enough flights that half of them take much less memory.
pub fn many_flights() -> Case {
    let axes = Axes::new(
        steps(0.0, 10_800.0, 5),
        Levels::Pressure(vec![15_000.0, 20_000.0, 30_000.0, 50_000.0, 100_000.0]),
        steps(90.0, -22.5, 9),
        steps(-180.0, 22.5, 16),
    );
    let field = Memory::default()
        .with("c00", "kg m-3", &axes, |n| 1e-8 * (2.0 + (0.05 * n.longitude_deg).sin() + n.time_s / 43_200.0));
    let fleet = synthetic::fleet(128, 60.0, 5, 0.0, 43_200.0);
    Case {
        name: "many flights".to_owned(),
        data: dataset(vec![field], naming(&["c00"])),
        request: request(Integration::Waypoints, &["c00"], &[]),
        rule: VerticalRule::LinearP,
        phases: fleet.iter().map(|flight| vec![Phase::Cruise; flight.len()]).collect(),
        fleet,
    }
}

/// Flights from all over the world through noise on a grid of 0.75°: nothing
/// that is a little beside its place has the value that it has there.
pub fn noise(flights: usize) -> Case {
    let axes = Axes::new(
        steps(0.0, 10_800.0, 3),
        Levels::Pressure(vec![15_000.0, 20_000.0, 25_000.0, 30_000.0, 50_000.0, 100_000.0]),
        steps(90.0, -0.75, 241),
        steps(-180.0, 0.75, 480),
    );
    let names = ["c00", "c01", "c02", "c03"];
    let mut field = Memory::default();
    for (number, name) in names.iter().enumerate() {
        field = field.with(name, "kg m-3", &axes, |n| {
            let seed = n.longitude_deg * 12.9898 + n.latitude_deg * 78.233 + n.level * 0.379 + n.time_s * 0.013;
            1e-8 * (0.1 + ((seed + number as f64).sin() * 43_758.545).rem_euclid(1.0))
        });
    }
    let fleet = synthetic::fleet(flights, 60.0, 9, 0.0, 21_600.0);
    Case {
        name: "noise on a fine grid".to_owned(),
        data: dataset(vec![field], naming(&names)),
        request: request(Integration::Waypoints, &names, &[]),
        rule: VerticalRule::LinearP,
        phases: fleet.iter().map(|flight| vec![Phase::Cruise; flight.len()]).collect(),
        fleet,
    }
}

/// Three members, each computed after the other.
pub fn ensemble() -> Case {
    random("an ensemble", &Shape { members: 3, seed: 1, ..shape() }, Integration::Waypoints)
}

/// A field of more levels than a small device holds.
pub fn many_levels(seed: u64) -> Case {
    let mut case = Random::new(&Shape { nodes: (3, 30, 7, 12), seed, ..shape() });
    // Those that leap from level to level need all of them.
    let is_steady = |flight: &[Waypoint]| {
        flight.windows(2).all(|pair| (pair[1].pressure.pascal() - pair[0].pressure.pascal()).abs() <= 6_000.0)
    };
    let all = case.flights.into_iter().zip(case.phases);
    (case.flights, case.phases) = all.filter(|(flight, _)| is_steady(flight)).unzip();
    asked("thirty levels", case, Integration::Path)
}

fn random(name: &str, shape: &Shape, integration: Integration) -> Case {
    asked(name, Random::new(shape), integration)
}

/// A drawn field and its flights as a question.
fn asked(name: &str, case: Random, integration: Integration) -> Case {
    let names: Vec<&str> = case.stored.iter().map(|(name, _)| name.as_str()).collect();
    let thresholds: Vec<(&str, &str)> = names
        .iter()
        .flat_map(|&name| {
            [(name, "0.012 mg m-3"), (name, "0.018 mg m-3"), (name, "1.5e-8 kg kg-1"), (name, "0.2 g s m-3")]
        })
        .collect();
    Case {
        name: format!("{name}, {}, seed {}", integration.name(), case.shape.seed),
        data: dataset(vec![case.field.clone()], naming(&names)),
        request: request(integration, &names, &thresholds),
        rule: case.shape.rule,
        fleet: fleet(&case.flights),
        phases: case.phases,
    }
}

/// A case of the shape above with names of its own.
fn named(name: &str, seed: u64, names: [&str; 2], file: impl Fn(Memory) -> Dataset) -> Case {
    let case = Random::new(&Shape { seed, has_blobs: true, ..shape() });
    let field = case.field.clone().renamed("c00", names[0]).renamed("c01", names[1]);
    Case {
        name: name.to_owned(),
        data: file(field),
        request: request(Integration::Path, &names, &[]),
        rule: VerticalRule::LinearP,
        fleet: fleet(&case.flights),
        phases: case.phases,
    }
}

/// Ten minutes of one contaminant, three hours of the other, and limits in
/// ppmv.
fn rolling() -> Case {
    named("rolling peaks", 31, ["so2", "go3"], Memory::dataset)
}

fn logarithms() -> Case {
    named("logarithms", 32, ["tracer", "smoke"], |field| {
        let mut names = naming(&["tracer", "smoke"]);
        let rule = VariableRule {
            contaminant: Some("tracer".to_owned()),
            interpolation: Some(ValueRule::Log),
            ..VariableRule::default()
        };
        names.variables.insert("tracer".to_owned(), rule);
        dataset(vec![field], DatasetFile { ..names })
    })
}

fn dose() -> Case {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flow.toml");
    std::fs::write(&path, FLOW).expect("a file");
    let mut case = named("a dose", 33, ["so2", "ash"], Memory::dataset);
    case.request.engine_flow = Some(EngineFlow::read(&path).expect("an engine flow"));
    case
}

/// Concentrations alone, of which nothing but the sums is asked.
fn plain(contaminants: usize) -> Case {
    let case =
        Random::new(&Shape { seed: 40, contaminants: 2, has_temperature: false, has_humidity: false, ..shape() });
    let mut field = Memory::default();
    let axes = Axes::new(
        steps(1.6e9, 3_600.0, 4),
        Levels::Pressure(vec![2e4, 3e4, 5e4]),
        steps(-90.0, 30.0, 7),
        steps(0.0, 40.0, 9),
    );
    for number in 0..contaminants {
        field = field.with(&format!("c{number:02}"), "kg m-3", &axes, |n| {
            1e-8 * (2.0 + (n.longitude_deg + 3.0 * n.latitude_deg + n.level).sin() * (1.0 + number as f64 * 0.1))
        });
    }
    let names = ["c00", "c01"];
    Case {
        name: format!("{contaminants} concentrations"),
        data: dataset(vec![field], naming(&names[..contaminants])),
        request: request(Integration::Path, &names[..contaminants], &[]),
        rule: VerticalRule::LinearP,
        fleet: fleet(&case.flights),
        phases: case.phases,
    }
}

/// A field of one instant on one level, met by a flight that passes through
/// that instant and by one waypoint right there.
fn one_time() -> Case {
    let axes = Axes::new(vec![1_000.0], Levels::Pressure(vec![25_000.0]), steps(-10.0, 5.0, 5), steps(-10.0, 5.0, 5));
    let field = Memory::default().with("c00", "kg m-3", &axes, |n| 1e-8 * (3.0 + n.latitude_deg.sin()));
    let through = (0..9).map(|i| waypoint(600.0 + 100.0 * f64::from(i), 0.1 * f64::from(i), 1.0, 25_000.0)).collect();
    let flights: [Vec<Waypoint>; 2] = [through, vec![waypoint(1_000.0, 1.25, -3.5, 25_000.0)]];
    Case {
        name: "one time on one level".to_owned(),
        data: dataset(vec![field], naming(&["c00"])),
        request: request(Integration::Path, &["c00"], &[]),
        rule: VerticalRule::LinearP,
        phases: flights.iter().map(|f| vec![Phase::Cruise; f.len()]).collect(),
        fleet: fleet(&flights),
    }
}

/// Flights that no device takes, and such as barely fit: below sea level by
/// far, times a microsecond apart over hours, on the field's very edges, at
/// the poles, along the date line, on the ground.
fn ends_of_what_is_possible() -> Case {
    let axes = Axes::new(
        steps(0.0, 10_800.0, 5),
        Levels::Pressure(vec![20_000.0, 30_000.0, 50_000.0, 100_000.0]),
        steps(90.0, -22.5, 9),
        steps(-180.0, 22.5, 16),
    );
    let value = |n: crate::science::memory::Node| {
        1e-8 * (2.0 + (0.05 * n.longitude_deg + 0.1 * n.latitude_deg).sin() + n.time_s / 43_200.0 + n.level / 1e5)
    };
    let field = Memory::default().with("c00", "kg m-3", &axes, value).with("c01", "kg kg-1", &axes, value);
    let line = |from: (f64, f64, f64), to: (f64, f64, f64), step_s: f64| -> Vec<Waypoint> {
        (0..=60)
            .map(|i| {
                let f = f64::from(i) / 60.0;
                let between = |a: f64, b: f64| a + f * (b - a);
                waypoint(step_s * f64::from(i), between(from.0, to.0), between(from.1, to.1), between(from.2, to.2))
            })
            .collect()
    };
    let mut close = line((10.0, 10.0, 3e4), (20.0, 20.0, 3e4), 60.0);
    close.insert(1, waypoint(1e-6, 10.0, 10.0, 3e4));
    let mut on_ground = line((2.0, 49.0, 100_000.0), (3.0, 49.0, 100_000.0), 10.0);
    for waypoint in &mut on_ground {
        waypoint.on_ground = true;
    }
    let flights = [
        line((0.0, 0.0, 140_000.0), (10.0, 0.0, 30_000.0), 60.0),
        close,
        line((-180.0, -90.0, 20_000.0), (-180.0, 90.0, 20_000.0), 600.0),
        line((170.0, 60.0, 20_000.0), (190.0, 60.0, 50_000.0), 720.1),
        line((0.0, 89.0, 30_000.0), (180.0, 89.0, 30_000.0), 300.0),
        line((-180.0, 45.0, 100_000.0), (-180.0, 45.0, 20_000.0), 30.0),
        on_ground,
        line((5.0, 5.0, 25_000.0), (60.0, 40.0, 25_000.0), 0.125),
        line((5.0, 5.0, 25_000.0), (60.0, 40.0, 25_000.0), 86_400.0),
    ];
    let labels = [Phase::Ground, Phase::Climb, Phase::Cruise, Phase::Descent];
    Case {
        name: "the ends of what is possible".to_owned(),
        data: dataset(vec![field], naming(&["c00", "c01"])),
        request: request(Integration::Path, &["c00", "c01"], &[("c00", "0.02 mg m-3"), ("c01", "0.01 mg m-3")]),
        rule: VerticalRule::LinearP,
        phases: flights.iter().map(|f| (0..f.len()).map(|i| labels[i / 7 % 4]).collect()).collect(),
        fleet: fleet(&flights),
    }
}
