//! Text on A4 pages, in the fonts that every PDF reader has. A page that is full is followed by another.

use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 56.0;
/// Where what follows a label begins.
const SECOND: f32 = 170.0;
const PLAIN: Name<'static> = Name(b"F1");
const BOLD: Name<'static> = Name(b"F2");
const FIXED: Name<'static> = Name(b"F3");

pub struct Paper {
    title: String,
    pages: Vec<Content>,
    content: Content,
    y: f32,
}

impl Paper {
    pub fn new(title: &str) -> Self {
        Paper { title: title.to_owned(), pages: Vec::new(), content: Content::new(), y: HEIGHT - MARGIN }
    }

    fn down(&mut self, by: f32) {
        self.y -= by;
        if self.y < MARGIN {
            self.pages.push(std::mem::replace(&mut self.content, Content::new()));
            self.y = HEIGHT - MARGIN - by;
        }
    }

    fn put(&mut self, x: f32, font: Name<'_>, size: f32, text: &str) {
        self.content.begin_text().set_font(font, size).next_line(x, self.y).show(Str(&latin(text))).end_text();
    }

    /// Lines of about `width` characters, from `x` on.
    fn lines(&mut self, x: f32, font: Name<'_>, size: f32, text: &str) {
        let width = ((WIDTH - MARGIN - x) / (size * 0.52)) as usize;
        for (n, line) in wrapped(text, width).iter().enumerate() {
            if n > 0 {
                self.down(size * 1.3);
            }
            self.put(x, font, size, line);
        }
    }

    pub fn title(&mut self, text: &str) {
        self.down(18.0);
        self.put(MARGIN, BOLD, 20.0, text);
        self.down(6.0);
    }

    pub fn heading(&mut self, text: &str) {
        self.down(26.0);
        self.put(MARGIN, BOLD, 12.0, text);
        self.down(4.0);
    }

    pub fn text(&mut self, text: &str) {
        self.down(14.0);
        self.lines(MARGIN, PLAIN, 10.0, text);
    }

    pub fn small(&mut self, text: &str) {
        self.down(13.0);
        self.lines(MARGIN, PLAIN, 8.0, text);
    }

    pub fn gap(&mut self) {
        self.down(8.0);
    }

    pub fn pair(&mut self, label: &str, text: &str) {
        self.down(14.0);
        self.put(MARGIN, BOLD, 9.0, label);
        self.lines(SECOND, PLAIN, 9.0, text);
    }

    /// A figure at the end of its line.
    pub fn figure(&mut self, label: &str, value: &str) {
        self.down(12.0);
        self.put(MARGIN, PLAIN, 9.0, label);
        // Every letter of this font is six tenths of its size wide.
        let x = WIDTH - MARGIN - 9.0 * 0.6 * value.chars().count() as f32;
        self.put(x, FIXED, 9.0, value);
    }

    /// What is compared letter by letter.
    pub fn code(&mut self, text: &str) {
        self.down(11.0);
        self.put(SECOND, FIXED, 7.0, text.get(..79).unwrap_or(text));
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.pages.push(self.content);
        let mut pdf = Pdf::new();
        let (catalog, tree, info, fonts) = (Ref::new(1), Ref::new(2), Ref::new(3), [Ref::new(4), Ref::new(5), Ref::new(6)]);
        let count = i32::try_from(self.pages.len()).unwrap_or_default();
        pdf.catalog(catalog).pages(tree);
        pdf.pages(tree).kids((0..count).map(|n| Ref::new(10 + 2 * n))).count(count);
        pdf.document_info(info).title(TextStr(&self.title)).producer(TextStr("Tahuka"));
        for (font, name) in fonts.iter().zip(["Helvetica", "Helvetica-Bold", "Courier"]) {
            pdf.type1_font(*font).base_font(Name(name.as_bytes())).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        for (n, content) in (0..count).zip(self.pages) {
            let (page, stream) = (Ref::new(10 + 2 * n), Ref::new(11 + 2 * n));
            let mut sheet = pdf.page(page);
            sheet.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(tree).contents(stream);
            let mut resources = sheet.resources();
            let mut named = resources.fonts();
            for (name, font) in [PLAIN, BOLD, FIXED].into_iter().zip(fonts) {
                named.pair(name, font);
            }
            named.finish();
            resources.finish();
            sheet.finish();
            pdf.stream(stream, &content.finish());
        }
        pdf.finish()
    }
}

/// As these fonts take it: Latin letters; anything else is a question mark.
fn latin(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| match u8::try_from(u32::from(c)) {
            Ok(byte) if !c.is_control() => byte,
            _ => b'?',
        })
        .collect()
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_is_followed_by_another() {
        let mut paper = Paper::new("Test");
        for n in 0..100 {
            paper.figure(&format!("goats {n}"), "1,234");
        }
        let pdf = paper.finish();
        assert!(pdf.starts_with(b"%PDF-") && pdf.ends_with(b"%%EOF"));
        let pages = String::from_utf8_lossy(&pdf).matches("/Type /Page\n").count();
        assert_eq!(pages, 2);
    }

    #[test]
    fn long_texts_are_wrapped_and_strange_letters_are_marked() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(latin("été ∞"), [0xe9, b't', 0xe9, b' ', b'?']);
    }
}
