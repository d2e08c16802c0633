//! Signed calls in AWS's query protocol (a form in, XML out) to services that ssmx has no SDK client for: a few
//! rare calls are not worth the minutes that another client's crate takes to build.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;

use super::Aws;
use super::error::{ErrorKind, ServiceError};
use super::http::Answer;

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
            let error = match self.attempt(service, &form).await {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    return Ok(String::from_utf8_lossy(&answer.body).into_owned());
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

    async fn attempt(&self, service: &Service, form: &str) -> Result<Answer, ServiceError> {
        let credentials = self.credentials.credentials().await?;
        let request = signed(service, form, credentials, SystemTime::now());
        let request = request.map_err(|cause| {
            ServiceError::local(ErrorKind::Other, format!("the request cannot be signed: {cause}"))
        })?;
        self.http.send(request).await
    }
}

fn signed(
    service: &Service,
    form: &str,
    credentials: Credentials,
    at: SystemTime,
) -> Result<HttpRequest, String> {
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let url = format!("{}/", service.endpoint.trim_end_matches('/'));
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&service.region)
        .name(service.name)
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let body = SignableBody::Bytes(form.as_bytes());
    let signable = SignableRequest::new("POST", url.as_str(), std::iter::once(FORM), body);
    let signable = signable.map_err(|error| error.to_string())?;
    let output = sign(signable, &params.into()).map_err(|error| error.to_string())?;
    let mut request = HttpRequest::new(SdkBody::from(form));
    request.set_method("POST").map_err(|error| error.to_string())?;
    request.set_uri(url.as_str()).map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(FORM.0, FORM.1);
    headers.insert("content-length", form.len().to_string());
    for (name, value) in output.output().headers() {
        headers.insert(name.to_owned(), value.to_owned());
    }
    Ok(request)
}

fn refusal(operation: &str, answer: &Answer) -> ServiceError {
    let text = String::from_utf8_lossy(&answer.body);
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
            body: body.into(),
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

    #[test]
    fn the_form_is_signed() {
        let service = Service {
            name: "iam",
            endpoint: "https://iam.amazonaws.com".to_owned(),
            region: "us-east-1".to_owned(),
            version: "2010-05-08",
        };
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let form = "Action=ListAccountAliases&Version=2010-05-08";
        let request = signed(&service, form, credentials, at).unwrap();
        let authorization = request.headers().get("authorization").unwrap();
        assert!(
            authorization.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-1/iam/aws4_request, SignedHeaders="
            ),
            "{authorization}"
        );
        assert_eq!(request.uri(), "https://iam.amazonaws.com/");
    }
}
