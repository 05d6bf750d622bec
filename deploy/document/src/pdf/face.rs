//! The two faces of the font: what is how wide, and the letters that were used, as a PDF wants them.

use std::collections::BTreeMap;

use pdf_writer::{
    Filter, Finish as _, Name, Pdf, Rect, Ref, Str,
    types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap},
};
use subsetter::GlyphRemapper;
use ttf_parser::GlyphId;

use super::packed;
use crate::DocumentError;

/// Regular and strong. Liberation Serif 2.1.5, SIL OFL 1.1 (`fonts/LICENSE`).
const FILES: [(&[u8], &[u8]); 2] = [
    (b"VONGGA+LiberationSerif", include_bytes!("../../fonts/LiberationSerif-Regular.ttf")),
    (b"VONGGA+LiberationSerif-Bold", include_bytes!("../../fonts/LiberationSerif-Bold.ttf")),
];

const SYSTEM: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// Widths in a PDF are thousandths of the size.
const UNITS: f32 = 1_000.0;

/// Both faces.
pub(super) struct Faces(pub(super) [Face; 2]);

/// One face.
pub(super) struct Face {
    name: &'static [u8],
    data: &'static [u8],
    face: ttf_parser::Face<'static>,
    remapper: GlyphRemapper,
    /// Letters that were used, by their number in the file.
    used: BTreeMap<u16, (char, f32)>,
}

impl Faces {
    pub(super) fn new() -> Result<Self, DocumentError> {
        let [regular, strong] = FILES;
        Ok(Self([Face::new(regular)?, Face::new(strong)?]))
    }

    /// A text in which what the font has no letter for is shown by its number.
    pub(super) fn known(&self, text: &str) -> String {
        let mut known = String::with_capacity(text.len());
        for character in text.chars() {
            if self.0.iter().all(|face| face.face.glyph_index(character).is_some()) {
                known.push(character);
            } else {
                known.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
        }
        known
    }

    /// How wide a text is.
    pub(super) fn width(&self, text: &str, strong: bool, size: f32) -> f32 {
        let face = &self.0[usize::from(strong)];
        text.chars().map(|character| face.advance(character)).sum::<f32>() * size / UNITS
    }
}

impl Face {
    /// Objects of a face in a file.
    pub(super) const OBJECTS: i32 = 5;

    fn new((name, data): (&'static [u8], &'static [u8])) -> Result<Self, DocumentError> {
        let face = ttf_parser::Face::parse(data, 0)
            .map_err(|error| DocumentError::Font(error.to_string()))?;
        Ok(Self { name, data, face, remapper: GlyphRemapper::new(), used: BTreeMap::new() })
    }

    fn scaled(&self, units: f32) -> f32 {
        units * UNITS / f32::from(self.face.units_per_em())
    }

    fn advance(&self, character: char) -> f32 {
        let glyph = self.face.glyph_index(character).unwrap_or(GlyphId(0));
        self.scaled(f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)))
    }

    /// The letters of a text by their numbers in the file.
    pub(super) fn encode(&mut self, text: &str) -> Vec<u8> {
        let mut glyphs = Vec::with_capacity(text.len() * 2);
        for character in text.chars() {
            let glyph = self.face.glyph_index(character).unwrap_or(GlyphId(0));
            let number = self.remapper.remap(glyph.0);
            let width = self.advance(character);
            self.used.entry(number).or_insert((character, width));
            glyphs.extend(number.to_be_bytes());
        }
        glyphs
    }

    /// Writes the letters that were used, with what they are as text.
    pub(super) fn write(&self, pdf: &mut Pdf, first: Ref) -> Result<(), DocumentError> {
        let id = |number: i32| Ref::new(first.get() + number);
        let (cid, descriptor, map, file) = (id(1), id(2), id(3), id(4));
        let subset = subsetter::subset(self.data, 0, &self.remapper)
            .map_err(|error| DocumentError::Font(error.to_string()))?;
        pdf.type0_font(first)
            .base_font(Name(self.name))
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(map);
        let mut font = pdf.cid_font(cid);
        font.subtype(CidFontType::Type2).base_font(Name(self.name)).system_info(SYSTEM);
        font.font_descriptor(descriptor).default_width(0.0);
        font.cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = font.widths();
        for (number, (_, width)) in &self.used {
            widths.consecutive(*number, [*width]);
        }
        widths.finish();
        font.finish();
        let bounds = self.face.global_bounding_box();
        let scaled = |units: i16| self.scaled(f32::from(units));
        pdf.font_descriptor(descriptor)
            .name(Name(self.name))
            .flags(FontFlags::SERIF | FontFlags::SYMBOLIC)
            .bbox(Rect::new(
                scaled(bounds.x_min),
                scaled(bounds.y_min),
                scaled(bounds.x_max),
                scaled(bounds.y_max),
            ))
            .italic_angle(0.0)
            .ascent(scaled(self.face.ascender()))
            .descent(scaled(self.face.descender()))
            .cap_height(scaled(self.face.capital_height().unwrap_or(self.face.ascender())))
            .stem_v(if self.face.is_bold() { 140.0 } else { 80.0 })
            .font_file2(file);
        let mut letters = UnicodeCmap::new(Name(b"Letters"), SYSTEM);
        for (number, (character, _)) in &self.used {
            letters.pair(*number, *character);
        }
        pdf.cmap(map, &letters.finish());
        let packed = packed(&subset);
        let length = i32::try_from(subset.len()).unwrap_or(i32::MAX);
        let mut stream = pdf.stream(file, &packed);
        stream.filter(Filter::FlateDecode).pair(Name(b"Length1"), length);
        stream.finish();
        Ok(())
    }
}
