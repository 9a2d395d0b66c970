//! From the bytes of a chunk to its elements, with every size known before
//! anything is allocated.
//!
//! The order of elements and bytes (codecs `transpose`, `bytes`), blosc and
//! checksums are decoded by `zarrs`; gzip, zlib and zstd are decoded here,
//! since a damaged stream may promise more than memory holds and `zarrs`
//! believes it.

use std::{
    any::Any,
    borrow::Cow,
    io::Read,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use zarrs::array::{
    ArrayToBytesCodecTraits, BytesRepresentation, BytesToBytesCodecTraits, CodecChain, CodecOptions, DataType,
    FillValue, codec::blosc_validate,
};

use crate::field::FieldError;

/// Largest decoded chunk that is read: a chunk is decoded as a whole.
const MAX_CHUNK_BYTES: u64 = 1 << 30;

/// A compressor or checksum, in the order of encoding.
enum Step {
    Gzip,
    Zlib,
    Zstd,
    Blosc(Arc<dyn BytesToBytesCodecTraits>),
    Crc32c(Arc<dyn BytesToBytesCodecTraits>),
}

/// Decodes the chunks of one array, or the inner chunks of its shards.
pub(super) struct ChunkCodec {
    steps: Vec<Step>,
    elements: CodecChain,
    data_type: DataType,
    fill_value: FillValue,
    shape: Vec<NonZeroU64>,
    decoded_len: usize,
}

impl ChunkCodec {
    /// From the chain of `zarrs`; `names` are those of its bytes-to-bytes
    /// codecs, `element_size` is in bytes.
    pub(super) fn new(
        path: &Path,
        chain: &CodecChain,
        names: &[&str],
        data_type: (&DataType, usize),
        fill_value: &FillValue,
        shape: &[u64],
    ) -> Result<Self, FieldError> {
        let (data_type, element_size) = data_type;
        let decoded_len = chunk_bytes(path, shape, element_size)?;
        let steps = names
            .iter()
            .zip(chain.bytes_to_bytes_codecs())
            .map(|(name, codec)| step(path, name, codec))
            .collect::<Result<Vec<_>, _>>()?;
        if steps.iter().filter(|s| !matches!(s, Step::Crc32c(_))).count() > 1 {
            return Err(FieldError::unsupported(
                path,
                format!("chunks compressed more than once ({})", names.join(", ")),
                "write the store with one compressor",
            ));
        }
        Ok(Self {
            steps,
            elements: CodecChain::new(
                chain.array_to_array_codecs().to_vec(),
                Arc::clone(chain.array_to_bytes_codec()),
                Vec::new(),
            ),
            data_type: data_type.clone(),
            fill_value: fill_value.clone(),
            shape: shape.iter().filter_map(|&n| NonZeroU64::new(n)).collect(),
            decoded_len,
        })
    }

    /// Bytes of a decoded chunk.
    pub(super) fn decoded_len(&self) -> usize {
        self.decoded_len
    }

    /// Longest encoding that a chunk can have: a stored chunk beyond it is
    /// damaged, and is not read.
    pub(super) fn max_encoded_len(&self) -> u64 {
        // Stored blocks cost deflate 5 bytes in 16 kB at the worst, others less.
        self.decoded_len as u64 + self.decoded_len as u64 / 8 + 4096
    }

    /// Elements in native byte order, C order, exactly a chunk; `path` is for
    /// the error.
    pub(super) fn decode(&self, path: &Path, encoded: Vec<u8>) -> Result<Vec<u8>, FieldError> {
        caught(path, || self.decode_unguarded(encoded))
    }

    fn decode_unguarded(&self, encoded: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut bytes = encoded;
        for step in self.steps.iter().rev() {
            bytes = match step {
                Step::Gzip => bounded(flate2::read::GzDecoder::new(bytes.as_slice()), self.decoded_len)?,
                Step::Zlib => bounded(flate2::read::ZlibDecoder::new(bytes.as_slice()), self.decoded_len)?,
                Step::Zstd => {
                    let decoder = zstd::Decoder::with_buffer(bytes.as_slice()).map_err(|e| e.to_string())?;
                    bounded(decoder, self.decoded_len)?
                }
                Step::Blosc(codec) => {
                    if blosc_validate(&bytes) != Some(self.decoded_len) {
                        return Err(format!("no blosc chunk of {} bytes", self.decoded_len));
                    }
                    external(codec, bytes)?
                }
                Step::Crc32c(codec) => external(codec, bytes)?,
            };
        }
        if bytes.len() != self.decoded_len {
            return Err(format!("holds {} bytes, expected {}", bytes.len(), self.decoded_len));
        }
        let options = CodecOptions::default().with_concurrent_target(1);
        let decoded = self
            .elements
            .decode(Cow::Owned(bytes), &self.shape, &self.data_type, &self.fill_value, &options)
            .and_then(|array| Ok(array.into_fixed()?.into_owned()))
            .map_err(|e| e.to_string())?;
        if decoded.len() != self.decoded_len {
            return Err(format!("decodes to {} bytes, expected {}", decoded.len(), self.decoded_len));
        }
        Ok(decoded)
    }
}

/// Bytes of a decoded chunk, within what is read.
pub(super) fn chunk_bytes(path: &Path, shape: &[u64], element_size: usize) -> Result<usize, FieldError> {
    shape
        .iter()
        .try_fold(element_size as u64, |n, &s| n.checked_mul(s))
        .filter(|&n| n <= MAX_CHUNK_BYTES)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| {
            FieldError::unsupported(
                path,
                format!("chunks of {shape:?} elements of {element_size} bytes"),
                "rechunk the array to chunks of at most 1 GiB",
            )
        })
}

