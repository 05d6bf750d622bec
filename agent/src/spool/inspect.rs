//! Looks at a spool without changing it.
