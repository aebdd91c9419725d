//! Who may import whom.
//!
//! The table below is the architecture; `docs/architecture.md` gives the reasons. A
//! test fails when code crosses it, so that one finds out in a second rather
//! than in review. Code for tests is free.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::program::project;

/// Each top-level module and those that it may use. `cli` and `main` are the
/// outer ring and may use everything; nothing may use them.
const MODULES: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("clock", &["time"]),
    ("direction", &[]),
    ("reasons", &[]),
    ("limits", &[]),
    ("packet", &["time"]),
    ("mqtt", &["direction", "limits"]),
    ("link", &["packet", "limits"]),
    ("net", &["link", "packet", "time", "limits"]),
    ("flow", &["net", "packet", "time", "limits"]),
    // Between TCP and MQTT.
    (
        "layer",
        &[
            "direction",
            "flow",
            "limits",
            "mqtt",
            "net",
            "packet",
            "time",
        ],
    ),
    ("identity", &["direction", "net", "time"]),
    (
        "frame",
        &[
            "direction",
            "identity",
            "layer",
            "mqtt",
            "net",
            "packet",
            "time",
        ],
    ),
    (
        "event",
        &[
            "direction",
            "flow",
            "frame",
            "layer",
            "limits",
            "mqtt",
            "packet",
            "time",
        ],
    ),
    (
        "engine",
        &[
            "direction",
            "event",
            "flow",
            "frame",
            "identity",
            "layer",
            "limits",
            "link",
            "mqtt",
            "net",
            "packet",
            "time",
        ],
    ),
    (
        "facts",
        &[
            "engine", "event", "flow", "frame", "identity", "layer", "limits", "mqtt", "net",
            "packet", "shard", "time",
        ],
    ),
    (
        "rules",
        &[
            "facts", "event", "frame", "identity", "limits", "mqtt", "overhead", "packet",
            "select", "time",
        ],
    ),
    (
        "overhead",
        &[
            "engine", "event", "facts", "flow", "frame", "identity", "layer", "limits", "mqtt",
            "net", "packet", "time",
        ],
    ),
    (
        "select",
        &[
            "event", "facts", "filter", "frame", "layer", "limits", "mqtt", "net", "packet",
            "payload", "time",
        ],
    ),
    ("payload", &["frame", "limits", "mqtt"]),
    (
        "redact",
        &[
            "engine", "event", "frame", "layer", "limits", "mqtt", "net", "packet",
        ],
    ),
    ("shard", &["limits", "net", "packet", "time"]),
    (
        "reduce",
        &[
            "engine", "event", "facts", "flow", "layer", "limits", "net", "packet", "rules", "time",
        ],
    ),
    (
        "stats",
        &["facts", "frame", "limits", "mqtt", "overhead", "time"],
    ),
    ("filter", &["frame", "mqtt", "net", "payload", "time"]),
    (
        "report",
        &[
            "facts", "event", "frame", "identity", "layer", "limits", "mqtt", "net", "overhead",
            "packet", "rules", "sessions", "time", "stats", "payload",
        ],
    ),
    (
        "sessions",
        &[
            "engine", "event", "facts", "flow", "frame", "identity", "layer", "limits", "mqtt",
            "net", "packet", "rules", "time",
        ],
    ),
    (
        "tables",
        &[
            "event", "facts", "frame", "identity", "layer", "limits", "mqtt", "net", "overhead",
            "packet", "report", "rules", "select", "sessions", "time",
        ],
    ),
    // What others collect, while it happens.
    (
        "metrics",
        &[
            "event", "facts", "frame", "limits", "mqtt", "overhead", "rules", "time",
        ],
    ),
    ("capture", &["limits", "link", "packet", "time"]),
];

