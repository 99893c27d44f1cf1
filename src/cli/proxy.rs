//! `proxy`: a network that does what it is told, between any client and any server, in the foreground.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::output::{ExitCode, out, say};
use crate::model::{NetworkFault, Rng, WallClock};
use crate::proxy::{Proxy, Upstream};

/// Arguments of `proxy`.
#[derive(Debug, Args)]
pub(super) struct ProxyArgs {
    /// Where clients connect to.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// A server to send to: `http://host:port`, `https://host` or `host:port`. May be repeated; all goes to the first
    /// unless `--fault round-robin=request` or `=connection` has them take turns.
    #[arg(long, required = true)]
    upstream: Vec<String>,
    /// What the network does, such as `latency=200ms` or `cut=after:512b,direction:down`; may be repeated.
    /// `list network-faults` names what there is.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<NetworkFault>,
    /// The `Host` header that servers get in place of the client's, such as `mcp.example.com`.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// A file of certificates (PEM) to trust an `https` server by, besides those that this machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Seed of what is random, so that it repeats; jitter is all that is.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) async fn proxy(args: ProxyArgs) -> ExitCode {
    let upstreams = match upstreams(&args) {
        Ok(upstreams) => upstreams,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Usage;
        }
    };
    let rng = args.seed.map_or_else(Rng::from_system, Rng::seeded);
    let proxy = match Proxy::start(args.listen, upstreams, Arc::new(WallClock::new()), rng).await {
        Ok(proxy) => proxy,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Usage;
        }
    };
    let faults: Vec<String> = args.faults.iter().map(ToString::to_string).collect();
    proxy.set(args.faults).await;
    out(&format!("listening {}", proxy.addr()));
    for server in &args.upstream {
        out(&format!("upstream  {server}"));
    }
    for fault in faults {
        out(&format!("fault     {fault}"));
    }
    // Without a signal handler the proxy runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    let passed = proxy.counters();
    out(&format!(
        "passed    {} connections, {} requests, {} bytes up, {} bytes down, {} times no server",
        passed.connections, passed.requests, passed.up, passed.down, passed.unreachable
    ));
    ExitCode::Ok
}

fn upstreams(args: &ProxyArgs) -> Result<Vec<Upstream>, String> {
    let tls = trust(args.upstream.iter().any(|server| server.starts_with("https://")), args.ca.as_deref())?;
    let read = |text: &String| {
        let server = Upstream::parse(text, &tls).map_err(|error| error.to_string())?;
        Ok(server.with_host(args.host.clone()))
    };
    args.upstream.iter().map(read).collect()
}

/// By what servers are trusted; the machine's own certificates are read only where TLS is spoken at all.
pub(super) fn trust(any_tls: bool, ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    // An error only says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    if any_tls {
        // Some of them may be of a kind that nobody can read; those are no use to anybody.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(file) = ca {
        let told = |error: String| format!("`{}` cannot be read as certificates: {error}", file.display());
        let found = CertificateDer::pem_file_iter(file).map_err(|error| told(error.to_string()))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| told(error.to_string()))?;
            roots.add(certificate).map_err(|error| told(error.to_string()))?;
        }
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
