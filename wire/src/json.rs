//! How the generated messages stand in JSON where serde's own way would be unreadable.

/// Bytes that are nearly always text: a string if they are UTF-8, else a list of numbers.
pub mod text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Bytes(Vec<u8>),
    }

    /// Writes a string, or a list of numbers.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => bytes.serialize(serializer),
        }
    }

    /// Reads either form.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => text.into_bytes(),
            Either::Bytes(bytes) => bytes,
        })
    }
}

/// An IP address of four or sixteen bytes as text; no bytes as an empty string.
pub mod address {
    use std::net::IpAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes "203.0.113.7", "2001:db8::7" or "".
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match crate::event::address_from_bytes(bytes) {
            Some(address) => serializer.collect_str(&address),
            None => serializer.serialize_str(""),
        }
    }

    /// Reads the same.
    ///
    /// # Errors
    /// If the text is no address.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let address: IpAddr = text.parse().map_err(D::Error::custom)?;
        Ok(crate::event::address_to_bytes(address))
    }
}
