//! The person's browser.

use std::io;
use std::process::{Command, Stdio};

use crate::aws::env;

/// Whether a browser on this machine can be seen by the person: not over ssh, not without a display.
pub fn is_here() -> bool {
    if env::lookup("SSH_CONNECTION").is_some() || env::lookup("SSH_TTY").is_some() {
        return false;
    }
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"]
        .into_iter()
        .any(|name| env::lookup(name).is_some());
    cfg!(any(target_os = "macos", windows)) || has_display
}

/// Opens a page and does not wait. What AWS names as a page may be anything, so only web pages are opened:
/// over TLS, or of this machine.
///
/// # Errors
/// When there is no browser, or it is no web page.
pub fn open(url: &str) -> io::Result<()> {
    check(url)?;
    open_own(url)
}

/// The same with a page of ours, wherever it is.
///
/// # Errors
/// When there is no browser.
pub fn open_own(url: &str) -> io::Result<()> {
    open::that_detached(url)
}

/// The same with a browser that the person named.
///
/// # Errors
/// When it cannot be started.
pub fn open_with(command: &str, url: &str) -> io::Result<()> {
    check(url)?;
    let invalid = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "a quote is not closed, or there is no program",
        )
    };
    let words = shlex::split(command).ok_or_else(invalid)?;
    let (program, arguments) = words.split_first().ok_or_else(invalid)?;
    Command::new(program)
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

fn check(url: &str) -> io::Result<()> {
    let own = ["http://127.0.0.1", "http://localhost"];
    let is_own = own.iter().any(|own| {
        url.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
    });
    let plain = !url.contains(|c: char| c.is_control() || c.is_whitespace());
    if plain && (url.starts_with("https://") || is_own) {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no page of the web",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_pages_are_opened() {
        for good in [
            "https://device.sso.eu-west-1.amazonaws.com/?user_code=A-B",
            "http://127.0.0.1:80/x",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://example.com/",
            "http://127.0.0.1.evil.example/",
            "https://x\n--help",
            "-a",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
