//! The filter that the agent sends text through, with its losses.

/// Holds back what is not whole yet, and damages what the agent damages.
#[derive(Default)]
pub(super) struct Utf8 {
    held: Vec<u8>,
}

impl Utf8 {
    /// What may be sent of all that was read so far. Up to three bytes of an unfinished letter are kept for
    /// the next read; at the end of the stream they are lost. Of a genuine U+FFFD only the first byte passes;
    /// bytes that are no UTF-8 pass one by one.
    pub(super) fn pass(&mut self, read: &[u8]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(read);
        let mut passed = Vec::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (whole, length) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                // The bytes up to there are UTF-8 by the error's own word.
                Err(error) => (
                    std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default(),
                    Some(error.error_len()),
                ),
            };
            if whole.contains('\u{fffd}') {
                for letter in whole.chars() {
                    if letter == '\u{fffd}' {
                        passed.push(0xef);
                    } else {
                        passed.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            } else {
                passed.extend_from_slice(whole.as_bytes());
            }
            rest = &rest[whole.len()..];
            match length {
                None => break,
                Some(None) => {
                    self.held = rest.to_vec();
                    break;
                }
                Some(Some(_)) => {
                    passed.push(rest[0]);
                    rest = &rest[1..];
                }
            }
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_letter_waits_for_its_rest() {
        let mut filter = Utf8::default();
        let bytes = "a€".as_bytes();
        assert_eq!(filter.pass(&bytes[..2]), b"a");
        assert_eq!(filter.pass(&bytes[2..3]), b"");
        assert_eq!(filter.pass(&bytes[3..]), "€".as_bytes());
    }

    #[test]
    fn other_bytes_pass_one_by_one() {
        let mut filter = Utf8::default();
        assert_eq!(filter.pass(b"\xffa\xc0\x80b"), b"\xffa\xc0\x80b");
    }

    #[test]
    fn what_looks_like_a_beginning_is_held_and_lost_at_the_end() {
        let mut filter = Utf8::default();
        assert_eq!(filter.pass(b"a\xf0\x9f"), b"a");
        assert_eq!(filter.held, b"\xf0\x9f");
    }

    #[test]
    fn a_replacement_character_loses_two_bytes() {
        let mut filter = Utf8::default();
        assert_eq!(filter.pass("x\u{fffd}y".as_bytes()), b"x\xefy");
    }
}
