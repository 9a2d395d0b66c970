//! The list of fields in a file, from the headers alone: no data is decoded.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::Arc,
};

use super::{
    super::FieldError,
    Fault,
    decode::{Bitmap, Packed},
    grid::{GaussianLatitudes, Grid},
    input::{Headers, Input, Span},
    octets::Octets,
    product::{self, HalfLevels, Origin, Product, Surface},
};

/// Bytes that are not GRIB are skipped up to this many in a row: bulletins'
/// headings, padding.
const MAX_JUNK: usize = 64 * 1024;

/// Sections 1, 3, 4 and 5 are read whole; the longest real ones, with lists
/// of points or coordinates, stay far below this.
const MAX_HEADER: usize = 1 << 20;

/// More distinct grids than this in one file are not a field but noise.
const MAX_GRIDS: usize = 256;

const INDICATOR: u64 = 16;
const END: &[u8] = b"7777";

/// One horizontal field.
#[derive(Debug)]
pub(super) struct Field {
    /// First byte of its message.
    pub position: u64,
    pub product: Product,
    pub half_levels: Option<HalfLevels>,
    /// Into [`Index::grids`].
    pub grid: usize,
    pub packed: Packed,
}

/// Why a field is not read, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    pub what: String,
    pub remedy: String,
}

type Refusable<T> = Result<T, Refusal>;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub fields: Vec<Field>,
    pub grids: Vec<Arc<Grid>>,
    /// Fields that are not read, and how many of each kind.
    pub refused: BTreeMap<Refusal, usize>,
    pub messages: usize,
    /// Where the first bytes between messages lie that are not padding, and how
    /// many there are.
    pub junk: Option<(u64, u64)>,
}

/// Lists the fields of `input`.
pub(super) fn scan(path: &Path, input: &Input) -> Result<Index, FieldError> {
    let mut scanner = Scanner {
        path,
        headers: Headers::new(input),
        len: input.len(),
        index: Index::default(),
        grids: HashMap::new(),
        gaussians: GaussianLatitudes::default(),
        half_levels: HashMap::new(),
    };
    if scanner.len == 0 {
        return Err(FieldError::corrupt(path, "the file is empty"));
    }
    let mut at = 0;
    while let Some(start) = scanner.next_message(at)? {
        at = scanner.message(start)?;
    }
    Ok(scanner.index)
}

struct Scanner<'a> {
    path: &'a Path,
    headers: Headers<'a>,
    len: u64,
    index: Index,
    /// By the bytes of section 3.
    grids: HashMap<Vec<u8>, Refusable<usize>>,
    gaussians: GaussianLatitudes,
    /// By the bytes of the coefficients.
    half_levels: HashMap<Vec<u8>, HalfLevels>,
}

/// The sections that stay in force within a message until others replace them.
#[derive(Default)]
struct InForce {
    grid: Option<Refusable<usize>>,
    product: Option<Refusable<(Product, Option<HalfLevels>)>>,
    representation: Option<Arc<[u8]>>,
    bitmap: Option<Bitmap>,
    /// The last bit map that was written out, for those who refer to it.
    defined_bitmap: Option<Span>,
}

