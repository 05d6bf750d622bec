//! Requests that others have judged, where they are at hand: which are attacks, and which are not. They are not part of this project;
//! without them the tests say so and pass.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a table is printed, and a test stops where its ground is missing"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use judge::Judge;
use serde_yaml_ng::Value;

mod judge;

fn material(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/material").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

/// One judged request.
struct Stage {
    family: String,
    file: String,
    url: String,
    agent: String,
    referrer: String,
    method: String,
    attack: bool,
    /// The attack stands in what an access log holds.
    visible: bool,
}

fn stages(folder: &Path) -> Vec<Stage> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let Ok(document) = serde_yaml_ng::from_str::<Value>(&text) else { continue };
            let file = path.file_stem().unwrap().to_string_lossy().into_owned();
            let tests = document["tests"].as_sequence().cloned().unwrap_or_default();
            for stage in tests.iter().filter_map(|test| test["stages"].as_sequence()).flatten() {
                all.extend(self::stage(&file, stage));
            }
        }
    }
    all
}

fn stage(file: &str, stage: &Value) -> Option<Stage> {
    let input = &stage["input"];
    let log = &stage["output"]["log"];
    let attack = log["expect_ids"].as_sequence().is_some_and(|ids| !ids.is_empty());
    let quiet = log["no_expect_ids"].as_sequence().is_some_and(|ids| !ids.is_empty());
    if attack == quiet {
        return None;
    }
    let method = input["method"].as_str().unwrap_or("GET");
    let url = input["uri"].as_str().unwrap_or("/").to_owned();
    let header = |wanted: &str| {
        let headers = input["headers"].as_mapping()?;
        let found = headers.iter().find(|(name, _)| {
            name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        })?;
        found.1.as_str().map(str::to_owned)
    };
    let agent = header("user-agent").unwrap_or_default();
    let referrer = header("referer").unwrap_or_default();
    let plain =
        |text: &str| text.is_empty() || text.starts_with("OWASP") || text.starts_with("Mozilla");
    let bare = url.matches('/').count() <= 2
        && !url.contains(['?', '%', '&', ';', '\'', '"', '<', '$', '(']);
    let visible = method == "GET" && !(bare && plain(&agent) && referrer.is_empty());
    Some(Stage {
        family: file.chars().take(3).collect(),
        file: file.to_owned(),
        url,
        agent,
        referrer,
        method: method.to_owned(),
        attack,
        visible,
    })
}

#[test]
fn attacks_in_request_lines_are_found_and_ordinary_requests_are_not() {
    let Some(folder) = material("crs/tests") else { return };
    let judge = Judge::new();
    // found, missed, falsely found, quiet
    let mut apart: Vec<(&str, usize)> =
        ATTACKS_ALL_THE_SAME.iter().map(|(file, count, _)| (*file, *count)).collect();
    let mut table: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    for stage in stages(&folder).iter().filter(|stage| stage.visible) {
        let said = judge.says(&stage.method, &stage.url, &stage.agent, &stage.referrer, 200);
        let counts = table.entry(stage.family.clone()).or_default();
        match (stage.attack, said.is_empty()) {
            (true, false) => counts[0] += 1,
            (true, true) => {
                counts[1] += 1;
                eprintln!(
                    "missed {}: {} | {} | {}",
                    stage.file, stage.url, stage.agent, stage.referrer
                );
            }
            (false, false) if judged(&mut apart, &stage.file) => {
                eprintln!("an attack all the same {said:?}: {} {}", stage.file, stage.url);
            }
            (false, false) => {
                counts[2] += 1;
                eprintln!("false {} {said:?}: {} | {}", stage.file, stage.url, stage.agent);
            }
            (false, true) => counts[3] += 1,
        }
    }
    let mut sum = [0; 4];
    for (family, counts) in &table {
        eprintln!(
            "{family} found {} missed {} false {} quiet {}",
            counts[0], counts[1], counts[2], counts[3]
        );
        if matches!(family.as_str(), "930" | "931" | "932" | "933" | "934" | "941" | "942" | "944")
        {
            (0..4).for_each(|at| sum[at] += counts[at]);
        }
    }
    let share = |part: usize, rest: usize| part as f64 / (part + rest).max(1) as f64;
    let (found, false_found) = (share(sum[0], sum[1]), share(sum[2], sum[3]));
    eprintln!(
        "attack families: found {:.1} %, falsely found {:.1} %",
        found * 100.0,
        false_found * 100.0
    );
    for (file, count, reason) in ATTACKS_ALL_THE_SAME {
        eprintln!("apart: up to {count} stages of {file}: {reason}");
    }
    assert!(found >= FOUND_MIN, "{found}");
    assert!(false_found <= FALSE_MAX, "{false_found}");
}

