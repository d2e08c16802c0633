//! The sandbox's own certificate authority, made anew each time, and its server's certificate.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// A server for loopback and for AWS's hosts in `regions`; the CA's certificate goes to `ca_bundle`.
pub(super) fn acceptor<'a>(
    regions: impl Iterator<Item = &'a String>,
    ca_bundle: &Path,
) -> anyhow::Result<TlsAcceptor> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "ssmx sandbox CA");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut names: Vec<String> = [
        "localhost",
        "127.0.0.1",
        "::1",
        "sts.amazonaws.com",
        "ec2.amazonaws.com",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    for region in regions {
        names.push(format!("*.{region}.amazonaws.com"));
        names.push(format!("*.{region}.api.aws"));
    }
    let mut server = CertificateParams::new(names)?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.use_authority_key_identifier_extension = true;
    server.distinguished_name.push(DnType::CommonName, "ssmx sandbox");
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;

    std::fs::write(ca_bundle, authority.pem())
        .with_context(|| format!("cannot write `{}`", ca_bundle.display()))?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
