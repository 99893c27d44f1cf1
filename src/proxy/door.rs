//! Where clients come in: a listening socket, or a way within this process.

use std::io;

use tokio::net::TcpListener;

use super::upstream::Link;
use crate::model::Intake;

/// Where clients come in.
#[derive(Debug)]
pub(super) enum Door {
    Socket(TcpListener),
    Pipe(Intake),
}

impl Door {
    /// The next client.
    pub(super) async fn accept(&mut self) -> io::Result<Link> {
        match self {
            Self::Socket(listener) => {
                let (client, _) = listener.accept().await?;
                // Events are small, and a late one would look like a slow network.
                let _ = client.set_nodelay(true);
                Ok(Link::Plain(client))
            }
            Self::Pipe(intake) => Ok(Link::Inner(intake.accept().await)),
        }
    }
}
