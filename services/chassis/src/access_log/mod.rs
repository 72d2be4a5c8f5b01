//! The access log: who has been shown whom by name, when and what for.

/// The request metadata in which a caller says what it asks for.
pub const PURPOSE: &str = "x-tahuka-purpose";
