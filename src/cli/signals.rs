//! Signals that end the process: a picture that is being saved is completed first, so that no
//! temporary file stays behind. A second signal ends the process at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locked while a picture is saved.
static SAVING: Mutex<()> = Mutex::new(());

/// Keeps the process alive until the guard is dropped.
pub fn saving() -> MutexGuard<'static, ()> {
    SAVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to handle signals. Where that fails, signals end the process at once as they did.
#[cfg(unix)]
pub fn install() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    // With a handler, a file that becomes too large (`ulimit -f`) is an error of the write instead
    // of the process' end.
    let _ = signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    // What the parent had ignored stays ignored: `nohup`, jobs in the background of scripts.
    let handled = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal));
    let Ok(mut signals) = Signals::new(handled) else { return };
    std::thread::spawn(move || {
        let mut received = signals.forever();
        if let Some(signal) = received.next() {
            std::thread::spawn(move || {
                let _saved = saving();
                let _ = emulate_default_handler(signal);
            });
        }
        if let Some(signal) = received.next() {
            let _ = emulate_default_handler(signal);
        }
    });
}

/// Starts to handle signals: none on this system.
#[cfg(not(unix))]
pub fn install() {}

/// Whether a signal is ignored by this process.
#[cfg(unix)]
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, the present one is written to `action` and nothing is changed.
    // Zeros are a valid action.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::Duration;

    /// A save takes a while, and a signal arrives in its middle; the test's own program does it.
    #[test]
    fn a_signal_waits_for_a_picture_that_is_being_saved() {
        const CHILD: &str = "CROQUIS_TEST_SIGNALS";
        if let Some(file) = std::env::var_os(CHILD) {
            install();
            let saving = saving();
            let part = format!("{}.part", file.display());
            std::fs::write(&part, "half").expect("a file");
            let process = std::process::id().to_string();
            Command::new("kill").args(["-TERM", &process]).status().expect("kill");
            std::thread::sleep(Duration::from_millis(300));
            std::fs::rename(part, file).expect("a name");
            drop(saving);
            std::thread::sleep(Duration::from_secs(20));
            unreachable!("the signal did not end the process");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("whole");
        let program = std::env::current_exe().expect("this program");
        let name = "a_signal_waits_for_a_picture_that_is_being_saved";
        let mut child = Command::new(program);
        let status = child.args([name, "--nocapture"]).env(CHILD, &file).status().expect("it runs");
        assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}");
        let left: Vec<_> = std::fs::read_dir(&folder).expect("it").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(file.exists());
    }
}
