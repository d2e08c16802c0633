//! The AWS CLI's words for the same session, to read or to paste.

use crate::aws::session::SessionRequest;
use crate::ids::Region;

/// The equivalent `aws ssm start-session …`, quoted for a POSIX shell.
pub fn equivalent(
    request: &SessionRequest,
    region: &Region,
    profile: Option<&str>,
    endpoint: Option<&str>,
) -> String {
    let mut words = vec!["aws".to_owned(), "ssm".into(), "start-session".into()];
    let mut option = |name: &str, value: &str| {
        if value.starts_with('-') {
            // As a word of its own it would be taken for an option.
            words.push(format!("{name}={}", quote(value)));
        } else {
            words.push(name.to_owned());
            words.push(quote(value));
        }
    };
    option("--target", request.target.as_str());
    if let Some(document) = &request.document {
        option("--document-name", document);
    }
    if !request.parameters.is_empty() {
        // Maps of lists of strings always have a JSON form.
        option(
            "--parameters",
            &serde_json::to_string(&request.parameters).unwrap_or_default(),
        );
    }
    if let Some(reason) = &request.reason {
        option("--reason", reason);
    }
    if let Some(profile) = profile {
        option("--profile", profile);
    }
    option("--region", region.as_str());
    if let Some(endpoint) = endpoint {
        option("--endpoint-url", endpoint);
    }
    words.join(" ")
}

/// One safe word; text with characters that a terminal obeys, or that hide or reorder others, becomes `$'…'`,
/// so that the line looks like what it is.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if !text.chars().any(is_invisible) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if is_invisible(c) => {
                for byte in c.to_string().bytes() {
                    quoted.push_str(&format!("\\x{byte:02x}"));
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// Controls, line separators, zero-width characters, bidirectional marks, tags.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_pastes_safely() {
        let request = SessionRequest {
            target: "i-0123456789abcdef0".parse().unwrap(),
            document: Some("AWS-StartInteractiveCommand".into()),
            parameters: [("command".to_owned(), vec!["echo 'hi' $(id)".to_owned()])].into(),
            reason: Some("it's\nurgent".into()),
        };
        assert_eq!(
            equivalent(&request, &"eu-west-2".parse().unwrap(), Some("prod"), None),
            concat!(
                "aws ssm start-session --target i-0123456789abcdef0 --document-name AWS-StartInteractiveCommand ",
                r#"--parameters '{"command":["echo '\''hi'\'' $(id)"]}' --reason $'it\'s\x0aurgent' "#,
                "--profile prod --region eu-west-2"
            )
        );
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in [
            "",
            "plain",
            "two words",
            "it's",
            "a\"b`c$(d)\\e",
            "!history ~ * ? # ;&|<>()",
            "tab\tline\nbell\x07\x1b[2J",
            "\u{202e}desrever\u{200b}",
            "ünï",
            "\\",
            "'",
            "\n'",
        ] {
            let quoted = quote(text);
            assert!(!quoted.chars().any(is_invisible), "{quoted:?}");
            let said = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {quoted}")])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), text, "{quoted}");
        }
    }

    #[test]
    fn no_value_becomes_an_option() {
        let request = SessionRequest {
            target: "i-0123456789abcdef0".parse().unwrap(),
            document: None,
            parameters: [].into(),
            reason: Some("--endpoint-url https://evil.example".into()),
        };
        let line = equivalent(&request, &"eu-west-2".parse().unwrap(), None, None);
        assert!(
            line.contains(" --reason='--endpoint-url https://evil.example' --region"),
            "{line}"
        );
    }
}
