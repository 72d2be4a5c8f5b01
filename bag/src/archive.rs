//! A bag in one file: a tar, which may be compressed (gzip), and encrypted to the recipient (age). What comes from
//! elsewhere is unpacked under suspicion: only files that the manifest names, none larger than it says, no links, no path
//! that climbs out, nothing that expands without end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use crate::verify::{Check, Fault};
use crate::{Envelope, Error, Handover, Result, agreement, manifest, payload};

/// No archive expands to more than so many times its size, if it is one of records.
const EXPANDS: u64 = 100;
/// Small archives may compress better than that.
const LEAST_LIMIT: u64 = 64 << 20;
const LARGEST_TAG: u64 = 64 << 20;
/// Headers of names and times that some programs put before a file.
const LARGEST_EXTRA: u64 = 64 << 10;

/// Writes the bag of a folder as a tar: the manifest first, so that a reader knows what may follow. With a recipient
/// (`age1…`), encrypted to it.
pub fn pack<W: Write>(root: &Path, out: W, recipient: Option<&str>) -> Result<()> {
    let Some(recipient) = recipient else { return pack_plain(root, BufWriter::new(out)).map(drop) };
    let failed = |e: &dyn std::fmt::Display| Error::Key(format!("cannot encrypt: {e}"));
    let to: age::x25519::Recipient = recipient.parse().map_err(|e: &str| failed(&e))?;
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&to as &dyn age::Recipient)).map_err(|e| failed(&e))?;
    let encrypted = encryptor.wrap_output(BufWriter::new(out)).map_err(|e| failed(&e))?;
    pack_plain(root, encrypted)?.finish().and_then(|mut out| out.flush()).map_err(|e| failed(&e))
}

fn pack_plain<W: Write>(root: &Path, out: W) -> Result<W> {
    let path = root.join(manifest::PATH);
    let handover = Handover::open(&Envelope::parse(&fs::read(&path).map_err(Error::file(&path))?)?)?;
    let folder = format!("handover-{}-{}", handover.tranche.id, handover.tranche.bundle_number);
    if !folder.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Error::Format("the tranche's id is not a plain one".to_owned()));
    }
    let mut names =
        vec![manifest::PATH, payload::BAGIT, payload::BAG_INFO, payload::MANIFEST, payload::TAG_MANIFEST, agreement::PATH];
    names.extend(handover.services.values().flat_map(|slice| slice.files.keys()).map(String::as_str));
    let mut builder = Builder::new(out);
    for name in names {
        let path = root.join(name);
        let file = File::open(&path).map_err(Error::file(&path))?;
        let size = file.metadata().map_err(Error::file(&path))?.len();
        // The same bag makes the same archive.
        let mut header = Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o600);
        header.set_entry_type(EntryType::Regular);
        let appended = builder.append_data(&mut header, format!("{folder}/{name}"), BufReader::new(file).take(size));
        appended.map_err(Error::file(&path))?;
    }
    builder.into_inner().map_err(Error::file(root))
}

/// Unpacks an archive into an empty folder: its files, and no others. What is in them is for `verify` to judge.
pub fn unpack(archive: &Path, into: &Path, identity: Option<&str>) -> Result<(), Fault> {
    let handover = find_manifest(archive, identity)?;
    let mut allowed: BTreeMap<&str, u64> = BTreeMap::new();
    for tag in [manifest::PATH, payload::BAGIT, payload::BAG_INFO, payload::MANIFEST, payload::TAG_MANIFEST, agreement::PATH] {
        allowed.insert(tag, LARGEST_TAG);
    }
    for (path, file) in handover.services.values().flat_map(|slice| &slice.files) {
        if !payload::is_payload_path(path) {
            return Err(fault(manifest::PATH, format!("names {path:?}, which is no path of a bag")));
        }
        allowed.insert(path, file.bytes);
    }

    let mut seen: BTreeSet<String> = BTreeSet::new();
    walk(archive, identity, |path, entry| {
        let Some(most) = allowed.get(path) else { return Err(fault(path, "does not belong to the bundle")) };
        if entry.size() > *most {
            return Err(fault(path, format!("is larger than the {most} bytes that the manifest allows")));
        }
        if !seen.insert(path.to_owned()) {
            return Err(fault(path, "is in the archive twice"));
        }
        let to = into.join(path);
        let written = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&to)?;
            let copied = io::copy(&mut entry.by_ref().take(*most), &mut file)?;
            Ok(copied)
        });
        match written {
            Ok(copied) if copied == entry.size() => Ok(Go::On),
            Ok(_) => Err(fault(path, "is cut off")),
            Err(e) => Err(fault(path, broken(&e))),
        }
    })
}

enum Go {
    On,
    Stop,
}

/// The manifest says what may be in the archive, wherever in the archive it stands.
fn find_manifest(archive: &Path, identity: Option<&str>) -> Result<Handover, Fault> {
    let mut found = None;
    walk(archive, identity, |path, entry| {
        if path != manifest::PATH {
            return Ok(Go::On);
        }
        if entry.size() > LARGEST_TAG {
            return Err(fault(path, format!("is larger than {LARGEST_TAG} bytes")));
        }
        let mut bytes = Vec::new();
        entry.by_ref().take(LARGEST_TAG).read_to_end(&mut bytes).map_err(|e| fault(path, broken(&e)))?;
        if bytes.len() as u64 != entry.size() {
            return Err(fault(path, "the archive is cut off"));
        }
        let opened = Envelope::parse(&bytes).and_then(|envelope| Handover::open(&envelope));
        found = Some(opened.map_err(|e| Fault { check: Check::Format, ..fault(path, e.to_string()) })?);
        Ok(Go::Stop)
    })?;
    found.ok_or_else(|| fault(manifest::PATH, "is missing"))
}

