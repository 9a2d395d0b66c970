//! Jobs for tests.

use proptest::prelude::*;

use super::{Id, Job, Terms};
use crate::{
    exposure::{
        flow::{EngineFlow, Flow, FlowPhases, FlowTable},
        program::Integration,
        request::{Limit, Request},
    },
    grid::VerticalRule,
    trajectory::{Fleet, Loaded, Waypoint},
    units::Pressure,
};

pub(crate) fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub(crate) fn terms() -> Terms {
    Terms {
        id: id("s-000001"),
        submission: id("s"),
        dataset: id("cams"),
        request: Request::default(),
        vertical: VerticalRule::default(),
        deadline: None,
    }
}

pub(crate) fn waypoint(time_s: f64, longitude_deg: f64) -> Waypoint {
    Waypoint { time_s, longitude_deg, latitude_deg: 47.5, pressure: Pressure::from_pascal(23_842.0), on_ground: false }
}

pub(crate) fn fleet(flights: usize) -> Fleet {
    let mut fleet = Fleet::new();
    for i in 0..flights {
        let waypoints: Vec<Waypoint> =
            (0..5).map(|k| waypoint(1.7e9 + f64::from(k) * 60.0, f64::from(k) * 0.1 + 8.0)).collect();
        fleet.push(format!("F{i}"), &waypoints).unwrap();
    }
    fleet
}

pub(crate) fn job(flights: usize) -> Job {
    Job { terms: terms(), flights: Loaded { fleet: fleet(flights), ..Loaded::default() } }
}

fn limit() -> impl Strategy<Value = Limit> {
    let unit = prop::sample::select(vec!["mg m-3", "ppbv", "g s m-3", "kg kg-1"]);
    (1e-6..1e6_f64, unit).prop_map(|(value, unit)| Limit::parse(&format!("{value} {unit}")).unwrap())
}

fn flow() -> impl Strategy<Value = EngineFlow> {
    let curve = prop_oneof![
        (0.0..90.0_f64).prop_map(Flow::Constant),
        (0.0..90.0_f64, 0.0..90.0_f64)
            .prop_map(|(a, b)| Flow::Curve { altitude_ft: vec![0.0, 35_000.0], kg_s: vec![a, b] }),
    ];
    (1..5_u8, [curve.clone(), curve.clone(), curve.clone(), curve]).prop_map(
        |(engines, [ground, climb, cruise, descent])| {
            let core_mass_flow = FlowPhases { ground, climb, cruise, descent };
            EngineFlow::of(FlowTable { engines: f64::from(engines), core_mass_flow }).unwrap()
        },
    )
}

prop_compose! {
    /// Terms with catalogue names, as decoded messages have them.
    pub(crate) fn any_terms()(
        ids in ["[a-z0-9]{1,8}", "[a-z0-9]{1,8}", "[A-Za-z0-9][A-Za-z0-9._-]{0,30}"],
        contaminants in prop::sample::subsequence(vec!["ash", "dust", "ozone", "my-tracer"], 0..4),
        thresholds in prop::collection::btree_map(
            prop::sample::select(vec!["ash".to_owned(), "dust".to_owned()]), prop::collection::vec(limit(), 1..3), 0..2),
        waypoints in any::<bool>(),
        vertical in prop::sample::select(vec![VerticalRule::LinearP, VerticalRule::LogP, VerticalRule::LayerMean]),
        engine_flow in prop::option::of(flow()),
        deadline in prop::option::of(0..2_000_000_000_i64),
    ) -> Terms {
        let [id, submission, dataset] = ids.map(|text| text.parse().unwrap());
        Terms {
            id, submission, dataset, vertical,
            request: Request {
                contaminants: contaminants.into_iter().map(str::to_owned).collect(),
                thresholds,
                integration: if waypoints { Integration::Waypoints } else { Integration::Path },
                engine_flow,
            },
            deadline: deadline.map(|s| jiff::Timestamp::from_second(s).unwrap()),
        }
    }
}

fn any_waypoints() -> impl Strategy<Value = Vec<Waypoint>> {
    let step = (1e-3..600.0_f64, -180.0..180.0_f64, -90.0..=90.0_f64, 1.0..110_000.0_f64, any::<bool>());
    (0.0..2e9_f64, prop::collection::vec(step, 1..20)).prop_map(|(start_s, steps)| {
        let mut time_s = start_s;
        steps
            .into_iter()
            .map(|(step_s, longitude_deg, latitude_deg, pascal, on_ground)| {
                time_s += step_s;
                Waypoint { time_s, longitude_deg, latitude_deg, pressure: Pressure::from_pascal(pascal), on_ground }
            })
            .collect()
    })
}

/// Fleets of any values that a fleet may hold.
pub(crate) fn any_fleet(flights: std::ops::Range<usize>) -> impl Strategy<Value = Fleet> {
    // Names as tables keep them: no blanks around, no marks for what is missing.
    prop::collection::btree_map("[A-Za-z0-9ßé_][ -~ßé]{0,10}[0-9]", any_waypoints(), flights).prop_map(|flights| {
        let mut fleet = Fleet::new();
        for (id, waypoints) in flights {
            fleet.push(id, &waypoints).unwrap();
        }
        fleet
    })
}