/// What is measured today; it may only get better.
const FOUND_MIN: f64 = 0.92;
const FALSE_MAX: f64 = 0.02;

/// Stages that ask one rule to be quiet and are attacks all the same: the rule they are about, how many were read and judged so, and
/// why. They are in neither share; one more than these is falsely found.
const ATTACKS_ALL_THE_SAME: &[(&str, usize, &str)] = &[
    ("932230", 2, "programs are fetched and run; the stages ask only which of two rules tells it"),
    ("933100", 3, "a program for PHP stands in it, by a name of its tag or in a parameter's name"),
    ("933131", 2, "variables of PHP stand in it, encoded or in a parameter's name"),
    ("934120", 1, "the address of a cloud's metadata, without the scheme that the rule asks for"),
    ("934160", 1, "a loop of JavaScript, though one that ends at once"),
    ("941100", 1, "a script's tag in the referrer, which another rule of theirs finds"),
    ("941140", 1, "a script's address in a style, which another rule of theirs finds"),
    ("942160", 1, "a query that keeps a database busy, with comments within"),
];

/// Whether a stage that was to be quiet is one of those that were judged; each place is taken once.
fn judged(apart: &mut [(&str, usize)], file: &str) -> bool {
    let left = apart.iter_mut().find(|(known, left)| *known == file && *left > 0);
    left.map(|(_, left)| *left -= 1).is_some()
}

#[test]
fn strings_of_injection_are_found_in_a_query() {
    let Some(folder) = material("payloadbox-sqli") else { return };
    let judge = Judge::new();
    let (mut found, mut all) = (0, 0);
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|end| end != "txt") {
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            for line in text.lines().map(str::trim).filter(|line| line.len() > 3) {
                let encoded: String = line
                    .bytes()
                    .map(|b| {
                        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                            char::from(b).to_string()
                        } else {
                            format!("%{b:02X}")
                        }
                    })
                    .collect();
                all += 1;
                if judge
                    .says("GET", &format!("/tra-cuu?id={encoded}"), "Mozilla/5.0", "", 200)
                    .is_empty()
                {
                    eprintln!("missed {line}");
                } else {
                    found += 1;
                }
            }
        }
    }
    eprintln!("{found} of {all} found");
    assert!(found * 100 >= all * INJECTION_PERCENT_MIN, "{found} of {all}");
}

const INJECTION_PERCENT_MIN: usize = 94;

#[test]
fn a_public_sites_ordinary_visitors_are_left_in_peace() {
    let Some(folder) = material("elastic-examples") else { return };
    let judge = Judge::new();
    let mut files = vec![folder];
    let (mut fired, mut all) = (0, 0);
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().filter_map(|entry| Some(entry.ok()?.path())));
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for line in text.lines() {
            let parts: Vec<&str> = line.split('"').collect();
            let [_, request, status, referrer, _, agent, ..] = parts.as_slice() else { continue };
            let mut words = request.split(' ');
            let (Some(method), Some(url)) = (words.next(), words.next()) else { continue };
            let code =
                status.split_whitespace().next().and_then(|code| code.parse().ok()).unwrap_or(0);
            all += 1;
            let said = judge.says(method, url, agent, referrer, code);
            if !said.is_empty() {
                fired += 1;
                eprintln!("{said:?} {line}");
            }
        }
    }
    eprintln!("{fired} of {all} requests fire");
    assert!(all >= 10_000, "{all}");
    assert!(fired * 1_000 <= all, "{fired} of {all}");
}

