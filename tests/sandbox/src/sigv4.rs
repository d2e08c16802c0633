//! Signatures of requests, checked as AWS checks them: form, key, scope, age, and the signature itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method, Uri};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::world::node::hex;
use crate::world::{Identity, World};

/// A signature may be so old, or so far ahead. In seconds.
const SKEW: i64 = 300;

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// It has no signature.
    Missing,
    /// It has one that cannot be read; the sentence says how.
    Malformed(String),
    /// Nobody has this key, or the session token is not the key's.
    UnknownKey,
    /// The key has expired.
    Expired,
    /// It is signed for another service, or for a region that is none.
    WrongScope(String),
    /// The clock of who signed is off.
    Skewed,
    /// The signature is another one than the secret gives.
    Wrong,
}

/// A request that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) identity: Arc<Identity>,
    pub(crate) region: String,
}

impl Signed {
    /// Who called without credentials where none are wanted.
    pub(crate) fn nobody() -> Self {
        Self {
            identity: Arc::new(Identity::nobody()),
            region: crate::scenario::DEFAULT_REGION.to_owned(),
        }
    }
}

/// What is signed.
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// What the `Authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) key: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

impl Claim {
    /// Reads a request's `Authorization` header.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Unsigned> {
        let header = headers
            .get(http::header::AUTHORIZATION)
            .ok_or(Unsigned::Missing)?;
        let malformed = |what: &str| Unsigned::Malformed(what.to_owned());
        let text = header
            .to_str()
            .map_err(|_| malformed("Authorization is not text."))?;
        let parts = text
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or_else(|| malformed("Authorization is not AWS4-HMAC-SHA256."))?;
        let fields: BTreeMap<&str, &str> = parts
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .collect();
        let field = |name: &str| {
            fields
                .get(name)
                .copied()
                .ok_or_else(|| malformed(&format!("Authorization header requires '{name}' parameter.")))
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [key, date, region, service, "aws4_request"] = scope[..] else {
            return Err(malformed(
                "Credential is not KEY/DATE/REGION/SERVICE/aws4_request.",
            ));
        };
        let signed_headers: Vec<String> = field("SignedHeaders")?
            .split(';')
            .map(ToOwned::to_owned)
            .collect();
        if !signed_headers.iter().any(|name| name == "host") {
            return Err(malformed("SignedHeaders lacks host."));
        }
        Ok(Self {
            key: key.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers,
            signature: field("Signature")?.to_owned(),
        })
    }

    /// The signature that `secret` gives for the request.
    fn expected(&self, secret: &str, subject: &Subject<'_>, amz_date: &str) -> String {
        let mut canonical = format!(
            "{}\n{}\n{}\n",
            subject.method,
            canonical_path(subject.uri.path()),
            canonical_query(subject.uri.query().unwrap_or_default())
        );
        for name in &self.signed_headers {
            let values = subject.headers.get_all(name.as_str()).iter();
            let values: Vec<String> = values
                .map(|value| collapsed(&String::from_utf8_lossy(value.as_bytes())))
                .collect();
            canonical.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        canonical.push_str(&format!(
            "\n{}\n{}",
            self.signed_headers.join(";"),
            hex(&Sha256::digest(subject.body))
        ));
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{amz_date}\n{}/{}/{}/aws4_request\n{}",
            self.date,
            self.region,
            self.service,
            hex(&Sha256::digest(canonical))
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.date, &self.region, &self.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        hex(&hmac(&key, to_sign.as_bytes()))
    }
}

/// Lets a request to `service` in, or says why not.
pub(crate) fn check(world: &World, service: &str, subject: &Subject<'_>) -> Result<Signed, Unsigned> {
    let claim = Claim::of(subject.headers)?;
    let header = |name: &str| subject.headers.get(name).and_then(|value| value.to_str().ok());
    let amz_date = header("x-amz-date")
        .ok_or_else(|| Unsigned::Malformed("X-Amz-Date or Date must be present.".to_owned()))?;
    let signed_at = parse_date(amz_date)
        .filter(|_| amz_date.starts_with(&claim.date))
        .ok_or_else(|| Unsigned::Malformed("X-Amz-Date does not fit the credential's scope.".to_owned()))?;
    let identity = world.identity(&claim.key).ok_or(Unsigned::UnknownKey)?;
    if header("x-amz-security-token") != identity.session_token.as_deref() {
        return Err(Unsigned::UnknownKey);
    }
    if claim.service != service {
        return Err(Unsigned::WrongScope(format!(
            "Credential should be scoped to correct service: '{service}'."
        )));
    }
    let expected = claim.expected(&identity.secret, subject, amz_date);
    // Equal work for every wrong signature would be vanity here: the secrets are in the repository.
    if expected != claim.signature {
        return Err(Unsigned::Wrong);
    }
    if (world.wall().as_second() - signed_at.as_second()).abs() > SKEW {
        return Err(Unsigned::Skewed);
    }
    if identity.expires.is_some_and(|end| end <= world.now()) {
        return Err(Unsigned::Expired);
    }
    Ok(Signed {
        identity,
        region: claim.region,
    })
}

/// Signs as a client would. The form of the signature is pinned by botocore's; this only makes more of them.
#[cfg(test)]
pub(crate) fn sign(
    identity: (&str, &str, Option<&str>),
    scope: (&str, &str),
    at: Timestamp,
    subject: &mut http::Request<Vec<u8>>,
) {
    let (key, secret, token) = identity;
    let amz_date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut claim = Claim {
        key: key.to_owned(),
        date: amz_date[..8].to_owned(),
        region: scope.0.to_owned(),
        service: scope.1.to_owned(),
        signed_headers: vec!["host".to_owned(), "x-amz-date".to_owned()],
        signature: String::new(),
    };
    let mut set = |name: &'static str, value: &str| {
        subject.headers_mut().insert(name, value.parse().unwrap());
    };
    set("x-amz-date", &amz_date);
    if let Some(token) = token {
        set("x-amz-security-token", token);
        claim.signed_headers.push("x-amz-security-token".to_owned());
    }
    let signed = Subject {
        method: subject.method(),
        uri: subject.uri(),
        headers: subject.headers(),
        body: subject.body(),
    };
    let signature = claim.expected(secret, &signed, &amz_date);
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={key}/{}/{}/{}/aws4_request, SignedHeaders={}, Signature={signature}",
        claim.date,
        claim.region,
        claim.service,
        claim.signed_headers.join(";")
    );
    subject
        .headers_mut()
        .insert("authorization", value.parse().unwrap());
}

