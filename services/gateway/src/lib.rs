//! The one door for tenants. `proxy` lets a call through by its access rule and hands it on undecoded, with a passport in
//! the token's place; `identity` turns a tenant's own token into a passport, from the keys of `issuers` (fetched by
//! `key_set`), the claims that `claims` reads and what `tenancy` says of the subject; `open_call` ends a call that is
//! still open when its caller may no longer make it. The gateway knows services by descriptor and by name, never by crate.

mod claims;
mod identity;
mod issuers;
mod key_set;
mod open_call;
mod proxy;
mod tenancy;

pub use proxy::routes;
