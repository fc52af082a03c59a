//! Maps kinds to NATS subjects and back, without loss.
//!
//! Owns the mapping. Knows nothing of payloads.

use crate::wire::Packet;

/// Whether this is a valid prefix for subjects.
pub(super) fn is_prefix(text: &str) -> bool {
    !text.is_empty()
        && text
            .split('.')
            .all(|token| !token.is_empty() && token.bytes().all(is_plain))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Returns the subject of a kind.
pub(super) fn of(prefix: &str, kind: &[u8]) -> String {
    let mut subject = String::with_capacity(prefix.len() + kind.len() + 1);
    subject.push_str(prefix);
    for token in kind.split(|byte| *byte == b'/') {
        subject.push('.');
        // NATS allows no empty token.
        if token.is_empty() {
            subject.push('%');
        }
        for byte in token {
            if is_plain(*byte) {
                subject.push(char::from(*byte));
            } else {
                subject.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    subject
}

/// Returns the kind of a subject; `None` if it is not below the prefix or has a bad escape. Unescaped bytes are taken
/// literally.
pub(super) fn kind(prefix: &str, subject: &str) -> Option<Packet> {
    let rest = subject.strip_prefix(prefix)?.strip_prefix('.')?;
    let mut kind = Vec::with_capacity(rest.len());
    for (index, token) in rest.split('.').enumerate() {
        if index > 0 {
            kind.push(b'/');
        }
        read(token, &mut kind)?;
    }
    Some(Packet::from(kind))
}

fn read(token: &str, kind: &mut Vec<u8>) -> Option<()> {
    if token == "%" {
        return Some(());
    }
    let mut bytes = token.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            kind.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        // `from_str_radix` accepts a sign.
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let digits = std::str::from_utf8(&digits).ok()?;
        kind.push(u8::from_str_radix(digits, 16).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kinds_are_subjects() {
        assert_eq!(of("shop", b"order/new"), "shop.order.new");
        assert_eq!(of("a.b", b"invalidate/1"), "a.b.invalidate.1");
        assert_eq!(of("shop", b"\0"), "shop.%00");
        assert_eq!(of("shop", b"v1.2/a b/"), "shop.v1%2E2.a%20b.%");
        assert_eq!(of("shop", b""), "shop.%");
    }

    #[test]
    fn what_is_no_kind_is_refused() {
        for subject in [
            "shop",
            "shops.order",
            "other.order",
            "shop.%0",
            "shop.%GG",
            "shop.%+5",
            "shop.%\u{e4}",
        ] {
            assert_eq!(kind("shop", subject), None, "{subject}");
        }
    }

    #[test]
    fn prefixes_are_tokens() {
        assert!(is_prefix("shop") && is_prefix("eu.shop-1"));
        for bad in ["", ".", "a.", "a..b", "a b", "a.*", "a.>"] {
            assert!(!is_prefix(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_kind_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let subject = of("shop", &bytes);
            prop_assert!(!subject.split('.').any(str::is_empty));
            prop_assert!(subject.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte)));
            prop_assert_eq!(kind("shop", &subject), Some(Packet::from(bytes)));
        }
    }
}
