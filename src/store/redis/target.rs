//! What a URL names: one server, a primary that sentinels know, or a cluster.

use std::sync::Arc;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates};

use super::{
    board::Board,
    connect::Server,
    primary::{Primary, Sentinels},
};
use crate::{Error, Result};

const SENTINEL_PORT: u16 = 26379;

/// Where the keys live.
pub(super) struct Target {
    pub place: Place,
    /// Host and port of each server that the URL names.
    pub address: String,
    /// The same text for the same connection. Holds the credentials: not to be shown.
    pub identity: String,
    /// Tells how the servers are.
    pub board: Arc<Board>,
}

pub(super) enum Place {
    Primary(Arc<Primary>),
    /// Servers that know the others.
    Cluster(Vec<Server>),
}

impl Target {
    /// Takes a URL apart. `ca`: certificates in PEM that are trusted instead of the well-known ones. No error repeats
    /// the URL: it may hold a password.
    pub fn parse(url: &str, ca: Option<&str>) -> Result<Self> {
        let board = Arc::new(Board::new());
        let (scheme, rest) = url.split_once("://").ok_or_else(refused)?;
        let Some((base, kind)) = scheme.split_once('+').filter(|(_, kind)| *kind != "unix") else {
            let primary = Primary::Fixed(server(url, ca, &board)?);
            return Ok(Self::new(Place::Primary(Arc::new(primary)), ca, board));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let hosts = hosts.split(',');
        let place = match (kind, path.split_once('/').unwrap_or((path, "")), query) {
            ("cluster", ("" | "0", ""), "") => {
                let seeds = hosts.map(|host| server(&format!("{base}://{user}{host}"), ca, &board));
                Place::Cluster(seeds.collect::<Result<_>>()?)
            }
            ("sentinel", (name, db), _) if is_name(name) => {
                let sentinels = hosts.map(|host| sentinel(&format!("{base}://{host}"), query, ca, &board));
                let sentinels = sentinels.collect::<Result<_>>()?;
                // The host is a stand-in for those that the sentinels will name.
                let primary = server(&format!("{base}://{user}primary/{db}"), ca, &board)?;
                let sentinels = Sentinels::new(sentinels, name.to_owned(), primary);
                Place::Primary(Arc::new(Primary::Watched(sentinels)))
            }
            _ => return Err(refused()),
        };
        Ok(Self::new(place, ca, board))
    }

    fn new(place: Place, ca: Option<&str>, board: Arc<Board>) -> Self {
        let (kind, named) = match &place {
            Place::Primary(primary) => (primary.identity(), primary.named()),
            Place::Cluster(seeds) => ("cluster".to_owned(), &seeds[..]),
        };
        let identities: Vec<_> = named.iter().map(Server::identity).collect();
        let addresses: Vec<_> = named.iter().map(Server::address).collect();
        Self {
            identity: format!("{kind} {identities:?} {ca:?}"),
            address: addresses.join(","),
            place,
            board,
        }
    }
}

fn refused() -> Error {
    Error::invalid(
        "url",
        "must be redis://[user:password@]host[:port][/db], rediss:// for TLS, redis+unix://, \
         redis+sentinel://[user:password@]host[:port][,…]/<master name>[/db] or \
         redis+cluster://[user:password@]host[:port][,…]; percent-encode special characters",
    )
}

/// What a sentinel accepts as the name of a master.
fn is_name(text: &str) -> bool {
    let accepted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(accepted)
}

fn server(url: &str, ca: Option<&str>, board: &Arc<Board>) -> Result<Server> {
    let info = url.into_connection_info().map_err(|_| refused())?;
    let server = Server::new(trusting(info, ca)?, board).map_err(|_| refused())?;
    if server.host().contains(',') {
        return Err(refused());
    }
    Ok(server)
}

/// A sentinel has no users of the data's; its own are in the query.
fn sentinel(url: &str, query: &str, ca: Option<&str>, board: &Arc<Board>) -> Result<Server> {
    let parsed = redis::parse_redis_url(&format!("{url}?{query}")).ok_or_else(refused)?;
    let mut info = url.into_connection_info().map_err(|_| refused())?;
    if parsed.port().is_none() {
        let addr = match info.addr().clone() {
            ConnectionAddr::Tcp(host, _) => ConnectionAddr::Tcp(host, SENTINEL_PORT),
            ConnectionAddr::TcpTls {
                host,
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port: SENTINEL_PORT,
                insecure,
                tls_params,
            },
            other => other,
        };
        info = info.set_addr(addr);
    }
    let mut settings = info.redis_settings().clone();
    for (name, value) in parsed.query_pairs() {
        settings = match &*name {
            "sentinelUser" => settings.set_username(value),
            "sentinelPassword" => settings.set_password(value),
            _ => return Err(refused()),
        };
    }
    Server::new(trusting(info.set_redis_settings(settings), ca)?, board).map_err(|_| refused())
}

fn trusting(info: ConnectionInfo, ca: Option<&str>) -> Result<ConnectionInfo> {
    let Some(ca) = ca else {
        return Ok(info);
    };
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(ca.as_bytes().to_vec()),
    };
    let client = Client::build_with_tls(info, certificates)
        .ok()
        .filter(|_| ca.contains("-----BEGIN CERTIFICATE-----"))
        .ok_or_else(|| {
            Error::invalid(
                "options.tls.ca",
                "must be certificates in PEM format, for a URL with TLS",
            )
        })?;
    Ok(client.get_connection_info().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target> {
        Target::parse(url, None)
    }

    #[test]
    fn a_url_is_taken_apart_without_showing_the_password() {
        for (url, address) in [
            ("redis://host", "host:6379"),
            ("redis://bob:sesame@host:1/2", "host:1"),
            ("rediss://:sesame@[::1]:7000", "[::1]:7000"),
            (
                "redis+sentinel://bob:sesame@a,b:1,[::1]/main",
                "a:26379,b:1,[::1]:26379",
            ),
            (
                "rediss+sentinel://a:1/main.A-1_/2?sentinelUser=x&sentinelPassword=s%26e",
                "a:1",
            ),
            ("redis+cluster://:sesame@a,b:1", "a:6379,b:1"),
            ("rediss+cluster://[::1]:7000/0", "[::1]:7000"),
        ] {
            assert_eq!(parse(url).unwrap().address, address);
        }
        for url in [
            "redis://:sesame@",
            "http://:sesame@host",
            "sesame",
            "redis://:sesame@h/db",
            "redis://:sesame@a,b",
            "redis+sentinel://:sesame@h",
            "redis+sentinel://:sesame@h/",
            "redis+sentinel://:sesame@h/main/x",
            "redis+sentinel://:sesame@h/ma in",
            "redis+sentinel://:sesame@h,/main",
            "redis+sentinel://:sesame@h:99999/main",
            "redis+sentinel://:sesame@h/main?password=sesame",
            "redis+cluster://:sesame@h/1",
            "redis+cluster://:sesame@h?x=sesame",
            "redis+cluster://:sesame@",
            "redis+other://:sesame@h",
            "memory+cluster://sesame@h",
        ] {
            let error = parse(url).err().unwrap();
            assert_eq!(error.code(), "ERR_INVALID_ARGUMENT", "{url}");
            assert!(error.to_string().starts_with("url: "), "{error}");
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
    }

    #[test]
    fn only_the_same_settings_have_the_same_identity() {
        let identity = |url| parse(url).unwrap().identity;
        assert_eq!(identity("redis://host"), identity("redis://host:6379/0"));
        assert_eq!(
            identity("redis+cluster://host"),
            identity("redis+cluster://host:6379/0")
        );
        let all = [
            "redis://host",
            "redis://host/1",
            "redis://:a@host",
            "redis://host:1",
            "rediss://host",
            "redis+cluster://host",
            "redis+cluster://host,other",
            "rediss+cluster://host",
            "redis+sentinel://host/main",
            "redis+sentinel://host/other",
            "redis+sentinel://host/main/1",
            "redis+sentinel://:a@host/main",
            "redis+sentinel://host/main?sentinelPassword=a",
        ];
        for (index, url) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(identity(url), identity(other));
            }
        }
    }

    #[test]
    fn a_ca_is_checked_at_the_door() {
        for (url, ca) in [
            ("redis://host", "-----BEGIN CERTIFICATE-----"),
            ("rediss://host", "sesame"),
            (
                "rediss://host",
                "-----BEGIN CERTIFICATE-----\nsesame\n-----END CERTIFICATE-----\n",
            ),
        ] {
            let error = Target::parse(url, Some(ca)).err().unwrap();
            assert!(error.to_string().starts_with("options.tls.ca: "), "{error}");
        }
    }
}
