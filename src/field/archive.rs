//! Zip files, as CAMS sends them: each member that is a field becomes a source.
//!
//! Members are unpacked into memory, under limits.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use zip::{ZipArchive, read::ZipFile, result::ZipError};

use super::{
    FIRST_BYTES, FieldError, FieldSource, Format, SOURCES, Variable, Window,
    dataset::{LevelPlace, ValueRule},
};

/// How much an archive may hold once unpacked, all its members together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Never more than this \[bytes\].
    pub bytes: u64,
    /// An archive that holds this or less is fine whatever its ratio \[bytes\].
    pub harmless_bytes: u64,
    /// Above that, how many times its own size it may hold. Fields shrink to a
    /// tenth; what shrinks to a thousandth is made to harm.
    pub ratio: u64,
    /// Members.
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 30, harmless_bytes: 256 << 20, ratio: 100, members: 10_000 }
    }
}

impl Limits {
    /// The usual ones, and not more than `bytes` in all.
    #[must_use]
    pub fn within(bytes: u64) -> Self {
        let usual = Self::default();
        Self { bytes: usual.bytes.min(bytes), ..usual }
    }
}

/// A field whose file was unpacked into memory.
struct Unpacked {
    inner: Box<dyn FieldSource>,
    bytes: u64,
}

impl FieldSource for Unpacked {
    fn format(&self) -> String {
        self.inner.format()
    }

    fn path(&self) -> Option<&Path> {
        self.inner.path()
    }

    fn levels_at(&self) -> LevelPlace {
        self.inner.levels_at()
    }

    fn value_rule(&self, variable: usize) -> ValueRule {
        self.inner.value_rule(variable)
    }

    fn held_bytes(&self) -> u64 {
        self.bytes
    }

    fn variables(&self) -> &[Variable] {
        self.inner.variables()
    }

    fn remarks(&self) -> &[String] {
        self.inner.remarks()
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        self.inner.read(variable, window, out)
    }
}

const UNZIP: &str = "unpack it with `unzip` and give the files";

/// Whether the first bytes are of a zip file.
#[must_use]
pub fn recognises(_path: &Path, first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04")
}

/// Opens every field in a zip file.
///
/// # Errors
/// Where it is no zip file or is damaged, holds no field, or one of its fields
/// cannot be opened; names are written `outer.zip:inner.nc`.
pub fn open(path: &Path) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    open_within(path, Limits::default())
}

/// As [`open`], within other limits.
///
/// # Errors
/// As [`open`]; [`FieldError::Unsupported`] where the limits are passed.
pub fn open_within(path: &Path, limits: Limits) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    let io = |source| FieldError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let packed = file.metadata().map_err(io)?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| fault(path, error))?;
    if archive.len() > limits.members {
        return Err(FieldError::unsupported(path, format!("{} members", archive.len()), UNZIP));
    }
    if archive.file_names().any(|name| [".zgroup", ".zarray", "zarr.json"].iter().any(|end| name.ends_with(end))) {
        return Err(FieldError::unsupported(path, "a Zarr store in a zip file", UNZIP));
    }
    let mut budget = limits.bytes.min(limits.harmless_bytes.max(packed.saturating_mul(limits.ratio)));
    let mut sources = Vec::new();
    let mut others = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|error| fault(path, error))?;
        let name = member.name().to_owned();
        let inner = PathBuf::from(format!("{}:{name}", path.display()));
        match open_member(&inner, member, &mut budget)? {
            Some(opened) => sources.extend(opened),
            None => others.push(name),
        }
    }
    if sources.is_empty() {
        others.truncate(5);
        let found = format!("a zip file without a field ({})", others.join(", "));
        return Err(FieldError::Unknown { path: path.to_owned(), found });
    }
    Ok(sources)
}