/// `20231114T221320Z`.
fn parse_date(text: &str) -> Option<Timestamp> {
    let shaped = text.len() == 16
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !shaped {
        return None;
    }
    let (day, time) = (&text[..8], &text[9..15]);
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        &day[..4],
        &day[4..6],
        &day[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    )
    .parse()
    .ok()
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC takes keys of every length.
    #[expect(clippy::unwrap_used, reason = "any key length is valid")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// The path is encoded once more than on the wire, as for every service but S3.
fn canonical_path(path: &str) -> String {
    encode(path.as_bytes(), "/")
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.replace('+', "%2B").as_bytes())
        .map(|(key, value)| (encode(key.as_bytes(), ""), encode(value.as_bytes(), "")))
        .collect();
    pairs.sort();
    let joined: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    joined.join("&")
}

/// Percent-encoding of everything but unreserved characters and those of `keep`.
fn encode(bytes: &[u8], keep: &str) -> String {
    let mut out = String::new();
    for byte in bytes {
        let c = char::from(*byte);
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || keep.contains(c) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Trimmed, with inner runs of spaces made one.
fn collapsed(value: &str) -> String {
    value
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signature was computed with botocore's SigV4Auth for the same request, keys and time.
    #[test]
    fn the_signature_is_botocores() {
        let uri: Uri = "/v1/data-channel/alice-0123?role=publish_subscribe&cell-number=AA%2BB%3D"
            .parse()
            .unwrap();
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/eu-west-2/ssmmessages/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=814eb505974b0212e7fee87709e44d89d07565ad7ac2cd5f739ae8afda7606ae";
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "ssmmessages.eu-west-2.amazonaws.com"),
            ("x-amz-date", "20231114T221320Z"),
            ("x-amz-security-token", "token"),
            ("authorization", authorization),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let claim = Claim::of(&headers).unwrap();
        let subject = Subject {
            method: &Method::GET,
            uri: &uri,
            headers: &headers,
            body: b"",
        };
        assert_eq!(
            claim.expected("secret", &subject, "20231114T221320Z"),
            claim.signature
        );
        assert_ne!(
            claim.expected("Secret", &subject, "20231114T221320Z"),
            claim.signature
        );
    }

    #[test]
    fn a_malformed_header_is_told() {
        let claim = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().unwrap());
            Claim::of(&headers).unwrap_err()
        };
        assert_eq!(Claim::of(&HeaderMap::new()).unwrap_err(), Unsigned::Missing);
        for bad in [
            "Basic abc",
            "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=1",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=x, Signature=1",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host",
        ] {
            assert!(matches!(claim(bad), Unsigned::Malformed(_)), "{bad}");
        }
    }

    #[test]
    fn dates_are_read_exactly() {
        assert_eq!(
            parse_date("20231114T221320Z").map(|at| at.as_second()),
            Some(1_700_000_000)
        );
        for bad in ["", "20231114T221320", "20231314T221320Z", "2023-11-14T22:13"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
