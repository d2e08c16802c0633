//! Descriptors that whoever started us had open: a lock, the end of a pipe. Held by a process that goes on for days,
//! they would never be let go.

use std::fs;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// All descriptors beyond stdin, stdout and stderr that were there before this program; closed with it.
#[derive(Debug)]
pub struct Inherited {
    _open: Vec<OwnedFd>,
}

impl Inherited {
    /// Takes them, once, and keeps them from programs that are started later. They are open still, for a path such as
    /// `/dev/fd/63` may lead to one.
    pub fn take() -> Self {
        let Ok(listed) = fs::read_dir("/dev/fd") else {
            // In a jail without that directory they stay open.
            return Self { _open: Vec::new() };
        };
        let numbers: Vec<RawFd> = listed
            .flatten()
            .filter_map(|file| file.file_name().to_str()?.parse().ok())
            .collect();
        Self {
            _open: numbers.into_iter().filter_map(take).collect(),
        }
    }
}

/// Takes one, if it is inherited: whatever this program opens is closed with the next one that is started.
#[expect(
    unsafe_code,
    reason = "descriptors that nobody here has opened come as numbers"
)]
fn take(number: RawFd) -> Option<OwnedFd> {
    if number <= 2 {
        return None;
    }
    // SAFETY: one system call uses the number, which is no harm where it is closed by then.
    let flags = fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).ok()?;
    if flags.contains(FdFlags::CLOEXEC) {
        return None;
    }
    // SAFETY: it is open, and nobody in this program has opened it, hence nobody else will close it.
    let inherited = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&inherited, flags | FdFlags::CLOEXEC).ok()?;
    Some(inherited)
}
