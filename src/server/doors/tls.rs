//! TLS: the certificate of the server, the user's or one made on the spot. It must not know what is sent through it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig as RustlsConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::server::config::Tls;

/// What the server shows of itself, ready for connections.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    /// The certificate, in PEM, of the authority that was made on the spot, where one was.
    pub(crate) authority: Option<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There is a private key in it.
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes or reads it; `names` are those that a certificate made on the spot is for. The error is a sentence.
    pub(crate) fn new(tls: &Tls, names: &[String]) -> Result<Self, String> {
        let (chain, key, authority) = match tls {
            Tls::SelfMade => {
                let made = made(names).map_err(|error| error.to_string())?;
                (made.chain, made.key, Some(made.authority))
            }
            Tls::Pem { chain, key } => (chain.clone(), key.clone(), None),
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the chain is no PEM ({error})"))?;
        if chain.is_empty() {
            return Err("there is no certificate in the chain".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| format!("there is no private key in its file ({error})"))?;
        let config = RustlsConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let mut config = config.map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), authority })
    }
}

struct Made {
    chain: String,
    key: String,
    authority: String,
}

/// An authority and a certificate of the server that it signs: a client that is told of the authority trusts the server
/// as it would any other.
fn made(names: &[String]) -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "mcp-rehearsal, made on the spot");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut server = CertificateParams::new(names.to_vec())?;
    server.distinguished_name.push(DnType::CommonName, "mcp-rehearsal serve");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let server = server.signed_by(&key, &authority)?;
    Ok(Made { chain: server.pem(), key: key.serialize_pem(), authority: authority.pem() })
}

/// The names of a server that listens on an address and is perhaps called by a URL.
pub(crate) fn names(listen: IpAddr, public_url: Option<&str>) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let public = public_url.and_then(|url| url.parse::<url::Url>().ok());
    let public = public.and_then(|url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
    let listen = Some(listen).filter(|address| !address.is_unspecified()).map(|address| address.to_string());
    for name in listen.into_iter().chain(public) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_names_of_the_server() {
        let found = names(IpAddr::from([0, 0, 0, 0]), Some("https://mcp.example.com:8443/x"));
        assert_eq!(found, ["localhost", "127.0.0.1", "::1", "mcp.example.com"]);
        assert_eq!(names(IpAddr::from([10, 0, 0, 1]), None).last().map(String::as_str), Some("10.0.0.1"));
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told() {
        // The error says only that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = made(&names(IpAddr::from([127, 0, 0, 1]), None)).expect("made");
        let pem = |chain: &str, key: &str| {
            Identity::new(&Tls::Pem { chain: chain.to_owned(), key: key.to_owned() }, &[]).map(|_| ())
        };
        assert_eq!(pem(&own.chain, &own.key), Ok(()));
        assert!(pem("", &own.key).is_err_and(|why| why.contains("no certificate")));
        assert!(pem(&own.chain, "").is_err_and(|why| why.contains("no private key")));
        let other = made(&["localhost".to_owned()]).expect("made");
        assert!(pem(&own.chain, &other.key).is_err());
    }
}
