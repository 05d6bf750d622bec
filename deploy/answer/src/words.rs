//! Words of screens and command lines, from message files, in Vietnamese and English.

use std::{borrow::Cow, collections::BTreeSet};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};

/// A language of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// Vietnamese, the first language.
    #[default]
    Vi,
    /// English.
    En,
}

impl Lang {
    /// "vi" or "en".
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }

    /// By its code, or by a locale like `en_US.UTF-8`.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code.get(..2)? {
            "vi" => Some(Self::Vi),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// The language that was asked for by its code, else the environment's, else the first.
    #[must_use]
    pub fn asked(code: Option<&str>) -> Self {
        code.and_then(Self::from_code)
            .or_else(|| Self::from_code(&std::env::var("LANG").ok()?))
            .unwrap_or_default()
    }
}

/// The words of one language.
pub struct Words {
    lang: Lang,
    bundle: FluentBundle<FluentResource>,
}

impl Words {
    /// Loads a language from the texts of its message files.
    #[must_use]
    pub fn new(lang: Lang, files: &[&str]) -> Self {
        let mut bundle = FluentBundle::new_concurrent(Vec::new());
        // Marks around values would be characters that a terminal counts.
        bundle.set_use_isolating(false);
        for text in files {
            // A file with a mistake still gives its good messages; a test refuses mistakes.
            let resource = FluentResource::try_new((*text).to_owned())
                .unwrap_or_else(|(resource, _)| resource);
            bundle.add_resource_overriding(resource);
        }
        Self { lang, bundle }
    }

    /// The language.
    #[must_use]
    pub const fn lang(&self) -> Lang {
        self.lang
    }

    /// A message; one that is missing is its own name, so that it is seen.
    #[must_use]
    pub fn get(&self, id: &str) -> String {
        self.with(id, &[])
    }

    /// A message with values.
    #[must_use]
    pub fn with(&self, id: &str, values: &[(&str, &str)]) -> String {
        let Some(pattern) = self.bundle.get_message(id).and_then(|message| message.value()) else {
            return id.to_owned();
        };
        let mut arguments = FluentArgs::new();
        for (name, value) in values {
            arguments.set(Cow::Borrowed(*name), FluentValue::from(*value));
        }
        let mut errors = Vec::new();
        self.bundle.format_pattern(pattern, Some(&arguments), &mut errors).into_owned()
    }

    /// Whichever of two names is of this language.
    #[must_use]
    pub const fn pick<'a>(&self, vi: &'a str, en: &'a str) -> &'a str {
        match self.lang {
            Lang::Vi => vi,
            Lang::En => en,
        }
    }
}

/// The names of a message file's messages, so that a test can compare languages and look for what is missing.
///
/// # Errors
/// The mistakes of the file.
pub fn message_ids(text: &str) -> Result<BTreeSet<String>, Vec<String>> {
    FluentResource::try_new(text.to_owned())
        .map_err(|(_, errors)| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| Some(line.split_once(" =")?.0.to_owned()))
        .collect())
}
