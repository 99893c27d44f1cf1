//! Our own reader of HTTP responses beside the one of `reqwest`: whatever is well formed is read alike, however it is cut.

use std::time::Duration;

use mcp_rehearsal::wire::{Connection, Place, Trust};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(5);

/// How the end of a body is told.
#[derive(Debug, Clone)]
enum Told {
    Length,
    Chunks(Vec<usize>, bool),
    Closing,
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    told: Told,
    /// Bytes of each write.
    step: usize,
}

impl Answer {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Whatever it is\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("x-{name}: {value}\r\n").bytes());
        }
        match &self.told {
            Told::Length => {
                bytes.extend(format!("content-length: {}\r\n\r\n", self.body.len()).bytes());
                bytes.extend(&self.body);
            }
            Told::Closing => {
                bytes.extend(b"Connection: close\r\n\r\n");
                bytes.extend(&self.body);
            }
            Told::Chunks(sizes, trailer) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &self.body[..];
                for size in sizes.iter().cycle() {
                    let (chunk, after) = rest.split_at((*size).min(rest.len()));
                    if chunk.is_empty() {
                        break;
                    }
                    bytes.extend(format!("{:X};a=b\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                    rest = after;
                }
                bytes.extend(if *trailer { &b"0\r\nx-last: 1\r\n\r\n"[..] } else { &b"0\r\n\r\n"[..] });
            }
        }
        bytes
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    let told = prop_oneof![
        Just(Told::Length),
        Just(Told::Closing),
        (prop::collection::vec(1_usize..40, 1..4), any::<bool>()).prop_map(|(sizes, last)| Told::Chunks(sizes, last)),
    ];
    let status = prop_oneof![Just(200_u16), Just(202), Just(301), Just(401), Just(404), Just(503)];
    let header = ("[a-z]{1,8}", "[!-~]([ -~]{0,12}[!-~])?");
    let body = prop::collection::vec(any::<u8>(), 0..200);
    (status, prop::collection::vec(header, 0..4), body, told, 1_usize..90)
        .prop_map(|(status, headers, body, told, step)| Answer { status, headers, body, told, step })
}

type Seen = (u16, Vec<(String, String)>, Vec<u8>);

/// Gives the answer to two clients, one after the other.
async fn serve(listener: TcpListener, answer: Answer) {
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an open socket");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).await.expect("a request");
            assert!(count > 0, "the request ends early");
            asked.extend(&piece[..count]);
        }
        for piece in answer.bytes().chunks(answer.step) {
            stream.write_all(piece).await.expect("the client reads");
            tokio::task::yield_now().await;
        }
    }
}

fn own(headers: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut kept: Vec<_> = headers.filter(|(name, _)| name.starts_with("x-")).collect();
    kept.sort();
    kept
}

async fn ours(port: u16) -> Seen {
    let place = Place { host: "127.0.0.1".to_owned(), port, tls: false, through: None, inlet: None };
    let mut connection = Connection::open(&place, &Trust::default(), 1, LIMIT).await.expect("it is open");
    let mut request = mcp_rehearsal::wire::Request::to("/".to_owned(), "GET");
    request.headers.push(("host".into(), "a".into()));
    connection.send(&request).await.expect("it takes the request");
    let head = connection.head("GET").await.expect("a head");
    let mut body = Vec::new();
    while let Some(piece) = connection.piece().await.expect("a body") {
        body.extend_from_slice(&piece);
    }
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_ascii_lowercase(), value.to_string()));
    (head.status, own(headers), body)
}

async fn theirs(port: u16) -> Seen {
    // The client wants one even where it never speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.build().expect("a client");
    let response = client.get(format!("http://127.0.0.1:{port}/")).send().await.expect("an answer");
    let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("printable").to_owned();
    let headers = own(response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))));
    (response.status().as_u16(), headers, response.bytes().await.expect("a body").to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn prop_responses_are_read_as_others_read_them(answer in answer()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let seen = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let both = async { (ours(port).await, theirs(port).await) };
            let (both, ()) = tokio::join!(both, serve(listener, answer.clone()));
            both
        });
        prop_assert_eq!(&seen.0, &seen.1);
        prop_assert_eq!(seen.0.2, answer.body);
    }
}
