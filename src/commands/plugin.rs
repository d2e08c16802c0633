//! `ssmx plugin`: ssmx in the place of AWS's plugin, and which of the two the AWS CLI would start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::as_plugin::NAME;
use super::context::Context;
use super::error::{CommandError, Exit};
use crate::transport::plugin::{Found, Plugin, on_path, ourselves};

/// Be the plugin that the AWS CLI starts, or see which one it would start
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a link by which the AWS CLI starts ssmx as its plugin
    Link {
        /// Put it here, instead of beside ssmx
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,

        /// Replace what is there, were it AWS's own plugin
        #[arg(long)]
        force: bool,
    },
    /// Make `aws ssmx …` work, by an alias of the AWS CLI
    Alias(super::aws_alias::Args),
    /// Show which plugin the AWS CLI would start
    Status,
    /// Take the link away
    Unlink {
        /// Look for it here, instead of beside ssmx
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Makes, shows or takes away the link.
///
/// # Errors
/// When something else is in its place, or the directory cannot be written.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    match args.action {
        Action::Link { dir, force } => {
            let us = us()?;
            let path = place(dir, &us)?;
            match link(&path, &us, if force { Present::Replaced } else { Present::Kept })? {
                Linked::New => ctx
                    .ui()
                    .say(&format!("linked {} to {}", path.display(), us.display())),
                Linked::Already => ctx.ui().say(&format!("{} is ssmx already", path.display())),
            }
            say_who_comes_first(ctx, &path);
        }
        Action::Unlink { dir } => {
            let us = us()?;
            let path = place(dir, &us)?;
            unlink(&path, &us)?;
            ctx.ui().say(&format!("took {} away", path.display()));
        }
        Action::Alias(args) => super::aws_alias::run(ctx, &args)?,
        Action::Status => status(ctx).await?,
    }
    Ok(Exit::SUCCESS)
}

fn us() -> Result<PathBuf, CommandError> {
    ourselves().ok_or_else(|| CommandError::failed("the system does not tell where ssmx itself is"))
}

/// Beside ssmx, so that one entry of PATH finds both.
fn place(dir: Option<PathBuf>, us: &Path) -> Result<PathBuf, CommandError> {
    let dir = match dir {
        // As seen from here, also when somebody looks at the link from elsewhere.
        Some(dir) => std::path::absolute(&dir).map_err(|cause| {
            CommandError::usage(format!("`{}` is no directory", dir.display())).because(cause)
        })?,
        None => us.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    if !dir.is_dir() {
        return Err(CommandError::usage(format!(
            "`{}` is no directory",
            dir.display()
        )));
    }
    Ok(dir.join(NAME))
}

/// What happens to a plugin that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Present {
    Kept,
    Replaced,
}

#[derive(Debug, PartialEq, Eq)]
enum Linked {
    New,
    Already,
}

fn link(path: &Path, us: &Path, present: Present) -> Result<Linked, CommandError> {
    let unwritable = |cause: io::Error| {
        CommandError::failed(format!("`{}` cannot be made", path.display()))
            .because(cause)
            .hint("name a directory of yours on PATH with `--dir`")
    };
    match fs::symlink_metadata(path) {
        Ok(_) if is_ours(path, us) => return Ok(Linked::Already),
        Ok(meta) if meta.is_dir() => {
            return Err(CommandError::failed(format!(
                "`{}` is a directory",
                path.display()
            )));
        }
        Ok(_) if present == Present::Kept => {
            return Err(CommandError::failed(format!(
                "`{}` is there already and is not ssmx",
                path.display()
            ))
            .hint("`--force` replaces it; another directory, earlier on PATH, leaves it where it is"));
        }
        Ok(_) => {}
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(unwritable(cause)),
    }
    // Beside it and then over it: there is never none.
    let directory = path.parent().unwrap_or(path);
    let temporary = tempfile::Builder::new()
        .prefix(".ssmx-link-")
        .make_in(directory, |temporary| symlink(us, temporary))
        .map_err(unwritable)?;
    temporary.persist(path).map_err(|error| unwritable(error.error))?;
    Ok(Linked::New)
}

