//! Who signed a server's certificate, for people who wonder whether somebody reads along.

/// The issuer's organisation and name. Untrusted text.
pub fn issuer(certificate: &[u8]) -> Option<String> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (body, _) = element(whole, SEQUENCE)?;
    // The version is there in every certificate of this century.
    let rest = match element(body, VERSION) {
        Some((_, rest)) => rest,
        None => body,
    };
    let (_, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (mut names, _) = element(rest, SEQUENCE)?;
    let (mut organisation, mut common) = (None, None);
    while !names.is_empty() {
        let (set, after) = element(names, SET)?;
        names = after;
        let (pair, _) = element(set, SEQUENCE)?;
        let (kind, value) = element(pair, OBJECT)?;
        let (_, content, _) = any(value)?;
        let text = || Some(String::from_utf8_lossy(content).into_owned());
        match kind {
            [0x55, 0x04, 0x0a] => organisation = text(),
            [0x55, 0x04, 0x03] => common = text(),
            _ => {}
        }
    }
    match (organisation, common) {
        (Some(organisation), Some(common)) => Some(format!("{organisation}, {common}")),
        (one, other) => one.or(other),
    }
}

const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// The content of the element at the front, which has to be of that kind, and what follows it.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == kind).then_some((content, rest))
}

/// DER: a kind, a length in one byte or in as many as the first one says, the content.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(*first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits
            .iter()
            .fold(0, |length, digit| (length << 8) | usize::from(*digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 0x82, length[0], length[1]], content.as_slice()].concat()
    }

    fn certificate() -> Vec<u8> {
        let name = |kind: u8, text: &str| {
            let object = [0x06, 0x03, 0x55, 0x04, kind];
            let text = wrap(0x0c, &[text.as_bytes()]);
            wrap(SET, &[&wrap(SEQUENCE, &[&object, &text])])
        };
        let names = wrap(
            SEQUENCE,
            &[
                &name(0x06, "US"),
                &name(0x0a, "Corp Proxy"),
                &name(0x03, "Inspector"),
            ],
        );
        let version = wrap(VERSION, &[&[0x02, 0x01, 0x02]]);
        let serial = [0x02, 0x01, 0x07];
        let body = wrap(SEQUENCE, &[&version, &serial, &wrap(SEQUENCE, &[]), &names]);
        wrap(SEQUENCE, &[&body])
    }

    #[test]
    fn the_issuer_is_read_and_rubbish_is_none() {
        let whole = certificate();
        assert_eq!(issuer(&whole).as_deref(), Some("Corp Proxy, Inspector"));
        // Cut anywhere, it is none; nothing panics.
        for length in 0..whole.len() {
            assert_eq!(issuer(whole.get(..length).unwrap()), None, "{length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            drop(issuer(&bytes));
        }
    }
}
