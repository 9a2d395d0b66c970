//! Fields in memory: what a test says a file holds.

use skydose::field::{
    Chunk, FieldError, FieldSource, Levels, Variable, Window,
    dataset::{Dataset, DatasetFile, VariableRule},
};

/// The axes of a variable, in the order of the file that it plays.
#[derive(Debug, Clone, PartialEq)]
pub struct Axes {
    pub times_s: Vec<f64>,
    pub members: Vec<String>,
    pub levels: Levels,
    pub latitudes_deg: Vec<f64>,
    pub longitudes_deg: Vec<f64>,
}

/// A point of a variable's grid.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub member: usize,
    pub time_s: f64,
    /// Pa, m, hundreds of feet or the level's number; 0 at the surface.
    pub level: f64,
    pub latitude_deg: f64,
    pub longitude_deg: f64,
}

/// A file in memory.
#[derive(Clone, Default)]
pub struct Memory {
    variables: Vec<Variable>,
    /// `[member][time][level][latitude][longitude]`, a list a variable.
    values: Vec<Vec<f32>>,
}

impl Axes {
    /// Without an ensemble.
    pub fn new(times_s: Vec<f64>, levels: Levels, latitudes_deg: Vec<f64>, longitudes_deg: Vec<f64>) -> Self {
        Self { times_s, members: Vec::new(), levels, latitudes_deg, longitudes_deg }
    }

    /// The same axes at the surface.
    pub fn surface(&self) -> Self {
        Self { levels: Levels::Surface, ..self.clone() }
    }
}

/// The level's number as files write it.
pub fn level_value(levels: &Levels, index: usize) -> f64 {
    match levels {
        Levels::Surface => 0.0,
        Levels::Pressure(v) | Levels::Altitude(v) | Levels::FlightLevel(v) => v[index],
        Levels::Hybrid(hybrid) => f64::from(hybrid.numbers[index]),
    }
}

/// `n` numbers from `first` on, `step` apart.
pub fn steps(first: f64, step: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| first + step * i as f64).collect()
}

/// From 0 on, `step` apart, and the end.
pub fn upto(end: f64, step: f64) -> Vec<f64> {
    let mut numbers = Vec::new();
    while numbers.len() as f64 * step < end {
        numbers.push(numbers.len() as f64 * step);
    }
    numbers.push(end);
    numbers
}

impl Memory {
    /// Adds a variable whose values `of` gives, node by node.
    #[expect(clippy::cast_possible_truncation, reason = "files are single precision")]
    pub fn with(mut self, name: &str, units: &str, axes: &Axes, mut of: impl FnMut(Node) -> f64) -> Self {
        let mut values = Vec::new();
        for member in 0..axes.members.len().max(1) {
            for &time_s in &axes.times_s {
                for level in 0..axes.levels.len() {
                    for &latitude_deg in &axes.latitudes_deg {
                        for &longitude_deg in &axes.longitudes_deg {
                            let level = level_value(&axes.levels, level);
                            values.push(of(Node { member, time_s, level, latitude_deg, longitude_deg }) as f32);
                        }
                    }
                }
            }
        }
        self.variables.push(Variable {
            name: name.to_owned(),
            standard_name: None,
            long_name: None,
            units: Some(units.to_owned()),
            times_s: axes.times_s.clone(),
            members: axes.members.clone(),
            levels: axes.levels.clone(),
            latitudes_deg: axes.latitudes_deg.clone(),
            longitudes_deg: axes.longitudes_deg.clone(),
            chunk: Chunk { times: 1, levels: 1 },
        });
        self.values.push(values);
        self
    }

    /// The number of a variable.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|v| v.name == name)
    }

    /// The same file with another name for a variable.
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        for variable in self.variables.iter_mut().filter(|v| v.name == from) {
            to.clone_into(&mut variable.name);
        }
        self
    }

    /// The variable's description.
    pub fn header(&self, variable: usize) -> &Variable {
        &self.variables[variable]
    }

    /// One value, by its place along each axis of the file.
    pub fn value(&self, variable: usize, place: [usize; 5]) -> f32 {
        let v = &self.variables[variable];
        let [member, time, level, latitude, longitude] = place;
        let at = ((member * v.times_s.len() + time) * v.levels.len() + level) * v.latitudes_deg.len() + latitude;
        self.values[variable][at * v.longitudes_deg.len() + longitude]
    }

    /// A data set of this file alone.
    pub fn dataset(self) -> Dataset {
        dataset(vec![self], DatasetFile::default())
    }
}

/// A data set of files.
pub fn dataset(files: Vec<Memory>, file: DatasetFile) -> Dataset {
    let sources = files.into_iter().map(|f| Box::new(f) as Box<dyn FieldSource>).collect();
    Dataset::of(sources, file).expect("a data set")
}

/// A data-set file that makes contaminants of names that the catalogue has not.
pub fn naming(names: &[&str]) -> DatasetFile {
    let rule = |name: &&str| {
        let rule = VariableRule { contaminant: Some((*name).to_owned()), ..VariableRule::default() };
        ((*name).to_owned(), rule)
    };
    DatasetFile { variables: names.iter().map(rule).collect(), ..DatasetFile::default() }
}

impl FieldSource for Memory {
    fn format(&self) -> String {
        "memory".to_owned()
    }

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn remarks(&self) -> &[String] {
        &[]
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        assert_eq!(out.len(), window.len(), "a buffer as long as the window");
        let mut to = out.iter_mut();
        for time in window.times.clone() {
            for level in window.levels.clone() {
                for latitude in window.latitudes.clone() {
                    for longitude in window.longitudes.clone() {
                        let value = self.value(variable, [window.member, time, level, latitude, longitude]);
                        *to.next().expect("as long as the window") = value;
                    }
                }
            }
        }
        Ok(())
    }
}
