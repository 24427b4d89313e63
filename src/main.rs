//! The `forge` program: everything is in the library.

fn main() -> std::process::ExitCode {
    forge::cli::main()
}
