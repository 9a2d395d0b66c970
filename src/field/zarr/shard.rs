//! Shards: files that hold many inner chunks and an index of them.
//!
//! Zarr's codec `sharding_indexed`. The index is read here, not by `zarrs`,
//! so that an inner chunk that was never written is known to be missing.

use std::{path::Path, sync::Arc};

use serde_json::Value;
use zarrs::array::{
    BytesRepresentation, BytesToBytesCodecTraits, CodecChain, CodecOptions, DataType, FillValue, codec::Crc32cCodec,
};

use super::{
    codec::{ChunkCodec, caught, chunk_bytes, refuse_unknown},
    file::ChunkFile,
};
use crate::field::FieldError;

/// Offset and length of an inner chunk that was not written.
const ABSENT: u64 = u64::MAX;
const CHECKSUM_BYTES: usize = 4;

/// How the shards of an array are laid out.
pub(super) struct Shards {
    /// Shape of an inner chunk.
    pub(super) inner: Vec<u64>,
    /// Inner chunks along each dimension of a shard.
    counts: Vec<u64>,
    codec: ChunkCodec,
    index_len: usize,
    index_at_end: bool,
    index_has_checksum: bool,
}

/// The index of one shard.
pub(super) struct Index(Vec<u8>);

impl Shards {
    /// From the codec's `configuration`; `shard` is the shape of a shard.
    pub(super) fn new(
        path: &Path,
        configuration: &Value,
        shard: &[u64],
        data_type: (&DataType, usize),
        fill_value: &FillValue,
    ) -> Result<Self, FieldError> {
        let faulty = |what: &str| FieldError::corrupt(path, format!("codec sharding_indexed: {what}"));
        let inner: Vec<u64> =
            serde_json::from_value(configuration["chunk_shape"].clone()).map_err(|_| faulty("no chunk_shape"))?;
        if inner.len() != shard.len() || inner.iter().zip(shard).any(|(&i, s)| i == 0 || s % i != 0) {
            return Err(faulty(&format!("chunk_shape {inner:?} does not divide the shard's {shard:?}")));
        }
        let names = codec_names(&configuration["codecs"]).ok_or_else(|| faulty("no codecs"))?;
        if names.contains(&"sharding_indexed") {
            return Err(FieldError::unsupported(
                path,
                "shards within shards",
                "write the store with one level of them",
            ));
        }
        refuse_unknown(path, &names)?;
        let chain = caught(path, || {
            let codecs =
                serde_json::from_value::<Vec<_>>(configuration["codecs"].clone()).map_err(|e| e.to_string())?;
            CodecChain::from_metadata(&codecs).map(Arc::new).map_err(|e| e.to_string())
        })?;
        let compressors = &names[names.len().saturating_sub(chain.bytes_to_bytes_codecs().len())..];
        let codec = ChunkCodec::new(path, &chain, compressors, data_type, fill_value, &inner)?;

        let counts: Vec<u64> = shard.iter().zip(&inner).map(|(s, i)| s / i).collect();
        let index_has_checksum = match codec_names(&configuration["index_codecs"]).as_deref() {
            Some(["bytes"]) => false,
            Some(["bytes", "crc32c"]) => true,
            other => return Err(faulty(&format!("index_codecs {other:?}, expected bytes and crc32c"))),
        };
        let index_len = chunk_bytes(path, &counts, 16)? + if index_has_checksum { CHECKSUM_BYTES } else { 0 };
        let index_at_end = configuration["index_location"].as_str() != Some("start");
        Ok(Self { inner, counts, codec, index_len, index_at_end, index_has_checksum })
    }

    /// Reads the index of a shard.
    pub(super) fn index(&self, file: &ChunkFile) -> Result<Index, FieldError> {
        let Some(rest) = file.len().checked_sub(self.index_len as u64) else {
            let what = format!("a shard of {} bytes, its index alone has {}", file.len(), self.index_len);
            return Err(FieldError::corrupt(file.path(), what));
        };
        let bytes = file.bytes(if self.index_at_end { rest } else { 0 }, self.index_len)?;
        if !self.index_has_checksum {
            return Ok(Index(bytes));
        }
        caught(file.path(), || {
            Crc32cCodec::new()
                .decode(bytes.into(), &BytesRepresentation::UnboundedSize, &CodecOptions::default())
                .map(|b| Index(b.into_owned()))
                .map_err(|e| format!("index of the shard: {e}"))
        })
    }

    /// Elements of inner chunk `cell` (counted within the shard); `None` where
    /// it was not written.
    pub(super) fn read(&self, file: &ChunkFile, index: &Index, cell: &[u64]) -> Result<Option<Vec<u8>>, FieldError> {
        let number = cell.iter().zip(&self.counts).fold(0, |n, (i, count)| n * count + i);
        let entry = usize::try_from(number).ok().and_then(|n| index.0.as_chunks::<8>().0.get(2 * n..2 * n + 2));
        let Some(&[offset, len]) = entry else {
            return Err(FieldError::corrupt(file.path(), format!("no inner chunk {cell:?} in the shard's index")));
        };
        let (offset, len) = (u64::from_le_bytes(offset), u64::from_le_bytes(len));
        if (offset, len) == (ABSENT, ABSENT) {
            return Ok(None);
        }
        if offset.checked_add(len).is_none_or(|end| end > file.len()) || len > self.codec.max_encoded_len() {
            let what = format!("inner chunk {cell:?} is said to have {len} bytes at {offset} of {}", file.len());
            return Err(FieldError::corrupt(file.path(), what));
        }
        let encoded = file.bytes(offset, usize::try_from(len).unwrap_or(usize::MAX))?;
        self.codec.decode(file.path(), encoded).map(Some)
    }
}

/// The names in a list of codecs as Zarr v3 writes it.
pub(super) fn codec_names(codecs: &Value) -> Option<Vec<&str>> {
    codecs.as_array()?.iter().map(|c| c.as_str().or_else(|| c["name"].as_str())).collect()
}
