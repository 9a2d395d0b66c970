//! Checks on the tree as git sees it.

use std::{path::Path, process::Command};

use super::{Finding, TOP_LEVEL};

/// Paths of private folders, matched where a path begins.
///
/// Written in halves, here and below, so that this file is clean itself.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("C:", "\\Users\\"),
];

/// Hosts of package registries, and settings that name one.
const REGISTRIES: &[&str] = &[
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("deb.", "debian.org"),
    concat!("index", "-url"),
    concat!("find", "-links"),
    concat!("replace", "-with"),
];

/// Tracked files and those that would be, relative to `root`; `None` where
/// git is missing or `root` is no work tree.
pub fn files(root: &Path) -> Option<Vec<String>> {
    let out = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()?;
    let listed = String::from_utf8(out.stdout).ok()?;
    let files: Vec<String> = listed.split('\0').filter(|f| !f.is_empty()).map(str::to_owned).collect();
    (out.status.success() && !files.is_empty()).then_some(files)
}

/// The top level holds the known names and dotfiles.
pub fn top_level(files: &[String]) -> Vec<Finding> {
    let mut names: Vec<&str> = files.iter().filter_map(|f| f.split('/').next()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name))
        .map(|name| Finding { path: name.to_owned(), line: 1, what: "does not belong to the top level".to_owned() })
        .collect()
}

/// No paths of a private machine, no addresses of registries.
pub fn traces_of_a_machine(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let mut found = |what: &str| findings.push(Finding { path: path.to_owned(), line, what: what.to_owned() });
        for pattern in MACHINE_PATHS.iter().filter(|p| begins_a_path(content, p)) {
            found(&format!("names a machine's path: {pattern}"));
        }
        for pattern in REGISTRIES.iter().filter(|p| content.contains(*p)) {
            found(&format!("names a registry: {pattern}"));
        }
    }
    findings
}

/// Whether `pattern` occurs with nothing of a longer path before it.
fn begins_a_path(content: &str, pattern: &str) -> bool {
    content
        .match_indices(pattern)
        .any(|(at, _)| !content[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "._-/~}".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strays_at_the_top_level_are_found() {
        let files = ["src/lib.rs", "Cargo.toml", ".ci/run", "scripts/build.sh", "notes.txt"].map(str::to_owned);
        let found: Vec<String> = top_level(&files).into_iter().map(|f| f.path).collect();
        assert_eq!(found, ["notes.txt", "scripts"]);
    }

    #[test]
    fn machine_paths_and_registries_are_found() {
        let bad = [
            concat!("cd /wo", "rk/main"),
            concat!("let p = \"/ro", "ot/.cargo\";"),
            concat!("see (/ho", "me/ann/x.nc)"),
            concat!("RUN pip install --index", "-url x"),
            concat!("https://py", "pi.org/simple"),
        ];
        for text in bad {
            let findings = traces_of_a_machine("x", &format!("fine\n{text}\n"));
            assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [2], "{text}");
        }
    }

    #[test]
    fn longer_paths_and_the_public_index_are_let_through() {
        let good = [
            concat!("target/wo", "rk/x"),
            concat!("$HOME/ro", "ot/y"),
            "source = \"registry+https://github.com/rust-lang/crates.io-index\"",
            "network/workers",
        ];
        for text in good {
            assert_eq!(traces_of_a_machine("x", text), [], "{text}");
        }
    }
}
