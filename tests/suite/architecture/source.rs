//! A source file as the rules see it.
//!
//! Tokens come from the compiler's own tokenizer, so text in comments and
//! strings is never mistaken for code.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use super::references::{self, Reference};

/// A token of a file, groups laid flat.
#[derive(Debug, Clone)]
pub struct Token {
    /// As written; empty for a literal.
    pub text: String,
    pub line: usize,
    /// Whether it belongs to an item marked `#[cfg(test)]`.
    pub test: bool,
}

/// A file of Rust.
pub struct Source {
    /// Relative to the folder that was read, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    pub references: Vec<Reference>,
}

/// Reads every `.rs` file below `folder`, in the order of paths; none where
/// there is no such folder. Fuzz targets and their builds are a crate of their
/// own and left out.
pub fn read_all(folder: &Path) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(folder, &mut paths);
    paths.sort();
    let texts: Vec<(String, String)> = paths
        .iter()
        .map(|path| {
            let relative = path.strip_prefix(folder).expect("the path was found below the folder");
            let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            (relative.to_string_lossy().replace('\\', "/"), text)
        })
        .collect();
    let mut sources: Vec<Source> = texts.iter().map(|(path, text)| Source::parse(path, text)).collect();
    let test_files: HashSet<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let module = source.module_path();
        if (1..=module.len()).any(|depth| test_files.contains(&module[..depth].join("/"))) {
            source.mark_as_test();
        }
    }
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() {
                collect(&path, paths);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    /// Splits `text` into tokens and finds its references.
    pub fn parse(path: &str, text: &str) -> Self {
        let stream = TokenStream::from_str(text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        mark_tests(&mut tokens);
        let mut source = Self { path: path.to_owned(), text: text.to_owned(), tokens, references: Vec::new() };
        source.references = references::of(&source);
        source
    }

    /// The module that this file is: `["field", "netcdf"]`; empty for the
    /// root of the crate.
    pub fn module_path(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let mut segments: Vec<String> = stem.split('/').map(str::to_owned).collect();
        if matches!(segments.last().map(String::as_str), Some("mod")) || stem == "lib" {
            segments.pop();
        }
        segments
    }

    /// The first segment of the module path, `None` for the root.
    pub fn module(&self) -> Option<String> {
        self.module_path().into_iter().next()
    }

    /// Paths of the files that this one declares as `#[cfg(test)] mod x;`.
    fn test_modules(&self) -> Vec<String> {
        let own = self.module_path();
        self.tokens
            .windows(3)
            .filter(|w| w[0].test && w[0].text == "mod" && w[2].text == ";")
            .map(|w| own.iter().chain([&w[1].text]).cloned().collect::<Vec<_>>().join("/"))
            .collect()
    }

    fn mark_as_test(&mut self) {
        self.tokens.iter_mut().for_each(|t| t.test = true);
        self.references.iter_mut().for_each(|r| r.test = true);
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut colon = false;
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: String, line| tokens.push(Token { text, line, test: false });
        match tree {
            TokenTree::Ident(ident) => push(ident.to_string().trim_start_matches("r#").to_owned(), line),
            TokenTree::Literal(_) => push(String::new(), line),
            TokenTree::Punct(punct) => {
                if punct.as_char() == ':' && colon {
                    tokens.last_mut().expect("a colon came before").text.push(':');
                    colon = false;
                    continue;
                }
                push(punct.as_char().to_string(), line);
                colon = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                continue;
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open.to_owned(), line);
                flatten(group.stream(), tokens);
                let end = group.span_close().end().line;
                tokens.push(Token { text: close.to_owned(), line: end, test: false });
            }
        }
        colon = false;
    }
}

/// Marks every item that follows `#[cfg(test)]`, up to its `;` or `}`.
fn mark_tests(tokens: &mut [Token]) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at + MARK.len() <= tokens.len() {
        if !MARK.iter().zip(&tokens[at..]).all(|(m, t)| t.text == *m) {
            at += 1;
            continue;
        }
        let mut depth = 0_i32;
        at += MARK.len();
        while at < tokens.len() {
            let token = &mut tokens[at];
            token.test = true;
            at += 1;
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(token.text.as_str(), ";" | "}") {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_items_are_told_apart() {
        let text = "fn f() { a::b() }\n#[cfg(test)]\nmod tests { fn g() { c::d() } }\nfn h() { e::f() }";
        let marks: Vec<bool> = Source::parse("x.rs", text).references.iter().map(|r| r.test).collect();
        assert_eq!(marks, [false, true, false]);
        let source = Source::parse("x/mod.rs", "#[cfg(test)] mod proof; mod real;");
        assert_eq!(source.test_modules(), ["x/proof"]);
    }
}
