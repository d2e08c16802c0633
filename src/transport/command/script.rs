//! The text that the remote shell runs.

use super::quote::{native, powershell, sh};
use super::{Carriage, Mark, Platform, Reading, Words};

/// What a script is made of.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The command.
    pub words: &'a Words,
    /// Whose shell it is for.
    pub platform: Platform,
    /// How its output is to be carried.
    pub carriage: Carriage,
    /// How its status comes back.
    pub form: Form,
}

/// How the remote's status comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As that of the shell, by the agent.
    Separate,
    /// At the end of the output.
    Wrapped,
    /// At the end of the output, which is a terminal's.
    Terminal,
}

/// A script, and how its output is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For the document's `command`.
    pub text: String,
    /// For whoever reads.
    pub reading: Reading,
}

/// Makes the script. `None` for what cannot be had: whole bytes from PowerShell, which takes output apart into
/// lines of text.
pub fn script(wanted: Wanted<'_>) -> Option<Script> {
    let mark = (wanted.form != Form::Separate).then(Mark::new);
    let text = match (wanted.platform, wanted.carriage) {
        (Platform::Posix, Carriage::Plain) if wanted.form == Form::Terminal => {
            // A Ctrl-C reaches the shell outside too, which has to outlive it. What it runs has no trap.
            let script = posix(wanted.words, Carriage::Plain, mark.as_ref());
            format!("trap : INT QUIT; {script}")
        }
        (Platform::Posix, carriage) => posix(wanted.words, carriage, mark.as_ref()),
        (Platform::Windows, Carriage::Plain) => windows(wanted.words, mark.as_ref()),
        (Platform::Windows, Carriage::Base64) => return None,
    };
    Some(Script {
        text,
        reading: Reading {
            mark,
            carriage: wanted.carriage,
            ..Reading::default()
        },
    })
}

/// A shell of its own around the person's text keeps an unbalanced quote, an `exit` or a signal within it; and
/// the shell outside, which does not become the command, tells a signal as 128 and its number.
fn posix(words: &Words, carriage: Carriage, mark: Option<&Mark>) -> String {
    let inner = match words {
        Words::Arguments(words) => words.iter().map(|word| sh(word)).collect::<Vec<_>>().join(" "),
        Words::Shell(text) => format!("sh -c {}", sh(text)),
    };
    let printf = mark.map(|mark| {
        let prefix = mark.prefix().replace('\x1b', "\\033");
        format!("printf '{prefix}%s\\007'")
    });
    match (carriage, printf) {
        (Carriage::Plain, None) => format!("{inner}; exit $?"),
        (Carriage::Plain, Some(printf)) => format!("({inner}); {printf} $?"),
        // The status takes the way round the pipe.
        (Carriage::Base64, None) => format!("exec 3>&1 4>&2; {}; exit \"$s\"", both_in_base64(&inner)),
        (Carriage::Base64, Some(printf)) => {
            let piped = format!("{{ ({inner}) 2>&1 3>&- 4>&-; echo $? >&4; }} | base64 >&3 4>&-");
            format!("exec 3>&1; s=$({{ {piped}; }} 4>&1); {printf} \"$s\"")
        }
    }
}

/// Sets `s` to the command's status. Descriptors: 3 and 4 are the agent's pipes, 5 carries the status, 6 the
/// command's stdout past the pipe of its stderr.
fn both_in_base64(inner: &str) -> String {
    let command = format!("{{ ({inner}) 3>&- 4>&- 5>&-; echo $? >&5; }}");
    let with_stderr = format!("{{ {command} 2>&1 >&6 6>&- | base64 >&4 3>&- 4>&- 5>&- 6>&-; }}");
    format!("s=$({{ {with_stderr} 6>&1 | base64 >&3 3>&- 4>&- 5>&-; }} 5>&1)")
}

