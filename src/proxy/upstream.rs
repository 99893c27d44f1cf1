//! The server behind: where it is, whether TLS is spoken with it, and a connection to it, or to a client.

use std::io;
use std::net::Ipv6Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::model::{Inlet, Pipe};

/// How long a server may take to accept a connection, TLS included.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

/// A server behind.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// `host:port`.
    address: String,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    /// The way to it where it is part of this process.
    inlet: Option<Inlet>,
    /// What the `Host` header of requests is replaced with.
    pub(super) host: Option<String>,
}

/// The text names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUpstream {
    /// Not an address.
    #[error("`{0}` is no server to send to; write it like http://localhost:8080, https://mcp.example.com or host:port")]
    Address(String),
    /// The URL has more than a server.
    #[error("`{0}` has a path; paths are the client's affair, so name the server alone")]
    Path(String),
}

impl Upstream {
    /// A server to which bytes go as they come.
    pub fn plain(address: impl Into<String>) -> Self {
        Self { address: address.into(), tls: None, inlet: None, host: None }
    }

    /// A server of this process.
    pub fn within(inlet: Inlet) -> Self {
        Self { inlet: Some(inlet), ..Self::plain(String::new()) }
    }

    /// Reads `host:port`, `http://host[:port]` or `https://host[:port]`; `tls` is by what the latter is trusted.
    pub fn parse(text: &str, tls: &Arc<ClientConfig>) -> Result<Self, BadUpstream> {
        let unknown = || BadUpstream::Address(text.to_owned());
        let (rest, secure, usual) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false, Some(80)),
            (_, Some(rest)) => (rest, true, Some(443)),
            _ if text.contains("://") => return Err(unknown()),
            _ => (text, false, None),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if path.len() > 1 {
            return Err(BadUpstream::Path(text.to_owned()));
        }
        let (host, port) = match authority.rsplit_once(':').filter(|_| !authority.ends_with(']')) {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| unknown())?)),
            None => (authority, None),
        };
        // Without brackets nobody can tell where such an address ends and its port begins.
        if host.contains(':') && !host.starts_with('[') {
            return Err(unknown());
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let named = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
        let bracketed = host.starts_with('[') || bare.contains(':');
        if !named || (bracketed && bare.parse::<Ipv6Addr>().is_err()) {
            return Err(unknown());
        }
        let port = port.or(usual).ok_or_else(unknown)?;
        let name = || ServerName::try_from(bare.to_owned()).map_err(|_| unknown());
        let tls = if secure { Some((name()?, Arc::clone(tls))) } else { None };
        Ok(Self { address: format!("{host}:{port}"), tls, inlet: None, host: None })
    }

    /// Requests get this `Host` header in place of the client's.
    #[must_use]
    pub fn with_host(self, host: Option<String>) -> Self {
        Self { host, ..self }
    }

    /// Connects.
    pub(super) async fn dial(&self) -> io::Result<Link> {
        if let Some(inlet) = &self.inlet {
            return inlet.connect().map(Link::Inner);
        }
        let connect = async {
            let tcp = TcpStream::connect(&self.address).await?;
            tcp.set_nodelay(true)?;
            Ok(match &self.tls {
                None => Link::Plain(tcp),
                Some((name, config)) => {
                    let connector = TlsConnector::from(Arc::clone(config));
                    Link::Tls(Box::new(connector.connect(name.clone(), tcp).await?))
                }
            })
        };
        tokio::time::timeout(CONNECTS_WITHIN, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A connection, to a server behind or to a client.
#[derive(Debug)]
pub(super) enum Link {
    Plain(TcpStream),
    /// Within this process.
    Inner(Pipe),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Link {
    /// Closing it will reset it.
    pub(super) fn close_by_reset(&self) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Inner(pipe) => return pipe.close_by_reset(),
            Self::Tls(tls) => tls.get_ref().0,
        };
        // An error means that it is closed already.
        let _ = tcp.set_zero_linger();
    }
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Inner(pipe) => Pin::new(pipe).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Inner(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Inner(pipe) => Pin::new(pipe).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Inner(pipe) => Pin::new(pipe).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_address_or_url() {
        // An error only says that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let nobody = ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
        let tls = Arc::new(nobody.with_no_client_auth());
        let read = |text: &str| Upstream::parse(text, &tls).map(|known| (known.address, known.tls.is_some()));
        for (text, address, secure) in [
            ("localhost:8080", "localhost:8080", false),
            ("http://localhost/", "localhost:80", false),
            ("https://mcp.example.com", "mcp.example.com:443", true),
            ("http://[::1]:8080", "[::1]:8080", false),
            ("[::1]:8080", "[::1]:8080", false),
            ("https://[::1]", "[::1]:443", true),
        ] {
            assert_eq!(read(text), Ok((address.to_owned(), secure)), "{text}");
        }
        for text in ["localhost", "", "http://", "ftp://h:1", "h:99999", "a b:1", "::1:80", "[x]:1"] {
            assert!(matches!(read(text), Err(BadUpstream::Address(_))), "{text}");
        }
        assert!(matches!(read("http://h:1/mcp"), Err(BadUpstream::Path(_))));
    }
}