fn unlink(path: &Path, us: &Path) -> Result<(), CommandError> {
    if fs::symlink_metadata(path).is_err() {
        return Err(CommandError::failed(format!("there is no `{}`", path.display()))
            .hint("`ssmx plugin status` shows where one is"));
    }
    if !is_ours(path, us) {
        return Err(CommandError::failed(format!(
            "`{}` is not ssmx, so it stays",
            path.display()
        )));
    }
    fs::remove_file(path).map_err(|cause| {
        CommandError::failed(format!("`{}` cannot be removed", path.display())).because(cause)
    })
}

#[cfg(unix)]
fn symlink(to: &Path, from: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, from)
}

/// This ssmx, or a link to where one was or is.
fn is_ours(path: &Path, us: &Path) -> bool {
    let names_us = |target: PathBuf| target.file_name() == us.file_name();
    crate::transport::plugin::is_same_file(path, us) || fs::read_link(path).is_ok_and(names_us)
}

/// A link that another plugin stands before on PATH does nothing.
fn say_who_comes_first(ctx: &Context, path: &Path) {
    match on_path() {
        Some(found) if found.path == path => {}
        Some(found) => ctx.ui().warn(&format!(
            "the AWS CLI would start {}, which comes first on PATH",
            found.path.display()
        )),
        None => ctx.ui().warn(&format!(
            "{} is not on PATH, so the AWS CLI does not find it",
            path.parent().unwrap_or(path).display()
        )),
    }
}

async fn status(ctx: &Context) -> Result<(), CommandError> {
    let text = match on_path() {
        None => "the AWS CLI would find no plugin on PATH\n".to_owned(),
        Some(Found { path, is_ourselves }) => {
            let version = match Plugin::version_of(&path).await {
                Ok(version) => version.to_string(),
                Err(error) => crate::ui::text::escape(&error.to_string()).into_owned(),
            };
            let whose = if is_ourselves {
                "this ssmx"
            } else {
                "not this ssmx"
            };
            format!(
                "the AWS CLI would start {}\nversion: {version}\nit is {whose}\n",
                path.display()
            )
        }
    };
    let official = match Plugin::find().await {
        Ok(plugin) => format!(
            "the plugin transport would start {} (version {})\n",
            plugin.path.display(),
            plugin.version
        ),
        Err(error) => format!(
            "the plugin transport has none to start: {}\n",
            crate::ui::text::escape(&error.to_string())
        ),
    };
    ctx.ui().data(&(text + &official))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let us = directory.path().join("ssmx");
        fs::write(&us, "ssmx").unwrap();
        let path = place(Some(directory.path().to_owned()), &us).unwrap();
        (directory, us, path)
    }

    #[test]
    fn a_link_is_made_found_again_and_taken_away() {
        let (_directory, us, path) = lab();
        assert_eq!(link(&path, &us, Present::Kept).unwrap(), Linked::New);
        assert_eq!(fs::read_link(&path).unwrap(), us);
        assert_eq!(link(&path, &us, Present::Kept).unwrap(), Linked::Already);
        unlink(&path, &us).unwrap();
        assert!(fs::symlink_metadata(&path).is_err());
        assert!(unlink(&path, &us).is_err());
    }

    #[test]
    fn aws_own_plugin_stays_unless_forced() {
        let (_directory, us, path) = lab();
        fs::write(&path, "AWS's").unwrap();
        assert!(link(&path, &us, Present::Kept).is_err());
        assert!(unlink(&path, &us).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "AWS's");
        assert_eq!(link(&path, &us, Present::Replaced).unwrap(), Linked::New);
        assert_eq!(fs::read_link(&path).unwrap(), us);
    }

    #[test]
    fn a_stale_link_to_an_ssmx_that_moved_is_ours() {
        let (_directory, us, path) = lab();
        symlink(Path::new("/gone/ssmx"), &path).unwrap();
        unlink(&path, &us).unwrap();
        symlink(Path::new("/gone/another"), &path).unwrap();
        assert!(unlink(&path, &us).is_err());
    }

    #[test]
    fn a_directory_that_is_none_is_refused() {
        let (directory, us, _) = lab();
        assert!(place(Some(directory.path().join("absent")), &us).is_err());
        fs::create_dir(directory.path().join(NAME)).unwrap();
        assert!(link(&directory.path().join(NAME), &us, Present::Replaced).is_err());
    }
}
