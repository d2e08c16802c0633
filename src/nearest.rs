//! Did you mean …? The names that are most like one that means nothing.

/// So many are offered.
const MOST: usize = 5;
/// Less likeness than this helps nobody.
const LEAST: f64 = 0.72;
/// A single guess has to be better than one of five.
const LEAST_FOR_ONE: f64 = 0.75;

/// Names like `name`, the likest first. Each is given once.
pub fn some(name: &str, known: impl IntoIterator<Item = String>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut near: Vec<(f64, String)> = Vec::new();
    for candidate in known {
        let likeness = likeness(&wanted, &candidate.to_lowercase());
        let worst = near.last().map_or(LEAST, |(worst, _)| *worst);
        if likeness < LEAST || (near.len() == MOST && likeness < worst) {
            continue;
        }
        if near.iter().any(|(_, known)| *known == candidate) {
            continue;
        }
        let place = near.partition_point(|(other, known)| {
            *other > likeness || (*other == likeness && *known < candidate)
        });
        near.insert(place, (likeness, candidate));
        near.truncate(MOST);
    }
    near.into_iter().map(|(_, name)| name).collect()
}

/// The one that somebody most likely meant. Of two that are as like the first in the alphabet is given.
pub fn one<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (likeness(&wanted, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > LEAST_FOR_ONE)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, known)| known)
}

/// From 0 to 1. A part that is the same counts, wherever it stands: people forget prefixes.
fn likeness(wanted: &str, candidate: &str) -> f64 {
    if wanted == candidate {
        return 1.0;
    }
    let part = wanted.chars().count() >= 3 && candidate.contains(wanted);
    let distance = strsim::jaro_winkler(wanted, candidate);
    if part { distance.max(0.9) } else { distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(name: &str, known: &[&str]) -> Vec<String> {
        some(name, known.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn typos_case_and_parts_are_seen() {
        let known = ["prod-web", "prod-bastion", "dev-web", "unrelated", "prod-web"];
        assert_eq!(near("prod-wbe", &known), ["prod-web", "prod-bastion"]);
        assert_eq!(near("PROD-WEB", &known).first().unwrap(), "prod-web");
        assert!(near("bastion", &known).contains(&"prod-bastion".to_owned()));
        assert!(near("xyzzy", &known).is_empty());
        assert!(near("", &known).is_empty());
    }

    #[test]
    fn a_single_guess_is_the_best_or_none() {
        assert_eq!(one("regoin", ["profile", "region"]), Some("region"));
        assert_eq!(one("Region", ["profile", "region"]), Some("region"));
        assert_eq!(one("zzz", ["profile", "region"]), None);
        assert_eq!(one("web", ["prod-web", "api"]), Some("prod-web"));
        assert_eq!(one("ab", ["abd", "abc"]), Some("abc"));
    }

    #[test]
    fn only_the_best_are_given_in_a_stable_order() {
        let many: Vec<String> = (0..100).map(|n| format!("web-{n:02}")).collect();
        let found = some("web-7", many.clone());
        assert_eq!(found.len(), 5);
        let mut reversed = many;
        reversed.reverse();
        assert_eq!(some("web-7", reversed), found);
    }
}
