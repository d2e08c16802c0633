//! The certificates that are trusted: read once in a process, and only when the first TLS connection needs
//! them, since reading them costs more than most commands.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Where distributions keep all roots in one file; one file is read ten times as fast as the directory.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Which certificates to trust.
#[derive(Debug, Default)]
pub struct Roots {
    /// A bundle that the person named, instead of all others.
    chosen: Option<PathBuf>,
    /// `SSL_CERT_FILE`.
    environment: Option<PathBuf>,
    config: OnceLock<Result<Arc<ClientConfig>, RootsError>>,
}

/// No certificates to trust.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RootsError {
    /// The named file cannot be read.
    #[error("the CA bundle `{}` cannot be read: {cause}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The named file holds no certificate.
    #[error("the CA bundle `{}` holds no certificate; expected PEM blocks (BEGIN CERTIFICATE)", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The system has none.
    #[error("no trusted certificates were found on this system; name a bundle with `--ca-bundle FILE`")]
    None,
}

impl Roots {
    /// Trust `chosen` alone where it is given, else `environment`, else the system's.
    pub fn new(chosen: Option<PathBuf>, environment: Option<PathBuf>) -> Self {
        Self {
            chosen,
            environment,
            config: OnceLock::new(),
        }
    }

    /// The TLS configuration, made on first use.
    ///
    /// # Errors
    /// When the bundle cannot be used; the same error each time.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, RootsError> {
        self.config
            .get_or_init(|| {
                let store = self.load()?;
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let builder = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(|_| RootsError::None)?;
                Ok(Arc::new(
                    builder.with_root_certificates(store).with_no_client_auth(),
                ))
            })
            .clone()
    }

    /// The certificates themselves, as PEM, for a client that makes its own configuration.
    ///
    /// # Errors
    /// As [`Roots::client_config`].
    pub fn chosen_bundle(&self) -> Result<Option<Vec<u8>>, RootsError> {
        let Some(path) = self.chosen.as_ref().or(self.environment.as_ref()) else {
            let system = BUNDLES.iter().find_map(|path| std::fs::read(path).ok());
            return Ok(system);
        };
        parse(path)?;
        std::fs::read(path)
            .map(Some)
            .map_err(|cause| unreadable(path, &cause))
    }

    /// Whether the bundle that the person named, if any, can be used.
    ///
    /// # Errors
    /// As [`Roots::client_config`].
    pub fn check_chosen(&self) -> Result<(), RootsError> {
        match self.chosen.as_ref().or(self.environment.as_ref()) {
            Some(path) => parse(path).map(drop),
            None => Ok(()),
        }
    }

    fn load(&self) -> Result<RootCertStore, RootsError> {
        let mut store = RootCertStore::empty();
        if let Some(path) = self.chosen.as_ref().or(self.environment.as_ref()) {
            let (added, _) = store.add_parsable_certificates(parse(path)?);
            return if added > 0 {
                Ok(store)
            } else {
                Err(RootsError::Empty { path: path.clone() })
            };
        }
        let bundle = BUNDLES.iter().find_map(|path| parse(Path::new(path)).ok());
        let certificates = match bundle {
            Some(certificates) => certificates,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let (added, _) = store.add_parsable_certificates(certificates);
        if added > 0 {
            Ok(store)
        } else {
            Err(RootsError::None)
        }
    }
}

fn parse(path: &Path) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let pem = std::fs::read(path).map_err(|cause| unreadable(path, &cause))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .collect();
    if certificates.is_empty() {
        Err(RootsError::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(certificates)
    }
}

fn unreadable(path: &Path, cause: &std::io::Error) -> RootsError {
    RootsError::Unreadable {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_bundle_is_named() {
        let missing = Roots::new(Some("/nonexistent/ca.pem".into()), None);
        let error = missing.client_config().unwrap_err().to_string();
        assert!(
            error.starts_with("the CA bundle `/nonexistent/ca.pem` cannot be read"),
            "{error}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = Roots::new(Some(file.path().to_owned()), None);
        assert!(matches!(empty.client_config(), Err(RootsError::Empty { .. })));
    }
}
