//! Who listens where: the kernel's lists of sockets, and the processes that hold them.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use super::item::{Items, fields};
use crate::source::{
    plain_file,
    proc::{self, Socket},
};

/// Bytes of a list of sockets.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Processes that are looked through.
const PROCESSES_MAX: usize = 32_768;

/// Ports that the kernel gives to whoever asks for any, if it does not say which.
const ANY_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// Remembers who holds which socket: processes are looked through only for one that is new.
#[derive(Default)]
pub(super) struct Ports {
    holders: HashMap<u64, Holder>,
}

/// A process; empty where it cannot be seen.
#[derive(Clone, Debug, Default)]
struct Holder {
    name: String,
    program: String,
}

impl Ports {
    pub(super) fn collect(&mut self, root: &Path) -> Result<Items, String> {
        let any = plain_file::read_text(
            &root.join("proc/sys/net/ipv4/ip_local_port_range"),
            LIST_BYTES_MAX,
        );
        let any = any.ok().and_then(|text| {
            let mut ends = text.split_whitespace().map(str::parse);
            Some(ends.next()?.ok()?..=ends.next()?.ok()?)
        });
        let any = any.unwrap_or(ANY_PORTS);
        let mut sockets = Vec::new();
        let mut lists = 0;
        for protocol in ["tcp", "tcp6", "udp", "udp6"] {
            let Ok(list) =
                plain_file::read_text(&root.join("proc/net").join(protocol), LIST_BYTES_MAX)
            else {
                continue;
            };
            lists += 1;
            let name = protocol.trim_end_matches('6');
            let found = list.lines().filter_map(|line| proc::socket(line, name == "tcp"));
            // A question that waits for its answer is no service.
            let found = found.filter(|s| name == "tcp" || !any.contains(&s.address.port()));
            sockets.extend(found.map(|socket| (name, socket)));
        }
        if lists == 0 {
            return Err("failed to read proc/net: there is none".into());
        }
        self.find_holders(root, &sockets);
        let mut items = Items::new();
        for (protocol, socket) in sockets {
            let holder = self.holders.get(&socket.inode).cloned().unwrap_or_default();
            let (ip, port) = (socket.address.ip().to_string(), socket.address.port().to_string());
            let item = fields([
                ("protocol", protocol),
                ("ip", &ip),
                ("port", &port),
                ("uid", &socket.uid),
                ("process", &holder.name),
                ("program", &holder.program),
            ]);
            items.insert(format!("{protocol} {}", socket.address), item);
        }
        Ok(items)
    }

    fn find_holders(&mut self, root: &Path, sockets: &[(&str, Socket)]) {
        let present: HashSet<u64> = sockets.iter().map(|(_, socket)| socket.inode).collect();
        self.holders.retain(|inode, _| present.contains(inode));
        if present.iter().all(|inode| self.holders.contains_key(inode)) {
            return;
        }
        let processes = fs::read_dir(root.join("proc")).into_iter().flatten();
        for process in processes.filter_map(Result::ok).take(PROCESSES_MAX) {
            let number = process.file_name();
            if !number.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            let folder = process.path();
            for inode in proc::sockets_of(&folder).filter(|inode| present.contains(inode)) {
                self.holders.entry(inode).or_insert_with(|| Holder {
                    name: plain_file::read_text(&folder.join("comm"), 64)
                        .unwrap_or_default()
                        .trim()
                        .to_owned(),
                    program: fs::read_link(folder.join("exe"))
                        .map(|path| {
                            path.to_string_lossy().trim_end_matches(" (deleted)").to_owned()
                        })
                        .unwrap_or_default(),
                });
            }
        }
        for inode in present {
            self.holders.entry(inode).or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_wait_are_read_with_who_holds_them() {
        let root = tempfile::tempdir().unwrap();
        let net = root.path().join("proc/net");
        let process = root.path().join("proc/812");
        fs::create_dir_all(&net).unwrap();
        fs::create_dir_all(process.join("fd")).unwrap();
        fs::write(process.join("comm"), "nginx\n").unwrap();
        std::os::unix::fs::symlink("/usr/sbin/nginx", process.join("exe")).unwrap();
        std::os::unix::fs::symlink("socket:[77]", process.join("fd/3")).unwrap();
        let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
        let loopback = word([127, 0, 0, 1]);
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let line = |local: &str, state: &str, inode: u64| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   33        0 {inode} 1 0 100 0 0 10 0\n"
            )
        };
        let tcp = line("00000000:0050", "0A", 77) + &line(&format!("{loopback}:1F90"), "01", 78);
        fs::write(net.join("tcp"), head.to_owned() + &tcp).unwrap();
        let six = format!("{}{}", "0".repeat(24), word([0, 0, 0, 1]));
        fs::write(net.join("tcp6"), head.to_owned() + &line(&format!("{six}:0016"), "0A", 79))
            .unwrap();
        let udp = line("00000000:0035", "07", 80) + &line("00000000:C001", "07", 81);
        fs::write(net.join("udp"), head.to_owned() + &udp + "broken\n").unwrap();
        let items = Ports::default().collect(root.path()).unwrap();
        assert_eq!(
            items.keys().collect::<Vec<_>>(),
            ["tcp 0.0.0.0:80", "tcp [::1]:22", "udp 0.0.0.0:53"]
        );
        let web = &items["tcp 0.0.0.0:80"];
        assert_eq!(
            (web["process"].as_str(), web["program"].as_str()),
            ("nginx", "/usr/sbin/nginx")
        );
        assert!(!items["udp 0.0.0.0:53"].contains_key("process"));
    }

    #[test]
    fn a_listener_of_this_host_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let items = Ports::default().collect(Path::new("/")).unwrap();
        let own = &items[&format!("tcp {}", listener.local_addr().unwrap())];
        assert!(!own["process"].is_empty() && own["program"].starts_with('/'));
    }
}
