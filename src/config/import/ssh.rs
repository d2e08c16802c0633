//! `~/.ssh/config`: hosts that are reached by a ProxyCommand through Session Manager.

use super::{Found, selecting_key};
use crate::ids::{NodeId, Region};

/// Lines between one `Host` and the next.
#[derive(Debug, Default)]
struct Block {
    /// What `Host` says; empty: no host ever (a `Match` that cannot be judged here).
    patterns: Vec<String>,
    /// Keywords in lower case with the rest of their line.
    options: Vec<(String, String)>,
}

/// Reads the hosts that have a ProxyCommand through Session Manager.
pub fn ssh_config(text: &str) -> Found {
    let mut found = Found::default();
    let blocks = blocks(text, &mut found);
    let mut seen: Vec<&str> = Vec::new();
    for name in blocks.iter().flat_map(|block| &block.patterns) {
        if name.contains(['*', '?', '!']) || seen.contains(&name.as_str()) {
            continue;
        }
        seen.push(name);
        // As ssh has it: of every keyword the first value counts.
        let option = |keyword: &str| {
            blocks
                .iter()
                .filter(|block| block.is_for(name))
                .flat_map(|block| &block.options)
                .find(|(known, _)| known == keyword)
                .map(|(_, value)| value.as_str())
        };
        let Some(command) = option("proxycommand").filter(|command| is_session_manager(command)) else {
            continue;
        };
        let host = option("hostname").map_or_else(|| name.clone(), |host| host.replace("%h", name));
        take(&mut found, name, &host, command);
    }
    found
}

fn take(found: &mut Found, name: &str, host: &str, command: &str) {
    let words = words(command);
    let after = |flag: &str| {
        let at = words.iter().position(|word| word == flag);
        let joined = words
            .iter()
            .find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
        at.and_then(|at| words.get(at + 1).map(String::as_str)).or(joined)
    };
    let assigned = |variable: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(variable)?.strip_prefix('='))
    };
    let node = after("--target")
        .unwrap_or("%h")
        .replace("%h", host)
        .replace("%n", name)
        .replace("%%", "%");
    if node.contains(['$', '`', '(', '%']) {
        found.passed_over.push(format!(
            "`{name}` is left to ssh: its ProxyCommand finds the node by a command of its own"
        ));
        return;
    }
    // A spelling of several proxy scripts: the id, and the region behind two dashes.
    let (node, suffix) = match node.split_once("--") {
        Some((id, region)) if id.parse::<NodeId>().is_ok() && region.parse::<Region>().is_ok() => {
            (id.to_owned(), Some(region.to_owned()))
        }
        _ => (node, None),
    };
    let profile = after("--profile").or_else(|| assigned("AWS_PROFILE"));
    let region = after("--region")
        .or_else(|| assigned("AWS_REGION"))
        .or_else(|| assigned("AWS_DEFAULT_REGION"))
        .or(suffix.as_deref());
    let mut keys: Vec<(&[&str], &str)> = Vec::new();
    let key = [selecting_key(&node)];
    keys.push((&key, &node));
    if let Some(profile) = profile.filter(|text| !text.contains('$')) {
        keys.push((&["profile"], profile));
    }
    if let Some(region) = region.filter(|text| !text.contains('$')) {
        keys.push((&["region"], region));
    }
    found.take(name, &keys);
}

fn is_session_manager(command: &str) -> bool {
    let command = command.to_ascii_lowercase();
    [
        "ssm start-session",
        "aws-ssm",
        "aws-startsshsession",
        "session-manager",
        "ssmx proxy",
        "aws-gate ssh-proxy",
    ]
    .iter()
    .any(|mark| command.contains(mark))
}

/// The words of a command, those of an inner `sh -c "…"` among them.
fn words(command: &str) -> Vec<String> {
    let split = |text: &str| {
        shlex::split(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect())
    };
    split(command)
        .into_iter()
        .flat_map(|word| {
            if word.contains(' ') {
                split(&word)
            } else {
                vec![word]
            }
        })
        .collect()
}

