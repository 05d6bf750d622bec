//! The console as an operator meets it: keys in, pictures out.
#![expect(clippy::expect_used, reason = "a test stops where its ground is missing")]

mod duty;
mod hostile;
mod keyboard;
mod live;
mod morning;
mod owed;
mod quiet;
mod screens;
mod searching;
mod shift;
mod states;
mod terminals;