/// What citizens, officials, search engines and single sign-on send to public portals: invented, and none of it an attack.
const ORDINARY: &[&str] = &[
    "/",
    "/tim-kiem?q=d%E1%BB%8Bch+v%E1%BB%A5+c%C3%B4ng",
    "/tim-kiem?q=Nguy%E1%BB%85n+Th%E1%BB%8B+H%C6%B0%C6%A1ng&trang=2&sap=ngay",
    "/search?q=O%27Brien",
    "/search?q=rock+%27n%27+roll",
    "/search?q=Women%27s+Union+and+youth",
    "/search?q=select+a+form+from+the+list",
    "/search?q=order+by+phone",
    "/search?q=how+to+drop+a+table+of+contents",
    "/search?q=student+union+select+committee",
    "/search?q=c%2B%2B+or+c%23",
    "/search?q=black+and+white",
    "/search?q=terms+%26+conditions",
    "/search?q=50%25+off",
    "/search?q=what+is+the+time%3F",
    "/ho-so/H49-2026-000123?buoc=2&loai=khai-sinh#thong-tin",
    "/nop-ho-so?ma=1.004.873&co_quan=H49&ngay=24/11/2026",
    "/api/v1/ho-so?filter[trang_thai]=cho&filter[ngay][tu]=2026-11-01&page[size]=20",
    "/api/v1/ho-so?filter=%7B%22trang_thai%22%3A%22cho%22%2C%22trang%22%3A2%7D",
    "/api/items?ids=1,2,3&fields=id,name,email&sort=-created_at",
    "/sso/callback?code=4%2F0AX4XfWh&state=eyJyIjoiL2hvLXNvIn0%3D&scope=openid%20email",
    "/login?redirect_uri=https%3A%2F%2Fdvc.example.vn%2Fho-so%3Fid%3D7%26tab%3D2",
    "/login?next=/quan-tri/bao-cao?thang=11&nam=2026",
    "/?utm_source=zalo&utm_medium=oa&utm_campaign=thang-11&fbclid=IwAR0abc_DEF-123",
    "/?gclid=Cj0KCQiA-abc&_ga=2.1234.5678-99.1",
    "/tin-tuc/huong-dan-dang-ky-ket-hon-truc-tuyen-c12a345.html",
    "/van-ban/Quyet-dinh-28-2018-QD-TTg.pdf",
    "/Th%C3%B4ng%20b%C3%A1o%20(s%E1%BB%91%2012).pdf",
    "/files/Bi%E1%BB%83u%20m%E1%BA%ABu%20[01].docx",
    "/wp-admin/post.php?post=12&action=edit",
    "/wp-admin/admin-ajax.php?action=heartbeat",
    "/wp-content/uploads/2026/11/anh-1.jpg",
    "/wp-login.php?redirect_to=https%3A%2F%2Fexample.vn%2Fwp-admin%2F&reauth=1",
    "/wp-json/wp/v2/posts?per_page=10&_embed=1",
    "/js/app.3f2a1b.js?v=1.2.3",
    "/css/style.css?ver=6.4.2",
    "/fonts/roboto.woff2?#iefix",
    "/map?bbox=105.8,21.0,105.9,21.1&srs=EPSG:4326",
    "/map/tiles/12/3251/1804.png",
    "/wms?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&LAYERS=rg:dat&CQL_FILTER=ma_tinh%3D%2722%27",
    "/odata/HoSo?$filter=TrangThai%20eq%20'Moi'&$orderby=Ngay%20desc&$top=20",
    "/odata/HoSo?$select=Id,Ten&$expand=CoQuan&$count=true",
    "/lich?tu=2026-11-24T09:00:00%2B07:00&den=2026-11-24T17:00:00%2B07:00",
    "/thanh-toan/return?vnp_Amount=1000000&vnp_BankCode=NCB&vnp_OrderInfo=Nop+phi+ho+so%3A+123&vnp_SecureHash=3e0d61a0c0534b2e36680b3f7277743e",
    "/thanh-toan?so_tien=50.000&noi_dung=Le+phi+%28lan+2%29",
    "/lien-he?email=lan%40example.vn&dien_thoai=%2B84912345678",
    "/image?url=https%3A%2F%2Fcdn.example.vn%2Fa.jpg&w=300",
    "/proxy/https://cdn.example.vn/lib.js",
    "/forum/viewtopic.php?f=2&t=14&start=20",
    "/index.php?option=com_content&view=article&id=7:gioi-thieu&catid=2&Itemid=101",
    "/index.php/thu-tuc/khai-sinh?lang=vi",
    "/Default.aspx?tabid=123&language=vi-VN",
    "/owa/?ae=Item&t=IPM.Note&id=RgAAAAB",
    "/.well-known/acme-challenge/abc-DEF_123",
    "/.well-known/openid-configuration",
    "/robots.txt",
    "/sitemap.xml",
    "/favicon.ico",
    "/graphql?query=%7BhoSo%28id%3A7%29%7Bten%20trangThai%7D%7D",
    "/jsonp?callback=jQuery35105_1764000000&_=1764000001",
    "/s?time=now&sort=name&type=pdf&set=1&id=7&env=prod&host=a&at=2",
    "/chat?text=Em+ch%C3%A0o+anh%2Fch%E1%BB%8B%2C+h%E1%BB%93+s%C6%A1+c%E1%BB%A7a+em+%22ch%E1%BB%9D+b%E1%BB%95+sung%22+l%C3%A0+sao%3F+%28m%C3%A3+123%29",
    "/gop-y?noi_dung=T%C3%B4i+%C4%91%E1%BB%81+ngh%E1%BB%8B%3A+1%29+m%E1%BB%9F+th%C3%AAm+qu%E1%BA%A7y%3B+2%29+gi%E1%BA%A3m+ph%C3%AD",
    "/hoi-dap?q=n%E1%BA%BFu+a+%3E+b+v%C3%A0+b+%3E+c+th%C3%AC+sao%3F",
    "/download?file=bao-cao-thang-11.xlsx",
    "/download.php?id=7&name=M%E1%BA%ABu+01%2FHS.doc",
    "/a;jsessionid=0A1B2C3D?x=1",
    "/saml/acs?SAMLResponse=PHNhbWxwOlJlc3BvbnNlPg%3D%3D&RelayState=%2Fho-so",
    "/token?grant_type=authorization_code&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "/tra-cuu?cccd=001099012345&ho_ten=L%C3%AA%20V%C4%83n%20%22T%C3%A8o%22",
    "/tag/shell-script?page=2",
    "/docs/php/function.array-map.php",
    "/docs/sql/select.html",
    "/blog/union-and-intersection-types",
];

#[test]
fn what_citizens_and_officials_send_is_no_attack() {
    let judge = Judge::new();
    let agent = "Mozilla/5.0 (Linux; U; Android 14; id; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36";
    let referrer =
        "https://www.google.com/search?q=c%C3%A1ch+ch%E1%BB%8Dn+%22select%22+v%C3%A0+order";
    let told: Vec<String> = ORDINARY
        .iter()
        .map(|url| (url, judge.parts("GET", url, agent, referrer, 200).1))
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(url, parts)| format!("{url} {parts:?}"))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
