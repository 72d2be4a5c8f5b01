//! What can go wrong while a bag is made. What is wrong with a bag that is read is a `Fault` of `verify`.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that canonical JSON has no form for.
    #[error("{0}")]
    NotCanonical(String),
    #[error("{0}")]
    Key(String),
    #[error("{0}")]
    Signature(String),
    #[error("{0}")]
    Format(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    }
}
