//! Which profile, which region, and what is asked of the person before a session.

use super::load::Loaded;
use super::origin::Origin;
use super::schema::{Preset, Profile, Target};
use super::values::{Confirm, Reason};
use crate::ids::{AccountId, Region};

/// How a profile or region was chosen, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// By `--profile`, `--region` or `PROFILE/NAME`.
    Flag,
    /// By the preset or target itself.
    Own,
    /// By `SSMX_PROFILE` or `SSMX_REGION`.
    Variable,
    /// By AWS's own variables.
    AwsVariable,
    /// By `[defaults]`.
    Default,
}

/// A profile or region, and how it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<T> {
    /// What was chosen.
    pub value: T,
    /// How.
    pub strength: Strength,
}

/// What is asked of the person before a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demands {
    /// How the person is asked.
    pub confirm: Confirm,
    /// Whether there must be a reason.
    pub reason: Reason,
}

impl Loaded {
    /// The AWS profile for something that may name its `own`, where AWS's variables name `aws`. `None`: AWS's
    /// default, or ambient credentials.
    pub fn profile(&self, own: Option<&str>, aws: Option<&str>) -> Option<Choice<String>> {
        let configured = self.config.defaults.profile.clone();
        self.choose(
            "profile",
            configured,
            own.map(str::to_owned),
            aws.map(str::to_owned),
        )
    }

    /// The region, likewise. `None`: the profile's own.
    pub fn region(&self, own: Option<&Region>, aws: Option<&Region>) -> Option<Choice<Region>> {
        let configured = self.config.defaults.region.clone();
        self.choose("region", configured, own.cloned(), aws.cloned())
    }

    fn choose<T>(
        &self,
        key: &str,
        configured: Option<T>,
        own: Option<T>,
        aws: Option<T>,
    ) -> Option<Choice<T>> {
        let flag = format!("--{key}");
        let strength = match self.origin(&["defaults", key].into()) {
            Some(Origin::Flag(by)) if *by == flag => Strength::Flag,
            Some(Origin::Variable(_)) => Strength::Variable,
            _ => Strength::Default,
        };
        let choices = [
            (configured, strength),
            (own, Strength::Own),
            (aws, Strength::AwsVariable),
        ];
        choices
            .into_iter()
            .filter_map(|(value, strength)| {
                Some(Choice {
                    value: value?,
                    strength,
                })
            })
            .min_by_key(|choice| choice.strength)
    }

    /// What is asked of the person before a session of this profile in this account, for this target and preset.
    ///
    /// The sections of all profiles that are pinned to the account count, so that another profile, or ambient
    /// credentials, is no way around one; the strictest word holds.
    pub fn demands(
        &self,
        profile: Option<&str>,
        account: Option<&AccountId>,
        target: Option<&Target>,
        preset: Option<&Preset>,
    ) -> Demands {
        let defaults = &self.config.defaults;
        let sections = || {
            self.config.profiles.iter().filter_map(|(name, section)| {
                let named = profile == Some(name.as_str());
                let pinned = account.is_some() && section.account.as_ref() == account;
                (named || pinned).then_some(section)
            })
        };
        fn strictest<T: Ord>(general: T, sections: impl Iterator<Item = T>, own: [Option<T>; 2]) -> T {
            let base = sections.max().unwrap_or(general);
            own.into_iter().flatten().fold(base, Ord::max)
        }
        let own = |confirm: fn(&Profile) -> Option<Confirm>| sections().filter_map(confirm);
        Demands {
            confirm: strictest(
                defaults.confirm,
                own(|section| section.confirm),
                [target.and_then(|t| t.confirm), preset.and_then(|p| p.confirm)],
            ),
            reason: strictest(
                defaults.reason,
                sections().filter_map(|section| section.reason),
                [target.and_then(|t| t.reason), preset.and_then(|p| p.reason)],
            ),
        }
    }

