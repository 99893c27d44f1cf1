//! Transports with servers that behave badly: the status and the words are those that the rules name, and nothing is
//! left running.
#![cfg(unix)]

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::client::{Drive, Target, drive};
use mcp_rehearsal::model::{Rng, WallClock};
use mcp_rehearsal::transcript::{End, Event, EventKind, View};
use mcp_rehearsal::{profile, scenario};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const PLAIN: &str = "version: 1
id: connect.plain
title: In and out
why: The least that a client does.
steps:
  - connect
  - negotiate: { settle: false, expect: { outcome: result } }
  - invoke: { method: ping, expect: { outcome: result } }
  - shutdown
";

/// A server in the language of the shell: what it does first, with each line, and in the end.
fn server(first: &str, each: &str, last: &str) -> String {
    format!(
        r#"{first}
while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"protocolVersion":"2025-06-18","capabilities":{{}},"serverInfo":{{"name":"sh","version":"1"}}}}}}\n' "$id" ;;
    *'"ping"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{}}}}\n' "$id" ;;
  esac
  {each}
done
{last}"#
    )
}

/// Rehearses a server that the shell plays.
fn rehearse(script: &str) -> Output {
    program(script).output().expect("the program can be started")
}

fn program(script: &str) -> Command {
    let file = std::env::temp_dir().join(format!("mcp-rehearsal-plain-{}.yaml", std::process::id()));
    std::fs::write(&file, PLAIN).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"));
    command.args(["run", "-q", "-c", "reference", "-r", "2025-06-18", "--patience", "3", "-s"]).arg(file);
    command.args(["--", "sh", "-c", script]);
    command
}

/// What was printed, and the exit code.
fn told(output: &Output) -> (String, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.code())
}

/// Waits until no process has this word in its command.
fn gone(word: &str) {
    let runs = || {
        let processes = std::fs::read_dir("/proc").expect("readable").flatten();
        let of = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let mine = std::process::id().to_string();
        processes
            .filter(|process| process.file_name().to_string_lossy() != mine)
            .map(of)
            .any(|command| String::from_utf8_lossy(&command).contains(word))
    };
    for _ in 0..600 {
        if !runs() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("a process with {word} is still running");
}

#[test]
fn a_good_server_passes() {
    let (text, code) = told(&rehearse(&server("", "", "")));
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn junk_on_standard_output_is_told() {
    let (text, code) = told(&rehearse(&server("echo Server is starting", "", "")));
    assert!(code == Some(10) && text.contains("transport.stdio.stdout-clean"), "{text}");
    assert!(text.contains("Server is starting"), "{text}");
    let (text, code) = told(&rehearse("echo Usage: server PORT; echo no port >&2; exit 2"));
    assert!(code == Some(12) && text.contains("begins with something that is no message"), "{text}");
    let (text, code) = told(&rehearse("echo no port >&2; exit 2"));
    assert!(code == Some(12) && text.contains("no port"), "{text}");
}

#[test]
fn a_server_that_closes_its_output_is_told_and_ended() {
    let (text, code) = told(&rehearse(&server("", "exec 1>&-", "sleep 7100001")));
    let told = text.contains("the server closed the connection without a whole answer");
    assert!(matches!(code, Some(10 | 12)) && told, "{text}");
    gone("7100001");
}

#[test]
fn a_server_that_ignores_everything_is_killed_with_all_it_started() {
    let stubborn = server("trap '' TERM; sleep 7200002 &", "", "while :; do sleep 7200003; done");
    let (text, code) = told(&rehearse(&stubborn));
    assert!(code == Some(0) && text.contains("transport.stdio.inflight-on-eof"), "{text}");
    assert!(text.contains("transport.stdio.eof-exit-legacy") && text.contains("had to be killed"), "{text}");
    gone("720000");
}

#[test]
fn children_that_outlive_their_server_are_killed() {
    let (text, code) = told(&rehearse(&server("sleep 7300003 >/dev/null 2>&1 &", "", "")));
    assert!(code == Some(0) && text.contains("left processes running"), "{text}");
    gone("7300003");
}

#[test]
fn an_interruption_leaves_nothing_running() {
    for signal in ["-INT", "-TERM"] {
        let mut command = program("trap '' TERM; echo here >&2; sleep 7400004");
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let marker = || {
            let processes = std::fs::read_dir("/proc").expect("readable").flatten();
            processes.filter(|process| {
                let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&command).starts_with("sleep\u{0}7400004")
            })
        };
        while marker().count() == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let kill = Command::new("kill").args([signal, &running.id().to_string()]).status().expect("kill");
        assert!(kill.success());
        running.wait().expect("ended");
        gone("sleep\u{0}7400004");
    }
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .args(["run", "-q", "-c", "reference", "--", "no-such-program-at-all"])
        .output()
        .expect("the program can be started");
    let (text, code) = told(&output);
    assert!(code == Some(12) && text.contains("`no-such-program-at-all` cannot be started"), "{text}");
}

/// Plays the plain scenario against an address.
async fn played(url: &str) -> Vec<Event> {
    let reference = profile::find("reference").expect("profiles load").expect("it is shipped");
    let target = Target::parse(url, Duration::from_secs(20)).expect("an address");
    drive(Drive {
        scenario: Arc::new(scenario::parse("plain", PLAIN).expect("valid")),
        profile: Arc::new(reference),
        target: Arc::new(target),
        clock: Arc::new(WallClock::new()),
        rng: Rng::seeded(1),
    })
    .await
}

/// Reads a request up to its blank line.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("text")
}

