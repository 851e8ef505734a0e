//! The `croquis` command: text to image on any GPU.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
