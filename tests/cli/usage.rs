//! Help, exit status, output files.

use super::support::{ckpt_in, command, folder};
use std::io::Read;
use std::process::Stdio;

#[test]
fn without_arguments_it_helps() {
    let folder = folder();
    let ran = ckpt_in(folder.path(), &[]);
    assert_eq!(ran.status, 0);
    assert!(ran.stdout.contains("inspect") && ran.stdout.contains("convert"));
    assert_eq!(ckpt_in(folder.path(), &["--version"]).status, 0);
    let help = ckpt_in(folder.path(), &["inspect", "--help"]);
    assert!(help.stdout.contains("Examples:"));
}

#[test]
fn bad_usage_is_status_2_and_says_nothing_on_standard_output() {
    let folder = folder();
    for args in [
        &["nonsense"][..],
        &["inspect"],
        &["inspect", "m.safetensors", "--nonsense"],
        &["inspect", "m.safetensors", "-i", "zz*"],
        &["inspect", "m.safetensors", "--json", "--format", "csv"],
        &["inspect", "m.safetensors", "--root", "nowhere"],
        &["inspect", "absent.safetensors"],
        &["show", "m.safetensors", "h.0.w", "--format", "csv"],
    ] {
        let ran = ckpt_in(folder.path(), args);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn errors_name_the_place_first() {
    let folder = folder();
    let ran = ckpt_in(folder.path(), &["inspect", "bad.safetensors"]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.starts_with("ckpt: bad.safetensors: "),
        "{}",
        ran.stderr
    );
    let ran = ckpt_in(folder.path(), &["show", "m.safetensors", "h.0.v"]);
    assert!(
        ran.stderr.contains("\nhint: did you mean `h.0.w`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn output_goes_to_a_file_that_is_not_overwritten_unasked() {
    let folder = folder();
    let run = |args: &[&str]| ckpt_in(folder.path(), args);
    let args = ["inspect", "m.safetensors", "--json", "-o", "out.json"];
    let first = run(&args);
    assert_eq!((first.status, first.stdout.as_str()), (0, ""));
    let written = std::fs::read_to_string(folder.path().join("out.json")).unwrap();
    assert_eq!(written, run(&args[..3]).stdout);
    let second = run(&args);
    assert_eq!(second.status, 2);
    assert!(second.stderr.contains("--force"));
    assert_eq!(run(&[&args[..], &["-f"]].concat()).status, 0);
    assert_eq!(run(&["ls", "m.safetensors", "-o", "/dev/null"]).status, 0);
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    let folder = folder();
    let paths = vec!["m.safetensors"; 400];
    let mut child = command(&["inspect", "--flat"])
        .args(paths)
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn colours_are_used_only_where_asked_for() {
    let folder = folder();
    let run = |args: &[&str]| ckpt_in(folder.path(), args).stdout;
    assert!(!run(&["ls", "m.safetensors"]).contains('\u{1b}'));
    assert!(run(&["ls", "m.safetensors", "--color", "always"]).contains('\u{1b}'));
}
