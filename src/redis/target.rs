//! The target of a URL: one server, a primary that sentinels know, or a cluster.

use std::{path::PathBuf, sync::Arc};

use redis::{ProtocolVersion, RedisConnectionInfo};

use super::{
    connect::{Access, Server, as_user},
    dial::{self, Family},
    health::ConnectionHealth,
    primary::{Primary, Sentinels},
    script::Library,
    tls::Tls,
};
use crate::{Config, Error, Result, config};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where the keys live.
pub struct Target {
    pub topology: Topology,
    /// Host and port of each server that the URL names.
    pub address: String,
    /// The same text for the same connection. Holds the credentials: not to be shown.
    pub identity: String,
    /// Tells how the servers are.
    pub health: Arc<ConnectionHealth>,
}

/// The topology of the servers.
pub enum Topology {
    Primary(Arc<Primary>),
    /// Servers that know the others.
    Cluster(Vec<Server>),
}

/// A URL's parts. Which servers it names is in `hosts`, separated by commas, or in `path`.
struct Parts<'a> {
    is_secure: bool,
    kind: &'a str,
    user: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: Vec<(String, String)>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, "server"));
        let is_secure = match base {
            "redis" => false,
            "rediss" => true,
            _ => return None,
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let query = query.split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((decoded(name)?, decoded(value)?))
        });
        Some(Self {
            is_secure,
            kind,
            user,
            hosts,
            path,
            query: query.collect::<Option<_>>()?,
        })
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        pairs.find_map(|(known, value)| (known == name).then_some(&**value))
    }

    fn has_only(&self, names: &[&str]) -> bool {
        self.query.iter().all(|(name, _)| names.contains(&&**name))
    }

    /// A user without a password has an empty one: that is what other clients send.
    fn settings(&self, db: &str) -> Option<RedisConnectionInfo> {
        let (user, password) = self.user.split_once(':').unwrap_or((self.user, ""));
        let settings = as_user(settings(), &decoded(user)?, &decoded(password)?);
        Some(settings.set_db(match db {
            "" => 0,
            number => number.parse().ok().filter(|db| *db >= 0)?,
        }))
    }
}

impl Target {
    /// Parses the configuration's URL; these scripts are loaded on its servers. No error repeats the URL, which may hold a password.
    pub fn parse(config: &Config, library: &'static Library) -> Result<Self> {
        let parts = Parts::of(&config.url).ok_or_else(refused)?;
        let tls = match (&config.tls, parts.is_secure) {
            (None, false) => None,
            (tls, true) => Some(Arc::new(Tls::new(&tls.clone().unwrap_or_default())?)),
            (Some(_), false) => return Err(Error::invalid("options.tls", "is for a URL with TLS")),
        };
        let access = Access {
            tls,
            family: match parts.value("family") {
                None => Family::Any,
                Some("4") => Family::V4,
                Some("6") => Family::V6,
                Some(_) => return Err(refused()),
            },
            asks: config.credentials.is_some(),
            library,
            health: Arc::new(ConnectionHealth::new()),
        };
        let topology = topology(&parts, &access).ok_or_else(refused)?;
        Ok(Self::new(topology, access, config))
    }

    fn new(topology: Topology, access: Access, config: &Config) -> Self {
        let (kind, named) = match &topology {
            Topology::Primary(primary) => (primary.identity(), primary.named()),
            Topology::Cluster(seeds) => ("cluster".to_owned(), &seeds[..]),
        };
        let identities: Vec<_> = named.iter().map(Server::identity).collect();
        let addresses: Vec<_> = named.iter().map(Server::address).collect();
        let tls = access.tls.is_some().then(|| identity(config.tls.as_ref()));
        Self {
            identity: format!(
                "{kind} {identities:?} {:?} {tls:?} {:?}",
                access.family, config.credentials
            ),
            address: addresses.join(","),
            topology,
            health: access.health,
        }
    }
}

/// The same text for the same options.
fn identity(tls: Option<&config::Tls>) -> String {
    let config::Tls {
        ca,
        well_known,
        system,
        insecure,
        cert,
        key,
        server_name,
    } = tls.cloned().unwrap_or_default();
    format!("{ca:?} {well_known} {system} {insecure} {cert:?} {key:?} {server_name:?}")
}

fn topology(parts: &Parts<'_>, access: &Access) -> Option<Topology> {
    let hosts = || parts.hosts.split(',');
    Some(match parts.kind {
        "server" if parts.has_only(&["family"]) => {
            let at = tcp(parts.hosts, PORT)?;
            let server = Server::new(at, parts.settings(parts.path)?, access);
            Topology::Primary(Arc::new(Primary::Fixed(server)))
        }
        "unix" if parts.has_only(&["db"]) && parts.hosts.is_empty() && !parts.is_secure => {
            let at = dial::ServerAddress::Unix(PathBuf::from(format!("/{}", decoded(parts.path)?)));
            let settings = parts.settings(parts.value("db").unwrap_or_default())?;
            Topology::Primary(Arc::new(Primary::Fixed(Server::new(at, settings, access))))
        }
        "cluster" if parts.has_only(&["family"]) && matches!(parts.path, "" | "0") => {
            let settings = parts.settings("")?;
            let seeds = hosts().map(|host| Some(Server::new(tcp(host, PORT)?, settings.clone(), access)));
            Topology::Cluster(seeds.collect::<Option<_>>()?)
        }
        "sentinel" if parts.has_only(&["family", "sentinelUser", "sentinelPassword"]) => {
            let (name, db) = parts.path.split_once('/').unwrap_or((parts.path, ""));
            if !is_name(name) {
                return None;
            }
            // The sentinels do not get the credentials of the primary, only their own.
            let own = |name| parts.value(name).unwrap_or_default();
            let asked = as_user(settings(), own("sentinelUser"), own("sentinelPassword"));
            let given = Access {
                asks: false,
                ..access.clone()
            };
            let sentinels =
                hosts().map(|host| Some(Server::new(tcp(host, SENTINEL_PORT)?, asked.clone(), &given)));
            let sentinels = sentinels.collect::<Option<_>>()?;
            // The host is a stand-in for those that the sentinels will name.
            let primary = Server::new(tcp("primary", PORT)?, parts.settings(db)?, access);
            let sentinels = Sentinels::new(sentinels, name.to_owned(), primary);
            Topology::Primary(Arc::new(Primary::Watched(sentinels)))
        }
        _ => return None,
    })
}

