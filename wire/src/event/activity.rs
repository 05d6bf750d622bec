//! OCSF's names and numbers for security activity, release 1.5.0.

use std::net::IpAddr;

use super::{
    Activity, FIELD_BYTES_MAX, UNMAPPED_FIELDS_MAX, address_from_bytes, address_to_bytes, cut,
};

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident = $uid:literal, $name:literal;)*) => {
        /// An OCSF class that Vọng Gác makes events of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Class {
            $($(#[$doc])* $variant,)*
        }

        impl Class {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// OCSF's `class_uid`.
            #[must_use]
            pub const fn uid(self) -> u32 {
                match self { $(Self::$variant => $uid,)* }
            }

            /// OCSF's name in snake case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// By its `class_uid`; one that is unknown here is a base event.
            #[must_use]
            pub const fn from_uid(uid: u32) -> Self {
                match uid { $($uid => Self::$variant,)* _ => Self::Base }
            }
        }
    };
}

classes! {
    /// A line that no format knows, or one without a class of its own.
    Base = 0, "base_event";
    /// A file was made, changed, removed. Activity: 1 create, 2 read, 3 update, 4 delete, 5 rename, 6 set attributes.
    FileSystem = 1001, "file_activity";
    /// A kernel module or kernel object. Activity: 1 create.
    Kernel = 1003, "kernel_activity";
    /// A scheduled job. Activity: 1 create, 2 update, 3 delete, 6 start.
    ScheduledJob = 1006, "scheduled_job_activity";
    /// A process. Activity: 1 launch, 2 terminate.
    Process = 1007, "process_activity";
    /// A log was cleared, stopped or rotated.
    EventLog = 1008, "event_log_activity";
    /// An account. Activity: 1 create, 3 password change, 6 delete, 7 attach policy, 9 lock, 99 other.
    AccountChange = 3001, "account_change";
    /// A log-in or log-out. Activity: 1 logon, 2 logoff.
    Authentication = 3002, "authentication";
    /// Privilege given to a session: sudo, su. Activity: 1 assign privileges.
    AuthorizeSession = 3003, "authorize_session";
    /// A group. Activity: 3 add user, 4 remove user, 5 create, 6 delete.
    GroupManagement = 3006, "group_management";
    /// A connection, a firewall's verdict. Activity: 1 open, 2 close, 4 fail, 5 refuse, 6 traffic.
    Network = 4001, "network_activity";
    /// A request. Activity: 1 connect, 2 delete, 3 get, 4 head, 5 options, 6 post, 7 put, 8 trace, 99 other.
    Http = 4002, "http_activity";
    /// SSH below the log-in. Activity: 1 open, 2 close, 4 fail.
    Ssh = 4007, "ssh_activity";
    /// A package. Activity: 1 install, 2 remove, 3 upgrade.
    SoftwareInventory = 5020, "software_info";
    /// The state of a configuration, of listening ports, of modules.
    DeviceConfigState = 5019, "device_config_state_change";
    /// Start and stop of an application or unit. Activity: 3 start, 4 stop.
    ApplicationLifecycle = 6002, "application_lifecycle";
}

/// OCSF's `status_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Not said.
    Unknown,
    /// It was done.
    Success,
    /// It was refused or went wrong.
    Failure,
    /// Something else, told in `status_detail`.
    Other,
}

impl Status {
    /// OCSF's number.
    #[must_use]
    pub const fn id(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Success => 1,
            Self::Failure => 2,
            Self::Other => 99,
        }
    }

    /// In snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Other => "other",
        }
    }

    /// By OCSF's number.
    #[must_use]
    pub const fn from_id(id: u32) -> Self {
        match id {
            1 => Self::Success,
            2 => Self::Failure,
            99 => Self::Other,
            _ => Self::Unknown,
        }
    }
}

impl Activity {
    /// An activity of this class.
    #[must_use]
    pub fn of(class: Class, activity_id: u32, status: Status) -> Self {
        Self { class_uid: class.uid(), activity_id, status_id: status.id(), ..Self::default() }
    }

    /// Its class.
    #[must_use]
    pub const fn class(&self) -> Class {
        Class::from_uid(self.class_uid)
    }

    /// How it ended.
    #[must_use]
    pub const fn status(&self) -> Status {
        Status::from_id(self.status_id)
    }

    /// Where it came from.
    #[must_use]
    pub fn source_address(&self) -> Option<IpAddr> {
        address_from_bytes(&self.src_ip)
    }

    /// Where it went.
    #[must_use]
    pub fn destination_address(&self) -> Option<IpAddr> {
        address_from_bytes(&self.dst_ip)
    }

    /// Sets where it came from.
    pub fn set_source_address(&mut self, address: IpAddr) {
        self.src_ip = address_to_bytes(address);
    }

    /// Sets where it went.
    pub fn set_destination_address(&mut self, address: IpAddr) {
        self.dst_ip = address_to_bytes(address);
    }

    /// Cuts every text to its limit; fields without a place beyond [`UNMAPPED_FIELDS_MAX`] are dropped, the last ones first.
    pub(super) fn limit(&mut self) {
        for text in [
            &mut self.status_detail,
            &mut self.message,
            &mut self.user_name,
            &mut self.actor_user_name,
            &mut self.dst_hostname,
            &mut self.service_name,
            &mut self.auth_protocol,
            &mut self.process_name,
            &mut self.process_cmd_line,
            &mut self.file_path,
            &mut self.session_terminal,
            &mut self.group_name,
        ] {
            limit_text(text);
        }
        if let Some(http) = &mut self.http {
            for text in [
                &mut http.http_method,
                &mut http.url,
                &mut http.version,
                &mut http.hostname,
                &mut http.user_agent,
                &mut http.referrer,
            ] {
                limit_text(text);
            }
        }
        while self.unmapped.len() > UNMAPPED_FIELDS_MAX {
            self.unmapped.pop_last();
        }
        for value in self.unmapped.values_mut() {
            limit_text(value);
        }
    }
}

/// Almost no text is too long: none is moved for nothing.
fn limit_text(text: &mut String) {
    if text.len() > FIELD_BYTES_MAX {
        *text = cut(std::mem::take(text));
    }
}
