//! `serve`: the reference server in the foreground.

use std::net::SocketAddr;

use clap::Args;

use super::output::{ExitCode, out, say};
use crate::model::{HybridClock, Rng};
use crate::server::{ServerConfig, start};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Path of the endpoint.
    #[arg(long, default_value = "/mcp")]
    path: String,
    /// A fault to have; may be repeated. `list faults` names them.
    #[arg(long)]
    fault: Vec<String>,
    /// Serve the control endpoint (clock, state, drop). Loopback only.
    #[arg(long)]
    control: bool,
}

pub(super) async fn serve(args: ServeArgs) -> ExitCode {
    let config = ServerConfig {
        listen: args.listen,
        path: args.path,
        control: args.control,
        faults: args.fault.clone(),
        ..ServerConfig::default()
    };
    let server = match start(config, HybridClock::new(), Rng::from_system()).await {
        Ok(server) => server,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Usage;
        }
    };
    out(&format!("serving {}", server.url()));
    if args.control {
        out(&format!("control http://{}/control", server.addr()));
    }
    for fault in &args.fault {
        out(&format!("fault   {fault}"));
    }
    // Without a signal handler the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    server.shutdown().await;
    ExitCode::Ok
}
