//! A tranche goes over: who may do what on the way, what is refused, and who sees what afterwards. `steps` has how it is
//! told.

mod crash;
mod large;
mod steps;
mod story;
mod taken_in;

pub use story::*;
pub use taken_in::*;
