//! Word of incidents to people who do not look at a screen: by mail, webhook, chat and syslog.
//!
//! The book's steps in the store are what is told; nothing stands between them and the queue that could lose one:
//!
//! 1. [`plan`] (pure) makes of a step, the routes and the time one [`note::Note`] for each incident and channel. A note's id is made of incident,
//!    version, event, route and channel, so that a step that is read again, by this collector or by the next that leads the book, makes
//!    the same note, which the queue has already.
//! 2. The queue is the table `notifications`. [`queue`] (pure) says what a channel does next: at most one message is on its way in each
//!    channel, what waits beside it goes as one message, and an hour has at most `messages_per_hour_max` of them.
//! 3. [`text`] and [`escape`] (pure) say it in the channel's language and markup; [`send`] carries it.
//!
//! Only who leads the book plans and sends ([`runner`]). Before a message leaves, its try is written down with the time until which nobody else
//! tries it, and then the tenure is looked at: a collector that was superseded sends nothing, and its successor finds the try. A collector
//! that dies between sending and writing sends again, under the same message id (`Message-ID`, `X-Vonggac-Delivery`), by which a
//! receiver knows it.
//!
//! What is marked above a channel's ceiling ([`tlp`]) is written down as withheld and never sent there. What nobody took within
//! `give_up_after` is given up, which figures, doctor and the incident itself tell.

pub mod escape;
pub mod hours;
pub mod note;
pub mod plan;
pub mod queue;
pub mod runner;
pub mod send;
pub mod settings;
pub mod text;
pub mod tlp;

pub use settings::Settings;
