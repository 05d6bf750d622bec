//! A report as PDF 1.7: A4 with the margins of Decree 30/2020/NĐ-CP, in Liberation Serif (SIL OFL 1.1), which has all letters of Vietnamese
//! and the widths of the type that the decree asks for. Only the letters that are used go along, and each can be copied as text.

use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

use crate::{Document, DocumentError, clean};

mod face;
mod layout;

use face::{Face, Faces};
use layout::{HEIGHT, Mark, Page, WIDTH};

/// Names of the two faces in each page.
const NAMES: [Name<'static>; 2] = [Name(b"F0"), Name(b"F1")];

/// Numbers of the objects that every report has; pages come behind.
const CATALOG: i32 = 1;
const TREE: i32 = 2;
const INFO: i32 = 3;
const FACES: i32 = 4;
const PAGES: i32 = FACES + 2 * Face::OBJECTS;

/// The bytes of the file: the same for the same report.
///
/// # Errors
/// If the font does not read, or the report has too many pages.
pub fn write(document: &Document) -> Result<Vec<u8>, DocumentError> {
    let mut faces = Faces::new()?;
    let pages = layout::pages(document, &faces)?;
    let mut pdf = Pdf::new();
    let page = |at: usize| Ref::new(PAGES + 2 * i32::try_from(at).unwrap_or(i32::MAX / 4));
    let mut catalog = pdf.catalog(Ref::new(CATALOG));
    catalog.pages(Ref::new(TREE)).lang(TextStr(&document.lang));
    catalog.finish();
    pdf.document_info(Ref::new(INFO))
        .title(TextStr(&clean(&document.title)))
        .producer(TextStr("Vọng Gác"));
    pdf.pages(Ref::new(TREE))
        .kids((0..pages.len()).map(page))
        .count(i32::try_from(pages.len()).unwrap_or(i32::MAX));
    for (at, marks) in pages.iter().enumerate() {
        let (id, content) = (page(at), Ref::new(page(at).get() + 1));
        let mut written = pdf.page(id);
        written.parent(Ref::new(TREE)).media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT));
        written.contents(content);
        let mut resources = written.resources();
        let mut fonts = resources.fonts();
        for (number, name) in NAMES.into_iter().enumerate() {
            fonts.pair(name, face_ref(number));
        }
        fonts.finish();
        resources.finish();
        written.finish();
        let drawn = packed(&draw(marks, &mut faces));
        pdf.stream(content, &drawn).filter(Filter::FlateDecode);
    }
    for (number, face) in faces.0.iter().enumerate() {
        face.write(&mut pdf, face_ref(number))?;
    }
    Ok(pdf.finish())
}

fn face_ref(number: usize) -> Ref {
    Ref::new(FACES + i32::try_from(number).unwrap_or(0) * Face::OBJECTS)
}

fn draw(page: &Page, faces: &mut Faces) -> Vec<u8> {
    let mut content = Content::new();
    content.set_line_width(0.5);
    for mark in page {
        match mark {
            Mark::Rule { x, y, width } => {
                content.move_to(*x, *y).line_to(x + width, *y).stroke();
            }
            Mark::Text { x, y, size, strong, text } => {
                let number = usize::from(*strong);
                let glyphs = faces.0[number].encode(text);
                content.begin_text().set_font(NAMES[number], *size);
                content.next_line(*x, *y).show(Str(&glyphs)).end_text();
            }
        }
    }
    content.finish().into_vec()
}

/// Packed by zlib, at one level for ever.
fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
    // A vector takes all that is written to it.
    let written = encoder.write_all(bytes);
    match (written, encoder.finish()) {
        (Ok(()), Ok(packed)) => packed,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
