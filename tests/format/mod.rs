//! Reading: one module a format.

mod gguf;
mod safetensors;
mod sharded;
mod testdata;
