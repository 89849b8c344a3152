//! Reading: one module a format.

mod gguf;
mod numpy;
mod pytorch;
mod safetensors;
mod sharded;
mod testdata;
