//! The terminal in a real pty. Keyboard and screen belong to the process, so each story runs in a process of
//! its own: this test binary again, which runs the one ignored test that is named.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pty_process::blocking::{Command, Pty, open};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use super::input::Input;
use super::output::Output;
use super::{Heard, Kept, RawMode, Signals, Size, size};

/// Nothing here takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child in a pty, and what it has said so far.
struct Story {
    pty: Pty,
    child: Child,
    said: String,
    before: Termios,
}

impl Story {
    fn start(name: &str) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(41, 133)).unwrap();
        let before = tcgetattr(&pty).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
            .arg(format!("terminal::tests::{name}"))
            .spawn(pts)
            .unwrap();
        Self {
            pty,
            child,
            said: String::new(),
            before,
        }
    }

    /// Waits until the child has said this, after all that was waited for before.
    fn hear(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, rest)) = self.said.split_once(wanted) {
                self.said = rest.to_owned();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let left = rustix::event::Timespec::try_from(left).unwrap();
            let mut polled = [PollFd::new(&self.pty, PollFlags::IN)];
            assert_ne!(poll(&mut polled, Some(&left)).unwrap(), 0, "only: {}", self.said);
            let mut buffer = [0; 4096];
            match self.pty.read(&mut buffer) {
                Ok(length) if length > 0 => self.said.push_str(&String::from_utf8_lossy(&buffer[..length])),
                other => panic!("{other:?} instead of {wanted}: {}", self.said),
            }
        }
    }

    fn type_keys(&mut self, keys: &[u8]) {
        self.pty.write_all(keys).unwrap();
    }

    fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.pty)
            .unwrap()
            .local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn is_as_before(&self) -> bool {
        let now = tcgetattr(&self.pty).unwrap();
        now.local_modes == self.before.local_modes
            && now.input_modes == self.before.input_modes
            && now.output_modes == self.before.output_modes
            && now.control_modes == self.before.control_modes
    }

    fn wait(mut self) -> ExitStatus {
        // What it still says must be taken, or it blocks.
        let mut buffer = [0; 4096];
        while matches!(self.pty.read(&mut buffer), Ok(length) if length > 0) {}
        self.child.wait().unwrap()
    }
}

fn say(words: &str) {
    let mut out = io::stdout();
    out.write_all(words.as_bytes()).unwrap();
    out.flush().unwrap();
}

fn a_line() -> String {
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    line
}

#[test]
fn raw_mode_comes_and_goes() {
    let mut story = Story::start("child_raw");
    story.hear("raw 133x41");
    assert!(story.is_raw());
    story.type_keys(b"\x03");
    story.hear("cooked");
    assert!(story.is_as_before());
    story.type_keys(b"\n");
    assert!(story.wait().success());
}

#[tokio::test]
#[ignore = "the child of another test"]
async fn child_raw() {
    let raw = RawMode::enter().unwrap().unwrap();
    let Size { cols, rows } = size();
    say(&format!("raw {cols}x{rows}"));
    let mut input = Input::start().unwrap();
    assert_eq!(input.next().await.unwrap().unwrap(), &b"\x03"[..]);
    drop(input);
    drop(raw);
    say("cooked");
    assert_eq!(a_line(), "\n");
}

#[test]
fn a_panic_is_shown_on_a_terminal_that_is_sane_again() {
    let mut story = Story::start("child_panics");
    story.hear("raw");
    assert!(story.is_raw());
    story.type_keys(b"x");
    // Lines end in CR LF only where the terminal makes them do so.
    story.hear("on purpose\r\n");
    assert!(story.is_as_before());
    assert!(!story.wait().success());
}

#[tokio::test]
#[ignore = "the child of another test"]
async fn child_panics() {
    let _raw = RawMode::enter().unwrap().unwrap();
    say("raw");
    let mut input = Input::start().unwrap();
    input.next().await.unwrap();
    panic!("on purpose");
}

#[test]
fn a_stop_gives_the_terminal_back_and_takes_it_again() {
    let mut story = Story::start("child_stops");
    story.hear("raw");
    story.kill(Signal::TSTP);
    let pid = Pid::from_child(&story.child);
    let (_, status) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::UNTRACED)
        .unwrap()
        .unwrap();
    assert!(status.stopped(), "{status:?}");
    assert!(story.is_as_before());
    story.kill(Signal::CONT);
    story.hear("again");
    assert!(story.is_raw());
    story.kill(Signal::HUP);
    story.hear("hung up");
    assert!(story.is_as_before());
    story.type_keys(b"\n");
    assert!(story.wait().success());
}

