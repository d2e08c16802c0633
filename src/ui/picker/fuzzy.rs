//! How well a typed word fits a text. Every rank is above all of those after it: the same word, its beginning, the
//! beginning of a part, somewhere within, letters in order.

/// More is better; `None`: not at all. Both are lower case.
pub(super) fn fit(word: &str, text: &str) -> Option<u32> {
    // A shorter text leaves less that was not typed.
    let brevity = 100_u32.saturating_sub(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let rank = |rank: u32, inner: u32| rank * 1000 + inner.min(400) + brevity;
    if word == text {
        return Some(rank(5, 0));
    }
    let mut within = None;
    for (at, _) in text.match_indices(word) {
        let before = text.get(..at)?.chars().next_back();
        match before {
            None => return Some(rank(4, 0)),
            Some(c) if !c.is_alphanumeric() => return Some(rank(3, 0)),
            Some(_) => within = Some(rank(2, 0)),
        }
    }
    within.or_else(|| in_order(word, text).map(|score| rank(1, score)))
}

/// The letters of the word in their order with others between; the fewer the better, and best from the beginning of
/// a part. So loose a likeness counts only while it is no accident.
fn in_order(word: &str, text: &str) -> Option<u32> {
    let letters = word.chars().count();
    if letters < 2 {
        return None;
    }
    let most = letters * 3;
    let mut best = None;
    let text: Vec<char> = text.chars().collect();
    let first = word.chars().next()?;
    for start in (0..text.len()).filter(|at| text.get(*at) == Some(&first)) {
        let mut wanted = word.chars().skip(1).peekable();
        let mut end = start;
        for (at, c) in text.iter().enumerate().skip(start + 1) {
            match wanted.peek() {
                None => break,
                Some(letter) if letter == c => {
                    wanted.next();
                    end = at;
                }
                Some(_) => {}
            }
        }
        if wanted.peek().is_none() {
            let span = end + 1 - start;
            let opens = start == 0
                || text
                    .get(start - 1)
                    .is_some_and(|before| !before.is_alphanumeric());
            let score = (span <= most).then(|| if opens { 200 } else { 0 } + 200_usize.saturating_sub(span));
            best = best.max(score);
        }
    }
    best.and_then(|score| u32::try_from(score).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_likeness_ranks_higher() {
        let ranks: Vec<Option<u32>> = ["web", "web-1", "prod-web", "proweb", "wxexb", "other"]
            .iter()
            .map(|text| fit("web", text))
            .collect();
        assert!(ranks.windows(2).all(|pair| pair[0] > pair[1]), "{ranks:?}");
        assert_eq!(ranks.last(), Some(&None));
    }

    #[test]
    fn letters_far_apart_are_an_accident() {
        assert!(fit("pw", "prod-web").is_some());
        assert!(fit("pwb", "prod-web").is_some());
        assert_eq!(fit("ab", "a very long way to b"), None);
        assert_eq!(fit("bew", "web"), None);
        assert_eq!(fit("x", "web"), None);
        // The tightest place counts, not the first.
        assert!(fit("ab", "a------------ab").is_some());
    }

    #[test]
    fn letters_of_other_alphabets_are_letters() {
        assert!(fit("zür", "prod-zürich-β").is_some());
        assert!(fit("zβ", "zürich-β").is_none() && fit("zhβ", "zürich-β").is_some());
    }
}
