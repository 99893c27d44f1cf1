//! `bench-tokens`: refreshes against a running authorization server, as fast as it answers. Hidden; for
//! `scripts/bench-tokens`.
//!
//! Speaks HTTP by hand, so that what is measured is the server and not a client library.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::output::{ExitCode, out, say};
use crate::model::{Clock as _, WallClock};

const REDIRECT: &str = "http://127.0.0.1:7777/callback";
/// 43 characters, as RFC 7636 wants them, and what SHA-256 makes of them.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `bench-tokens`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Address of the authorization server, such as `127.0.0.1:8080`.
    address: String,
    /// How many refreshes in all.
    #[arg(long, default_value_t = 100_000)]
    refreshes: u64,
    /// How many clients at once, each with a connection and a grant of its own.
    #[arg(long, default_value_t = 8)]
    clients: u64,
}

/// One kept connection.
struct Wire {
    stream: TcpStream,
    host: String,
}

impl Wire {
    async fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, host: address.to_owned() })
    }

    /// Sends a request and gives head and body of the answer.
    async fn ask(&mut self, line: &str, content_type: &str, body: &str) -> Result<(String, String), String> {
        let request = format!(
            "{line} HTTP/1.1\r\nhost: {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        let answer = async {
            self.stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::with_capacity(2048);
            loop {
                if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
                    if bytes.len() >= end + 4 + length {
                        let original = String::from_utf8_lossy(&bytes[..end]).into_owned();
                        return Ok((original, String::from_utf8_lossy(&bytes[end + 4..]).into_owned()));
                    }
                }
                if self.stream.read_buf(&mut bytes).await? == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
                }
            }
        };
        let answered = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| "no answer".to_owned())?;
        answered.map_err(|error| error.to_string())
    }

    /// A form to the token endpoint; gives the member of the answer.
    async fn token(&mut self, form: &str) -> Result<String, String> {
        let (_, body) = self.ask("POST /token", "application/x-www-form-urlencoded", form).await?;
        let answer: Value = serde_json::from_str(&body).map_err(|_| body.clone())?;
        answer["refresh_token"].as_str().map(str::to_owned).ok_or(body)
    }
}

/// One client: registers, logs in, and refreshes so many times.
async fn client(address: String, refreshes: u64) -> Result<(), String> {
    let mut wire = Wire::open(&address).await?;
    let registration = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"]});
    let (_, body) = wire.ask("POST /register", "application/json", &registration.to_string()).await?;
    let registered: Value = serde_json::from_str(&body).map_err(|_| body.clone())?;
    let id = registered["client_id"].as_str().ok_or(body)?.to_owned();
    let line = format!(
        "GET /authorize?response_type=code&client_id={id}&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let (head, _) = wire.ask(&line, "text/plain", "").await?;
    let code = head.split("code=").nth(1).and_then(|rest| rest.split(['&', '\r', '\n']).next());
    let code = code.ok_or_else(|| format!("no code in {head}"))?;
    let form = format!("grant_type=authorization_code&code={code}&client_id={id}&code_verifier={VERIFIER}");
    let mut refresh = wire.token(&form).await?;
    for _ in 0..refreshes {
        refresh = wire.token(&format!("grant_type=refresh_token&refresh_token={refresh}&client_id={id}")).await?;
    }
    Ok(())
}

pub(super) async fn bench(args: BenchArgs) -> ExitCode {
    let each = args.refreshes / args.clients.max(1);
    let clock = WallClock::new();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..args.clients.max(1) {
        clients.spawn(client(args.address.clone(), each));
    }
    while let Some(done) = clients.join_next().await {
        if let Err(error) = done.map_err(|error| error.to_string()).and_then(|result| result) {
            say(&format!("error: {error}"));
            return ExitCode::Failures;
        }
    }
    let (done, took) = (each * args.clients.max(1), clock.elapsed());
    let rate = u128::from(done) * 1_000 / took.as_millis().max(1);
    out(&format!("{done} refreshes in {} ms: {rate} a second", took.as_millis()));
    ExitCode::Ok
}
