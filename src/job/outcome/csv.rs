//! Results as CSV: RFC 4180 with `\n`, a header, maps as JSON text.

use std::{io::Write, path::Path};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde_json::{Map, Value};

use super::{
    Metadata, OutcomeError, TableWriter,
    cell::{self, Cells},
    file::AtomicFile,
};

pub(super) struct Csv {
    file: AtomicFile,
    /// What readers of CSV have no place for, and the file beside it for that.
    metadata: (Map<String, Value>, AtomicFile),
}

impl Csv {
    pub(super) fn create(path: &Path, schema: &SchemaRef, metadata: Metadata) -> Result<Self, OutcomeError> {
        cell::check(path, schema)?;
        let mut file = AtomicFile::create(path)?;
        let mut header = Vec::new();
        for (i, field) in schema.fields().iter().enumerate() {
            if i > 0 {
                header.push(b',');
            }
            write_text(field.name(), &mut header);
        }
        header.push(b'\n');
        file.write_all(&header).map_err(OutcomeError::io(path))?;
        let mut name = path.as_os_str().to_owned();
        name.push(".meta.json");
        let metadata = (metadata.document(schema), AtomicFile::create(Path::new(&name))?);
        Ok(Self { file, metadata })
    }
}

impl TableWriter for Csv {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutcomeError> {
        cell::write_rows(&mut self.file, batch, |columns, row, out| {
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_cell(column, row, out);
            }
            out.push(b'\n');
        })
    }

    fn note(&mut self, name: &str, value: &str) {
        self.metadata.0.insert(name.to_owned(), value.into());
    }

    fn finish(self: Box<Self>) -> Result<(), OutcomeError> {
        let (document, mut beside) = self.metadata;
        if !document.is_empty() {
            let io = OutcomeError::io(self.file.target());
            serde_json::to_writer_pretty(&mut beside, &document).map_err(|e| io(e.into()))?;
            beside.finish()?;
        }
        self.file.finish()
    }
}

fn write_cell(cells: &Cells<'_>, row: usize, out: &mut Vec<u8>) {
    match cells {
        Cells::Number(write) | Cells::Time(write) => _ = write(row, out),
        Cells::Text(get) => {
            if let Some(text) = get(row) {
                write_text(text, out);
            }
        }
        Cells::Document(write) => {
            let mut document = Vec::new();
            if write(row, &mut document) {
                quote(&document, out);
            }
        }
    }
}

/// Text in quotes where it needs them; the empty text always, because an
/// empty cell is a missing one.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    if text.is_empty() || text.bytes().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        quote(text.as_bytes(), out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
