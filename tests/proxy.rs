//! The fault proxy with raw sockets on both sides: each fault as it is seen on the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::model::{Clock, HybridClock, Inlet, Intake, Pipe, Rng, WallClock};
use mcp_rehearsal::proxy::{Proxy, Upstream};
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("within the time")
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

async fn between(clock: Arc<dyn Clock>, addresses: &[String]) -> Proxy {
    let upstreams = addresses.iter().map(Upstream::plain).collect();
    Proxy::start(anywhere(), upstreams, clock, Rng::seeded(1)).await.expect("a free port")
}

/// A client's and a server's end of one connection through a proxy with these faults.
async fn ends(faults: &[&str]) -> (Proxy, TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let proxy = between(Arc::new(WallClock::new()), &[address]).await;
    put(&proxy, faults).await;
    let client = TcpStream::connect(proxy.addr()).await.expect("open");
    let (server, _) = soon(listener.accept()).await.expect("accepted");
    (proxy, client, server)
}

async fn put(proxy: &Proxy, faults: &[&str]) {
    proxy.set(faults.iter().map(|text| text.parse().expect("a fault")).collect()).await;
}

async fn exactly(stream: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    soon(stream.read_exact(&mut bytes)).await.expect("as many bytes");
    bytes
}

/// What comes until the end, and how it ends.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> (String, Option<std::io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = soon(stream.read_to_end(&mut bytes)).await;
    (String::from_utf8_lossy(&bytes).into_owned(), end.err().map(|error| error.kind()))
}

/// Whether nothing comes for a while. Only ever true by waiting, so it is short.
async fn is_silent(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    tokio::time::timeout(Duration::from_millis(60), stream.peek(&mut byte)).await.is_err()
}

/// Answers each request without a body on each connection with its name and the path, and keeps what it was asked.
fn serve(listener: TcpListener, name: &'static str) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (asked, heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let body = format!("{name} {path}");
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nX-Own: {name}\r\nX-Other: 1\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = asked.send(head);
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    heads
}

/// One request on a connection, and the answer to its last byte.
async fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> (String, String) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Mine: 1\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(soon(stream.read_line(&mut head)).await.expect("read") > 0, "the end after {head:?}");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |text| text.parse().expect("a number"));
    let mut body = vec![0; length];
    soon(stream.read_exact(&mut body)).await.expect("the body");
    (head, String::from_utf8(body).expect("text"))
}

#[tokio::test]
async fn latency_and_jitter_make_bytes_late_and_keep_their_order() {
    let (_proxy, mut client, mut server) = ends(&["latency=40ms,direction:up", "jitter=20ms"]).await;
    let clock = WallClock::new();
    client.write_all(b"one").await.expect("sent");
    assert_eq!(exactly(&mut server, 3).await, b"one");
    assert!(clock.elapsed() >= Duration::from_millis(40));
    for piece in ["a", "bc", "def", "g", "hi"] {
        server.write_all(piece.as_bytes()).await.expect("sent");
        tokio::task::yield_now().await;
    }
    assert_eq!(exactly(&mut client, 9).await, b"abcdefghi");
}

#[tokio::test]
async fn trickle_lets_no_more_pass_than_it_says() {
    let (_proxy, mut client, mut server) = ends(&["trickle=2000b/s"]).await;
    let clock = WallClock::new();
    server.write_all(&[b'x'; 400]).await.expect("sent");
    assert_eq!(exactly(&mut client, 400).await.len(), 400);
    // The first of the slices passes at once.
    assert!(clock.elapsed() >= Duration::from_millis(150), "{:?}", clock.elapsed());
}

#[tokio::test]
async fn a_cut_ends_in_good_order_after_its_bytes() {
    let (proxy, mut client, mut server) = ends(&["cut=after:5b"]).await;
    client.write_all(b"a question of more bytes").await.expect("sent");
    assert_eq!(exactly(&mut server, 24).await.len(), 24);
    server.write_all(b"hello world").await.expect("sent");
    assert_eq!(rest(&mut client).await, ("hello".to_owned(), None));
    assert_eq!(rest(&mut server).await.1, None);
    assert_eq!((proxy.counters().down, proxy.counters().up), (5, 24));
}

