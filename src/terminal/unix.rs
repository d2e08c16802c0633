//! Terminals and signals of Unix.

use std::io;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Size;

/// The terminal as it was; here, so that the panic hook finds it too.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Whether stdin is a terminal.
pub fn is_terminal() -> bool {
    isatty(rustix::stdio::stdin())
}

/// The settings of the terminal on stdin. Dropping this brings them back, in unwinding too: for work that
/// lets somebody else change them.
#[derive(Debug)]
#[must_use]
pub struct Kept(());

impl Kept {
    /// Remembers the settings. `None` where stdin is no terminal.
    ///
    /// # Errors
    /// The terminal's own.
    pub fn save() -> io::Result<Option<Self>> {
        Ok(Self::settings()?.map(|(kept, _)| kept))
    }

    fn settings() -> io::Result<Option<(Self, Termios)>> {
        if !is_terminal() {
            return Ok(None);
        }
        restore_on_panic();
        let before = tcgetattr(rustix::stdio::stdin())?;
        *saved() = Some(before.clone());
        Ok(Some((Self(()), before)))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let before = saved().take();
        if let Some(before) = before {
            set(&before);
        }
    }
}

/// Raw mode of the terminal on stdin. Dropping it puts the terminal back, in unwinding too.
#[derive(Debug)]
#[must_use]
pub struct RawMode {
    raw: Termios,
    _kept: Kept,
}

impl RawMode {
    /// Every key goes to the remote, none to this terminal. `None` where stdin is no terminal. What was typed
    /// before stays to be read.
    ///
    /// # Errors
    /// The terminal's own.
    pub fn enter() -> io::Result<Option<Self>> {
        let Some((kept, before)) = Kept::settings()? else {
            return Ok(None);
        };
        let mut raw = before;
        raw.make_raw();
        // Not `Drain`, which waits for ever where the output is stopped.
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self { raw, _kept: kept }))
    }

    /// Puts the terminal back and stops this process, as Ctrl-Z does to others. Call [`RawMode::resume`] when
    /// it goes on.
    pub fn suspend(&self) {
        if let Some(before) = saved().as_ref() {
            set(before);
        }
        stop();
    }

    /// Raw again, after the shell had the terminal.
    pub fn resume(&self) {
        if saved().is_some() {
            set(&self.raw);
        }
    }
}

/// Stops this process until a SIGCONT. SIGTSTP itself is caught, so it is the one that cannot be.
pub fn stop() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}

fn saved() -> MutexGuard<'static, Option<Termios>> {
    SAVED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(settings: &Termios) {
    // The terminal may be gone; then there is nothing to set.
    let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, settings);
}

/// The message of a panic belongs on a terminal that shows it in lines.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let before = saved().take();
            if let Some(before) = before {
                set(&before);
            }
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
    /// The process is to stop, as by Ctrl-Z from elsewhere; it has not yet.
    Stopped,
    /// The process goes on after a stop: somebody else had the terminal meanwhile.
    Continued,
    /// The process is to end, by the signal of this number.
    Ended(i32),
}

/// The signals that a session listens for. From its creation on they no longer kill the process. A hangup that was
/// ignored when the process started stays so: nohup(1) says that it is to outlive the terminal. The keys' signals do
/// not, since the AWS CLI ignores them for the plugin that it starts, which is to hear them.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    /// `None` where it is ignored.
    hangup: Option<Signal>,
    interrupt: Signal,
    quit: Signal,
    stop: Signal,
    go_on: Signal,
    resize: Signal,
}

/// Whether the process was started with the signal ignored, and nobody has listened for it since.
#[expect(unsafe_code, reason = "there is no safe way to ask")]
fn is_ignored(kind: SignalKind) -> bool {
    // SAFETY: all bytes zero are a sigaction; with no new action the call only writes the present one into it.
    let (asked, action) = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(kind.as_raw_value(), std::ptr::null(), &raw mut action);
        (asked, action)
    };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        let raw = |signal: rustix::process::Signal| SignalKind::from_raw(signal.as_raw());
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            stop: signal(raw(rustix::process::Signal::TSTP))?,
            go_on: signal(raw(rustix::process::Signal::CONT))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// The number of the next signal that ends the process; stops it on the way where that is wanted, with
    /// the terminal as it is. Cancel-safe.
    pub async fn ended(&mut self) -> i32 {
        loop {
            match self.next().await {
                Heard::Ended(number) => return number,
                Heard::Stopped => stop(),
                Heard::Resized | Heard::Continued => {}
            }
        }
    }

    /// The next Ctrl-C of somebody who does not want to wait. Cancel-safe.
    pub async fn impatience(&mut self) {
        self.interrupt.recv().await;
    }

    /// The next signal that ends the process and is not meant for a child in the foreground: key strokes
    /// signal both. Cancel-safe.
    pub async fn ended_beside_child(&mut self) -> i32 {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SignalKind::terminate().as_raw_value(),
                () = next_of(&mut self.hangup) => return SignalKind::hangup().as_raw_value(),
                _ = self.interrupt.recv() => {}
                _ = self.quit.recv() => {}
                _ = self.stop.recv() => {}
            }
        }
    }

    /// The same where the child stops at Ctrl-Z: this process stops with it. Cancel-safe.
    pub async fn ended_with_child(&mut self) -> i32 {
        let by_key = [SignalKind::interrupt(), SignalKind::quit()].map(|kind| kind.as_raw_value());
        loop {
            let number = self.ended().await;
            if !by_key.contains(&number) {
                return number;
            }
        }
    }

    /// The next signal of any kind. Cancel-safe.
    pub async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.resize.recv() => Heard::Resized,
            _ = self.stop.recv() => Heard::Stopped,
            _ = self.go_on.recv() => Heard::Continued,
            _ = self.terminate.recv() => Heard::Ended(SignalKind::terminate().as_raw_value()),
            () = next_of(&mut self.hangup) => Heard::Ended(SignalKind::hangup().as_raw_value()),
            _ = self.interrupt.recv() => Heard::Ended(SignalKind::interrupt().as_raw_value()),
            _ = self.quit.recv() => Heard::Ended(SignalKind::quit().as_raw_value()),
        }
    }
}

/// The next of a signal that may be ignored. Cancel-safe.
async fn next_of(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