/// Visits the files of an archive by their path from the bag's root. What is not a file or a folder is refused.
fn walk(
    archive: &Path,
    identity: Option<&str>,
    mut visit: impl FnMut(&str, &mut tar::Entry<'_, Metered>) -> Result<Go, Fault>,
) -> Result<(), Fault> {
    let failed = |e: io::Error| fault("", broken(&e));
    let mut tar = Archive::new(open(archive, identity)?);
    let mut end = 0;
    let mut top: Option<String> = None;
    // Raw: names that go over several headers are not put together, so that none can fill the memory.
    for entry in tar.entries().map_err(failed)?.raw(true) {
        let mut entry = entry.map_err(failed)?;
        end = entry.raw_file_position() + entry.size().div_ceil(512) * 512;
        let name =
            String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| fault("", "has a name that is not valid UTF-8"))?;
        let shown: String = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect();
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Directory => {
                inside(&name).ok_or_else(|| fault(&shown, "climbs out of the bundle"))?;
                continue;
            }
            EntryType::XHeader | EntryType::XGlobalHeader if entry.size() <= LARGEST_EXTRA => continue,
            EntryType::Symlink | EntryType::Link => return Err(fault(&shown, "is a link, which a bundle never has")),
            _ => return Err(fault(&shown, "is not a plain file")),
        }
        let parts = inside(&name).ok_or_else(|| fault(&shown, "climbs out of the bundle"))?;
        // All of it may be in one folder.
        let at_root = |first: &str| first == "data" || (parts.len() == 1 && top.is_none());
        let path = match parts.split_first() {
            Some((first, _)) if at_root(first) => parts.join("/"),
            Some((first, rest)) if top.as_deref().is_none_or(|top| top == *first) => {
                top = Some((*first).to_owned());
                rest.join("/")
            }
            _ => return Err(fault(&shown, "does not belong to the bundle")),
        };
        if let Go::Stop = visit(&path, &mut entry)? {
            return Ok(());
        }
    }
    let mut source = tar.into_inner();
    io::copy(&mut source, &mut io::sink()).map_err(failed)?;
    // A tar ends with two blocks of nothing; without them, who knows what came after.
    if source.read < end + 1024 { Err(fault("", "the archive is cut off")) } else { Ok(()) }
}

/// The names of a path that stays where it is.
fn inside(path: &str) -> Option<Vec<&str>> {
    if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") { None } else { Some(parts) }
}

fn fault(file: &str, why: impl Into<String>) -> Fault {
    Fault { check: Check::Structure, file: file.to_owned(), line: None, why: why.into() }
}

fn broken(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "the archive is cut off".to_owned(),
        _ => format!("the archive cannot be read: {e}"),
    }
}

/// Counts what comes out, and ends where it is too much for what went in.
struct Metered {
    inner: Box<dyn Read>,
    read: u64,
    limit: u64,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        if self.read > self.limit {
            return Err(io::Error::other(format!("it expands to more than {EXPANDS} times its size")));
        }
        Ok(read)
    }
}

/// Takes off encryption and compression, as the first bytes tell.
fn open(archive: &Path, identity: Option<&str>) -> Result<Metered, Fault> {
    let failed = |e: io::Error| fault("", broken(&e));
    let file = File::open(archive).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut inner: Box<dyn Read> = Box::new(BufReader::with_capacity(256 << 10, file));
    let (mut head, mut again) = peek(inner).map_err(failed)?;
    if head.starts_with(b"age-encryption.org/") {
        inner = decrypted(again, identity)?;
        (head, again) = peek(inner).map_err(failed)?;
    }
    if head.starts_with(b"-----BEGIN AGE") {
        return Err(fault("", "it is encrypted in text form; take the armour off (age -d) first"));
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        again = Box::new(flate2::read::GzDecoder::new(again));
    } else if head.starts_with(b"PK") {
        return Err(fault("", "it is a zip archive; a bundle is a folder or a tar"));
    }
    let limit = size.saturating_mul(EXPANDS).max(LEAST_LIMIT);
    Ok(Metered { inner: again, read: 0, limit })
}

/// The first bytes, and a reader that begins with them again.
fn peek(mut inner: Box<dyn Read>) -> io::Result<(Vec<u8>, Box<dyn Read>)> {
    let mut head = Vec::new();
    inner.by_ref().take(32).read_to_end(&mut head)?;
    let again: Box<dyn Read> = Box::new(io::Cursor::new(head.clone()).chain(inner));
    Ok((head, again))
}

/// `identity`: the text of an identity file of age.
fn decrypted(inner: Box<dyn Read>, identity: Option<&str>) -> Result<Box<dyn Read>, Fault> {
    let text =
        identity.ok_or_else(|| fault("", "it is encrypted: tell the identity that it is encrypted to (--identity FILE)"))?;
    let keys: Vec<age::x25519::Identity> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    if keys.is_empty() {
        return Err(fault("", "there is no identity (AGE-SECRET-KEY-1...) in the file"));
    }
    let opened = age::Decryptor::new(inner).and_then(|d| d.decrypt(keys.iter().map(|key| key as &dyn age::Identity)));
    match opened {
        Ok(reader) => Ok(Box::new(BufReader::with_capacity(256 << 10, reader))),
        Err(_) => Err(fault("", "it is not encrypted to this identity, or has been changed")),
    }
}

/// A new identity of age and its recipient: what a ministry keeps, and what it gives to the sender.
pub fn new_identity() -> (String, String) {
    use age::secrecy::ExposeSecret;
    let identity = age::x25519::Identity::generate();
    (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string())
}
