//! The plugin's arguments.

use serde_json::{Map, Value};

use super::{NAME, PLUGIN_VERSION, Started};
use crate::ids::Region;

/// Where the session's address and token are in the environment.
const RESPONSE_VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";

const INSTALLED: &str =
    "\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n\n";

/// What is asked for.
#[derive(Debug)]
pub(super) enum Call {
    /// To say something and leave.
    Say(String),
    /// To carry a session.
    Start(Box<Start>),
}

/// A session to carry.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) opening: Started,
    pub(super) region: Region,
    pub(super) profile: Option<String>,
    /// As the request has it; empty where there was no request.
    pub(super) target: String,
    /// Where SSM is, if not at AWS's own place.
    pub(super) endpoint: Option<String>,
}

/// A call that cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) words: String,
    /// Whether the plugin would have crashed.
    pub(super) crashes: bool,
}

fn crash(words: impl Into<String>) -> Unusable {
    Unusable {
        words: words.into(),
        crashes: true,
    }
}

/// Reads the words behind the program's name. `take` gives a variable and removes it from the environment.
pub(super) fn read(words: Vec<String>, take: impl Fn(&str) -> Option<String>) -> Result<Call, Unusable> {
    let mut words = words.into_iter();
    let Some(first) = words.next() else {
        return Ok(Call::Say(INSTALLED.to_owned()));
    };
    let rest: Vec<String> = words.collect();
    let (region, operation, more) = match &rest[..] {
        [] if first == "--version" => return Ok(Call::Say(format!("{PLUGIN_VERSION}\n"))),
        [] | [_] => {
            return Ok(Call::Say(format!(
                "\nUnknown operation {first}. \nUse {NAME} --version to check the version.\n\n"
            )));
        }
        [region, operation, more @ ..] => (region, operation, more),
    };
    if operation != "StartSession" {
        return Ok(Call::Say("Invalid Operation".to_owned()));
    }
    let response = if first.starts_with(RESPONSE_VARIABLE) {
        take(&first).ok_or_else(|| crash(format!("the variable {first} is not set")))?
    } else {
        first
    };
    let response = object(&response)?;
    let text = |key: &str| text_of(&response, key).ok_or_else(|| crash(format!("the session has no {key}")));
    let session = text("SessionId")?;
    let opening = Started {
        session: session
            .parse()
            .map_err(|error: crate::ids::InvalidId| crash(error.to_string()))?,
        stream_url: text("StreamUrl")?.into(),
        token: text("TokenValue")?.into(),
    };
    let region = region
        .parse()
        .map_err(|error: crate::ids::InvalidId| crash(error.to_string()))?;
    let profile = more.first().filter(|profile| !profile.is_empty()).cloned();
    // The legacy call has no request; then there is no encryption either.
    let target = match more.get(1) {
        Some(request) => {
            let request = object(request)?;
            text_of(&request, "Target").ok_or_else(|| crash("the request has no Target"))?
        }
        None => String::new(),
    };
    let endpoint = more.get(2).filter(|url| is_for_ssm(url)).cloned();
    Ok(Call::Start(Box::new(Start {
        opening,
        region,
        profile,
        target,
        endpoint,
    })))
}

fn object(json: &str) -> Result<Map<String, Value>, Unusable> {
    // Not the parser's words: they may quote the token.
    serde_json::from_str(json).map_err(|error| Unusable {
        words: format!("invalid JSON at line {} column {}", error.line(), error.column()),
        crashes: false,
    })
}

/// Keys in any case: `aws ecs execute-command` passes them on as ECS gave them.
fn text_of(object: &Map<String, Value>, key: &str) -> Option<String> {
    let exact = object.get(key);
    let found = exact.or_else(|| {
        let mut any = object.iter();
        any.find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value)
    });
    let text = found?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether an endpoint can be SSM's: one of AWS's own hosts has to say so, for `aws ecs execute-command` passes
