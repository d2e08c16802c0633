//! What a scenario must hold to, beyond its grammar. Accounts' aliases are replaced by their ids on the way.

use std::collections::HashSet;

use anyhow::{Context as _, bail, ensure};
use ssmx::ids::{AccountId, NodeId, Region, Version};

use super::{Account, Scenario};

pub(super) fn check(scenario: &mut Scenario) -> anyhow::Result<()> {
    accounts(&scenario.accounts)?;
    let known = scenario.accounts.clone();
    let account_of = |named: &mut Option<String>, what: String| -> anyhow::Result<()> {
        let found = match named {
            None => known.first(),
            Some(name) => known
                .iter()
                .find(|account| account.id == *name || account.alias == *name),
        };
        match (found, &named) {
            (Some(account), _) => {
                *named = Some(account.id.clone());
                Ok(())
            }
            (None, Some(name)) => bail!("{what}: there is no account `{name}`"),
            (None, None) => bail!("{what}: a scenario with nodes needs an account"),
        }
    };

    for region in &scenario.regions {
        parsed::<Region>(&region.name, "regions")?;
    }
    let mut ids = HashSet::new();
    for (index, node) in scenario.nodes.iter_mut().enumerate() {
        let what = match (&node.name, &node.id) {
            (Some(name), _) => format!("node `{}`", name.escape_debug()),
            (None, Some(id)) => format!("node `{id}`"),
            (None, None) => format!("node {}", index + 1),
        };
        account_of(&mut node.account, what.clone())?;
        parsed::<Region>(&node.region, &what)?;
        parsed::<Version>(&node.agent.version, &what)?;
        if let Some(id) = &node.id {
            parsed::<NodeId>(id, &what)?;
            ensure!(ids.insert(id.clone()), "{what}: the id `{id}` is taken");
        }
        for address in [&node.private_ip, &node.public_ip, &node.ipv6]
            .into_iter()
            .flatten()
        {
            address
                .parse::<std::net::IpAddr>()
                .with_context(|| format!("{what}: `{address}` is no address"))?;
        }
        for place in node.services.keys() {
            let port = place.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            ensure!(
                matches!(port, Some(Ok(1..))),
                "{what}: the service `{place}` is not written as NAME:PORT"
            );
        }
        ensure!(
            !node.tags.contains_key("Name"),
            "{what}: the Name tag is written as `name`"
        );
    }
    for entry in &mut scenario.generate {
        let what = format!("generate `{}`", entry.prefix);
        account_of(&mut entry.account, what.clone())?;
        parsed::<Region>(&entry.region, &what)?;
    }
    for key in scenario.accounts.iter().flat_map(|account| &account.keys) {
        if let Some(policy) = &key.policy {
            serde_json::from_str::<serde_json::Value>(policy)
                .with_context(|| format!("key `{}`: the policy is no JSON", key.id))?;
        }
    }
    for document in &mut scenario.documents {
        let what = format!("document `{}`", document.name);
        account_of(&mut document.account, what.clone())?;
        let content: serde_json::Value = serde_json::from_str(&document.content)
            .with_context(|| format!("{what}: the content is no JSON"))?;
        ensure!(
            content
                .get("sessionType")
                .is_some_and(serde_json::Value::is_string),
            "{what}: the content has no `sessionType`"
        );
    }
    for key in &mut scenario.kms_keys {
        account_of(&mut key.account, format!("KMS key `{}`", key.id))?;
    }
    for task in &mut scenario.tasks {
        let what = format!("task `{}`", task.id);
        account_of(&mut task.account, what.clone())?;
        ensure!(
            task.id.len() == 32 && task.id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{what}: a task's id is 32 hexadecimal digits"
        );
        ensure!(!task.containers.is_empty(), "{what}: it has no containers");
    }
    for preferences in &mut scenario.preferences {
        account_of(&mut preferences.account, "preferences".to_owned())?;
    }
    Ok(())
}

fn accounts(accounts: &[Account]) -> anyhow::Result<()> {
    let mut names = HashSet::new();
    let mut keys = HashSet::new();
    for account in accounts {
        let what = format!("account `{}`", account.alias);
        parsed::<AccountId>(&account.id, &what)?;
        for name in [&account.id, &account.alias] {
            ensure!(names.insert(name.clone()), "{what}: `{name}` is taken");
        }
        for key in &account.keys {
            ensure!(
                keys.insert(key.id.clone()),
                "{what}: the key `{}` stands twice",
                key.id
            );
            let words: Vec<&str> = key.identity.split('/').collect();
            ensure!(
                matches!(words[..], ["root"] | ["user", _] | ["assumed-role", _, _]),
                "{what}: the identity `{}` is neither `root`, `user/NAME` nor `assumed-role/ROLE/SESSION`",
                key.identity
            );
            ensure!(
                key.id.starts_with("ASIA") == key.session_token.is_some(),
                "{what}: the key `{}`: `ASIA…` is for keys with a session token, and for them alone",
                key.id
            );
        }
    }
    Ok(())
}

fn parsed<T: std::str::FromStr>(text: &str, what: &str) -> anyhow::Result<()>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse::<T>().map(drop).with_context(|| what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Scenario;

    fn error(text: &str) -> String {
        format!("{:#}", Scenario::parse(text, "test").unwrap_err())
    }

    const ACCOUNT: &str = "[[accounts]]\nid = \"111122223333\"\nalias = \"dev\"\n";

    #[test]
    fn the_built_in_ones_check() {
        assert!(Scenario::demo().nodes.len() >= 12);
        assert!(!Scenario::hostile().nodes.is_empty());
    }

    #[test]
    fn what_is_misspelt_is_named_with_its_line() {
        let text = format!("{ACCOUNT}[[nodes]]\nnmae = \"x\"\n");
        let error = error(&text);
        assert!(error.contains("line 5"), "{error}");
        assert!(error.contains("nmae"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let with = |rest: &str| error(&format!("{ACCOUNT}{rest}"));
        assert!(with("[[nodes]]\naccount = \"prod\"\nname = \"x\"").contains("there is no account `prod`"));
        assert!(with("[[nodes]]\nid = \"i-1\"").contains("`i-1`"));
        assert!(with("[[nodes]]\nid = \"i-01234567\"\n[[nodes]]\nid = \"i-01234567\"").contains("is taken"));
        assert!(with("[[nodes]]\nname = \"x\"\nprivate_ip = \"10.0.0\"").contains("`10.0.0` is no address"));
        assert!(with("[[nodes]]\nname = \"x\"\n[nodes.tags]\nName = \"y\"").contains("written as `name`"));
        assert!(
            with("[[nodes]]\nname = \"x\"\nservices = { web = \"http\" }")
                .contains("not written as NAME:PORT")
        );
        assert!(with("[[documents]]\nname = \"d\"\ncontent = \"{}\"").contains("no `sessionType`"));
        assert!(error("[[nodes]]\nname = \"x\"").contains("needs an account"));
    }
}
