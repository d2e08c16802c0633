//! This machine: whether it can talk to AWS at all.

use std::path::Path;

use super::report::{Finding, LOGIN};
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::identity::Identity;
use crate::aws::{Aws, env};
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::net::dialer::{Place, Tls};
use crate::net::{DialError, Proxies};
use crate::transport::plugin::Plugin;
use crate::ui::Presence;

const CREDENTIALS: &str = "credentials";
const CLOCK: &str = "clock";
const REGION: &str = "region";
const CONFIG: &str = "config";
const PROXY: &str = "proxy";
const PLUGIN: &str = "plugin";
const AWS_CLI: &str = "AWS CLI";
const SNAPSHOT: &str = "snapshot";
const TERMINAL: &str = "terminal";

/// Clocks further apart than this make AWS refuse signatures.
const SKEW: i64 = 5 * 60;

/// The config, before anything stands on it.
pub fn config(loaded: &Result<(), CommandError>) -> Finding {
    match loaded {
        Ok(()) => Finding::pass(CONFIG, "it can be read"),
        Err(error) => Finding::fail(CONFIG, error.summary()).fix("ssmx config check"),
    }
}

/// Credentials that could not even be looked for.
pub fn no_way(error: &CommandError) -> Finding {
    Finding::fail(CREDENTIALS, error.summary())
        .fix("ssmx login, or set the profile: `ssmx whoami --profile NAME` shows what comes of it")
}

/// What AWS says of us.
pub fn identity(told: &Result<Identity, ServiceError>, story: &str) -> Finding {
    match told {
        Ok(identity) => Finding::pass(CREDENTIALS, format!("{} ({story})", identity.arn)),
        Err(error) => {
            let finding = Finding::fail(CREDENTIALS, format!("{error} ({story})"));
            match error.kind {
                ErrorKind::LoginNeeded => finding.fix(LOGIN),
                ErrorKind::Unreachable => finding.symptom(),
                _ => finding
                    .fix("renew them; `ssmx whoami --profile NAME` shows what comes of another profile"),
            }
        }
    }
}

/// This machine's clock beside AWS's.
pub fn clock(ahead: &Result<i64, ServiceError>) -> Finding {
    match ahead {
        Ok(ahead) if ahead.abs() > SKEW => {
            let direction = if *ahead > 0 { "ahead of" } else { "behind" };
            Finding::fail(
                CLOCK,
                format!(
                    "it is {} min {direction} AWS's; signatures are refused",
                    ahead.abs() / 60
                ),
            )
            .fix("sudo timedatectl set-ntp true (or your system's time service)")
        }
        Ok(ahead) => Finding::pass(CLOCK, format!("{} s off", ahead.abs())),
        Err(error) => Finding::unknown(CLOCK, error),
    }
}

/// The region in use.
pub fn region(aws: &Aws) -> Finding {
    Finding::pass(REGION, aws.region().to_string())
}

/// Whether a host of AWS answers, and who signed its certificate.
pub async fn endpoint(aws: &Aws, check: &'static str, service: &str) -> Finding {
    let place = match place(aws, service) {
        Ok(place) => place,
        Err(cause) => return Finding::fail(check, cause),
    };
    let at = format!("{}:{}", place.host, place.port);
    match aws.dialer().connect(&place).await {
        Ok(stream) => {
            let issuer = stream.issuer();
            let is_aws = place.host.ends_with(aws.region().partition().dns_suffix());
            match issuer {
                Some(issuer) if is_aws && !issuer.contains("Amazon") => Finding::pass(
                    check,
                    format!(
                        "{at} answers; its certificate is by {issuer}, so somebody on the way reads along (TLS interception)"
                    ),
                ),
                Some(issuer) => Finding::pass(check, format!("{at} answers; certificate by {issuer}")),
                None => Finding::pass(check, format!("{at} answers")),
            }
        }
        Err(error @ DialError::Tls { .. }) => Finding::fail(check, error.to_string())
            .fix("where a proxy intercepts TLS, name its certificate: --ca-bundle FILE, or AWS_CA_BUNDLE"),
        Err(error @ (DialError::Proxy { .. } | DialError::ProxyUrl(_))) => {
            Finding::fail(check, error.to_string()).fix("check HTTPS_PROXY and NO_PROXY")
        }
        Err(error) => Finding::fail(check, error.to_string())
            .fix("check the network, the firewall (TCP 443 outwards) and HTTPS_PROXY"),
    }
}

