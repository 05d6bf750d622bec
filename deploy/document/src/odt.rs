//! A report as an OpenDocument text (ISO/IEC 26300, version 1.3): a package of XML that word processors open and people sign.

use std::io::{Cursor, Write as _};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{Block, Document, DocumentError, Line, Piece, clean};

const KIND: &str = "application/vnd.oasis.opendocument.text";

const SPACES: &str = concat!(
    r#"xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" "#,
    r#"xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" "#,
    r#"xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" "#,
    r#"xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" "#,
    r#"xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" "#,
    r#"xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0" "#,
    r#"xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.3""#,
);

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// Paragraphs and letters; the margins of Decree 30/2020/NĐ-CP are in the page of `STYLES`.
const OWN_STYLES: &str = concat!(
    r#"<style:style style:name="Middle" style:family="paragraph"><style:paragraph-properties fo:text-align="center"/></style:style>"#,
    r#"<style:style style:name="Title" style:family="paragraph"><style:paragraph-properties fo:text-align="center" fo:margin-top="12pt" fo:margin-bottom="12pt"/><style:text-properties fo:font-size="14pt" fo:font-weight="bold"/></style:style>"#,
    r#"<style:style style:name="Heading" style:family="paragraph"><style:paragraph-properties fo:margin-top="10pt" fo:margin-bottom="4pt" fo:keep-with-next="always"/><style:text-properties fo:font-weight="bold"/></style:style>"#,
    r#"<style:style style:name="Item" style:family="paragraph"><style:paragraph-properties fo:margin-left="1cm" fo:text-indent="-0.5cm"/></style:style>"#,
    r#"<style:style style:name="Strong" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>"#,
    r##"<style:style style:name="Missing" style:family="text"><style:text-properties fo:font-weight="bold" fo:background-color="#ffff00"/></style:style>"##,
    r##"<style:style style:name="Cell" style:family="table-cell"><style:table-cell-properties fo:border="0.5pt solid #000000" fo:padding="2pt"/></style:style>"##,
);

const STYLES: &str = concat!(
    r#"<office:styles><style:default-style style:family="paragraph"><style:paragraph-properties fo:margin-bottom="4pt"/>"#,
    r#"<style:text-properties style:font-name="Times New Roman" fo:font-family="'Times New Roman', 'Liberation Serif', serif" fo:font-size="13pt" fo:language="LANG" fo:country="COUNTRY"/>"#,
    r#"</style:default-style></office:styles><office:automatic-styles><style:page-layout style:name="A4">"#,
    r#"<style:page-layout-properties fo:page-width="21cm" fo:page-height="29.7cm" fo:margin-top="2cm" fo:margin-bottom="2cm" fo:margin-left="3cm" fo:margin-right="2cm"/>"#,
    r#"</style:page-layout></office:automatic-styles><office:master-styles><style:master-page style:name="Standard" style:page-layout-name="A4"/></office:master-styles>"#,
);

/// The bytes of the package: the same for the same report.
///
/// # Errors
/// If the package cannot be closed.
pub fn write(document: &Document) -> Result<Vec<u8>, DocumentError> {
    let mut package = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let packed = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    // First and as it is: that is how the kind of the file is known.
    package.start_file("mimetype", stored)?;
    package.write_all(KIND.as_bytes())?;
    let country = if document.lang == "vi" { "VN" } else { "GB" };
    let styles = STYLES.replace("LANG", &escape(&document.lang)).replace("COUNTRY", country);
    let meta = format!(
        "<office:meta><meta:generator>Vọng Gác</meta:generator><dc:title>{}</dc:title></office:meta>",
        escape(&document.title)
    );
    for (name, text) in [
        ("content.xml", content(document)),
        ("styles.xml", whole("document-styles", &styles)),
        ("meta.xml", whole("document-meta", &meta)),
        ("META-INF/manifest.xml", manifest()),
    ] {
        package.start_file(name, packed)?;
        package.write_all(text.as_bytes())?;
    }
    Ok(package.finish()?.into_inner())
}

fn whole(name: &str, inner: &str) -> String {
    format!("{HEAD}<office:{name} {SPACES}>{inner}</office:{name}>")
}

fn manifest() -> String {
    let entry = |path: &str, kind: &str| {
        format!(
            r#"<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{kind}"/>"#
        )
    };
    format!(
        r#"{HEAD}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3">{}{}{}{}</manifest:manifest>"#,
        entry("/", KIND),
        entry("content.xml", "text/xml"),
        entry("styles.xml", "text/xml"),
        entry("meta.xml", "text/xml")
    )
}

