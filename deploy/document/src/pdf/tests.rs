use super::*;
use crate::{Block, Piece, plain, tests::hostile};

fn vietnamese() -> Document {
    Document {
        title: "Báo cáo ban đầu sự cố".into(),
        lang: "vi".into(),
        blocks: vec![
            Block::Title("BÁO CÁO BAN ĐẦU SỰ CỐ".into()),
            Block::Text(plain(
                "ăâđêôơư ĂÂĐÊÔƠƯ ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ – ≈ …",
            )),
            Block::Text(vec![Piece::Missing("[CHƯA CÓ: số văn bản]".into())]),
        ],
    }
}

#[test]
fn the_font_has_every_letter_of_vietnamese() {
    let faces = Faces::new().unwrap();
    let letters =
        "aàảãáạăằẳẵắặâầẩẫấậbcdđeèẻẽéẹêềểễếệghiìỉĩíịklmnoòỏõóọôồổỗốộơờởỡớợpqrstuùủũúụưừửữứựvxyỳỷỹýỵ";
    for text in [letters.to_owned(), letters.to_uppercase()] {
        assert_eq!(faces.known(&text), text);
    }
    assert_eq!(faces.known("\u{1f600}"), "\\u{1f600}");
}

#[test]
fn a_report_is_a_whole_file_with_its_letters_and_the_same_bytes_again() {
    let file = write(&vietnamese()).unwrap();
    assert!(file.starts_with(b"%PDF-1.7") && file.ends_with(b"%%EOF"));
    assert!(file.len() < 100_000, "only what is used goes along: {} bytes", file.len());
    assert_eq!(file, write(&vietnamese()).unwrap());
}

#[test]
fn text_of_logs_is_no_operator() {
    // Letters are numbers of glyphs: no parenthesis or word of a log can stand in the stream.
    let file = write(&hostile(") Tj ET /S /JavaScript (app.alert(1))")).unwrap();
    let text = String::from_utf8_lossy(&file);
    assert!(!text.contains("/JavaScript (app"));
    assert_eq!(text.matches("/Type /Page\n").count(), 1);
}
