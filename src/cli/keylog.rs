//! TLS keys: the file of `--tls-keylog` or `SSLKEYLOGFILE`, which may grow while
//! it is read, and the secrets in pcapng files.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use mqttdump::capture::Block;
use mqttdump::facts::Facts;

/// Environment variable that names the file to which browsers, curl and OpenSSL's
/// programs write keys.
const VARIABLE: &str = "SSLKEYLOGFILE";
/// Type of a pcapng Decryption Secrets Block that holds a TLS key log.
pub(crate) const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Bytes per read.
const CHUNK: usize = 4096;

/// Where keys come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyLogPlan {
    path: Option<PathBuf>,
    /// The file was not typed, so it may be missing.
    from_environment: bool,
}

impl KeyLogPlan {
    /// `typed` is the file of `--tls-keylog`.
    pub(crate) fn new(typed: Option<&Path>) -> Self {
        let typed = typed.map(Path::to_owned);
        let variable = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        Self {
            from_environment: typed.is_none(),
            path: typed.or_else(|| variable().map(PathBuf::from)),
        }
    }

    /// Whether a file is given.
    pub(crate) fn is_given(&self) -> bool {
        self.path.is_some()
    }

    /// The file.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Opens the file. It has to be a regular file: opening or reading a pipe may
    /// block, while packets are not read.
    pub(crate) fn open(&self) -> Result<KeyLogFile, String> {
        let Some(path) = &self.path else {
            return Ok(KeyLogFile::default());
        };
        let opened = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => File::open(path),
            // SSLKEYLOGFILE=/dev/null is the usual way to disable logging.
            Ok(_) if self.from_environment => return Ok(KeyLogFile::default()),
            Ok(_) => return Err(self.error(path, NO_FILE)),
            Err(error) => Err(error),
        };
        match opened {
            Ok(file) => Ok(KeyLogFile { file: Some(file) }),
            Err(error) if self.from_environment && error.kind() == ErrorKind::NotFound => {
                Ok(KeyLogFile::default())
            }
            Err(error) => Err(self.error(path, &format!("cannot read: {error}"))),
        }
    }

    fn error(&self, path: &Path, why: &str) -> String {
        let option = match self.from_environment {
            true => VARIABLE,
            false => "--tls-keylog",
        };
        format!("{option} {}: {why}", path.display())
    }
}

const NO_FILE: &str = "is not a regular file; write the pipe's data to a file, \
     which is read while it grows";

/// A key log that may grow.
#[derive(Debug, Default)]
pub(crate) struct KeyLogFile {
    file: Option<File>,
}

impl KeyLogFile {
    /// All that is there now, for a capture that is read more than once.
    pub(crate) fn read_all(self, most: usize) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        if let Some(file) = self.file {
            file.take(most as u64 + 1)
                .read_to_end(&mut text)
                .map_err(|error| format!("key log: cannot read: {error}"))?;
        }
        match text.len() > most {
            true => Err(format!("key log: more than {most} bytes")),
            false => Ok(text),
        }
    }

    /// Reads the bytes added since the last call.
    pub(crate) fn read_on(&mut self, facts: &mut Facts) {
        let Some(file) = &mut self.file else { return };
        let mut chunk = [0; CHUNK];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return,
                Ok(there) => facts.secrets(chunk.get(..there).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Keys read before the error stay in use.
                Err(_) => {
                    self.file = None;
                    return;
                }
            }
        }
    }
}

/// Reads the keys in a pcapng file.
pub(crate) fn from_block(block: &Block<'_>, facts: &mut Facts) {
    facts.expect_secrets();
    if let Block::Secrets { kind, data, .. } = block
        && *kind == TLS_KEY_LOG
    {
        facts.secrets(data);
        // The last line of a block may lack its newline.
        facts.secrets(b"\n");
    }
}
