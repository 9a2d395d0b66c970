//! The compiler of kernels, NVRTC: from sources in memory to code for one
//! architecture.

use std::ffi::{CString, c_char, c_int};

use cudarc::nvrtc::sys::{self, nvrtcResult};

use super::driver::Version;

/// NVRTC, loaded.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// Of the library.
    pub version: Version,
    /// Architectures that it knows, ascending: 70 is 7.0.
    pub architectures: Vec<i32>,
}

/// What is compiled: a file and the headers that it includes, by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

/// What code is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A cubin for this architecture.
    Cubin(i32),
    /// PTX of this virtual architecture, which the driver compiles: for a
    /// device that is newer than the compiler.
    Ptx(i32),
}

impl Target {
    /// As the compiler's option names it.
    pub(super) fn option(self) -> String {
        match self {
            Self::Cubin(architecture) => format!("--gpu-architecture=sm_{architecture}"),
            Self::Ptx(architecture) => format!("--gpu-architecture=compute_{architecture}"),
        }
    }
}

/// Why sources did not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("NVRTC {version}: {what}")]
pub(super) struct CompileError {
    pub version: String,
    pub what: String,
}

impl Compiler {
    /// Loads NVRTC.
    ///
    /// # Errors
    /// Says what is missing, in one line.
    pub fn load() -> Result<Self, String> {
        // SAFETY: loading a library runs its initialisers; this one is the
        // system's NVRTC, found by its name.
        if !unsafe { sys::is_culib_present() } {
            return Err("no NVRTC: libnvrtc.so.12 (or libnvrtc.so) is not there".to_owned());
        }
        let (mut major, mut minor): (c_int, c_int) = (0, 0);
        let mut count: c_int = 0;
        let told = |call: &str, code: nvrtcResult| match code {
            nvrtcResult::NVRTC_SUCCESS => Ok(()),
            code => Err(format!("{call}: {code:?}")),
        };
        // SAFETY: the library is there, and the results outlive the calls.
        unsafe {
            told("nvrtcVersion", sys::nvrtcVersion(&raw mut major, &raw mut minor))?;
            told("nvrtcGetNumSupportedArchs", sys::nvrtcGetNumSupportedArchs(&raw mut count))?;
        }
        let mut architectures = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: as many as the library said.
        unsafe { told("nvrtcGetSupportedArchs", sys::nvrtcGetSupportedArchs(architectures.as_mut_ptr())) }?;
        architectures.sort_unstable();
        Ok(Self { version: Version { major, minor }, architectures })
    }

    /// What to make for a device of a compute capability.
    pub(super) fn target(&self, (major, minor): (i32, i32)) -> Result<Target, String> {
        let architecture = 10 * major + minor;
        if self.architectures.contains(&architecture) {
            return Ok(Target::Cubin(architecture));
        }
        let older = self.architectures.iter().rev().find(|&&known| known < architecture);
        match older {
            // Code of another minor version of the same major one runs as it
            // is; that of another major version is left to the driver.
            Some(&known) if known / 10 == major => Ok(Target::Cubin(known)),
            Some(&known) => Ok(Target::Ptx(known)),
            None => Err(format!(
                "NVRTC {} makes no code for compute capability {major}.{minor}, expected {} or later",
                self.version,
                self.architectures.first().map_or_else(|| "none".to_owned(), |a| format!("{}.{}", a / 10, a % 10))
            )),
        }
    }

    /// Compiles; `options` besides the target. Gives the code and the log.
    pub(super) fn compile(
        &self,
        source: Source<'_>,
        options: &[String],
        target: Target,
    ) -> Result<(Vec<u8>, String), CompileError> {
        let fault = |what: String| CompileError { version: self.version.to_string(), what };
        let program = Program::new(source).map_err(fault)?;
        let mut all = options.to_vec();
        all.push(target.option());
        let compiled = program.compile(&all);
        let log = program.log();
        compiled.map_err(|what| fault(format!("{what}: {log}")))?;
        let code = program.code(target).map_err(fault)?;
        Ok((code, log))
    }
}

/// A program of NVRTC, with the texts that it points to.
struct Program {
    program: sys::nvrtcProgram,
    _texts: Vec<CString>,
}

fn text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| "a zero in the source".to_owned())
}

