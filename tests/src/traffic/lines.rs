//! Lines as servers write them: web servers, balancers, log-ins, mail, databases, the kernel, audit. Nothing in them is of a real host.

use jiff::Timestamp;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use vonggac_wire::Time;

/// A second in the notations of logs, in UTC.
#[derive(Default)]
pub(super) struct Stamps {
    second: i64,
    access: String,
    syslog: String,
    iso: String,
}

impl Stamps {
    /// Of this time: written anew once a second.
    pub(super) fn at(&mut self, time: Time) -> &Self {
        if self.second != time.seconds() || self.access.is_empty() {
            self.second = time.seconds();
            let stamp = Timestamp::from_second(self.second).unwrap_or_default();
            self.access = stamp.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            self.syslog = stamp.strftime("%b %e %H:%M:%S").to_string();
            self.iso = stamp.strftime("%Y-%m-%d %H:%M:%S").to_string();
        }
        self
    }
}

const PATHS: [&str; 10] = [
    "dich-vu-cong/ho-so",
    "api/v1/tra-cuu",
    "api/v2/thanh-toan",
    "tai-khoan/thong-bao",
    "kiosk/lay-so",
    "tin-tuc/bai-viet",
    "van-ban/den",
    "static/js/chunk",
    "static/anh/banner",
    "mot-cua/phieu-hen",
];

const AGENTS: [&str; 7] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0.0.0",
    "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0",
    "Mozilla/5.0 (Linux; Android 14; SM-A155F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.6723.86 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "okhttp/4.12.0",
];

/// Requests that probe, a few in a thousand.
const PROBES: [&str; 4] = [
    "/index.php?id=1%27%20UNION%20SELECT%20user,password%20FROM%20mysql.user--%20",
    "/tra-cuu?ten=%3Cscript%3Ealert(1)%3C/script%3E",
    "/tai-ve?tep=../../../../etc/passwd",
    "/.env",
];

const FAMILIES: [&str; 8] = ["nguyen", "tran", "le", "pham", "hoang", "vu", "dang", "bui"];
const GIVEN: [&str; 10] =
    ["an", "binh", "chi", "dung", "giang", "hoa", "khanh", "linh", "minh", "nam"];

/// A person's log-in name: few come often.
fn user(chance: &mut StdRng) -> String {
    let (family, given) = (FAMILIES.choose(chance), GIVEN.choose(chance));
    let number = (chance.random::<f64>().powi(3) * 400.0) as u32;
    format!("{}.{}{number}", family.unwrap_or(&""), given.unwrap_or(&""))
}

/// An address: some come often, most do not.
fn address(chance: &mut StdRng) -> String {
    let host = (chance.random::<f64>().powi(3) * 4_000_000.0) as u32;
    let first = [14, 27, 42, 58, 113, 115, 117, 171][(host % 8) as usize];
    format!("{first}.{}.{}.{}", host / 8 % 251, host / 2_008 % 251, 1 + host / 504_008 % 251)
}

/// A line, and the log in which it stands; `kind` is one of 960.
pub(super) fn line(
    kind: u32,
    number: u64,
    host: &str,
    stamps: &Stamps,
    chance: &mut StdRng,
) -> (&'static str, String) {
    match kind {
        0..600 => ("/var/log/nginx/access.log", request(number, stamps, chance)),
        600..680 => ("/var/log/haproxy.log", balanced(number, host, stamps, chance)),
        680..880 => ("/var/log/auth.log", log_in(kind, host, stamps, chance)),
        880..910 => ("/var/log/mail.log", mail(kind, number, host, stamps, chance)),
        910..925 => ("/var/log/postgresql/postgresql.log", database(stamps, chance)),
        925..940 => ("/var/log/audit/audit.log", audit(number, stamps, chance)),
        _ => ("/var/log/syslog", kernel(kind, host, stamps, chance)),
    }
}

fn target(number: u64, chance: &mut StdRng) -> String {
    if chance.random_ratio(3, 1_000) {
        return PROBES.choose(chance).unwrap_or(&"/").to_string();
    }
    let path = PATHS.choose(chance).unwrap_or(&"");
    match path.starts_with("static") {
        true => format!("/{path}-{:08x}.js", chance.random_range(0..400_u32)),
        false => {
            format!("/{path}/{}?ma={:x}", 1_000_000 + number % 9_000_000, chance.random::<u32>())
        }
    }
}

fn request(number: u64, stamps: &Stamps, chance: &mut StdRng) -> String {
    format!(
        "{} - - [{}] \"{} {} HTTP/{}\" {} {} \"{}\" \"{}\"",
        address(chance),
        stamps.access,
        ["GET", "GET", "GET", "GET", "POST"].choose(chance).unwrap_or(&""),
        target(number, chance),
        ["1.1", "2.0"].choose(chance).unwrap_or(&""),
        [200, 200, 200, 200, 200, 304, 302, 404, 403, 500].choose(chance).unwrap_or(&0),
        chance.random_range(120..90_000),
        ["-", "https://dichvucong.example/", "https://dichvucong.example/tra-cuu"]
            .choose(chance)
            .unwrap_or(&""),
        AGENTS.choose(chance).unwrap_or(&""),
    )
}