/// AWS's own host of a service, or the endpoint that was chosen for all.
fn place(aws: &Aws, service: &str) -> Result<Place, String> {
    let Some(url) = aws.endpoint_url() else {
        let region = aws.region();
        return Ok(Place {
            tls: Tls::Yes,
            host: format!("{service}.{region}.{}", region.partition().dns_suffix()),
            port: 443,
        });
    };
    let uri: http::Uri = url
        .parse()
        .map_err(|_| format!("the endpoint `{url}` is no URL"))?;
    let host = uri
        .host()
        .ok_or_else(|| format!("the endpoint `{url}` names no host"))?;
    let (tls, usual) = match uri.scheme_str() {
        Some("http") => (Tls::No, 80),
        _ => (Tls::Yes, 443),
    };
    Ok(Place {
        tls,
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(usual),
    })
}

/// Which proxy is used.
pub fn proxy(aws: &Aws) -> Finding {
    let region = aws.region();
    let host = format!("ssm.{region}.{}", region.partition().dns_suffix());
    match Proxies::from_lookup(env::lookup).proxy_for(Tls::Yes, &host, 443) {
        Ok(None) => Finding::pass(PROXY, "none"),
        Ok(Some(proxy)) => Finding::pass(PROXY, format!("{}:{}", proxy.host, proxy.port)),
        Err(error) => Finding::fail(PROXY, error.to_string()).fix("correct the variable"),
    }
}

/// The official plugin. ssmx does without it.
pub async fn plugin() -> Finding {
    match Plugin::find().await {
        Ok(plugin) => Finding::pass(PLUGIN, format!("{} {}", plugin.path.display(), plugin.version)),
        Err(error) => Finding::pass(PLUGIN, format!("{error}; ssmx does without it")),
    }
}

/// The AWS CLI and the alias for `aws ssmx`.
pub fn aws_cli() -> Finding {
    let paths = env::lookup("PATH").unwrap_or_default();
    let name = if cfg!(windows) { "aws.exe" } else { "aws" };
    let found = std::env::split_paths(&paths)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    let alias = env::home().map(|home| home.join(".aws").join("cli").join("alias"));
    let has_alias = alias.is_some_and(|alias| mentions(&alias, "ssmx"));
    match (found, has_alias) {
        (Some(path), true) => {
            Finding::pass(AWS_CLI, format!("{}, with the alias `aws ssmx`", path.display()))
        }
        (Some(path), false) => Finding::pass(AWS_CLI, path.display().to_string()),
        (None, _) => Finding::pass(AWS_CLI, "not on PATH; ssmx does without it"),
    }
}

fn mentions(file: &Path, word: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| {
        text.lines()
            .any(|line| line.split('=').next().is_some_and(|key| key.trim() == word))
    })
}

/// What is remembered of nodes.
pub fn snapshot(ctx: &Context, seen: usize) -> Finding {
    let Some(cache) = &ctx.places().cache else {
        return Finding::unseen(SNAPSHOT, "there is no place for it");
    };
    match tempfile::tempfile_in(cache) {
        Ok(_) => Finding::pass(
            SNAPSHOT,
            format!("scopes remembered in {}: {seen}", cache.display()),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::pass(SNAPSHOT, "nothing remembered yet")
        }
        Err(error) => Finding::likely(
            SNAPSHOT,
            format!("{} cannot be written: {error}", cache.display()),
        )
        .fix(format!("chown -R \"$USER\" {}", cache.display()))
        .symptom(),
    }
}

/// Whether somebody sits in front of it.
pub fn terminal(ctx: &Context) -> Finding {
    let term = env::lookup("TERM").unwrap_or_default();
    match (ctx.ui().presence(), term.as_str()) {
        (Presence::Person, "" | "dumb") => Finding::likely(
            TERMINAL,
            "`TERM` is not set, or dumb: full-screen programs will not work",
        )
        .fix("export TERM=xterm-256color")
        .symptom(),
        (Presence::Person, term) => Finding::pass(TERMINAL, term),
        (Presence::Script, _) => Finding::pass(TERMINAL, "none; nothing will be asked"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn a_clock_may_be_a_little_off() {
        assert_eq!(clock(&Ok(-20)).verdict, Verdict::Pass);
        let behind = clock(&Ok(-3600));
        assert_eq!(behind.verdict, Verdict::Fail);
        assert_eq!(
            behind.evidence,
            "it is 60 min behind AWS's; signatures are refused"
        );
        let silent = ServiceError::local(ErrorKind::Unreachable, "no answer");
        assert_eq!(clock(&Err(silent)).verdict, Verdict::Unknown);
    }

    #[test]
    fn an_alias_is_a_key_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[toplevel]\nwho = sts get-caller-identity # ssmx\n").unwrap();
        assert!(!mentions(file.path(), "ssmx"));
        std::fs::write(file.path(), "[toplevel]\nssmx = !SSMX_VIA=aws ssmx\n").unwrap();
        assert!(mentions(file.path(), "ssmx"));
    }
}
