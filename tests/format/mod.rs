//! Reading: one module a format.

mod safetensors;
mod testdata;