fn balanced(number: u64, host: &str, stamps: &Stamps, chance: &mut StdRng) -> String {
    format!(
        "{} {host} haproxy[1187]: {}:{} [{}.{:03}] portal~ app/app-{} 0/0/{}/{}/{} 200 {} - - ---- {}/{}/0/0/0 0/0 \"GET {} HTTP/1.1\"",
        stamps.syslog,
        address(chance),
        chance.random_range(1_024..65_000),
        stamps.access.split(' ').next().unwrap_or_default(),
        chance.random_range(0..1_000),
        chance.random_range(1..5),
        chance.random_range(0..4),
        chance.random_range(2..400),
        chance.random_range(2..500),
        chance.random_range(120..90_000),
        chance.random_range(1..300),
        chance.random_range(1..200),
        target(number, chance),
    )
}

fn log_in(kind: u32, host: &str, stamps: &Stamps, chance: &mut StdRng) -> String {
    let (pid, port) = (chance.random_range(900..400_000), chance.random_range(1_024..65_000));
    let (user, address) = (user(chance), address(chance));
    let said = match kind {
        680..760 => {
            format!("sshd[{pid}]: Failed password for {user} from {address} port {port} ssh2")
        }
        760..790 => format!(
            "sshd[{pid}]: Failed password for invalid user {user} from {address} port {port} ssh2"
        ),
        790..820 => format!(
            "sshd[{pid}]: Accepted publickey for {user} from {address} port {port} ssh2: ED25519 SHA256:{:016x}{:016x}",
            chance.random::<u64>(),
            chance.random::<u64>()
        ),
        820..840 => format!("sshd[{pid}]: Disconnected from user {user} {address} port {port}"),
        840..860 => format!(
            "sudo:   {user} : TTY=pts/{} ; PWD=/home/{user} ; USER=root ; COMMAND=/usr/bin/systemctl restart ho-so-{}",
            chance.random_range(0..9),
            chance.random_range(0..40)
        ),
        _ => format!(
            "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"
        ),
    };
    format!("{} {host} {said}", stamps.syslog)
}

fn mail(kind: u32, number: u64, host: &str, stamps: &Stamps, chance: &mut StdRng) -> String {
    let (user, address, pid) = (user(chance), address(chance), chance.random_range(900..400_000));
    let said = match kind {
        880..890 => format!(
            "postfix/smtpd[{pid}]: {number:010X}: client=unknown[{address}], sasl_method=PLAIN, sasl_username={user}"
        ),
        890..900 => format!(
            "postfix/smtpd[{pid}]: warning: unknown[{address}]: SASL LOGIN authentication failed: authentication failure, sasl_username={user}"
        ),
        _ => format!(
            "dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={address}, lip=10.0.0.4, mpid={pid}, TLS, session=<{:016x}>",
            chance.random::<u64>()
        ),
    };
    format!("{} {host} {said}", stamps.syslog)
}

fn database(stamps: &Stamps, chance: &mut StdRng) -> String {
    let (user, pid) = (user(chance), chance.random_range(900..400_000));
    format!(
        "{}.{:03} UTC [{pid}] {user}@hoso LOG:  duration: {}.{:03} ms  statement: SELECT * FROM ho_so WHERE ma = {}",
        stamps.iso,
        chance.random_range(0..1_000),
        chance.random_range(1..3_000),
        chance.random_range(0..1_000),
        chance.random_range(1_000_000..90_000_000),
    )
}

fn audit(number: u64, stamps: &Stamps, chance: &mut StdRng) -> String {
    format!(
        "type=SYSCALL msg=audit({}.{:03}:{number}): arch=c000003e syscall=59 success=yes exit=0 ppid={} pid={} auid={} uid=0 gid=0 euid=0 tty=pts0 ses={} \
         comm=\"systemctl\" exe=\"/usr/bin/systemctl\" key=\"exec\"",
        stamps.second,
        chance.random_range(0..1_000),
        chance.random_range(900..400_000),
        chance.random_range(900..400_000),
        chance.random_range(1_000..1_400),
        chance.random_range(1..9_000),
    )
}

fn kernel(kind: u32, host: &str, stamps: &Stamps, chance: &mut StdRng) -> String {
    let said = match kind {
        940..950 => format!(
            "kernel: [{}.{:06}] [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56 SRC={} DST=10.0.0.4 LEN=40 TOS=0x00 PREC=0x00 TTL={} ID={} PROTO=TCP SPT={} DPT={} \
             WINDOW=1024 RES=0x00 SYN URGP=0",
            chance.random_range(100_000..9_000_000),
            chance.random_range(0..1_000_000),
            address(chance),
            chance.random_range(40..255),
            chance.random_range(0..65_000),
            chance.random_range(1_024..65_000),
            [22, 23, 80, 443, 445, 3_389, 8_080].choose(chance).unwrap_or(&0),
        ),
        _ => format!(
            "systemd[1]: Started ho-so-{}.service - Worker {}.",
            chance.random_range(0..40),
            chance.random_range(0..10_000)
        ),
    };
    format!("{} {host} {said}", stamps.syslog)
}
