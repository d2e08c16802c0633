//! Terminals and signals of Unix.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Size;

/// The terminal as it was before raw mode; here, so that the panic hook finds it too.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode of the terminal on stdin. Dropping it puts the terminal back, in unwinding too.
#[derive(Debug)]
#[must_use]
pub struct RawMode(());

impl RawMode {
    /// Every key goes to the remote, none to this terminal. `None` where stdin is no terminal.
    ///
    /// # Errors
    /// The terminal's own.
    pub fn enter() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) {
            return Ok(None);
        }
        restore_on_panic();
        let before = tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let guard = Self(());
        tcsetattr(stdin, OptionalActions::Drain, &raw)?;
        Ok(Some(guard))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = saved {
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
    }
}

/// The message of a panic belongs on a terminal that shows it in lines.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            usual(panic);
        }));
    });
}

/// The size of the terminal on stdout, else on stdin, else a common one.
pub fn size() -> Size {
    let measured = tcgetwinsize(rustix::stdio::stdout()).or_else(|_| tcgetwinsize(rustix::stdio::stdin()));
    match measured {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size {
            cols: size.ws_col,
            rows: size.ws_row,
        },
        _ => Size::UNKNOWN,
    }
}

/// What a signal means to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The terminal has another size.
    Resized,
    /// The process is to end, by the signal of this number.
    Ended(i32),
}

/// The signals that a session listens for. From its creation on they no longer kill the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    stop: Signal,
    resize: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// The number of the next signal that ends the process. Cancel-safe.
    pub async fn ended(&mut self) -> i32 {
        loop {
            if let Heard::Ended(number) = self.next().await {
                return number;
            }
        }
    }

    /// The next signal that ends the process and is not meant for a child in the foreground: key strokes
    /// signal both. Cancel-safe.
    pub async fn ended_beside_child(&mut self) -> i32 {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SignalKind::terminate().as_raw_value(),
                _ = self.hangup.recv() => return SignalKind::hangup().as_raw_value(),
                _ = self.interrupt.recv() => {}
                _ = self.quit.recv() => {}
                _ = self.stop.recv() => {}
            }
        }
    }

    /// The next signal of either kind. Cancel-safe.
    pub async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.resize.recv() => Heard::Resized,
            _ = self.terminate.recv() => Heard::Ended(SignalKind::terminate().as_raw_value()),
            _ = self.hangup.recv() => Heard::Ended(SignalKind::hangup().as_raw_value()),
            _ = self.interrupt.recv() => Heard::Ended(SignalKind::interrupt().as_raw_value()),
            _ = self.quit.recv() => Heard::Ended(SignalKind::quit().as_raw_value()),
        }
    }
}
