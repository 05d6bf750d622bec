//! The forms of an answer: those of rows, and those that only a report has.

use clap::{ValueEnum, builder::PossibleValue};
use vonggac_answer::rows::Format;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Of rows.
    Rows(Format),
    /// OpenDocument text.
    Odt,
    /// PDF.
    Pdf,
}

impl Form {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::Rows(Format::Table),
        Self::Rows(Format::Json),
        Self::Rows(Format::Jsonl),
        Self::Rows(Format::Csv),
        Self::Rows(Format::Md),
        Self::Odt,
        Self::Pdf,
    ];

    /// As it is asked for.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rows(Format::Table) => "table",
            Self::Rows(Format::Json) => "json",
            Self::Rows(Format::Jsonl) => "jsonl",
            Self::Rows(Format::Csv) => "csv",
            Self::Rows(Format::Md) => "md",
            Self::Odt => "odt",
            Self::Pdf => "pdf",
        }
    }

    /// The form of rows; that of a report was refused before.
    pub(super) const fn rows(self) -> Format {
        match self {
            Self::Rows(format) => format,
            Self::Odt | Self::Pdf => Format::Table,
        }
    }

    /// A report has pages, rows have columns.
    pub(super) const fn fits(self, report: bool) -> bool {
        match self {
            Self::Rows(Format::Jsonl | Format::Csv) => !report,
            Self::Rows(_) => true,
            Self::Odt | Self::Pdf => report,
        }
    }

    /// The names of those that fit.
    pub(super) fn allowed(report: bool) -> String {
        let fit = Self::ALL.into_iter().filter(|form| form.fits(report));
        fit.map(Self::name).collect::<Vec<_>>().join(", ")
    }
}

impl ValueEnum for Form {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