    /// The strictest that is asked before any session, wherever it leads.
    pub fn strictest_demands(&self) -> Demands {
        let config = &self.config;
        let profiles = config.profiles.values().map(|own| (own.confirm, own.reason));
        let targets = config.targets.values().map(|own| (own.confirm, own.reason));
        let presets = config.presets.values().map(|own| (own.confirm, own.reason));
        let general = Demands {
            confirm: config.defaults.confirm,
            reason: config.defaults.reason,
        };
        profiles
            .chain(targets)
            .chain(presets)
            .fold(general, |strictest, (confirm, reason)| Demands {
                confirm: confirm.map_or(strictest.confirm, |own| own.max(strictest.confirm)),
                reason: reason.map_or(strictest.reason, |own| own.max(strictest.reason)),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;

    fn loaded(user: &str, variables: &[(&str, &str)]) -> Loaded {
        let (loaded, problems) = World::new().user(user).load_with(&[], variables);
        assert_eq!(problems, Vec::<String>::new());
        loaded
    }

    #[test]
    fn what_is_nearer_to_the_person_chooses_the_profile() {
        let file = "[defaults]\nprofile = \"file\"\n";
        let chosen = |loaded: &Loaded, own: Option<&str>, aws: Option<&str>| {
            loaded
                .profile(own, aws)
                .map(|choice| (choice.value, choice.strength))
        };
        let is = |name: &str, strength| Some((name.to_owned(), strength));
        let plain = loaded(file, &[]);
        assert_eq!(chosen(&plain, None, None), is("file", Strength::Default));
        assert_eq!(
            chosen(&plain, None, Some("aws")),
            is("aws", Strength::AwsVariable)
        );
        assert_eq!(chosen(&plain, Some("own"), Some("aws")), is("own", Strength::Own));
        let variable = loaded(file, &[("SSMX_PROFILE", "ssmx")]);
        assert_eq!(
            chosen(&variable, None, Some("aws")),
            is("ssmx", Strength::Variable)
        );
        assert_eq!(chosen(&variable, Some("own"), None), is("own", Strength::Own));
        assert_eq!(chosen(&loaded("", &[]), None, None), None);
        let flags = super::super::Flags {
            profile: Some("flag".into()),
            ..Default::default()
        };
        let (flagged, _) = World::new()
            .user(file)
            .load_with_flags(&flags, &[("SSMX_PROFILE", "ssmx")]);
        assert_eq!(
            chosen(&flagged, Some("own"), Some("aws")),
            is("flag", Strength::Flag)
        );
    }

    #[test]
    fn regions_are_chosen_alike() {
        let region = |text: &str| text.parse::<Region>().unwrap();
        let loaded = loaded("[defaults]\nregion = \"eu-west-1\"\n", &[]);
        let chosen = loaded
            .region(Some(&region("eu-west-2")), Some(&region("us-east-1")))
            .unwrap();
        assert_eq!(
            (chosen.value.as_str(), chosen.strength),
            ("eu-west-2", Strength::Own)
        );
        assert_eq!(loaded.region(None, None).unwrap().value.as_str(), "eu-west-1");
    }

    #[test]
    fn the_strictest_word_holds_and_an_account_is_not_got_around() {
        let loaded = loaded(
            "[defaults]\nconfirm = \"ask\"\n\
             [profiles.prod]\naccount = \"123456789012\"\nconfirm = \"type-name\"\nreason = \"required\"\n\
             [profiles.dev]\nconfirm = \"never\"\n\
             [targets.t]\nname = \"x\"\nconfirm = \"ask\"\n",
            &[],
        );
        let account: AccountId = "123456789012".parse().unwrap();
        let target = loaded.config.targets.get("t");
        let ask = |profile, account, target| {
            let demands = loaded.demands(profile, account, target, None);
            (demands.confirm, demands.reason)
        };
        assert_eq!(
            ask(Some("prod"), None, None),
            (Confirm::TypeName, Reason::Required)
        );
        assert_eq!(
            ask(None, Some(&account), None),
            (Confirm::TypeName, Reason::Required)
        );
        assert_eq!(
            ask(Some("other"), Some(&account), target),
            (Confirm::TypeName, Reason::Required)
        );
        assert_eq!(ask(Some("dev"), None, None), (Confirm::Never, Reason::Optional));
        assert_eq!(ask(Some("dev"), None, target), (Confirm::Ask, Reason::Optional));
        assert_eq!(ask(Some("unknown"), None, None), (Confirm::Ask, Reason::Optional));
    }
}
