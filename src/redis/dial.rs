//! How a byte stream to a server is opened: by which addresses of its name, over TCP or a Unix socket, in TLS or not.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::select_ok;
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::tls::{Tls, advised};

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// Which addresses of a name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    #[default]
    Any,
    V4,
    V6,
}

impl Family {
    fn has(self, address: &SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// A connection over any transport.
pub type Wire = Box<dyn Duplex>;

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// Opens a connection. A server that does not answer to TLS is given up before `patience` is over, so that the error can say so.
pub(crate) async fn open(
    at: &ServerAddress,
    family: Family,
    tls: Option<&Tls>,
    patience: Duration,
) -> io::Result<Wire> {
    match at {
        ServerAddress::Unix(path) => unix(path).await,
        ServerAddress::Tcp { host, port } => {
            let stream = tcp(host, *port, family).await?;
            match tls {
                Some(tls) => match timeout(patience * 4 / 5, tls.connect(host, stream)).await {
                    Ok(shaken) => Ok(Box::new(shaken.map_err(advised)?)),
                    Err(_) => Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "it does not answer to TLS; if it speaks none, the URL begins with redis://",
                    )),
                },
                None => Ok(Box::new(stream)),
            }
        }
    }
}

#[cfg(unix)]
async fn unix(path: &Path) -> io::Result<Wire> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn unix(_path: &Path) -> io::Result<Wire> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this platform has no Unix sockets",
    ))
}

/// Tries all addresses of the name at once; the first that answers is it.
async fn tcp(host: &str, port: u16, family: Family) -> io::Result<TcpStream> {
    let addresses = lookup_host((host, port)).await?;
    let tries: Vec<_> = addresses
        .filter(|address| family.has(address))
        .map(|address| Box::pin(TcpStream::connect(address)))
        .collect();
    if tries.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            match family {
                Family::Any => "its name has no address",
                Family::V4 => "its name has no IPv4 address",
                Family::V6 => "its name has no IPv6 address",
            },
        ));
    }
    let (stream, _) = select_ok(tries).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(stream)
}
