//! Which trouble begins when.

use std::{path::Path, time::Duration};

use vonggac_daemon::settings::{Document, SettingsError, Table};

/// The scenario of this build.
pub const MORNING: &str = include_str!("../scenarios/morning.toml");

/// Five troubles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// A shared platform falls: when, which, and whom it pulls along.
    pub platform: (Duration, String, Vec<String>),
    /// Passwords are tried: when, from where, at whom.
    pub wave: (Duration, String, Vec<String>),
    /// Nobody can file: when, where.
    pub portal: (Duration, String),
    /// An agency falls silent.
    pub silence: (Duration, String),
    /// A certificate runs out.
    pub certificate: (Duration, String),
}

impl Scenario {
    /// Reads a scenario; `earlier` is taken from every beginning.
    ///
    /// # Errors
    /// All its mistakes.
    pub fn parse(file: &Path, text: &str, earlier: Duration) -> Result<Self, SettingsError> {
        Document::from_text(file, text.to_owned()).finish(|root| {
            let begins = |table: &mut Table<'_>| {
                let day = Duration::from_secs(86_400);
                table.duration("begins", Duration::ZERO, day).unwrap_or(day).saturating_sub(earlier)
            };
            Self {
                platform: root.table("platform", |t| {
                    (begins(t), t.text_required("system"), t.texts_required("pulls"))
                }),
                wave: root.table("wave", |t| {
                    (begins(t), t.text_required("address"), t.texts_required("agencies"))
                }),
                portal: root.table("portal", |t| (begins(t), t.text_required("agency"))),
                silence: root.table("silence", |t| (begins(t), t.text_required("agency"))),
                certificate: root.table("certificate", |t| (begins(t), t.text_required("agency"))),
            }
        })
    }

    /// Rule, agency and beginning of each trouble, for the timeline that tests read.
    #[must_use]
    pub fn troubles(&self) -> Vec<(&'static str, String, Duration)> {
        vec![
            (
                "platform-down",
                self.platform.2.first().cloned().unwrap_or_default(),
                self.platform.0,
            ),
            ("ssh-brute-force", self.wave.2.first().cloned().unwrap_or_default(), self.wave.0),
            ("portal-without-use", self.portal.1.clone(), self.portal.0),
            ("agency-silent", self.silence.1.clone(), self.silence.0),
            ("certificate-ends", self.certificate.1.clone(), self.certificate.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_morning_has_five_troubles_within_ten_minutes() {
        let scenario = Scenario::parse(Path::new("morning.toml"), MORNING, Duration::ZERO).unwrap();
        assert_eq!(scenario.troubles().len(), 5);
        assert!(scenario.troubles().iter().all(|(.., begins)| *begins <= Duration::from_secs(600)));
        assert!(scenario.platform.2.len() >= 10 && scenario.wave.2.len() == 7);
    }
}
