//! One connection: TLS where it is wanted, HTTP, and what it becomes after an upgrade. It must not know what is served.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Identity;
use crate::server::fault::Rule;
use crate::server::http::serve;
use crate::server::running::Nodes;
use crate::server::socket::Spelling;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the requests of a connection know of it.
pub(crate) struct Connection {
    pub(crate) number: u64,
    afterwards: Mutex<Option<Task>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn of(number: u64) -> Arc<Self> {
        Arc::new(Self { number, afterwards: Mutex::new(None) })
    }

    /// Leaves what is to be done on the connection once it is no HTTP any more.
    pub(crate) fn afterwards(&self, task: impl Future<Output = ()> + Send + 'static) {
        *self.afterwards.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(task));
    }

    fn left(&self) -> Option<Task> {
        self.afterwards.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve_socket(nodes: Arc<Nodes>, identity: Option<Identity>, socket: TcpStream) {
    // Events are small, and a late one would look like a slow server.
    let _ = socket.set_nodelay(true);
    let Some(identity) = identity else { return serve_stream(nodes, socket).await };
    // Who fails here gets no answer that it could read.
    let within = nodes.first().config.body_within;
    if let Ok(Ok(stream)) = tokio::time::timeout(within, identity.acceptor.accept(socket)).await {
        serve_stream(nodes, stream).await;
    }
}

/// Serves a byte stream to its end.
pub(crate) async fn serve_stream<S>(nodes: Arc<Nodes>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let app = Arc::clone(nodes.first());
    let number = app.connections.opened();
    let connection = Connection::of(number);
    let stream =
        Spelling::new(stream, app.faults.holds(Rule::HeaderNamesCaseless), app.faults.holds(Rule::HeaderBlanksTrimmed));
    let of = Arc::clone(&connection);
    let service = service_fn(move |request| serve(nodes.next(), request, Arc::clone(&of)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(app.config.body_within);
    // A connection that breaks is the client's affair.
    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    if let Some(task) = connection.left() {
        task.await;
    }
    app.connections.closed(number);
}
