//! A bag as it comes over the wire, into a folder.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use tahuka_chassis::Refusal;
use tahuka_proto::handover::v1::ReadBundleResponse;
use tonic::Streaming;

/// How many files and bytes were written. The folder must not be there, or be empty: nothing is mixed.
pub async fn into(mut answer: Streaming<ReadBundleResponse>, dir: &Path) -> Result<(usize, u64), Refusal> {
    let failed = |e: std::io::Error| Refusal::invalid("--into", format!("{}: {e}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(Refusal::invalid("--into", "must be an empty folder, or none yet"));
    }
    let mut seen = BTreeSet::new();
    let mut open: Option<(String, BufWriter<std::fs::File>)> = None;
    let mut bytes = 0;
    while let Some(piece) = answer.message().await? {
        if open.as_ref().is_none_or(|(path, _)| *path != piece.path) {
            if let Some((_, mut file)) = open.take() {
                file.flush().map_err(failed)?;
            }
            if !plain(&piece.path) || !seen.insert(piece.path.clone()) {
                return Err(Refusal::internal("the platform sends a file that is no part of a bag"));
            }
            let place = dir.join(&piece.path);
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            open = Some((piece.path, BufWriter::new(std::fs::File::create_new(place).map_err(failed)?)));
        }
        if let Some((_, file)) = &mut open {
            file.write_all(&piece.chunk).map_err(failed)?;
            bytes += piece.chunk.len() as u64;
        }
    }
    if let Some((_, mut file)) = open {
        file.flush().map_err(failed)?;
    }
    Ok((seen.len(), bytes))
}

/// A path that stays below the folder, whatever the platform says.
fn plain(path: &str) -> bool {
    let name = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
    path.split('/').all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_outside_the_folder() {
        assert!(plain("data/registry/household.jsonl") && plain("bagit.txt"));
        for path in ["", "../x", "/etc/passwd", "data/../../x", "data//x", "data/.hidden", "c:x", "data\\x"] {
            assert!(!plain(path), "{path}");
        }
    }
}
