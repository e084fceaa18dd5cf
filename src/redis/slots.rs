//! Which server of a cluster has which keys.

use redis::{RedisError, Value};

/// A cluster's keys are spread over this many slots.
pub const SLOTS: usize = 16384;

/// Host and port.
pub type Address = (String, u16);

/// The slot of a key: of its hash tag, if it has one.
pub fn slot_of(key: &str) -> usize {
    usize::from(crc16(hash_tag(key).unwrap_or(key).as_bytes())) % SLOTS
}

fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

/// The ranges of slots (first, last) and their primaries, out of CLUSTER SLOTS' reply. Where a server leaves its host
/// out, it is the one that was `asked`.
pub fn ranges(reply: Value, asked: &str) -> Option<Vec<(usize, usize, Address)>> {
    let Value::Array(ranges) = reply else {
        return None;
    };
    ranges
        .into_iter()
        .map(|range| {
            let Value::Array(fields) = range else {
                return None;
            };
            let mut fields = fields.into_iter();
            let mut number = || usize::try_from(integer(&fields.next()?)?).ok();
            let (first, last) = (number()?, number()?);
            let Some(Value::Array(primary)) = fields.next() else {
                return None;
            };
            let mut primary = primary.into_iter();
            let host = match primary.next()? {
                Value::BulkString(host) => String::from_utf8(host).ok()?,
                _ => String::new(),
            };
            let port = u16::try_from(integer(&primary.next()?)?).ok()?;
            let host = if matches!(&*host, "" | "?") {
                asked.to_owned()
            } else {
                host
            };
            (first <= last && last < SLOTS).then_some((first, last, (host, port)))
        })
        .collect()
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

/// Where a server sends the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Redirection {
    /// For good.
    Moved(Address),
    /// With this one request: the slot is on its way there.
    Ask(Address),
}

/// The redirection that the error is, if it is one; see [`ranges`] for `asked`.
pub fn redirection(error: &RedisError, asked: &str) -> Option<Redirection> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { asked } else { host };
    let address = (host.to_owned(), port.parse().ok()?);
    Some(if error.code() == Some("ASK") {
        Redirection::Ask(address)
    } else {
        Redirection::Moved(address)
    })
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind, ServerErrorKind};

    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As CLUSTER KEYSLOT says.
        for (key, slot) in [
            ("", 0),
            ("123456789", 12739),
            ("foo", 12182),
            ("{user1000}.following", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
        ] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }

    #[test]
    fn a_table_is_read_as_far_as_it_makes_sense() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let range = |first, last, host: Value| {
            let server = Value::Array(vec![host, Value::Int(7000), bulk("id")]);
            Value::Array(vec![Value::Int(first), Value::Int(last), server.clone(), server])
        };
        let at = |host: &str| (host.to_owned(), 7000);
        let table = Value::Array(vec![
            range(0, 9, bulk("::1")),
            range(10, 99, Value::Nil),
            range(100, 16383, bulk("")),
        ]);
        let read = vec![(0, 9, at("::1")), (10, 99, at("me")), (100, 16383, at("me"))];
        assert_eq!(ranges(table, "me"), Some(read));
        for odd in [range(9, 1, Value::Nil), range(0, 16384, Value::Nil), Value::Nil] {
            assert_eq!(ranges(Value::Array(vec![odd]), "me"), None);
        }
    }

    #[test]
    fn redirections_may_leave_the_host_out() {
        let error = |kind, detail: &str| RedisError::from((ErrorKind::Server(kind), "", detail.to_owned()));
        let (moved, ask) = (ServerErrorKind::Moved, ServerErrorKind::Ask);
        let to = |host: &str| (host.to_owned(), 7001);
        for (error, expected) in [
            (error(moved, "1 h:7001"), Some(Redirection::Moved(to("h")))),
            (error(moved, "1 :7001"), Some(Redirection::Moved(to("me")))),
            (error(ask, "1 ::1:7001"), Some(Redirection::Ask(to("::1")))),
            (error(ask, "1 h:x"), None),
            (error(ServerErrorKind::TryAgain, "1 h:1"), None),
        ] {
            assert_eq!(redirection(&error, "me"), expected);
        }
    }
}
