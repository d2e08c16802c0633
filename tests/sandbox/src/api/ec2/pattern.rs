//! EC2's patterns in the values of filters: `*` is any text, `?` one character or none, `\` takes the next
//! character as it is.

/// A pattern, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    AnyText,
    AtMostOne,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::AnyText,
                '?' => Part::AtMostOne,
                '\\' => Part::Char(chars.next().unwrap_or('\\')),
                c => Part::Char(c),
            });
        }
        Self { parts }
    }

    /// Whether the whole of `text` fits. Time grows with the product of the lengths, however the stars stand.
    pub(super) fn fits(&self, text: &str) -> bool {
        if let Some(literal) = self.literal_prefix()
            && !literal.zip(text.chars()).all(|(a, b)| a == b)
        {
            return false;
        }
        let chars: Vec<char> = text.chars().collect();
        // reach[n]: the parts so far can end right before character n.
        let mut reach = vec![false; chars.len() + 1];
        reach[0] = true;
        for part in &self.parts {
            let mut next = vec![false; chars.len() + 1];
            for at in 0..=chars.len() {
                next[at] = match part {
                    Part::Char(c) => at > 0 && reach[at - 1] && chars[at - 1] == *c,
                    Part::AtMostOne => reach[at] || (at > 0 && reach[at - 1]),
                    Part::AnyText => reach[at] || (at > 0 && next[at - 1]),
                };
            }
            reach = next;
        }
        reach[chars.len()]
    }

    /// The characters before the first wildcard, for a quick no.
    fn literal_prefix(&self) -> Option<impl Iterator<Item = char>> {
        matches!(self.parts.first(), Some(Part::Char(_))).then(|| {
            self.parts.iter().map_while(|part| match part {
                Part::Char(c) => Some(*c),
                _ => None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).fits(text)
    }

    #[test]
    fn wildcards() {
        for (pattern, text) in [
            ("prod-*", "prod-web"),
            ("prod-*", "prod-"),
            ("*", ""),
            ("*web*", "prod-web-1"),
            ("prod-?eb", "prod-web"),
            ("web?", "web"),
            ("web??", "web1"),
            ("a*b*c", "axxbyyc"),
            ("*a", "aaa"),
            ("", ""),
            ("é?", "éa"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("prod", "prod-web"),
            ("Prod-*", "prod-web"),
            ("web?", "web12"),
            ("a*b", "abc"),
            ("?", "ab"),
            ("", "a"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn escapes() {
        assert!(fits(r"\*amazon\?\\", r"*amazon?\"));
        assert!(!fits(r"\*amazon\?\\", r"xamazonx\"));
        assert!(fits(r"a\b", "ab"));
        assert!(fits("end\\", "end\\"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let started = std::time::Instant::now();
        assert!(!fits(&"a*".repeat(100), &"a".repeat(99)));
        assert!(!fits(&format!("{}b", "a*".repeat(50)), &"a".repeat(2000)));
        assert!(started.elapsed().as_secs() < 5);
    }
}
