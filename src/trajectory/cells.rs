//! Columns that grow cell by cell and find their type on the way.

use std::{fmt, sync::Arc};

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, NullArray};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// A value of a cell; what is nested is kept as its text.
pub(super) enum Cell {
    Null,
    Truth(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Cell, E> {
        Ok(Cell::Truth(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Cell, E> {
        Ok(i64::try_from(v).map_or(Cell::Number(v as f64), Cell::Integer))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Cell, E> {
        Ok(Cell::Number(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Cell, E> {
        Ok(Cell::Text(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Cell, E> {
        Ok(Cell::Text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Cell, A::Error> {
        let value = serde_json::Value::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))?;
        Ok(Cell::Text(value.to_string()))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Cell, A::Error> {
        let value = serde_json::Value::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Cell::Text(value.to_string()))
    }
}

/// The cells of a column so far, in the narrowest type that holds them all.
pub(super) enum Cells {
    Nulls(usize),
    Truths(Vec<Option<bool>>),
    Integers(Vec<Option<i64>>),
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Nulls(n) => *n,
            Self::Truths(v) => v.len(),
            Self::Integers(v) => v.len(),
            Self::Numbers(v) => v.len(),
            Self::Texts(v) => v.len(),
        }
    }

    /// Adds nulls up to a length.
    pub(super) fn pad(&mut self, len: usize) {
        match self {
            Self::Nulls(n) => *n = len,
            Self::Truths(v) => v.resize(len, None),
            Self::Integers(v) => v.resize(len, None),
            Self::Numbers(v) => v.resize(len, None),
            Self::Texts(v) => v.resize(len, None),
        }
    }

    pub(super) fn push(&mut self, cell: Cell) {
        match (&mut *self, cell) {
            (_, Cell::Null) => self.pad(self.len() + 1),
            (Self::Truths(v), Cell::Truth(x)) => v.push(Some(x)),
            (Self::Integers(v), Cell::Integer(x)) => v.push(Some(x)),
            (Self::Numbers(v), Cell::Number(x)) => v.push(Some(x)),
            (Self::Numbers(v), Cell::Integer(x)) => v.push(Some(x as f64)),
            (Self::Texts(v), Cell::Text(x)) => v.push(Some(x)),
            (Self::Texts(v), other) => v.push(other.into_text()),
            (_, cell) => {
                self.widen(&cell);
                self.push(cell);
            }
        }
    }

    /// Makes room for a cell of another type.
    fn widen(&mut self, cell: &Cell) {
        *self = match (std::mem::replace(self, Self::Nulls(0)), cell) {
            (Self::Nulls(n), Cell::Truth(_)) => Self::Truths(vec![None; n]),
            (Self::Nulls(n), Cell::Integer(_)) => Self::Integers(vec![None; n]),
            (Self::Nulls(n), Cell::Number(_)) => Self::Numbers(vec![None; n]),
            (Self::Integers(v), Cell::Number(_)) => Self::Numbers(v.into_iter().map(|x| x.map(|x| x as f64)).collect()),
            (Self::Nulls(n), _) => Self::Texts(vec![None; n]),
            (Self::Truths(v), _) => Self::Texts(text(v)),
            (Self::Integers(v), _) => Self::Texts(text(v)),
            (Self::Numbers(v), _) => Self::Texts(text(v)),
            (texts @ Self::Texts(_), _) => texts,
        };
    }

    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Self::Nulls(n) => Arc::new(NullArray::new(n)),
            Self::Truths(v) => Arc::new(BooleanArray::from(v)),
            Self::Integers(v) => Arc::new(Int64Array::from(v)),
            Self::Numbers(v) => Arc::new(Float64Array::from(v)),
            Self::Texts(v) => Arc::new(LargeStringArray::from(v)),
        }
    }
}

fn text<T: ToString>(values: Vec<Option<T>>) -> Vec<Option<String>> {
    values.into_iter().map(|v| v.map(|v| v.to_string())).collect()
}

impl Cell {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Truth(v) => Some(v.to_string()),
            Self::Integer(v) => Some(v.to_string()),
            Self::Number(v) => Some(v.to_string()),
            Self::Text(v) => Some(v),
        }
    }
}