fn step(path: &Path, name: &str, codec: &Arc<dyn BytesToBytesCodecTraits>) -> Result<Step, FieldError> {
    match plain_name(name) {
        "gzip" => Ok(Step::Gzip),
        "zlib" => Ok(Step::Zlib),
        "zstd" => Ok(Step::Zstd),
        "blosc" => Ok(Step::Blosc(Arc::clone(codec))),
        "crc32c" => Ok(Step::Crc32c(Arc::clone(codec))),
        other => Err(unsupported(path, other)),
    }
}

/// Refuses codecs that are not read, so that they are not taken for damage.
pub(super) fn refuse_unknown(path: &Path, names: &[&str]) -> Result<(), FieldError> {
    const KNOWN: [&str; 8] = ["bytes", "transpose", "sharding_indexed", "gzip", "zlib", "zstd", "blosc", "crc32c"];
    match names.iter().find(|name| !KNOWN.contains(&plain_name(name))) {
        None => Ok(()),
        Some(name) => Err(unsupported(path, name)),
    }
}

fn plain_name(name: &str) -> &str {
    name.strip_prefix("numcodecs.").or_else(|| name.strip_prefix("zarrs.")).unwrap_or(name)
}

fn unsupported(path: &Path, name: &str) -> FieldError {
    FieldError::unsupported(path, format!("codec {name}"), "write the store with blosc, zstd, gzip or no compression")
}

/// Reads to the end, but no further than `expected`.
fn bounded(decoder: impl Read, expected: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    decoder.take(expected as u64 + 1).read_to_end(&mut out).map_err(|e| e.to_string())?;
    Ok(out)
}

fn external(codec: &Arc<dyn BytesToBytesCodecTraits>, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let options = CodecOptions::default().with_concurrent_target(1);
    codec
        .decode(Cow::Owned(bytes), &BytesRepresentation::UnboundedSize, &options)
        .map(Cow::into_owned)
        .map_err(|e| e.to_string())
}

/// Runs code of `zarrs` on what a file says: its errors, and panics should
/// there be any, become [`FieldError::Corrupt`].
pub(super) fn caught<T>(path: &Path, f: impl FnOnce() -> Result<T, String>) -> Result<T, FieldError> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|what| FieldError::corrupt(path, what)),
        Err(panic) => Err(FieldError::corrupt(path, format!("cannot be decoded: {}", panic_text(panic.as_ref())))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}
