//! epsball as an extension of Python: what crosses between the two languages, and nothing else.
//!
//! A network of a user's program is a [`callable::PythonNetwork`], which asks it for logits and gradients; one of a
//! file runs on the engine ([`network::Network`] is either). Batches cross as arrays of NumPy ([`arrays`]), mistakes
//! as exceptions ([`errors`]), warnings by Python's `logging` ([`logging`]). While Rust computes, the interpreter
//! belongs to others ([`wait`]). What a user of Python sees is written in Python, in `epsball/`.

mod arrays;
mod attack;
mod callable;
mod certify;
mod data;
mod errors;
mod logging;
mod network;
mod program;
mod rows;
mod runs;
mod wait;

use pyo3::pymodule;

/// The native half of the package `epsball`.
#[pymodule]
mod _epsball {
    #[pymodule_export]
    use crate::attack::Attack;
    #[pymodule_export]
    use crate::certify::Certificate;
    #[pymodule_export]
    use crate::data::read_images;
    #[pymodule_export]
    use crate::network::Network;
    #[pymodule_export]
    use crate::program::{
        Board, audit_table, command, command_inside, compare_paths, listed, run_suite,
        verify_folder,
    };
    #[pymodule_export]
    use crate::rows::AttackRows;
    #[pymodule_export]
    use crate::runs::save_attack;
    #[cfg(debug_assertions)]
    #[pymodule_export]
    use crate::wait::panics;

    /// Version of the package and of the program.
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
