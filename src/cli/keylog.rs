//! Keys to TLS: the file of `--tls-keylog` or `SSLKEYLOGFILE`, which may grow
//! while it is read, and what a pcapng file has of them.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use mqttdump::capture::Block;
use mqttdump::facts::Facts;

/// What browsers, curl and OpenSSL's programs write to.
const VARIABLE: &str = "SSLKEYLOGFILE";
/// Kind of a pcapng secrets block: a TLS key log.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Bytes that are read at once.
const CHUNK: usize = 4096;

/// Where keys are to be had.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyLogPlan {
    path: Option<PathBuf>,
    /// It was not typed: it need not be there.
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

    /// Whether there are keys, or may be.
    pub(crate) fn is_given(&self) -> bool {
        self.path.is_some()
    }

    /// Opens the file. It has to be one: reading a pipe, or only opening it, may
    /// wait for ever, while packets pass unread.
    pub(crate) fn open(&self) -> Result<KeyLogFile, String> {
        let Some(path) = &self.path else {
            return Ok(KeyLogFile::default());
        };
        let opened = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => File::open(path),
            // Programs are told so to write none: SSLKEYLOGFILE=/dev/null.
            Ok(_) if self.from_environment => return Ok(KeyLogFile::default()),
            Ok(_) => return Err(self.told(path, NO_FILE)),
            Err(error) => Err(error),
        };
        match opened {
            Ok(file) => Ok(KeyLogFile { file: Some(file) }),
            Err(error) if self.from_environment && error.kind() == ErrorKind::NotFound => {
                Ok(KeyLogFile::default())
            }
            Err(error) => Err(self.told(path, &format!("cannot read: {error}"))),
        }
    }

    fn told(&self, path: &Path, why: &str) -> String {
        let option = match self.from_environment {
            true => VARIABLE,
            false => "--tls-keylog",
        };
        format!("{option} {}: {why}", path.display())
    }
}

const NO_FILE: &str = "is no regular file; write what a pipe brings to one, \
     which is read on while it grows";

/// A key log that may grow.
#[derive(Debug, Default)]
pub(crate) struct KeyLogFile {
    file: Option<File>,
}

impl KeyLogFile {
    /// Reads what has come to it.
    pub(crate) fn read_on(&mut self, facts: &mut Facts) {
        let Some(file) = &mut self.file else { return };
        let mut chunk = [0; CHUNK];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return,
                Ok(there) => facts.secrets(chunk.get(..there).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What was read is of use all the same.
                Err(_) => {
                    self.file = None;
                    return;
                }
            }
        }
    }
}

/// Takes the keys that a pcapng file has.
pub(crate) fn from_block(block: &Block<'_>, facts: &mut Facts) {
    facts.expect_secrets();
    if let Block::Secrets { kind, data, .. } = block
        && *kind == TLS_KEY_LOG
    {
        facts.secrets(data);
        // A block ends what it has, whether or not its last line does.
        facts.secrets(b"\n");
    }
}
