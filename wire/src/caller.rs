//! Who calls: what a console says of itself with each gRPC call, as long as there are no certificates that say it, and how it is refused.

/// The metadata with the caller's role: "operator" or "observer". Not said: an operator.
pub const ROLE: &str = "vonggac-role";

/// The metadata with the caller's name, UTF-8 as binary.
pub const NAME: &str = "vonggac-operator-bin";

/// Bytes of a name that are looked at.
pub const NAME_BYTES_MAX: usize = 256;

/// The metadata of a refusal: its word, and behind it what it is about, by which a console says it in its own language. The status's text says
/// the same in English.
pub const REFUSED: &str = "vonggac-refused";
