//! `doctor`: the road to one server, station by station.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::output::{Color, ExitCode, out, say};
use crate::client::Target;
use crate::doctor::{examine, json, terminal};
use crate::model::{Rng, WallClock};
use crate::profile::{find, ids};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Address of the server, such as `http://localhost:8080/mcp`.
    target: String,
    /// The client that walks; `list clients` names them.
    #[arg(long, value_name = "NAME", default_value = "reference")]
    client: String,
    /// The longest that anything is waited for, in seconds.
    #[arg(long, default_value_t = 30)]
    patience: u64,
    /// A header that every request to the target carries, such as `X-Api-Key: …`; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The diagnosis as JSON.
    #[arg(long)]
    json: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it like 'X-Api-Key: secret'")?;
    let (name, value) = (name.trim(), value.trim());
    let token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    if name.is_empty() || !name.chars().all(token) {
        return Err(format!("`{name}` is no name of a header"));
    }
    if value.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err("the value has control characters in it".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn doctor(args: DoctorArgs, color: Color) -> ExitCode {
    let usage = |text: String| {
        say(&format!("error: {text}"));
        ExitCode::Usage
    };
    let mut target = match Target::parse(&args.target, Duration::from_secs(args.patience.max(1))) {
        Ok(target) => target,
        Err(error) => return usage(error.to_string()),
    };
    target.headers = args.headers;
    let profile = match find(&args.client) {
        Ok(Some(profile)) => profile,
        Ok(None) => {
            let known: Vec<&str> = ids().collect();
            return usage(format!("no client is called `{}`; there are: {}", args.client, known.join(", ")));
        }
        Err(error) => return usage(error.to_string()),
    };
    let diagnosis = match examine(target, profile, Arc::new(WallClock::new()), Rng::from_system()).await {
        Ok(diagnosis) => diagnosis,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Internal;
        }
    };
    out(&if args.json { json(&diagnosis) } else { terminal(&diagnosis, color.on_stdout()) });
    if !diagnosis.reachable {
        ExitCode::Unreachable
    } else if diagnosis.broken().is_some() {
        ExitCode::Failures
    } else {
        ExitCode::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        assert_eq!(header("X-Key:  a:b "), Ok(("X-Key".to_owned(), "a:b".to_owned())));
        for wrong in ["nothing", ": x", "a b: c", "a: b\r\nc: d"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }
}
