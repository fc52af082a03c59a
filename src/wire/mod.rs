//! Floor 1: bytes and messages, pure.
