//! TLS: which certificates to trust, and which to present.
//!
//! A certificate that Node.js accepts with the same `ca` is accepted here. rustls alone is stricter: it does not accept an
//! authority's certificate as a server's own (a self-signed one in `ca` is both), common names, or the first version of X.509.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{der, first_version};
use crate::{Error, Result, config};

/// TLS with the configured options.
pub struct Tls {
    options: config::Tls,
    trusted: Vec<CertificateDer<'static>>,
    /// Made when it is first needed: the system's authorities are read from files.
    config: OnceLock<std::result::Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    /// Checks what can be checked without a connection.
    pub fn new(options: &config::Tls) -> Result<Self> {
        let tls = Self {
            options: options.clone(),
            trusted: certificates("options.tls.ca", &options.ca)?,
            config: OnceLock::new(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in &tls.trusted {
            roots
                .add(certificate.clone())
                .map_err(|error| Error::invalid("options.tls.ca", error.to_string()))?;
        }
        tls.identified(builder(roots)?)?;
        if let Some(name) = &tls.options.server_name {
            let _ = ServerName::try_from(name.as_str())
                .map_err(|_| Error::invalid("options.tls.servername", "must be the name of a host"))?;
        }
        Ok(tls)
    }

    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config.get_or_init(|| self.build()).clone();
        let config = config.map_err(io::Error::other)?;
        let name = self.options.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    }

    fn build(&self) -> std::result::Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        if self.options.well_known {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if self.options.system {
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                let why = found.errors.first().map(ToString::to_string);
                let why = why.unwrap_or_else(|| "there are none".to_owned());
                return Err(format!(
                    "the system's certificate authorities cannot be read: {why}"
                ));
            }
        }
        // Parsed before, when it was made.
        roots.add_parsable_certificates(self.trusted.iter().cloned());
        let verifier = Verifier {
            algorithms: provider().signature_verification_algorithms,
            roots,
            trusted: self.trusted.clone(),
            trusts_all: self.options.insecure,
        };
        let mut config = builder(RootCertStore::empty())
            .and_then(|builder| self.identified(builder))
            .map_err(|error| error.to_string())?;
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        Ok(Arc::new(config))
    }

    /// With the client's own certificate, if there is one.
    fn identified(&self, builder: Builder) -> Result<ClientConfig> {
        let (Some(cert), Some(key)) = (&self.options.cert, &self.options.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates("options.tls.cert", std::slice::from_ref(cert))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| Error::invalid("options.tls.key", "must be a private key in PEM format"))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| Error::invalid("options.tls.key", format!("cannot be used: {error}")))
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(roots: RootCertStore) -> Result<Builder> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::internal(error.to_string()))?;
    Ok(builder.with_root_certificates(roots))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(ring::default_provider()))
        .clone()
}

fn certificates(field: &str, texts: &[String]) -> Result<Vec<CertificateDer<'static>>> {
    let mut certificates = Vec::new();
    for text in texts {
        let before = certificates.len();
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            certificates.push(certificate.map_err(|_| refused(field))?);
        }
        if certificates.len() == before {
            return Err(refused(field));
        }
    }
    Ok(certificates)
}

fn refused(field: &str) -> Error {
    Error::invalid(field, "must be certificates in PEM format")
}

struct Verifier {
    roots: RootCertStore,
    /// The certificates of `ca`.
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    trusts_all: bool,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if self.trusts_all {
            return Ok(ServerCertVerified::assertion());
        }
        if let Some(plain) = first_version::Certificate::of(end_entity) {
            plain.verify(&self.roots, now, &self.algorithms)?;
            if is_common_name(plain.subject, server_name) {
                return Ok(ServerCertVerified::assertion());
            }
            return Err(CertificateError::NotValidForName.into());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let chain = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        match chain {
            // Its dates were checked before.
            Err(error) if is_authority(&error) && self.trusted.contains(end_entity) => {}
            done => done?,
        }
        match verify_server_name(&certificate, server_name) {
            Err(_) if has_no_names(end_entity, server_name) => {}
            done => done?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        if self.trusts_all {
            return Ok(HandshakeSignatureValid::assertion());
        }
        match first_version::Certificate::of(cert) {
            Some(plain) => plain.has_signed_for_12(message, dss, &self.algorithms),
            None => verify_tls12_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        if self.trusts_all {
            return Ok(HandshakeSignatureValid::assertion());
        }
        match first_version::Certificate::of(cert) {
            Some(plain) => plain.has_signed_for_13(message, dss, &self.algorithms),
            None => verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The error of a handshake, and what to do about it.
pub(super) fn advised(error: io::Error) -> io::Error {
    use rustls::Error::{InvalidCertificate, InvalidMessage};
    let advice = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "options.tls.ca takes the authority that has signed it"
        }
        Some(InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "options.tls.servername takes the name that it has",
        Some(error) if is_authority(error) => "it is self-signed: options.tls.ca takes it",
        Some(InvalidMessage(_)) => PLAIN,
        None if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        ) =>
        {
            PLAIN
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}; {advice}"))
}

const PLAIN: &str = "if the server speaks no TLS, the URL begins with redis://";

/// Whether the only problem with a server's certificate is that it may sign others.
fn is_authority(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => matches!(
            other.0.downcast_ref::<webpki::Error>(),
            Some(webpki::Error::CaUsedAsEndEntity)
        ),
        _ => false,
    }
}

/// Whether a certificate that has no names of hosts is for this one by its subject's common name.
fn has_no_names(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|certificate| {
        certificate.valid_dns_names().next().is_none() && is_common_name(certificate.subject(), name)
    })
}

fn is_common_name(subject: &[u8], name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(name) = name else {
        return false;
    };
    der::common_names(subject).any(|common| der::is_host(common, name.as_ref()))
}
