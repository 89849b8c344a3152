//! Reading: one module a format.

mod gguf;
mod safetensors;
mod testdata;
mod sharded;
