//! Short texts that say where an event is from: mostly the same for thousands of events one behind the other.

use std::sync::Arc;

use super::encode;

/// One of them, shared where its maker has it already.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// Of this program itself.
    Fixed(&'static str),
    /// Of many events.
    Shared(Arc<str>),
    /// Of this one.
    Own(String),
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Shared(text) => text,
            Self::Own(text) => text,
        }
    }

    pub(super) fn into_string(self) -> String {
        match self {
            Self::Own(text) => text,
            other => other.as_str().to_owned(),
        }
    }

    /// Appends it as the string field of this number; nothing if it is empty.
    pub(super) fn encode(&self, tag: u32, bytes: &mut Vec<u8>) {
        encode::field(tag, self.as_str().as_bytes(), bytes);
    }

    /// How many bytes [`Self::encode`] appends.
    pub(super) fn encoded_len(&self, tag: u32) -> usize {
        encode::field_len(tag, self.as_str().as_bytes())
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Fixed("")
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
