//! The command `croquis`: pictures from text on any GPU.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
