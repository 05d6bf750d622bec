//! How the programs answer on a command line: [`rows`] in any form that people, programs and spreadsheets read, and text from outside made
//! harmless by [`sanitise`] and cut to its columns by [`fit`], in the [`words`] of a language;
//! and a yes ([`consent`]) before something is destroyed.

pub mod consent;
pub mod fit;
pub mod rows;
pub mod sanitise;
pub mod words;
