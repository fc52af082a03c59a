#![doc = include_str!("../docs/coming-from-js2p.md")]