#[tokio::test]
#[ignore = "the child of another test"]
async fn child_stops() {
    let mut signals = Signals::listen().unwrap();
    let raw = RawMode::enter().unwrap().unwrap();
    say("raw");
    loop {
        match signals.next().await {
            Heard::Stopped => raw.suspend(),
            Heard::Continued => {
                raw.resume();
                say("again");
            }
            Heard::Ended(number) => {
                drop(raw);
                assert_eq!(number, Signal::HUP.as_raw());
                say("hung up");
                a_line();
                return;
            }
            Heard::Resized => {}
        }
    }
}

#[test]
fn a_new_size_is_heard() {
    let mut story = Story::start("child_is_resized");
    story.hear("133x41");
    story.pty.resize(pty_process::Size::new(10, 20)).unwrap();
    story.hear("20x10");
    assert!(story.wait().success());
}

#[tokio::test]
#[ignore = "the child of another test"]
async fn child_is_resized() {
    let mut signals = Signals::listen().unwrap();
    let Size { cols, rows } = size();
    say(&format!("{cols}x{rows}"));
    assert_eq!(signals.next().await, Heard::Resized);
    let Size { cols, rows } = size();
    say(&format!("{cols}x{rows}"));
}

#[test]
fn keys_before_and_after_the_session_are_not_lost() {
    let mut story = Story::start("child_shares");
    story.hear("ready");
    story.type_keys(b"early\n");
    story.hear("dropped");
    story.type_keys(b"late\n");
    story.hear("<late>");
    assert!(story.wait().success());
}

#[tokio::test]
#[ignore = "the child of another test"]
async fn child_shares() {
    say("ready");
    assert_eq!(a_line(), "early\n");
    for _ in 0..3 {
        // A reader that read nothing takes nothing with it.
        drop(Input::start().unwrap());
    }
    say("dropped");
    let line = a_line();
    say(&format!("<{}>", line.trim()));
}

#[test]
fn what_a_child_of_ours_did_to_the_terminal_is_undone() {
    let mut story = Story::start("child_keeps");
    story.hear("kept");
    assert!(story.is_as_before());
    story.type_keys(b"\n");
    assert!(story.wait().success());
}

#[test]
#[ignore = "the child of another test"]
fn child_keeps() {
    let kept = Kept::save().unwrap().unwrap();
    let changed = std::process::Command::new("stty")
        .args(["cbreak", "-echo", "-opost"])
        .status()
        .unwrap();
    assert!(changed.success());
    assert!(
        !tcgetattr(io::stdin())
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    );
    drop(kept);
    say("kept");
    a_line();
}

#[test]
fn the_last_byte_is_written_to_a_slow_reader_of_a_non_blocking_pipe() {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1", "-q"])
        .arg("terminal::tests::child_writes_much")
        .stdout(writer)
        .spawn()
        .unwrap();
    let mut reader = io::BufReader::with_capacity(1000, reader);
    let deadline = Instant::now() + PATIENCE;
    while rustix::io::ioctl_fionread(reader.get_ref()).unwrap() < 60_000 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert!(child.wait().unwrap().success());
    let numbers: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let all = String::from_utf8(all).unwrap();
    assert!(
        all.contains(&format!("{numbers}the last byte")),
        "{} bytes",
        all.len()
    );
}

#[tokio::test]
#[ignore = "the child of another test"]
async fn child_writes_much() {
    let output = Output::start().unwrap();
    for number in 0..100_000 {
        let place = output.place().await.unwrap();
        place.write(Bytes::from(format!("{number}\n")));
    }
    output
        .place()
        .await
        .unwrap()
        .write(Bytes::from_static(b"the last byte"));
    output.finish().await.unwrap();
}

#[test]
fn a_reader_that_has_gone_is_told_and_does_not_kill() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
        .arg("terminal::tests::child_writes_to_nobody")
        .stdout(writer)
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"go away") {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        said.extend_from_slice(&byte);
    }
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(73));
}

#[test]
#[ignore = "the child of another test"]
fn child_writes_to_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(async {
        let output = Output::start().unwrap();
        say("go away");
        while let Some(place) = output.place().await {
            place.write(Bytes::from_static(b"x"));
        }
        output.finish().await
    });
    // The test harness cannot tell its tale to a broken pipe: the status tells it.
    let broken = result.unwrap_err().kind() == io::ErrorKind::BrokenPipe;
    std::process::exit(if broken { 73 } else { 1 });
}
