//! Errors of epsball as exceptions of Python: the classes are those of `epsball/_errors.py`, and every hint is kept.

use epsball::Error;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// The exception for `error`.
pub(crate) fn raise(error: Error) -> PyErr {
    let class = match &error {
        Error::Interrupted => return PyKeyboardInterrupt::new_err(()),
        Error::Io { .. } | Error::File { .. } => "FileError",
        Error::Setting { .. } | Error::Unknown { .. } => "SettingError",
        Error::Device { .. } => "DeviceError",
        _ => "EpsballError",
    };
    exception(class, error.to_string(), error.hint())
}

/// An exception of `epsball/_errors.py`.
fn exception(class: &str, message: String, hint: Option<String>) -> PyErr {
    Python::attach(|py| {
        let made = py
            .import("epsball._errors")
            .and_then(|module| module.getattr(class)?.call1((message, hint)));
        made.map_or_else(|failed| failed, PyErr::from_value)
    })
}

/// The exception for a panic that said `text`.
pub(crate) fn bug(text: &str) -> PyErr {
    let hint = "this is a bug in epsball; please report it with the traceback";
    exception("EpsballError", format!("epsball panicked: {text}"), Some(hint.into()))
}

/// The exception for a setting that cannot be used.
pub(crate) fn refuse(field: &str, problem: impl Into<String>, remedy: &str) -> PyErr {
    raise(Error::setting(field, problem, remedy))
}
