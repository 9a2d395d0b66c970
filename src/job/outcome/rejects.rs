//! The flights that were not answered, in a file beside the results.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{OutcomeError, csv::write_text, file::AtomicFile};

/// A flight that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The flight's name, empty where it has none.
    pub flight_id: String,
    /// Why, in a sentence.
    pub reason: String,
    /// How many waypoints it had in the file.
    pub waypoints: usize,
    /// Where it comes from.
    pub file: PathBuf,
}

/// Where the rejects of the results in `out` are: `<stem>.rejects.csv`.
#[must_use]
pub fn path(out: &Path) -> PathBuf {
    out.with_extension("rejects.csv")
}

/// Writes `rejects` beside the results in `out`, as CSV with the columns
/// `flight_id`, `reason`, `waypoints` and `file`; answers where.
///
/// Without rejects there is no file, and one of an earlier run is removed:
/// it would speak of other results.
///
/// # Errors
/// [`OutcomeError::Io`] names the file of the rejects.
pub fn write(out: &Path, rejects: &[Reject]) -> Result<Option<PathBuf>, OutcomeError> {
    let path = path(out);
    if rejects.is_empty() {
        return match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(OutcomeError::io(&path)(e)),
            _ => Ok(None),
        };
    }
    let mut text = b"flight_id,reason,waypoints,file\n".to_vec();
    for reject in rejects {
        write_text(&reject.flight_id, &mut text);
        text.push(b',');
        write_text(&reject.reason, &mut text);
        text.extend_from_slice(format!(",{},", reject.waypoints).as_bytes());
        write_text(&reject.file.to_string_lossy(), &mut text);
        text.push(b'\n');
    }
    let mut file = AtomicFile::create(&path)?;
    io::Write::write_all(&mut file, &text).map_err(OutcomeError::io(&path))?;
    file.finish()?;
    Ok(Some(path))
}
