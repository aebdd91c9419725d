//! [`Files`]: tables in a folder.
//!
//! ```text
//! DIR/frames.parquet                                          without --partition
//! DIR/frames/hour=2026-11-30T12/server=10.0.1.1:1883/0.parquet
//! DIR/manifest.json                                           last
//! ```
//! A file has the extension `.partial` until it is complete. If writing fails, or the
//! program ends early, no manifest is written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use mqttdump::tables::schema::{self, Table};
use mqttdump::tables::{Batch, Partition, Partitioning, TableFile};
use serde::Serialize;

/// The name of the manifest.
const MANIFEST: &str = "manifest.json";
/// Files that are open at once.
const OPEN: usize = 48;
/// Row groups of a file. What describes them stays in memory until its end.
const GROUPS: usize = 512;

/// Tables in a folder.
pub(super) struct Files {
    folder: PathBuf,
    partitioning: Partitioning,
    open: BTreeMap<(&'static str, Partition), Open>,
    /// How many files each part of a table has so far.
    counts: BTreeMap<(&'static str, Partition), u32>,
    manifest: Manifest,
    clock: u64,
}

struct Open {
    file: TableFile<BufWriter<File>>,
    /// Its name below the folder.
    name: String,
    /// When it was last written to.
    used: u64,
}

/// What the folder contains.
#[derive(Serialize)]
struct Manifest {
    schema_version: u32,
    program: &'static str,
    captures: Vec<Captured>,
    tables: BTreeMap<&'static str, Entry>,
}

#[derive(Serialize)]
struct Captured {
    files: Vec<String>,
    /// They could be read to their ends.
    complete: bool,
}

#[derive(Default, Serialize)]
struct Entry {
    rows: u64,
    files: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    name: String,
    rows: u64,
}

impl Files {
    /// Tables in this folder, which must not have any.
    pub(super) fn new(
        folder: PathBuf,
        tables: &[&'static Table],
        partitioning: Partitioning,
    ) -> Result<Self, String> {
        vacant(&folder)?;
        fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
        let mut files = Self {
            folder,
            partitioning,
            open: BTreeMap::new(),
            counts: BTreeMap::new(),
            manifest: Manifest {
                schema_version: schema::VERSION,
                program: concat!("mqttdump ", env!("CARGO_PKG_VERSION")),
                captures: Vec::new(),
                tables: tables
                    .iter()
                    .map(|table| (table.name, Entry::default()))
                    .collect(),
            },
            clock: 0,
        };
        if partitioning == Partitioning::default() {
            // A table without rows has a file, too.
            for table in tables {
                files.open(table, Partition::default())?;
            }
        }
        Ok(files)
    }

    pub(super) fn captured(&mut self, files: Vec<String>, complete: bool) {
        self.manifest.captures.push(Captured { files, complete });
    }

    /// Writes rows.
    pub(super) fn write(&mut self, batch: &mut Batch) -> Result<(), String> {
        let key = (batch.table().name, batch.partition);
        let is_long = |open: &Open| open.file.groups() >= GROUPS;
        if self.open.get(&key).is_some_and(is_long) {
            self.close(key)?;
        }
        if !self.open.contains_key(&key) {
            if self.open.len() >= OPEN {
                self.close_one()?;
            }
            self.open(batch.table(), batch.partition)?;
        }
        self.clock += 1;
        let Some(open) = self.open.get_mut(&key) else {
            return Ok(());
        };
        open.used = self.clock;
        let written = open.file.write(batch);
        written.map_err(|error| at(&self.folder.join(&open.name), error))
    }

    fn open(&mut self, table: &'static Table, partition: Partition) -> Result<(), String> {
        let key = (table.name, partition);
        let count = self.counts.entry(key).or_default();
        let name = name(table, self.partitioning, partition, *count);
        *count += 1;
        let path = partial(&self.folder.join(&name));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| at(parent, error))?;
        }
        let file = create(&path).map_err(|error| at(&path, error))?;
        let file = TableFile::new(table, BufWriter::new(file)).map_err(|error| at(&path, error))?;
        let used = self.clock;
        self.open.insert(key, Open { file, name, used });
        Ok(())
    }

    /// Closes the file that was not used for longest.
    fn close_one(&mut self) -> Result<(), String> {
        let oldest = self.open.iter().min_by_key(|(_, open)| open.used);
        match oldest.map(|(key, _)| *key) {
            Some(key) => self.close(key),
            None => Ok(()),
        }
    }

    fn close(&mut self, key: (&'static str, Partition)) -> Result<(), String> {
        let Some(open) = self.open.remove(&key) else {
            return Ok(());
        };
        let path = self.folder.join(&open.name);
        let (rows, file) = open.file.finish().map_err(|error| at(&path, error))?;
        // Written, but perhaps not to the disk.
        let file = file
            .into_inner()
            .map_err(|error| at(&path, error.error()))?;
        drop(file);
        fs::rename(partial(&path), &path).map_err(|error| at(&path, error))?;
        let entry = self.manifest.tables.entry(key.0).or_default();
        entry.rows += rows;
        entry.files.push(Part {
            name: open.name,
            rows,
        });
        Ok(())
    }

    /// Completes all files, and writes the manifest.
    pub(super) fn finish(mut self) -> Result<(), String> {
        while !self.open.is_empty() {
            self.close_one()?;
        }
        for entry in self.manifest.tables.values_mut() {
            entry.files.sort_by(|one, other| one.name.cmp(&other.name));
        }
        let path = self.folder.join(MANIFEST);
        let mut text =
            serde_json::to_vec_pretty(&self.manifest).map_err(|error| at(&path, error))?;
        text.push(b'\n');
        fs::write(partial(&path), text)
            .and_then(|()| fs::rename(partial(&path), &path))
            .map_err(|error| at(&path, error))
    }
}

impl Drop for Files {
    /// Removes the files that are not complete.
    fn drop(&mut self) {
        for open in self.open.values() {
            drop(fs::remove_file(partial(&self.folder.join(&open.name))));
        }
    }
}

/// An error if the folder holds tables: also of a run that was killed, which queries would
/// read with those of this run.
pub(in crate::cli) fn vacant(folder: &Path) -> Result<(), String> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let table = name.split('.').next().and_then(schema::find);
        name.starts_with(MANIFEST) || table.is_some()
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    match entries.map(|entry| entry.path()).find(is_ours) {
        Some(path) => Err(format!(
            "{} exists: -o needs a folder that holds no tables. Delete it, or name another",
            path.display()
        )),
        None => Ok(()),
    }
}

/// The name of a file of a table, below the folder.
fn name(table: &Table, by: Partitioning, partition: Partition, count: u32) -> String {
    if by == Partitioning::default() {
        return match count {
            0 => format!("{}.parquet", table.name),
            count => format!("{}.{count}.parquet", table.name),
        };
    }
    let mut name = table.name.to_owned();
    if let Some(hour) = partition.hour {
        let time = jiff::Timestamp::from_second(hour * 3600).unwrap_or_default();
        name += &format!("/hour={}", time.strftime("%Y-%m-%dT%H"));
    }
    match partition.server {
        Some(Some(server)) => name += &format!("/server={server}"),
        Some(None) => name += "/server=__HIVE_DEFAULT_PARTITION__",
        None => {}
    }
    format!("{name}/{count}.parquet")
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Creates a file for its owner alone, as captures are.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn at(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
