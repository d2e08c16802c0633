//! A program in a real pty: keys typed, screen read.

use std::fmt::Write as _;
use std::process::ExitStatus;
use std::time::Duration;

use pty_process::{Pty, Size, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, tcgetattr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Nothing here takes so long; a story that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(40);

/// A child and the terminal it runs in.
pub struct Terminal {
    pty: Pty,
    child: Child,
    /// What was read and not yet expected.
    seen: Vec<u8>,
    before: Termios,
}

impl Terminal {
    /// Starts the command, whose environment is as the caller left it, in a pty of 100 columns and 30 rows.
    pub fn start(command: &Command) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(30, 100)).unwrap();
        let before = tcgetattr(&pty).unwrap();
        let command = command.as_std();
        let mut child = pty_process::Command::new(command.get_program()).args(command.get_args());
        child = child.env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                child = child.env(name, value);
            }
        }
        if let Some(directory) = command.get_current_dir() {
            child = child.current_dir(directory);
        }
        let child = child.kill_on_drop(true).spawn(pts).unwrap();
        Self {
            pty,
            child,
            seen: Vec::new(),
            before,
        }
    }

    /// Waits until this is on the screen, and gives what came before it.
    pub async fn expect(&mut self, wanted: &str) -> String {
        let wanted_bytes = wanted.as_bytes();
        let mut searched = 0;
        loop {
            let found = self.seen[searched..]
                .windows(wanted_bytes.len())
                .position(|window| window == wanted_bytes);
            if let Some(at) = found {
                let rest = self.seen.split_off(searched + at + wanted_bytes.len());
                let mut before = std::mem::replace(&mut self.seen, rest);
                before.truncate(searched + at);
                return String::from_utf8_lossy(&before).into_owned();
            }
            searched = (self.seen.len() + 1).saturating_sub(wanted_bytes.len());
            if !self.read().await {
                panic!("ended without {wanted:?}; seen: {}", self.shown());
            }
        }
    }

    /// Types.
    pub async fn send(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Types a line and Enter.
    pub async fn line(&mut self, line: &str) {
        self.send(&format!("{line}\r")).await;
    }

    /// Changes the terminal's size.
    pub fn resize(&self, rows: u16, cols: u16) {
        self.pty.resize(Size::new(rows, cols)).unwrap();
    }

    /// Signals the child alone.
    pub fn kill(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The child's process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap()
    }

    /// Whether keys go to the program as they are typed.
    pub fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.pty).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Whether the terminal is as it was before the child started.
    pub fn is_as_before(&self) -> bool {
        let now = tcgetattr(&self.pty).unwrap();
        now.local_modes == self.before.local_modes
            && now.input_modes == self.before.input_modes
            && now.output_modes == self.before.output_modes
    }

    /// Reads to the end and gives the rest of the screen and the status.
    pub async fn finish(&mut self) -> (String, ExitStatus) {
        while self.read().await {}
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        let rest = std::mem::take(&mut self.seen);
        (String::from_utf8_lossy(&rest).into_owned(), status)
    }

    /// Reads once; false at the end.
    async fn read(&mut self) -> bool {
        let mut buffer = [0; 8192];
        match timeout(PATIENCE, self.pty.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => {
                self.seen.extend_from_slice(&buffer[..length]);
                true
            }
            Ok(_) => false,
            Err(_) => panic!("nothing came for {PATIENCE:?}; seen: {}", self.shown()),
        }
    }

    fn shown(&self) -> String {
        let mut text = String::new();
        for line in String::from_utf8_lossy(&self.seen).lines() {
            write!(text, "\n  {line:?}").unwrap();
        }
        text
    }
}

/// The lines that are numbers. The shell's words about its line editing may stand before the first; ours about the
/// line may stand in the middle of one.
pub fn numbers(screen: &str) -> Vec<u32> {
    let mut screen = screen
        .replace("\r\nreconnecting…\r\n", "")
        .replace("\r\nback at once\r\n", "");
    while let Some((before, after)) = screen.split_once("\r\nback after ") {
        let rest = after.split_once(" s\r\n").unwrap().1;
        screen = format!("{before}{rest}");
    }
    let lines = screen
        .lines()
        .map(|line| line.rsplit(['\r', 'l']).find(|part| !part.is_empty()));
    lines.filter_map(|line| line?.parse().ok()).collect()
}
