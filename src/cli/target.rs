//! TARGET on the command line: an address, or a name of `rehearsal.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::config::{self, TargetConfig, WayIn};
use crate::client::{Entry, SafeCall, Target, TargetError, TimeControl};
use crate::model::{HybridClock, Rng, Via};
use crate::server::{AuthConfig, RunningServer, ServerConfig, TokenFormat, start};
use crate::transcript::HeaderText;
use crate::wire::{Command, Trust};

/// Arguments that say more of a target.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// The file with targets by name [default: rehearsal.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A header that every request to the target carries, such as `X-Api-Key: …`; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderText, HeaderText)>,
    /// The transport: streamable-http, sse, stdio or websocket. Without it, what the address says and the client does.
    #[arg(long, value_name = "NAME")]
    transport: Option<Via>,
    /// Certificates in PEM form that are believed besides those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A target with what is started for it and how it is to be handled.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) target: Target,
    /// Names or patterns of tools that may be called.
    pub(super) allowed: Vec<String>,
    /// Cases at once.
    pub(super) jobs: Option<usize>,
    /// The authorization server that this program is for the target; it ends with this value.
    pub(super) issuer: Option<RunningServer>,
}

fn header(text: &str) -> Result<(HeaderText, HeaderText), String> {
    let (name, value) = text.split_once(':').ok_or("write it like 'X-Api-Key: secret'")?;
    let (name, value) = (name.trim(), value.trim());
    let token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if name.is_empty() || !name.chars().all(token) {
        return Err(format!("`{name}` is no name of a header"));
    }
    if value.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err("the value has control characters in it".to_owned());
    }
    Ok((name.into(), value.into()))
}

impl TargetArgs {
    /// The file that was named.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The transport that was chosen.
    pub(super) fn transport(&self) -> Option<Via> {
        self.transport
    }

    /// The file with certificates that was named.
    pub(super) fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// A server that is to be started by this command.
    pub(super) fn meet_command(&self, words: &[String], patience: Duration) -> Result<Met, String> {
        let Some((program, arguments)) = words.split_first() else { return Err("the command is empty".to_owned()) };
        let command = Command { program: program.clone(), arguments: arguments.to_vec(), environment: Vec::new() };
        let target = self.chosen(Target::of_command(command, patience))?;
        Ok(Met { target, allowed: Vec::new(), jobs: None, issuer: None })
    }

    /// The target as the options want it.
    fn chosen(&self, mut target: Target) -> Result<Target, String> {
        if let Some(file) = &self.ca {
            target.trust = Trust::with_file(file).map_err(|error| error.to_string())?;
        }
        match self.transport {
            Some(via) => target.over(via).map_err(|error| error.to_string()),
            None => Ok(target),
        }
    }

    /// Reads TARGET, and starts what it needs.
    pub(super) async fn meet(&self, text: &str, patience: Duration) -> Result<Met, String> {
        let named = !text.contains("://") && (self.config.is_some() || PathBuf::from(config::USUAL).is_file());
        let mut met = if named {
            let found = config::find(text, self.config.as_deref())?;
            named_target(text, &found, patience).await?
        } else {
            let target = Target::parse(text, patience).map_err(|error| match error {
                TargetError::NotAUrl(..) if !text.contains("://") => {
                    format!("{error}; a name needs a file {} that says what it is", config::USUAL)
                }
                other => other.to_string(),
            })?;
            Met { target, allowed: Vec::new(), jobs: None, issuer: None }
        };
        met.target.headers.extend(self.headers.iter().cloned());
        met.target = self.chosen(met.target)?;
        Ok(met)
    }
}

async fn named_target(name: &str, found: &TargetConfig, patience: Duration) -> Result<Met, String> {
    let at = |field: &str| format!("targets.{name}.{field}");
    let nodes: Result<Vec<String>, String> = found.nodes.iter().map(|node| node.filled(&at("nodes"))).collect();
    let nodes = nodes?;
    let mut target = match (&found.url, found.command(name)?) {
        (None, None) if !nodes.is_empty() => {
            Target::parse(&nodes[0], patience).map_err(|error| format!("{}: {error}", at("nodes")))?
        }
        (Some(url), None) => {
            let url = url.filled(&at("url"))?;
            Target::parse(&url, patience).map_err(|error| format!("{}: {error}", at("url")))?
        }
        (None, Some(command)) => Target::of_command(command, patience),
        _ => return Err(format!("targets.{name}: write either `url` or `command`")),
    };
    if !nodes.is_empty() {
        if target.command.is_some() {
            return Err(format!("{}: a command has no nodes; they have URLs", at("nodes")));
        }
        let named = found.url.is_some();
        target = target.with_nodes(&nodes, named).map_err(|error| format!("{}: {error}", at("nodes")))?;
    }
    target.restarts = found.restarts(name, &target)?;
    target.restarts_store = found.restarts_store(name, &target)?;
    target.durable = found.durable_sessions;
    if let Some(via) = found.transport {
        target = target.over(via).map_err(|error| format!("{}: {error}", at("transport")))?;
    }
    if let Some(file) = &found.ca {
        target.trust = Trust::with_file(file).map_err(|error| format!("{}: {error}", at("ca")))?;
    }
    let url = target.url.clone();
    for (header_name, value) in &found.headers {
        let value = value.filled(&at("headers"))?;
        target
            .headers
            .push(header(&format!("{header_name}:{value}")).map_err(|error| format!("{}: {error}", at("headers")))?);
    }
    if let Some(call) = &found.call {
        let arguments = call.arguments.clone().into();
        target.safe_call = SafeCall::Tool { name: call.tool.clone(), arguments };
    }
    if let Some(control) = &found.control {
        target.time = TimeControl::Endpoint(control.trim_end_matches('/').to_owned());
    }
    let WayIn { entry, client, scope, issuer } = found.way_in(name)?;
    let issuer = match issuer {
        Some(listen) => Some(be_issuer(listen, &url).await.map_err(|error| format!("{}: {error}", at("login")))?),
        None => None,
    };
    // Forged tokens are to be had from the same hand as right ones.
    target.minter = issuer.as_ref().and_then(RunningServer::minter);
    // Clients that share a grant would use its refresh token twice.
    let jobs = if matches!(entry, Entry::Grant(_)) { Some(1) } else { found.jobs };
    (target.entry, target.client, target.scope) = (entry, client, scope);
    Ok(Met { target, allowed: found.allow_tools.clone(), jobs, issuer })
}

/// Starts the authorization server that the target trusts. Its tokens are JWTs, which the target can check by itself.
async fn be_issuer(listen: std::net::SocketAddr, resource: &str) -> Result<RunningServer, String> {
    let config = ServerConfig {
        listen,
        auth: Some(AuthConfig { tokens: TokenFormat::Jwt, ..AuthConfig::default() }),
        issuer_for: Some(vec![resource.to_owned()]),
        ..ServerConfig::default()
    };
    start(config, HybridClock::new(), Rng::from_system()).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        assert_eq!(header("X-Key:  a:b "), Ok(("X-Key".into(), "a:b".into())));
        for wrong in ["nothing", ": x", "a b: c", "a: b\r\nc: d"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }
}
