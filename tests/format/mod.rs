//! Reading: one module a format.

mod gguf;
mod numpy;
mod safetensors;
mod sharded;
mod testdata;
