//! The paths that a source file names, resolved as the compiler would where
//! that takes no knowledge of other files.

use std::collections::HashSet;

use super::source::{Source, Token};

/// A path that a file names: of two segments or more, or imported.
#[derive(Debug, PartialEq)]
pub struct Reference {
    /// Inside the crate: the segments below its root.
    pub segments: Vec<String>,
    pub line: usize,
    pub test: bool,
    /// Whether the path is inside this crate.
    pub own: bool,
}

/// Every reference of a file, in its order.
pub fn of(source: &Source) -> Vec<Reference> {
    let tokens = &source.tokens;
    let mut walk =
        Walk { tokens, module: source.module_path(), inline: Vec::new(), local: HashSet::new(), found: Vec::new() };
    walk.run();
    let resolve = |(mut segments, at, absolute): (Vec<String>, usize, bool)| {
        let own = matches!(segments[0].as_str(), "crate" | "skydose");
        if own {
            segments.remove(0);
        } else if !absolute && walk.local.contains(&segments[0]) {
            return None;
        }
        let Token { line, test, .. } = tokens[at];
        Some(Reference { segments, line, test, own })
    };
    walk.found.into_iter().filter_map(resolve).collect()
}

/// Walks the tokens of one file and resolves what they name.
struct Walk<'a> {
    tokens: &'a [Token],
    module: Vec<String>,
    /// Inline modules around the current token, with the depth they opened at.
    inline: Vec<(String, usize)>,
    /// Names that stand for something of this crate: declared modules, imports.
    local: HashSet<String>,
    /// Paths, the token where each stands, whether it began with `::`.
    found: Vec<(Vec<String>, usize, bool)>,
}

impl<'a> Walk<'a> {
    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |t| t.text.as_str())
    }

    fn run(&mut self) {
        let (mut at, mut depth) = (0, 0);
        while at < self.tokens.len() {
            match self.text(at) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    self.inline.retain(|(_, opened)| *opened < depth + 1);
                }
                "mod" if is_ident(self.text(at + 1)) => {
                    let name = self.text(at + 1).to_owned();
                    self.local.insert(name.clone());
                    if self.text(at + 2) == "{" {
                        self.inline.push((name, depth + 1));
                    }
                    at += 1;
                }
                "use" if self.text(at + 1) != "<" => {
                    let absolute = self.text(at + 1) == "::";
                    at = self.tree(at + 1 + usize::from(absolute), &[], absolute);
                    continue;
                }
                text if is_ident(text) && !matches!(self.before(at), "." | "::") => {
                    at = self.path(at, false);
                    continue;
                }
                // `::name`: a crate, unless it goes on from a type, as in `<T>::name`.
                "::" if !is_ident(self.before(at)) && self.before(at) != ">" && is_ident(self.text(at + 1)) => {
                    at = self.path(at + 1, true);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn before(&self, at: usize) -> &'a str {
        at.checked_sub(1).map_or("", |at| self.text(at))
    }

    /// A path in an expression or a type, from its first segment.
    fn path(&mut self, start: usize, absolute: bool) -> usize {
        let mut at = start;
        let mut segments = vec![self.text(at).to_owned()];
        while self.text(at + 1) == "::" && is_ident(self.text(at + 2)) {
            at += 2;
            segments.push(self.text(at).to_owned());
        }
        if segments.len() > 1 {
            self.note(segments, start, absolute);
        }
        at + 1
    }

    /// A tree of imports below `prefix`; returns where it ends.
    fn tree(&mut self, start: usize, prefix: &[String], absolute: bool) -> usize {
        let mut at = start;
        let mut segments = prefix.to_vec();
        loop {
            match self.text(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.text(at), "}" | "") {
                        at = self.tree(at, &segments, absolute);
                        at += usize::from(self.text(at) == ",");
                    }
                    return at + 1;
                }
                "self" if !segments.is_empty() => {}
                text if is_ident(text) || text == "*" => segments.push(text.to_owned()),
                _ => return at,
            }
            at += 1;
            if self.text(at) == "::" {
                at += 1;
                continue;
            }
            let mut name = segments.last().cloned().unwrap_or_default();
            if self.text(at) == "as" {
                self.text(at + 1).clone_into(&mut name);
                at += 2;
            }
            if matches!(segments[0].as_str(), "crate" | "super" | "self") {
                self.local.insert(name);
            }
            self.note(segments, at - 1, absolute);
            return at;
        }
    }

    /// Resolves `self` and `super`, and keeps the path.
    fn note(&mut self, segments: Vec<String>, at: usize, absolute: bool) {
        if !matches!(segments[0].as_str(), "self" | "super") {
            self.found.push((segments, at, absolute));
            return;
        }
        let mut module = self.module.clone();
        module.extend(self.inline.iter().map(|(name, _)| name.clone()));
        let mut rest = segments.as_slice();
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "super" => drop(module.pop()),
                "self" => {}
                _ => break,
            }
            rest = after;
        }
        let resolved = std::iter::once("crate".to_owned()).chain(module).chain(rest.iter().cloned()).collect();
        self.found.push((resolved, at, false));
    }
}

fn is_ident(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        Source::parse(path, text)
            .references
            .iter()
            .map(|r| if r.own { format!("crate::{}", r.segments.join("::")) } else { r.segments.join("::") })
            .collect()
    }

    #[test]
    fn trees_of_imports_are_expanded() {
        let text = "use crate::{units::{self, Unit}, time as t}; use std::fmt; use ::grib::x::*;";
        assert_eq!(
            paths("job/mod.rs", text),
            ["crate::units", "crate::units::Unit", "crate::time", "std::fmt", "grib::x::*"]
        );
    }

    #[test]
    fn super_is_resolved_through_files_and_inline_modules() {
        assert_eq!(paths("field/netcdf.rs", "use super::super::units::Unit;"), ["crate::units::Unit"]);
        assert_eq!(paths("field/mod.rs", "use super::units::Unit;"), ["crate::units::Unit"]);
        assert_eq!(
            paths("units.rs", "mod a { use super::super::time::X; } use super::plan::Y;"),
            ["crate::time::X", "crate::plan::Y"]
        );
    }

    #[test]
    fn paths_in_code_are_seen_but_not_in_comments_strings_or_methods() {
        let text = "/// crate::plan::x\nfn f() { a.zip(b); \"crate::plan\"; crate::time::now(); <T>::csv(); }";
        assert_eq!(paths("units.rs", text), ["crate::time::now"]);
    }

    #[test]
    fn a_declared_module_shadows_a_crate_of_its_name() {
        assert!(paths("field/mod.rs", "mod grib; fn f() { grib::open() }").is_empty());
        assert_eq!(paths("field/mod.rs", "mod grib; fn f() { ::grib::open() }"), ["grib::open"]);
        assert_eq!(paths("field/grib.rs", "fn f() { grib::open() }"), ["grib::open"]);
    }
}
