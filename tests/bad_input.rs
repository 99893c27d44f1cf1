//! Targets that hang, flood, break off or talk nonsense: a clear verdict, in time, in bounded memory, every time.

#![expect(clippy::print_stdout, reason = "times and memory, for whoever runs it with --nocapture")]

use std::time::Duration;

use futures_util::StreamExt as _;

#[expect(dead_code, reason = "another test uses the rest")]
mod hostile;

use hostile::{Hostile, Ran, Then, answer, run};

const OK: i32 = 0;
const NOTHING_TOLD: i32 = 4;
const FAILURES: i32 = 10;
const UNREACHABLE: i32 = 12;

/// The longest that a run with a patience of one second may take: the survey and one case of four exchanges.
const IN_TIME: Duration = Duration::from_secs(8);

/// The most memory, in KiB, that a run may take whatever the target does.
const BOUND: u64 = 150 * 1024;

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const RESULT: &str = "{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{}}";

/// A name, a server, the exit code and words of the report.
type Row = (&'static str, Hostile, i32, &'static str);

async fn rehearse(server: Hostile, patience: &str) -> Ran {
    let url = server.start().await;
    let choice = ["-s", "connect.first-contact", "-c", "reference", "-r", "2025-06-18", "--patience", patience];
    run(&[&["run", url.as_str()], &choice[..]].concat()).await
}

/// Runs each row and gathers what is not as it says.
async fn each(patience: &str, rows: Vec<Row>) {
    let wrong: Vec<Option<String>> = futures_util::stream::iter(rows)
        .map(|(name, server, code, words)| async move {
            let ran = rehearse(server, patience).await;
            let told = ran.text().contains(words);
            let calm = !ran.text().contains("panicked");
            let bounded = ran.peak < BOUND && ran.took < IN_TIME;
            println!("{name}: {:?} after {:?} with {} MiB", ran.code, ran.took, ran.peak / 1024);
            let right = ran.code == Some(code) && told && calm && bounded;
            (!right).then(|| format!("{name}: wanted {code} and `{words}`: {ran:#?}"))
        })
        .buffered(3)
        .collect()
        .await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn deep(levels: usize) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{{id}},\"result\":{}1{}}}", "[".repeat(levels), "]".repeat(levels))
}

fn chunked(rest: &str) -> String {
    format!("{JSON}transfer-encoding: chunked\r\n\r\n{rest}")
}

