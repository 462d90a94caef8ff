//! Which file of a crate uses which: every path that begins with `crate`, `super` or `self`, and every path that
//! begins with a module declared in the same file, but for what only tests see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path within its crate: `["http", "pool"]` for `src/http/pool.rs`.
type Module = Vec<String>;

/// The files of a crate by their modules, each with the modules that it uses.
pub struct Imports(BTreeMap<Module, BTreeSet<Module>>);

impl Imports {
    /// Reads the crate whose sources are in this folder.
    pub fn read(folder: &Path) -> Imports {
        let mut files = BTreeMap::new();
        collect(folder, &mut Vec::new(), &mut files);
        let sources: BTreeMap<Module, String> = files
            .into_iter()
            .map(|(module, file)| (module, without_tests(&fs::read_to_string(file).unwrap())))
            .collect();
        let uses = sources
            .iter()
            .map(|(module, source)| {
                let mut used = BTreeSet::new();
                for path in paths(source) {
                    if let Some(target) = resolve(module, &path, &sources)
                        && target != *module
                    {
                        used.insert(target);
                    }
                }
                (module.clone(), used)
            })
            .collect();
        Imports(uses)
    }

    /// Each circle as the files along it.
    pub fn circles(&self) -> Vec<String> {
        let mut circles = BTreeSet::new();
        for start in self.0.keys() {
            if let Some(circle) = self.way_back(start) {
                // The same circle is found from each of its files.
                let first = circle.iter().min().unwrap();
                let at = circle.iter().position(|module| module == first).unwrap();
                let turned: Vec<String> =
                    circle[at..].iter().chain(&circle[..at]).map(name).collect();
                circles.insert(turned.join(" -> "));
            }
        }
        circles.into_iter().collect()
    }

    /// The shortest way from a file back to itself.
    fn way_back(&self, start: &Module) -> Option<Vec<Module>> {
        let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
        let mut reached = vec![start];
        let mut next = 0;
        while next < reached.len() {
            let at = reached[next];
            next += 1;
            for used in &self.0[at] {
                if used == start {
                    let mut way = vec![at.clone()];
                    let mut at = at;
                    while at != start {
                        at = came_from[at];
                        way.insert(0, at.clone());
                    }
                    return Some(way);
                }
                if !came_from.contains_key(used) && self.0.contains_key(used) {
                    came_from.insert(used, at);
                    reached.push(used);
                }
            }
        }
        None
    }
}

fn name(module: &Module) -> String {
    match module.is_empty() {
        true => "lib or main".to_owned(),
        false => module.join("/"),
    }
}

fn collect(folder: &Path, module: &mut Module, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            module.push(stem);
            collect(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "tests" {
            let mut of_file = module.clone();
            if !matches!(stem.as_str(), "lib" | "main" | "mod") {
                of_file.push(stem);
            }
            if !of_file.iter().any(|part| part == "tests") {
                files.insert(of_file, path);
            }
        }
    }
}

/// The source without comments and without items that only tests see.
fn without_tests(source: &str) -> String {
    let lines = source.lines().map(|line| match line.find("//") {
        Some(at) => &line[..at],
        None => line,
    });
    let source = lines.collect::<Vec<_>>().join("\n");
    let mut kept = String::new();
    let mut rest = source.as_str();
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        // Up to the end of the item: a `;` or the `}` that closes it.
        let mut depth = 0;
        let end = rest.char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(c, ';' | '}')
        });
        rest = &rest[end.map_or(rest.len(), |(at, _)| at + 1)..];
    }
    kept.push_str(rest);
    kept
}

/// Every path of at least two segments, with what `use` gives in braces taken apart.
fn paths(source: &str) -> Vec<Vec<String>> {
    let tokens = tokens(source);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = is_word(&tokens[at]) && (at == 0 || tokens[at - 1] != "::");
        if begins && tokens.get(at + 1).is_some_and(|token| token == "::") {
            at = path(&tokens, at, &mut Vec::new(), &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads the path at `at`, and gives where it ends.
fn path(
    tokens: &[String],
    mut at: usize,
    before: &mut Vec<String>,
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let depth = before.len();
    while let Some(token) = tokens.get(at) {
        if is_word(token) {
            before.push(token.clone());
            at += 1;
            if tokens.get(at).is_some_and(|token| token == "::") {
                at += 1;
                continue;
            }
        } else if token == "{" && !before.is_empty() && tokens[at - 1] == "::" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token != "}") {
                at = match is_word(&tokens[at]) {
                    true => path(tokens, at, before, paths),
                    false => at + 1,
                };
            }
            at += 1;
            before.truncate(depth);
            return at;
        }
        break;
    }
    paths.push(before.clone());
    before.truncate(depth);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphabetic() || c == '_' {
            let mut word = String::from(c);
            while let Some(&c) = chars.peek() {
                if !c.is_alphanumeric() && c != '_' {
                    break;
                }
                word.push(c);
                chars.next();
            }
            tokens.push(word);
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            tokens.push("::".to_owned());
        } else if c == '"' {
            // What stands in a string is no path.
            while let Some(c) = chars.next() {
                match c {
                    '\\' => drop(chars.next()),
                    '"' => break,
                    _ => {}
                }
            }
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}

/// The file that a path in `module` leads to.
fn resolve(module: &Module, path: &[String], files: &BTreeMap<Module, String>) -> Option<Module> {
    let (mut base, mut rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (module.clone(), &path[1..]),
        "super" => (module[..module.len().checked_sub(1)?].to_vec(), &path[1..]),
        _ => {
            // A module that this file declares.
            let mut child = module.clone();
            child.push(path[0].clone());
            if !files.contains_key(&child) {
                return None;
            }
            (module.clone(), path)
        }
    };
    while let Some(next) = rest.first() {
        if next == "super" {
            base.pop()?;
        } else {
            base.push(next.clone());
            if !files.contains_key(&base) {
                base.pop();
                break;
            }
        }
        rest = &rest[1..];
    }
    files.contains_key(&base).then_some(base)
}
