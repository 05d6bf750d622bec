use vonggac_wire::event::Class;

use super::*;

fn read_one(line: &str) -> (Parsed, Activity) {
    let context = Context::at(Time::from_seconds(1_764_000_000), jiff::tz::TimeZone::UTC);
    let parsed = parse(line, &context).unwrap();
    let vonggac_wire::event::Body::Activity(activity) = *parsed.body.clone() else {
        panic!("an activity")
    };
    (parsed, activity)
}

#[test]
fn a_refused_log_in_has_its_user_address_and_time() {
    let (parsed, activity) = read_one(
        "node=web-1 type=USER_LOGIN msg=audit(1764000000.123:456): pid=812 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=\"lan\" exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.7 terminal=ssh res=failed'",
    );
    assert_eq!((activity.class(), activity.status()), (Class::Authentication, Status::Failure));
    assert_eq!((activity.user_name.as_str(), activity.service_name.as_str()), ("lan", "sshd"));
    assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
    assert_eq!(parsed.time.unwrap().0, Time(1_764_000_000_123_000_000));
    assert_eq!((parsed.device.as_str(), activity.actor_user_name.as_str()), ("web-1", ""));
}

#[test]
fn commands_in_hexadecimal_are_read() {
    let (_, activity) = read_one(
        "type=USER_CMD msg=audit(1764000000.1:7): pid=1 uid=1000 auid=1000 ses=2 msg='cwd=\"/home/lan\" cmd=636174202F6574632F736861646F77 exe=\"/usr/bin/sudo\" terminal=pts/0 res=success'",
    );
    assert_eq!(activity.process_cmd_line, "cat /etc/shadow");
    let (_, activity) =
        read_one("type=EXECVE msg=audit(1764000000.1:8): argc=3 a0=\"sh\" a1=\"-c\" a2=6C73202D6C");
    assert_eq!(activity.process_cmd_line, "sh -c ls -l");
}

#[test]
fn a_name_that_imitates_an_address_does_not_become_one() {
    // `x addr=198.51.100.9 res=success` as a name with blanks.
    let (_, activity) = read_one(
        "type=USER_LOGIN msg=audit(1764000000.1:9): pid=1 uid=0 msg='op=login acct=7820616464723D3139382E35312E3130302E39207265733D73756363657373 exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.7 terminal=ssh res=failed'",
    );
    assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
    assert_eq!(activity.status(), Status::Failure);
    assert_eq!(activity.user_name, "x addr=198.51.100.9 res=success");
}

#[test]
fn the_records_of_a_started_program_are_one_event() {
    let (parsed, activity) = read_one(
        "type=SYSCALL msg=audit(1764000000.123:456): arch=c00000b7 syscall=221 success=yes exit=0 a0=1 ppid=7 pid=8 auid=1000 uid=0 tty=pts0 ses=2 comm=\"curl\" exe=\"/usr/bin/curl\" key=\"exec\"\ntype=EXECVE msg=audit(1764000000.123:456): argc=2 a0=\"curl\" a1=\"http://203.0.113.7/a\"\ntype=CWD msg=audit(1764000000.123:456): cwd=\"/tmp\"\ntype=PATH msg=audit(1764000000.123:456): item=0 name=\"/usr/bin/curl\" inode=1 mode=0100755 ouid=0 nametype=NORMAL\ntype=PROCTITLE msg=audit(1764000000.123:456): proctitle=6375726C00687474703A2F2F",
    );
    assert_eq!((activity.class(), activity.activity_id), (Class::Process, 1));
    assert_eq!(activity.process_cmd_line, "curl http://203.0.113.7/a");
    assert_eq!((activity.file_path.as_str(), activity.process_pid), ("/usr/bin/curl", 8));
    assert_eq!((activity.actor_user_name.as_str(), activity.status()), ("1000", Status::Success));
    assert_eq!(activity.unmapped["audit.records"], "SYSCALL,EXECVE,CWD,PATH,PROCTITLE");
    assert_eq!(parsed.time.unwrap().0, Time(1_764_000_000_123_000_000));
}

#[test]
fn a_file_that_was_removed_and_one_that_was_denied() {
    let (_, activity) = read_one(
        "type=SYSCALL msg=audit(1.0:5): arch=c000003e syscall=263 success=yes exit=0 items=2 pid=8 auid=1000 uid=1000 comm=\"rm\" exe=\"/usr/bin/rm\" key=\"www\"\ntype=CWD msg=audit(1.0:5): cwd=\"/var/www\"\ntype=PATH msg=audit(1.0:5): item=0 name=\"/var/www\" nametype=PARENT\ntype=PATH msg=audit(1.0:5): item=1 name=\"index.php\" nametype=DELETE",
    );
    assert_eq!((activity.class(), activity.activity_id), (Class::FileSystem, 4));
    assert_eq!(activity.file_path, "/var/www/index.php");
    let (_, activity) = read_one(
        "type=AVC msg=audit(1.0:6): avc:  denied  { read } for  pid=9 comm=\"httpd\" name=\"shadow\" dev=\"sda1\" ino=7 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:shadow_t:s0 tclass=file permissive=0\ntype=SYSCALL msg=audit(1.0:6): arch=c000003e syscall=2 success=no exit=-13 pid=9 auid=4294967295 uid=48 comm=\"httpd\" exe=\"/usr/sbin/httpd\" key=(null)",
    );
    assert_eq!((activity.class(), activity.status()), (Class::FileSystem, Status::Failure));
    assert_eq!(
        (activity.unmapped["exit"].as_str(), activity.unmapped["seperms"].as_str()),
        ("EACCES", "read")
    );
}

#[test]
fn a_connection_that_was_opened_has_where_it_went() {
    let (_, activity) = read_one(
        "type=SYSCALL msg=audit(1.0:5): arch=c000003e syscall=42 success=yes exit=0 pid=8 auid=33 uid=33 comm=\"sh\" exe=\"/usr/bin/dash\" key=\"net\"\ntype=SOCKADDR msg=audit(1.0:5): saddr=02001F90CB0071070000000000000000\ntype=PROCTITLE msg=audit(1.0:5): proctitle=\"sh\"",
    );
    assert_eq!((activity.class(), activity.activity_id), (Class::Network, 1));
    assert_eq!(activity.destination_address().unwrap().to_string(), "203.0.113.7");
    assert_eq!(activity.dst_port, 8080);
}

#[test]
fn records_in_the_kernels_log_are_read() {
    let Some(parsed) = kernel(
        "[ 12.345] audit: type=1400 audit(1764000000.1:9): apparmor=\"DENIED\" operation=\"open\" profile=\"/usr/sbin/named\" name=\"/etc/shadow\" pid=1 comm=\"named\"",
    ) else {
        panic!("a record")
    };
    let vonggac_wire::event::Body::Activity(activity) = *parsed.body else { panic!("an activity") };
    assert_eq!((activity.class(), activity.status()), (Class::FileSystem, Status::Failure));
    assert_eq!(activity.file_path, "/etc/shadow");
}

proptest::proptest! {
    #[test]
    fn no_record_makes_it_panic(text in ".*", more in ".*") {
        let line = format!("type=SYSCALL msg=audit(1.0:5): {text}\ntype=PATH msg=audit(1.0:5): {more}");
        let _parsed = read(&line);
        let _parsed = read(&text);
        let _kernel = kernel(&text);
        let _part = part(&text);
    }
}
