//! Digests of a table's rows as COPY tells them: one line each, whatever is in them.

use sha2::{Digest as _, Sha256};

/// Takes the rows as they come, in pieces of any size.
#[derive(Default)]
pub(super) struct Content {
    pub rows: u64,
    pub bytes: u64,
    whole: Sha256,
    line: Sha256,
    /// The sum of the rows' digests: the order of rows is the database's to choose, and may differ in a copy.
    sum: u128,
}

impl Content {
    pub fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.whole.update(piece);
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.update(part);
            if part.ends_with(b"\n") {
                self.rows += 1;
                let digest = self.line.finalize_reset();
                let (first, _) = digest.split_at(16);
                self.sum = self.sum.wrapping_add(first.iter().fold(0, |sum, byte| (sum << 8) | u128::from(*byte)));
            }
        }
    }

    /// In the order in which the rows came.
    pub fn sha256(&self) -> String {
        hex::encode(self.whole.clone().finalize())
    }

    /// In any order.
    pub fn content(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&str]) -> Content {
        let mut content = Content::default();
        pieces.iter().for_each(|piece| content.take(piece.as_bytes()));
        content
    }

    #[test]
    fn pieces_and_the_order_of_rows_do_not_matter_and_every_byte_does() {
        let told = of(&["a\tb\n", "c\td\n"]);
        assert_eq!((told.rows, told.bytes), (2, 8));
        let (in_pieces, turned) = (of(&["a\t", "b\nc", "\td\n"]), of(&["c\td\n", "a\tb\n"]));
        assert_eq!((in_pieces.sha256(), in_pieces.content()), (told.sha256(), told.content()));
        assert_eq!(turned.content(), told.content());
        assert_ne!(turned.sha256(), told.sha256());
        for other in [of(&["a\tb\n", "c\te\n"]), of(&["a\tb\n"]), of(&["a\tb\n", "a\tb\n", "c\td\n"])] {
            assert_ne!(other.content(), told.content());
        }
    }
}
