//! This machine's clock beside AWS's: signatures are refused when they are more than five minutes apart.

use std::time::SystemTime;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;

use super::error::{ErrorKind, ServiceError};
use super::{Aws, endpoint};

impl Aws {
    /// By how many seconds this machine's clock is ahead of AWS's; negative where it is behind. Any answer of
    /// the endpoint tells, so nothing is signed.
    ///
    /// # Errors
    /// When the endpoint does not answer, or says no time.
    pub async fn clock_ahead(&self) -> Result<i64, ServiceError> {
        let region = self.region();
        let own = || format!("https://sts.{region}.{}", region.partition().dns_suffix());
        let url = endpoint::chosen(&self.settings, &self.sdk, "sts").unwrap_or_else(own);
        let mut request = HttpRequest::new(SdkBody::empty());
        let url = format!("{}/", url.trim_end_matches('/'));
        request
            .set_uri(url.as_str())
            .map_err(|error| ServiceError::local(ErrorKind::Other, format!("`{url}` is no URL: {error}")))?;
        let sent = SystemTime::now();
        let answer = self.http.send(request).await?;
        let received = SystemTime::now();
        let theirs = answer.date.as_deref().and_then(parse);
        let theirs = theirs.ok_or_else(|| {
            ServiceError::local(ErrorKind::Other, format!("`{url}` answered without a time"))
        })?;
        // The answer was written somewhere between the two.
        let middle = sent + received.duration_since(sent).unwrap_or_default() / 2;
        let ours = middle.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(ours.as_secs()).unwrap_or(i64::MAX) - theirs)
    }
}

/// HTTP's date, as seconds since 1970.
fn parse(date: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(date.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(parse("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000));
        assert_eq!(parse("today"), None);
    }
}