/// ECS's; any other host is somebody's choice.
fn is_for_ssm(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    let is_aws = labels
        .iter()
        .any(|label| matches!(*label, "amazonaws" | "amazonwebservices" | "aws"));
    !authority.is_empty() && (!is_aws || labels.iter().any(|label| matches!(*label, "ssm" | "ssm-fips")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = r#"{"SessionId":"me-0123","TokenValue":"the-token","StreamUrl":"wss://x/y","ResponseMetadata":{"a":1}}"#;

    fn call(words: &[&str]) -> Result<Call, Unusable> {
        let take = |name: &str| (name == RESPONSE_VARIABLE).then(|| RESPONSE.to_owned());
        read(words.iter().map(ToString::to_string).collect(), take)
    }

    fn said(words: &[&str]) -> String {
        match call(words) {
            Ok(Call::Say(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn started(words: &[&str]) -> Start {
        match call(words) {
            Ok(Call::Start(start)) => *start,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_said_is_said_to_the_byte() {
        assert_eq!(
            said(&[]),
            "\nThe Session Manager plugin was installed successfully. Use the AWS CLI to start a session.\n\n"
        );
        assert_eq!(said(&["--version"]), "1.2.835.0\n");
        for words in [&["x"][..], &["x", "y"]] {
            assert_eq!(
                said(words),
                "\nUnknown operation x. \nUse session-manager-plugin --version to check the version.\n\n"
            );
        }
        assert_eq!(said(&["{}", "eu-west-2", "StopSession"]), "Invalid Operation");
    }

    #[test]
    fn a_start_in_each_of_its_forms() {
        let request = r#"{"Target":"i-0123456789abcdef0"}"#;
        let plain = started(&[RESPONSE, "eu-west-2", "StartSession"]);
        assert_eq!(plain.opening.session.as_str(), "me-0123");
        assert_eq!(plain.opening.token.expose(), "the-token");
        assert_eq!(
            (plain.profile, plain.target, plain.endpoint),
            (None, String::new(), None)
        );
        let whole = started(&[
            RESPONSE_VARIABLE,
            "eu-west-2",
            "StartSession",
            "prod",
            request,
            "https://ssm.eu-west-2.amazonaws.com",
        ]);
        assert_eq!(whole.opening.stream_url.expose(), "wss://x/y");
        assert_eq!(whole.profile.as_deref(), Some("prod"));
        assert_eq!(whole.target, "i-0123456789abcdef0");
        assert_eq!(
            whole.endpoint.as_deref(),
            Some("https://ssm.eu-west-2.amazonaws.com")
        );
        let nobody = started(&[RESPONSE, "eu-west-2", "StartSession", "", request, ""]);
        assert_eq!((nobody.profile, nobody.endpoint), (None, None));
    }

    #[test]
    fn ecs_has_keys_and_an_endpoint_of_its_own() {
        let response = r#"{"sessionId":"ecs-execute-command-0123","streamUrl":"wss://x/y","tokenValue":"t"}"#;
        let request = r#"{"Target":"ecs:cluster_task_runtime"}"#;
        let start = started(&[
            response,
            "eu-west-2",
            "StartSession",
            "",
            request,
            "https://ecs.eu-west-2.amazonaws.com",
        ]);
        assert_eq!(start.opening.session.as_str(), "ecs-execute-command-0123");
        assert_eq!(start.target, "ecs:cluster_task_runtime");
        assert_eq!(start.endpoint, None);
    }

    #[test]
    fn endpoints_that_can_be_ssms() {
        for good in [
            "https://ssm.eu-west-2.amazonaws.com",
            "https://ssm-fips.us-gov-west-1.amazonaws.com/",
            "https://ssm.eu-west-2.api.aws",
            "https://vpce-0a-1b.ssm.eu-west-2.vpce.amazonaws.com",
            "http://127.0.0.1:4566",
            "http://[::1]:4566",
            "https://proxy.corp.example",
        ] {
            assert!(is_for_ssm(good), "{good}");
        }
        for bad in [
            "",
            "ssm",
            "https://ecs.eu-west-2.amazonaws.com",
            "https://ecs.eu-west-2.api.aws",
            "https://",
        ] {
            assert!(!is_for_ssm(bad), "{bad}");
        }
    }

    #[test]
    fn where_the_plugin_crashes_there_is_a_word_and_no_token() {
        let request = r#"{"Target":"i-0123456789abcdef0"}"#;
        for (words, crashes) in [
            (
                &["AWS_SSM_START_SESSION_RESPONSE_X", "eu-west-2", "StartSession"][..],
                true,
            ),
            (&[r#"{"SessionId":"me-0123"}"#, "eu-west-2", "StartSession"], true),
            (&[RESPONSE, "nowhere", "StartSession"], true),
            (&[RESPONSE, "eu-west-2", "StartSession", "", "{}"], true),
            (&[RESPONSE, "eu-west-2", "StartSession", "", "the-token"], false),
            (&["the-token", "eu-west-2", "StartSession", "", request], false),
        ] {
            let error = call(words).unwrap_err();
            assert_eq!(error.crashes, crashes, "{words:?}");
            assert!(!error.words.contains("the-token"), "{error:?}");
        }
    }
}
