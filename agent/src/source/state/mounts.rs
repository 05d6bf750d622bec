//! What is mounted where.

use std::path::Path;

use super::item::{Items, fields};
use crate::source::plain_file;

/// Bytes of the list: a host of thousands of containers.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// File systems that hold nobody's files, or come and go with every program.
const LEFT_OUT: [&str; 26] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "securityfs",
    "debugfs",
    "tracefs",
    "pstore",
    "bpf",
    "mqueue",
    "hugetlbfs",
    "configfs",
    "fusectl",
    "autofs",
    "binfmt_misc",
    "efivarfs",
    "nsfs",
    "rpc_pipefs",
    "ramfs",
    "selinuxfs",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "overlay",
    "squashfs",
];

/// Where containers and sessions mount for themselves.
const PLACES_LEFT_OUT: [&str; 6] = [
    "/run/",
    "/var/lib/docker/",
    "/var/lib/containers/",
    "/var/lib/kubelet/",
    "/var/lib/containerd/",
    "/snap/",
];

pub(super) fn collect(root: &Path) -> Result<Items, String> {
    plain_file::read_text(&root.join("proc/self/mountinfo"), LIST_BYTES_MAX)
        .map(|list| read(&list))
        .map_err(|error| format!("failed to read proc/self/mountinfo: {error}"))
}

/// `36 35 98:0 /root /mount rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn read(list: &str) -> Items {
    let mut items = Items::new();
    for line in list.lines() {
        let Some((first, second)) = line.split_once(" - ") else { continue };
        let mut first = first.split(' ').skip(4);
        let mut second = second.split(' ');
        let (Some(place), Some(options)) = (first.next(), first.next()) else { continue };
        let (Some(kind), Some(device)) = (second.next(), second.next()) else { continue };
        let place = unescape(place);
        if LEFT_OUT.contains(&kind) || PLACES_LEFT_OUT.iter().any(|out| place.starts_with(out)) {
            continue;
        }
        let mut options: Vec<&str> = options.split(',').collect();
        options.sort_unstable();
        let item = fields([
            ("path", &place),
            ("device", &unescape(device)),
            ("type", kind),
            ("options", &options.join(",")),
        ]);
        // What is mounted over another hides it.
        items.insert(place, item);
    }
    items
}

/// Blanks stand as `\040`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_files_are_told_and_those_of_the_kernel_are_not() {
        let items = read(
            "22 27 0:21 / /proc rw - proc proc rw\n36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/sda1 rw\n40 36 0:50 / /mnt/a\\040b ro,nosuid - cifs //nas/a rw\n41 36 0:51 / /var/lib/docker/x rw - tmpfs t rw\nbroken - \n",
        );
        assert_eq!(items.keys().collect::<Vec<_>>(), ["/", "/mnt/a b"]);
        assert_eq!(items["/"]["options"], "noatime,rw");
        assert_eq!(items["/mnt/a b"]["device"], "//nas/a");
    }
}