/// Each outside crate and its home: modules, or files where only these know
/// it.
const CRATES: &[(&str, &[&str])] = &[
    ("aes", &["layer/tls/cipher.rs"]),
    ("aes_gcm", &["layer/tls/cipher.rs"]),
    ("anstream", &["cli"]),
    ("anstyle", &["cli", "report"]),
    ("arrow_array", &["tables"]),
    ("arrow_ipc", &["tables"]),
    ("arrow_schema", &["tables"]),
    ("base64", &["report", "identity.rs"]),
    // Also the name of modules.
    ("bytes", &["capture/mod.rs", "link/mod.rs", "tables"]),
    ("bzip2", &["capture"]),
    ("cap", &["cli/memory.rs"]),
    ("cbc", &["layer/tls/cipher.rs"]),
    ("ccm", &["layer/tls/cipher.rs"]),
    ("chacha20poly1305", &["layer/tls/cipher.rs"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("comfy_table", &["report"]),
    ("csv", &["cli/redact.rs", "report"]),
    ("etherparse", &["link", "net"]),
    (
        "flate2",
        &["capture", "layer/websocket/inflate.rs", "overhead"],
    ),
    (
        "foldhash",
        &[
            "cli/export",
            "facts",
            "engine",
            "flow",
            "layer",
            "metrics",
            "mqtt",
            "net",
            "overhead",
            "rules",
            "select",
            "sessions",
            "tables",
        ],
    ),
    (
        "hashbrown",
        &["flow", "engine", "layer", "select", "tables"],
    ),
    ("hdrhistogram", &["sessions/latency.rs"]),
    ("hkdf", &["layer/tls/schedule.rs"]),
    (
        "hmac",
        &[
            "layer/tls/cipher.rs",
            "layer/tls/schedule.rs",
            "redact/pseudonym.rs",
        ],
    ),
    ("httparse", &["cli/listen.rs", "layer/http"]),
    ("indicatif", &["cli"]),
    ("itoa", &["report", "tables"]),
    ("jiff", &["report", "cli", "filter"]),
    ("landlock", &["cli/sandbox/files.rs"]),
    ("libc", &["cli/sandbox/calls.rs"]),
    ("lz4_flex", &["capture"]),
    ("lzma_rust2", &["capture"]),
    ("memchr", &["filter"]),
    ("minicbor", &["payload/cbor.rs"]),
    ("nix", &["cli/live/privileges.rs"]),
    ("nom", &["layer", "mqtt"]),
    ("parquet", &["tables"]),
    (
        "pcap",
        &["capture/bpf.rs", "capture/live", "capture/machine.rs"],
    ),
    ("postcard", &["facts/record"]),
    ("prometheus_client", &["metrics"]),
    ("quick_xml", &["report"]),
    ("regex", &["filter"]),
    (
        "rustix",
        &[
            "capture/input.rs",
            "capture/live",
            "cli/live",
            "cli/memory.rs",
            "cli/sandbox",
            "cli/save",
        ],
    ),
    ("ruzstd", &["capture"]),
    ("seccompiler", &["cli/sandbox/calls.rs"]),
    (
        "serde",
        &[
            "capture/origin.rs",
            "cli",
            "direction",
            "event",
            "facts/record",
            "flow",
            "frame",
            "layer",
            "mqtt",
            "net",
            "packet",
            "reasons",
            "time",
            "overhead",
            "redact/shape.rs",
            "report",
            "shard",
        ],
    ),
    (
        "serde_json",
        &[
            "capture/origin.rs",
            "cli/export",
            "cli/tables",
            "cli/merge",
            "cli/records.rs",
            "facts/record",
            "redact/shape.rs",
            "report",
            "shard",
        ],
    ),
    ("sha1", &["layer/tls/cipher.rs", "identity.rs"]),
    (
        "sha2",
        &[
            "layer/tls/cipher.rs",
            "layer/tls/schedule.rs",
            "redact/pseudonym.rs",
        ],
    ),
    ("signal_hook", &["cli/live", "cli/signals.rs"]),
    ("snap", &["tables"]),
    ("terminal_size", &["cli"]),
    ("toml", &["cli", "overhead"]),
    (
        "thiserror",
        &[
            "capture", "cli", "filter", "mqtt", "overhead", "payload", "redact", "reduce", "rules",
            "select", "tables",
        ],
    ),
    ("twox_hash", &["cli/checksum"]),
    ("unicode_width", &["report"]),
];

/// Items that only `capture` (files) and the outer ring may touch.
const OUTSIDE_WORLD: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "println!",
    "print!",
    "stdin()",
    "stdout()",
    "stderr()",
];

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|f| !f.is_outer()) {
        let allowed = allowed(&file.module);
        for name in file.imports() {
            if name != file.module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} uses crate::{name}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn outside_crates_stay_at_home() {
    let manifest = std::fs::read_to_string(project("Cargo.toml")).expect("Cargo.toml");
    for name in dependencies(&manifest) {
        assert!(
            CRATES.iter().any(|(n, _)| *n == name),
            "{name} is in Cargo.toml and has no home in this table"
        );
    }
    let mut wrong = Vec::new();
    for file in sources().iter() {
        for (name, homes) in CRATES {
            let at_home = homes
                .iter()
                .any(|home| file.path.starts_with(&format!("src/{home}")));
            if !at_home && file.uses_crate(name) {
                wrong.push(format!("{} uses {name}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_core_does_not_touch_the_world() {
    let mut wrong = Vec::new();
    for file in sources()
        .iter()
        .filter(|f| !f.is_outer() && f.module != "capture")
    {
        for word in OUTSIDE_WORLD.iter().filter(|w| file.contains(w)) {
            wrong.push(format!("{} has {word}", file.path));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A table for modules that are no more would guard nothing.
#[test]
fn the_table_is_of_this_project() {
    let modules: Vec<String> = sources().into_iter().map(|f| f.module).collect();
    for (name, allowed) in MODULES {
        for name in [name].into_iter().chain(*allowed) {
            assert!(
                modules.iter().any(|m| m == name),
                "there is no module {name}"
            );
        }
    }
}

/// Code compiled only for tests is exempt, however deep it lies; the
/// rest may not.
#[test]
fn the_guard_leaves_out_tests_and_nothing_else() {
    let paths: Vec<String> = sources().into_iter().map(|f| f.path).collect();
    let has = |path: &str| paths.iter().any(|p| p == path);
    assert!(has("src/layer/tls/mod.rs") && has("src/layer/tls/cipher.rs"));
    for path in ["tests.rs", "tests/cost.rs", "cipher/seal.rs"] {
        assert!(project("src/layer/tls").join(path).is_file());
        assert!(!has(&format!("src/layer/tls/{path}")), "{path}");
    }
}

/// The guard itself fails when it should.
#[test]
fn the_guard_sees_every_way_to_import() {
    let file = |path: &str, code: &str| Source::new(path.into(), code);
    for (path, code) in [
        ("src/flow/table.rs", "use crate::report::Report;"),
        ("src/flow/table.rs", "use crate::{limits, report};"),
        (
            "src/flow/table.rs",
            "use crate::{net::{Segment}, report::{Report}};",
        ),
        ("src/flow/table.rs", "fn f() { crate::report::x() }"),
        ("src/flow/mod.rs", "use super::report::Report;"),
    ] {
        let imports = file(path, code).imports();
        assert!(
            imports.contains(&"report".to_owned()),
            "{code}: {imports:?}"
        );
    }
    for code in [
        "// use crate::report::Report;",
        "/// [x](crate::report)\nfn f() {}",
        "#[cfg(test)]\nmod tests { use crate::report::Report; }",
        "use crate::net::report;",
    ] {
        let imports = file("src/flow/table.rs", code).imports();
        assert!(
            !imports.contains(&"report".to_owned()),
            "{code}: {imports:?}"
        );
    }
    assert!(file("src/flow/a.rs", "fn f() { csv::Reader::new() }").uses_crate("csv"));
    assert!(file("src/flow/a.rs", "use csv;").uses_crate("csv"));
    assert!(!file("src/flow/a.rs", "mod csv; use self::csv::x; a_csv::b()").uses_crate("csv"));
}

pub(crate) struct Source {
    /// From the project's root, with `/`.
    pub(crate) path: String,
    /// Top-level module.
    module: String,
    /// Without comments and tests.
    pub(crate) code: String,
}

impl Source {
    fn new(path: String, text: &str) -> Self {
        let inner = path.trim_start_matches("src/");
        let module = inner.split('/').next().unwrap_or_default();
        let module = module.trim_end_matches(".rs").to_owned();
        let text = match text.find("#[cfg(test)]\nmod tests {") {
            Some(tests) => &text[..tests],
            None => text,
        };
        let lines = text.lines().map(|line| match line.find("//") {
            Some(comment) => &line[..comment],
            None => line,
        });
        let code = lines.collect::<Vec<_>>().join("\n");
        Self { path, module, code }
    }

    fn is_outer(&self) -> bool {
        matches!(self.module.as_str(), "cli" | "main" | "lib")
    }

    fn contains(&self, word: &str) -> bool {
        !occurrences(&self.code, word).is_empty()
    }

    /// Top-level modules that the code names, by `crate::` or, from the top
    /// of a module, by `super::`.
    fn imports(&self) -> Vec<String> {
        let mut names = Vec::new();
        let top = self.path == format!("src/{}.rs", self.module)
            || self.path == format!("src/{}/mod.rs", self.module);
        for root in ["crate::", "super::"] {
            if root == "super::" && !top {
                continue;
            }
            for at in occurrences(&self.code, root) {
                names.extend(first_names(&self.code[at + root.len()..]));
            }
        }
        if top {
            // `super` inside a nested module is the module itself.
            names.retain(|n| MODULES.iter().any(|(m, _)| m == n) || n == "cli");
        }
        names
    }

    fn uses_crate(&self, name: &str) -> bool {
        occurrences(&self.code, name).into_iter().any(|at| {
            let (before, after) = (&self.code[..at], &self.code[at + name.len()..]);
            let path =
                after.starts_with("::") || (before.ends_with("use ") && after.starts_with(';'));
            path && !before.ends_with("::")
        })
    }
}

/// The first names of a path after its root: `a::b` gives `a`, `{a::b, c}`
/// gives `a` and `c`.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let mut names = vec![word(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|n| !n.is_empty());
    names
}

/// Where a word occurs that is not part of a longer one.
fn occurrences(code: &str, word: &str) -> Vec<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: &usize| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let goes_on = word.ends_with(is_part) && after.is_some_and(is_part);
        !(before.is_some_and(is_part) || goes_on)
    };
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(whole)
        .collect()
}

fn allowed(module: &str) -> &'static [&'static str] {
    let row = MODULES.iter().find(|(name, _)| *name == module);
    row.unwrap_or_else(|| panic!("src/{module} is new: give it a row in this table"))
        .1
}

/// All source files but those that are only compiled for tests.
pub(crate) fn sources() -> Vec<Source> {
    let mut texts = BTreeMap::new();
    collect(&project("src"), &mut texts);
    let mut for_tests = Vec::new();
    for (path, text) in &texts {
        let folder = match path.file_stem().and_then(|s| s.to_str()) {
            Some("mod" | "lib" | "main") => path.parent().map(Path::to_owned),
            _ => Some(path.with_extension("")),
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.trim() == "#[cfg(test)]" {
                let module = lines.next().unwrap_or_default().trim();
                let module = module.strip_prefix("pub(crate) ").unwrap_or(module);
                let name = module
                    .strip_prefix("mod ")
                    .and_then(|m| m.strip_suffix(';'));
                if let (Some(folder), Some(name)) = (&folder, name) {
                    for_tests.push(folder.join(format!("{name}.rs")));
                    for_tests.push(folder.join(name).join("mod.rs"));
                }
            }
        }
    }
    let root = project("");
    texts
        .into_iter()
        .filter(|(path, _)| {
            // With the modules below them.
            let is_in = |file: &PathBuf| path == file || path.starts_with(file.with_extension(""));
            !for_tests.iter().any(is_in)
        })
        .map(|(path, text)| {
            let path = path.strip_prefix(&root).unwrap_or(&path);
            let path: Vec<_> = path
                .components()
                .map(|c| c.as_os_str().to_string_lossy())
                .collect();
            Source::new(path.join("/"), &text)
        })
        .collect()
}

fn collect(folder: &Path, texts: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).expect("src").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, texts);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            texts.insert(path, text);
        }
    }
}

/// Names in `[dependencies]`, as code spells them.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap_or_default();
    section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect()
}
