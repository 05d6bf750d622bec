//! What outlives a reload: sockets stay open between a listener that stops and its successor, with what waits in them, and connections
//! stay with their senders. Who is not succeeded is closed after a while.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tokio::net::{TcpListener, UdpSocket};

use super::connection::Connection;
use crate::config::Listen;

/// How long a successor is waited for: the other sources of a reload have to stop first.
const KEPT_MAX: Duration = Duration::from_secs(15);

/// The sockets of a listener.
pub(super) enum Kept {
    Datagrams(UdpSocket),
    Streams(TcpListener, Vec<Connection>),
}

/// One for each address at most, by what it was kept for.
static KEPT: LazyLock<Mutex<HashMap<Listen, (u64, Kept)>>> = LazyLock::new(Mutex::default);

/// Keeps what a listener had for its successor.
pub(super) fn keep(listen: Listen, kept: Kept) {
    let number = rand::random();
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert(listen, (number, kept));
    drop(all);
    tokio::spawn(async move {
        tokio::time::sleep(KEPT_MAX).await;
        let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&listen).is_some_and(|(own, _)| *own == number) {
            all.remove(&listen);
        }
    });
}

/// What the listener before had.
pub(super) fn take(listen: Listen) -> Option<Kept> {
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    all.remove(&listen).map(|(_, kept)| kept)
}