impl Scanner<'_> {
    fn io(&self, source: io::Error) -> FieldError {
        FieldError::Io { path: self.path.to_owned(), source }
    }

    fn get(&mut self, at: u64, len: usize) -> Result<&[u8], FieldError> {
        // The borrow of the bytes must not hold `self` in the error's arm.
        if let Err(source) = self.headers.get(at, len) {
            return Err(self.io(source));
        }
        let path = self.path;
        self.headers.get(at, len).map_err(|source| FieldError::Io { path: path.to_owned(), source })
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> FieldError {
        FieldError::corrupt(self.path, what)
    }

    /// Where the next message begins, at `at` or behind.
    fn next_message(&mut self, at: u64) -> Result<Option<u64>, FieldError> {
        if at >= self.len {
            return Ok(None);
        }
        let none_yet = self.index.messages == 0;
        let bytes = self.get(at, MAX_JUNK)?;
        let reached = at + bytes.len() as u64;
        let found = bytes.windows(4).position(|window| window == b"GRIB");
        let skipped = found.map_or(reached - at, |n| n as u64);
        // Archives pad messages to whole blocks with zeros, which is no news.
        let is_padding = bytes[..found.unwrap_or(bytes.len())].iter().all(|&byte| byte == 0);
        if found.is_none() && (none_yet || reached < self.len) {
            let first = if none_yet { "the file" } else { "the file goes on but" };
            return Err(self.corrupt(format!("{first} has no GRIB message in the {skipped} bytes from byte {at}")));
        }
        if skipped > 0 && !is_padding {
            let (_, bytes) = self.index.junk.get_or_insert((at, 0));
            *bytes += skipped;
        }
        Ok(found.map(|_| at + skipped))
    }

    /// Lists the fields of the message at `start`, and says where it ends.
    fn message(&mut self, start: u64) -> Result<u64, FieldError> {
        let total = self.indicator(start)?;
        let end = start + total - END.len() as u64;
        if self.get(end, END.len())? != END {
            return Err(self.corrupt(format!(
                "the message at byte {start} says that it is {total} bytes long, but does not end with 7777 there"
            )));
        }
        self.index.messages += 1;
        let discipline = self.get(start, 7)?[6];
        let mut origin = None;
        let mut force = InForce::default();
        let mut at = start + INDICATOR;
        while at < end {
            let header: Option<[u8; 5]> = self.get(at, 5)?.try_into().ok();
            let Some([a, b, c, d, number]) = header else { return Err(self.corrupt("the file got shorter")) };
            let len = u32::from_be_bytes([a, b, c, d]);
            if len < 5 || u64::from(len) > end - at {
                return Err(self.corrupt(format!(
                    "section {number} at byte {at} says that it is {len} bytes long, expected 5 to {}",
                    end - at
                )));
            }
            let span = Span { at, len: len as usize };
            self.section(number, span, (start, discipline), &mut origin, &mut force)?;
            at += u64::from(len);
        }
        Ok(end + END.len() as u64)
    }

    /// Reads section 0 and returns the message's length.
    fn indicator(&mut self, start: u64) -> Result<u64, FieldError> {
        let bytes: Option<[u8; 16]> = self.get(start, 16)?.try_into().ok();
        let left = self.len - start;
        let Some(bytes) = bytes else {
            return Err(self.corrupt(format!("truncated: the message at byte {start} ends after {left} bytes")));
        };
        match bytes[7] {
            2 => {}
            1 => {
                return Err(FieldError::unsupported(
                    self.path,
                    format_args!("the message at byte {start} is GRIB edition 1"),
                    "convert the file to edition 2 (`grib_set -s edition=2 in.grib out.grib2`)",
                ));
            }
            other => {
                return Err(self.corrupt(format!("the message at byte {start} has GRIB edition {other}, expected 2")));
            }
        }
        let [.., a, b, c, d, e, f, g, h] = bytes;
        let total = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        if total < INDICATOR + END.len() as u64 {
            return Err(self.corrupt(format!("the message at byte {start} says that it is {total} bytes long")));
        }
        if total > left {
            return Err(self.corrupt(format!(
                "truncated: the message at byte {start} says that it is {total} bytes long, but the file ends after {left}"
            )));
        }
        Ok(total)
    }

    fn section(
        &mut self,
        number: u8,
        span: Span,
        (start, discipline): (u64, u8),
        origin: &mut Option<Origin>,
        force: &mut InForce,
    ) -> Result<(), FieldError> {
        let path = self.path;
        let fault = |fault: Fault| fault.at(path, start);
        match number {
            1 => {
                let bytes = self.header(span)?.to_vec();
                let section = Octets::new(1, &bytes);
                let centre = section.u16(6).map_err(fault)?;
                let reference_s = product::date_s(section, 13).map_err(fault)?;
                *origin = Some(Origin { discipline, centre, reference_s });
            }
            2 => {}
            3 => force.grid = Some(self.grid(span).map_err(|e| e.at(path, start))?),
            4 => {
                let Some(origin) = *origin else { return Err(self.missing(start, 1)) };
                force.product = Some(self.product(span, origin).map_err(|e| e.at(path, start))?);
            }
            5 => force.representation = Some(self.header(span)?.into()),
            6 => force.bitmap = Some(self.bitmap(span, force).map_err(|e| e.at(path, start))?),
            7 => self.field(start, span, force)?,
            other => {
                return Err(
                    self.corrupt(format!("section {other} at byte {}, expected a section from 1 to 7", span.at))
                );
            }
        }
        Ok(())
    }

    fn missing(&self, start: u64, section: u8) -> FieldError {
        self.corrupt(format!("the message at byte {start} lacks section {section} where it is needed"))
    }

    /// The bytes of a section that is read whole.
    fn header(&mut self, span: Span) -> Result<&[u8], FieldError> {
        if span.len > MAX_HEADER {
            return Err(
                self.corrupt(format!("header section of {} bytes at byte {}, expected less", span.len, span.at))
            );
        }
        self.get(span.at, span.len)
    }

    fn grid(&mut self, span: Span) -> Result<Refusable<usize>, Failure> {
        let bytes = self.header(span)?.to_vec();
        if let Some(known) = self.grids.get(&bytes) {
            return Ok(known.clone());
        }
        if self.grids.len() == MAX_GRIDS {
            return Err(Fault::Corrupt(format!("more than {MAX_GRIDS} different grids in one file")).into());
        }
        let grid = refusable(Grid::parse(Octets::new(3, &bytes), &mut self.gaussians))?.map(|grid| {
            self.index.grids.push(Arc::new(grid));
            self.index.grids.len() - 1
        });
        self.grids.insert(bytes, grid.clone());
        Ok(grid)
    }

    fn product(&mut self, span: Span, origin: Origin) -> Result<Refusable<(Product, Option<HalfLevels>)>, Failure> {
        let bytes = self.header(span)?.to_vec();
        let section = Octets::new(4, &bytes);
        let product = match refusable(Product::parse(section, origin))? {
            Ok(product) => product,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if product.quantity.surface != Surface::Hybrid {
            return Ok(Ok((product, None)));
        }
        let key = &bytes[bytes.len().saturating_sub(4 * usize::from(section.u16(6)?))..];
        if let Some(known) = self.half_levels.get(key) {
            return Ok(Ok((product, Some(Arc::clone(known)))));
        }
        let half_levels = product::half_levels(section)?.map(Arc::new);
        if let Some(new) = &half_levels {
            self.half_levels.insert(key.to_vec(), Arc::clone(new));
        }
        Ok(Ok((product, half_levels)))
    }

    fn bitmap(&mut self, span: Span, force: &mut InForce) -> Result<Bitmap, Failure> {
        let indicator = Octets::new(6, self.get(span.at, span.len.min(6))?).u8(6)?;
        Ok(match indicator {
            0 => {
                let bits = Span { at: span.at + 6, len: span.len - 6 };
                force.defined_bitmap = Some(bits);
                Bitmap::At(bits)
            }
            254 => {
                let before = force.defined_bitmap;
                Bitmap::At(before.ok_or_else(|| Fault::Corrupt("refers to a bit map that it does not define".into()))?)
            }
            255 => Bitmap::None,
            other => Bitmap::Predefined(other),
        })
    }

    /// A data section closes one field.
    fn field(&mut self, start: u64, data: Span, force: &mut InForce) -> Result<(), FieldError> {
        // The grid stays in force, the others are said anew for each field.
        let Some(grid) = force.grid.clone() else { return Err(self.missing(start, 3)) };
        let Some(product) = force.product.take() else { return Err(self.missing(start, 4)) };
        let Some(representation) = force.representation.take() else { return Err(self.missing(start, 5)) };
        let Some(bitmap) = force.bitmap.take() else { return Err(self.missing(start, 6)) };
        let packed = Packed { representation, bitmap, data };
        let supported = match refusable(packed.check()) {
            Ok(supported) => supported,
            Err(fault) => return Err(fault.at(self.path, start)),
        };
        match (grid, product, supported) {
            (Ok(grid), Ok((product, half_levels)), Ok(())) => {
                self.index.fields.push(Field { position: start, product, half_levels, grid, packed });
            }
            (Err(refusal), ..) | (_, Err(refusal), _) | (.., Err(refusal)) => {
                *self.index.refused.entry(refusal).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// A fault of the message, or of the file under it.
enum Failure {
    Fault(Fault),
    File(FieldError),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        Self::File(error)
    }
}

impl Failure {
    fn at(self, path: &Path, start: u64) -> FieldError {
        match self {
            Self::Fault(fault) => fault.at(path, start),
            Self::File(error) => error,
        }
    }
}

/// Keeps what is merely unsupported apart from what is broken.
fn refusable<T>(result: Result<T, Fault>) -> Result<Refusable<T>, Fault> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Unsupported { what, remedy }) => Ok(Err(Refusal { what, remedy })),
        Err(fault) => Err(fault),
    }
}
