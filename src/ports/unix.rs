//! Unix sockets in the file system: private to the user, cleared away after use and after a crash.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::{fs, os};

use rustix::fs::Mode;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::listener::{BindError, Wanted};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A socket's file and what listens on it; the file goes with it.
#[derive(Debug)]
pub(super) struct SocketFile {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that another's file under the same name is left alone.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Binds the path for this user alone. A socket that a crash left behind, on which nobody listens, is
    /// removed first; a live one, or any other file, is never touched.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |cause: io::Error| failed(path, cause);
        clear_away(path)?;
        let socket = UnixSocket::new_stream().map_err(failed)?;
        // Before it has a name, so that there is no moment in which others could connect. Linux takes the
        // mode from here; elsewhere it is set below.
        let private = Mode::RUSR | Mode::WUSR;
        let early = rustix::fs::fchmod(&socket, private);
        socket.bind(path).map_err(failed)?;
        if early.is_err() || !cfg!(target_os = "linux") {
            let mode = os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(path, mode).map_err(failed)?;
        }
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity: identity(path),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl AsFd for SocketFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Somebody else may have cleared it away this moment.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

fn failed(path: &Path, cause: io::Error) -> BindError {
    BindError::from_io(Wanted::Socket(path.to_owned()), cause, || None)
}

fn clear_away(path: &Path) -> Result<(), BindError> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !meta.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    let found = Some((meta.dev(), meta.ino()));
    match os::unix::net::UnixStream::connect(path) {
        // Unless another one has cleared it away too, and listens there by now.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && identity(path) == found => {
            fs::remove_file(path).map_err(|cause| failed(path, cause))
        }
        // Gone this moment.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(path, error)),
        Ok(_) | Err(_) => Err(failed(path, io::ErrorKind::AddrInUse.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::ports::Connection;

    #[tokio::test]
    async fn a_socket_is_private_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let socket = SocketFile::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let mut client = UnixStream::connect(&path).await.unwrap();
        let mut server = socket.accept().await.unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        assert!(matches!(SocketFile::bind(&path), Err(BindError::Busy { .. })));
        drop(socket);
        assert!(!path.exists());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_half_closed_program_is_told_from_one_that_is_gone() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (mut incoming, outgoing) = Connection::unix(server).split();
        client.shutdown().await.unwrap();
        assert_eq!(incoming.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(!outgoing.is_gone());
        drop(client);
        assert!(outgoing.is_gone());
    }

    #[tokio::test]
    async fn what_a_crash_left_is_cleared_away_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        // std leaves the file behind, as a crash does.
        drop(os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = SocketFile::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody's").unwrap();
        drop(socket);
        assert!(path.exists(), "a file that is not ours stays");
        assert!(matches!(SocketFile::bind(&path), Err(BindError::NotASocket(_))));
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_said() {
        let error = SocketFile::bind(Path::new("/nowhere/at/all.sock")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("socket /nowhere/at/all.sock cannot be taken: No such file"),
            "{error}"
        );
    }
}