fn windows(words: &Words, mark: Option<&Mark>) -> String {
    let run = match words {
        Words::Shell(text) => format!("& {{ {text}\n}}"),
        Words::Arguments(words) => called(words),
    };
    let status = "$o=$?;$s=if($null -ne $LASTEXITCODE){$LASTEXITCODE}elseif($o){0}else{1}";
    let tell = match mark {
        None => "exit $s".to_owned(),
        Some(mark) => {
            let prefix = mark.prefix().replace('\x1b', "");
            format!("[Console]::Out.Write([char]27+'{prefix}'+$s+[char]7)")
        }
    };
    format!("$global:LASTEXITCODE=$null;{run};{status};{tell}")
}

/// Programs need their arguments escaped where PowerShell does not do that itself; its own commands do not.
fn called(words: &[String]) -> String {
    let list = |words: &[String]| {
        let quoted: Vec<String> = words.iter().map(|word| powershell(word)).collect();
        quoted.join(",")
    };
    let Some((program, arguments)) = words.split_first() else {
        return "& ''".to_owned();
    };
    let program = powershell(program);
    if arguments.is_empty() {
        return format!("& {program}");
    }
    let escaped: Vec<String> = arguments.iter().map(|word| native(word)).collect();
    if escaped == arguments {
        return format!("$a=@({});& {program} @a", list(arguments));
    }
    format!(
        "$a=if($PSVersionTable.PSVersion -lt '7.3' -and (Get-Command {program}).CommandType -eq 'Application')\
         {{@({})}}else{{@({})}};& {program} @a",
        list(&escaped),
        list(arguments)
    )
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;

    struct Ran {
        stdout: Vec<u8>,
        stderr: Vec<u8>,
        status: Option<i32>,
    }

    /// Runs the script as an agent does and reads it back as we do.
    fn run(words: &Words, carriage: Carriage, form: Form) -> Ran {
        let script = script(Wanted {
            words,
            platform: Platform::Posix,
            carriage,
            form,
        })
        .unwrap();
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &script.text])
            .stdin(std::process::Stdio::null());
        let said = command.output().unwrap();
        let mut stdout = Decoder::new(&script.reading);
        let mut stderr = Decoder::for_stderr(&script.reading);
        let mut read = Vec::new();
        // In pieces, so that no border of a piece means anything.
        for piece in said.stdout.chunks(7) {
            read.extend_from_slice(&stdout.push(piece).unwrap());
        }
        read.extend_from_slice(&stdout.finish().unwrap());
        let mut errors = stderr.push(&said.stderr).unwrap().to_vec();
        errors.extend_from_slice(&stderr.finish().unwrap());
        let status = match form {
            Form::Separate => said.status.code(),
            Form::Wrapped | Form::Terminal => stdout.status(),
        };
        Ran {
            stdout: read,
            stderr: errors,
            status,
        }
    }

    fn all() -> impl Iterator<Item = (Carriage, Form)> {
        [Carriage::Plain, Carriage::Base64]
            .into_iter()
            .flat_map(|carriage| [Form::Separate, Form::Wrapped].map(|form| (carriage, form)))
    }

    fn arguments(words: &[&str]) -> Words {
        Words::Arguments(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_status_comes_back_in_every_form() {
        for (carriage, form) in all() {
            for (text, status) in [
                ("exit 0", 0),
                ("exit 7", 7),
                ("false", 1),
                ("no-such-program-anywhere", 127),
                ("kill -9 $$", 137),
                ("kill -TERM $$", 143),
                ("echo 'unbalanced", 2),
                ("(exit 3) # a comment", 3),
            ] {
                let ran = run(&Words::Shell(text.to_owned()), carriage, form);
                assert_eq!(ran.status, Some(status), "{text} {carriage:?} {form:?}");
            }
            let ran = run(&arguments(&["sh", "-c", "kill -2 $$"]), carriage, form);
            assert_eq!(ran.status, Some(130), "{carriage:?} {form:?}");
            let ran = run(&arguments(&["exit", "5"]), carriage, form);
            assert_eq!(ran.status, Some(5), "{carriage:?} {form:?}");
        }
    }

    #[test]
    fn both_streams_come_back_whole() {
        let text = "printf 'out\\n'; printf 'err\\n' >&2; printf 'no newline'";
        for (carriage, form) in all() {
            let ran = run(&Words::Shell(text.to_owned()), carriage, form);
            match (carriage, form) {
                (_, Form::Separate) | (Carriage::Plain, Form::Wrapped) => {
                    assert_eq!(ran.stdout, b"out\nno newline", "{carriage:?} {form:?}");
                    assert_eq!(ran.stderr, b"err\n", "{carriage:?} {form:?}");
                }
                (_, Form::Terminal) => unreachable!(),
                // There the agent would merge them; here it is done before.
                (Carriage::Base64, Form::Wrapped) => assert_eq!(ran.stdout, b"out\nerr\nno newline"),
            }
        }
    }

    #[test]
    fn in_a_terminal_the_status_outlives_ctrl_c() {
        // As a terminal does it: to all of them.
        let text = "sleep 0.05; kill -INT 0; sleep 5";
        let script = script(Wanted {
            words: &Words::Shell(text.to_owned()),
            platform: Platform::Posix,
            carriage: Carriage::Plain,
            form: Form::Terminal,
        })
        .unwrap();
        let mut command = std::process::Command::new("sh");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let said = command.args(["-c", &script.text]).output().unwrap();
        let mut decoder = Decoder::new(&script.reading);
        assert_eq!(decoder.push(&said.stdout).unwrap(), &b""[..]);
        assert_eq!(decoder.status(), Some(130));
    }

    #[test]
    fn binary_carries_every_byte() {
        let mut all_bytes = Vec::new();
        let mut text = String::from("printf '");
        for byte in 0..=255_u8 {
            all_bytes.push(byte);
            text.push_str(&format!("\\{byte:03o}"));
        }
        text.push('\'');
        for form in [Form::Separate, Form::Wrapped] {
            let ran = run(&Words::Shell(text.clone()), Carriage::Base64, form);
            assert_eq!(ran.stdout, all_bytes, "{form:?}");
            let nothing = run(&Words::Shell("true".to_owned()), Carriage::Base64, form);
            assert_eq!((nothing.stdout, nothing.status), (Vec::new(), Some(0)));
        }
        let ran = run(
            &Words::Shell(format!("{text} >&2")),
            Carriage::Base64,
            Form::Separate,
        );
        assert_eq!(ran.stderr, all_bytes);
    }

    #[test]
    fn arguments_arrive_as_typed() {
        let words = [
            "printf", "%s|", "a b", "", "$HOME", "it's", "x\ny", "-n", "\"", "\\",
        ];
        for (carriage, form) in all() {
            let ran = run(&arguments(&words), carriage, form);
            let text = String::from_utf8(ran.stdout).unwrap();
            assert_eq!(text, "a b||$HOME|it's|x\ny|-n|\"|\\|", "{carriage:?} {form:?}");
        }
    }

    fn for_windows(words: &[&str], carriage: Carriage, form: Form) -> Option<Script> {
        script(Wanted {
            words: &arguments(words),
            platform: Platform::Windows,
            carriage,
            form,
        })
    }

    #[test]
    fn what_powershell_is_given() {
        let text = |words: &[&str], form| for_windows(words, Carriage::Plain, form).unwrap().text;
        let plain = text(&["Get-Process", "it's"], Form::Separate);
        assert!(plain.contains("$a=@('it''s');& 'Get-Process' @a;"), "{plain}");
        assert!(plain.ends_with(";exit $s"), "{plain}");
        let quoted = text(&["x.exe", "say \"hi\"", ""], Form::Separate);
        assert!(
            quoted.contains(r#"{@('say \"hi\"','""')}else{@('say "hi"','')}"#),
            "{quoted}"
        );
        assert!(text(&["x"], Form::Wrapped).contains("[char]27+']7771;ssmx;"));
        assert_eq!(for_windows(&["x"], Carriage::Base64, Form::Separate), None);
    }
}
