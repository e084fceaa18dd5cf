//! Certificates of X.509's first version. OpenSSL makes them unless extensions are configured, and accepts them; webpki does
//! not read them.
//!
//! They do not say what they may be used for, so one is accepted if a trusted authority has signed it directly.

use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime},
};

use super::der::{BIT_STRING, Elements, INTEGER, SEQUENCE, seconds};

type Result<T> = std::result::Result<T, rustls::Error>;

pub struct Certificate<'a> {
    /// What is signed, how, and the signature.
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    issuer: &'a [u8],
    pub subject: &'a [u8],
    validity: [u64; 2],
    /// The whole of the subject's key, and its parts.
    key: &'a [u8],
    key_algorithm: &'a [u8],
    key_bits: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// `None` for one of another version, or none at all.
    pub fn of(der: &'a CertificateDer<'_>) -> Option<Self> {
        let mut outer = Elements(Elements(der).content(SEQUENCE)?);
        let signed = outer.whole(SEQUENCE)?;
        let algorithm = outer.content(SEQUENCE)?;
        let signature = bits(outer.content(BIT_STRING)?)?;
        // Later versions begin with their number, which has a tag of its own.
        let mut fields = Elements(Elements(signed).content(SEQUENCE)?);
        fields.content(INTEGER)?;
        if fields.content(SEQUENCE)? != algorithm {
            return None;
        }
        let issuer = fields.content(SEQUENCE)?;
        let mut dates = Elements(fields.content(SEQUENCE)?);
        let validity = [seconds(dates.next()?)?, seconds(dates.next()?)?];
        let subject = fields.content(SEQUENCE)?;
        let key = fields.whole(SEQUENCE)?;
        let (key_algorithm, key_bits) = parts(Elements(key).content(SEQUENCE)?)?;
        Some(Self {
            signed,
            algorithm,
            signature,
            issuer,
            subject,
            validity,
            key,
            key_algorithm,
            key_bits,
        })
    }

    /// Whether one of these authorities has signed it, for now.
    pub fn verify(
        &self,
        roots: &RootCertStore,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<()> {
        let [from, until] = self.validity;
        if now.as_secs() < from {
            return Err(CertificateError::NotValidYet.into());
        }
        if now.as_secs() > until {
            return Err(CertificateError::Expired.into());
        }
        let issuers = roots
            .roots
            .iter()
            .filter(|root| root.subject.as_ref() == self.issuer);
        let mut keys = issuers.filter_map(|root| parts(root.subject_public_key_info.as_ref()));
        let has_signed = keys.any(|(key_algorithm, key)| {
            algorithms.all.iter().any(|algorithm| {
                algorithm.signature_alg_id().as_ref() == self.algorithm
                    && algorithm.public_key_alg_id().as_ref() == key_algorithm
                    && algorithm
                        .verify_signature(key, self.signed, self.signature)
                        .is_ok()
            })
        });
        if has_signed {
            Ok(())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    /// Whether its owner has signed a message of TLS 1.2.
    pub fn has_signed_for_12(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid> {
        let schemes = algorithms.mapping.iter();
        let possible = schemes
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| *algorithms);
        let mut possible =
            possible.filter(|algorithm| algorithm.public_key_alg_id().as_ref() == self.key_algorithm);
        if possible.any(|algorithm| {
            algorithm
                .verify_signature(self.key_bits, message, signed.signature())
                .is_ok()
        }) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    /// The same for TLS 1.3.
    pub fn has_signed_for_13(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid> {
        let key = SubjectPublicKeyInfoDer::from(self.key);
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }
}

/// The algorithm and the bits of a key: the contents of its sequence.
fn parts(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = Elements(key);
    Some((parts.content(SEQUENCE)?, bits(parts.content(BIT_STRING)?)?))
}

/// A bit string's bytes: none of their bits is unused.
fn bits(content: &[u8]) -> Option<&[u8]> {
    content.strip_prefix(&[0])
}
