//! The little of X.509 that no library gives: the common names of a certificate's subject.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `UTF8String`, `PrintableString`, `T61String` and `IA5String`.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Elements that follow each other: their tags and contents. Ends where something is malformed.
struct Elements<'a>(&'a [u8]);

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

/// The common names in a subject: the contents of its sequence.
pub(super) fn common_names(subject: &[u8]) -> impl Iterator<Item = &str> {
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
pub(super) fn is_host(name: &str, host: &str) -> bool {
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