fn refused() -> Error {
    Error::invalid(
        "url",
        "must be redis://[user:password@]host[:port][/db], rediss:// for TLS, redis+unix:///path, \
         redis+sentinel://[user:password@]host[:port][,…]/<master name>[/db] or \
         redis+cluster://[user:password@]host[:port][,…]; percent-encode special characters",
    )
}

fn settings() -> RedisConnectionInfo {
    RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        // Redis knows the command only since 7.2, so no list of rights would fit all versions.
        .set_skip_set_lib_name()
}

/// A host and its port, as a URL has them.
fn tcp(text: &str, default_port: u16) -> Option<dial::ServerAddress> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .filter(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let port = match port {
        "" | ":" => default_port,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    let is_one = |host: &String| !host.is_empty() && !host.contains([',', '/', '@', '\\', ' ']);
    let host = decoded(host).filter(is_one)?;
    Some(dial::ServerAddress::Tcp { host, port })
}

/// Whether a sentinel accepts this as the name of a master.
fn is_name(text: &str) -> bool {
    let accepted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(accepted)
}

/// Without percent-encoding; a percent sign that encodes nothing stands for itself.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = (byte == b'%').then(|| after.get(..2)).flatten();
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::redis::script::Script;

    fn library() -> &'static Library {
        static PROBE: LazyLock<Script> = LazyLock::new(|| Script::new("probe", "return 1"));
        static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library {
            scripts: Vec::new(),
            probe: &PROBE,
        });
        &LIBRARY
    }

    fn parse(url: &str) -> Result<Target> {
        parse_with(url, None)
    }

    fn parse_with(url: &str, tls: Option<config::Tls>) -> Result<Target> {
        let config = serde_json::json!({
            "url": url, "keyPrefix": "tm", "ttlActiveMs": 1, "ttlDoneMs": 1, "leaseMs": 1, "stopGraceMs": 1,
            "connectTimeoutMs": 1, "commandTimeoutMs": 1, "flushIntervalMs": 0, "writeIntervalMs": 0, "deliveryIntervalMs": 0, "ackIntervalMs": 0,
            "maxQueueBytes": 1, "compression": 0,
        });
        let config: Config = serde_json::from_value(config).unwrap();
        Target::parse(&Config { tls, ..config }, library())
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
            ("redis://bob@host?family=6", "host:6379"),
            ("redis://bob:@host/", "host:6379"),
            ("redis://:%zz%73@HOST:", "HOST:6379"),
            ("redis+unix://bob:sesame@/tmp/a%20b.sock?db=3", "/tmp/a b.sock"),
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
            "redis://:sesame@[h]",
            "redis://:sesame@[::1]x",
            "redis://:sesame@h/-1",
            "redis://:sesame@h?family=5",
            "redis://:sesame@h?db=1",
            "redis+unix://:sesame@h/x",
            "rediss+unix://:sesame@/x",
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
            "redis://host?family=4",
            "redis://bob@host",
            "redis+unix:///host",
            "redis+unix:///host?db=1",
        ];
        for (index, url) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(identity(url), identity(other));
            }
        }
    }

    #[test]
    fn a_user_without_a_password_is_one_with_an_empty_password() {
        let settings = |url| Parts::of(url).unwrap().settings("").unwrap();
        for (url, user, password) in [
            ("redis://host", None, None),
            ("redis://@host", None, None),
            ("redis://:@host", None, None),
            ("redis://:a%40b@host", None, Some("a@b")),
            ("redis://bob@host", Some("bob"), Some("")),
            ("redis://bob:@host", Some("bob"), Some("")),
            ("redis://b%6fb:100%+%@host", Some("bob"), Some("100%+%")),
        ] {
            let settings = settings(url);
            assert_eq!(
                (settings.username(), settings.password()),
                (user, password),
                "{url}"
            );
        }
    }

    #[test]
    fn certificates_are_checked_at_the_door() {
        let with = |ca: &str| config::Tls {
            ca: vec![ca.to_owned()],
            ..config::Tls::default()
        };
        for (url, ca, field) in [
            ("redis://host", "-----BEGIN CERTIFICATE-----", "options.tls: "),
            ("rediss://host", "sesame", "options.tls.ca: "),
            (
                "rediss://host",
                "-----BEGIN CERTIFICATE-----\nsesame\n-----END CERTIFICATE-----\n",
                "options.tls.ca: ",
            ),
        ] {
            let error = parse_with(url, Some(with(ca))).err().unwrap();
            assert!(error.to_string().starts_with(field), "{error}");
        }
    }
}
