//! Runs of digits: identity cards, telephones, bank cards; everything else is left as it is.
//!
//! Quantities never begin with a zero, while identity numbers and telephone numbers inside the country always do; that, with the
//! bounds of a run and each number's inner structure, keeps times, ports, sizes, addresses and identifiers whole.

use super::scan::{Finding, Kind, before};

/// Bytes before a number in which a telling word may stand.
const WORD_WINDOW_BYTES: usize = 40;

/// Words beside which nine or twelve digits are an identity card.
const IDENTITY_WORDS: [&str; 19] = [
    "cmnd",
    "cmtnd",
    "cmt",
    "cccd",
    "chung minh",
    "chung_minh",
    "chungminh",
    "chứng minh",
    "can cuoc",
    "can_cuoc",
    "cancuoc",
    "căn cước",
    "dinh danh",
    "dinh_danh",
    "dinhdanh",
    "định danh",
    "id_card",
    "national_id",
    "giay_to",
];

/// Words beside which ten or thirteen digits are a person's number at the tax or insurance office.
const OFFICE_WORDS: [&str; 7] =
    ["bhxh", "bhyt", "mst", "ma_so_thue", "masothue", "ma so thue", "mã số thuế"];

/// Words beside which a number with the country's code but without `+` is a telephone.
const TELEPHONE_WORDS: [&str; 12] = [
    "phone",
    "tel",
    "sdt",
    "so_dt",
    "dien thoai",
    "dien_thoai",
    "dienthoai",
    "điện thoại",
    "mobile",
    "msisdn",
    "zalo",
    "đt",
];

/// The provinces' codes in identity numbers (Circular 07/2016/TT-BCA), a bit each.
const PROVINCES: u128 = provinces(&[
    1, 2, 4, 6, 8, 10, 11, 12, 14, 15, 17, 19, 20, 22, 24, 25, 26, 27, 30, 31, 33, 34, 35, 36, 37,
    38, 40, 42, 44, 45, 46, 48, 49, 51, 52, 54, 56, 58, 60, 62, 64, 66, 67, 68, 70, 72, 74, 75, 77,
    79, 80, 82, 83, 84, 86, 87, 89, 91, 92, 93, 94, 95, 96,
]);

/// Years of birth in the twenty-first century that an identity number may have.
const YEARS_MAX: u64 = 49;

const fn provinces(codes: &[u32]) -> u128 {
    let (mut bits, mut at) = (0, 0);
    while at < codes.len() {
        bits |= 1_u128 << codes[at];
        at += 1;
    }
    bits
}

/// Judges the run that begins at `start`; gives what it is, and where to go on.
pub(super) fn at(text: &[u8], start: usize) -> (Option<Finding>, usize) {
    let end = run_end(text, start);
    // Nearly all numbers are too short, and not the first of a group.
    let length = end - start;
    let whole_one = (9..=19).contains(&length);
    if !(whole_one || begins_group(text, start, end)) || !begins_freely(text, start) {
        return (None, end);
    }
    let plain = if whole_one && ends_freely(text, end) { whole(text, start, end) } else { None };
    let found =
        plain.map(|kind| Finding::new(start, end, kind)).or_else(|| grouped(text, start, end));
    (found, found.map_or(end, |found| found.end))
}

/// The run may be the first of groups that are a number: only such as are `+84` begin with two digits, and only identity cards and
/// telephones inside the country with three. Addresses and versions, which are in every line, are told by that.
fn begins_group(text: &[u8], start: usize, end: usize) -> bool {
    let may = match end - start {
        2 => before(text, start) == Some(b'+'),
        3 => text[start] == b'0',
        GROUP_DIGITS_MAX => true,
        _ => false,
    };
    may && matches!(text.get(end), Some(b' ' | b'.' | b'-'))
        && text.get(end + 1).is_some_and(u8::is_ascii_digit)
}

fn run_end(text: &[u8], start: usize) -> usize {
    text[start..].iter().position(|b| !b.is_ascii_digit()).map_or(text.len(), |n| start + n)
}

/// Not the tail of a word, an identifier, a fraction or an address.
fn begins_freely(text: &[u8], start: usize) -> bool {
    let Some(byte) = before(text, start) else { return true };
    let word = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80;
    match byte {
        b'.' | b'-' => !start.checked_sub(2).is_some_and(|at| word(text[at])),
        b'_' => false,
        other => !word(other),
    }
}

/// Not the head of a word, an identifier, a fraction or an address.
fn ends_freely(text: &[u8], end: usize) -> bool {
    let next = |n: usize| text.get(end + n).copied().unwrap_or(b' ');
    match next(0) {
        b'.' => !next(1).is_ascii_digit(),
        b'-' => !next(1).is_ascii_hexdigit(),
        b'_' | b'@' => false,
        b'%' => !(next(1) == b'4' && next(2) == b'0'),
        other => !(other.is_ascii_alphanumeric() || other >= 0x80),
    }
}

