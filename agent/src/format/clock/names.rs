//! Months by the names that logs give them.

pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) fn month(text: &str) -> Option<i8> {
    let at = MONTHS.iter().position(|name| text.eq_ignore_ascii_case(name))?;
    i8::try_from(at + 1).ok()
}

/// `November`, as some programs write it out.
pub(super) fn long_month(text: &str) -> Option<i8> {
    const REST: [&str; 12] =
        ["uary", "ruary", "ch", "il", "", "e", "y", "ust", "tember", "ober", "ember", "ember"];
    let (begin, rest) = text.split_at_checked(3)?;
    let number = month(begin)?;
    let at = usize::try_from(number - 1).ok()?;
    (!rest.is_empty() && REST[at].eq_ignore_ascii_case(rest)).then_some(number)
}

/// Months as Java and PHP write them where another language is set: by their beginning, without the point behind it.
pub(super) fn foreign_month(text: &str) -> Option<i8> {
    const BEGINNINGS: [&[&str]; 12] = [
        &["jan", "ene", "gen"],
        &["f\u{e9}v", "fev", "feb"],
        &["mar", "m\u{e4}r", "mrz", "maa"],
        &["avr", "abr", "apr"],
        &["mai", "may", "mag", "mei"],
        &["juin", "jun", "giu"],
        &["juil", "jul", "lug"],
        &["ao\u{fb}", "ago", "aug"],
        &["sep", "set"],
        &["oct", "okt", "out", "ott"],
        &["nov"],
        &["d\u{e9}c", "dec", "dez", "dic"],
    ];
    // `thg 11`, `Th11` of Vietnamese.
    let lower = text.to_lowercase();
    if let Some(number) = lower.strip_prefix("th") {
        return number.trim_start_matches(['g', '.', ' ']).parse().ok();
    }
    let at = BEGINNINGS.iter().position(|all| all.iter().any(|begin| lower.starts_with(begin)))?;
    i8::try_from(at + 1).ok()
}

/// `thg 11`, `tháng 11`, and what follows it.
pub(super) fn vietnamese_month(text: &str) -> Option<(i8, &str)> {
    let rest =
        ["thg ", "Thg ", "tháng ", "Tháng "].iter().find_map(|lead| text.strip_prefix(lead))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let month: i8 = rest.get(..digits)?.parse().ok()?;
    Some((month, rest.get(digits..)?))
}
