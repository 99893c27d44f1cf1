//! Whatever a server sends is read as HTTP or told to be none, the same however it is cut, and never for ever.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mcp_rehearsal::wire::{Connection, Place, Trust};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(2);

/// What a client reads of these bytes, sent in pieces of this size: the status, and the body or what was wrong with it.
async fn read(bytes: &[u8], step: usize) -> (Option<u16>, Vec<u8>, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let place = Place { host: "127.0.0.1".to_owned(), port, tls: false, through: None };
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an open socket");
        for piece in bytes.chunks(step) {
            if stream.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let look = async {
        let mut connection = Connection::open(&place, &Trust::default(), 1, LIMIT).await.expect("it is open");
        let Ok(head) = connection.head("GET").await else { return (None, Vec::new(), false) };
        let mut body = Vec::new();
        loop {
            match connection.piece().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return (Some(head.status), body, true),
                Err(_) => return (Some(head.status), body, false),
            }
        }
    };
    let ((), seen) = tokio::join!(serve, async { tokio::time::timeout(LIMIT, look).await.expect("it ends") });
    seen
}

fuzz_target!(|input: (u8, &[u8])| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let whole = read(input.1, input.1.len().max(1)).await;
        let cut = read(input.1, usize::from(input.0).max(1)).await;
        assert_eq!((whole.0, whole.2), (cut.0, cut.2));
        // What came before a fault may have been handed on or not; what is whole is the same.
        assert!(!whole.2 || whole.1 == cut.1);
    });
});
