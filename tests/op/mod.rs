//! What can be done with checkpoints.

mod diff;
