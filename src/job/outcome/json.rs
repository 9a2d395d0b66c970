//! Results as one JSON document: `{"exposures": [{…}, …], "metadata": {…}}`,
//! one row a line.

use std::{io::Write, path::Path};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde_json::{Map, Value};

use super::{
    Metadata, OutcomeError, TableName, TableWriter,
    cell::{self, Cells},
    file::AtomicFile,
};

pub(super) struct Json {
    file: AtomicFile,
    /// `"name":` of each column.
    keys: Vec<Vec<u8>>,
    /// Whether a row was written, from which a comma parts the next.
    rows: bool,
    metadata: Map<String, Value>,
}

impl Json {
    pub(super) fn create(
        path: &Path,
        schema: &SchemaRef,
        metadata: Metadata,
        name: TableName,
    ) -> Result<Self, OutcomeError> {
        cell::check(path, schema)?;
        let keys = schema.fields().iter().map(|field| {
            let mut key = Vec::new();
            cell::write_json_text(field.name(), &mut key);
            key.push(b':');
            key
        });
        let metadata = metadata.document(schema);
        let mut json = Self { file: AtomicFile::create(path)?, keys: keys.collect(), rows: false, metadata };
        let head = format!("{{\"{}\":[", name.rows);
        json.file.write_all(head.as_bytes()).map_err(OutcomeError::io(path))?;
        Ok(json)
    }
}

impl TableWriter for Json {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutcomeError> {
        let (keys, rows) = (&self.keys, self.rows);
        self.rows |= batch.num_rows() > 0;
        cell::write_rows(&mut self.file, batch, |columns, row, out| {
            out.extend_from_slice(if rows || row > 0 { b",\n{" } else { b"\n{" });
            for (i, (key, column)) in keys.iter().zip(columns).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(key);
                write_cell(column, row, out);
            }
            out.push(b'}');
        })
    }

    fn note(&mut self, name: &str, value: &str) {
        self.metadata.insert(name.to_owned(), value.into());
    }

    fn finish(mut self: Box<Self>) -> Result<(), OutcomeError> {
        let metadata = Value::from(std::mem::take(&mut self.metadata));
        let tail = format!("\n],\n\"metadata\":{metadata}}}\n");
        self.file.write_all(tail.as_bytes()).map_err(OutcomeError::io(self.file.target()))?;
        self.file.finish()
    }
}

fn write_cell(cells: &Cells<'_>, row: usize, out: &mut Vec<u8>) {
    let there = match cells {
        Cells::Number(write) | Cells::Document(write) => write(row, out),
        Cells::Time(write) => {
            out.push(b'"');
            let there = write(row, out);
            if there {
                out.push(b'"');
            } else {
                out.pop();
            }
            there
        }
        Cells::Text(get) => get(row).is_some_and(|text| {
            cell::write_json_text(text, out);
            true
        }),
    };
    if !there {
        out.extend_from_slice(b"null");
    }
}
