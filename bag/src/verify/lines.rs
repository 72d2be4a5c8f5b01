//! A file read once: its digest and its lines out of the same buffer, which is as large as the longest line and no larger
//! than a fixed size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

const CHUNK: usize = 256 << 10;
/// No record that a service writes is longer.
const LONGEST: usize = 32 << 20;

pub struct Lines {
    file: File,
    hasher: Sha256,
    buffer: Vec<u8>,
    /// Where the next line begins, and where what has been read ends.
    from: usize,
    to: usize,
    bytes: u64,
    ended: bool,
}

pub enum Next {
    /// Where the line is in the buffer, without its end.
    Line(usize, usize),
    /// The last line has no end: something is cut off.
    CutOff,
    /// Longer than any record is.
    TooLong,
    End,
}

impl Lines {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Lines { file, hasher: Sha256::new(), buffer: vec![0; 2 * CHUNK], from: 0, to: 0, bytes: 0, ended: false })
    }

    pub fn next(&mut self) -> io::Result<Next> {
        let mut looked = self.from;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[looked..self.to]) {
                let line = (self.from, looked + at);
                self.from = looked + at + 1;
                return Ok(Next::Line(line.0, line.1));
            }
            looked = self.to - self.from;
            if self.ended {
                return Ok(if looked == 0 { Next::End } else { Next::CutOff });
            }
            if looked > LONGEST {
                return Ok(Next::TooLong);
            }
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, looked);
            if self.buffer.len() < self.to + CHUNK {
                self.buffer.resize(2 * self.buffer.len(), 0);
            }
            let read = self.file.read(&mut self.buffer[self.to..])?;
            self.hasher.update(&self.buffer[self.to..self.to + read]);
            self.to += read;
            self.bytes += read as u64;
            self.ended = read == 0;
        }
    }

    pub fn slice(&self, from: usize, to: usize) -> &[u8] {
        &self.buffer[from..to]
    }

    /// Reads what is left; length and SHA-256 (hex) of the whole file.
    pub fn finish(mut self) -> io::Result<(u64, String)> {
        while !self.ended {
            let read = self.file.read(&mut self.buffer)?;
            self.hasher.update(&self.buffer[..read]);
            self.bytes += read as u64;
            self.ended = read == 0;
        }
        Ok((self.bytes, hex::encode(self.hasher.finalize())))
    }
}
