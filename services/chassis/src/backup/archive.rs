//! The archive on disk: a tar of pieces, compressed, the manifest last. It holds personal data, so it is its owner's alone.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::content::Content;
use super::{FORMAT, FilePart, Manifest};
use crate::refusal::Refusal;

const MANIFEST: &str = "manifest.json";
/// Of a piece: what is held in memory at a time.
pub(super) const PIECE: usize = 4 << 20;

/// The finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub bytes: u64,
    pub sha256: String,
}

/// An archive that is being written, beside its place until it is whole.
pub(super) struct Writer {
    tar: Option<tar::Builder<GzEncoder<Counted>>>,
    beside: PathBuf,
    place: PathBuf,
    pieces: u64,
}

/// Counts what goes into the file.
struct Counted {
    file: File,
    bytes: u64,
    digest: Sha256,
}

impl Write for Counted {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let written = self.file.write(part)?;
        self.bytes += written as u64;
        self.digest.update(part.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn failed(file: &Path, e: impl std::fmt::Display) -> Refusal {
    Refusal::internal(format!("archive {}: {e}", file.display()))
}

impl Writer {
    /// Refused where the file is there already.
    pub fn create(place: &Path) -> Result<Self, Refusal> {
        if place.exists() {
            return Err(Refusal::invalid("--out", format!("{} is there already", place.display())));
        }
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let beside = place.with_file_name(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&beside).map_err(|e| failed(&beside, e))?;
        let counted = Counted { file, bytes: 0, digest: Sha256::new() };
        let tar = tar::Builder::new(GzEncoder::new(counted, Compression::new(3)));
        Ok(Writer { tar: Some(tar), beside, place: place.to_owned(), pieces: 0 })
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(crate::clock::now().timestamp()).unwrap_or_default());
        header.set_cksum();
        let tar = self.tar.as_mut().ok_or_else(|| Refusal::internal("the archive is closed"))?;
        tar.append_data(&mut header, name, bytes).map_err(|e| failed(&self.beside, e))
    }

    /// The next piece of `part`; pieces of one part follow each other.
    pub fn piece(&mut self, part: &str, bytes: &[u8]) -> Result<(), Refusal> {
        self.pieces += 1;
        self.entry(&format!("{part}/{:08}", self.pieces), bytes)
    }

    /// A file, in pieces.
    pub fn file(&mut self, part: &str, file: &Path) -> Result<FilePart, Refusal> {
        let mut from = File::open(file).map_err(|e| failed(file, e))?;
        let (mut bytes, mut digest, mut piece) = (0, Sha256::new(), Vec::with_capacity(PIECE));
        loop {
            piece.clear();
            let read = (&mut from).take(PIECE as u64).read_to_end(&mut piece).map_err(|e| failed(file, e))?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            digest.update(&piece);
            self.piece(part, &piece)?;
        }
        Ok(FilePart { name: part.to_owned(), bytes, sha256: hex::encode(digest.finalize()) })
    }

    /// The manifest, and the archive takes its place.
    pub fn finish(mut self, manifest: &Manifest) -> Result<Written, Refusal> {
        let text = serde_json::to_vec_pretty(manifest).map_err(Refusal::internal)?;
        self.entry(MANIFEST, &text)?;
        let tar = self.tar.take().ok_or_else(|| Refusal::internal("the archive is closed"))?;
        let counted = tar.into_inner().and_then(GzEncoder::finish).map_err(|e| failed(&self.beside, e))?;
        counted.file.sync_all().map_err(|e| failed(&self.beside, e))?;
        fs::rename(&self.beside, &self.place).map_err(|e| failed(&self.place, e))?;
        Ok(Written { bytes: counted.bytes, sha256: hex::encode(counted.digest.finalize()) })
    }
}

impl Drop for Writer {
    /// What was not finished is of no use to anybody.
    fn drop(&mut self) {
        if self.tar.take().is_some() {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Hands each entry's part and bytes to `take`, in their order.
fn walk(file: &Path, mut take: impl FnMut(&str, Vec<u8>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let open = File::open(file).map_err(|e| failed(file, e))?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(open)));
    for entry in tar.entries().map_err(|e| failed(file, e))? {
        let mut entry = entry.map_err(|e| failed(file, e))?;
        let name = entry.path().map_err(|e| failed(file, e))?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| failed(file, e))?;
        let part = if name == MANIFEST { MANIFEST } else { name.rsplit_once('/').map_or("", |(part, _)| part) };
        take(part, bytes)?;
    }
    Ok(())
}

/// Reads the whole archive and checks every sum in it.
pub fn verify(file: &Path) -> Result<Manifest, Refusal> {
    let mut found: HashMap<String, Content> = HashMap::new();
    let mut manifest = None;
    walk(file, |part, bytes| {
        if part == MANIFEST {
            let told: Manifest = serde_json::from_slice(&bytes).map_err(|e| failed(file, e))?;
            manifest = Some(told);
        } else {
            found.entry(part.to_owned()).or_default().take(&bytes);
        }
        Ok(())
    })?;
    let broken =
        |what: &str| Refusal::precondition("ARCHIVE_BROKEN", format!("{}: {what}; take another archive", file.display()));
    let manifest = manifest.ok_or_else(|| broken("it has no manifest, so it is not whole"))?;
    if manifest.format > FORMAT {
        let advice = format!("{} has format {}; this binary reads up to {FORMAT}", file.display(), manifest.format);
        return Err(Refusal::precondition("ARCHIVE_TOO_NEW", advice));
    }
    let mut check = |part: &str, rows: Option<u64>, bytes: u64, sha256: &str| {
        let content = found.remove(part).unwrap_or_default();
        let whole = content.bytes == bytes && content.sha256() == sha256 && rows.is_none_or(|rows| rows == content.rows);
        if whole { Ok(()) } else { Err(broken(&format!("{part} is not as it was written"))) }
    };
    for service in &manifest.services {
        match &service.file {
            Some(file) => check(&file.name, None, file.bytes, &file.sha256)?,
            None => {
                for table in &service.tables {
                    check(&part(&service.service, &table.table), Some(table.rows), table.bytes, &table.sha256)?;
                }
            }
        }
    }
    for key in &manifest.keys {
        check(&key.name, None, key.bytes, &key.sha256)?;
    }
    match found.keys().next() {
        Some(stray) => Err(broken(&format!("{stray} is not in its manifest"))),
        None => Ok(manifest),
    }
}

/// The name of a table's part.
pub(super) fn part(service: &str, table: &str) -> String {
    format!("{service}/{table}")
}

/// The key files in the archive, each with its name below the directory of keys.
pub fn keys_in(file: &Path, manifest: &Manifest) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let mut keys: Vec<(String, Vec<u8>)> = Vec::new();
    if manifest.keys.is_empty() {
        return Ok(keys);
    }
    walk(file, |part, bytes| {
        if let Some(name) = part.strip_prefix("keys/") {
            keys.push((name.to_owned(), bytes));
        }
        Ok(())
    })?;
    Ok(keys)
}

/// The pieces, read and unpacked on a thread of their own while they are used.
pub(super) fn pieces(file: &Path) -> mpsc::Receiver<Result<(String, Bytes), Refusal>> {
    let (send, receive) = mpsc::channel(2);
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || {
        let gone = || Refusal::internal("nobody takes the archive's pieces");
        let walked = walk(&file, |part, bytes| {
            if part == MANIFEST {
                return Ok(());
            }
            send.blocking_send(Ok((part.to_owned(), bytes.into()))).map_err(|_| gone())
        });
        if let Err(refusal) = walked {
            let _ = send.blocking_send(Err(refusal));
        }
    });
    receive
}