fn content(document: &Document) -> String {
    let mut body = String::new();
    for (number, block) in document.blocks.iter().enumerate() {
        match block {
            Block::Title(title) => body.push_str(&heading("Title", 1, title)),
            Block::Heading(title) => body.push_str(&heading("Heading", 2, title)),
            Block::Centred(pieces) => body.push_str(&paragraph("Middle", &line(pieces))),
            Block::Text(pieces) => body.push_str(&paragraph("Standard", &line(pieces))),
            Block::Field(name, pieces) => {
                let text = format!("– {}: {}", escape(name), line(pieces));
                body.push_str(&paragraph("Item", &text));
            }
            Block::Item(pieces) => {
                body.push_str(&paragraph("Item", &format!("– {}", line(pieces))));
            }
            Block::Table { columns, rows } => body.push_str(&table(number, columns, rows)),
        }
    }
    let inner = format!(
        "<office:automatic-styles>{OWN_STYLES}{}</office:automatic-styles><office:body><office:text>{body}</office:text></office:body>",
        column_styles(document)
    );
    whole("document-content", &inner)
}

fn heading(style: &str, level: u8, text: &str) -> String {
    let text = escape(text);
    format!(r#"<text:h text:style-name="{style}" text:outline-level="{level}">{text}</text:h>"#)
}

fn paragraph(style: &str, inner: &str) -> String {
    format!(r#"<text:p text:style-name="{style}">{inner}</text:p>"#)
}

/// The widths of each table's columns, as shares.
fn column_styles(document: &Document) -> String {
    let mut styles = String::new();
    for (number, block) in document.blocks.iter().enumerate() {
        let Block::Table { columns, .. } = block else { continue };
        for (at, (_, share)) in columns.iter().enumerate() {
            styles.push_str(&format!(
                r#"<style:style style:name="T{number}.{at}" style:family="table-column"><style:table-column-properties style:rel-column-width="{share}*"/></style:style>"#
            ));
        }
    }
    styles
}

fn table(number: usize, columns: &[(String, u16)], rows: &[Vec<Line>]) -> String {
    let cell = |inner: String| {
        let inner = paragraph("Standard", &inner);
        format!(
            r#"<table:table-cell table:style-name="Cell" office:value-type="string">{inner}</table:table-cell>"#
        )
    };
    let row = |cells: String| format!("<table:table-row>{cells}</table:table-row>");
    let widths: String = (0..columns.len())
        .map(|at| format!(r#"<table:table-column table:style-name="T{number}.{at}"/>"#))
        .collect();
    let names: String =
        columns.iter().map(|(name, _)| cell(line(&[Piece::Strong(name.clone())]))).collect();
    let rows: String = rows
        .iter()
        .map(|cells| row(cells.iter().map(|pieces| cell(line(pieces))).collect()))
        .collect();
    format!(
        r#"<table:table table:name="T{number}">{widths}<table:table-header-rows>{}</table:table-header-rows>{rows}</table:table>"#,
        row(names)
    )
}

fn line(pieces: &[Piece]) -> String {
    let span = |style: &str, text: &str| {
        format!(r#"<text:span text:style-name="{style}">{}</text:span>"#, escape(text))
    };
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Plain(text) => escape(text),
            Piece::Strong(text) => span("Strong", text),
            Piece::Missing(text) => span("Missing", text),
        })
        .collect()
}

/// What XML gives a meaning is named; what it does not allow has been shown as an escape.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for character in clean(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;
    use crate::tests::hostile;

    fn part(package: &[u8], name: &str) -> String {
        let mut archive = zip::ZipArchive::new(Cursor::new(package)).unwrap();
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Every element that is opened is closed by its own name, and nothing else has a meaning.
    fn is_well_formed(xml: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = xml.strip_prefix(HEAD).unwrap();
        while let Some(at) = rest.find('<') {
            let Some(end) = rest[at..].find('>') else { return false };
            let tag = &rest[at + 1..at + end];
            rest = &rest[at + end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return false;
                }
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
        }
        open.is_empty() && !rest.contains('>')
    }

    #[test]
    fn the_kind_of_the_file_comes_first_and_as_it_is() {
        let package = write(&hostile("Đà Nẵng")).unwrap();
        assert_eq!(&package[30..38], b"mimetype");
        assert_eq!(&package[38..38 + KIND.len()], KIND.as_bytes());
        for name in ["content.xml", "styles.xml", "meta.xml", "META-INF/manifest.xml"] {
            assert!(is_well_formed(&part(&package, name)), "{name}");
        }
        let content = part(&package, "content.xml");
        assert!(content.contains(r#"<text:span text:style-name="Missing">[CHƯA CÓ: Đà Nẵng]"#));
        assert_eq!(package, write(&hostile("Đà Nẵng")).unwrap(), "the same bytes again");
    }

    #[test]
    fn text_of_logs_is_no_element() {
        let package = write(&hostile("</text:p><office:script>&x;\u{0}\u{b}")).unwrap();
        let content = part(&package, "content.xml");
        assert!(is_well_formed(&content));
        assert!(!content.contains("<office:script>") && content.contains("\\x00\\x0b"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_stands_in_it_stays_text(text in any::<String>()) {
            let package = write(&hostile(&text)).unwrap();
            for name in ["content.xml", "meta.xml"] {
                let xml = part(&package, name);
                prop_assert!(is_well_formed(&xml), "{}", xml);
                prop_assert!(xml.chars().all(|c| c == '\n' || !c.is_control()));
            }
        }
    }
}
