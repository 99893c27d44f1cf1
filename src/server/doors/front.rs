//! The front door without a network: requests of this process go straight in. It must not know what is served.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};

use super::Connection;
use crate::server::http::serve;
use crate::server::running::Nodes;

/// A way into a server of this process that counts as one connection.
#[derive(Debug)]
pub struct FrontDoor {
    nodes: Arc<Nodes>,
    connection: Arc<Connection>,
}

impl FrontDoor {
    pub(crate) fn of(nodes: Arc<Nodes>) -> Self {
        let connection = Connection::of(nodes.first().connections.opened());
        Self { nodes, connection }
    }

    /// Another connection to the same server.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::of(Arc::clone(&self.nodes))
    }

    /// Serves one request, at the node whose turn it is.
    pub async fn ask(&self, request: Request<Body>) -> Response<Body> {
        match serve(self.nodes.next(), request, Arc::clone(&self.connection)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.nodes.first().connections.closed(self.connection.number);
    }
}
