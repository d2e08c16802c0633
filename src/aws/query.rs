//! Calls in AWS's query protocol (a form in, XML out) to services that ssmx has no SDK client for.

use std::time::{Duration, SystemTime};

use super::Aws;
use super::error::{ErrorKind, ServiceError};
use super::http::Answer;
use super::request::{Address, signed};

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// A service of the query protocol.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// Its name in signatures and IAM actions.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) endpoint: String,
    /// The region in the signature.
    pub(super) region: String,
    /// The API's version.
    pub(super) version: &'static str,
}

impl Aws {
    /// Calls a service and gives its answer's XML.
    ///
    /// # Errors
    /// As for the SDK's calls.
    pub(super) async fn query(
        &self,
        service: &Service,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, ServiceError> {
        let operation = format!("{}:{action}", service.name);
        let mut form = vec![("Action", action), ("Version", service.version)];
        form.extend_from_slice(parameters);
        let form = super::endpoint::query(&form);
        let mut attempt = 1;
        loop {
            self.pace().await;
            let error = match self.query_once(service, &form).await {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    return Ok(String::from_utf8_lossy(answer.body.expose()).into_owned());
                }
                Ok(answer) => {
                    let error = refusal(&operation, &answer);
                    if answer.status < 500 && error.kind != ErrorKind::Throttled {
                        return Err(error);
                    }
                    error
                }
                Err(mut error) => {
                    error.operation = operation;
                    return Err(error);
                }
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(PAUSE * attempt * attempt).await;
            attempt += 1;
        }
    }

    async fn query_once(&self, service: &Service, form: &str) -> Result<Answer, ServiceError> {
        const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let credentials = self.credentials.credentials().await?;
        let address = Address {
            endpoint: &service.endpoint,
            service: service.name,
            region: &service.region,
        };
        let request = signed(address, &[FORM], form, credentials, SystemTime::now())?;
        self.http.send(request).await
    }
}

pub(super) fn refusal(operation: &str, answer: &Answer) -> ServiceError {
    let text = String::from_utf8_lossy(answer.body.expose());
    let read = || {
        let document = roxmltree::Document::parse(&text).ok()?;
        let value = |name: &str| {
            let node = document.descendants().find(|node| node.has_tag_name(name))?;
            node.text().map(|text| text.trim().to_owned())
        };
        // Services put the namespace on the outermost element, and leave it out now and then.
        let plain = |name: &str| {
            let node = document
                .descendants()
                .find(|node| node.is_element() && node.tag_name().name() == name)?;
            node.text().map(|text| text.trim().to_owned())
        };
        let find = |name: &str| value(name).or_else(|| plain(name));
        Some((
            find("Code")?,
            find("Message").unwrap_or_default(),
            find("RequestId"),
        ))
    };
    match read() {
        Some((code, message, request_id)) => ServiceError::refused(operation, &code, message, request_id),
        None => {
            let mut error = ServiceError::local(
                ErrorKind::Other,
                format!(
                    "the endpoint answered HTTP {} in a form that is not AWS's; does it offer this service?",
                    answer.status
                ),
            );
            error.operation = operation.to_owned();
            error
        }
    }
}

/// The text of each element of that name, wherever it stands.
pub(super) fn texts(xml: &str, name: &str) -> Vec<String> {
    let Ok(document) = roxmltree::Document::parse(xml) else {
        return Vec::new();
    };
    let named = document
        .descendants()
        .filter(|node| node.is_element() && node.tag_name().name() == name);
    named
        .filter_map(|node| node.text())
        .map(|text| text.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer {
            status,
            date: None,
            request_id: None,
            body: body.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn a_refusal_is_read_with_and_without_namespace() {
        for body in [
            r#"<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no &amp; never</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"#,
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no &amp; never</Message></Error><RequestId>r-1</RequestId></ErrorResponse>",
        ] {
            let error = refusal("iam:ListAccountAliases", &answer(403, body));
            assert_eq!(
                error.to_string(),
                "iam:ListAccountAliases: AccessDenied: no & never (request id r-1)"
            );
            assert!(error.is_denied());
        }
        let page = refusal("iam:X", &answer(502, "<html>"));
        assert!(page.to_string().contains("HTTP 502"), "{page}");
    }
}