/// The sources of a member; `None` where it is not a field.
fn open_member<R: Read + Seek>(
    name: &Path,
    mut member: ZipFile<'_, R>,
    budget: &mut u64,
) -> Result<Option<Vec<Box<dyn FieldSource>>>, FieldError> {
    if !member.is_file() {
        return Ok(None);
    }
    let damaged = |error: std::io::Error| FieldError::corrupt(name, format!("damaged inside the archive: {error}"));
    let mut bytes = Vec::new();
    member.by_ref().take(FIRST_BYTES).read_to_end(&mut bytes).map_err(damaged)?;
    let format = |f: &&Format| f.open_bytes.is_some() && (f.recognises)(name, &bytes);
    let Some(open) = SOURCES.iter().find(format).and_then(|format| format.open_bytes) else {
        return Ok(None);
    };
    let declared = member.size();
    let too_large = || {
        let what = format!("{declared} bytes once unpacked, where at most {budget} are left");
        FieldError::unsupported(name, what, UNZIP)
    };
    if declared > *budget {
        return Err(too_large());
    }
    let length = usize::try_from(declared).map_err(|_| too_large())?;
    bytes.try_reserve_exact(length.saturating_sub(bytes.len())).map_err(|_| too_large())?;
    // One byte more than declared, to see whether there are more.
    let rest = declared.saturating_sub(bytes.len() as u64).saturating_add(1);
    member.take(rest).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() != length {
        let found = bytes.len().min(length + 1);
        return Err(FieldError::corrupt(name, format!("at least {found} bytes; {declared} were declared")));
    }
    *budget -= declared;
    // Of several sources the first stands for the bytes that they share.
    let mut held = declared;
    let counted = open(name, bytes)?
        .into_iter()
        .map(|inner| -> Box<dyn FieldSource> { Box::new(Unpacked { inner, bytes: std::mem::take(&mut held) }) });
    Ok(Some(counted.collect()))
}

