//! The parts of X.509 that no library offers: elements, times, and the common names of a certificate's subject.

pub const SEQUENCE: u8 = 0x30;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `UTF8String`, `PrintableString`, `T61String` and `IA5String`.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Elements that follow each other: their tags and contents. Ends where something is malformed.
pub struct Elements<'a>(pub &'a [u8]);

impl<'a> Elements<'a> {
    /// The content of the next one, if it has this tag.
    pub fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .and_then(|(found, content)| (found == tag).then_some(content))
    }

    /// The same with its tag and length.
    pub fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.content(tag)?;
        Some(&before[..before.len() - self.0.len()])
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
            let length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, &rest[count..])
        };
        let content = rest.get(..length)?;
        self.0 = &rest[length..];
        Some((tag, content))
    }
}

/// A time, in seconds since 1970.
pub fn seconds((tag, content): (u8, &[u8])) -> Option<u64> {
    let digits = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, rest) = digits.split_at_checked(match tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    })?;
    if rest.len() != 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let part = |at: usize| number(&rest[at..at + 2]);
    let year = match (tag, number(year)?) {
        (UTC_TIME, short @ 0..50) => 2000 + short,
        (UTC_TIME, short) => 1900 + short,
        (_, year) => year,
    };
    let (month, day) = (part(0)?, part(2)?);
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    // A year that begins in March has its leap day at its end.
    let (from_march, year) = ((month + 9) % 12, if month < 3 { year - 1 } else { year });
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day - 1;
    Some((((days - 719_468) * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?)
}

/// The common names in a subject: the contents of its sequence.
pub fn common_names(subject: &[u8]) -> impl Iterator<Item = &str> {
    let of = |tag: u8| move |(found, content): (u8, _)| (found == tag).then_some(content);
    let attributes = Elements(subject).filter_map(of(SET)).flat_map(Elements);
    attributes.filter_map(of(SEQUENCE)).filter_map(|attribute| {
        let mut parts = Elements(attribute);
        let (kind, value) = (parts.next()?, parts.next()?);
        let is_name = kind == (OBJECT_IDENTIFIER, &COMMON_NAME) && TEXTS.contains(&value.0);
        std::str::from_utf8(value.1).ok().filter(|_| is_name)
    })
}

/// Whether a name of a certificate is a host's; it may begin with `*.`, for one part of the host's name.
pub fn is_host(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match name.strip_prefix("*.") {
        Some(domain) => {
            domain.contains('.')
                && host
                    .split_once('.')
                    .is_some_and(|(part, rest)| !part.is_empty() && rest.eq_ignore_ascii_case(domain))
        }
        None => name.trim_end_matches('.').eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_found_among_other_attributes() {
        // O=ab, CN=*.c.d + CN=e
        let subject = [
            &[
                0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x02, b'a', b'b',
            ][..],
            &[0x31, 0x1a, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04, 0x03, 0x13, 0x05],
            b"*.c.d",
            &[0x30, 0x0a, 0x06, 0x03, 0x55, 0x04, 0x03, 0x16, 0x03],
            b"e.f",
        ]
        .concat();
        assert_eq!(common_names(&subject).collect::<Vec<_>>(), ["*.c.d", "e.f"]);
        for end in 0..subject.len() {
            let _ = common_names(&subject[..end]).count();
        }
        assert_eq!(common_names(&[0x31, 0x84, 0xff, 0xff, 0xff, 0xff]).count(), 0);
        assert_eq!(common_names(&[0x31, 0x80]).count(), 0);
    }

    #[test]
    fn times_are_counted_from_1970() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "240229120001Z", Some(1_709_208_001)),
            (GENERALIZED_TIME, "20240301000000Z", Some(1_709_251_200)),
            (GENERALIZED_TIME, "21000301000000Z", Some(4_107_542_400)),
            (GENERALIZED_TIME, "19691231235959Z", None),
            (GENERALIZED_TIME, "20241301000000Z", None),
            (UTC_TIME, "2403010000Z", None),
            (UTC_TIME, "24030100000xZ", None),
            (UTC_TIME, "240301000000", None),
            (SEQUENCE, "240301000000Z", None),
        ] {
            assert_eq!(seconds((tag, text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_for_one_host_and_with_a_star_for_one_part_of_it() {
        for (name, host, expected) in [
            ("redis", "REDIS", true),
            ("redis", "redis.", true),
            ("redis", "redis2", false),
            ("*.a.b", "x.A.b", true),
            ("*.a.b", "a.b", false),
            ("*.a.b", "y.x.a.b", false),
            ("*.b", "a.b", false),
            ("*", "a", false),
        ] {
            assert_eq!(is_host(name, host), expected, "{name} {host}");
        }
    }
}
