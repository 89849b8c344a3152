//! Quantising from the outside: in little memory, whatever the size.

use std::io::Write;
use std::os::unix::fs::FileExt;

/// Memory that the program may map, in KiB: its own and the threads' included.
const ADDRESS_SPACE: u64 = 256 << 10;

#[cfg(target_os = "linux")]
#[test]
fn a_file_larger_than_the_memory_is_quantised() {
    let folder = tempfile::tempdir().unwrap();
    let elements = (ADDRESS_SPACE << 10) / 4 + (16 << 20);
    let (rows, bytes) = (elements / 4096, elements * 4);
    let header =
        format!(r#"{{"w":{{"dtype":"F32","shape":[{rows},4096],"data_offsets":[0,{bytes}]}}}}"#);
    // All zeros but for one element: the file takes no room on disk.
    let mut file = std::fs::File::create(folder.path().join("a.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let end = 8 + header.len() as u64 + bytes;
    file.set_len(end).unwrap();
    file.write_all_at(&2f32.to_le_bytes(), end - 4).unwrap();
    let kinds = ["q8_0", "q4_k"];
    let kinds = kinds
        .iter()
        .filter(|kind| cfg!(feature = "candle") || **kind == "q8_0");
    for kind in kinds {
        let convert = format!("convert a.safetensors b.gguf --dtype {kind} -f -j 2 --no-sync");
        let script = format!("ulimit -v {ADDRESS_SPACE} && exec \"$0\" {convert}");
        let mut shell = std::process::Command::new("sh");
        let shell = shell.args(["-c", script.as_str(), env!("CARGO_BIN_EXE_ckpt")]);
        let output = shell.current_dir(folder.path()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{kind}: {error}");
        let read = ckpt::format::open(&folder.path().join("b.gguf")).unwrap();
        let quantised = &read.tensors[0];
        let reader = ckpt::stream::Reader::open(quantised).unwrap();
        let (mut last, mut scratch) = (Vec::new(), ckpt::stream::Scratch::default());
        reader
            .read(elements - 256, 256, &mut last, &mut scratch)
            .unwrap();
        let mut values = vec![0; 1024];
        ckpt::dtype::cast::cast(quantised.dtype, ckpt::DType::F32, &last, &mut values).unwrap();
        let value = f32::from_le_bytes(values[1020..].try_into().unwrap());
        assert!((value - 2.0).abs() < 0.01, "{kind}: {value}");
    }
}
