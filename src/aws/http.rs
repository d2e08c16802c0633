//! One HTTP client for all services, with the roots and proxies that the data channel uses too.

use std::sync::{Arc, OnceLock};

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};

use super::error::{ErrorKind, ServiceError};
use crate::net::Roots;
use crate::net::dialer::Tls;

/// A client whose connector is made once, with the first request. Reading certificates costs more than all
/// else that a command does, so an endpoint without TLS does not pay for it.
///
/// # Errors
/// When a bundle of certificates was named that cannot be used: said now, not as a failed connection.
pub(super) fn client(tls: Tls, roots: &Arc<Roots>) -> Result<SharedHttpClient, ServiceError> {
    let roots = Arc::clone(roots);
    if tls == Tls::Yes {
        let checked = roots.check_chosen();
        checked.map_err(|error| ServiceError::local(ErrorKind::Unreachable, error.to_string()))?;
    }
    let connector: OnceLock<SharedHttpConnector> = OnceLock::new();
    Ok(http_client_fn(move |settings, components| {
        let make = || {
            let mut builder = Connector::builder().connector_settings(settings.clone());
            builder.set_sleep_impl(components.sleep_impl());
            builder.set_proxy_config(Some(ProxyConfig::from_env()));
            match tls {
                Tls::No => SharedHttpConnector::new(builder.build_http()),
                Tls::Yes => {
                    let rustls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
                    let builder = builder.tls_provider(rustls);
                    SharedHttpConnector::new(match context(&roots) {
                        Some(context) => builder.tls_context(context).build(),
                        None => builder.build(),
                    })
                }
            }
        };
        connector.get_or_init(make).clone()
    }))
}

/// The chosen bundle alone, or the system's; without one the client looks for native roots itself.
fn context(roots: &Roots) -> Option<TlsContext> {
    let pem = roots.chosen_bundle().ok()??;
    let store = TrustStore::empty().with_pem_certificate(pem);
    TlsContext::builder().with_trust_store(store).build().ok()
}
