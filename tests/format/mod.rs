//! Reading and writing: one module a format.

mod gguf;
mod imatrix;
mod numpy;
mod original;
mod pytorch;
mod safetensors;
mod sharded;
mod testdata;
mod write;
