//! IAM's identity policies, as far as those of sessions go: actions and resources with wildcards, variables, and the
//! conditions that such policies use. What is not understood does not allow.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is known of a call: condition keys in lower case, and their values.
pub type Facts = BTreeMap<String, String>;

/// What a policy says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed,
    /// Nothing.
    Implicit,
    /// No.
    Explicit,
}

/// Asks a policy document.
pub fn decide(policy: &Value, action: &str, resource: &str, facts: &Facts) -> Decision {
    let mut decision = Decision::Implicit;
    for statement in list(policy.get("Statement")) {
        let acts = texts(statement.get("Action"))
            .iter()
            .any(|pattern| fits(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()));
        let on = texts(statement.get("Resource"))
            .iter()
            .any(|pattern| fits(&filled(pattern, facts), resource));
        if !acts || !on || !holds(statement.get("Condition"), facts) {
            continue;
        }
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Deny") => return Decision::Explicit,
            Some("Allow") => decision = Decision::Allowed,
            _ => {}
        }
    }
    decision
}

fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    list(value).into_iter().filter_map(Value::as_str).collect()
}

/// Variables of which nothing is known match nothing.
fn filled(pattern: &str, facts: &Facts) -> String {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        match facts.get(&name.to_ascii_lowercase()) {
            Some(value) => text.push_str(value),
            None => text.push('\0'),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn holds(condition: Option<&Value>, facts: &Facts) -> bool {
    let Some(operators) = condition.and_then(Value::as_object) else {
        return condition.is_none();
    };
    operators.iter().all(|(operator, keys)| {
        let (operator, if_exists) = match operator.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (operator.as_str(), false),
        };
        keys.as_object().is_some_and(|keys| {
            keys.iter().all(|(key, wanted)| {
                let Some(value) = facts.get(&key.to_ascii_lowercase()) else {
                    return if_exists;
                };
                texts(Some(wanted)).iter().any(|wanted| {
                    let wanted = filled(wanted, facts);
                    match operator {
                        "StringEquals" => wanted == *value,
                        "StringLike" => fits(&wanted, value),
                        "Bool" => wanted.eq_ignore_ascii_case(value),
                        _ => false,
                    }
                })
            })
        })
    })
}

/// `*` stands for any text, `?` for one character.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for c in pattern {
        if c == '*' {
            let first = reached.iter().position(|on| *on).unwrap_or(reached.len());
            reached.iter_mut().skip(first).for_each(|on| *on = true);
        } else {
            let mut next = vec![false; text.len() + 1];
            for (at, known) in text.iter().enumerate() {
                next[at + 1] = reached[at] && (c == '?' || c == *known);
            }
            reached = next;
        }
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(pairs: &[(&str, &str)]) -> Facts {
        let pair = |(key, value): &(&str, &str)| (key.to_ascii_lowercase(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn patterns_fit_as_iam_has_them() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("ssm:*", "ssm:startsession", true),
            ("a?c*", "abcdef", true),
            ("a*c", "abcd", false),
            ("", "x", false),
            ("a*b*c", "aXbYc", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_deny_beats_every_allow_and_conditions_have_to_hold() {
        let policy = json!({ "Statement": [
            { "Effect": "Allow", "Action": "ssm:StartSession", "Resource": "arn:i/*",
              "Condition": { "BoolIfExists": { "ssm:SessionDocumentAccessCheck": "true" },
                             "StringEquals": { "ssm:resourceTag/env": ["dev", "test"] } } },
            { "Effect": "Allow", "Action": ["ssm:TerminateSession"], "Resource": "arn:s/${aws:userid}-*" },
            { "Effect": "Deny", "Action": "*", "Resource": "arn:i/secret" },
        ]});
        let ask = |action: &str, resource: &str, pairs: &[(&str, &str)]| {
            decide(&policy, action, resource, &facts(pairs))
        };
        let dev = ("ssm:ResourceTag/env", "dev");
        let check = |value| ("ssm:SessionDocumentAccessCheck", value);
        assert_eq!(ask("ssm:StartSession", "arn:i/1", &[dev]), Decision::Allowed);
        assert_eq!(
            ask("ssm:StartSession", "arn:i/1", &[dev, check("false")]),
            Decision::Implicit
        );
        assert_eq!(ask("ssm:StartSession", "arn:i/1", &[]), Decision::Implicit);
        assert_eq!(
            ask("ssm:StartSession", "arn:i/secret", &[dev]),
            Decision::Explicit
        );
        assert_eq!(
            ask("ssm:TerminateSession", "arn:s/me-1", &[("aws:userid", "me")]),
            Decision::Allowed
        );
        assert_eq!(
            ask("ssm:TerminateSession", "arn:s/you-1", &[("aws:userid", "me")]),
            Decision::Implicit
        );
        assert_eq!(ask("ssm:TerminateSession", "arn:s/-1", &[]), Decision::Implicit);
    }
}
