//! Runs the program.

use std::path::Path;
use std::process::{Command, Output};

/// What a run came to.
pub(super) struct Ran {
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs `ckpt` with these arguments, in `folder`, at a width of 100.
pub(super) fn ckpt_in(folder: &Path, args: &[&str]) -> Ran {
    let output = command(args).current_dir(folder).output().unwrap();
    ran(output)
}

pub(super) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ckpt"));
    command
        .args(args)
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR");
    command
}

fn ran(output: Output) -> Ran {
    Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A safetensors file: header, padded to a multiple of eight, then data.
pub(super) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{header:<0$}", header.len().next_multiple_of(8));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A folder with `m.safetensors` (three tensors, one string of metadata) and `bad.safetensors`.
pub(super) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"__metadata__":{"format":"pt"},
        "h.0.w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
        "h.1.w":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},
        "<b>|,\u202e":{"dtype":"I64","shape":[1],"data_offsets":[32,40]}}"#;
    let mut data: Vec<u8> = (0..8u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    data.extend((-5i64).to_le_bytes());
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("m.safetensors", &safetensors(header, &data));
    write("bad.safetensors", &safetensors(header, &data[..39]));
    folder
}
