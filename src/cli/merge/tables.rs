//! Tables of several runs as one folder: see [`mqttdump::tables::merge`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use mqttdump::tables::TableFile;
use mqttdump::tables::merge::{Input, merge};
use mqttdump::tables::schema::{self, Table};
use serde_json::Value;

use super::super::tables::vacant;

/// The name of the manifest.
const MANIFEST: &str = "manifest.json";

/// Whether a folder has tables.
pub(super) fn is_tables(folder: &Path) -> bool {
    manifest(folder).is_ok_and(|manifest| manifest["tables"].is_object())
}

fn manifest(folder: &Path) -> Result<Value, String> {
    let path = folder.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| at(&path, error))?;
    serde_json::from_slice(&text).map_err(|error| at(&path, error))
}

/// A file of a table, and the rows that it has by its manifest.
struct Part {
    path: PathBuf,
    rows: u64,
}

impl Part {
    fn open(&self, table: &'static Table) -> Result<Input<File>, String> {
        let file = || File::open(&self.path).map_err(|error| at(&self.path, error));
        Input::new(table, file()?, file()?).map_err(|error| at(&self.path, error))
    }

    /// Fails unless it can be read and has its rows.
    fn verify(&self, table: &'static Table) -> Result<(), String> {
        match self.open(table)?.rows() {
            found if found == self.rows => Ok(()),
            found => Err(at(
                &self.path,
                format!("expected {} rows ({MANIFEST}), found {found}", self.rows),
            )),
        }
    }
}

/// Fails if one has a table that another lacks: rows of it would be missing.
fn have_the_same_tables(folders: &[(&PathBuf, Value)]) -> Result<(), String> {
    for (folder, manifest) in folders {
        for table in manifest["tables"]
            .as_object()
            .into_iter()
            .flat_map(|it| it.keys())
        {
            let lacks = |(_, other): &&(&PathBuf, Value)| other["tables"][table].is_null();
            if let Some((other, _)) = folders.iter().find(lacks) {
                return Err(format!(
                    "{}: expected the same tables in all folders, found no {table}, which {} has",
                    other.display(),
                    folder.display()
                ));
            }
        }
    }
    Ok(())
}

/// Puts the tables of the folders together into another. Returns whether all captures
/// could be read to their ends.
pub(super) fn merge_all(folders: &[PathBuf], to: &Path) -> Result<bool, String> {
    vacant(to)?;
    let mut captures = Vec::new();
    // By table, and by the folder of a part of it.
    let mut parts: BTreeMap<(String, PathBuf), Vec<Part>> = BTreeMap::new();
    let mut tables = BTreeSet::new();
    let manifests = folders.iter().map(|folder| Ok((folder, manifest(folder)?)));
    let manifests = manifests.collect::<Result<Vec<_>, String>>()?;
    have_the_same_tables(&manifests)?;
    for (folder, manifest) in &manifests {
        if manifest["schema_version"] != schema::VERSION {
            return Err(format!(
                "{}: tables of another version ({}, expected {})",
                folder.display(),
                manifest["schema_version"],
                schema::VERSION
            ));
        }
        captures.extend(manifest["captures"].as_array().cloned().unwrap_or_default());
        for (table, entry) in manifest["tables"].as_object().into_iter().flatten() {
            tables.insert(table.clone());
            for file in entry["files"].as_array().into_iter().flatten() {
                let name = Path::new(file["name"].as_str().unwrap_or_default());
                let part = Part {
                    path: folder.join(name),
                    rows: file["rows"].as_u64().unwrap_or_default(),
                };
                part.verify(find(table)?)?;
                let below = name.parent().unwrap_or(Path::new("")).to_owned();
                parts.entry((table.clone(), below)).or_default().push(part);
            }
        }
    }
    let divided = parts.keys().filter(|(_, part)| part.as_os_str().is_empty());
    if !matches!(divided.count(), n if n == 0 || n == parts.len()) {
        return Err("tables with and without --partition cannot be merged".into());
    }
    captures.sort_by_cached_key(Value::to_string);
    let whole = captures.iter().all(|capture| capture["complete"] == true);
    let mut entries: BTreeMap<String, (u64, Vec<Value>)> = tables
        .into_iter()
        .map(|table| (table, (0, Vec::new())))
        .collect();
    for ((name, part), inputs) in &parts {
        let table = find(name)?;
        let file = match part.as_os_str().is_empty() {
            true => PathBuf::from(format!("{name}.parquet")),
            false => part.join("0.parquet"),
        };
        let path = to.join(&file);
        let failed = |error: mqttdump::tables::Error| at(&path, error);
        let inputs = inputs.iter().map(|part| part.open(table));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| at(parent, error))?;
        }
        let partial = PathBuf::from(format!("{}.partial", path.display()));
        let out = File::create(&partial).map_err(|error| at(&partial, error))?;
        let mut out = TableFile::new(table, BufWriter::new(out)).map_err(failed)?;
        merge(table, inputs, &mut out).map_err(failed)?;
        let (rows, out) = out.finish().map_err(failed)?;
        out.into_inner().map_err(|error| at(&path, error.error()))?;
        fs::rename(&partial, &path).map_err(|error| at(&path, error))?;
        let (sum, files) = entries.entry(name.clone()).or_default();
        *sum += rows;
        files.push(serde_json::json!({"name": file, "rows": rows}));
    }
    let tables: serde_json::Map<String, Value> = entries
        .into_iter()
        .map(|(name, (rows, files))| (name, serde_json::json!({"rows": rows, "files": files})))
        .collect();
    let manifest = serde_json::json!({
        "schema_version": schema::VERSION,
        "program": concat!("mqttdump ", env!("CARGO_PKG_VERSION")),
        "captures": captures,
        "tables": tables,
    });
    let path = to.join(MANIFEST);
    fs::write(&path, format!("{manifest:#}\n")).map_err(|error| at(&path, error))?;
    Ok(whole)
}

fn find(table: &str) -> Result<&'static Table, String> {
    schema::find(table).ok_or_else(|| format!("{table}: no such table"))
}

fn at(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
