//! Writes small GRIB2 messages, section by section, after WMO-No. 306.

/// The reference time of every message: 2024-03-01T06:00:00Z.
pub const REFERENCE_S: f64 = 1_709_272_800.0;

/// A section: length, number, body.
pub fn section(number: u8, body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(body.len() + 5).unwrap().to_be_bytes().to_vec();
    out.push(number);
    out.extend(body);
    out
}

/// A message of ECMWF's (`centre` 98) with these sections behind section 1.
pub fn message(discipline: u8, centre: u16, sections: &[Vec<u8>]) -> Vec<u8> {
    let mut identification = centre.to_be_bytes().to_vec();
    identification.extend([0, 0, 32, 0, 1, 0x07, 0xe8, 3, 1, 6, 0, 0, 0, 1]);
    let mut body = section(1, &identification);
    body.extend(sections.concat());
    body.extend(b"7777");
    let mut out = b"GRIB\xff\xff".to_vec();
    out.extend([discipline, 2]);
    out.extend((16 + body.len() as u64).to_be_bytes());
    out.extend(body);
    out
}

/// A number with a sign bit.
fn signed(value: i32) -> [u8; 4] {
    let sign = if value < 0 { 0x8000_0000 } else { 0 };
    (value.unsigned_abs() | sign).to_be_bytes()
}

/// Section 3, templates 3.0 and 3.40.
#[derive(Clone)]
pub struct Grid {
    pub template: u16,
    pub columns: u32,
    pub rows: u32,
    /// Latitude and longitude in units of 10⁻⁶ degrees.
    pub first: (i32, i32),
    pub last: (i32, i32),
    /// Increments of longitude and latitude (or parallels, if Gaussian).
    pub steps: (u32, u32),
    pub flags: u8,
    pub scanning: u8,
    pub basic: (u32, u32),
}

impl Grid {
    /// 4 × 3 points, 10° apart, from 50 N 0 E.
    pub const SMALL: Self = Self {
        template: 0,
        columns: 4,
        rows: 3,
        first: (50_000_000, 0),
        last: (30_000_000, 30_000_000),
        steps: (10_000_000, 10_000_000),
        flags: 0x30,
        scanning: 0,
        basic: (0, u32::MAX),
    };

    pub fn section(&self) -> Vec<u8> {
        let mut body = vec![0];
        body.extend((self.columns * self.rows).to_be_bytes());
        body.extend([0, 0]);
        body.extend(self.template.to_be_bytes());
        body.extend([6; 1]);
        body.extend([0xff; 15]);
        for value in [self.columns, self.rows, self.basic.0, self.basic.1] {
            body.extend(value.to_be_bytes());
        }
        body.extend([signed(self.first.0), signed(self.first.1)].concat());
        body.push(self.flags);
        body.extend([signed(self.last.0), signed(self.last.1)].concat());
        body.extend([self.steps.0.to_be_bytes(), self.steps.1.to_be_bytes()].concat());
        body.push(self.scanning);
        section(3, &body)
    }
}

/// Section 4.
#[derive(Clone)]
pub struct Product {
    pub template: u16,
    pub parameter: (u8, u8),
    /// What the template has between the parameter and the process.
    pub chemistry: Vec<u8>,
    /// Unit of code table 4.4 and the forecast time in it.
    pub forecast: (u8, i32),
    /// Type, scale factor, scaled value.
    pub level: (u8, u8, u32),
    /// What the template has behind the second surface.
    pub tail: Vec<u8>,
    /// Coordinate values.
    pub coefficients: Vec<f32>,
}

impl Product {
    /// Temperature at 500 hPa, 3 hours ahead.
    pub fn temperature() -> Self {
        Self {
            template: 0,
            parameter: (0, 0),
            chemistry: Vec::new(),
            forecast: (1, 3),
            level: (100, 0, 50_000),
            tail: Vec::new(),
            coefficients: Vec::new(),
        }
    }

    /// Mass mixing ratio of a constituent at 500 hPa, template 4.40.
    pub fn constituent(number: u16) -> Self {
        Self { template: 40, parameter: (20, 2), chemistry: number.to_be_bytes().to_vec(), ..Self::temperature() }
    }

    pub fn section(&self) -> Vec<u8> {
        let mut body = u16::try_from(self.coefficients.len()).unwrap().to_be_bytes().to_vec();
        body.extend(self.template.to_be_bytes());
        body.extend([self.parameter.0, self.parameter.1]);
        body.extend(&self.chemistry);
        body.extend([2, 0, 0, 0, 0, 0, self.forecast.0]);
        if self.template == 44 {
            body.extend(&signed(self.forecast.1)[2..]);
        } else {
            body.extend(signed(self.forecast.1));
        }
        body.extend([self.level.0, self.level.1]);
        body.extend(self.level.2.to_be_bytes());
        body.extend([0xff; 6]);
        body.extend(&self.tail);
        body.extend(self.coefficients.iter().flat_map(|c| c.to_be_bytes()));
        section(4, &body)
    }
}

/// The end of an interval (2024-03-01 and `hour`) and one time range of it.
pub fn interval(hour: u8, process: u8) -> Vec<u8> {
    let mut out = vec![0x07, 0xe8, 3, 1, hour, 0, 0, 1, 0, 0, 0, 0, process, 2, 1];
    out.extend([0, 0, 0, 3, 255, 0, 0, 0, 0]);
    out
}

/// Section 5, simple packing: value = (R + X 2^E) 10^−D.
pub fn simple(n: usize, reference: f32, binary: u16, decimal: u16, bits: u8) -> Vec<u8> {
    let mut body = u32::try_from(n).unwrap().to_be_bytes().to_vec();
    body.extend([0, 0]);
    body.extend(reference.to_be_bytes());
    body.extend([binary.to_be_bytes(), decimal.to_be_bytes()].concat());
    body.extend([bits, 0]);
    section(5, &body)
}

pub fn bits(values: impl IntoIterator<Item = bool>) -> Vec<u8> {
    let values: Vec<bool> = values.into_iter().collect();
    values.chunks(8).map(|byte| byte.iter().enumerate().map(|(i, &bit)| u8::from(bit) << (7 - i)).sum()).collect()
}

/// Sections 5 to 7 of whole numbers in 16 bits, `None` by a bit map.
pub fn numbers(values: &[Option<u16>]) -> Vec<Vec<u8>> {
    let present: Vec<u16> = values.iter().filter_map(|&v| v).collect();
    let bitmap = if present.len() == values.len() {
        section(6, &[255])
    } else {
        section(6, &[vec![0], bits(values.iter().map(Option::is_some))].concat())
    };
    let data: Vec<u8> = present.iter().flat_map(|v| v.to_be_bytes()).collect();
    vec![simple(present.len(), 0.0, 0, 0, 16), bitmap, section(7, &data)]
}

/// A whole message: `product` on [`Grid::SMALL`], the same number everywhere.
pub fn field(product: &Product, number: u16) -> Vec<u8> {
    on_grid(&Grid::SMALL, product, &[Some(number); 12])
}

pub fn on_grid(grid: &Grid, product: &Product, values: &[Option<u16>]) -> Vec<u8> {
    let mut sections = vec![grid.section(), product.section()];
    sections.extend(numbers(values));
    message(0, 98, &sections)
}
