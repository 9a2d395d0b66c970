//! What a file that is no field looks like: people pass the wrong file, or a
//! download that is an error page.

/// First bytes that tell what a file is; the first row that fits counts.
const SIGNS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "a gzip file (unpack it with `gunzip`)"),
    (b"BZh", "a bzip2 file (unpack it with `bunzip2`)"),
    (b"\xfd7zXZ\0", "an xz file (unpack it with `unxz`)"),
    (b"\x28\xb5\x2f\xfd", "a zstd file (unpack it with `unzstd`)"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"PK\x03\x04", "a zip file"),
    (b"PAR1", "a Parquet file, which holds tables such as flights"),
    (b"ARROW1", "an Arrow file, which holds tables"),
    (b"GRIB", "a GRIB file"),
    (b"CDF", "a NetCDF file of an unknown version"),
    (b"\x0e\x03\x13\x01", "an HDF4 file (convert it with `h4toh5` or `ncks`)"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF document"),
];

/// In words, for an error message.
pub(super) fn describe(first: &[u8]) -> &'static str {
    if first.is_empty() {
        return "an empty file";
    }
    if first.starts_with(b"GRIB") && first.get(7) == Some(&1) {
        return "GRIB edition 1 (convert it with `grib_set -s edition=2`)";
    }
    if first.get(257..262) == Some(b"ustar") {
        return "a tar archive (unpack it with `tar -xf`)";
    }
    if let Some((_, name)) = SIGNS.iter().find(|(sign, _)| first.starts_with(sign)) {
        return name;
    }
    if first.iter().all(|b| *b == 0) {
        return "nothing but zero bytes, as a broken download leaves them";
    }
    text(first).unwrap_or("bytes of no known format")
}

fn text(first: &[u8]) -> Option<&'static str> {
    // The last character may be cut in half.
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() + 4 > first.len() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let start = text.trim_start_matches('\u{feff}').trim_start().to_lowercase();
    Some(if start.starts_with("<!doctype html") || start.starts_with("<html") {
        "a web page, as a failed download leaves it"
    } else if start.starts_with('<') {
        "an XML document"
    } else if start.starts_with(['{', '[']) {
        "a JSON document"
    } else if start.starts_with("netcdf ") {
        "a text dump of a NetCDF file (make one of it with `ncgen`)"
    } else if start.lines().next().is_some_and(|line| line.contains([',', ';', '\t'])) {
        "a table in text (CSV)"
    } else {
        "text"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_files_are_named() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b"GRIB\0\0\x10\x01", "GRIB edition 1"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"\n <HTML>", "web page"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"flight_id,time\n", "CSV"),
            (b"{\"a\":1}", "JSON"),
            (b"PAR1\x15", "Parquet"),
            (b"CDF\x03", "unknown version"),
            (b"hello", "text"),
            (b"caf\xc3\xa9, cr\xc3", "CSV"),
            (b"\0\0\0", "zero bytes"),
            (b"\x80\x81\x82\x83\x84\x85", "no known format"),
            (&tar, "tar"),
        ];
        for (first, expected) in cases {
            assert!(describe(first).contains(expected), "{first:?} is {}", describe(first));
        }
    }
}