fn blocks(text: &str, found: &mut Found) -> Vec<Block> {
    // What stands above the first `Host` is for every host.
    let mut blocks = vec![Block {
        patterns: vec!["*".to_owned()],
        options: Vec::new(),
    }];
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let end = line
            .find(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        let value = rest
            .trim_start_matches(|c: char| c.is_whitespace() || c == '=')
            .trim_end();
        match keyword.to_ascii_lowercase().as_str() {
            "host" => blocks.push(Block {
                patterns: words(value),
                options: Vec::new(),
            }),
            "match" => blocks.push(Block {
                patterns: if value.eq_ignore_ascii_case("all") {
                    vec!["*".to_owned()]
                } else {
                    Vec::new()
                },
                options: Vec::new(),
            }),
            "include" => found.passed_over.push(format!(
                "`Include {value}` is not followed: import that file by its own path"
            )),
            known => {
                let value = value.trim_matches('"').to_owned();
                if let Some(block) = blocks.last_mut() {
                    block.options.push((known.to_owned(), value));
                }
            }
        }
    }
    blocks
}

impl Block {
    fn is_for(&self, host: &str) -> bool {
        let mut matched = false;
        for pattern in &self.patterns {
            match pattern.strip_prefix('!') {
                Some(pattern) if fits(pattern.as_bytes(), host.as_bytes()) => return false,
                Some(_) => {}
                None => matched |= fits(pattern.as_bytes(), host.as_bytes()),
            }
        }
        matched
    }
}

/// ssh's patterns: `*` for any characters, `?` for one.
fn fits(pattern: &[u8], host: &[u8]) -> bool {
    let (mut at, mut in_host) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_host < host.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_host));
                at += 1;
            }
            Some(c) if *c == b'?' || Some(c) == host.get(in_host) => {
                at += 1;
                in_host += 1;
            }
            _ => match star {
                // The last star takes one character more.
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    in_host = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn hosts_behind_session_manager_become_targets() {
        let text = r#"
# the usual wild card
Host i-* mi-*
    ProxyCommand sh -c "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters 'portNumber=%p'"

Host prod-*
    ProxyCommand aws ssm start-session --target %h --document-name AWS-StartSSHSession --profile prod --region=eu-west-2

Host prod-web
    HostName i-0123456789abcdef0
    User ec2-user

Host prod-db prod-cache.1
    ProxyCommand none

Host=bastion
    ProxyCommand = env AWS_PROFILE=dev AWS_REGION=eu-west-1 aws-ssm-ec2-proxy-command.sh %h %r %p
    HostName mi-0123456789abcdef0--eu-central-1

Host found
    ProxyCommand sh -c "aws ssm start-session --target $(aws ec2 describe-instances --query x)"

Host elsewhere
    ProxyCommand ssh -W %h:%p jump

Match host secret
    ProxyCommand aws ssm start-session --target i-00000000000000000

Include conf.d/*
"#;
        assert_eq!(
            lines(&ssh_config(text)),
            [
                "prod-web: id=i-0123456789abcdef0 profile=prod region=eu-west-2",
                "prod-db: name=prod-db profile=prod region=eu-west-2",
                "prod-cache.1: name=prod-cache.1 profile=prod region=eu-west-2",
                "bastion: id=mi-0123456789abcdef0 profile=dev region=eu-west-1",
                "- `Include conf.d/*` is not followed: import that file by its own path",
                "- `found` is left to ssh: its ProxyCommand finds the node by a command of its own",
            ]
        );
    }

    #[test]
    fn names_that_cannot_be_names_are_told() {
        let found = ssh_config("Host i-0123456789abcdef0\nProxyCommand aws ssm start-session --target %h\n");
        assert_eq!(found.targets.len(), 0);
        assert!(found.passed_over[0].contains("cannot be a name"), "{found:?}");
    }

    #[test]
    fn patterns_are_sshs() {
        let fits = |pattern: &str, host: &str| fits(pattern.as_bytes(), host.as_bytes());
        assert!(fits("*", "") && fits("a*c", "abc") && fits("a?c", "abc") && fits("*.b.*", "a.b.c"));
        assert!(!fits("a*c", "abd") && !fits("a?c", "ac") && !fits("", "a"));
        let block = Block {
            patterns: vec!["prod-*".into(), "!prod-db".into()],
            options: Vec::new(),
        };
        assert!(block.is_for("prod-web") && !block.is_for("prod-db") && !block.is_for("dev"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(Host|ProxyCommand|HostName|Match|Include|[ =\"'*?!%h\\$a-z\\n-]){0,40}") {
            ssh_config(&text);
        }
    }
}