/// A run without separators.
fn whole(text: &[u8], start: usize, end: usize) -> Option<Kind> {
    let digits = &text[start..end];
    let foreign = before(text, start) == Some(b'+');
    match digits.len() {
        12 if is_identity(digits) => Some(Kind::Identity),
        9 | 12 if beside(text, start, &IDENTITY_WORDS) => Some(Kind::Identity),
        10 | 13 if beside(text, start, &OFFICE_WORDS) => Some(Kind::Identity),
        10 | 11 if !foreign && is_national(digits) => Some(Kind::Telephone),
        11 | 12
            if digits.starts_with(b"84")
                && is_subscriber(&digits[2..])
                && (foreign || beside(text, start, &TELEPHONE_WORDS)) =>
        {
            Some(Kind::Telephone)
        }
        14..=19 if is_card(digits) && !is_identifier(text, start) => Some(Kind::Card),
        _ => None,
    }
}

/// Province, century with sex, year of birth, a number that is not nothing.
fn is_identity(digits: &[u8]) -> bool {
    let province = value(&digits[..3]);
    let year = value(&digits[4..6]);
    province < 128
        && PROVINCES >> province & 1 == 1
        && match digits[3] {
            b'0' | b'1' => true,
            b'2' | b'3' => year <= YEARS_MAX,
            _ => false,
        }
        && value(&digits[6..]) != 0
}

fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// As dialled inside the country.
fn is_national(digits: &[u8]) -> bool {
    digits[0] == b'0' && is_subscriber(&digits[1..])
}

/// Nine digits of a mobile, ten of a landline.
fn is_subscriber(digits: &[u8]) -> bool {
    match digits.first() {
        Some(b'3' | b'5' | b'7' | b'8' | b'9') => digits.len() == 9,
        Some(b'2') => digits.len() == 10,
        _ => false,
    }
}

/// A number of a card's network and length whose last digit fits.
fn is_card(digits: &[u8]) -> bool {
    let (two, four) = (value(&digits[..2]), value(&digits[..4]));
    let network = match digits.len() {
        16 => {
            digits[0] == b'4'
                || (51..=55).contains(&two)
                || (2221..=2720).contains(&four)
                || (3528..=3589).contains(&four)
                || matches!(two, 62 | 65)
                || matches!(four, 6011 | 9704)
        }
        15 => matches!(two, 34 | 37),
        14 => matches!(two, 36 | 38),
        17..=19 => two == 62 || four == 9704,
        _ => false,
    };
    network && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') << (place % 2);
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The number is the value of a name that ends in `id`: a trace, a request, a message.
fn is_identifier(text: &[u8], start: usize) -> bool {
    let head = text[..start].trim_ascii_end();
    let head = head.strip_suffix(b"\"").unwrap_or(head).trim_ascii_end();
    let Some(head) = head.strip_suffix(b"=").or_else(|| head.strip_suffix(b":")) else {
        return false;
    };
    let head = head.trim_ascii_end();
    let head = head.strip_suffix(b"\"").unwrap_or(head);
    head.len() >= 2 && head[head.len() - 2..].eq_ignore_ascii_case(b"id")
}

/// One of the words stands shortly before, with neither another number nor another field between.
fn beside(text: &[u8], start: usize, words: &[&str]) -> bool {
    let window = &text[start.saturating_sub(WORD_WINDOW_BYTES)..start];
    let own = window
        .iter()
        .rposition(|b| b.is_ascii_digit() || matches!(b, b'&' | b';' | b',' | b'\n' | b'|'))
        .map_or(window, |other| &window[other + 1..]);
    let own = String::from_utf8_lossy(own).to_lowercase();
    words.iter().any(|word| {
        own.match_indices(word).any(|(place, _)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphabetic());
            edge(own[..place].chars().next_back()) && edge(own[place + word.len()..].chars().next())
        })
    })
}

/// Digits of a number's first group.
const GROUP_DIGITS_MAX: usize = 4;

/// Digits of a number in groups: a card's nineteen, and the group that went beyond.
const GROUPED_DIGITS_MAX: usize = 19 + 8;

