//! Inputs that are no files, and files that change under the reader.

use super::support::{ckpt_in, folder};
use ckpt::error::Kind;
use ckpt::format;
use ckpt::stream::Reader;

const COMMANDS: [&str; 5] = ["inspect", "stats", "hash", "audit", "show"];

/// The reason, exit status 2, and no waiting.
fn is_refused(folder: &std::path::Path, path: &str, why: &str) {
    for command in COMMANDS {
        let mut args = vec![command, path];
        if command == "show" {
            args.push("w");
        }
        let ran = ckpt_in(folder, &args);
        assert_eq!(ran.status, 2, "{command} {path}: {}", ran.stdout);
        // An audit has a finding in place of an error.
        let said = format!("{}{}", ran.stderr, ran.stdout);
        assert!(said.contains(why), "{command} {path}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_before_they_block() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    let why = "is neither a file nor a folder";
    is_refused(folder.path(), "pipe", why);
    is_refused(folder.path(), "/dev/zero", why);
    is_refused(folder.path(), "/dev/null", why);
}

#[test]
fn an_empty_folder_and_what_is_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    is_refused(folder.path(), "empty", "is an empty folder");
    is_refused(folder.path(), "nothing", "cannot open");
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error_that_says_so() {
    let folder = folder();
    let path = folder.path().join("m.safetensors");
    let checkpoint = format::open(&path).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 8).unwrap();
    let last = checkpoint.tensors.last().unwrap();
    let error = Reader::open(last).unwrap().read_all().unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(
        error.message().ends_with("the file has become shorter"),
        "{error}"
    );
    // What is still there is read.
    let first = &checkpoint.tensors[0];
    assert_eq!(Reader::open(first).unwrap().read_all().unwrap().len(), 16);
}
