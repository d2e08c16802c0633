//! Files and directories that are the user's alone from the moment they are there. Windows: the profile directory's
//! access list is inherited.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes a directory, and those above it. One that is there is left as it is.
///
/// # Errors
/// The file system's own.
pub fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Replaces a file whole, in a directory that is made where it is missing: a reader sees the old content or the new
/// one, never a part.
///
/// # Errors
/// The file system's own; then the old content stays.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    persist(written(path, content)?, path)
}

/// The same for what must outlast a power cut: the new content is on the disk before it takes the old one's place.
///
/// # Errors
/// The file system's own; then the old content stays.
pub fn replace_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = written(path, content)?;
    file.as_file().sync_all()?;
    persist(file, path)
}

/// The same, durably, for a file that the user may have opened to others: its mode stays as it was.
///
/// # Errors
/// The file system's own; then the old content stays.
pub fn replace_as_it_was(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = written(path, content)?;
    if let Ok(old) = path.metadata() {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    persist(file, path)
}

/// Opens a file to read it and to write behind what is there; it and its directory are made where they are missing.
///
/// # Errors
/// The file system's own.
pub fn append(path: &Path) -> io::Result<File> {
    create_directory(directory_of(path))?;
    open(path, OpenOptions::new().read(true).append(true).create(true))
}

/// Opens a file to be locked, whose content says nothing; it and its directory are made where they are missing. No
/// link is followed: one would let somebody else hold the lock.
///
/// # Errors
/// The file system's own.
pub fn lock_file(path: &Path) -> io::Result<File> {
    create_directory(directory_of(path))?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NOFOLLOW.bits().cast_signed(),
    );
    open(path, &mut options)
}

/// Makes a file that is not there yet, in a directory that is.
///
/// # Errors
/// The file system's own; when the file is there.
pub fn create_new(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().write(true).create_new(true))
}

/// Takes from others what they may do with a file; `true`: they could.
///
/// # Errors
/// The file system's own.
#[cfg(unix)]
pub fn take_back(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let is_open = file.metadata()?.permissions().mode() & 0o077 != 0;
    if is_open {
        file.set_permissions(PermissionsExt::from_mode(0o600))?;
    }
    Ok(is_open)
}

/// Takes from others what they may do with a file; `true`: they could.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn take_back(_: &File) -> io::Result<bool> {
    Ok(false)
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

fn written(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let directory = directory_of(path);
    create_directory(directory)?;
    // Temporary files are made with mode 0600.
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    Ok(file)
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path)?;
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn whatever_is_made_is_the_users_alone_and_so_are_the_directories_above() {
        type Make = fn(&Path) -> io::Result<()>;
        let home = tempfile::tempdir().unwrap();
        let made: [(&str, Make); 5] = [
            ("replaced", |path| replace(path, b"x")),
            ("durable", |path| replace_durably(path, b"x")),
            ("as it was", |path| replace_as_it_was(path, b"x")),
            ("appended", |path| append(path).map(drop)),
            ("locked", |path| lock_file(path).map(drop)),
        ];
        for (name, make) in made {
            let path = home.path().join(name).join("below").join("file");
            make(&path).unwrap();
            make(&path).unwrap();
            assert_eq!(mode(&path), 0o600, "{name}");
            for above in path.ancestors().skip(1).take(2) {
                assert_eq!(mode(above), 0o700, "{name}");
            }
        }
        // Somebody's own directory stays as they want it.
        let shared = home.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
        replace(&shared.join("file"), b"x").unwrap();
        assert_eq!(mode(&shared), 0o755);
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        fs::write(&path, "long and readable by all").unwrap();
        let mut reader = File::open(&path).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        // Who had begun to read goes on with the old one.
        assert_eq!(
            io::read_to_string(&mut reader).unwrap(),
            "long and readable by all"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace_as_it_was(&path, b"newer").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"newer"[..], 0o640)
        );
        // What cannot be put in its place is not left lying about.
        fs::create_dir(home.path().join("taken")).unwrap();
        replace_durably(&home.path().join("taken"), b"new").unwrap_err();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_there_is_kept_or_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        append(&path).unwrap().write_all(b"one").unwrap();
        append(&path).unwrap().write_all(b"two").unwrap();
        drop(lock_file(&path).unwrap());
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(lock_file(&link).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
        let refused = create_new(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let elsewhere = create_new(&home.path().join("nowhere/file")).unwrap_err();
        assert_eq!(elsewhere.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_others_could_read_is_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        let file = create_new(&path).unwrap();
        assert!(!take_back(&file).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(take_back(&file).unwrap());
        assert_eq!(mode(&path), 0o600);
    }
}
