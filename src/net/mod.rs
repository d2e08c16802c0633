//! What all connections share: the process's one store of TLS roots, the proxy, and the way to dial.

pub mod certificate;
pub mod dialer;
pub mod loopback;
pub mod proxy;
pub mod roots;

pub use dialer::{DialError, Dialer, Stream};
pub use proxy::Proxies;
pub use roots::Roots;