/// An answer whose length is not told: it ends with the connection.
fn open_ended(body: &str) -> String {
    format!("{JSON}connection: close\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_told_in_time() {
    let late = "the answer did not end within the time allowed";
    each("1", vec![
        (
            "never answers",
            Hostile::at_once("", Then::Hang),
            UNREACHABLE,
            "no answer within the time allowed (1 s, --patience)",
        ),
        (
            "head and no body",
            Hostile::at_once(format!("{JSON}content-length: 50\r\n\r\n"), Then::Hang),
            UNREACHABLE,
            "it begins to answer with status 200, but the answer did not end within the time allowed (1 s, --patience)",
        ),
        ("stops answering", Hostile::later("", Then::Hang), FAILURES, "no answer within the time allowed"),
        (
            "stops at the body",
            Hostile::later(format!("{JSON}content-length: 50\r\n\r\n{{"), Then::Hang),
            FAILURES,
            late,
        ),
        (
            "only keeps the stream alive",
            Hostile::later(STREAM, Then::Drip(b": still here\n\n".to_vec())),
            FAILURES,
            late,
        ),
        (
            "a head letter by letter",
            Hostile::later("HTTP/1.1 200 OK\r\n", Then::Drip(b"x".to_vec())),
            FAILURES,
            "no answer within",
        ),
        (
            "promises more bytes than come",
            Hostile::later(format!("{JSON}content-length: 5000\r\n\r\n{RESULT}"), Then::Hang),
            FAILURES,
            late,
        ),
        (
            "never ends the stream after the response",
            Hostile::later(format!("{STREAM}data: {RESULT}\n\n"), Then::Drip(b": still here\n\n".to_vec())),
            OK,
            "1 passed",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_cut_at_a_bound() {
    let large = "the answer is too large: reading stopped after 16 MiB";
    let notification = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";
    let ask = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n";
    let flood = |text: &str| Then::Flood(text.as_bytes().to_vec());
    let head = "HTTP/1.1 200 OK\r\n";
    each(
        "6",
        vec![
            ("a body without end", Hostile::later(open_ended("{\"x\":\""), flood("y")), NOTHING_TOLD, large),
            ("a body without end, at once", Hostile::at_once(open_ended("{\"x\":\""), flood("y")), UNREACHABLE, large),
            (
                "a stream without end",
                Hostile::later(STREAM, flood(notification)),
                FAILURES,
                "more than 10000 messages came in all",
            ),
            (
                "a stream of empty events",
                Hostile::later(STREAM, flood("id:\n\n")),
                NOTHING_TOLD,
                "more than 10000 events came in all",
            ),
            (
                "comments without end",
                Hostile::later(STREAM, flood(&format!(":{}\n", "c".repeat(2000)))),
                NOTHING_TOLD,
                large,
            ),
            ("a line without end", Hostile::later(format!("{STREAM}data: "), flood("z")), NOTHING_TOLD, large),
            (
                "data lines without end",
                Hostile::later(STREAM, flood(&format!("data: {}\n", "d".repeat(2000)))),
                NOTHING_TOLD,
                large,
            ),
            ("questions without end", Hostile::later(STREAM, flood(ask)), FAILURES, "came in all"),
            (
                "short header lines without end",
                Hostile::later(head, flood("a: b\r\n")),
                FAILURES,
                "its head has more than 128 lines",
            ),
            (
                "a header line without end",
                Hostile::later(format!("{head}a: "), flood("b")),
                FAILURES,
                "its head is longer than 65536 bytes",
            ),
            (
                "a chunk extension without end",
                Hostile::later(chunked("5;x="), flood("y")),
                FAILURES,
                "a chunk size line is longer than 1024 bytes",
            ),
            (
                "trailers without end",
                Hostile::later(chunked("0\r\n"), flood("a: b\r\n")),
                FAILURES,
                "its trailers are longer than 65536 bytes",
            ),
            (
                "chunks without end",
                Hostile::later(chunked(""), flood(&format!("fa0\r\n{}\r\n", "x".repeat(4000)))),
                NOTHING_TOLD,
                large,
            ),
            (
                "100 Continue without end",
                Hostile::later("", flood("HTTP/1.1 100 Continue\r\n\r\n")),
                FAILURES,
                "more than 16 informational answers",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_deep_json_is_not_taken_in() {
    let huge = 100 * 1024 * 1024;
    let many = |count: usize| format!("{{\"jsonrpc\":\"2.0\",\"id\":{{id}},\"result\":[{}1]}}", "1,".repeat(count));
    let text = RESULT.replace("{}}", &format!("{{\"x\":\"{}\"}}}}", "y".repeat(15 * 1024 * 1024)));
    let batch = format!("{STREAM}data: [{}{RESULT}]\n\n", "{},".repeat(20_000));
    let sized = |body: &str| format!("{JSON}content-length: {}\r\n\r\n{body}", body.len() - "{id}".len() + 1);
    let deep_stream = format!("{STREAM}data: {}\n\n", deep(10_000));
    let levels = "its JSON nests deeper than 127 levels";
    each(
        "6",
        vec![
            (
                "100 MB",
                Hostile::later(format!("{JSON}content-length: {huge}\r\n\r\n{{\"x\":\""), Then::Flood(b"y".to_vec())),
                NOTHING_TOLD,
                "the answer is too large: reading stopped after 16 MiB",
            ),
            ("10000 levels", Hostile::later(sized(&deep(10_000)), Then::Next), NOTHING_TOLD, levels),
            ("10000 levels at once", Hostile::at_once(sized(&deep(10_000)), Then::Next), NOTHING_TOLD, levels),
            ("10000 levels in a stream", Hostile::later(deep_stream, Then::Close), NOTHING_TOLD, levels),
            (
                "120 levels",
                Hostile::later(sized(&deep(120)), Then::Next),
                FAILURES,
                "did not answer a ping with a result",
            ),
            (
                "too many values",
                Hostile::later(sized(&many(500_000)), Then::Next),
                NOTHING_TOLD,
                "more than 500000 values",
            ),
            (
                "nearly too many values",
                Hostile::later(sized(&many(490_000)), Then::Next),
                FAILURES,
                "did not answer a ping with a result",
            ),
            // On a slow machine such a ping is late, which is a warning.
            ("15 MB in one text", Hostile::later(sized(&text), Then::Next), OK, "0 failed"),
            (
                "too many messages",
                Hostile::later(batch, Then::Close),
                NOTHING_TOLD,
                "more than 10000 messages came in all",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_is_the_servers_fault() {
    let cut = "the server closed the connection in the middle of its answer";
    let none = "the server closed the connection without a whole answer";
    let half = "{\"jsonrpc\":\"2.0\",";
    each(
        "1",
        vec![
            ("closes at once", Hostile::at_once("", Then::Close), UNREACHABLE, none),
            ("resets at once", Hostile::at_once("", Then::Reset), UNREACHABLE, "the connection broke"),
            ("closes later", Hostile::later("", Then::Close), FAILURES, none),
            ("resets later", Hostile::later("", Then::Reset), FAILURES, "the connection broke"),
            ("half a head", Hostile::later("HTTP/1.1 200 OK\r\ncontent-ty", Then::Close), FAILURES, none),
            (
                "half a body",
                Hostile::later(format!("{JSON}content-length: 500\r\n\r\n{half}"), Then::Close),
                FAILURES,
                cut,
            ),
            ("half a chunk", Hostile::later(chunked("ff\r\n{\"json"), Then::Close), FAILURES, cut),
            ("half a frame", Hostile::later(format!("{STREAM}data: {half}"), Then::Close), FAILURES, cut),
            (
                "no blank line after the frame",
                Hostile::later(format!("{STREAM}data: {RESULT}\n"), Then::Close),
                FAILURES,
                cut,
            ),
            (
                "no HTTP at all",
                Hostile::at_once("SSH-2.0-OpenSSH_9.7\r\n", Then::Hang),
                UNREACHABLE,
                "the answer is no valid HTTP",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_but_lawful_answers_pass() {
    let body = |id: &str| RESULT.replace("{id}", id);
    let whole = |head: &str| format!("{head}content-type: application/json\r\ncontent-length: 36\r\n\r\n{RESULT}");
    assert_eq!(body("1").len(), 36, "the id of the call has one digit");
    let header = whole("HTTP/1.1 200 OK\r\nx-note: \u{1}\r\n").into_bytes();
    let header: Vec<u8> = header.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    let twice = RESULT.replace("\"result\"", "\"id\":{id},\"result\"").replacen("{id}", "0", 1);
    each(
        "1",
        vec![
            ("a letter that is no ASCII in a header", Hostile::later(header, Then::Next), OK, "1 passed"),
            (
                "HTTP/1.0",
                Hostile::later(
                    format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{RESULT}"),
                    Then::Close,
                ),
                OK,
                "1 passed",
            ),
            (
                "100 Continue and 103 first",
                Hostile::later(
                    whole(
                        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n",
                    ),
                    Then::Next,
                ),
                OK,
                "1 passed",
            ),
            ("one answer a connection", Hostile::later(whole("HTTP/1.1 200 OK\r\n"), Then::Close), OK, "1 passed"),
            ("a key twice", Hostile::later(open_ended(&twice), Then::Close), OK, "1 passed"),
            ("no reason phrase", Hostile::later(whole("HTTP/1.1 200\r\n"), Then::Next), OK, "1 passed"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_a_failure_told_in_plain_words() {
    let utf8 =
        [open_ended("{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{\"x\":\"").as_bytes(), b"\xff\xfe\"}}"].concat();
    let gzip =
        [format!("{JSON}content-encoding: gzip\r\nconnection: close\r\n\r\n").as_bytes(), b"\x1f\x8b\x08\x00"].concat();
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nlocation: /mcp\r\ncontent-length: 0\r\n\r\n";
    let short = format!("{JSON}content-length: 20\r\n\r\n{RESULT}");
    let unasked = RESULT.replace("{id}", "999");
    each(
        "1",
        vec![
            ("invalid UTF-8 in a body", Hostile::later(utf8, Then::Close), FAILURES, "not valid UTF-8"),
            (
                "a redirect to itself",
                Hostile::at_once(redirect, Then::Next),
                FAILURES,
                "307 to /mcp, which was not followed",
            ),
            (
                "204 with a body",
                Hostile::later(
                    format!("HTTP/1.1 204 No Content\r\ncontent-type: application/json\r\n\r\n{RESULT}"),
                    Then::Close,
                ),
                FAILURES,
                "204",
            ),
            ("status 999", Hostile::later(answer("999 Odd", "{}"), Then::Next), FAILURES, "status 999"),
            (
                "fewer bytes promised than come",
                Hostile::later(short, Then::Next),
                FAILURES,
                "not the one response to its request",
            ),
            (
                "a length that is no number",
                Hostile::later(format!("{JSON}content-length: many\r\n\r\n{RESULT}"), Then::Next),
                FAILURES,
                "content-length is `many`, not a number",
            ),
            (
                "a chunk size that is no number",
                Hostile::later(chunked("zz\r\n{}"), Then::Hang),
                FAILURES,
                "`zz` is no chunk size",
            ),
            (
                "gzip nobody asked for",
                Hostile::later(gzip, Then::Close),
                FAILURES,
                "compressed (gzip), which this client did not ask for",
            ),
            ("the answer to another request", Hostile::later(open_ended(&unasked), Then::Close), FAILURES, "999"),
            (
                "HTML",
                Hostile::later(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\r\n<p>hi</p>",
                    Then::Next,
                ),
                FAILURES,
                "neither JSON nor an event stream",
            ),
        ],
    )
    .await;
}

/// Every scenario with every client that asks for one revision.
async fn whole_cast(server: Hostile, jobs: &str) -> Ran {
    let url = server.start().await;
    let ran = run(&["run", &url, "-r", "2025-06-18", "--patience", "1", "--jobs", jobs]).await;
    println!("whole cast: {:?} after {:?} with {} MiB", ran.code, ran.took, ran.peak / 1024);
    assert!(!ran.text().contains("panicked"), "{ran:#?}");
    ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_went_silent_does_not_hold_every_case() {
    let ran = whole_cast(Hostile::later("", Then::Hang), "4").await;
    assert_eq!(ran.code, Some(FAILURES), "{ran:#?}");
    assert!(ran.text().contains("not played, since the target had stayed silent in 8 cases in a row"), "{ran:#?}");
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_every_case_stays_bounded() {
    let flood = Hostile::later(format!("{STREAM}data: "), Then::Flood(b"z".to_vec()));
    let ran = whole_cast(flood, "2").await;
    assert!(matches!(ran.code, Some(FAILURES | NOTHING_TOLD)), "{ran:#?}");
    assert!(ran.text().contains("the answer is too large: reading stopped after 16 MiB"), "{ran:#?}");
    // Two cases at a time, each with as many streams as its client has calls under way.
    assert!(ran.peak < 2 * BOUND, "{} KiB", ran.peak);
}
