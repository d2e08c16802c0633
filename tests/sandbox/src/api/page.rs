//! Pages: tokens that say where the next one begins, good for the same question only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The token for a page that begins at `offset` of the answer to `question`.
pub(crate) fn token(question: &str, offset: usize) -> String {
    let digest = Sha256::digest(question);
    let text = format!("{offset}/{}", crate::world::node::hex(&digest[..8]));
    URL_SAFE_NO_PAD.encode(text)
}

/// Where the page begins; `None` for a token that was not given out for this question.
pub(crate) fn offset(question: &str, given: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(given).ok()?).ok()?;
    let offset = text.split('/').next()?.parse().ok()?;
    (token(question, offset) == given).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_fit_their_question_alone() {
        let given = token("running", 50);
        assert_eq!(offset("running", &given), Some(50));
        assert_eq!(offset("stopped", &given), None);
        assert_eq!(offset("running", "AAAA"), None);
        assert_eq!(offset("running", "!"), None);
    }
}
