//! The `mqttdump` program. The analysis is in the library, the command line in
//! [`cli`].

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
