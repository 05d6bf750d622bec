//! Log lines with fresh times.

use jiff::Zoned;

/// The time as syslog writes it, of this host.
#[must_use]
pub fn stamp() -> String {
    Zoned::now().strftime("%b %e %H:%M:%S").to_string()
}

/// A refused password.
#[must_use]
pub fn refused(number: usize, address: &str) -> String {
    format!(
        "{} web-1 sshd[{}]: Failed password for root from {address} port {} ssh2\n",
        stamp(),
        1000 + number,
        20_000 + number % 40_000
    )
}

/// A request of an access log.
#[must_use]
pub fn request(number: usize) -> String {
    let time = Zoned::now().strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
    format!(
        "198.51.100.{} - - [{time}] \"GET /ho-so/{number} HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0\"\n",
        1 + number % 200
    )
}

/// A request of an access log of some 190 bytes of which no two are alike; [`number`] finds its number again.
#[must_use]
pub fn varied(number: usize) -> String {
    const PATHS: [&str; 5] = [
        "dich-vu-cong/ho-so",
        "api/v1/tra-cuu",
        "static/js/main",
        "tai-khoan/thong-bao",
        "kiosk/lay-so",
    ];
    let mixed = number.wrapping_mul(2_654_435_761) % 4_294_967_291;
    format!(
        "10.{}.{}.{} - - [25/Nov/2026:{:02}:{:02}:{:02} +0700] \"GET /{}/{:06x}?n={number} HTTP/1.1\" {} {} \"https://dichvucong.example/\" \
         \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/1{:02}.0\"\n",
        mixed % 251,
        mixed / 251 % 251,
        1 + mixed / 63_001 % 251,
        number / 3600 % 24,
        number / 60 % 60,
        number % 60,
        PATHS[mixed % PATHS.len()],
        mixed % 0xff_ffff,
        [200, 200, 200, 304, 302, 404][mixed % 6],
        mixed % 60_000,
        mixed % 40,
    )
}

/// The number of a [`varied`] line.
#[must_use]
pub fn number(line: &[u8]) -> Option<u64> {
    let at = line.windows(3).position(|three| three == b"?n=")? + 3;
    let end = line[at..].iter().position(|byte| !byte.is_ascii_digit())? + at;
    std::str::from_utf8(&line[at..end]).ok()?.parse().ok()
}
