//! A byte stream to a server: TCP, with TLS on it or without, or a way within this process.
//!
//! Knows hosts, ports and certificates; nothing of what the bytes mean.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http::WireError;
use crate::model::{Inlet, Pipe};

/// A server by host and port, and whether TLS is spoken there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Host name or IP address; an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// `host:port` of what stands between, where connections go through it.
    pub through: Option<String>,
    /// The way there without a network, where the server is part of this process.
    pub inlet: Option<Inlet>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Which certificates are believed: those of the system, and some more.
#[derive(Clone, Default)]
pub struct Trust {
    more: Vec<CertificateDer<'static>>,
    // Made at the first use of TLS, since reading the store of the system takes a moment.
    config: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} more)", self.more.len())
    }
}

/// A file holds no certificates that can be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read, or is no PEM.
    #[error("{}: {reason}; give a file with certificates in PEM form, such as your own CA's", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Trust {
    /// The system's certificates, and those of this PEM file.
    pub fn with_file(path: &Path) -> Result<Self, TrustError> {
        let wrong = |reason: String| TrustError::File { path: path.to_owned(), reason };
        let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        let more: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        if more.is_empty() {
            return Err(wrong("holds no certificate".to_owned()));
        }
        for certificate in &more {
            RootCertStore::empty().add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(Self { more, ..Self::default() })
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let make = || {
            let mut roots = RootCertStore::empty();
            // A store of the system that cannot be read, or is in part no good, leaves the rest.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(self.more.iter().cloned());
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let mut config =
                versions.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(Arc::new(config))
        };
        self.config.get_or_init(make).clone()
    }
}

/// A connection, ready for bytes.
#[derive(Debug)]
pub enum Link {
    /// As they are.
    Plain(TcpStream),
    /// To a server of this process.
    Inner(Pipe),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Link {
    /// Connects within `limit`, TLS included.
    pub async fn open(place: &Place, trust: &Trust, limit: Duration) -> Result<Self, WireError> {
        if let Some(inlet) = place.inlet.as_ref().filter(|_| place.through.is_none() && !place.tls) {
            let refused = |source| WireError::Connect { address: place.to_string(), source };
            return inlet.connect().map(Self::Inner).map_err(refused);
        }
        let address = place.to_string();
        let refused = |source| WireError::Connect { address: address.clone(), source };
        let connecting = async {
            let stream = TcpStream::connect(place.through.as_ref().unwrap_or(&address)).await.map_err(refused)?;
            stream.set_nodelay(true)?;
            if !place.tls {
                return Ok(Self::Plain(stream));
            }
            let no_tls = |reason: String| WireError::Tls { address: address.clone(), reason };
            let config = trust.config().map_err(no_tls)?;
            let bare = place.host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(bare).map_err(|error| no_tls(error.to_string()))?;
            let stream = TlsConnector::from(config).connect(name, stream).await;
            let stream = stream.map_err(|error| no_tls(advice(&error)))?;
            Ok(Self::Tls(Box::new(stream)))
        };
        tokio::time::timeout(limit, connecting).await.map_err(|_| refused(io::ErrorKind::TimedOut.into()))?
    }

    /// Whether there is nothing to read right now, and the peer did not close.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        // A byte that is read here is lost; whoever asks gives up the link that is not quiet.
        Pin::new(self).poll_read(&mut context, &mut buffer).is_pending()
    }
}

/// What went wrong, and what may mend it.
fn advice(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            rustls::CertificateError::UnknownIssuer => {
                "its certificate was issued by nobody that is known here; if by a CA of your own, give its certificate \
                 with --ca FILE"
                    .to_owned()
            }
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. } => {
                format!("{reason}; use a name that stands in its certificate")
            }
            other => format!("its certificate is not good: {other}"),
        },
        Some(rustls::Error::InvalidMessage(_)) => "what answers there is no TLS; is it http?".to_owned(),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => "it closed the connection in the handshake".to_owned(),
        _ => error.to_string(),
    }
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Inner(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        // Many servers close without saying so in TLS; how a message ends, its own framing tells.
        match read {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Inner(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Inner(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Inner(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// A server with a certificate of its own making that sends back what it gets; its port and the PEM of its issuer.
    async fn echo() -> (u16, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut four = [0; 4];
                if stream.read_exact(&mut four).await.is_ok() {
                    stream.write_all(&four).await.expect("written");
                }
            }
        });
        (port, made.cert.pem())
    }

    #[tokio::test]
    async fn a_certificate_is_believed_only_where_its_issuer_is() {
        let (port, pem) = echo().await;
        let place = Place { host: "localhost".to_owned(), port, tls: true, through: None, inlet: None };
        let limit = Duration::from_secs(20);
        let refused = Link::open(&place, &Trust::default(), limit).await.expect_err("unknown issuer");
        assert!(refused.to_string().contains("--ca FILE"), "{refused}");
        let file = std::env::temp_dir().join(format!("mcp-rehearsal-ca-{port}.pem"));
        std::fs::write(&file, pem).expect("written");
        let trust = Trust::with_file(&file).expect("PEM");
        let mut link = Link::open(&place, &trust, limit).await.expect("believed");
        assert!(link.is_quiet());
        link.write_all(b"four").await.expect("sent");
        link.flush().await.expect("sent");
        let mut back = [0; 4];
        link.read_exact(&mut back).await.expect("came back");
        assert_eq!(&back, b"four");
        let elsewhere = Place { host: "127.0.0.1".to_owned(), ..place };
        let refused = Link::open(&elsewhere, &trust, limit).await.expect_err("another name");
        assert!(refused.to_string().contains("use a name that stands in its certificate"), "{refused}");
        std::fs::write(&file, "nothing").expect("written");
        let none = Trust::with_file(&file).expect_err("no PEM").to_string();
        assert!(none.contains("certificates in PEM form"), "{none}");
        std::fs::remove_file(&file).expect("removed");
    }

    #[tokio::test]
    async fn what_is_no_tls_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("address").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let place = Place { host: "127.0.0.1".to_owned(), port, tls: true, through: None, inlet: None };
        let refused = Link::open(&place, &Trust::default(), Duration::from_secs(20)).await.expect_err("no TLS");
        assert!(refused.to_string().contains("is it http?"), "{refused}");
    }
}