/// The next frame of the client, unmasked: opcode and payload.
async fn frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let (first, second) = (stream.read_u8().await.ok()?, stream.read_u8().await.ok()?);
    assert!(second & 0x80 != 0, "the client does not mask");
    let length = match second & 0x7f {
        126 => usize::from(stream.read_u16().await.ok()?),
        length => usize::from(length),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await.ok()?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
    Some((first & 0x0f, payload))
}

/// A server that answers the first message with these bytes; gives its address and the code that the client closes with.
async fn socket_server(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<Option<u16>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("ws://{}/mcp", listener.local_addr().expect("address"));
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let head = head(&mut stream).await;
        let of = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
        assert_eq!(of("Sec-WebSocket-Protocol:"), "mcp");
        let accept = derive_accept_key(of("Sec-WebSocket-Key:").as_bytes());
        let reply = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-protocol: mcp\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        stream.write_all(reply.as_bytes()).await.expect("written");
        frame(&mut stream).await.expect("a message");
        stream.write_all(&answer).await.expect("written");
        while let Some((opcode, payload)) = frame(&mut stream).await {
            if opcode == 8 {
                return Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        None
    });
    (url, task)
}

fn text_frame(first: u8, text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short");
    let mut frame = vec![first, 126];
    frame.extend(length.to_be_bytes());
    frame.extend(text);
    frame
}

#[tokio::test]
async fn frames_that_break_a_rule_are_closed_with_its_code() {
    let mut masked = vec![0x81, 0x82, 0, 0, 0, 0];
    masked.extend(b"{}");
    let mut huge = vec![0x81, 127];
    huge.extend(100_000_000_u64.to_be_bytes());
    let table = [
        (vec![0x82, 2, b'{', b'}'], 1003, "binary"),
        (vec![0x81, 2, 0xff, 0xfe], 1007, "UTF-8"),
        (masked, 1002, "framing"),
        (vec![0xf1, 2, b'{', b'}'], 1002, "framing"),
        (vec![0x80, 2, b'{', b'}'], 1002, "framing"),
        (huge, 1009, "too large"),
    ];
    for (bytes, code, words) in table {
        let (url, closed) = socket_server(bytes).await;
        let events = played(&url).await;
        assert_eq!(closed.await.expect("served"), Some(code), "{words}");
        let view = View::new(&events);
        let amiss = view.exchanges[0].amiss().unwrap_or_default();
        assert!(amiss.contains(words), "{words}: {amiss}");
    }
}

#[tokio::test]
async fn a_message_may_come_in_pieces() {
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"f","version":"1"}}}"#;
    let (start, end) = result.as_bytes().split_at(40);
    let mut bytes = text_frame(0x01, start);
    // A ping may come between the pieces.
    bytes.extend([0x89, 0]);
    bytes.extend(text_frame(0x80, end));
    let (url, closed) = socket_server(bytes).await;
    let events = played(&url).await;
    closed.abort();
    assert_eq!(View::new(&events).conversations.len(), 1);
}

#[tokio::test]
async fn an_event_stream_that_points_elsewhere_is_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/sse", listener.local_addr().expect("address"));
    let server = tokio::spawn(async move {
        let mut posts = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            if head(&mut stream).await.starts_with("POST") {
                posts += 1;
                stream.write_all(b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n").await.expect("written");
                continue;
            }
            let stolen = "event: endpoint\ndata: http://127.0.0.1:1/messages\n\n";
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{stolen}");
            stream.write_all(reply.as_bytes()).await.expect("written");
            break;
        }
        posts
    });
    let reference = profile::find("reference").expect("profiles load").expect("it is shipped");
    let target = Target { falls_back: true, ..Target::parse(&url, Duration::from_secs(5)).expect("an address") };
    let events = drive(Drive {
        scenario: Arc::new(scenario::parse("plain", PLAIN).expect("valid")),
        profile: Arc::new(reference),
        target: Arc::new(target),
        clock: Arc::new(WallClock::new()),
        rng: Rng::seeded(1),
    })
    .await;
    assert_eq!(server.await.expect("served"), 1);
    let noted = |event: &Event| matches!(&event.kind, EventKind::Note { text } if text.contains("not of this server"));
    assert!(events.iter().any(noted), "{events:#?}");
    let ends = events.iter().filter(|event| matches!(event.kind, EventKind::End { end: End::Complete, .. })).count();
    assert!(ends >= 1);
}
