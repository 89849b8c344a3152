//! Reading: one module a format.

mod numpy;
mod safetensors;
mod sharded;
