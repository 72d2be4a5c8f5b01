//! `registrations.csv`: kept as its bytes, blemishes and all, and cut into the phases' parts by the day of each row.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use csv::ByteRecord;
use tahuka_chassis::Refusal;

use super::values::Day;
use super::{Phase, bad};

/// The size at which a chunk is sent.
const CHUNK: usize = 64 * 1024;

pub struct Registrations {
    bytes: Vec<u8>,
    header: Range<usize>,
    /// The rows of each phase.
    rows: Vec<Vec<Range<usize>>>,
    phase_of: HashMap<String, usize>,
}

impl Registrations {
    pub fn read(path: &Path, phases: &[Phase]) -> Result<Self, Refusal> {
        let bytes = std::fs::read(path).map_err(|e| bad(path, e))?;
        Self::cut(path, bytes, phases)
    }

    /// A row whose day cannot be read, or lies in no phase, goes with the row before it.
    fn cut(path: &Path, bytes: Vec<u8>, phases: &[Phase]) -> Result<Self, Refusal> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
        let header = reader.byte_headers().map_err(|e| bad(path, e))?.clone();
        let column = |name: &str| {
            let at = header.iter().position(|cell| cell == name.as_bytes());
            at.ok_or_else(|| bad(path, format!("row 1: the column {name} is missing")))
        };
        let (submission, day) = (column("submission_id")?, column("submitted_on")?);
        let text = |record: &ByteRecord, at: usize| {
            record.get(at).and_then(|cell| std::str::from_utf8(cell).ok()).unwrap_or_default().trim().to_owned()
        };

        let mut starts = Vec::new();
        let mut belongs = Vec::new();
        let mut phase_of = HashMap::new();
        let mut current = 0;
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|e| bad(path, e))? {
            let start = record.position().map_or(0, csv::Position::byte);
            starts.push(usize::try_from(start).map_err(|e| bad(path, e))?);
            if let Some(on) = Day::read(&text(&record, day)) {
                let of = phases.iter().position(|p| p.registered_from <= on && on <= p.registered_to);
                current = of.unwrap_or(current);
            }
            belongs.push(current);
            // A submission that comes again stays where it came first.
            phase_of.entry(text(&record, submission)).or_insert(current);
        }
        let mut rows = vec![Vec::new(); phases.len()];
        for (i, phase) in belongs.iter().enumerate() {
            let end = starts.get(i + 1).copied().unwrap_or(bytes.len());
            let range = starts.get(i).copied().unwrap_or(end)..end;
            if let Some(rows) = rows.get_mut(*phase) {
                rows.push(range);
            }
        }
        let header = 0..starts.first().copied().unwrap_or(bytes.len());
        Ok(Registrations { bytes, header, rows, phase_of })
    }

    /// Which phase, by its place in the list, registers this submission.
    pub fn phase_of(&self, submission: &str) -> Option<usize> {
        self.phase_of.get(submission).copied()
    }

    pub fn count(&self, phase: usize) -> usize {
        self.rows.get(phase).map_or(0, Vec::len)
    }

    /// The phase's file in chunks, each with the rows that it ends.
    pub fn chunks(&self, phase: usize) -> Vec<(Vec<u8>, u64)> {
        let mut chunks = Vec::new();
        let mut chunk = self.bytes.get(self.header.clone()).unwrap_or_default().to_vec();
        let mut rows = 0;
        for range in self.rows.get(phase).into_iter().flatten() {
            chunk.extend_from_slice(self.bytes.get(range.clone()).unwrap_or_default());
            // The file's last row may come without an end of line, and need not be the phase's last.
            if chunk.last() != Some(&b'\n') {
                chunk.push(b'\n');
            }
            rows += 1;
            if chunk.len() >= CHUNK {
                chunks.push((std::mem::take(&mut chunk), std::mem::take(&mut rows)));
            }
        }
        if !chunk.is_empty() {
            chunks.push((chunk, rows));
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_with_their_phase_and_undated_ones_with_the_row_before() {
        let phase = |code: &str, from: &str, to: &str| Phase {
            code: code.into(),
            registered_from: Day::read(from).unwrap(),
            registered_to: Day::read(to).unwrap(),
        };
        let phases = [phase("I", "2010-09-01", "2011-03-31"), phase("II", "2011-04-01", "2012-03-31")];
        let file = "submission_id,submitted_on,surname\na,2011-01-03,\"UWI,\nMANA\"\nb,2011-02-30,X\nc,2011-04-01,Y\nd,,Z\na,2011-05-01,Q\ne,1999-01-01,short";
        let cut = Registrations::cut(Path::new("registrations.csv"), file.as_bytes().to_vec(), &phases).unwrap();
        let text = |phase| String::from_utf8(cut.chunks(phase).into_iter().flat_map(|(bytes, _)| bytes).collect()).unwrap();
        assert_eq!(text(0), "submission_id,submitted_on,surname\na,2011-01-03,\"UWI,\nMANA\"\nb,2011-02-30,X\n");
        assert_eq!(text(1), "submission_id,submitted_on,surname\nc,2011-04-01,Y\nd,,Z\na,2011-05-01,Q\ne,1999-01-01,short\n");
        assert_eq!((cut.count(0), cut.count(1)), (2, 4));
        assert_eq!((cut.phase_of("a"), cut.phase_of("e"), cut.phase_of("x")), (Some(0), Some(1), None));
    }
}
