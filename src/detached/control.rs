//! The control socket: a line of JSON each way.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::Status;

/// Nothing that is said here is longer.
const LONGEST: u64 = 1 << 20;
/// How long the other end may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Question {
    Status,
    Stop,
}

/// A socket's path as the system takes it: one that is too long for an address goes by its directory, on Linux.
struct Address {
    path: PathBuf,
    /// Open for as long as the path is in use.
    _directory: Option<File>,
}

impl Address {
    /// An address of Linux has room for so much and a zero.
    const LONGEST: usize = 107;

    fn of(path: &Path) -> io::Result<Self> {
        let parts = path.parent().zip(path.file_name());
        match parts {
            Some((directory, name))
                if cfg!(target_os = "linux") && path.as_os_str().len() > Self::LONGEST =>
            {
                let directory = File::open(directory)?;
                let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
                Ok(Self {
                    path: short.join(name),
                    _directory: Some(directory),
                })
            }
            _ => Ok(Self {
                path: path.to_owned(),
                _directory: None,
            }),
        }
    }
}

/// What a process was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// How it is; it has been told.
    Status,
    /// To end.
    Stop,
}

/// The asked end.
#[derive(Debug)]
pub struct Control(UnixListener);

impl Control {
    /// Listens at the path, which is free and in a directory that is the user's alone.
    ///
    /// # Errors
    /// The system's; `InvalidInput` where the path is too long for it.
    pub fn listen(path: &Path) -> io::Result<Self> {
        UnixListener::bind(Address::of(path)?.path).map(Self)
    }

    /// The next question of anybody. Answering it may wait for a slow asker, but not for long. Cancel-safe: an
    /// asker whose question is dropped sees that.
    pub async fn accept(&self) -> UnixStream {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Answers one asker.
    ///
    /// # Errors
    /// When it does not ask, or is gone.
    pub async fn answer(stream: UnixStream, status: &Status) -> io::Result<Asked> {
        let talk = async {
            let (read, mut write) = stream.into_split();
            let mut line = String::new();
            BufReader::new(read.take(LONGEST)).read_line(&mut line).await?;
            let (asked, answer) = match serde_json::from_str(&line)? {
                Question::Status => (Asked::Status, serde_json::to_string(status)?),
                Question::Stop => (Asked::Stop, "{}".to_owned()),
            };
            write.write_all(format!("{answer}\n").as_bytes()).await?;
            Ok(asked)
        };
        timeout(PATIENCE, talk)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Asks a process how it is.
///
/// # Errors
/// When it does not answer.
pub async fn ask_status(socket: &Path) -> io::Result<Status> {
    Ok(serde_json::from_str(&ask(socket, Question::Status).await?)?)
}

/// Asks a process to end. It has heard when this returns; it ends later.
///
/// # Errors
/// When it does not answer.
pub async fn ask_to_stop(socket: &Path) -> io::Result<()> {
    ask(socket, Question::Stop).await.map(drop)
}

async fn ask(socket: &Path, question: Question) -> io::Result<String> {
    let talk = async {
        let address = Address::of(socket)?;
        let (read, mut write) = UnixStream::connect(&address.path).await?.into_split();
        let question = serde_json::to_string(&question)?;
        write.write_all(format!("{question}\n").as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(read.take(LONGEST)).read_line(&mut answer).await?;
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    };
    timeout(PATIENCE, talk)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detached::ForwardStatus;

    #[tokio::test]
    async fn a_process_tells_how_it_is_and_hears_that_it_is_to_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let control = Control::listen(&path).unwrap();
        let status = Status {
            forwards: vec![ForwardStatus {
                name: "prod-db".to_owned(),
                open: 3,
                ..ForwardStatus::default()
            }],
        };
        let served = async {
            let mut asked = Vec::new();
            for _ in 0..3 {
                let stream = control.accept().await;
                asked.push(Control::answer(stream, &status).await.ok());
            }
            asked
        };
        let asking = async {
            let told = ask_status(&path).await.unwrap();
            let mut stranger = UnixStream::connect(&path).await.unwrap();
            stranger.write_all(b"\xff\xffnonsense\n").await.unwrap();
            drop(stranger);
            ask_to_stop(&path).await.unwrap();
            told
        };
        let (asked, told) = tokio::join!(served, asking);
        assert_eq!(told, status);
        assert_eq!(asked, [Some(Asked::Status), None, Some(Asked::Stop)]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_path_that_is_too_long_for_an_address_will_do() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("deep".repeat(30));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("a.sock");
        let control = Control::listen(&path).unwrap();
        assert!(path.exists());
        let status = Status::default();
        let served = async { Control::answer(control.accept().await, &status).await.unwrap() };
        let (asked, told) = tokio::join!(served, ask_to_stop(&path));
        assert_eq!((asked, told.unwrap()), (Asked::Stop, ()));
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(ask_status(&directory.path().join("none.sock")).await.is_err());
    }
}
