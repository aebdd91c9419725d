//! The `mqttdump` program. All it does is in the library; how it is asked to is
//! in [`cli`].

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