fn fault(path: &Path, error: ZipError) -> FieldError {
    match error {
        ZipError::Io(source) => FieldError::Io { path: path.to_owned(), source },
        ZipError::UnsupportedArchive(what) => FieldError::unsupported(path, what, UNZIP),
        other => FieldError::corrupt(path, other),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::{
        super::{Levels, cf::Values, cf::testing::MemoryStore, netcdf::testing::classic},
        *,
    };

    /// A zip file of these members.
    pub(in crate::field) fn zipped(members: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".zip").tempfile().unwrap();
        let mut zip = ZipWriter::new(&mut file);
        for (name, bytes) in members {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    fn field(name: &str) -> Vec<u8> {
        let dims = [("time", 1), ("latitude", 2), ("longitude", 2)];
        let store = MemoryStore::default().axis("time", &[0.0], "hours since 2000-01-01").horizontal(2, 2).array(
            name,
            &dims,
            Values::F32(vec![1.0, 2.0, 3.0, 4.0]),
            &[],
        );
        classic(2, &store, None)
    }

    fn refusal(path: &Path, limits: Limits) -> String {
        open_within(path, limits).map(|sources| sources.len()).unwrap_err().to_string()
    }

    #[test]
    fn every_field_of_an_archive_is_a_source() {
        let file = zipped(&[("a/one.nc", &field("so2")), ("readme.txt", b"hello"), ("two.nc", &field("co"))]);
        let sources = open(file.path()).unwrap();
        let names: Vec<&str> = sources.iter().map(|s| s.variables()[0].name.as_str()).collect();
        assert_eq!(names, ["so2", "co"]);
        let held: Vec<u64> = sources.iter().map(|s| s.held_bytes()).collect();
        assert_eq!(held, [field("so2").len() as u64, field("co").len() as u64]);
        let mut out = [0.0; 4];
        sources[1].read(0, &sources[1].variables()[0].whole(0), &mut out).unwrap();
        assert_eq!(out.map(f32::to_bits), [1.0, 2.0, 3.0, 4.0].map(f32::to_bits));
    }

    #[test]
    fn faults_name_archive_and_member() {
        let cut = &field("so2")[..200];
        let file = zipped(&[("inner.nc", cut)]);
        let message = refusal(file.path(), Limits::default());
        assert!(message.contains(".zip:inner.nc: "), "{message}");
        let message = refusal(zipped(&[("readme.txt", b"hello")]).path(), Limits::default());
        assert!(message.contains("a zip file without a field (readme.txt)"), "{message}");
        let message = refusal(zipped(&[("a.zarr/zarr.json", b"{}")]).path(), Limits::default());
        assert!(message.contains("Zarr store") && message.contains("unzip"), "{message}");
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let mut bytes = field("so2");
        bytes.resize(2 << 20, 0);
        let file = zipped(&[("bomb.nc", &bytes)]);
        assert_eq!(open(file.path()).unwrap().len(), 1);
        let ratio = Limits { harmless_bytes: 1 << 20, ..Limits::default() };
        let message = refusal(file.path(), ratio);
        assert!(message.contains("bomb.nc: 2097152 bytes once unpacked") && message.contains("unzip"), "{message}");
        assert!(refusal(file.path(), Limits { bytes: 1000, ..Limits::default() }).contains("at most 1000 are left"));
        assert!(refusal(file.path(), Limits { members: 0, ..Limits::default() }).contains("1 members"));
        let message =
            super::super::open_within(file.path(), 1000).map(|sources| sources.len()).unwrap_err().to_string();
        assert!(message.contains("at most 1000 are left"), "{message}");
        // The limit is for all members together.
        let twice = zipped(&[("one.nc", &field("so2")), ("two.nc", &field("co"))]);
        let limits = Limits { bytes: field("so2").len() as u64 + 10, ..Limits::default() };
        assert!(refusal(twice.path(), limits).contains("two.nc: "));
    }

    #[test]
    fn a_member_that_lies_about_its_size_is_corrupt() {
        let bytes = field("so2");
        let file = zipped(&[("inner.nc", &bytes)]);
        let mut archive = std::fs::read(file.path()).unwrap();
        let declared = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        for lie in [u32::try_from(bytes.len()).unwrap() - 100, 1 << 24] {
            // In the local and the central header.
            let places: Vec<usize> = (0..archive.len() - 4).filter(|&i| archive[i..i + 4] == declared).collect();
            assert_eq!(places.len(), 2);
            let mut lying = archive.clone();
            for i in places {
                lying[i..i + 4].copy_from_slice(&lie.to_le_bytes());
            }
            std::fs::write(file.path(), &lying).unwrap();
            let message = refusal(file.path(), Limits::default());
            assert!(message.contains(".zip:inner.nc: "), "{message}");
        }
        // Cut anywhere, an archive is an error.
        let whole = archive.len();
        for length in (0..whole).step_by(61) {
            archive.truncate(whole - length);
            if length > 0 {
                std::fs::write(file.path(), &archive).unwrap();
                refusal(file.path(), Limits::default());
            }
        }
    }

    /// Values: netCDF4 1.7 on the unpacked members, rounded to float32.
    #[test]
    fn a_real_archive_of_cams() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/data/fields/cams_eac4_ml60_o3_q_t_sp_20200101-02.zip");
        if !path.exists() {
            eprintln!("skipped: {} is not there", path.display());
            return;
        }
        let sources = super::super::open(&path).unwrap();
        assert_eq!(sources.len(), 2);
        let ozone = &sources[0].variables()[0];
        assert_eq!(
            (ozone.name.as_str(), ozone.times_s[0], ozone.times_s[15]),
            ("go3", 1_577_836_800.0, 1_577_998_800.0)
        );
        match &ozone.levels {
            Levels::Hybrid(hybrid) => assert_eq!(hybrid.numbers, (1..=60).collect::<Vec<u32>>()),
            other => panic!("{other:?}"),
        }
        let mut out = vec![0.0; 16 * 60 * 9];
        sources[0].read(0, &ozone.whole(0), &mut out).unwrap();
        let at = |t: usize, k: usize, j: usize, i: usize| out[((t * 60 + k) * 3 + j) * 3 + i].to_bits();
        assert_eq!(at(0, 0, 0, 0), 1.087_422_3e-6_f32.to_bits());
        assert_eq!(at(15, 59, 2, 2), 5.231_570_6e-8_f32.to_bits());
        assert_eq!(at(7, 29, 1, 1), 2.516_423_5e-7_f32.to_bits());
        let surface = &sources[1].variables()[1];
        assert_eq!((surface.name.as_str(), &surface.levels), ("sp", &Levels::Surface));
        let mut out = vec![0.0; 16 * 9];
        sources[1].read(1, &surface.whole(0), &mut out).unwrap();
        assert_eq!((out[0].to_bits(), out[143].to_bits()), (100_999.375_f32.to_bits(), 99_960.5_f32.to_bits()));
    }
}
