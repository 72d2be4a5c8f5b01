//! Keys on disk, in `<data_dir>/keys` unless configured elsewhere. Made once, by whoever comes first.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use crate::refusal::Refusal;

/// The secret seed in `file` (64 hex digits); made when the file is missing.
pub fn seed(file: &Path) -> Result<[u8; 32], Refusal> {
    if !file.exists() {
        create(file).map_err(|e| Refusal::Internal(format!("{e}; a key that is missing is made by `tahuka secrets init`")))?;
    }
    let text = fs::read_to_string(file).map_err(|e| failed(file, e))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|e| failed(file, e))?;
    Ok(seed)
}

/// The Ed25519 key whose seed is in `file`.
pub fn signing_key(file: &Path) -> Result<SigningKey, Refusal> {
    Ok(SigningKey::from_bytes(&seed(file)?))
}

fn create(file: &Path) -> Result<(), Refusal> {
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|e| failed(file, e))?;
    write_secret(file, &format!("{}\n", hex::encode(secret)))
}

/// A new file for its owner only, whole or not there: of two processes that write it at once, one wins.
pub(crate) fn write_secret(file: &Path, text: &str) -> Result<(), Refusal> {
    let temporary = written_beside(file, text)?;
    let linked = fs::hard_link(&temporary, file);
    let _ = fs::remove_file(&temporary);
    match linked {
        Err(e) if !file.exists() => Err(failed(file, e)),
        _ => Ok(()),
    }
}

/// As `write_secret`, in the place of a file that may be there.
pub(crate) fn replace_secret(file: &Path, text: &str) -> Result<(), Refusal> {
    let temporary = written_beside(file, text)?;
    fs::rename(&temporary, file).map_err(|e| failed(file, e))
}

/// The file that is to become `file`.
fn written_beside(file: &Path, text: &str) -> Result<PathBuf, Refusal> {
    let dir = file.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    fs::create_dir_all(&dir).map_err(|e| failed(&dir, e))?;
    let temporary = dir.join(format!(".{}", uuid::Uuid::new_v4()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(&temporary).map_err(|e| failed(&temporary, e))?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(|e| failed(&temporary, e))?;
    Ok(temporary)
}

pub(crate) fn failed(file: &Path, error: impl std::fmt::Display) -> Refusal {
    Refusal::Internal(format!("key file {}: {error}", file.display()))
}
