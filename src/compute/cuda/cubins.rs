//! Compiled kernels on disk: a file a source, options, architecture and
//! version of the compiler.
//!
//! A file begins with the BLAKE3 of what follows, so that a torn or altered
//! one is compiled again. Without a folder that can be written nothing is
//! kept, and kernels are compiled anew by each process.

use std::path::{Path, PathBuf};

use super::nvrtc::{CompileError, Compiler, Source, Target};

/// Bytes of the checksum.
const HEAD: usize = 32;

/// The cache.
#[derive(Debug, Clone)]
pub(super) struct Cubins {
    folder: Option<PathBuf>,
}

impl Cubins {
    /// In a folder, made on first use; in none, nothing is kept.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The code of a source: from the folder, else compiled.
    pub(super) fn code(
        &self,
        compiler: &Compiler,
        source: Source<'_>,
        options: &[String],
        target: Target,
    ) -> Result<Vec<u8>, CompileError> {
        let path = self.folder.as_ref().map(|folder| folder.join(key(compiler, source, options, target)));
        if let Some(code) = path.as_deref().and_then(read) {
            return Ok(code);
        }
        let (code, log) = compiler.compile(source, options, target)?;
        if !log.is_empty() {
            tracing::debug!(log, "the compiler of kernels had remarks");
        }
        if let Some(path) = path
            && let Err(error) = write(&path, &code)
        {
            tracing::debug!(path = %path.display(), %error, "compiled kernels are not kept");
        }
        Ok(code)
    }
}

/// Where compiled kernels are kept: `SKYDOSE_CACHE`, else the user's folder of
/// caches.
pub(super) fn default_folder() -> Option<PathBuf> {
    let of = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let caches = of("SKYDOSE_CACHE")
        .or_else(|| of("XDG_CACHE_HOME").map(|folder| folder.join("skydose")))
        .or_else(|| of("HOME").map(|folder| folder.join(".cache/skydose")))?;
    Some(caches.join("kernels"))
}

/// The name of a file: everything that the code depends on, each part with its
/// length before it.
fn key(compiler: &Compiler, source: Source<'_>, options: &[String], target: Target) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &str| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    add(&compiler.version.to_string());
    add(&target.option());
    add(source.name);
    add(source.text);
    for (name, text) in source.headers {
        add(name);
        add(text);
    }
    for option in options {
        add(option);
    }
    let ending = match target {
        Target::Cubin(_) => "cubin",
        Target::Ptx(_) => "ptx",
    };
    format!("{}.{ending}", hasher.finalize().to_hex())
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut file = std::fs::read(path).ok()?;
    if file.len() <= HEAD || blake3::hash(&file[HEAD..]).as_bytes()[..] != file[..HEAD] {
        tracing::warn!(path = %path.display(), "a compiled kernel is damaged and is compiled again");
        return None;
    }
    file.drain(..HEAD);
    Some(file)
}

/// Writes beside and renames: a reader sees all of a file or none.
fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, blake3::hash(code).as_bytes())?;
    std::io::Write::write_all(&mut file, code)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::cuda::driver::Version;

    const SOURCE: Source<'_> = Source { name: "a.cu", text: "code", headers: &[("b.cuh", "more")] };

    fn compiler(minor: i32) -> Compiler {
        Compiler { version: Version { major: 12, minor }, architectures: vec![90] }
    }

    #[test]
    fn the_key_holds_all_that_the_code_depends_on() {
        let options = ["-DA=1".to_owned()];
        let base = key(&compiler(9), SOURCE, &options, Target::Cubin(90));
        let others = [
            key(&compiler(8), SOURCE, &options, Target::Cubin(90)),
            key(&compiler(9), Source { text: "codf", ..SOURCE }, &options, Target::Cubin(90)),
            key(&compiler(9), Source { headers: &[("b.cuh", "mor")], ..SOURCE }, &options, Target::Cubin(90)),
            key(&compiler(9), SOURCE, &["-DA=2".to_owned()], Target::Cubin(90)),
            key(&compiler(9), SOURCE, &options, Target::Cubin(80)),
            key(&compiler(9), SOURCE, &options, Target::Ptx(90)),
        ];
        assert!(others.iter().all(|other| *other != base), "{base} {others:?}");
        assert_eq!(base, key(&compiler(9), SOURCE, &options, Target::Cubin(90)));
    }

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/x.cubin");
        assert_eq!(read(&path), None);
        write(&path, b"machine code").unwrap();
        assert_eq!(read(&path).unwrap(), b"machine code");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), None);
        std::fs::write(&path, &bytes[..20]).unwrap();
        assert_eq!(read(&path), None);
    }
}
