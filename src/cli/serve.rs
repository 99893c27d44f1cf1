//! `serve`: the reference server in the foreground, on its transports, or its authorization server alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::output::{ExitCode, out, say};
use super::pipes::{standard_input, standard_output};
use crate::model::{HybridClock, Rng, Via};
use crate::server::{
    AuthConfig, Consent, Eras, KnownClient, RefreshPolicy, ServerConfig, StateKey, StoreConfig, Tls, TokenFormat,
    serve_io, start,
};

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ServeArgs {
    #[command(subcommand)]
    only: Option<Only>,
    #[command(flatten)]
    common: Common,
    /// Path of the endpoint.
    #[arg(long, default_value = "/mcp")]
    path: String,
    /// Path of the stream of the older transport (HTTP+SSE).
    #[arg(long, default_value = "/sse")]
    sse_path: String,
    /// What to offer; may be repeated. `all` is everything that has an address; `stdio` serves one client on standard
    /// input and output.
    #[arg(short, long = "transport", value_enum, default_value = "all")]
    transports: Vec<Offered>,
    /// Which eras of the protocol to speak: revisions that begin with `initialize`, those in which every request says for
    /// itself what it speaks (2026-07-28 on), or both at once.
    #[arg(long, value_enum, default_value = "both")]
    era: EraArg,
    /// Where sessions are kept: `memory`, or an address such as `redis://127.0.0.1:6379/0`, which several nodes may share;
    /// `redis-cluster://` with some addresses between commas for a cluster.
    #[arg(long, default_value = "memory", env = "MCP_REHEARSAL_STORE", hide_env_values = true, value_parser = store)]
    store: StoreConfig,
    /// A replica of that Redis to read sessions from, where the store itself is far away: what one node changes is known
    /// at the others once the replica has it.
    #[arg(long, value_name = "URL", env = "MCP_REHEARSAL_STORE_READ", hide_env_values = true)]
    store_read: Option<String>,
    /// A file with a secret of at least 32 bytes that seals `requestState` (2026-07-28): servers that share it and nothing
    /// else can each answer any round of a request.
    #[arg(long, value_name = "FILE", conflicts_with = "store_read")]
    state_key: Option<PathBuf>,
    /// The region of this server: the ids of sessions that begin here name it.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// The store of another region, as NAME=URL, for sessions that began there; may be repeated.
    #[arg(long = "region-store", value_name = "NAME=URL", requires = "region", value_parser = region_store)]
    region_stores: Vec<(String, String)>,
    /// What this server is called among those that share its store.
    #[arg(long, default_value = "node")]
    node_name: String,
    /// How many nodes answer in turn at this one address, as behind a balancer that knows nothing of sessions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// How long a session may lie unused: `30m`, `90s`.
    #[arg(long, default_value = "30m", value_parser = duration)]
    session_idle: Duration,
    /// Whether the endpoint asks for access tokens of its own authorization server.
    #[arg(long, value_enum, default_value = "none")]
    auth: Auth,
    #[command(flatten)]
    issuer: IssuerArgs,
}

#[derive(Debug, Subcommand)]
enum Only {
    /// The authorization server alone: it issues tokens for servers that run elsewhere.
    Issuer {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        issuer: IssuerArgs,
        /// A resource that tokens may be for, such as `http://localhost:8000/mcp`; may be repeated. Without it, any.
        #[arg(long)]
        resource: Vec<String>,
    },
}

#[derive(Debug, Clone, Args)]
struct Common {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// What clients call this server, where that is not its own address, such as `https://mcp.example.com`.
    #[arg(long)]
    public_url: Option<String>,
    /// A fault to have; may be repeated. `list faults` names them.
    #[arg(long)]
    fault: Vec<String>,
    /// Serve the control endpoint (clock, state, drop, keys, tokens). Loopback only.
    #[arg(long)]
    control: bool,
    /// TLS with a certificate that is made on the spot. Its authority is told in PEM, for clients to trust.
    #[arg(long)]
    tls: bool,
    /// Write the authority of `--tls` to this file instead.
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca_out: Option<PathBuf>,
    /// TLS with this certificate: a PEM file with its chain.
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "tls")]
    tls_cert: Option<PathBuf>,
    /// The private key of `--tls-cert`: a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
