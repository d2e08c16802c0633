//! Credentials that AWS no longer takes, whatever our clock and the files say of them: they are not used again, so
//! that what is fetched next is new. Somebody may have written new keys into a file, or the clock is wrong.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};

use super::Kept;

/// The ids of access keys that have expired by AWS's word.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<BTreeSet<String>>);

impl Refused {
    pub(super) fn add(&self, access_key: &str) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(access_key.to_owned());
    }

    pub(super) fn holds(&self, access_key: &str) -> bool {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.contains(access_key)
    }
}

/// Hears AWS say that a call's credentials have expired.
#[derive(Debug, Clone)]
pub(in super::super) struct Watch(pub(in super::super) Kept);

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "ssmx expired credentials"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(access_key) = access_key(context.request()) {
            config
                .interceptor_state()
                .store_put(Signer(access_key.to_owned()));
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().is_some_and(says_expired)
            && let Some(Signer(access_key)) = config.load::<Signer>()
        {
            self.0.refuse(access_key);
        }
        Ok(())
    }
}

/// The access key that signed the request, which is no more to be seen when its answer comes.
#[derive(Debug)]
struct Signer(String);

impl Storable for Signer {
    type Storer = StoreReplace<Self>;
}

fn says_expired(response: &HttpResponse) -> bool {
    const WORD: &[u8] = b"ExpiredToken";
    let told = |body: &[u8]| body.windows(WORD.len()).any(|window| window == WORD);
    response.status().as_u16() >= 400 && response.body().bytes().is_some_and(told)
}

/// Who signed: `Credential=ID/…` in the signature's header.
fn access_key(request: &HttpRequest) -> Option<&str> {
    let signature = request.headers().get("authorization")?;
    let (_, credential) = signature.split_once("Credential=")?;
    credential.split_once('/').map(|(access_key, _)| access_key)
}
