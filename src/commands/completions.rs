//! `ssmx completions`: the shells' scripts, and putting them where the shell looks.

use std::fs;
use std::path::PathBuf;

use super::context::Context;
use super::error::{CommandError, Exit};
use crate::config::env;
use crate::ui::Presence;
use crate::ui::prompt::confirm;
use crate::ui::text::escape;

/// Print the script that makes TAB work in a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell; with --install the one at hand, if left out
    #[arg(value_name = "SHELL", required_unless_present = "install")]
    shell: Option<Shell>,

    /// Put the script where the shell looks for it. Says what it will do, and asks
    #[arg(long)]
    install: bool,

    /// Do not ask
    #[arg(short, long, requires = "install")]
    yes: bool,
}

/// A shell that has a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
    /// PowerShell
    #[value(name = "powershell", alias = "pwsh")]
    PowerShell,
    /// elvish
    Elvish,
}

impl Shell {
    /// The script, free of any path.
    pub fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../completions/ssmx.bash"),
            Self::Zsh => include_str!("../../completions/_ssmx"),
            Self::Fish => include_str!("../../completions/ssmx.fish"),
            Self::PowerShell => include_str!("../../completions/ssmx.ps1"),
            Self::Elvish => include_str!("../../completions/ssmx.elv"),
        }
    }

    /// By the name of a shell's program.
    fn by_name(program: &str) -> Option<Self> {
        let name = program
            .rsplit(['/', '\\'])
            .next()?
            .trim_end_matches(".exe")
            .trim_start_matches('-');
        match name {
            "bash" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            "pwsh" | "powershell" => Some(Self::PowerShell),
            "elvish" => Some(Self::Elvish),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::PowerShell => "powershell",
            Self::Elvish => "elvish",
        }
    }

    /// Where the shell finds the script by itself; `None` where it has to be told in a file of the person's own.
    fn place(self) -> Option<PathBuf> {
        let data = || env::xdg_data_home().or_else(|| Some(std::env::home_dir()?.join(".local/share")));
        match self {
            Self::Bash => Some(data()?.join("bash-completion/completions/ssmx")),
            Self::Fish => Some(
                env::xdg_config_home()
                    .or_else(|| Some(std::env::home_dir()?.join(".config")))?
                    .join("fish/completions/ssmx.fish"),
            ),
            // zsh looks along $fpath, which only its own files can extend.
            Self::Zsh | Self::PowerShell | Self::Elvish => None,
        }
    }

    /// The line for the person's own file, and that file.
    fn line(self) -> (&'static str, &'static str) {
        match self {
            Self::Bash => ("source <(ssmx completions bash)", "~/.bashrc"),
            Self::Zsh => ("source <(ssmx completions zsh)", "~/.zshrc, after `compinit`"),
            Self::Fish => ("ssmx completions fish | source", "~/.config/fish/config.fish"),
            Self::PowerShell => (
                "ssmx completions powershell | Out-String | Invoke-Expression",
                "$PROFILE",
            ),
            Self::Elvish => (
                "eval (ssmx completions elvish | slurp)",
                "~/.config/elvish/rc.elv",
            ),
        }
    }
}

/// Prints or installs.
///
/// # Errors
/// When the shell at hand cannot be told, nobody can be asked, or the file cannot be written.
pub fn run(ctx: &Context, args: &Args) -> Result<Exit, CommandError> {
    match (args.shell, args.install) {
        (Some(shell), false) => ctx.ui().data(shell.script())?,
        (shell, _) => {
            let shell = shell.or_else(|| Shell::by_name(&env::login_shell()?));
            let shell = shell.ok_or_else(|| {
                CommandError::usage("the shell at hand cannot be told")
                    .hint("name it: `ssmx completions bash --install`; there are bash, zsh, fish, powershell, elvish")
            })?;
            install(ctx, shell, args.yes)?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn install(ctx: &Context, shell: Shell, sure: bool) -> Result<(), CommandError> {
    let ui = ctx.ui();
    let (line, file) = shell.line();
    let Some(place) = shell.place() else {
        // Files that people wrote themselves are not edited for them.
        ui.say(&format!("add this line to {file}:\n\n  {line}\n"));
        return Ok(());
    };
    let shown = escape(&place.display().to_string()).into_owned();
    if fs::read_to_string(&place).is_ok_and(|there| there == shell.script()) {
        ui.say(&format!("{shown} is there already, and up to date"));
        return Ok(());
    }
    let doing = if place.exists() { "replace" } else { "write" };
    ui.say(&format!(
        "this will {doing} {shown}, where {} looks for completions by itself",
        shell.name()
    ));
    if !sure {
        if ui.presence() == Presence::Script {
            return Err(CommandError::usage("nobody is there to be asked")
                .hint("say `--yes` to install without a question"));
        }
        if confirm("Go on?")? != Some(true) {
            return Err(CommandError::interrupted());
        }
    }
    let written = place
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&place, shell.script()));
    written.map_err(|error| CommandError::failed(format!("could not write `{shown}`")).because(error))?;
    ui.say("done; open a new shell and try `ssmx connect <TAB>`");
    if shell == Shell::Bash {
        ui.hint(&format!(
            "bash needs its package bash-completion for that; without it, add `{line}` to {file}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_known_by_their_programs() {
        assert_eq!(Shell::by_name("/usr/bin/zsh"), Some(Shell::Zsh));
        assert_eq!(Shell::by_name("-bash"), Some(Shell::Bash));
        assert_eq!(Shell::by_name(r"C:\\pwsh.exe"), Some(Shell::PowerShell));
        assert_eq!(Shell::by_name("/bin/dash"), None);
    }

    #[test]
    fn scripts_name_no_place() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Elvish,
        ] {
            assert!(
                !shell.script().contains("/usr") && !shell.script().contains("/home"),
                "{shell:?}"
            );
            assert!(shell.script().contains(super::super::complete::WORD));
        }
    }
}