fn done(call: &str, code: nvrtcResult) -> Result<(), String> {
    if code == nvrtcResult::NVRTC_SUCCESS { Ok(()) } else { Err(format!("{call}: {code:?}")) }
}

impl Program {
    fn new(source: Source<'_>) -> Result<Self, String> {
        let (code, name) = (text(source.text)?, text(source.name)?);
        let headers = source.headers.iter().map(|(_, t)| text(t)).collect::<Result<Vec<_>, _>>()?;
        let names = source.headers.iter().map(|(n, _)| text(n)).collect::<Result<Vec<_>, _>>()?;
        let pointers = |texts: &[CString]| texts.iter().map(|t| t.as_ptr()).collect::<Vec<*const c_char>>();
        let (header_pointers, name_pointers) = (pointers(&headers), pointers(&names));
        let count = c_int::try_from(headers.len()).map_err(|_| "too many headers".to_owned())?;
        let mut program = std::ptr::null_mut();
        // SAFETY: all texts end with a zero and live as long as the program.
        done("nvrtcCreateProgram", unsafe {
            sys::nvrtcCreateProgram(
                &raw mut program,
                code.as_ptr(),
                name.as_ptr(),
                count,
                header_pointers.as_ptr(),
                name_pointers.as_ptr(),
            )
        })?;
        let mut texts = vec![code, name];
        texts.extend(headers);
        texts.extend(names);
        Ok(Self { program, _texts: texts })
    }

    fn compile(&self, options: &[String]) -> Result<(), String> {
        let options = options.iter().map(|o| text(o)).collect::<Result<Vec<_>, _>>()?;
        let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
        let count = c_int::try_from(pointers.len()).map_err(|_| "too many options".to_owned())?;
        // SAFETY: the program lives, and so do the options during the call.
        done("nvrtcCompileProgram", unsafe { sys::nvrtcCompileProgram(self.program, count, pointers.as_ptr()) })
    }

    fn log(&self) -> String {
        let mut size = 0;
        // SAFETY: the program lives.
        if unsafe { sys::nvrtcGetProgramLogSize(self.program, &raw mut size) } != nvrtcResult::NVRTC_SUCCESS {
            return String::new();
        }
        let mut log = vec![0_u8; size];
        // SAFETY: as long as the library said.
        if unsafe { sys::nvrtcGetProgramLog(self.program, log.as_mut_ptr().cast()) } != nvrtcResult::NVRTC_SUCCESS {
            return String::new();
        }
        String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned()
    }

    fn code(&self, target: Target) -> Result<Vec<u8>, String> {
        let mut size = 0;
        // SAFETY: the program is compiled, and the buffer is as long as the
        // library said.
        unsafe {
            match target {
                Target::Cubin(_) => {
                    done("nvrtcGetCUBINSize", sys::nvrtcGetCUBINSize(self.program, &raw mut size))?;
                    let mut code = vec![0_u8; size];
                    done("nvrtcGetCUBIN", sys::nvrtcGetCUBIN(self.program, code.as_mut_ptr().cast()))?;
                    Ok(code)
                }
                Target::Ptx(_) => {
                    done("nvrtcGetPTXSize", sys::nvrtcGetPTXSize(self.program, &raw mut size))?;
                    let mut code = vec![0_u8; size];
                    done("nvrtcGetPTX", sys::nvrtcGetPTX(self.program, code.as_mut_ptr().cast()))?;
                    Ok(code)
                }
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        unsafe { sys::nvrtcDestroyProgram(&raw mut self.program) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_gets_code_of_its_own_or_of_what_it_can_run() {
        let compiler =
            Compiler { version: Version { major: 12, minor: 9 }, architectures: vec![70, 75, 80, 86, 90, 100, 120] };
        assert_eq!(compiler.target((9, 0)), Ok(Target::Cubin(90)));
        assert_eq!(compiler.target((8, 7)), Ok(Target::Cubin(86)));
        assert_eq!(compiler.target((13, 0)), Ok(Target::Ptx(120)));
        let fault = compiler.target((6, 1)).unwrap_err();
        assert_eq!(fault, "NVRTC 12.9 makes no code for compute capability 6.1, expected 7.0 or later");
        assert_eq!(Target::Ptx(120).option(), "--gpu-architecture=compute_120");
    }
}
