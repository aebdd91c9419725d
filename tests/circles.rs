//! No file of `src` needs itself through others.
//!
//! A file that is part of a circle cannot be read, moved or tested without the
//! rest of the circle. Names are followed to the file that defines them, through
//! re-exports; what a folder's `mod.rs` shares with the files below it (a trait
//! and the table of its implementations) is no circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::architecture::sources;

#[test]
fn no_file_reaches_itself_through_others() {
    let circles = Modules::read().circles();
    assert!(circles.is_empty(), "circles of imports: {circles:#?}");
}

/// The guard itself fails when it should.
#[test]
fn circles_are_found() {
    let circles = |files: &[(&str, &str)]| {
        let files = files
            .iter()
            .map(|(path, code)| (module(path), (*code).to_owned()));
        Modules::new(files).circles()
    };
    let two = [
        ("src/a/x.rs", "use super::y::Y;"),
        ("src/a/y.rs", "use crate::a::{z, x::{self, X}};"),
        ("src/a/z.rs", ""),
        ("src/a/mod.rs", "mod x; mod y; mod z;"),
    ];
    let expected = vec!["a::x".to_owned(), "a::y".to_owned()];
    assert_eq!(circles(&two), BTreeSet::from([expected.clone()]));
    let by_name = [
        ("src/a/x.rs", "use super::Y;"),
        ("src/a/y.rs", "fn f() { super::x::g() }"),
        ("src/a/mod.rs", "mod x; mod y; pub use y::Y;"),
    ];
    assert_eq!(circles(&by_name), BTreeSet::from([expected]));
    let table = [
        ("src/a/x.rs", "use super::Trait;"),
        (
            "src/a/mod.rs",
            "mod x; pub trait Trait {} static ALL: &[x::X] = &[];",
        ),
        ("src/b.rs", "use crate::a::x::X;"),
    ];
    assert!(circles(&table).is_empty());
}

/// A module, by the names that lead to it.
type Name = Vec<String>;

/// Imports of each module.
struct Modules {
    /// Paths that the code of a module has.
    paths: BTreeMap<Name, Vec<Name>>,
    /// The item that a name stands for in a module that imports it.
    names: BTreeMap<(Name, String), Name>,
}

impl Modules {
    fn read() -> Self {
        Self::new(
            sources()
                .into_iter()
                .map(|source| (module(&source.path), source.code)),
        )
    }

    fn new(files: impl Iterator<Item = (Name, String)>) -> Self {
        let mut modules = Self {
            paths: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        for (name, code) in files {
            let mut paths = inline(&code);
            for (path, alias) in imports(&code) {
                let key = (name.clone(), alias);
                modules.names.insert(key, path.clone());
                paths.push(path);
            }
            modules.paths.insert(name, paths);
        }
        modules
    }

    /// The sets of modules that reach each other.
    fn circles(&self) -> BTreeSet<Vec<String>> {
        let edges: BTreeMap<&Name, BTreeSet<&Name>> = self
            .paths
            .iter()
            .map(|(from, paths)| {
                let to = paths.iter().filter_map(|path| self.home(from, path, 0));
                let apart = |to: &&Name| !to.starts_with(from) && !from.starts_with(to);
                (from, to.filter(apart).collect())
            })
            .collect();
        let reached = |from: &Name| {
            let mut reached: BTreeSet<&Name> = BTreeSet::new();
            let mut open: Vec<&Name> = edges[from].iter().copied().collect();
            while let Some(next) = open.pop() {
                if reached.insert(next) {
                    open.extend(edges[next].iter().copied());
                }
            }
            reached
        };
        let all: BTreeMap<&Name, BTreeSet<&Name>> = self
            .paths
            .keys()
            .map(|name| (name, reached(name)))
            .collect();
        let mut circles = BTreeSet::new();
        for (name, reached) in &all {
            if reached.contains(name) {
                let mutual = reached.iter().filter(|other| all[**other].contains(name));
                circles.insert(mutual.map(|other| other.join("::")).collect());
            }
        }
        circles
    }

    /// The module that defines what a path in a module leads to; `None` outside
    /// the project.
    fn home(&self, from: &Name, path: &[String], depth: u32) -> Option<&Name> {
        let (first, mut rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            child => {
                let below = [&from[..], &[child.to_owned()]].concat();
                if !self.paths.contains_key(&below) {
                    return None;
                }
                below
            }
        };
        while let Some((next, after)) = rest.split_first() {
            let below = [&base[..], std::slice::from_ref(next)].concat();
            if next == "super" {
                base.pop()?;
            } else if self.paths.contains_key(&below) {
                base = below;
            } else {
                break;
            }
            rest = after;
        }
        if let Some(name) = rest.first()
            && depth < 8
            && let Some(target) = self.names.get(&(base.clone(), name.clone()))
            && let Some(home) = self.home(&base, target, depth + 1)
        {
            return Some(home);
        }
        self.paths.get_key_value(&base).map(|(name, _)| name)
    }
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are the module `a::b`.
fn module(path: &str) -> Name {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut names: Name = inner.split('/').map(str::to_owned).collect();
    if matches!(
        names.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        names.pop();
    }
    names
}

/// Paths that begin with `crate` or `super` anywhere in the code.
fn inline(code: &str) -> Vec<Name> {
    let mut paths = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let end = code[at..]
                .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                .map_or(code.len(), |length| at + length);
            // A group follows: these names are imported, one by one.
            if code[at..end].ends_with("::") {
                continue;
            }
            let path = code[at..end].trim_end_matches(':');
            paths.push(path.split("::").map(str::to_owned).collect());
        }
    }
    paths
}

/// Imports of `use`: paths, and the names that they get.
fn imports(code: &str) -> Vec<(Name, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].trim_end_matches(' ');
        if !(before.is_empty()
            || before.ends_with(['\n', ';', '{', '}', ')'])
            || before.ends_with("pub"))
        {
            continue;
        }
        let rest = &code[at + 4..];
        if let Some(tree) = rest.find(';').map(|end| &rest[..end]) {
            expand(&Vec::new(), tree, &mut found);
        }
    }
    found
}

fn expand(before: &Name, tree: &str, found: &mut Vec<(Name, String)>) {
    let tree = tree.trim();
    if let Some((path, group)) = tree.split_once('{') {
        let path = path.trim().trim_end_matches("::");
        let mut base = before.clone();
        base.extend(
            path.split("::")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        let group = group.trim_end();
        let group = group.strip_suffix('}').unwrap_or(group);
        let (mut depth, mut begin) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let part = &group[begin..at];
                    if !part.trim().is_empty() {
                        expand(&base, part, found);
                    }
                    begin = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path.trim(), Some(alias.trim())),
        None => (tree, None),
    };
    let mut full = before.clone();
    full.extend(path.split("::").map(|name| name.trim().to_owned()));
    if full.len() > 1 && full.last().is_some_and(|name| name == "self") {
        full.pop();
    }
    let name = alias.map(str::to_owned).or_else(|| full.last().cloned());
    found.push((full, name.unwrap_or_default()));
}