struct IssuerArgs {
    /// Path of the issuer identifier, such as `/tenant1`.
    #[arg(long, default_value = "")]
    issuer_path: String,
    /// Lifetime of access tokens: `3600`, `90s`, `5m`, `1h`.
    #[arg(long, default_value = "1h", value_parser = duration)]
    access_ttl: Duration,
    /// How long refresh tokens may lie unused.
    #[arg(long, default_value = "30d", value_parser = duration)]
    refresh_ttl: Duration,
    /// What access tokens look like.
    #[arg(long, value_enum, default_value = "opaque")]
    tokens: Tokens,
    /// Who gets a refresh token: clients that registered the grant type, only those that ask for `offline_access`, or
    /// nobody.
    #[arg(long, value_enum, default_value = "registered")]
    refresh: Refresh,
    /// Who consents: nobody is asked, or a page asks the person at the browser.
    #[arg(long, value_enum, default_value = "automatic")]
    consent: ConsentArg,
    /// No dynamic registration.
    #[arg(long)]
    no_registration: bool,
    /// No client ID metadata documents.
    #[arg(long)]
    no_client_documents: bool,
    /// Client ID metadata documents may be fetched by http from this machine.
    #[arg(long)]
    documents_on_loopback: bool,
    /// A client known from the start, as `ID[:SECRET]=REDIRECT_URI[,…]`; may be repeated.
    #[arg(long = "client", value_parser = known_client)]
    clients: Vec<KnownClient>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Offered {
    /// The three below that have an address.
    All,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE (2024-11-05).
    Sse,
    /// WebSocket.
    Websocket,
    /// Standard input and output.
    Stdio,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EraArg {
    /// Request by request.
    Both,
    /// 2024-11-05 to 2025-11-25.
    Legacy,
    /// 2026-07-28.
    Modern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Auth {
    /// Everybody may call.
    None,
    /// OAuth 2.1.
    Oauth,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tokens {
    /// Bytes that mean nothing to others.
    Opaque,
    /// Signed claims (RFC 9068).
    Jwt,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Refresh {
    /// Clients that registered the grant type `refresh_token`.
    Registered,
    /// Only with the scope `offline_access`.
    OfflineAccess,
    /// Nobody.
    Never,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ConsentArg {
    /// Nobody is asked.
    Automatic,
    /// A page asks.
    Page,
}

/// Seconds, or a number with `s`, `m`, `h` or `d`.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(['s', 'm', 'h', 'd']).len());
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("write it like 90s, 5m, 1h or 30d".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "write it like 90s, 5m, 1h or 30d".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

pub(super) fn store(text: &str) -> Result<StoreConfig, String> {
    match text {
        "memory" => Ok(StoreConfig::Memory),
        _ if text.contains("://") => Ok(StoreConfig::Redis(text.to_owned())),
        _ => Err("write `memory`, or an address like redis://127.0.0.1:6379/0".to_owned()),
    }
}

/// Reads the secret that servers share to seal `requestState`.
fn state_key(path: &PathBuf) -> Result<StateKey, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("--state-key {}: {error}", path.display()))?;
    if bytes.len() < 32 {
        let (path, length) = (path.display(), bytes.len());
        return Err(format!("--state-key {path}: {length} bytes can be guessed; put at least 32 random ones there"));
    }
    Ok(StateKey(bytes.into()))
}

fn region_store(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("write it like us=redis://127.0.0.1:6379/0")?;
    Ok((name.to_owned(), url.to_owned()))
}

fn known_client(text: &str) -> Result<KnownClient, String> {
    let (who, uris) = text.split_once('=').ok_or("write it like my-app:secret=http://127.0.0.1/callback")?;
    let (id, secret) = who.split_once(':').map_or((who, None), |(id, secret)| (id, Some(secret.to_owned())));
    Ok(KnownClient { id: id.to_owned(), secret, redirect_uris: uris.split(',').map(str::to_owned).collect() })
}

impl IssuerArgs {
    fn config(&self) -> AuthConfig {
        AuthConfig {
            issuer_path: self.issuer_path.trim_end_matches('/').to_owned(),
            access_ttl: self.access_ttl,
            refresh_ttl: self.refresh_ttl,
            tokens: match self.tokens {
                Tokens::Opaque => TokenFormat::Opaque,
                Tokens::Jwt => TokenFormat::Jwt,
            },
            refresh: match self.refresh {
                Refresh::Registered => RefreshPolicy::Registered,
                Refresh::OfflineAccess => RefreshPolicy::OfflineAccess,
                Refresh::Never => RefreshPolicy::Never,
            },
            consent: match self.consent {
                ConsentArg::Automatic => Consent::Automatic,
                ConsentArg::Page => Consent::Page,
            },
            registration: !self.no_registration,
            client_documents: !self.no_client_documents,
            documents_on_loopback: self.documents_on_loopback,
            clients: self.clients.clone(),
            ..AuthConfig::default()
        }
    }
}

/// The transports that were named.
fn transports(named: &[Offered]) -> Vec<Via> {
    let each = named.iter().flat_map(|offered| match offered {
        Offered::All => vec![Via::StreamableHttp, Via::LegacySse, Via::WebSocket],
        Offered::StreamableHttp => vec![Via::StreamableHttp],
        Offered::Sse => vec![Via::LegacySse],
        Offered::Websocket => vec![Via::WebSocket],
        Offered::Stdio => vec![Via::Stdio],
    });
    each.collect()
}

/// The certificate that was asked for; the error is a sentence.
fn tls(common: &Common) -> Result<Option<Tls>, String> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}; it has to be a PEM file", path.display()))
    };
    match (&common.tls_cert, &common.tls_key) {
        (Some(chain), Some(key)) => Ok(Some(Tls::Pem { chain: read(chain)?, key: read(key)? })),
        _ => Ok(common.tls.then_some(Tls::SelfMade)),
    }
}

/// Tells the authority that clients have to trust, or writes it where it is wanted.
fn tell_authority(pem: &str, file: Option<&PathBuf>) -> Result<(), String> {
    let Some(path) = file else {
        out(pem);
        return Ok(());
    };
    std::fs::write(path, pem).map_err(|error| format!("{}: {error}; choose another file", path.display()))?;
    out(&format!("ca      {}", path.display()));
    Ok(())
}

/// Serves one client on standard input and output. Nothing but messages is written there.
async fn serve_pipe(config: ServerConfig) -> ExitCode {
    let (output, written) = standard_output();
    match serve_io(config, standard_input(), output, HybridClock::new(), Rng::from_system()).await {
        Ok(()) => {
            written.all().await;
            ExitCode::Ok
        }
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::Usage
        }
    }
}

pub(super) async fn serve(args: ServeArgs) -> ExitCode {
    let (common, auth, issuer_for) = match args.only {
        Some(Only::Issuer { common, issuer, resource }) => (common, Some(issuer.config()), Some(resource)),
        None => (args.common, (args.auth == Auth::Oauth).then(|| args.issuer.config()), None),
    };
    let alone = issuer_for.is_some();
    let refused = |why: &str| {
        say(&format!("error: {why}"));
        ExitCode::Usage
    };
    let tls = match tls(&common) {
        Ok(tls) => tls,
        Err(error) => return refused(&error),
    };
    let state_key = match args.state_key.as_ref().map(state_key).transpose() {
        Ok(key) => key,
        Err(error) => return refused(&error),
    };
    let transports = transports(&args.transports);
    let piped = !alone && transports.contains(&Via::Stdio);
    if piped && (transports.iter().any(|via| *via != Via::Stdio) || auth.is_some() || tls.is_some() || common.control) {
        return refused(
            "`--transport stdio` serves one client on standard input and output, so other transports, --auth, --tls \
             and --control cannot be had with it; start a second server for them",
        );
    }
    let config = ServerConfig {
        listen: common.listen,
        path: args.path,
        sse_path: args.sse_path,
        transports,
        eras: match args.era {
            EraArg::Both => Eras::Both,
            EraArg::Legacy => Eras::Legacy,
            EraArg::Modern => Eras::Modern,
        },
        tls,
        control: common.control,
        faults: common.fault.clone(),
        auth,
        issuer_for,
        public_url: common.public_url,
        idle_session: args.session_idle,
        store: args.store,
        store_read: args.store_read,
        state_key,
        region: args.region,
        other_regions: args.region_stores,
        node: args.node_name,
        nodes: usize::from(args.nodes),
        ..ServerConfig::default()
    };
    if piped {
        return serve_pipe(config).await;
    }
    let server = match start(config, HybridClock::new(), Rng::from_system()).await {
        Ok(server) => server,
        Err(error) => return refused(&error.to_string()),
    };
    if !alone {
        let told = [("serving", Via::StreamableHttp), ("sse    ", Via::LegacySse), ("socket ", Via::WebSocket)];
        for (what, url) in told.into_iter().filter_map(|(what, via)| Some((what, server.url_of(via)?))) {
            out(&format!("{what} {url}"));
        }
    }
    if let Some(pem) = server.authority()
        && let Err(error) = tell_authority(pem, common.tls_ca_out.as_ref())
    {
        return refused(&error);
    }
    if let Some(issuer) = server.issuer() {
        out(&format!("issuer  {issuer}"));
    }
    if let Some(url) = server.control_url() {
        out(&format!("control {url}"));
    }
    for fault in &common.fault {
        out(&format!("fault   {fault}"));
    }
    // Without a signal handler the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    server.shutdown().await;
    ExitCode::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_and_clients_are_read() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h"), duration("3600"));
        assert!(duration("soon").is_err() && duration("h").is_err() && duration("5mh").is_err());
        let client = known_client("app:s3cret=http://127.0.0.1/cb,app:/cb").expect("read");
        assert_eq!((client.id.as_str(), client.redirect_uris.len()), ("app", 2));
        assert_eq!(known_client("app=app:/cb").expect("read").secret, None);
        assert!(known_client("app").is_err());
        assert_eq!(region_store("us=redis://h:1/0"), Ok(("us".to_owned(), "redis://h:1/0".to_owned())));
        assert!(region_store("us").is_err());
        assert_eq!(store("memory"), Ok(StoreConfig::Memory));
        assert!(store("redis://h:1").is_ok_and(|store| store != StoreConfig::Memory) && store("redis").is_err());
    }
}
