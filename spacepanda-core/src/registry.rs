//! Which backends there are, by kind and URL scheme.
