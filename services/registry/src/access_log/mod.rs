//! Who has been shown a family by name. The chassis writes and keeps the log; this is how it is read.

pub mod rpc;
