//! `.mqttdump.toml`: what a repository allows, once for everybody.
//!
//! ```toml
//! [check]
//! fail-on = "warning"
//! allow = ["delivered-qos"]
//! baseline = "captures/known.txt"
//! max-ack-ms = 500
//! max-bytes-per-message = ["alarm/#=300", "500"]
//! level = "l3"
//! require-qos = ["alarm/#=1"]
//! ```
//!
//! The nearest one counts: in the current folder, or in one above it up to the
//! repository's own (where `.git` is). What is typed wins; lists add up.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::args::{Args, FailOn};

const NAME: &str = ".mqttdump.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    check: Check,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Check {
    fail_on: Option<FailOn>,
    allow: Vec<String>,
    baseline: Option<PathBuf>,
    complete: bool,
    allow_empty: bool,
    allow_truncated: bool,
    min_frames: Option<u64>,
    max_ack_ms: Option<u64>,
    max_bytes_per_message: Sizes,
    level: Option<String>,
    require_qos: Vec<String>,
    forbid_topic: Vec<String>,
}

/// `max-bytes-per-message`: a number, or a list of numbers and `TOPIC=N`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sizes {
    One(u64),
    List(Vec<String>),
}

impl Default for Sizes {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Sizes {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(most) => vec![most.to_string()],
            Self::List(list) => list,
        }
    }
}

/// Adds the settings of the repository to what was typed.
pub(super) fn add_to(args: &mut Args) -> Result<(), String> {
    let path = match &args.config {
        Some(path) => path.clone(),
        None => match std::env::current_dir().ok().and_then(|dir| nearest(&dir)) {
            Some(path) => path,
            None => return Ok(()),
        },
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("--config {}: {error}", path.display()))?;
    let file: File = toml::from_str(&text)
        .map_err(|error| format!("{}: {}", path.display(), error.to_string().trim_end()))?;
    merge(args, file.check, path.parent().unwrap_or(Path::new("")));
    Ok(())
}

fn nearest(from: &Path) -> Option<PathBuf> {
    for folder in from.ancestors() {
        let path = folder.join(NAME);
        if path.is_file() {
            return Some(path);
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    None
}

fn merge(args: &mut Args, check: Check, folder: &Path) {
    if args.fail_on == FailOn::default() {
        args.fail_on = check.fail_on.unwrap_or_default();
    }
    args.allow.extend(check.allow);
    args.complete |= check.complete;
    args.allow_empty |= check.allow_empty;
    args.allow_truncated |= check.allow_truncated;
    args.min_frames = args.min_frames.or(check.min_frames);
    args.max_ack_ms = args.max_ack_ms.or(check.max_ack_ms);
    args.max_bytes_per_message
        .extend(check.max_bytes_per_message.into_list());
    args.level = args.level.take().or(check.level);
    args.require_qos.extend(check.require_qos);
    args.forbid_topic.extend(check.forbid_topic);
    if args.baseline.is_none() {
        args.baseline = check.baseline.map(|path| folder.join(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_wins_and_lists_add_up() {
        let file: File = toml::from_str(
            "[check]\nfail-on = \"warning\"\nallow = [\"a\"]\nmax-ack-ms = 5\nbaseline = \"known\"",
        )
        .unwrap();
        let mut args = Args {
            max_ack_ms: Some(7),
            allow: vec!["b".into()],
            ..Args::default()
        };
        merge(&mut args, file.check, Path::new("repo"));
        assert_eq!(args.fail_on, FailOn::Warning);
        assert_eq!(args.allow, ["b", "a"]);
        assert_eq!(args.max_ack_ms, Some(7));
        assert_eq!(args.baseline.as_deref(), Some(Path::new("repo/known")));
    }

    #[test]
    fn a_misspelt_key_is_no_setting() {
        let error = toml::from_str::<File>("[check]\nfail_on = \"never\"").unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
}
