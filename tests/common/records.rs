//! Log records counted by their target. The logger belongs to the whole process, so a test target that
//! uses it has one test.

use std::collections::HashMap;
use std::sync::Mutex;

/// Counts log records by their target.
struct Counter(Mutex<Option<HashMap<String, usize>>>);

static COUNTER: Counter = Counter(Mutex::new(None));

impl log::Log for Counter {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("croquis::")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut counts = self.0.lock().unwrap();
            *counts.get_or_insert_default().entry(record.target().into()).or_default() += 1;
        }
    }

    fn flush(&self) {}
}

/// Counts the records of the library from now on.
pub fn install() {
    log::set_logger(&COUNTER).expect("no other logger");
    log::set_max_level(log::LevelFilter::Trace);
}

/// The records of each target since the last call.
pub fn counts<const N: usize>(targets: [&str; N]) -> [usize; N] {
    let counts = COUNTER.0.lock().unwrap().take().unwrap_or_default();
    targets.map(|target| counts.get(target).copied().unwrap_or(0))
}
