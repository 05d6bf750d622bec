//! What was told of an incident: the last word of each channel.

use vonggac_wire::{Time, proto::Notification};

use crate::{wording, words::Words};

/// Channels in the line: more are a list of their own.
const CHANNELS_MAX: usize = 5;

/// "mail 14:02, chat waits, fax was given up"; `None`: nothing was told. Notes come newest first.
pub(super) fn text(words: &Words, notes: &[Notification]) -> Option<String> {
    let mut last: Vec<&Notification> = Vec::new();
    for note in notes {
        if last.iter().all(|seen| seen.channel != note.channel) {
            last.push(note);
        }
    }
    // What did not come stands first.
    last.sort_by_key(|note| (order(&note.state), note.channel.clone()));
    let more = last.len().saturating_sub(CHANNELS_MAX);
    let mut parts: Vec<String> =
        last.iter().take(CHANNELS_MAX).map(|note| one(words, note)).collect();
    if more > 0 {
        parts.push(format!("+{more}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn order(state: &str) -> u8 {
    match state {
        "given-up" => 0,
        "waiting" | "sending" => 1,
        "withheld" | "dropped" => 2,
        _ => 3,
    }
}

fn one(words: &Words, note: &Notification) -> String {
    let at = if note.sent_unix_nano == 0 { note.time_unix_nano } else { note.sent_unix_nano };
    let time = wording::clock(Time(at));
    let id = format!("notified-{}", note.state);
    let known = words.with(&id, &[("channel", &note.channel), ("time", &time)]);
    // A collector of later may know other states.
    if known == id { format!("{} {}", note.channel, note.state) } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Lang, of};

    fn note(channel: &str, state: &str, minute: i64) -> Notification {
        let time = minute * 60_000_000_000;
        Notification {
            channel: channel.into(),
            state: state.into(),
            time_unix_nano: time,
            sent_unix_nano: if state == "sent" { time } else { 0 },
            ..Notification::default()
        }
    }

    #[test]
    fn the_last_word_of_each_channel_is_told_and_what_did_not_come_first() {
        let notes = [
            note("mail", "sent", 9),
            note("fax", "given-up", 8),
            note("mail", "given-up", 7),
            note("chat", "waiting", 6),
            note("wall", "withheld", 5),
        ];
        let told = text(&of(Lang::En), &notes).expect("something");
        let at = |word: &str| told.find(word).unwrap_or_else(|| panic!("{word} in {told}"));
        assert!(at("fax") < at("chat") && at("chat") < at("wall") && at("wall") < at("mail"));
        assert_eq!(told.matches("mail").count(), 1, "{told}");
        assert_eq!(text(&of(Lang::En), &[]), None);
    }

    #[test]
    fn many_channels_are_a_number_and_an_unknown_state_is_its_own_word() {
        let notes: Vec<Notification> =
            (0..8).map(|at| note(&format!("c{at}"), "frozen", at)).collect();
        let told = text(&of(Lang::Vi), &notes).expect("something");
        assert!(told.starts_with("c0 frozen") && told.ends_with("+3"), "{told}");
    }
}
