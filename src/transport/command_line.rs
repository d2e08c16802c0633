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
        words.push(name.to_owned());
        words.push(quote(value));
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

/// One safe word; text with control characters becomes `$'…'`, so that it neither breaks the line nor reaches
/// the terminal.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
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
}
