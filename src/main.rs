//! The `epsball` binary: everything it does is in the library.

use std::process::ExitCode;

/// Every layer of every chunk allocates its result; the system's allocator gives such blocks back to
/// the kernel each time and pays with page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    epsball::cli::main()
}