/// Groups between single separators: `0912 345 678`, `+84 912.345.678`, `4111-1111-1111-1111`, `001 099 012 345`.
fn grouped(text: &[u8], start: usize, first_end: usize) -> Option<Finding> {
    if first_end - start > GROUP_DIGITS_MAX {
        return None;
    }
    let separator = *text.get(first_end).filter(|b| matches!(b, b' ' | b'.' | b'-'))?;
    // On the stack: addresses and fractions come here with every line.
    let (mut digits, mut shape) = ([0_u8; GROUPED_DIGITS_MAX], [0_usize; GROUPED_DIGITS_MAX]);
    let (mut length, mut groups) = (0, 0);
    let (mut from, mut end) = (start, first_end);
    loop {
        let group = &text[from..end];
        digits[length..length + group.len()].copy_from_slice(group);
        shape[groups] = group.len();
        (length, groups) = (length + group.len(), groups + 1);
        if length >= 19 || text.get(end) != Some(&separator) {
            break;
        }
        let next = run_end(text, end + 1);
        if next == end + 1 || next - end > 8 {
            break;
        }
        (from, end) = (end + 1, next);
    }
    let digits = &digits[..length];
    if digits.len() > 19 || !ends_freely(text, end) || text.get(end) == Some(&b':') {
        return None;
    }
    let foreign = before(text, start) == Some(b'+');
    let kind = match &shape[..groups] {
        [3, 3, 3, 3] if separator == b' ' && is_identity(digits) => Kind::Identity,
        [4, 4, 4, 4] if is_card(digits) => Kind::Card,
        [4, 6, 5] if is_card(digits) => Kind::Card,
        [4, 3, 3]
        | [3, 3, 4]
        | [3, 4, 3]
        | [4, 6]
        | [3, 7]
        | [4, 2, 2, 2]
        | [3, 4, 4]
        | [4, 3, 4]
        | [3, 8]
        | [4, 7]
            if is_national(digits) =>
        {
            Kind::Telephone
        }
        [2, ..] if foreign && digits.starts_with(b"84") && is_subscriber(&digits[2..]) => {
            Kind::Telephone
        }
        _ => return None,
    };
    Some(Finding::new(start, end, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Kind, &str)> {
        super::super::scan::scan(text.as_bytes(), &[])
            .into_iter()
            .map(|f| (f.kind, &text[f.start..f.end]))
            .collect()
    }

    #[test]
    fn identity_numbers_have_a_province_a_century_and_a_year() {
        for right in ["001099012345", "079301004567", "096150000001", "001 099 012 345"] {
            assert_eq!(found(right), [(Kind::Identity, right)]);
            assert_eq!(found(&format!("/cong-dan/{right}/ho-so")).len(), 1);
        }
        for wrong in [
            "003099012345",
            "097099012345",
            "001499012345",
            "001299012345",
            "001099000000",
            "202411240941",
        ] {
            assert_eq!(found(wrong), [], "{wrong}");
        }
    }

    proptest::proptest! {
        /// What is told by its first group is what is told by all of them.
        #[test]
        fn no_number_in_groups_is_passed_by_for_its_first_group(
            groups in proptest::collection::vec("(0|84|[0-9])[0-9]{0,7}", 2..7),
            separator in "[ .-]", head in "(\\+|%2B| |x|)",
        ) {
            let text = format!("{head}{}", groups.join(&separator));
            let text = text.as_bytes();
            let start = head.len();
            let end = run_end(text, start);
            let wanted = if begins_freely(text, start) { grouped(text, start, end) } else { None };
            if (2..=GROUP_DIGITS_MAX).contains(&(end - start)) {
                proptest::prop_assert_eq!(at(text, start).0, wanted);
            }
        }
    }

    #[test]
    fn nine_digits_are_a_card_only_beside_a_word_that_tells() {
        for text in [
            "CMND: 012345678",
            "so_cmnd=123456789",
            r#"{"cmnd":"123456789"}"#,
            "chứng minh nhân dân số 123456789",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
        for text in [
            "id=123456789",
            "bytes 123456789",
            "cmnd=&ref=123456789",
            "cmnd 1, ma 123456789",
            "cmtime=123456789",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        assert_eq!(found("mst=8012345678").len(), 1);
    }

    #[test]
    fn telephones_are_found_as_people_write_them() {
        for text in [
            "0912345678",
            "0912 345 678",
            "0912.345.678",
            "091-234-5678",
            "0912 34 56 78",
            "+84912345678",
            "+84 912 345 678",
            "024 3628 0000",
            "02436280000",
            "sdt=84912345678",
        ] {
            assert_eq!(found(text).len(), 1, "{text}");
            assert_eq!(found(text)[0].0, Kind::Telephone, "{text}");
        }
    }

    #[test]
    fn cards_are_told_by_network_and_check_digit() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "5555-5555-5555-4444",
            "378282246310005",
            "6221260000000000",
        ] {
            assert_eq!(found(text), [(Kind::Card, text)], "{text}");
        }
        for text in [
            "4111111111111112",
            "1764000000000000000",
            "20241124094112345",
            "trace_id=4111111111111111",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn what_a_log_counts_times_and_names_stays() {
        for text in [
            "2026-11-24T09:41:12.091234567+07:00 web-1 sshd[0912]: x",
            "Nov 24 09:41:12 10.0.0.1:50432 -> 192.168.100.200:443",
            "550e8400-e29b-41d4-a716-001099012345",
            "00109901-2345-6789-0912-091234567890",
            "req_0912345678 0x0912345678 abc0912345678 0912345678abc",
            "1764000000.0912345678 0.001099012345",
            "000.00.00.H49-241124-0001 H49.22-0912345678-0001",
            "05-12-2024 09:41:00 bytes=0 1764000000123 84912345678",
            "000000012345 0000000000000001 [0x00000000fee00000]",
            "seq 1099012345 pid=912345678 2001:0db8:0912:3456:7800::1",
            "msg=audit(1764000000.123:456): 18446744073709551615",
            "%0912345678 a%200b",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
