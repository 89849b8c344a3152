//! The JSON of results.
