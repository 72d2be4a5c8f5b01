//! The one door for tenants. `identity` turns a tenant's own token into a bearer, `proxy` lets the
//! call through by its access rule and hands it on undecoded, with a passport in the token's place.
//! The gateway knows services by descriptor and by name, never by crate.

mod identity;
mod proxy;

pub use proxy::routes;
