//! Who is calling: `ssmx/VERSION COMMAND` before the SDK's own user agent.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

#[derive(Debug, Clone)]
pub(super) struct UserAgent {
    words: String,
}

impl UserAgent {
    pub(super) fn new(command: &str) -> Self {
        Self {
            words: format!(concat!("ssmx/", env!("CARGO_PKG_VERSION"), " {}"), command),
        }
    }

    /// The header of requests that are not the SDK's.
    pub(super) fn words(&self) -> &str {
        self.words.trim()
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for UserAgent {
    fn name(&self) -> &'static str {
        "ssmx user agent"
    }

    /// After signing: the header is not part of the signature.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        let sdk = headers.get("user-agent").unwrap_or_default().to_owned();
        headers.insert("user-agent", format!("{} {sdk}", self.words).trim().to_owned());
        Ok(())
    }
}
