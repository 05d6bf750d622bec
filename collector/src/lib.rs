//! The collector of Vọng Gác: Kafka -> detect -> ClickHouse -> incidents -> gRPC.
//!
//! * [`pipeline`]: the one chain; [`consume`], [`decode`], [`offsets`], [`dead_letter`] are its steps; [`tenure`] (pure): who may write;
//! * [`detect`] (pure) with its [`rule`]s, and [`incident`] (pure), the book; [`book_runner`] is the book's edge;
//! * [`registry`]: agencies and systems; [`health`] and [`indicator`] (pure): what they come to;
//! * [`threat`]: what others found to be bad; [`rehearse`] (pure): rules tried on events of a file;
//! * [`retention`] (pure): how long things are kept, and what holds them;
//! * [`export`] (pure): what is stored in the words of others;
//! * [`keeper`]: retention once a day; [`rewind`]: Kafka's group after a restore;
//! * [`store`]: ClickHouse; [`rollup`]: keeps sums up with its rows; [`serve`]: gRPC;
//! * [`profile`] (pure): defaults by size; [`sizing`] (pure): what a size needs;
//! * [`canary`]: whether the way is open; [`lag`]: how far the store is behind; [`doctor`]: what is wrong with a centre; [`words`]: in both languages.

pub mod app;
pub mod book_runner;
pub mod canary;
pub mod command;
pub mod config;
pub mod consume;
pub mod dead_letter;
pub mod decode;
pub mod detect;
pub mod doctor;
pub mod export;
pub mod figures;
pub mod health;
pub mod incident;
pub mod indicator;
pub mod keeper;
pub mod lag;
pub mod offsets;
pub mod pipeline;
pub mod profile;
pub mod record;
pub mod registry;
pub mod rehearse;
pub mod retention;
pub mod rewind;
pub mod rollup;
pub mod rule;
pub mod serve;
pub mod sizing;
pub mod store;
pub mod tenure;
pub mod threat;
pub mod topics;
pub mod words;
