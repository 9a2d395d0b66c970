//! The filters of HDF5 that the reader lacks or is slow at. Others are its own.

use std::{
    io::Read,
    sync::atomic::{AtomicUsize, Ordering},
};

use flate2::{Decompress, FlushDecompress, Status};
use hdf5_reader::{
    FilterRegistry,
    error::{Error, Result},
    filters::{FILTER_DEFLATE, FILTER_SHUFFLE},
};

const FILTER_ZSTD: u16 = 32_015;
/// What deflate is given to begin with, where nothing is known yet.
const FIRST_GUESS: usize = 64 << 10;

/// Filters that never make more than `largest` bytes of a chunk.
pub(super) fn registry(largest: usize) -> FilterRegistry {
    let mut filters = FilterRegistry::new();
    // Chunks of a file are alike: the last one's length is a good guess.
    let guess = AtomicUsize::new(FIRST_GUESS);
    filters.register(
        FILTER_DEFLATE,
        Box::new(move |_, data, _| {
            let decoded = inflate(data, guess.load(Ordering::Relaxed), largest)?;
            guess.store(decoded.len().max(1), Ordering::Relaxed);
            Ok(decoded)
        }),
    );
    filters.register(FILTER_SHUFFLE, Box::new(|_, data, size| Ok(unshuffle(data, size))));
    filters.register(FILTER_ZSTD, Box::new(move |_, data, _| unzstd(data, largest)));
    filters
}

fn inflate(data: &[u8], guess: usize, largest: usize) -> Result<Vec<u8>> {
    let broken = |what: &dyn std::fmt::Display| Error::DecompressionError(format!("deflate: {what}"));
    let mut decoder = Decompress::new(true);
    let mut decoded = Vec::new();
    decoded.try_reserve_exact(guess.min(largest)).map_err(|e| broken(&e))?;
    loop {
        let rest = usize::try_from(decoder.total_in()).ok().and_then(|read| data.get(read..)).unwrap_or(&[]);
        let status = decoder.decompress_vec(rest, &mut decoded, FlushDecompress::Finish).map_err(|e| broken(&e))?;
        if status == Status::StreamEnd {
            return Ok(decoded);
        }
        if decoded.len() < decoded.capacity() {
            return Err(broken(&"the stream is cut off"));
        }
        if decoded.len() >= largest {
            return Err(broken(&format_args!("more than {largest} bytes")));
        }
        decoded
            .try_reserve_exact(decoded.len().max(FIRST_GUESS).min(largest - decoded.len()))
            .map_err(|e| broken(&e))?;
    }
}

fn unzstd(data: &[u8], largest: usize) -> Result<Vec<u8>> {
    let broken = |e: std::io::Error| Error::DecompressionError(format!("Zstandard: {e}"));
    let mut decoded = Vec::new();
    zstd::Decoder::new(data).map_err(broken)?.take(largest as u64 + 1).read_to_end(&mut decoded).map_err(broken)?;
    Ok(decoded)
}

/// Brings the bytes of each element of `size` bytes back together. Bytes after
/// the last whole element are not shuffled.
fn unshuffle(data: &[u8], size: usize) -> Vec<u8> {
    let count = data.len().checked_div(size).unwrap_or(0);
    let plane = |b: usize| &data[b * count..(b + 1) * count];
    // One pass that the compiler turns into vector instructions.
    let mut out = match size {
        2 => plane(0).iter().zip(plane(1)).map(|(&a, &b)| [a, b]).collect::<Vec<_>>().into_flattened(),
        4 => {
            let (low, high) = (plane(0).iter().zip(plane(1)), plane(2).iter().zip(plane(3)));
            low.zip(high).map(|((&a, &b), (&c, &d))| [a, b, c, d]).collect::<Vec<_>>().into_flattened()
        }
        _ => (0..count).flat_map(|i| (0..size).map(move |b| data[b * count + i])).collect(),
    };
    out.extend_from_slice(&data[out.len()..]);
    out
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn elements_come_back_whole_whatever_their_size() {
        for size in [0usize, 1, 2, 3, 4, 8] {
            for length in [0usize, 1, 7, 24, 26] {
                let whole: Vec<u8> = (0..length).map(|i| u8::try_from(i).unwrap()).collect();
                let count = length.checked_div(size).unwrap_or(0);
                let mut shuffled = whole.clone();
                for (i, byte) in whole.iter().take(count * size).enumerate() {
                    shuffled[(i % size) * count + i / size] = *byte;
                }
                assert_eq!(unshuffle(&shuffled, size), whole, "{length} bytes of {size}");
            }
        }
    }

    #[test]
    fn deflate_is_bounded_and_notices_what_is_cut_off() {
        let whole: Vec<u8> = (0..300_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&whole).unwrap();
        let packed = encoder.finish().unwrap();
        for guess in [1, whole.len() - 1, whole.len(), whole.len() + 1, usize::MAX] {
            assert!(inflate(&packed, guess, whole.len()).unwrap() == whole, "{guess}");
        }
        assert!(inflate(&packed, 1, whole.len() - 1).unwrap_err().to_string().contains("more than"));
        for length in [0, 1, 2, packed.len() / 2, packed.len() - 1] {
            assert!(inflate(&packed[..length], whole.len(), whole.len()).is_err(), "{length}");
        }
        let packed = zstd::encode_all(&whole[..], 1).unwrap();
        assert!(unzstd(&packed, whole.len()).unwrap() == whole);
        assert_eq!(unzstd(&packed, 1000).unwrap().len(), 1001);
        assert!(unzstd(&packed[..packed.len() / 2], whole.len()).is_err());
    }
}