#[tokio::test]
async fn a_cut_at_once_is_done_when_it_is_set() {
    let (proxy, mut client, mut server) = ends(&[]).await;
    put(&proxy, &["cut"]).await;
    assert_eq!(proxy.counters().open, 0);
    proxy.clear().await;
    assert_eq!((rest(&mut client).await, rest(&mut server).await), ((String::new(), None), (String::new(), None)));
}

#[tokio::test]
async fn a_reset_is_one_on_both_sides() {
    let (_proxy, mut client, mut server) = ends(&["reset=when:answer"]).await;
    client.write_all(b"ask").await.expect("sent");
    assert_eq!(exactly(&mut server, 3).await, b"ask");
    server.write_all(b"lost").await.expect("sent");
    let reset = Some(std::io::ErrorKind::ConnectionReset);
    assert_eq!(rest(&mut client).await, (String::new(), reset));
    assert_eq!(rest(&mut server).await.1, reset);
}

/// Both ends of a new connection through a proxy within this process.
async fn pipes(way: &Inlet, intake: &mut Intake) -> (Pipe, Pipe) {
    (way.connect().expect("open"), soon(intake.accept()).await)
}

#[tokio::test]
async fn what_is_late_within_the_process_moves_the_clock() {
    let (inlet, mut intake) = Inlet::new();
    let clock = HybridClock::new();
    let (proxy, way) = Proxy::within(inlet, clock.clone(), Rng::seeded(1));
    put(&proxy, &["latency=3600s"]).await;
    let (mut client, mut server) = pipes(&way, &mut intake).await;
    client.write_all(b"ask").await.expect("sent");
    assert_eq!(exactly(&mut server, 3).await, b"ask");
    let hour = Duration::from_secs(3600);
    assert!((hour..hour + LONG).contains(&clock.elapsed()), "{:?}", clock.elapsed());
    put(&proxy, &["trickle=1kb/s"]).await;
    server.write_all("x".repeat(100_000).as_bytes()).await.expect("sent");
    assert_eq!(exactly(&mut client, 100_000).await.len(), 100_000);
    let took = clock.elapsed().saturating_sub(hour);
    assert!((Duration::from_secs(96)..Duration::from_secs(110)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn within_the_process_connections_end_as_on_a_network() {
    let (inlet, mut intake) = Inlet::new();
    let (proxy, way) = Proxy::within(inlet, HybridClock::new(), Rng::seeded(1));
    put(&proxy, &["reset=when:answer"]).await;
    let (mut client, mut server) = pipes(&way, &mut intake).await;
    client.write_all(b"ask").await.expect("sent");
    assert_eq!(exactly(&mut server, 3).await, b"ask");
    server.write_all(b"lost").await.expect("sent");
    let reset = Some(std::io::ErrorKind::ConnectionReset);
    assert_eq!((rest(&mut client).await, rest(&mut server).await.1), ((String::new(), reset), reset));
    put(&proxy, &["cut=after:5b"]).await;
    let (mut client, mut server) = pipes(&way, &mut intake).await;
    server.write_all(b"hello world").await.expect("sent");
    assert_eq!((rest(&mut client).await, rest(&mut server).await.1), (("hello".to_owned(), None), None));
    put(&proxy, &["half-close=direction:down,after:2"]).await;
    let (mut client, mut server) = pipes(&way, &mut intake).await;
    server.write_all(b"hello").await.expect("sent");
    assert_eq!(rest(&mut client).await, ("he".to_owned(), None));
    client.write_all(b"still here").await.expect("sent");
    assert_eq!(exactly(&mut server, 10).await, b"still here");
    put(&proxy, &["refuse"]).await;
    let mut refused = way.connect().expect("open");
    assert_eq!(rest(&mut refused).await, (String::new(), reset));
    assert_eq!((proxy.counters().connections, proxy.addr().port()), (4, 0));
}

#[tokio::test]
async fn one_side_may_not_learn_of_the_end() {
    let (proxy, mut client, mut server) = ends(&[]).await;
    // Only what passed shows that the proxy has both ends.
    client.write_all(b"x").await.expect("sent");
    exactly(&mut server, 1).await;
    put(&proxy, &["reset=side:client"]).await;
    assert_eq!(rest(&mut client).await.1, Some(std::io::ErrorKind::ConnectionReset));
    server.write_all(b"nobody hears this").await.expect("sent");
    assert!(is_silent(&mut server).await);
    let (_proxy, mut client, mut server) = ends(&["cut=side:server,after:1"]).await;
    server.write_all(b"xy").await.expect("sent");
    assert_eq!(exactly(&mut client, 1).await, b"x");
    rest(&mut server).await;
    client.write_all(b"nobody hears this").await.expect("sent");
    assert!(is_silent(&mut client).await);
}

#[tokio::test]
async fn a_half_close_ends_one_direction_alone() {
    let (_proxy, mut client, mut server) = ends(&["half-close=direction:down,after:2"]).await;
    server.write_all(b"hello").await.expect("sent");
    assert_eq!(rest(&mut client).await, ("he".to_owned(), None));
    client.write_all(b"still here").await.expect("sent");
    assert_eq!(exactly(&mut server, 10).await, b"still here");
    server.write_all(b"nobody hears this").await.expect("sent");
    assert!(is_silent(&mut server).await);
}

#[tokio::test]
async fn a_stall_says_nothing_and_goes_on_afterwards() {
    let (proxy, mut client, mut server) = ends(&["stall"]).await;
    client.write_all(b"up").await.expect("sent");
    server.write_all(b"down").await.expect("sent");
    assert!(is_silent(&mut server).await && is_silent(&mut client).await);
    // Nor does the server learn that the client leaves.
    client.shutdown().await.expect("shut");
    assert!(is_silent(&mut server).await);
    proxy.clear().await;
    assert_eq!(exactly(&mut client, 4).await, b"down");
    assert_eq!(rest(&mut server).await, ("up".to_owned(), None));
}

#[tokio::test]
async fn an_idle_connection_is_cut_by_the_clock_it_goes_by() {
    let (listener, address) = listener().await;
    let clock = HybridClock::new();
    let proxy = between(Arc::new(clock.clone()), &[address]).await;
    put(&proxy, &["idle-cut=60s"]).await;
    let mut client = TcpStream::connect(proxy.addr()).await.expect("open");
    let (mut server, _) = soon(listener.accept()).await.expect("accepted");
    clock.advance(Duration::from_secs(45));
    client.write_all(b"alive").await.expect("sent");
    assert_eq!(exactly(&mut server, 5).await, b"alive");
    clock.advance(Duration::from_secs(45));
    server.write_all(b"alive").await.expect("sent");
    assert_eq!(exactly(&mut client, 5).await, b"alive");
    clock.advance(Duration::from_secs(61));
    // Also where nobody had a chance to look at the clock meanwhile.
    proxy.clear().await;
    assert_eq!(rest(&mut client).await, (String::new(), None));
}

#[tokio::test]
async fn refused_connections_are_reset_and_others_are_not() {
    let (listener, address) = listener().await;
    let _asked = serve(listener, "a");
    let proxy = between(Arc::new(WallClock::new()), &[address]).await;
    put(&proxy, &["refuse=connection:2"]).await;
    let mut first = BufReader::new(TcpStream::connect(proxy.addr()).await.expect("open"));
    assert_eq!(ask(&mut first, "/1").await.1, "a /1");
    let mut second = TcpStream::connect(proxy.addr()).await.expect("open");
    assert_eq!(rest(&mut second).await.1, Some(std::io::ErrorKind::ConnectionReset));
    assert_eq!(ask(&mut first, "/2").await.1, "a /2");
    put(&proxy, &["cut=times:1"]).await;
    let mut third = BufReader::new(TcpStream::connect(proxy.addr()).await.expect("open"));
    assert_eq!(ask(&mut third, "/3").await.1, "a /3");
    assert_eq!(rest(first.get_mut()).await, (String::new(), None));
}

#[tokio::test]
async fn streams_are_held_back_in_blocks() {
    let (proxy, mut client, mut server) = ends(&["buffer-streams=10b"]).await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    exactly(&mut server, 18).await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    server.write_all(head).await.expect("sent");
    assert_eq!(exactly(&mut client, head.len()).await, head);
    server.write_all(b"data: 1").await.expect("sent");
    assert!(is_silent(&mut client).await);
    server.write_all(b"\n\n, and").await.expect("sent");
    assert_eq!(exactly(&mut client, 14).await, b"data: 1\n\n, and");
    server.write_all(b"more").await.expect("sent");
    assert!(is_silent(&mut client).await);
    proxy.clear().await;
    assert_eq!(exactly(&mut client, 4).await, b"more");
    put(&proxy, &["buffer-streams"]).await;
    server.write_all(b"the end").await.expect("sent");
    assert!(is_silent(&mut client).await);
    server.shutdown().await.expect("shut");
    assert_eq!(rest(&mut client).await, ("the end".to_owned(), None));
}

#[tokio::test]
async fn heads_are_changed_as_they_pass() {
    let (listener, address) = listener().await;
    let mut asked = serve(listener, "a");
    let proxy = between(Arc::new(WallClock::new()), &[address]).await;
    // The connection is there before the faults are.
    let mut client = BufReader::new(TcpStream::connect(proxy.addr()).await.expect("open"));
    assert!(ask(&mut client, "/").await.0.contains("X-Own: a\r\n"));
    asked.recv().await.expect("asked");
    put(
        &proxy,
        &[
            "strip-header=x-other",
            "rename-header=from:x-own,to:x-amzn-remapped-x-own",
            "status=502,of:200",
            "strip-header=x-mine,direction:up",
        ],
    )
    .await;
    let (head, body) = ask(&mut client, "/x").await;
    assert_eq!(head, "HTTP/1.1 502 Failed\r\nx-amzn-remapped-x-own: a\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(body, "a /x");
    assert_eq!(asked.recv().await.expect("asked"), "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    put(&proxy, &["redirect=308,origin:http://127.0.0.1:9"]).await;
    let (head, _) = ask(&mut client, "/mcp?a=b").await;
    assert!(head.starts_with("HTTP/1.1 308 ") && head.contains("location: http://127.0.0.1:9/mcp/?a=b\r\n"), "{head}");
    assert_eq!(ask(&mut client, "/mcp/?a=b").await.1, "a /mcp?a=b");
}

#[tokio::test]
async fn several_servers_take_turns_and_a_dead_one_is_passed_over() {
    let (one, first) = listener().await;
    let (other, second) = listener().await;
    let (_a, _b) = (serve(one, "a"), serve(other, "b"));
    let (dead, third) = listener().await;
    drop(dead);
    let proxy = between(Arc::new(WallClock::new()), &[first, second, third]).await;
    let mut client = BufReader::new(TcpStream::connect(proxy.addr()).await.expect("open"));
    let mut names = String::new();
    for _ in 0..2 {
        names.push_str(&ask(&mut client, "/").await.1);
    }
    put(&proxy, &["round-robin=request"]).await;
    for _ in 0..3 {
        names.push_str(&ask(&mut client, "/").await.1);
    }
    // The third is not there, so the next one after it answers.
    assert_eq!(names.replace(" /", ""), "aaaba");
    put(&proxy, &["round-robin=connection"]).await;
    let mut names = String::new();
    for _ in 0..2 {
        let mut client = BufReader::new(TcpStream::connect(proxy.addr()).await.expect("open"));
        names.push_str(&ask(&mut client, "/").await.1);
        names.push_str(&ask(&mut client, "/").await.1);
    }
    assert_eq!(names.replace(" /", ""), "aabb");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_shows_as_a_reset() {
    let (listener, address) = listener().await;
    drop(listener);
    let proxy = between(Arc::new(WallClock::new()), &[address]).await;
    let mut client = TcpStream::connect(proxy.addr()).await.expect("open");
    assert_eq!(rest(&mut client).await.1, Some(std::io::ErrorKind::ConnectionReset));
    assert_eq!(proxy.counters().unreachable, 1);
}

#[tokio::test]
async fn an_upgrade_turns_into_bytes_and_servers_may_speak_first() {
    let (_proxy, mut client, mut server) = ends(&[]).await;
    client.write_all(b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n").await.expect("sent");
    exactly(&mut server, 30).await;
    server.write_all(b"HTTP/1.1 101 Switching\r\n\r\n\x00\x01").await.expect("sent");
    assert_eq!(exactly(&mut client, 28).await[26..], [0, 1]);
    client.write_all(b"\xff\xfe").await.expect("sent");
    assert_eq!(exactly(&mut server, 2).await, b"\xff\xfe");
    let (_proxy, mut client, mut server) = ends(&[]).await;
    server.write_all(b"220 hello").await.expect("sent");
    assert_eq!(exactly(&mut client, 9).await, b"220 hello");
}

#[tokio::test]
async fn a_dropped_proxy_leaves_nothing_behind() {
    let (proxy, mut client, mut server) = ends(&["stall"]).await;
    let addr = proxy.addr();
    drop(proxy);
    rest(&mut client).await;
    rest(&mut server).await;
    soon(async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_program_is_a_proxy_alone() {
    let (listener, address) = listener().await;
    let _asked = serve(listener, "a");
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .args(["proxy", "--listen", "127.0.0.1:0", "--upstream", &address])
        .args(["--fault", "status=502", "--fault", "strip-header=x-other"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(program.stdout.take().expect("its output")).lines();
    let mut told = Vec::new();
    while told.len() < 4 {
        told.push(soon(lines.next_line()).await.expect("read").expect("a line"));
    }
    assert_eq!(told[2..], ["fault     status=502", "fault     strip-header=x-other"]);
    let listening = told[0].strip_prefix("listening ").expect("its address");
    let mut client = BufReader::new(TcpStream::connect(listening).await.expect("open"));
    let (head, body) = ask(&mut client, "/x").await;
    assert!(head.starts_with("HTTP/1.1 502 ") && !head.contains("X-Other"), "{head}");
    assert_eq!(body, "a /x");
}

/// Sends pieces one by one, with a moment between where `pauses` says so, and ends.
async fn send(mut stream: impl tokio::io::AsyncWrite + Unpin, bytes: Vec<u8>, cuts: Vec<usize>) {
    let mut at = 0;
    for cut in cuts.iter().cycle() {
        if at == bytes.len() {
            break;
        }
        let end = (at + cut).min(bytes.len());
        stream.write_all(&bytes[at..end]).await.expect("sent");
        tokio::task::yield_now().await;
        at = end;
    }
    stream.shutdown().await.expect("shut");
}

/// What arrives at the server and at the client of what they send each other, cut as it may be.
async fn carried(up: Vec<u8>, down: Vec<u8>, cuts: Vec<usize>) -> (Vec<u8>, Vec<u8>) {
    let (_proxy, mut client, mut server) = ends(&[]).await;
    let (mut from_client, to_server) = client.split();
    let (mut from_server, to_client) = server.split();
    let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
    let _ = soon(async {
        tokio::join!(
            send(to_server, up, cuts.clone()),
            send(to_client, down, cuts),
            from_server.read_to_end(&mut at_server),
            from_client.read_to_end(&mut at_client),
        )
    })
    .await;
    (at_server, at_client)
}

fn chunked(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        text.extend(format!("{:X}\r\n", chunk.len()).bytes());
        text.extend(chunk);
        text.extend(b"\r\n");
    }
    text.extend(b"0\r\n\r\n");
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn without_faults_the_bytes_are_the_same(
        bodies in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4), 1..4),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
        cuts in proptest::collection::vec(1..90_usize, 1..8),
        odd in any::<bool>(),
    ) {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for body in &bodies {
            let flat = body.concat();
            up.extend(format!("POST /x HTTP/1.1\r\nHost:  h\r\ncontent-LENGTH: {}\r\n\r\n", flat.len()).bytes());
            up.extend(&flat);
            down.extend(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nX:\ty \r\n\r\n");
            down.extend(chunked(body));
        }
        if odd {
            up.extend(&noise);
            down.extend(&noise);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (at_server, at_client) = runtime.block_on(carried(up.clone(), down.clone(), cuts));
        prop_assert_eq!(at_server, up);
        prop_assert_eq!(at_client, down);
    }
}
