//! Selectors as people write them: `name=…`, `tag:Key=Value`, `ip=…`, `dns=…`, `asg=…`.

use crate::inventory::query::{Address, Pattern, Query};

/// A selector that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// `ip=` and what is no address.
    #[error("`ip={0}` is not an address of IPv4 or IPv6")]
    NotAnAddress(String),
    /// A key without a value.
    #[error("`{0}=` says nothing: a value was expected after `=`")]
    NoValue(String),
    /// `tag:` without a key, or without a value.
    #[error("`{0}` is not a tag's key and value: `tag:Key=Value` was expected")]
    NotATag(String),
    /// An address written twice, and the like.
    #[error("`{0}=` is given twice; a node cannot fit both")]
    Twice(&'static str),
}

/// Reads one selector; `None` for words that are none.
///
/// # Errors
/// For what begins as one and goes on as none.
pub fn parse(text: &str) -> Result<Option<Query>, SelectorError> {
    if let Some(tag) = text.strip_prefix("tag:") {
        return match tag.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Some(Query {
                // A tag may well be empty.
                tags: vec![(key.to_owned(), Pattern::parse(value))],
                ..Query::default()
            })),
            _ => Err(SelectorError::NotATag(text.to_owned())),
        };
    }
    let Some((key, value)) = text.split_once('=') else {
        return Ok(None);
    };
    if !matches!(key, "name" | "ip" | "dns" | "asg") {
        return Ok(None);
    }
    if value.is_empty() {
        return Err(SelectorError::NoValue(key.to_owned()));
    }
    let mut query = Query::default();
    match key {
        "name" => query.name = Some(Pattern::parse(value)),
        "asg" => query.asg = Some(value.to_owned()),
        "dns" => query.address = Some(Address::Dns(value.to_owned())),
        _ => {
            let bare = value.trim_start_matches('[').trim_end_matches(']');
            let ip = bare
                .parse()
                .map_err(|_| SelectorError::NotAnAddress(value.to_owned()))?;
            query.address = Some(Address::Ip(ip));
        }
    }
    Ok(Some(query))
}

/// Several selectors, all of which must hold.
///
/// # Errors
/// When two of them ask for different things of one kind.
pub fn all(queries: impl IntoIterator<Item = Query>) -> Result<Query, SelectorError> {
    fn set<T: PartialEq>(
        slot: &mut Option<T>,
        value: Option<T>,
        key: &'static str,
    ) -> Result<(), SelectorError> {
        match (&slot, value) {
            (_, None) => Ok(()),
            (Some(old), Some(new)) if *old != new => Err(SelectorError::Twice(key)),
            (_, new) => {
                *slot = new;
                Ok(())
            }
        }
    }
    let mut whole = Query::default();
    for query in queries {
        set(&mut whole.id, query.id, "id")?;
        set(&mut whole.name, query.name, "name")?;
        set(&mut whole.address, query.address, "ip")?;
        set(&mut whole.asg, query.asg, "asg")?;
        whole.tags.extend(query.tags);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_meaning() {
        let query = |text: &str| parse(text).unwrap().unwrap();
        assert_eq!(query("name=web"), Query::name(Pattern::Exact("web".into())));
        assert_eq!(query("name=web-*"), Query::name(Pattern::Glob("web-*".into())));
        assert_eq!(
            query("tag:aws:x=a=b").tags,
            [("aws:x".to_owned(), Pattern::Exact("a=b".into()))]
        );
        assert_eq!(
            query("tag:Empty=").tags,
            [("Empty".to_owned(), Pattern::Exact("".into()))]
        );
        assert_eq!(
            query("ip=10.0.0.7").address,
            Some(Address::Ip("10.0.0.7".parse().unwrap()))
        );
        assert_eq!(
            query("ip=[fd00::1]").address,
            Some(Address::Ip("fd00::1".parse().unwrap()))
        );
        assert_eq!(
            query("dns=a.internal").address,
            Some(Address::Dns("a.internal".into()))
        );
        assert_eq!(query("asg=web").asg, Some("web".into()));
        for none in ["web", "Name=web", "x=y", "=", "tags:Key=Value"] {
            assert_eq!(parse(none), Ok(None), "{none}");
        }
    }

    #[test]
    fn what_begins_as_a_selector_must_be_one() {
        let said = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            said("name="),
            "`name=` says nothing: a value was expected after `=`"
        );
        assert_eq!(said("ip=web"), "`ip=web` is not an address of IPv4 or IPv6");
        assert_eq!(
            said("tag:Key"),
            "`tag:Key` is not a tag's key and value: `tag:Key=Value` was expected"
        );
        assert_eq!(
            said("tag:=x"),
            "`tag:=x` is not a tag's key and value: `tag:Key=Value` was expected"
        );
    }

    #[test]
    fn several_must_not_contradict() {
        let parsed = |texts: &[&str]| all(texts.iter().map(|text| parse(text).unwrap().unwrap()));
        let both = parsed(&["tag:A=1", "tag:B=2", "name=web"]).unwrap();
        assert_eq!(both.tags.len(), 2);
        assert!(both.name.is_some());
        assert_eq!(parsed(&["name=a", "name=b"]), Err(SelectorError::Twice("name")));
        assert!(parsed(&["name=a", "name=a"]).is_ok());
    }
}
