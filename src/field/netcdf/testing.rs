//! Writes classic `NetCDF` files, for tests (the `NetCDF` classic format
//! specification, appendix B of the `NetCDF` user's guide).

use crate::field::cf::{Attribute, Values, testing::MemoryStore};

const NC_CHAR: u32 = 2;
const NC_DOUBLE: u32 = 6;
const DIMENSIONS: u32 = 10;
const VARIABLES: u32 = 11;
const ATTRIBUTES: u32 = 12;

/// The store as a file of version 1, 2 or 5; `record` names the unlimited
/// dimension, which must be the first of those that have it.
pub(crate) fn classic(version: u8, store: &MemoryStore, record: Option<&str>) -> Vec<u8> {
    let mut dims: Vec<(&str, usize)> = Vec::new();
    for array in &store.arrays {
        for (dim, n) in array.dims.iter().zip(&array.shape) {
            if !dims.iter().any(|(name, _)| name == dim) {
                dims.push((dim, *n));
            }
        }
    }
    // Offsets have a fixed width: the header is as long whatever they are.
    let length = Writer { version, record, dims: &dims }.header(store, &vec![0; store.arrays.len()]).len();
    let writer = Writer { version, record, dims: &dims };
    let (offsets, body) = writer.body(store, length);
    let mut file = writer.header(store, &offsets);
    file.extend(body);
    file
}

struct Writer<'a> {
    version: u8,
    record: Option<&'a str>,
    dims: &'a [(&'a str, usize)],
}

impl Writer<'_> {
    fn header(&self, store: &MemoryStore, offsets: &[usize]) -> Vec<u8> {
        let mut out = vec![b'C', b'D', b'F', self.version];
        self.count(&mut out, self.records());
        self.list(&mut out, DIMENSIONS, self.dims.len());
        for (name, n) in self.dims {
            self.name(&mut out, name);
            self.count(&mut out, if Some(*name) == self.record { 0 } else { *n });
        }
        self.list(&mut out, 0, 0);
        self.list(&mut out, VARIABLES, store.arrays.len());
        for ((array, values), offset) in store.arrays.iter().zip(&store.values).zip(offsets) {
            self.name(&mut out, &array.name);
            self.count(&mut out, array.dims.len());
            for dim in &array.dims {
                self.count(&mut out, self.dims.iter().position(|(name, _)| name == dim).unwrap());
            }
            self.list(&mut out, if array.attributes.is_empty() { 0 } else { ATTRIBUTES }, array.attributes.len());
            for (name, value) in &array.attributes {
                self.attribute(&mut out, name, value);
            }
            let (code, bytes) = encode(values);
            out.extend(code.to_be_bytes());
            self.count(&mut out, padded(bytes.len() / self.parts(&array.dims)));
            match self.version {
                1 => out.extend(u32::try_from(*offset).unwrap().to_be_bytes()),
                _ => out.extend((*offset as u64).to_be_bytes()),
            }
        }
        out
    }

    /// Where each variable starts, and all their values.
    fn body(&self, store: &MemoryStore, start: usize) -> (Vec<usize>, Vec<u8>) {
        let mut offsets = vec![0; store.arrays.len()];
        let mut body = Vec::new();
        let is_record =
            |i: usize| store.arrays[i].dims.first().map(String::as_str) == self.record && self.record.is_some();
        let encoded: Vec<Vec<u8>> = store.values.iter().map(|v| encode(v).1).collect();
        for i in (0..encoded.len()).filter(|&i| !is_record(i)) {
            offsets[i] = start + body.len();
            body.extend(&encoded[i]);
            body.resize(padded(body.len()), 0);
        }
        for record in 0..self.records() {
            for i in (0..encoded.len()).filter(|&i| is_record(i)) {
                if record == 0 {
                    offsets[i] = start + body.len();
                }
                let length = encoded[i].len() / self.records();
                body.extend(&encoded[i][record * length..(record + 1) * length]);
                body.resize(padded(body.len()), 0);
            }
        }
        (offsets, body)
    }

    fn records(&self) -> usize {
        self.dims.iter().find(|(name, _)| Some(*name) == self.record).map_or(0, |(_, n)| *n)
    }

    /// Records that the values of a variable are spread over.
    fn parts(&self, dims: &[String]) -> usize {
        if self.record.is_some() && dims.first().map(String::as_str) == self.record { self.records() } else { 1 }
    }

    fn count(&self, out: &mut Vec<u8>, n: usize) {
        match self.version {
            5 => out.extend((n as u64).to_be_bytes()),
            _ => out.extend(u32::try_from(n).unwrap().to_be_bytes()),
        }
    }

    fn list(&self, out: &mut Vec<u8>, tag: u32, n: usize) {
        out.extend(tag.to_be_bytes());
        self.count(out, n);
    }

    fn name(&self, out: &mut Vec<u8>, name: &str) {
        self.count(out, name.len());
        out.extend(name.as_bytes());
        out.resize(padded(out.len()), 0);
    }

    fn attribute(&self, out: &mut Vec<u8>, name: &str, value: &Attribute) {
        self.name(out, name);
        match value {
            Attribute::Text(text) => {
                out.extend(NC_CHAR.to_be_bytes());
                self.count(out, text.len());
                out.extend(text.as_bytes());
            }
            Attribute::Numbers(numbers) => {
                out.extend(NC_DOUBLE.to_be_bytes());
                self.count(out, numbers.len());
                out.extend(numbers.iter().flat_map(|n| n.to_be_bytes()));
            }
        }
        out.resize(padded(out.len()), 0);
    }
}

/// The type's code and the values, most significant byte first.
fn encode(values: &Values) -> (u32, Vec<u8>) {
    macro_rules! bytes {
        ($values:expr) => {
            $values.iter().flat_map(|v| v.to_be_bytes()).collect()
        };
    }
    match values {
        Values::I8(v) => (1, bytes!(v)),
        Values::I16(v) => (3, bytes!(v)),
        Values::I32(v) => (4, bytes!(v)),
        Values::F32(v) => (5, bytes!(v)),
        Values::F64(v) => (6, bytes!(v)),
        Values::U8(v) => (7, bytes!(v)),
        Values::U16(v) => (8, bytes!(v)),
        Values::U32(v) => (9, bytes!(v)),
        Values::I64(v) => (10, bytes!(v)),
        Values::U64(v) => (11, bytes!(v)),
    }
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
