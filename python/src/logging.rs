//! Warnings of epsball as records of Python's `logging`, from the logger `epsball`.

use std::fmt::{Debug, Write as _};
use std::sync::Once;

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

static STARTED: Once = Once::new();

/// Begins to hand them over. Not before the library is used: the command `epsball` prints its own.
pub(crate) fn start() {
    STARTED.call_once(|| {
        let layer = ToPython.with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(layer);
        // Where somebody else listens already, he is told.
        let _ = tracing::subscriber::set_global_default(subscriber);
    });
}

struct ToPython;

impl<S: Subscriber> Layer<S> for ToPython {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            Level::INFO => 20,
            _ => 10,
        };
        let mut text = Text::default();
        event.record(&mut text);
        let message = format!("{}{}", text.message, text.fields);
        // A logger that fails is not to end an attack.
        let _ = Python::try_attach(|py| -> PyResult<()> {
            let logger = py.import("logging")?.call_method1("getLogger", ("epsball",))?;
            logger.call_method1("log", (level, "%s", message))?;
            Ok(())
        });
    }
}

/// The message of an event, and its fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A `String` takes everything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
